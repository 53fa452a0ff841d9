//! Waiting for what goes on in the background, which may have failed.

use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// Who doesn't come to rest in so long has something wrong.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Looks again and again, `nap` apart, until two looks after each other see the same; `None` says that something is under
/// way.
pub fn steady<T: PartialEq>(who: &str, nap: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<()> {
    let (begin, mut before) = (Instant::now(), None);
    loop {
        let now = look()?;
        if now.is_some() && now == before {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            return Err(format!("{who} never comes to rest").into());
        }
        before = now;
        thread::sleep(nap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_looks_that_see_the_same_end_it() {
        let mut seen = [None, Some(1), Some(2), None, Some(2), Some(2), Some(3)].into_iter();
        steady("it", Duration::ZERO, || Ok(seen.next().unwrap())).unwrap();
        assert_eq!(seen.collect::<Vec<_>>(), [Some(3)]);
    }
}
