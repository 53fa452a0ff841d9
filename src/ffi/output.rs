//! What goes out: outputs are cleared first and written on success.

use super::input::bad;
use super::reads::dirkv_buf;
use crate::error::Result;

/// Where a call puts a result.
#[derive(Debug)]
pub(super) struct Out<T>(*mut T);

impl<T: Cleared> Out<T> {
    /// Clears the output; an error if it is NULL. A call makes all of its outputs before it looks at any error.
    ///
    /// # Safety
    ///
    /// `pointer` is NULL or may be written to until the call ends.
    pub(super) unsafe fn new(pointer: *mut T, parameter: &str) -> Result<Out<T>> {
        if pointer.is_null() {
            return Err(bad(parameter, "is NULL: it is where the result goes"));
        }
        // SAFETY: not NULL, and promised by the caller.
        unsafe { pointer.write(T::CLEARED) };
        Ok(Out(pointer))
    }

    /// Writes the result.
    pub(super) fn set(&self, value: T) {
        // SAFETY: `new` checked it, and its caller promised that it lasts until the call ends.
        unsafe { self.0.write(value) };
    }
}

/// What an output is when the call fails.
pub(super) trait Cleared {
    /// NULL, 0 or empty.
    const CLEARED: Self;
}

impl Cleared for u64 {
    const CLEARED: u64 = 0;
}

impl Cleared for i64 {
    const CLEARED: i64 = 0;
}

impl Cleared for i32 {
    const CLEARED: i32 = 0;
}

impl Cleared for usize {
    const CLEARED: usize = 0;
}

impl Cleared for dirkv_buf {
    const CLEARED: dirkv_buf = dirkv_buf { data: std::ptr::null_mut(), len: 0 };
}

impl<T> Cleared for *mut T {
    const CLEARED: *mut T = std::ptr::null_mut();
}

impl<T> Cleared for *const T {
    const CLEARED: *const T = std::ptr::null();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleared_then_written() -> Result<()> {
        let mut revision = 7_u64;
        // SAFETY: a local variable, or NULL.
        unsafe {
            let out = Out::new(&raw mut revision, "revision")?;
            assert_eq!((&raw const revision).read(), 0);
            out.set(9);
            assert!(Out::<u64>::new(std::ptr::null_mut(), "revision").is_err_and(|e| e.message.contains("revision")));
        }
        assert_eq!(revision, 9);
        Ok(())
    }
}
