//! What a handle tells its logger of calls that failed and cost nobody anything else.

use dirkv::Code;
use dirkv::backend::Level;
use dirkv_sim::machine::{Action, Call, EIO, Machine, Plan};
use dirkv_sim::world::Handle;
use std::sync::{Arc, Mutex};

use super::seals::code;

#[test]
fn a_failed_sync_and_a_file_that_cannot_be_removed_are_told() {
    let machine = Machine::new(3);
    let handle = Handle::open(&machine, &[]).expect("nobody is killed").expect("opens");
    let records: Arc<Mutex<Vec<String>>> = Arc::default();
    let into = records.clone();
    let logger = move |_, text: &str| into.lock().unwrap().push(text.to_owned());
    handle.store().set_logger(Some(Arc::new(logger)), Level::Warn);
    handle.store().upsert("", "before", b"1", 0).unwrap();
    machine.plan(Plan::next(Call::SyncData, "log-1", 1, Action::Fail(EIO)));
    assert_eq!(code(handle.store().upsert("", "void", b"1", 0)), Some(Code::Io));
    machine.plan(Plan::next(Call::Remove, "log-1", 1, Action::Fail(EIO)));
    handle.store().compact().unwrap();
    assert!(machine.names().contains(&"log-1".to_owned()));
    machine.plan(Plan::next(Call::Remove, "log-1", 1, Action::Fail(EIO)));
    assert_eq!(code(handle.store().compact()), Some(Code::Io), "a stray stays");
    handle.store().compact().unwrap();
    assert!(!machine.names().contains(&"log-1".to_owned()), "it is removed as a stray");
    let records = records.lock().unwrap();
    assert_eq!(records.len(), 2, "{records:?}");
    assert!(records[0].starts_with("syncing log-1 failed: "), "{records:?}");
    assert!(records[1].starts_with("can't remove log-1: "), "{records:?}");
}
