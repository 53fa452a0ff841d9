//! Who waits for a lease is woken when it may have changed, not when it looks again by itself: seen in the word of the shared page
//! that a wake bumps.

use dirkv_sim::machine::{Call, Machine};
use dirkv_sim::world::Handle;
use std::sync::Arc;

use super::panics::engine;
use super::stops::Stopped;

const LEASE: i64 = 60_000_000_000;

fn open(machine: &Arc<Machine>, sync: &str) -> Handle {
    Handle::open(machine, &[("sync", sync), ("lock_timeout", "10s")]).expect("nobody is killed").expect("opens")
}

#[test]
fn a_release_wakes_before_it_is_synced_so_that_one_sync_answers_the_next_holder_too() {
    let machine = Machine::new(2);
    let (a, b, others) = (open(&machine, "full"), open(&machine, "full"), engine(&machine));
    let fence = a.store().acquire_lock("token", LEASE, 0).unwrap();
    let before = others.lease_epoch();
    let syncs = |call, name: &str| call == Call::SyncData && name == "log-1";
    let b = Stopped::at(&machine, syncs, b, |store| store.acquire_lock("other", LEASE, 0));
    assert_eq!(others.lease_epoch(), before);
    b.goes_on().unwrap();
    let before = others.lease_epoch();
    let a = Stopped::at(&machine, syncs, a, move |store| store.release_lock("token", fence));
    assert_ne!(others.lease_epoch(), before);
    a.goes_on().unwrap();
}

#[test]
fn with_sync_os_each_change_of_a_lease_wakes() {
    let machine = Machine::new(2);
    let (a, others) = (open(&machine, "os"), engine(&machine));
    let mut before = others.lease_epoch();
    let mut wakes = |what: &str, is_so: bool| {
        let now = others.lease_epoch();
        assert_eq!(std::mem::replace(&mut before, now) != now, is_so, "{what}");
    };
    let fence = a.store().acquire_lock("token", LEASE, 0).unwrap();
    wakes("acquire", true);
    a.store().upsert("", "k", b"1", 0).unwrap();
    wakes("another change", false);
    a.store().renew_lock("token", fence, LEASE).unwrap();
    wakes("renew", true);
    a.store().release_lock("token", fence).unwrap();
    wakes("release", true);
    a.store().close();
    wakes("close", true);
}
