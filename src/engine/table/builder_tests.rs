//! What a builder writes when, and what it refuses.

use super::*;
use crate::engine::table::memory::{MemDirectory, MemFile};
use crate::engine::table::tests::{NAME, begin, finish};
use crate::engine::table::{BlockCache, OpenError, Table};
use crate::files::storage::{Access, Directory};
use crate::format::manifest::ValueFile;
use crate::format::segment::Header;

/// A table of these keys, each with a value that fills a block, or with none.
fn table_of(keys: &[Vec<u8>], value: Option<&[u8]>) -> Arc<Table> {
    let (dir, mut builder) = begin();
    for key in keys {
        builder.add(key, 200, value.map(|value| (0, Stored::Inline(value)))).unwrap();
    }
    let table = finish(dir, builder).open(0).unwrap();
    assert_eq!(table.verify(), Vec::<String>::new());
    table
}

/// For each leaf the number of its blocks and of the entries in them.
fn shape(table: &Table) -> Vec<(usize, usize)> {
    let leaf = |i| {
        let leaf = table.leaf(i, false).unwrap();
        (leaf.len(), (0..leaf.len()).map(|j| table.block(&leaf, i, j, false).unwrap().len()).sum())
    };
    (0..table.leaves().unwrap().len()).map(leaf).collect()
}

#[test]
fn a_group_ends_when_its_index_is_large_and_has_enough_blocks() {
    let value = vec![7; INLINE_MAX];
    let long: Vec<Vec<u8>> = (0..40u8).map(|i| [vec![b'k'; LEAF], vec![i]].concat()).collect();
    let (full, rest) = (LEAF_MIN, long.len() % LEAF_MIN);
    assert_eq!(shape(&table_of(&long, Some(&value))), [(full, full), (full, full), (rest, rest)]);
    let short: Vec<Vec<u8>> = (0..500u32).map(|i| format!("{i:06}").into_bytes()).collect();
    let (mut index, mut full) = (NodeWriter::default(), 0);
    while index.index_len() < LEAF {
        full += 1;
        assert!(index.push(0, 0, &short[0]));
    }
    assert!(full > LEAF_MIN);
    let rest = short.len() % full;
    assert_eq!(shape(&table_of(&short, Some(&value))), [(full, full), (full, full), (rest, rest)]);
}

#[test]
fn a_group_ends_when_its_filter_is_large() {
    let keys: Vec<Vec<u8>> = (0..2 * LEAF_ENTRIES as u32 + 500).map(|i| format!("{i:06}").into_bytes()).collect();
    let table = table_of(&keys, None);
    let a_block = table.block(&table.leaf(0, false).unwrap(), 0, 0, false).unwrap().len();
    let leaves = shape(&table);
    let (last, full) = leaves.split_last().unwrap();
    assert!(!full.is_empty() && last.1 < LEAF_ENTRIES + a_block);
    assert!(full.iter().all(|(_, entries)| (LEAF_ENTRIES..LEAF_ENTRIES + a_block).contains(entries)), "{leaves:?}");
}

#[test]
fn each_leaf_has_each_of_its_buckets_once() {
    let (_, mut builder) = begin();
    for byte in b'a'..=b'z' {
        builder.add(&[b'b', 1, byte], 200, None).unwrap();
    }
    assert_eq!(builder.leaf.noted(), 26 + 1);
    for (key, more) in [(&b"b\x01z\x01k"[..], 2), (b"b\x01z\x01l", 1), (b"b\x01zz\x01k", 2), (b"c\x01d\x01k", 3)] {
        let before = builder.leaf.noted();
        builder.add(key, 200, None).unwrap();
        assert_eq!(builder.leaf.noted() - before, more, "{key:?}");
    }
    // The second group begins in the bucket in which the first ends.
    let long = vec![b'k'; LEAF];
    let key = |i: u8| [if i <= LEAF_MIN as u8 { b"x\x01" } else { b"y\x01" }, &long[..], &[i]].concat();
    let table = table_of(&(0..20).map(key).collect::<Vec<_>>(), Some(&[7; INLINE_MAX]));
    assert_eq!(shape(&table)[0], (LEAF_MIN, LEAF_MIN));
    assert!(table.leaf(1, false).unwrap().may_hold(filter::hash(b"x\x01")));
}

#[test]
fn what_is_not_yet_written_doesnt_grow_and_is_not_written_piecemeal() {
    let (dir, mut builder) = begin();
    let (file, mut before) = (dir.file("table-9"), 0);
    for i in 0..6 * BUFFER / 1000 {
        builder.add(format!("{i:06}").as_bytes(), 200, Some((0, Stored::Inline(&[7; 1000])))).unwrap();
        let written = file.identity().unwrap().len;
        assert!(written == before || written - before >= BUFFER as u64, "{before}, then {written}");
        assert!(builder.buffer.len() < BUFFER);
        before = written;
    }
    assert!(before >= 5 * BUFFER as u64);
    builder.add(b"large", 200, Some((0, Stored::Inline(&vec![7; 3 * BUFFER])))).unwrap();
    assert!(builder.written >= before + 3 * BUFFER as u64 && builder.buffer.len() < BUFFER);
}

#[test]
fn a_key_that_is_too_long_is_refused_and_the_table_named() {
    let (dir, mut builder) = begin();
    assert!(builder.is_empty());
    let error = builder.add(&vec![b'k'; MAX_KEY + 1], 200, None).unwrap_err();
    assert!(error.code == Code::Internal && error.message.starts_with("table-9:"), "{error}");
    assert!(builder.is_empty());
    builder.add_range(b"a", b"b", 200);
    assert!(!builder.is_empty());
    let longest = vec![b'k'; MAX_KEY];
    builder.add(&longest, 200, None).unwrap();
    let table = finish(dir, builder).open(0).unwrap();
    assert_eq!(table.get(&longest, |version| version.revision).unwrap(), Some(200));
    assert_eq!(table.verify(), Vec::<String>::new());
}

