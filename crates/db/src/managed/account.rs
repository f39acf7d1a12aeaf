//! The account that owns the cluster when we are root.

use std::{
    io::ErrorKind,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
    process::Command,
};

use super::ManagedError;

/// An unprivileged account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// The account for the cluster in `data`: none unless we are root; then the owner of the cluster there is,
    /// else `wanted`, else one that every system has.
    pub(super) fn for_cluster(data: &Path, wanted: Option<&str>) -> Result<Option<Self>, ManagedError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        if let Ok(metadata) = std::fs::metadata(data)
            && metadata.uid() != 0
        {
            let (uid, gid) = (metadata.uid(), metadata.gid());
            return Ok(Some(Self { name: uid.to_string(), uid, gid }));
        }
        let names = wanted.map_or_else(|| vec!["postgres", "nobody"], |name| vec![name]);
        match names.iter().find_map(|name| Self::named(name)) {
            Some(account) => Ok(Some(account)),
            None => Err(ManagedError::NoAccount(names.join(" or "))),
        }
    }

    /// Looked up by `id`, which knows every name service of the system.
    fn named(name: &str) -> Option<Self> {
        let ask = |flag: &str| {
            let output = Command::new("id").args([flag, "--", name]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse::<u32>().ok()
        };
        let (uid, gid) = (ask("-u")?, ask("-g")?);
        (uid != 0).then(|| Self { name: name.to_owned(), uid, gid })
    }

    /// Gives `dir` and everything in it to the account.
    pub(super) fn own_all(&self, dir: &Path) -> Result<(), ManagedError> {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.own_all(&entry.path())?;
            } else {
                std::os::unix::fs::lchown(entry.path(), Some(self.uid), Some(self.gid))?;
            }
        }
        self.own(dir)
    }

    /// Gives `path` to the account.
    pub(super) fn own(&self, path: &Path) -> Result<(), ManagedError> {
        match chown(path, Some(self.uid), Some(self.gid)) {
            Ok(()) => Ok(()),
            Err(source) if source.kind() == ErrorKind::ReadOnlyFilesystem => {
                Err(ManagedError::NotWritable { dir: path.to_owned(), source })
            }
            Err(source) => Err(source.into()),
        }
    }
}
