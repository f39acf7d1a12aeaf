//! Who is responsible for a data directory.

use std::{fs::File, io, path::Path};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

/// The lock on a data directory; given back when dropped, and by the system when the process ends.
#[derive(Debug)]
pub(super) struct Claim(File);

impl Claim {
    /// Claims `dir`; none while somebody else has.
    pub(super) fn lay(dir: &Path) -> io::Result<Option<Self>> {
        let file = File::options().create(true).append(true).open(dir.join("lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

impl Drop for Claim {
    /// Says so, where closing the file would not do: a process that is just being started, by whatever thread, has a
    /// copy of every open file until it becomes the other program, and the lock lasts as long as any copy.
    fn drop(&mut self) {
        // Should that fail, closing the file gives it back all the same, if later.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_was_given_back_is_free_though_a_copy_of_its_file_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let first = Claim::lay(dir.path()).unwrap().unwrap();
        let copy = first.0.try_clone().unwrap();
        assert!(Claim::lay(dir.path()).unwrap().is_none(), "one at a time");
        drop(first);
        assert!(Claim::lay(dir.path()).unwrap().is_some());
        drop(copy);
    }
}
