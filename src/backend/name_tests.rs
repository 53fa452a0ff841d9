//! Every class of bad name, the longest good ones, and the order of what they become.

use super::*;
use proptest::prelude::*;

fn refusal(result: Result<Key>) -> String {
    let error = result.expect_err("is refused");
    assert_eq!(error.code, Code::BadParameter);
    error.message
}

fn bucket(path: &[u8]) -> String {
    refusal(Key::bucket(path))
}

fn key(key: &[u8]) -> String {
    refusal(Key::new(b"b", key))
}

#[test]
fn encoding() {
    assert_eq!(&*Key::new(b"a/b", b"k").unwrap(), b"a\x01b\x01k");
    assert_eq!(&*Key::new(b"", b"k").unwrap(), b"k");
    assert_eq!(&*Key::bucket(b"a/b").unwrap(), b"a\x01b\x01");
    assert_eq!(&*Key::bucket(b"").unwrap(), b"");
    assert_eq!(&*Key::bucket(b"a/b").unwrap().end().unwrap(), b"a\x01b\x02");
    assert_eq!(Key::bucket(b"").unwrap().end(), None);
    assert_eq!(&*Key::sub_bucket(b"a", b"b").unwrap(), b"a\x01b\x01");
    assert_eq!(&*Key::sub_bucket(b"", b"b").unwrap(), b"b\x01");
    assert_eq!(&*Key::lock(b"t").unwrap(), b".locks\x01t");
    assert_eq!(&*Key::new(b"", b"k").unwrap().as_bucket(), b"k\x01");
    assert_eq!(Key::new(b"a/b", b"k").unwrap().to_string(), "key \"k\" of bucket \"a/b\"");
    assert_eq!(Key::new(b"", b"k").unwrap().to_string(), "key \"k\" of bucket \"\"");
    assert_eq!(decode(b"a\x01b\x01k").unwrap(), "a/b/k");
}

#[test]
fn the_component_and_the_rule_are_named() {
    assert_eq!(bucket(b"a//c"), "bucket component 2 is empty");
    assert_eq!(bucket(b"/a"), "bucket component 1 is empty");
    assert_eq!(bucket(b"a/"), "bucket component 2 is empty");
    assert_eq!(bucket(b"/"), "bucket component 1 is empty");
    assert_eq!(bucket(b".locks"), "bucket component 1 starts with '.', which is reserved in the root");
    assert_eq!(bucket(b".hidden/x"), "bucket component 1 starts with '.', which is reserved in the root");
    assert_eq!(bucket(b"a/."), "bucket component 2 is \".\", which is no name");
    assert_eq!(bucket(b"a/../b"), "bucket component 2 is \"..\", which is no name");
    assert_eq!(bucket(b"a/\xff"), "bucket component 2 is not valid UTF-8 at byte 0");
    assert_eq!(bucket(b"a/x\xc2\x9f"), "bucket component 2 holds the control character U+009F at byte 1");
    assert_eq!(bucket(&[b"a/".as_slice(), &[b'x'; 256]].concat()), "bucket component 2 is longer than 255 bytes");
    assert_eq!(key(b""), "key is empty");
    assert_eq!(key(&[b'x'; 1025]), "key is longer than 1024 bytes");
    assert_eq!(key(b"a/b"), "key holds a '/' at byte 1");
    assert_eq!(key(b"."), "key is \".\", which is no name");
    assert_eq!(key(b"a\nb"), "key holds the control character U+000A at byte 1");
    assert_eq!(refusal(Key::lock(&[b't'; 256])), "token is longer than 255 bytes");
    assert_eq!(refusal(Key::lock(b"")), "token is empty");
    assert_eq!(refusal(Key::sub_bucket(b"a//b", b"c")), "parent component 2 is empty");
    assert_eq!(refusal(Key::sub_bucket(b"a", b"b/c")), "bucket holds a '/' at byte 1");
    assert_eq!(refusal(Key::sub_bucket(b"", b".locks")), "bucket starts with '.', which is reserved in the root");
    assert_eq!(refusal(Key::sub_bucket(b"", b"")), "bucket is empty");
    let item = Key::bucket(b"a").unwrap().child(&Label::item(3), b"");
    assert_eq!(refusal(item), "key of item 3 is empty");
}

#[test]
fn every_control_character_is_refused_and_its_neighbours_are_not() {
    for point in 0..=0x2ff {
        let Some(c) = char::from_u32(point) else { continue };
        let name = format!("a{c}");
        let bad = point < 0x20 || (0x7f..0xa0).contains(&point) || c == '/';
        assert_eq!(Key::new(b"b", name.as_bytes()).is_err(), bad, "U+{point:04X}");
        assert_eq!(Key::lock(name.as_bytes()).is_err(), bad, "U+{point:04X}");
    }
    for cut in [b"\xe2\x82".as_slice(), b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80"] {
        assert!(key(cut).contains("is not valid UTF-8"), "{cut:?}");
    }
}

