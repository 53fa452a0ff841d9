//! LMDB's C interface with Rust's lifetimes around it: no more of it than the lines need.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{NonNull, null, null_mut};

use lmdb_master_sys::{
    MDB_APPEND, MDB_FIRST, MDB_KEYEXIST, MDB_LAST, MDB_NEXT, MDB_NOOVERWRITE, MDB_NOSYNC, MDB_NOTFOUND, MDB_NOTLS,
    MDB_RDONLY, MDB_SET_RANGE, MDB_cursor, MDB_cursor_op, MDB_dbi, MDB_env, MDB_txn, MDB_val, mdb_cursor_close,
    mdb_cursor_get, mdb_cursor_open, mdb_dbi_open, mdb_del, mdb_env_close, mdb_env_create, mdb_env_open,
    mdb_env_set_mapsize, mdb_env_set_maxreaders, mdb_get, mdb_put, mdb_strerror, mdb_txn_abort, mdb_txn_begin,
    mdb_txn_commit, mdb_txn_renew, mdb_txn_reset, mdb_version,
};

use crate::Result;

/// Larger than any store of any line.
const MAP: usize = 64 << 30;
const READERS: u32 = 256;

pub fn version() -> String {
    let (mut major, mut minor, mut patch) = (0, 0, 0);
    // SAFETY: three numbers to write to.
    unsafe { mdb_version(&raw mut major, &raw mut minor, &raw mut patch) };
    format!("{major}.{minor}.{patch}")
}

fn ok(code: i32) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the answer is a text that lives for ever, whatever the number.
    Err(unsafe { CStr::from_ptr(mdb_strerror(code)) }.to_string_lossy().into())
}

/// Like `ok`; a code that only says "not there" or "there already" is false.
fn found(code: i32, not: i32) -> Result<bool> {
    if code == not { Ok(false) } else { ok(code).map(|()| true) }
}

fn val(bytes: &[u8]) -> MDB_val {
    MDB_val { mv_size: bytes.len(), mv_data: bytes.as_ptr().cast_mut().cast() }
}

const EMPTY: MDB_val = MDB_val { mv_size: 0, mv_data: null_mut() };

/// # Safety
/// LMDB has just filled it, and the transaction lives for `'a`, unchanged.
unsafe fn bytes<'a>(val: MDB_val) -> &'a [u8] {
    // SAFETY: as promised by the caller.
    unsafe { std::slice::from_raw_parts(val.mv_data.cast(), val.mv_size) }
}

/// An open environment with its one database.
pub struct Environment {
    env: NonNull<MDB_env>,
    dbi: MDB_dbi,
}

// SAFETY: "the environment may be used by any thread"; transactions stay with their thread.
unsafe impl Send for Environment {}
// SAFETY: as above.
unsafe impl Sync for Environment {}

impl Environment {
    pub fn open(path: &Path, no_sync: bool) -> Result<Environment> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mut env = null_mut();
        // SAFETY: created, set up, opened; closed once, by `drop`, in every case.
        unsafe {
            ok(mdb_env_create(&raw mut env))?;
            let mut environment = Environment { env: NonNull::new(env).ok_or("no environment")?, dbi: 0 };
            ok(mdb_env_set_mapsize(env, MAP))?;
            ok(mdb_env_set_maxreaders(env, READERS))?;
            ok(mdb_env_open(env, path.as_ptr(), MDB_NOTLS | if no_sync { MDB_NOSYNC } else { 0 }, 0o600))?;
            let change = environment.write()?;
            let mut dbi = 0;
            ok(mdb_dbi_open(change.txn.as_ptr(), null(), 0, &raw mut dbi))?;
            change.commit()?;
            environment.dbi = dbi;
            Ok(environment)
        }
    }

    pub fn reader(&self) -> Result<Reader<'_>> {
        let txn = self.begin(MDB_RDONLY)?;
        // SAFETY: it has just begun.
        unsafe { mdb_txn_reset(txn.as_ptr()) };
        Ok(Reader { txn, dbi: self.dbi, environment: PhantomData })
    }

    pub fn write(&self) -> Result<Change<'_>> {
        Ok(Change { txn: self.begin(0)?, dbi: self.dbi, environment: PhantomData })
    }

    fn begin(&self, flags: u32) -> Result<NonNull<MDB_txn>> {
        let mut txn = null_mut();
        // SAFETY: the environment is open.
        ok(unsafe { mdb_txn_begin(self.env.as_ptr(), null_mut(), flags, &raw mut txn) })?;
        Ok(NonNull::new(txn).ok_or("no transaction")?)
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // SAFETY: every transaction borrows the environment, so that none is left.
        unsafe { mdb_env_close(self.env.as_ptr()) };
    }
}

/// A read transaction between two uses.
pub struct Reader<'a> {
    txn: NonNull<MDB_txn>,
    dbi: MDB_dbi,
    environment: PhantomData<&'a Environment>,
}

