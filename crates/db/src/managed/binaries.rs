//! The server's programs, where distributions put them.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::ManagedError;

const OLDEST: u32 = 14;

/// Directories with one subdirectory or sibling per major version: parent, prefix of the name, what follows.
const VERSIONED: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"),          // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                   // the project's own packages for Fedora and RHEL
    ("/usr/libexec", "postgresql", ""),          // Alpine
    ("/opt/homebrew/opt", "postgresql@", "bin"), // macOS
    ("/usr/local/opt", "postgresql@", "bin"),    // macOS on Intel
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// A directory with `postgres` and `initdb` of one version.
#[derive(Debug)]
pub(super) struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    async fn in_dir(dir: PathBuf) -> Option<Self> {
        if !dir.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(dir.join("postgres")).arg("--version").output().await.ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { dir, major })
    }
}

/// The programs to use for `data`: those of exactly the version in `cluster` if there is a cluster, otherwise the
/// first found. With `bin_dir` nothing else is looked at.
pub(super) async fn find(
    bin_dir: Option<&Path>,
    cluster: Option<u32>,
    data: &Path,
) -> Result<Binaries, ManagedError> {
    let dirs = bin_dir.map_or_else(usual_places, |dir| vec![dir.to_owned()]);
    let mut found = Vec::new();
    for dir in dirs {
        let Some(binaries) = Binaries::in_dir(dir).await else { continue };
        if binaries.major >= OLDEST && cluster.is_none_or(|major| major == binaries.major) {
            return Ok(binaries);
        }
        found.push(binaries.major);
    }
    found.sort_unstable();
    found.dedup();
    match cluster {
        Some(cluster) if !found.is_empty() => Err(ManagedError::WrongMajor {
            data: data.to_owned(),
            cluster,
            found: found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }),
        _ => Err(ManagedError::NoBinaries {
            looked_in: bin_dir.map_or_else(|| "the usual places".to_owned(), |dir| dir.display().to_string()),
        }),
    }
}

/// The program `name` (`pg_dump`, `pg_restore`, `pg_basebackup`) of exactly the major version `wanted`. With `bin_dir`
/// nothing else is looked at.
pub async fn program(
    bin_dir: Option<&Path>,
    name: &'static str,
    wanted: u32,
) -> Result<PathBuf, ManagedError> {
    let dirs = bin_dir.map_or_else(usual_places, |dir| vec![dir.to_owned()]);
    let mut found = Vec::new();
    for dir in dirs {
        let path = dir.join(name);
        let Ok(output) = Command::new(&path).arg("--version").output().await else { continue };
        match major_of(&String::from_utf8_lossy(&output.stdout)) {
            Some(major) if major == wanted => return Ok(path),
            Some(major) => found.push(major),
            None => {}
        }
    }
    found.sort_unstable();
    found.dedup();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    Err(ManagedError::NoProgram {
        name,
        wanted,
        looked_in: bin_dir.map_or_else(|| "the usual places".to_owned(), |dir| dir.display().to_string()),
        found: if found.is_empty() { "none".to_owned() } else { found.join(", ") },
    })
}

/// The command that installs a server on this system.
pub fn install_command() -> &'static str {
    if cfg!(target_os = "macos") {
        return "`brew install postgresql@17`";
    }
    command_for(&std::fs::read_to_string("/etc/os-release").unwrap_or_default())
}

fn command_for(os_release: &str) -> &'static str {
    let words = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace());
    for word in words {
        match word {
            "debian" | "ubuntu" => return "`sudo apt install postgresql`",
            "fedora" | "rhel" | "centos" => return "`sudo dnf install postgresql-server postgresql-contrib`",
            "arch" => return "`sudo pacman -S postgresql`",
            "alpine" => return "`apk add postgresql postgresql-contrib`",
            "suse" | "opensuse" => return "`sudo zypper install postgresql-server postgresql-contrib`",
            "nixos" => return "`nix-shell -p postgresql`",
            _ => {}
        }
    }
    "your system's package manager (the package is usually called `postgresql`)"
}

/// Versioned directories, newest version first, then the fixed ones and PATH.
fn usual_places() -> Vec<PathBuf> {
    let mut versioned: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, prefix, rest) in VERSIONED {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let version = name.to_str().and_then(|name| name.strip_prefix(prefix)).and_then(leading_number);
            if let Some(version) = version {
                versioned.push((version, entry.path().join(rest)));
            }
        }
    }
    versioned.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let mut places: Vec<PathBuf> = versioned.into_iter().map(|(_, path)| path).collect();
    places.push("/usr/local/pgsql/bin".into());
    #[expect(clippy::disallowed_methods, reason = "PATH is where programs are, not a setting of ours")]
    let path = std::env::var_os("PATH");
    places.extend(path.iter().flat_map(std::env::split_paths));
    places
}

/// `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)` gives 15.
fn major_of(version: &str) -> Option<u32> {
    leading_number(version.split_whitespace().nth(2)?)
}

fn leading_number(text: &str) -> Option<u32> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{command_for, leading_number, major_of};

    #[test]
    fn the_major_version_is_read_from_what_postgres_says_of_itself() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_of("something else"), None);
        assert_eq!(leading_number("17"), Some(17));
    }

    #[test]
    fn each_distribution_gets_its_own_command() {
        assert_eq!(command_for("NAME=x\nID=debian\n"), "`sudo apt install postgresql`");
        assert_eq!(command_for("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), "`sudo apt install postgresql`");
        assert!(command_for("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n").contains("dnf"));
        assert!(command_for("").contains("package manager"));
    }
}
