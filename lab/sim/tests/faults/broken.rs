//! The proof that these tests' proof can fail: this program again, with one rule left out, must not pass.

use std::process::{Command, Stdio};

/// A breakage, and the tests that find it.
const FOUND_BY: [(&str, &str); 10] = [
    ("rule-1", "seals::a_frame_behind_another_than_the_one_it_was_written_behind_is_none"),
    ("rule-2", "seals::who_comes_after_a_failed_write_back_vouches_only_for_what_it_wrote_again"),
    ("rule-5", "seals::a_refusal_that_a_void_frame_decided_is_decided_again"),
    ("rule-6", "seals::who_comes_after_a_failed_write_back_vouches_only_for_what_it_wrote_again"),
    ("rule-7", "seals::who_comes_after_a_failed_write_back_vouches_only_for_what_it_wrote_again"),
    ("rule-8", "threads::threads_of_several_processes_keep_every_promise"),
    ("rule-10", "seals::what_a_failed_write_left_in_the_cache_is_sealed_off"),
    ("rule-14", "switches::whoever_comes_after_a_sealer_that_was_killed_at_any_step_goes_on"),
    ("rule-16", "seals::what_a_merge_could_not_make_durable_costs_no_file"),
    ("row-of-other-tables", "rows::what_is_read_again_and_again_is_what_the_tables_say_now"),
];

/// So many runs may notice nothing.
const TRIES: usize = 20;

fn passes(sabotage: Option<&str>, test: &str) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).stdout(Stdio::null()).stderr(Stdio::null());
    sabotage.map(|name| command.env("DIRKV_SABOTAGE", name));
    command.status().unwrap().success()
}

#[test]
fn each_breakage_is_found() {
    let mut unnoticed = Vec::new();
    for (sabotage, test) in FOUND_BY {
        // A test that can't be named would pass. The system's threads may not meet at once.
        let found = (0..TRIES).any(|_| !passes(Some(sabotage), test));
        println!("{sabotage}: {} by {test}", if found { "found" } else { "NOT FOUND" });
        if !found {
            unnoticed.push(sabotage);
        }
    }
    assert!(unnoticed.is_empty(), "nothing noticed {unnoticed:?}");
    assert!(passes(None, FOUND_BY[0].1), "a healthy build");
}