#[test]
fn the_longest_names_and_odd_ones_are_taken() {
    let deep = vec!["x".repeat(255); 32].join("/");
    let longest = Key::new(deep.as_bytes(), &[b'k'; 1024]).unwrap();
    assert_eq!(longest.len(), 32 * 256 + 1024);
    assert!(longest.len() <= crate::format::frame::MAX_KEY);
    let deeper = format!("{deep}/y");
    assert_eq!(bucket(deeper.as_bytes()), "bucket has more than 32 components");
    let refused = refusal(Key::sub_bucket(deep.as_bytes(), b"y"));
    assert_eq!(refused, "bucket would be component 33 of its path, at most 32 are allowed");
    for odd in [".a", "...", " ", "..a", "\u{a0}", "\u{10ffff}", "é", "a\\b", ".locks"] {
        Key::new(b"b", odd.as_bytes()).unwrap();
        Key::new(b"", odd.as_bytes()).unwrap();
        Key::new(format!("b/{odd}").as_bytes(), b"k").unwrap();
        Key::lock(odd.as_bytes()).unwrap();
    }
}

#[test]
fn no_callers_name_reaches_the_locks() {
    for (b, k) in [("", ".locks"), ("b/.locks", "t"), ("b", ".locks")] {
        let key = Key::new(b.as_bytes(), k.as_bytes()).unwrap();
        assert!(&*key < LOCKS || &*key >= LOCKS_END, "{key}");
    }
    Key::new(b".locks", b"t").unwrap_err();
    Key::new(b"", b".locks\x01t").unwrap_err();
    Key::new(b"", b".locks/t").unwrap_err();
}

#[test]
fn order_is_by_component_and_a_key_comes_before_the_bucket_of_its_name() {
    let names =
        [("", "a"), ("a", "z"), ("a/b", "z"), ("a", "b"), ("a!", "a"), ("", "a!"), ("a/b", "a"), ("b", "\u{e9}")];
    let mut keys: Vec<Key> = names.iter().map(|(b, k)| Key::new(b.as_bytes(), k.as_bytes()).unwrap()).collect();
    keys.sort_by_key(|key| key.to_vec());
    let sorted: Vec<String> = keys.iter().map(|k| decode(k).unwrap()).collect();
    assert_eq!(sorted, ["a", "a/b", "a/b/a", "a/b/z", "a/z", "a!", "a!/a", "b/é"]);
}

#[test]
fn after_stands_where_the_next_page_begins() {
    let prefix = Key::bucket(b"b").unwrap();
    let name = prefix.after_name(b"x").unwrap();
    assert!(*Key::new(b"b/x", b"z").unwrap() < *name && *Key::new(b"b", b"x ").unwrap() > *name);
    let path = prefix.after_path(b"x").unwrap();
    assert!(*Key::new(b"b", b"x").unwrap() < *path && *Key::new(b"b/x", b"!").unwrap() > *path);
    let path = prefix.after_path(b"x/y").unwrap();
    assert!(*Key::new(b"b/x", b"y").unwrap() < *path && *Key::new(b"b/x/y", b"!").unwrap() > *path);
    assert_eq!(refusal(prefix.after_name(b"x/y")), "after holds a '/' at byte 1");
    assert_eq!(refusal(prefix.after_name(b"")), "after is empty");
    assert_eq!(refusal(prefix.after_path(b"")), "after is empty");
    assert_eq!(refusal(prefix.after_path(b"x//y")), "after component 2 is empty");
    assert_eq!(refusal(prefix.after_path(b"/y")), "after component 1 is empty");
    assert_eq!(refusal(prefix.after_path(b"x/")), "after component 2 is empty");
    let root = Key::bucket(b"").unwrap();
    root.after_name(b".locks").unwrap();
    assert!(refusal(root.after_path(b".locks/t")).contains("reserved"));
    prefix.after_path(b".locks/t").unwrap();
}

fn careful(bucket: &[u8], key: &[u8]) -> Option<Key> {
    Key::bucket(bucket).ok()?.child(&Label::plain("key"), key).ok()
}

#[test]
fn the_quick_way_says_what_the_careful_one_says() {
    let mut random = 1_u64;
    let mut next = |n: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % n
    };
    let mut quick = 0;
    let pick = |next: &mut dyn FnMut(usize) -> usize| {
        let all = 15 - next(2) * 5;
        next(all)
    };
    for _ in 0..50_000 {
        let mut name = |longest: usize| -> Vec<u8> {
            let len = next(longest);
            (0..len).map(|_| b"aaaaaabz/. ~\x7f\x1f\xc3"[pick(&mut next)]).collect()
        };
        let (bucket, key) = (name(20), name(12));
        let mut found = Key::unset();
        if found.set_plain(&bucket, &key) {
            assert_eq!(careful(&bucket, &key), Some(found), "{bucket:?} {key:?}");
            quick += 1;
        }
    }
    assert!(quick > 1_000, "{quick}");
    for depth in 30..40 {
        let path = vec!["a"; depth].join("/");
        assert_eq!(Key::new(path.as_bytes(), b"k").ok(), careful(path.as_bytes(), b"k"), "{depth}");
    }
    for len in 120..135 {
        let key = vec![b'k'; len];
        assert_eq!(Key::unset().set_plain(b"", &key), len < INLINE);
        assert_eq!(Key::new(b"b", &key).ok(), careful(b"b", &key));
    }
}

proptest! {
    #[test]
    fn quoted_is_what_debug_makes_of_the_path(key in prop::collection::vec(prop::sample::select(&b"ab \"'\\/\x01\x7f\xc3\xa9\xff"[..]), 0..40)) {
        prop_assert_eq!(quoted(&key), format!("{:?}", readable(&key)));
    }
}
