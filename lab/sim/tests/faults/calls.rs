//! Each storage call of a fixed course of operations fails once: what was acknowledged is there, what was refused is not, and
//! the store works again.

use super::real::{Faulty, Script};
use dirkv::files::clock::SystemClock;
use dirkv::files::prepare::open_directory;
use dirkv::files::storage::Directory;
use dirkv::{Backend, Code};
use dirkv_sim::machine::{Action, Call, EIO, ENOSPC, Machine, Plan};
use dirkv_sim::world::{Handle, Op, World, boot, params};
use fastrand::Rng;
use std::sync::Arc;

const EMFILE: i32 = 24;

/// Opens until it succeeds: an error must be clear, and gone with its cause.
fn open(machine: &Arc<Machine>, world: &World) -> Handle {
    for _ in 0..10 {
        match Handle::open(machine, &[]).expect("nobody is killed") {
            Ok(handle) => return handle,
            Err(e) => {
                assert!(matches!(e.code, Code::Io | Code::NoSpace), "{}: open got {e}", world.name);
                assert!(!e.message.is_empty());
            }
        }
    }
    panic!("{}: the store doesn't open any more", world.name);
}

fn put(key: &str, len: usize) -> Op {
    Op::Upsert("a".to_owned(), key.to_owned(), vec![len as u8; len])
}

/// Everything that a store does: creation, appends, batches, refusals, rolls, compaction, deletes, two processes, a reopening.
fn course(machine: &Arc<Machine>, world: &mut World) {
    let first = open(machine, world);
    let mut ops = vec![put("k", 10), put("l", 5_000), Op::Create("a".into(), "k".into(), vec![1])];
    let batch = ["k", "l", "m"].map(|k| (k.to_owned(), vec![7; 9_000])).to_vec();
    ops.extend([Op::Batch("a/b".into(), batch), put("m", 30_000), put("n", 40_000), Op::Read]);
    ops.iter().for_each(|op| assert!(world.run(&first, op)));
    let second = open(machine, world);
    let swap = Op::Swap("a".into(), "k".into(), vec![10; 10], vec![2; 20]);
    let ops = [swap, Op::Delete("a".into(), "n".into()), put("k", 50_000), Op::Compact, Op::Read];
    ops.iter().for_each(|op| assert!(world.run(&second, op)));
    let ops = [put("n", 100), Op::DeleteBucket("a".into(), "b".into()), Op::Get("a".into(), "n".into())];
    ops.iter().for_each(|op| assert!(world.run(&first, op)));
    drop(first);
    let ops = [put("l", 60_000), put("l", 60_001), Op::Compact, put("m", 3)];
    ops.iter().for_each(|op| assert!(world.run(&second, op)));
    drop(second);
    let third = open(machine, world);
    [put("n", 5), Op::Read].iter().for_each(|op| assert!(world.run(&third, op)));
}

/// Opened by somebody new, and once more after a power cut, the store holds what it should, and works.
fn afterwards(machine: &Arc<Machine>, world: &mut World) {
    machine.no_plan();
    let handle = open(machine, world);
    world.settle(&handle);
    let mut rng = Rng::with_seed(7);
    (0..20).for_each(|n| assert!(world.run(&handle, &Op::random(&mut rng, n))));
    world.settle(&handle);
    let disk = machine.cut();
    drop(handle);
    let again = boot(disk, 3);
    world.settle(&open(&again, world));
}

fn one_fails(n: u64, errno: i32, times: u64) -> bool {
    let machine = Machine::new(n);
    let mut world = World::new(format!("errno {errno} at call {n}, {times} times"));
    let may_fail = move |call| match errno {
        EMFILE => matches!(call, Call::Open | Call::Map),
        ENOSPC => {
            matches!(call, Call::Open | Call::Rename | Call::Write | Call::Allocate | Call::SyncData | Call::SyncDir)
        }
        _ => !matches!(call, Call::Page | Call::Unlock),
    };
    machine.plan(Plan {
        matches: Box::new(move |call, _| may_fail(call)),
        skip: n,
        times,
        action: Action::Fail(errno),
    });
    course(&machine, &mut world);
    let over = machine.plan_is_over();
    afterwards(&machine, &mut world);
    over
}

fn every_call_fails(errno: i32) {
    let mut n = 0;
    while one_fails(n, errno, 1) {
        n += 1;
    }
    assert!(n > 50, "the course has only {n} such calls");
}

#[test]
fn each_call_fails_once_with_an_io_error() {
    every_call_fails(EIO);
}

#[test]
fn each_call_fails_once_for_want_of_space() {
    every_call_fails(ENOSPC);
}

#[test]
fn each_call_fails_once_for_want_of_descriptors() {
    every_call_fails(EMFILE);
}

#[test]
fn calls_fail_several_at_once() {
    let mut n = 0;
    while one_fails(n, EIO, 2 + n % 5) {
        n += 7;
    }
}

/// The same on a real directory, where a failed fdatasync loses nothing, and flock and the map are the kernel's.
#[test]
fn each_call_of_a_real_directory_fails_once() {
    let mut n = 0;
    loop {
        let path = tempfile::tempdir().unwrap();
        let script = Arc::new(Script::fail(n, if n % 2 == 0 { EIO } else { ENOSPC }));
        let open = || {
            let real: Arc<dyn Directory> = Arc::new(open_directory(path.path(), 0o700, 0o600, false).unwrap());
            let directory: Arc<dyn Directory> = Arc::new(Faulty::new(real, script.clone()));
            let opened = Backend::open_in(&params(&[]), directory.clone(), Arc::new(SystemClock));
            opened.or_else(|_| Backend::open_in(&params(&[]), directory, Arc::new(SystemClock))).unwrap()
        };
        let store = open();
        let mut told = Vec::new();
        for i in 0..12_u8 {
            match store.upsert("", format!("key-{i}"), &vec![i; 14_000], 0) {
                Ok(_) => told.push((i, true)),
                Err(e) if e.code == Code::Uncertain => (),
                Err(e) => {
                    assert!(matches!(e.code, Code::Io | Code::NoSpace), "call {n}: {e}");
                    told.push((i, false));
                }
            }
        }
        let _ = store.compact();
        drop(store);
        let store = open();
        for (i, is_there) in told {
            let found = store.get("", format!("key-{i}"));
            let found = found.or_else(|_| store.get("", format!("key-{i}"))).ok();
            assert_eq!(found, is_there.then(|| vec![i; 14_000]), "call {n}: key-{i}");
        }
        // What can't be read is a finding, too.
        assert!(store.check().is_ok_and(|f| f.is_empty()) || store.check().unwrap().is_empty(), "call {n}");
        store.upsert("", "one more", b"", 0).or_else(|_| store.upsert("", "one more", b"", 0)).unwrap();
        if !script.is_over() {
            break;
        }
        n += 3;
    }
    assert!(n > 60, "only {n} calls");
}
