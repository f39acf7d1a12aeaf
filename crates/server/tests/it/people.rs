//! `tenon user`, and the worker that sends what it leads to.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    command_line::{directory, tenon, text},
    processes::{stop, until, up},
};

/// Runs `tenon` with `input` to read.
pub(crate) fn with_input(dir: &Path, arguments: &[&str], input: &str) -> std::process::Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tenon"))
        .args(arguments)
        .current_dir(dir)
        .env_remove("TENON_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn an_account_is_made_listed_and_switched_off() {
    let dir = directory();
    let early = tenon(dir.path(), &["user", "list"]);
    assert!(text(&early.stderr).contains("run `tenon migrate`"), "{}", text(&early.stderr));
    assert_eq!(tenon(dir.path(), &["migrate"]).status.code(), Some(0));

    let create = ["user", "create", "ada@example.org", "--name", "Ada", "--admin", "--password-stdin"];
    let short = with_input(dir.path(), &create, "short\n");
    assert_eq!(text(&short.stderr), "tenon: the password must be at least 10 characters long\n");
    let made = with_input(dir.path(), &create, "a long and unusual password\n");
    assert_eq!(
        text(&made.stdout),
        "Made ada <ada@example.org>, Ada (administrator)\n",
        "{}",
        text(&made.stderr)
    );
    let again = with_input(dir.path(), &create, "a long and unusual password\n");
    assert_eq!(again.status.code(), Some(1));

    let second = ["user", "create", "bob@example.org", "--name", "Bob", "--password-stdin"];
    with_input(dir.path(), &second, "a long and unusual password\n");
    let off = tenon(dir.path(), &["--json", "user", "deactivate", "bob"]);
    let off: Value = serde_json::from_slice(&off.stdout).unwrap();
    assert_eq!(off["is_active"], false);
    let all: Vec<Value> =
        serde_json::from_slice(&tenon(dir.path(), &["--json", "user", "list"]).stdout).unwrap();
    assert_eq!(all.iter().map(|user| &user["username"]).collect::<Vec<_>>(), ["ada", "bob"]);

    let nobody = tenon(dir.path(), &["user", "promote", "carol"]);
    assert_eq!(text(&nobody.stderr), "tenon: there is nobody with the address or handle carol\n");
}

#[test]
fn a_person_without_a_password_is_sent_a_mail_by_the_running_instance() {
    let dir = directory();
    let (up, _) = up(dir.path(), &[]);
    let made = tenon(dir.path(), &["user", "create", "ada@example.org", "--name", "Ada"]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let mails = dir.path().join(".tenon/mail");
    let mail = until(|| {
        let mut found = std::fs::read_dir(&mails).ok()?.flatten().map(|entry| entry.path());
        let path = found.find(|path| path.extension().is_some_and(|extension| extension == "eml"))?;
        Some(std::fs::read_to_string(path).unwrap())
    });
    assert!(mail.contains("ada@example.org"), "{mail}");
    stop(up);
}
