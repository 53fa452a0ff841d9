//! What the system refuses once or twice is an error of the system, and no damage.

use dirkv::Code;
use dirkv_sim::machine::{Action, Call, EIO, Machine, Plan};
use dirkv_sim::world::{Handle, dump};

/// With `sync=os`, a newcomer writes the log's end again before it vouches for it; here reading or writing it fails.
#[test]
fn with_sync_os_an_end_that_cannot_be_written_again_now_is_not_lost() {
    let (mut refused, os) = (0, &[("sync", "os"), ("lock_timeout", "10s")]);
    for (first, second) in (0..12).flat_map(|second| (0..=second).map(move |first| (first, second))) {
        let machine = Machine::new(second);
        let a = Handle::open(&machine, os).expect("nobody is killed").expect("opens");
        a.store().upsert("", "before", b"1", 0).unwrap();
        let b = Handle::open(&machine, os).expect("nobody is killed").expect("opens");
        let mut calls = 0;
        let matches = Box::new(move |call, name: &str| {
            let counts = matches!(call, Call::Read | Call::Write) && name == "log-1";
            calls += u64::from(counts);
            counts && (calls == first + 1 || calls == second + 1)
        });
        machine.plan(Plan { matches, skip: 0, times: 2, action: Action::Fail(EIO) });
        let answer = b.store().upsert("", "new", b"1", 0).map_err(|e| (e.code, e.os_errno, e.message));
        machine.no_plan();
        if let Err((code, errno, message)) = answer {
            assert_eq!((code, errno), (Code::Io, EIO), "calls {first} and {second}: {message}");
            refused += 1;
        }
        b.store().upsert("", "new", b"2", 0).unwrap();
        assert_eq!(dump(a.store()).unwrap().len(), 2);
        assert_eq!(a.store().check().unwrap(), [""; 0]);
    }
    assert!(refused > 0, "nothing was refused");
}

/// While no table can be made commits go on for a while; then they are refused, and well again with the system.
#[test]
fn a_flush_that_always_fails_stops_writers_only_in_the_end() {
    let machine = Machine::new(1);
    let handle = Handle::open(&machine, &[("background", "off")]).expect("nobody is killed").expect("opens");
    machine.plan(Plan::next(Call::Open, "table-", u64::MAX, Action::Fail(EIO)));
    let logs = || machine.names().iter().filter(|name| name.starts_with("log-")).count();
    let (mut number, mut refused) = (0, None);
    while refused.is_none() {
        assert!(logs() < 20, "the log grows without end");
        refused = handle.store().upsert("", format!("{number:04}"), &[b'v'; 4_000], 0).err();
        number += 1;
    }
    let refused = refused.unwrap();
    assert_eq!((refused.code, refused.os_errno), (Code::Io, EIO), "{refused}");
    assert!(refused.message.contains("table-"), "{refused}");
    // Nine sealed segments, the live one, and the next, which is made ahead.
    assert_eq!(logs(), 11);
    assert_eq!(dump(handle.store()).unwrap().len(), number - 1);
    machine.no_plan();
    handle.store().upsert("", "well again", b"1", 0).unwrap();
    assert_eq!(dump(handle.store()).unwrap().len(), number);
    assert!(logs() <= 2, "{:?}", machine.names());
}