/// The file as log segment `number`.
fn in_log(file: &Arc<dyn File>, number: u64) -> Home {
    Home::new(Holder::Log(number), file.clone())
}

#[test]
fn a_large_value_stays_in_a_file_that_is_kept_and_is_copied_from_others() {
    const LEN: usize = INLINE_MAX + 1;
    let dir = Arc::new(MemDirectory::default());
    let logs = [1u64, 2].map(|number| {
        let log = dir.open(&format!("log-{number}"), Access::CreateNew).unwrap();
        log.write_at(&Header { store: NAME.store, segment: number, salt: 5 }.encode(), 0).unwrap();
        log
    });
    let values = [vec![1; LEN], vec![2; LEN]];
    let mut builder = TableBuilder::new(dir.open("table-9", Access::CreateNew).unwrap(), NAME);
    builder.keep(BTreeSet::from([Holder::Log(2), Holder::Log(3)]));
    for (i, (log, value)) in logs.iter().zip(&values).enumerate() {
        log.write_at(value, 100).unwrap();
        let extent = Extent { offset: 100, len: LEN as u32, crc: crc32c(0, value) };
        let home = in_log(log, i as u64 + 1);
        builder.add(&[b'a' + i as u8], 200, Some((3, Stored::Extent { home: &home, extent }))).unwrap();
    }
    assert_eq!(*builder.named(), BTreeSet::from([Holder::Log(2)]), "what is kept and named");
    let made = finish(dir.clone(), builder);
    let file = |size| ValueFile { owner: NAME.number, holder: Holder::Log(2), size };
    let end = 100 + LEN as u64;
    let open = |files: &[ValueFile]| {
        let dir: Arc<dyn Directory> = dir.clone();
        Table::open(&dir, made.entry, files, &[], NAME.store, Arc::new(BlockCache::new(0, 0))).map(Arc::new)
    };
    let table = open(&[file(end)]).unwrap();
    let value = |key: &[u8]| table.get(key, |version| version.item().unwrap().bytes().unwrap().into_owned()).unwrap();
    assert_eq!((value(b"a"), value(b"b")), (Some(values[0].clone()), Some(values[1].clone())));
    assert_eq!(table.verify(), Vec::<String>::new());
    assert_eq!((table.size(), table.footer().large), (made.entry.size + end, Some(LEN as u64)));

    logs[1].write_at(&[0], end - 1).unwrap();
    assert_eq!(table.verify(), ["log-2 is damaged at offset 100: the checksum of a value doesn't match"]);
    for files in [&[file(end - 1)][..], &[]] {
        let e = open(files).unwrap().get(b"b", |_| ()).unwrap_err();
        assert!(e.message.contains("a value lies in no value file of the table"), "{e}");
    }
    let OpenError::Failed(e) = open(&[file(end + 1)]).unwrap_err() else { panic!("a file that was cut") };
    assert!(e.message.contains("log-2 is damaged") && e.message.contains("of the manifest"), "{e}");
    dir.remove("log-2").unwrap();
    assert_eq!(open(&[file(end)]).unwrap_err(), OpenError::Missing("log-2".to_owned()));
}

#[test]
fn a_small_value_comes_to_lie_beside_its_key_wherever_it_was() {
    let source: Arc<dyn File> = Arc::new(MemFile::default());
    let value = vec![7; INLINE_MAX + 1];
    source.write_at(&value, 0).unwrap();
    let home = in_log(&source, 1);
    let (dir, mut builder) = begin();
    for (key, len) in [(b"a", 10), (b"b", INLINE_MAX), (b"c", INLINE_MAX + 1)] {
        let extent = Extent { offset: 0, len: len as u32, crc: crc32c(0, &value[..len]) };
        builder.add(key, 200, Some((3, Stored::Extent { home: &home, extent }))).unwrap();
    }
    let table = finish(dir, builder).open(0).unwrap();
    for (key, len) in [(b"a", 10), (b"b", INLINE_MAX), (b"c", INLINE_MAX + 1)] {
        let is_inline = table.get(key, |version| {
            let State::Live { tag: 3, stored } = version.state else { panic!("another version") };
            assert_eq!(stored.bytes().unwrap(), &value[..len]);
            matches!(stored, Stored::Inline(_))
        });
        assert_eq!(is_inline.unwrap(), Some(len <= INLINE_MAX));
    }
    assert_eq!(table.verify(), Vec::<String>::new());
}

#[test]
fn bytes_between_the_parts_are_found() {
    for gap in 0..4 {
        let (dir, mut builder) = begin();
        let mut at = 0;
        let mut leave = |builder: &mut TableBuilder| {
            if at == gap {
                builder.buffer.push(0);
            }
            at += 1;
        };
        builder.add(b"a", 200, None).unwrap();
        leave(&mut builder);
        builder.end_block().unwrap();
        builder.add(b"b", 200, Some((0, Stored::Inline(&[7; INLINE_MAX + 1])))).unwrap();
        leave(&mut builder);
        builder.end_block().unwrap();
        leave(&mut builder);
        builder.end_leaf().unwrap();
        leave(&mut builder);
        let findings = finish(dir, builder).open(0).unwrap().verify();
        let what = "a part doesn't begin where the one before ends";
        assert!(findings.len() == 1 && findings[0].contains(what), "{gap}: {findings:?}");
    }
}
