//! Each story under many schedules. See src/stories.rs for what happens in them, and src/explore.rs for how to repeat one.

use dirkv_concurrency::{explore::explore, stories};

#[test]
fn every_commit_is_answered_and_nobody_needs_a_time_limit() {
    explore("commits", stories::commits);
}

#[test]
fn a_failed_sync_or_write_is_told_to_those_whom_it_concerns() {
    explore("failures", stories::failures);
}

#[test]
fn readers_follow_rolls_and_compactions() {
    explore("rolls", stories::rolls);
}

#[test]
fn who_waits_too_long_for_lock_gives_up_and_the_lead_is_passed_on() {
    explore("timeouts", stories::timeouts);
}

#[test]
fn a_close_wakes_waiters_and_breaks_no_promise() {
    explore("close", stories::close);
}

#[test]
fn a_lease_has_one_holder_and_each_release_wakes_a_waiter() {
    explore("leases", stories::leases);
}

#[test]
fn conditions_are_decided_one_after_the_other() {
    explore("conditions", stories::conditions);
}

#[test]
fn a_request_that_panics_leaves_nobody_waiting() {
    explore("panics", stories::panics);
}
