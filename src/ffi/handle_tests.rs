//! Tokens: each its own, refused when closed or never given out; close waits for calls in progress.

use std::ptr;
use std::sync::mpsc;
use std::time::Duration;

use super::*;

/// A store of its own, opened.
fn fresh() -> std::result::Result<(tempfile::TempDir, *mut dirkv_backend), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let token = open(Backend::open_path(folder.path().join("store"))?)?;
    Ok((folder, token))
}

fn code(token: *const dirkv_backend) -> Option<Code> {
    enter(token).err().map(|error| error.code)
}

#[test]
fn a_token_is_good_until_its_close() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let (_folder, token) = fresh()?;
    assert_eq!(code(token), None);
    close(token)?;
    assert_eq!(code(token), Some(Code::Closed));
    assert_eq!(close(token).map_err(|error| error.code), Err(Code::Closed));
    Ok(())
}

#[test]
fn a_slot_that_is_used_again_has_another_token() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20 {
        let (_folder, token) = fresh()?;
        assert!(seen.insert(token.addr()));
        // Above the first page, below 2^38: no address of anything.
        assert!(token.addr() >= 4096 && token.addr() >> 22 >> SLOT_BITS == 0);
        close(token)?;
        assert!(seen.iter().all(|old| code(ptr::without_provenance(*old)) == Some(Code::Closed)));
    }
    Ok(())
}

#[test]
fn what_is_no_token_is_refused() {
    assert_eq!(code(ptr::null()), Some(Code::BadParameter));
    for addr in [1, SLOTS - 1, usize::MAX, usize::MAX << SLOT_BITS, SLOTS * (1 << 22)] {
        assert_eq!(code(ptr::without_provenance(addr)), Some(Code::BadParameter), "{addr:#x}");
    }
    // A slot that was never used, or not so often.
    let far = ptr::without_provenance::<dirkv_backend>(3 << SLOT_BITS | (SLOTS - 1));
    assert_eq!(code(far), Some(Code::BadParameter));
}

#[test]
fn close_waits_for_calls_in_progress() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let (_folder, token) = fresh()?;
    let entered = enter(token)?;
    let addr = token.addr();
    let (sender, receiver) = mpsc::channel();
    let closer = std::thread::spawn(move || {
        let _ = sender.send(close(ptr::without_provenance(addr)));
    });
    // New calls are refused as soon as the close has begun, and it has not ended.
    while code(token).is_none() {
        std::thread::yield_now();
    }
    assert!(receiver.recv_timeout(Duration::from_millis(50)).is_err(), "closed under a call in progress");
    drop(entered);
    receiver.recv_timeout(Duration::from_secs(60))??;
    assert!(closer.join().is_ok());
    Ok(())
}
