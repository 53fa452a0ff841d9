//! Which process this is, and on which host: for those who ask who holds a lock.

/// The number of this process.
pub fn process_id() -> u32 {
    std::process::id()
}

/// The name of this host, at most 64 characters.
pub fn name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.chars().take(64).collect()
}
