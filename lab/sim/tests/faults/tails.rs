//! What a power cut left behind the end of the log stays there for ever.

use dirkv_sim::cut::Bound;
use dirkv_sim::machine::Machine;
use dirkv_sim::world::{Handle, boot, dump};
use std::sync::Arc;

fn open(machine: &Arc<Machine>) -> Handle {
    Handle::open(machine, &[("sync", "os")]).expect("nobody is killed").expect("opens")
}

fn length_of_k(handle: &Handle) -> Option<usize> {
    dump(handle.store()).unwrap().get("k").map(Vec::len)
}

#[test]
fn a_frame_whose_predecessor_was_lost_does_not_follow_its_like() {
    let machine = Machine::new(1);
    let store = open(&machine);
    store.store().upsert("", "k", &[1; 10], 0).unwrap();
    store.store().sync().unwrap();
    // Of several sectors, and one behind it.
    store.store().create("", "m", &[2; 1_200], 0).unwrap();
    store.store().upsert("", "k", &[3; 30], 0).unwrap();
    machine.record(false);
    machine.note(0);
    let moment = machine.recorded().pop().expect("a moment");
    let states = moment.states();
    let (numbers, all) = states.numbers(Bound { whole: 10_000, samples: 0 });
    assert!(all);
    let mut lost = 0;
    for number in numbers {
        let machine = boot(states.state(number), number);
        let store = open(&machine);
        if dump(store.store()).unwrap().contains_key("m") {
            continue;
        }
        lost += 1;
        store.store().create("", "m", &[2; 1_200], 0).unwrap();
        store.store().sync().unwrap();
        assert_eq!(length_of_k(&store), Some(10));
        machine.write_back();
        let again = boot(machine.cut(), 5);
        assert_eq!(length_of_k(&open(&again)), Some(10), "state {number}: what was lost is there again");
    }
    assert!(lost > 3, "the frame was lost in {lost} states");
}
