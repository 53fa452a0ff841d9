//! Values: create, upsert, swap, touch, get, delete.

use super::*;
use dirkv::backend::Fit;

#[test]
fn create_puts_only_what_is_not_there() {
    let b = Store::new();
    let first = b.create("a/b", "k", b"one", 0).unwrap();
    assert!(first > 0 && first < 1 << 63);
    fails(b.create("a/b", "k", b"two", 0), Code::AlreadyExists, "key \"k\" of bucket \"a/b\"");
    assert_eq!(b.get("a/b", "k").unwrap(), b"one");
    b.create("a", "k", b"elsewhere", 0).unwrap();
    b.delete("a/b", "k").unwrap();
    assert!(b.create("a/b", "k", b"three", 0).unwrap() > first);
    assert_eq!(b.get("a/b", "k").unwrap(), b"three");
}

#[test]
fn upsert_replaces_and_revisions_grow() {
    let b = Store::new();
    let mut last = 0;
    for n in 0..50_u32 {
        let revision = b.upsert("", "k", &n.to_le_bytes(), 0).unwrap();
        assert!(revision > last);
        last = revision;
        let item = b.get_item("", "k").unwrap();
        assert_eq!((item.revision, item.value, item.name.as_str()), (revision, n.to_le_bytes().to_vec(), "k"));
    }
}

#[test]
fn values_of_every_size_come_back_whole() {
    let (b, dir) = plain();
    let value = |len: usize| (0..len).map(|n| (n * 31 % 251) as u8).collect::<Vec<u8>>();
    let sizes = [0, 1, 4095, 4096, 4097, 8192, 100_000, 9 << 20];
    for len in sizes {
        b.upsert("v", len.to_string(), &value(len), 0).unwrap();
    }
    let check = |b: &Backend| {
        for len in sizes {
            assert!(b.get("v", len.to_string()).unwrap() == value(len), "{len}");
        }
    };
    check(&b);
    b.close();
    check(&Backend::open_path(dir.path()).unwrap());
    let zeros = vec![0; 1000];
    let b = Backend::open_path(dir.path()).unwrap();
    b.upsert("v", "zeros", &zeros, 0).unwrap();
    assert_eq!(b.get("v", "zeros").unwrap(), zeros);
}

#[test]
fn the_largest_value_and_one_byte_more() {
    let (b, _dir) = plain();
    let large = vec![7; (64 << 20) + 1];
    let revision = b.upsert("v", "k", &large[1..], 0).unwrap();
    assert!(b.get("v", "k").unwrap() == large[1..]);
    fails(b.upsert("v", "k", &large, 0), Code::LimitExceeded, "64 MiB");
    fails(b.create("v", "new", &large, 0), Code::LimitExceeded, "67108865");
    fails(b.compare_and_swap("v", "k", &large, &large[1..], 0), Code::LimitExceeded, "64 MiB");
    fails(b.put_if_revision("v", "k", &large, revision, 0), Code::LimitExceeded, "64 MiB");
    assert_eq!(b.get_item("v", "k").unwrap().revision, revision);
    assert!(!b.exists("v", "new").unwrap());
    b.compare_and_swap("v", "k", b"small", &large[1..], 0).unwrap();
}

#[test]
fn compare_and_swap_compares_bytes() {
    let b = Store::new();
    fails(b.compare_and_swap("c", "k", b"new", b"", 0), Code::CompareFailed, "key \"k\" of bucket \"c\" is not there");
    b.upsert("c", "k", b"", 0).unwrap();
    fails(b.compare_and_swap("c", "k", b"new", b"x", 0), Code::CompareFailed, "key \"k\"");
    b.compare_and_swap("c", "k", b"one", b"", 0).unwrap();
    fails(b.compare_and_swap("c", "k", b"two", b"on", 0), Code::CompareFailed, "another value");
    fails(b.compare_and_swap("c", "k", b"two", b"ome", 0), Code::CompareFailed, "another value");
    fails(b.compare_and_swap("c", "k", b"two", b"one\0", 0), Code::CompareFailed, "another value");
    let revision = b.compare_and_swap("c", "k", b"two", b"one", 0).unwrap();
    assert_eq!(b.get_item("c", "k").unwrap().revision, revision);
    b.delete("c", "k").unwrap();
    fails(b.compare_and_swap("c", "k", b"new", b"two", 0), Code::CompareFailed, "not there");
}

#[test]
fn by_revision() {
    let b = Store::new();
    fails(b.put_if_revision("r", "k", b"x", 5, 0), Code::CompareFailed, "doesn't have revision 5");
    let one = b.put_if_revision("r", "k", b"one", 0, 0).unwrap();
    fails(b.put_if_revision("r", "k", b"x", 0, 0), Code::CompareFailed, "is there");
    fails(b.put_if_revision("r", "k", b"x", one + 1, 0), Code::CompareFailed, "has revision");
    fails(b.put_if_revision("r", "k", b"x", u64::MAX, 0), Code::CompareFailed, "has revision");
    let two = b.put_if_revision("r", "k", b"two", one, 0).unwrap();
    assert_eq!(b.get("r", "k").unwrap(), b"two");
    fails(b.delete_if_revision("r", "k", one), Code::CompareFailed, "has revision");
    fails(b.delete_if_revision("r", "k", 0), Code::CompareFailed, "is there");
    b.delete_if_revision("r", "k", two).unwrap();
    fails(b.delete_if_revision("r", "k", two), Code::NotFound, "key \"k\" of bucket \"r\"");
    assert!(!b.exists("r", "k").unwrap());
}

