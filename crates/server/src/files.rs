//! How many files and sockets the process may have open, and what they are for.
//!
//! The system's soft limit is often 1024, for the sake of programs older than `poll`; the hard one is what an
//! administrator has set. Connections get what is left of it, so that none takes the file that a health check, the
//! database or an upload needs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For figures, logs, the live bus, a directory of files, and what libraries open.
const RESERVED: u64 = 128;

/// Allows this process as much as it may have.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            files.most = limit.current,
            "Cannot raise the limit of open files"
        );
    }
}

/// How many connections may be open at once, beside `pool_size` to the database.
pub(crate) fn connections(pool_size: u32) -> usize {
    let most = getrlimit(Resource::Nofile).current;
    usize::try_from(share(most, pool_size)).unwrap_or(usize::MAX)
}

/// Of `most` files; each connection may have a file open that it brings or fetches. `None` is no limit.
fn share(most: Option<u64>, pool_size: u32) -> u64 {
    let most = most.unwrap_or(1 << 20);
    let rest = most.saturating_sub(RESERVED + u64::from(pool_size));
    (rest / 4 * 3).max(16)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn connections_leave_files_for_all_else() {
        assert_eq!(share(Some(1024), 16), 660);
        assert_eq!(share(Some(64), 16), 16);
        assert!(share(None, 16) > 700_000);
    }
}
