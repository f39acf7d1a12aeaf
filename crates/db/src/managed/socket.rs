//! Where the server's socket goes.

use std::{
    fs::{DirBuilder, Permissions},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{ManagedError, account::Account};

/// The kernel takes 107 bytes on Linux and 103 elsewhere, the file's own name included.
const LONGEST_DIRECTORY: usize = 103 - "/.s.PGSQL.5432".len();

/// A private directory for the socket: `run` beside the cluster, or one under the temporary directory when that
/// path would be too long. The latter is named after the inode of `home`, so that it is found again.
pub(super) fn directory(home: &Path, account: Option<&Account>) -> Result<PathBuf, ManagedError> {
    let beside = home.join("run");
    if beside.as_os_str().len() <= LONGEST_DIRECTORY {
        return private(beside, account);
    }
    let metadata = std::fs::metadata(home)?;
    let name = format!("tenon-{:x}-{:x}", metadata.dev(), metadata.ino());
    let elsewhere = private(std::env::temp_dir().join(name), account)?;
    tracing::info!(
        socket.directory = %elsewhere.display(),
        "The data directory's path is too long for a socket, so PostgreSQL's is elsewhere"
    );
    Ok(elsewhere)
}

/// Creates `directory` for its owner only, or accepts it if it is already so. In a shared place somebody may have
/// been there before us with a directory or a link of theirs.
fn private(directory: PathBuf, account: Option<&Account>) -> Result<PathBuf, ManagedError> {
    match DirBuilder::new().mode(0o700).create(&directory) {
        Ok(()) => {
            if let Some(account) = account {
                account.own(&directory)?;
            }
            return Ok(directory);
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e.into()),
    }
    let owner = account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
    let metadata = std::fs::symlink_metadata(&directory)?;
    if !metadata.is_dir() || metadata.uid() != owner {
        return Err(ManagedError::SocketDirectoryTaken(directory));
    }
    std::fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
    Ok(directory)
}
