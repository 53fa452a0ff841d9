//! Threads of one process whose commits go together: each is decided on the state after those before it.

use dirkv_sim::machine::Machine;
use dirkv_sim::world::Handle;
use std::thread::{scope, sleep};
use std::time::Duration;

use super::seals::hold;

#[test]
fn a_large_value_that_is_not_written_yet_can_be_compared() {
    let machine = Machine::new(8);
    let handle = Handle::open(&machine, &[("lock_timeout", "10s")]).expect("nobody is killed").expect("opens");
    let lock = hold(&machine);
    let (old, new) = (vec![1; 5_000], vec![2; 5_000]);
    scope(|threads| {
        let put = threads.spawn(|| handle.store().upsert("", "k", &old, 0));
        sleep(Duration::from_millis(40));
        let swap = threads.spawn(|| handle.store().compare_and_swap("", "k", &new, &old, 0));
        let touch = threads.spawn(|| handle.store().touch("", "k", 0));
        sleep(Duration::from_millis(40));
        lock.unlock().unwrap();
        put.join().unwrap().unwrap();
        swap.join().unwrap().unwrap();
        touch.join().unwrap().unwrap();
    });
    assert_eq!(handle.store().get("", "k").unwrap(), new);
}