impl Reader<'_> {
    /// What is committed now, until the cut is dropped.
    pub fn renew(&mut self) -> Result<Cut<'_>> {
        // SAFETY: it was reset.
        ok(unsafe { mdb_txn_renew(self.txn.as_ptr()) })?;
        Ok(Cut { txn: self.txn, dbi: self.dbi, reader: PhantomData })
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // SAFETY: begun once, ended once.
        unsafe { mdb_txn_abort(self.txn.as_ptr()) };
    }
}

/// One consistent state.
pub struct Cut<'a> {
    txn: NonNull<MDB_txn>,
    dbi: MDB_dbi,
    reader: PhantomData<&'a ()>,
}

impl Cut<'_> {
    pub fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        get(self.txn, self.dbi, key)
    }

    pub fn cursor(&self) -> Result<Cursor<'_>> {
        cursor(self.txn, self.dbi)
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        // SAFETY: it was renewed.
        unsafe { mdb_txn_reset(self.txn.as_ptr()) };
    }
}

fn get<'a>(txn: NonNull<MDB_txn>, dbi: MDB_dbi, key: &[u8]) -> Result<Option<&'a [u8]>> {
    let (mut key, mut value) = (val(key), EMPTY);
    // SAFETY: key and value live through the call; the callers bind the answer to their transaction.
    unsafe {
        let there = found(mdb_get(txn.as_ptr(), dbi, &raw mut key, &raw mut value), MDB_NOTFOUND)?;
        Ok(there.then(|| bytes(value)))
    }
}

fn cursor<'a>(txn: NonNull<MDB_txn>, dbi: MDB_dbi) -> Result<Cursor<'a>> {
    let mut cursor = null_mut();
    // SAFETY: the transaction lives; the callers bind the cursor to it.
    ok(unsafe { mdb_cursor_open(txn.as_ptr(), dbi, &raw mut cursor) })?;
    Ok(Cursor { cursor: NonNull::new(cursor).ok_or("no cursor")?, transaction: PhantomData })
}

/// A place in a transaction.
pub struct Cursor<'a> {
    cursor: NonNull<MDB_cursor>,
    transaction: PhantomData<&'a ()>,
}

type Pair<'a> = (&'a [u8], &'a [u8]);

impl<'a> Cursor<'a> {
    /// The first entry whose key is not less.
    pub fn seek(&mut self, key: &[u8]) -> Result<Option<Pair<'a>>> {
        // An empty key is none to LMDB.
        self.step(val(key), if key.is_empty() { MDB_FIRST } else { MDB_SET_RANGE })
    }

    pub fn next(&mut self) -> Result<Option<Pair<'a>>> {
        self.step(EMPTY, MDB_NEXT)
    }

    fn step(&mut self, mut key: MDB_val, how: MDB_cursor_op) -> Result<Option<Pair<'a>>> {
        let mut value = EMPTY;
        // SAFETY: the cursor lives, and its transaction as long as `'a`.
        unsafe {
            let code = mdb_cursor_get(self.cursor.as_ptr(), &raw mut key, &raw mut value, how);
            Ok(found(code, MDB_NOTFOUND)?.then(|| (bytes(key), bytes(value))))
        }
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        // SAFETY: opened once, closed once.
        unsafe { mdb_cursor_close(self.cursor.as_ptr()) };
    }
}

/// A write transaction; dropped without a commit it changes nothing.
pub struct Change<'a> {
    txn: NonNull<MDB_txn>,
    dbi: MDB_dbi,
    environment: PhantomData<&'a Environment>,
}

impl Change<'_> {
    pub fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        get(self.txn, self.dbi, key)
    }

    /// The greatest key.
    pub fn last(&self) -> Result<Option<&[u8]>> {
        Ok(cursor(self.txn, self.dbi)?.step(EMPTY, MDB_LAST)?.map(|(key, _)| key))
    }

    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        ok(self.store(key, value, 0))
    }

    pub fn append(&self, key: &[u8], value: &[u8]) -> Result<()> {
        ok(self.store(key, value, MDB_APPEND))
    }

    /// False if the key is there.
    pub fn insert(&self, key: &[u8], value: &[u8]) -> Result<bool> {
        found(self.store(key, value, MDB_NOOVERWRITE), MDB_KEYEXIST)
    }

    /// False if the key is not there.
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        let mut key = val(key);
        // SAFETY: the key lives through the call.
        found(unsafe { mdb_del(self.txn.as_ptr(), self.dbi, &raw mut key, null_mut()) }, MDB_NOTFOUND)
    }

    pub fn commit(self) -> Result<()> {
        let txn = self.txn;
        std::mem::forget(self);
        // SAFETY: begun once, ended once.
        ok(unsafe { mdb_txn_commit(txn.as_ptr()) })
    }

    fn store(&self, key: &[u8], value: &[u8], flags: u32) -> i32 {
        let (mut key, mut value) = (val(key), val(value));
        // SAFETY: key and value live through the call.
        unsafe { mdb_put(self.txn.as_ptr(), self.dbi, &raw mut key, &raw mut value, flags) }
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        // SAFETY: not committed.
        unsafe { mdb_txn_abort(self.txn.as_ptr()) };
    }
}