#[test]
fn touch_keeps_the_value() {
    let b = Store::new();
    fails(b.touch("t", "k", 10), Code::NotFound, "key \"k\" of bucket \"t\"");
    let large = vec![3; 10_000];
    let first = b.upsert("t", "k", &large, 0).unwrap();
    let touched = b.touch("t", "k", 500).unwrap();
    let item = b.get_item("t", "k").unwrap();
    assert!(touched > first);
    assert_eq!((item.revision, item.expires, item.value), (touched, 1_500, large));
    b.touch("t", "k", 0).unwrap();
    assert_eq!(b.get_item("t", "k").unwrap().expires, 0);
    fails(b.touch("t", "k", -1), Code::BadParameter, "TTL is negative");
}

#[test]
fn get_and_its_twins() {
    let b = Store::new();
    fails(b.get("g", "k"), Code::NotFound, "key \"k\" of bucket \"g\"");
    fails(b.get_item("g", "k"), Code::NotFound, "key \"k\" of bucket \"g\"");
    fails(b.get_into("g", "k", &mut []), Code::NotFound, "key \"k\" of bucket \"g\"");
    assert!(!b.exists("g", "k").unwrap());
    b.upsert("g", "k", b"value", 0).unwrap();
    assert!(b.exists("g", "k").unwrap());
    let mut out = [9; 8];
    assert_eq!(b.get_into("g", "k", &mut out).unwrap(), Fit::Copied(5));
    assert_eq!(&out, b"value\x09\x09\x09");
    assert_eq!(b.get_into("g", "k", &mut out[..5]).unwrap(), Fit::Copied(5));
    assert_eq!(b.get_into("g", "k", &mut out[..4]).unwrap(), Fit::TooSmall(5));
    b.upsert("g", "empty", b"", 0).unwrap();
    assert_eq!(b.get_into("g", "empty", &mut []).unwrap(), Fit::Copied(0));
    assert_eq!(b.get("g", "empty").unwrap(), b"");
}

#[test]
fn a_name_that_is_only_a_bucket() {
    let b = Store::new();
    b.upsert("a/b/c", "k", b"v", 100).unwrap();
    for (bucket, key) in [("", "a"), ("a", "b"), ("a/b", "c")] {
        fails(b.get(bucket, key), Code::BadParameter, "is a bucket");
        fails(b.get_into(bucket, key, &mut [0; 9]), Code::BadParameter, &format!("key {key:?} of bucket {bucket:?}"));
        fails(b.get_item(bucket, key), Code::NotFound, "not there");
        fails(b.delete(bucket, key), Code::NotFound, "not there");
        assert!(!b.exists(bucket, key).unwrap());
    }
    b.upsert("a", "b", b"beside", 0).unwrap();
    assert_eq!(b.get("a", "b").unwrap(), b"beside");
    b.delete("a", "b").unwrap();
    b.set_clock(1_100);
    fails(b.get("a", "b"), Code::NotFound, "not there");
    b.upsert("", ".locks", b"a key may bear any name", 0).unwrap();
    b.acquire_lock("t", 50, 0).unwrap();
    b.delete("", ".locks").unwrap();
    fails(b.get("", ".locks"), Code::NotFound, "not there");
}

#[test]
fn delete_takes_one_key() {
    let b = Store::new();
    fails(b.delete("d", "k"), Code::NotFound, "key \"k\" of bucket \"d\"");
    b.upsert("d", "k", b"v", 0).unwrap();
    b.upsert("d/k", "k", b"v", 0).unwrap();
    b.delete("d", "k").unwrap();
    fails(b.delete("d", "k"), Code::NotFound, "key \"k\" of bucket \"d\"");
    assert!(b.exists("d/k", "k").unwrap());
}

#[test]
fn delete_bucket_takes_the_tree_and_nothing_else() {
    let b = Store::new();
    fails(b.delete_bucket("", "a"), Code::NotFound, "bucket \"a\"");
    for (bucket, key) in [("a", "k"), ("a/b", "k"), ("a/b/c", "k"), ("a/b ", "k"), ("a!", "k"), ("", "a"), ("a", "b")] {
        b.upsert(bucket, key, b"v", 0).unwrap();
    }
    b.delete_bucket("a", "b").unwrap();
    fails(b.delete_bucket("a", "b"), Code::NotFound, "bucket \"a/b\"");
    assert!(b.exists("a", "b").unwrap() && b.exists("a/b ", "k").unwrap());
    assert!(!b.exists("a/b", "k").unwrap() && !b.exists("a/b/c", "k").unwrap());
    b.create("a/b", "k", b"again", 0).unwrap();
    b.delete_bucket("", "a").unwrap();
    assert!(b.exists("", "a").unwrap() && b.exists("a!", "k").unwrap());
    assert_eq!(b.items("a", None, 0, true).unwrap(), []);
    fails(b.delete_bucket("", ".locks"), Code::BadParameter, "reserved");
    fails(b.delete_bucket("a", "b/c"), Code::BadParameter, "bucket holds a '/'");
}
