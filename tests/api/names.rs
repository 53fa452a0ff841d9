//! Every class of bad name, refused by every call that takes one; the longest good ones.

use super::*;
use dirkv::backend::NewItem;

/// What is wrong with a name of a key, and what the error says.
fn bad_keys() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (b"".to_vec(), "is empty"),
        (vec![b'k'; 1025], "is longer than 1024 bytes"),
        (b"a/b".to_vec(), "holds a '/'"),
        (b".".to_vec(), "is \".\""),
        (b"..".to_vec(), "is \"..\""),
        (b"a\nb".to_vec(), "control character U+000A"),
        (b"a\0".to_vec(), "control character U+0000"),
        (b"\x7f".to_vec(), "control character U+007F"),
        ("\u{85}".into(), "control character U+0085"),
        (b"a\xffb".to_vec(), "is not valid UTF-8"),
    ]
}

fn bad_buckets() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (b"/".to_vec(), "component 1 is empty"),
        (b"a//b".to_vec(), "component 2 is empty"),
        (b"a/".to_vec(), "component 2 is empty"),
        (vec![b'b'; 256], "component 1 is longer than 255 bytes"),
        (b"a/.".to_vec(), "component 2 is \".\""),
        (b"../etc".to_vec(), "component 1 is \"..\""),
        (b".locks".to_vec(), "component 1 starts with '.', which is reserved"),
        (b".x/y".to_vec(), "component 1 starts with '.', which is reserved"),
        (b"a/b\x01".to_vec(), "component 2 holds the control character U+0001"),
        (b"a/\xc3".to_vec(), "component 2 is not valid UTF-8"),
        (vec!["a"; 33].join("/").into_bytes(), "has more than 32 components"),
    ]
}

/// Every call that takes a bucket and a key.
fn calls(b: &Backend, bucket: &[u8], key: &[u8]) -> Vec<(&'static str, Result<()>)> {
    let item = NewItem { key, value: b"v", ttl: 0 };
    vec![
        ("create", b.create(bucket, key, b"v", 0).map(drop)),
        ("upsert", b.upsert(bucket, key, b"v", 0).map(drop)),
        ("upsert_items", b.upsert_items(bucket, &[item]).map(drop)),
        ("compare_and_swap", b.compare_and_swap(bucket, key, b"v", b"", 0).map(drop)),
        ("put_if_revision", b.put_if_revision(bucket, key, b"v", 0, 0).map(drop)),
        ("delete_if_revision", b.delete_if_revision(bucket, key, 1)),
        ("touch", b.touch(bucket, key, 0).map(drop)),
        ("exists", b.exists(bucket, key).map(drop)),
        ("get", b.get(bucket, key).map(drop)),
        ("get_into", b.get_into(bucket, key, &mut []).map(drop)),
        ("get_item", b.get_item(bucket, key).map(drop)),
        ("delete", b.delete(bucket, key)),
    ]
}

#[test]
fn bad_keys_are_refused_by_every_call() {
    let b = Store::new();
    for (key, rule) in bad_keys() {
        for (call, result) in calls(&b, b"bucket", &key) {
            let error = result.expect_err(call);
            assert_eq!(error.code, Code::BadParameter, "{call}: {error}");
            assert!(error.message.starts_with("key ") && error.message.contains(rule), "{call}: {error}");
        }
        fails(b.keys("bucket", Some(&key), 0), Code::BadParameter, "after");
        fails(b.items("bucket", Some(&key), 0, false), Code::BadParameter, rule);
    }
    assert_eq!(b.items("", None, 0, true).unwrap(), []);
}

#[test]
fn bad_buckets_are_refused_by_every_call() {
    let b = Store::new();
    for (bucket, rule) in bad_buckets() {
        let mut results = calls(&b, &bucket, b"key");
        results.push(("keys", b.keys(&bucket, None, 0).map(drop)));
        results.push(("items", b.items(&bucket, None, 0, true).map(drop)));
        for (call, result) in results {
            let error = result.expect_err(call);
            assert_eq!(error.code, Code::BadParameter, "{call}: {error}");
            assert!(error.message.starts_with("bucket ") && error.message.contains(rule), "{call}: {error}");
        }
        fails(b.delete_bucket(&bucket, "b"), Code::BadParameter, "parent ");
    }
    for (bucket, rule) in bad_keys() {
        let rule = rule.replace("1024", "255");
        fails(b.delete_bucket("parent", &bucket), Code::BadParameter, &rule);
    }
    assert_eq!(b.items("", None, 0, true).unwrap(), []);
}

#[test]
fn bad_tokens_are_refused_by_every_call() {
    let b = Store::new();
    for (token, rule) in bad_keys() {
        let rule = rule.replace("1024", "255");
        fails(b.acquire_lock(&token, 10, 0), Code::BadParameter, &rule);
        fails(b.release_lock(&token, 0), Code::BadParameter, "token ");
        fails(b.renew_lock(&token, 1, 10), Code::BadParameter, "token ");
    }
    assert_eq!(b.locks().unwrap(), []);
}

#[test]
fn the_longest_names_work() {
    let b = Store::new();
    let bucket = vec!["b".repeat(255); 32].join("/");
    let key = "é".repeat(512);
    b.create(&bucket, &key, b"v", 0).unwrap();
    assert_eq!(b.get(&bucket, &key).unwrap(), b"v");
    let whole = b.items("", None, 0, true).unwrap();
    assert_eq!(whole[0].name, format!("{bucket}/{key}"));
    assert_eq!(b.items("", Some(whole[0].name.as_bytes()), 0, true).unwrap(), []);
    let token = "t".repeat(255);
    let fence = b.acquire_lock(&token, 10, 0).unwrap();
    b.release_lock(&token, fence).unwrap();
    let (parent, last) = bucket.rsplit_once('/').unwrap();
    b.delete_bucket(parent, last).unwrap();
    assert!(!b.exists(&bucket, &key).unwrap());
}
