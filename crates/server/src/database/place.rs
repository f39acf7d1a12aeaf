//! Where the database of `tenon up` is kept: within the data directory if it can be.
//!
//! Started by root, PostgreSQL runs as an account that must be able to enter every directory above its own. Below
//! `/root` it cannot. Then the database is kept elsewhere, and the data directory remembers where.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;

/// Where databases are kept that cannot be within their data directory.
const ELSEWHERE: &str = "/var/lib/tenon";
/// Of the file in the data directory that names the place.
const NOTE: &str = "postgres.path";
/// Most of a data directory's path that is repeated in the name of the place.
const LONGEST_NAME: usize = 40;

/// A directory for a cluster.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    /// Not within the data directory.
    pub(crate) elsewhere: bool,
}

impl Place {
    /// The place that belongs to `data_dir`.
    pub(crate) fn of(data_dir: &Path) -> anyhow::Result<Self> {
        let note = data_dir.join(NOTE);
        match fs::read_to_string(&note) {
            Ok(text) => {
                let dir = PathBuf::from(text.trim_end_matches('\n'));
                anyhow::ensure!(
                    dir.is_dir(),
                    "the database should be in {}, as {} says, and is not there; put it back, or remove that file to begin with an empty one",
                    dir.display(),
                    note.display()
                );
                Ok(Self { dir, elsewhere: true })
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                Ok(Self { dir: data_dir.join("postgres"), elsewhere: false })
            }
            // Whoever tries to write there says it better.
            Err(e) if matches!(e.kind(), ErrorKind::NotADirectory | ErrorKind::PermissionDenied) => {
                Ok(Self { dir: data_dir.join("postgres"), elsewhere: false })
            }
            Err(e) => Err(e).with_context(|| format!("cannot read {}", note.display())),
        }
    }

    /// Whether another place would do as well: nothing is kept in this one.
    pub(crate) fn can_move(&self) -> bool {
        !self.elsewhere && !self.dir.join("data").exists()
    }

    /// Makes a place that any account can enter, and notes it in `data_dir`.
    pub(crate) fn moved(self, data_dir: &Path) -> anyhow::Result<Self> {
        let data_dir = fs::canonicalize(data_dir)?;
        let dir = fresh(&data_dir)
            .with_context(|| format!("cannot make a directory for the database in {ELSEWHERE}"))?;
        match note(&data_dir, &dir) {
            Ok(()) => {}
            // Another process was faster; its place it is.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                fs::remove_dir(&dir)?;
                return Self::of(&data_dir);
            }
            Err(e) => {
                fs::remove_dir(&dir)?;
                return Err(e).with_context(|| format!("cannot write to {}", data_dir.display()));
            }
        }
        // Nothing was kept there but the lock of the attempt.
        let _ = fs::remove_file(self.dir.join("lock"));
        let _ = fs::remove_dir(&self.dir);
        Ok(Self { dir, elsewhere: true })
    }
}

/// A new directory that bears the name of `data_dir`; another number each time, because a data directory that was
/// removed and made again begins with an empty database.
fn fresh(data_dir: &Path) -> std::io::Result<PathBuf> {
    fs::create_dir_all(ELSEWHERE)?;
    let above = Path::new(ELSEWHERE);
    if above.metadata()?.permissions().mode() & 0o011 != 0o011 {
        // Made just now, under a strict mask: nobody else keeps anything in it.
        if above.read_dir()?.next().is_none() {
            fs::set_permissions(above, Permissions::from_mode(0o755))?;
        }
    }
    let name = name(data_dir);
    for number in 1_u32.. {
        let dir = above.join(format!("{name}-{number}"));
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|()| dir),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// `/root/tenon/.tenon` gives `root-tenon-tenon`: to be recognised by people.
fn name(data_dir: &Path) -> String {
    let text = data_dir.to_string_lossy();
    let words: Vec<_> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let name = words.join("-");
    let start = name.len().saturating_sub(LONGEST_NAME);
    name[start..].trim_start_matches('-').to_owned()
}

/// Writes the note whole or not at all, and never over another.
fn note(data_dir: &Path, dir: &Path) -> std::io::Result<()> {
    let unfinished = data_dir.join(format!("{NOTE}.{}", std::process::id()));
    let mut file = File::create(&unfinished)?;
    writeln!(file, "{}", dir.display())?;
    file.sync_all()?;
    let linked = fs::hard_link(&unfinished, data_dir.join(NOTE));
    fs::remove_file(&unfinished)?;
    linked
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{NOTE, Place, name};

    #[test]
    fn a_place_is_named_after_its_data_directory() {
        assert_eq!(name(Path::new("/root/src/tenon/.tenon")), "root-src-tenon-tenon");
        assert_eq!(name(Path::new("/root/ünï/x")), "root-n-x");
        assert!(name(Path::new(&format!("/{}", "long/".repeat(100)))).len() <= 40);
    }

    #[test]
    fn a_noted_place_that_is_gone_is_not_replaced_by_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(NOTE), "/nowhere/at-all\n").unwrap();
        let error = Place::of(dir.path()).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at-all"), "{error}");
    }
}
