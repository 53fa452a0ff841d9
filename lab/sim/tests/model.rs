//! What the protocol model (lab/protocol) found wrong in the code, shown on the code itself.

use dirkv::Code;
use dirkv_sim::machine::{Action, Call, Machine, Plan};
use dirkv_sim::world::{Handle, boot};

/// World `alone` without `alone_syncs`: a writer is killed before its sync, and a read-only handle that is alone shows its frame.
#[test]
fn who_reads_alone_shows_nothing_that_a_power_cut_takes_back() {
    for seed in 0..50 {
        let machine = Machine::new(seed);
        let writer = Handle::open(&machine, &[]).expect("nobody is killed").expect("opens");
        writer.store().upsert("", "before", b"1", 0).unwrap();
        machine.plan(Plan::next(Call::SyncData, "log-1", 1, Action::Kill));
        assert!(writer.call(|store| store.upsert("", "k", b"1", 0)).is_none(), "killed");
        drop(writer);
        let reader = Handle::open(&machine, &[("read_only", "true")]).expect("nobody is killed").expect("opens");
        let told = reader.store().get("", "k").is_ok();
        let after = boot(machine.clone_disk(seed), seed);
        let again = Handle::open(&after, &[]).expect("nobody is killed").expect("opens");
        let there = again.store().get("", "k");
        assert!(!told || there.is_ok(), "seed {seed}: told, then gone: {there:?}");
        assert_eq!(again.store().get("", "none").map_err(|e| e.code), Err(Code::NotFound));
    }
}
