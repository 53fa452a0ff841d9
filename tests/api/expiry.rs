//! Time to live, with a clock that the test moves.

use super::*;

#[test]
fn gone_at_the_instant_for_every_call() {
    let b = Store::new();
    let revision = b.upsert("x", "k", b"v", 100).unwrap();
    b.set_clock(1_099);
    assert_eq!(b.get_item("x", "k").unwrap().expires, 1_100);
    assert_eq!((b.keys("x", None, 0).unwrap().len(), b.keys("", None, 0).unwrap().len()), (1, 1));
    b.set_clock(1_100);
    assert!(!b.exists("x", "k").unwrap());
    fails(b.get("x", "k"), Code::NotFound, "k");
    fails(b.get_item("x", "k"), Code::NotFound, "k");
    fails(b.get_into("x", "k", &mut [0; 9]), Code::NotFound, "k");
    fails(b.get("", "x"), Code::NotFound, "x");
    fails(b.touch("x", "k", 100), Code::NotFound, "k");
    fails(b.delete("x", "k"), Code::NotFound, "k");
    fails(b.delete_if_revision("x", "k", revision), Code::NotFound, "k");
    fails(b.delete_bucket("", "x"), Code::NotFound, "bucket \"x\"");
    fails(b.compare_and_swap("x", "k", b"w", b"v", 0), Code::CompareFailed, "k");
    fails(b.put_if_revision("x", "k", b"w", revision, 0), Code::CompareFailed, "k");
    assert_eq!((b.keys("x", None, 0).unwrap().len(), b.items("x", None, 0, true).unwrap().len()), (0, 0));
    assert_eq!(b.keys("", None, 0).unwrap(), []);
}

#[test]
fn an_expired_value_is_absent_to_conditions() {
    let b = Store::new();
    b.upsert("x", "a", b"", 10).unwrap();
    b.upsert("x", "b", b"", 10).unwrap();
    b.set_clock(1_010);
    fails(b.compare_and_swap("x", "a", b"w", b"", 0), Code::CompareFailed, "not there");
    b.create("x", "a", b"new", 0).unwrap();
    b.put_if_revision("x", "b", b"new", 0, 0).unwrap();
    assert_eq!((b.get("x", "a").unwrap(), b.get("x", "b").unwrap()), (b"new".to_vec(), b"new".to_vec()));
}

#[test]
fn an_upsert_replaces_the_time_to_live() {
    let b = Store::new();
    b.upsert("x", "k", b"v", 10).unwrap();
    b.upsert("x", "k", b"v", 0).unwrap();
    b.set_clock(i64::MAX);
    assert!(b.exists("x", "k").unwrap());
    b.set_clock(2_000);
    b.upsert("x", "k", b"v", 10).unwrap();
    let item = b.get_item("x", "k").unwrap();
    assert_eq!(item.expires, 2_010);
    b.compare_and_swap("x", "k", b"w", b"v", 20).unwrap();
    assert_eq!(b.get_item("x", "k").unwrap().expires, 2_020);
}

#[test]
fn negative_is_refused_and_the_end_of_time_saturates() {
    let b = Store::new();
    for ttl in [-1, i64::MIN] {
        fails(b.upsert("x", "k", b"v", ttl), Code::BadParameter, "TTL is negative");
        fails(b.create("x", "k", b"v", ttl), Code::BadParameter, "TTL is negative");
        fails(b.compare_and_swap("x", "k", b"v", b"", ttl), Code::BadParameter, "TTL is negative");
        fails(b.put_if_revision("x", "k", b"v", 0, ttl), Code::BadParameter, "TTL is negative");
        fails(b.touch("x", "k", ttl), Code::BadParameter, "TTL is negative");
    }
    assert!(!b.exists("x", "k").unwrap());
    b.upsert("x", "k", b"v", i64::MAX).unwrap();
    assert_eq!(b.get_item("x", "k").unwrap().expires, i64::MAX);
    b.set_clock(i64::MAX - 1);
    assert!(b.exists("x", "k").unwrap());
}

#[test]
fn a_clock_that_steps_back_shows_it_again() {
    let b = Store::new();
    b.upsert("x", "k", b"v", 100).unwrap();
    b.set_clock(5_000);
    assert!(!b.exists("x", "k").unwrap());
    b.set_clock(500);
    assert!(b.exists("x", "k").unwrap());
}

#[test]
fn compaction_keeps_what_only_the_systems_clock_calls_expired() {
    let b = Store::new();
    b.upsert("x", "k", b"v", 100).unwrap();
    b.compact().unwrap();
    assert_eq!(b.get("x", "k").unwrap(), b"v");
}

#[test]
fn the_systems_clock() {
    let (b, _dir) = plain();
    let mut ttl = 50_000_000;
    let (before, expires) = loop {
        let before = b.now();
        b.upsert("x", "k", b"v", ttl).unwrap();
        match b.get_item("x", "k") {
            Ok(item) => break (before, item.expires),
            // A busy machine came to it too late.
            Err(_) if b.now() >= before + ttl => ttl *= 4,
            Err(e) => panic!("{e}"),
        }
    };
    assert!((before + ttl..=b.now() + ttl).contains(&expires));
    while b.now() < expires {
        std::thread::yield_now();
    }
    assert!(!b.exists("x", "k").unwrap());
}
