//! A `sendmail` that keeps what it gets, and the reading of directories of mails.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::smtp::Received;

/// A program in place of the machine's `sendmail`.
#[derive(Debug)]
pub struct Sendmail {
    directory: TempDir,
}

const SCRIPT: &str = r#"#!/bin/sh
here=$(dirname "$0")
[ "$1" = --probe ] && exit 0
[ -f "$here/exit" ] && { echo "told to refuse" >&2; exit "$(cat "$here/exit")"; }
[ "$1" = -i ] && [ "$2" = -f ] && [ "$4" = -- ] || exit 64
part=$(mktemp "$here/part.XXXXXXXX")
cat >"$part"
from=$3; shift 4
echo "$from $*" >"$part.envelope"
mv "$part" "$here/mail.${part##*.}"
"#;

impl Sendmail {
    /// Writes the program.
    pub fn install() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sendmail = Self { directory };
        fs::write(sendmail.command(), SCRIPT).unwrap();
        fs::set_permissions(sendmail.command(), fs::Permissions::from_mode(0o755)).unwrap();
        // A process forked by another test meanwhile may hold the file open for writing for a moment.
        while Command::new(sendmail.command()).arg("--probe").stdin(Stdio::null()).status().is_err() {
            std::thread::yield_now();
        }
        sendmail
    }
    /// The program.
    pub fn command(&self) -> PathBuf {
        self.directory.path().join("sendmail")
    }
    /// Ends with `status` from now on, without taking the mail.
    pub fn refuse(&self, status: i32) {
        fs::write(self.directory.path().join("exit"), status.to_string()).unwrap();
    }
    /// Refuses nothing any more.
    pub fn relent(&self) {
        let _ = fs::remove_file(self.directory.path().join("exit"));
    }
    /// The program is there no more.
    pub fn uninstall(&self) {
        fs::remove_file(self.command()).unwrap();
    }
    /// What arrived so far.
    pub fn received(&self) -> Vec<Received> {
        let mails = files(self.directory.path(), |name| name.starts_with("mail."));
        mails
            .into_iter()
            .map(|path| {
                let envelope = path.with_file_name(format!("part.{}.envelope", ending(&path)));
                let envelope = fs::read_to_string(envelope).unwrap();
                let mut addresses = envelope.split_whitespace().map(str::to_owned);
                let from = addresses.next().unwrap_or_default();
                // The program gets bare line feeds or not, as the sender likes; both are mails.
                Received { from, to: addresses.collect(), raw: fs::read(path).unwrap() }
            })
            .collect()
    }
}

/// The mails in a directory of `.eml` files; these have no envelope.
pub fn directory(path: &Path) -> Vec<Received> {
    let mails = files(path, |name| !name.starts_with('.') && name.to_lowercase().ends_with(".eml"));
    mails
        .into_iter()
        .map(|path| Received { from: String::new(), to: vec![], raw: fs::read(path).unwrap() })
        .collect()
}

fn files(directory: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted)).collect();
    files.sort();
    files
}

fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().into_owned()
}
