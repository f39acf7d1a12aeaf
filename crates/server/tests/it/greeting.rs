//! What `tenon up` says, and the places it chooses.

use std::{
    fs::{DirBuilder, Permissions},
    io::{BufRead, BufReader},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    command_line::{directory, tenon, text},
    processes::{command, stop, up},
};

/// Runs a line as a person would paste it.
fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

#[test]
fn up_says_where_everything_is_and_the_shown_command_makes_the_first_administrator() {
    let dir = directory();
    let mut child = command(dir.path(), &["up", "--listen", "127.0.0.1:0"])
        .env("TENON__LOG__FORMAT", "json")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = lines.by_ref().take_while(|line| !line.contains("curl ")).collect();
    let said = said.join("\n");
    assert!(said.starts_with("Tenon "), "{said}");
    for place in ["http://localhost:", "/api/docs", "/.tenon/mail", "/.tenon", "/#/claim/"] {
        assert!(said.contains(place), "{place} in {said}");
    }
    child.stdout = None;
    drop(lines);
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let (child, greeting) = up(dir.path(), &[]);
    let curl = greeting["first_administrator"]["curl"].as_str().unwrap();
    let as_it_is: Value = serde_json::from_str(&shell(&format!("{curl} -s"))).unwrap();
    assert_eq!(as_it_is["status"], 422, "nobody's password is the one in the example: {as_it_is}");
    let mine = curl.replace("CHANGE ME", "a long and unusual password");
    let made: Value = serde_json::from_str(&shell(&format!("{mine} -s"))).unwrap();
    assert_eq!(made["is_admin"], true, "{made}");
    let again: Value = serde_json::from_str(&shell(&format!("{mine} -s"))).unwrap();
    assert_eq!(again["status"], 409, "{again}");
    stop(child);

    let (child, greeting) = up(dir.path(), &[]);
    assert_eq!(greeting["first_administrator"], Value::Null, "there is one now");
    stop(child);
}

#[test]
fn below_a_directory_that_the_databases_account_cannot_enter_the_database_is_kept_elsewhere() {
    if !rustix::process::geteuid().is_root() {
        tenon_testkit::services::skip("only root starts PostgreSQL as another account");
        return;
    }
    let dir = directory();
    let closed = dir.path().join("closed");
    DirBuilder::new().mode(0o700).create(&closed).unwrap();
    let (child, greeting) = up(&closed, &[]);
    let place = Path::new(greeting["database"].as_str().unwrap()).to_owned();
    assert!(!place.starts_with(&closed) && place.join("data/PG_VERSION").exists(), "{}", place.display());
    let user = ["user", "create", "ada@example.org", "--name", "Ada"];
    assert_eq!(tenon(&closed, &user).status.code(), Some(0), "commands find it while it runs");
    stop(child);

    let (child, again) = up(&closed, &[]);
    assert_eq!(again["database"], greeting["database"], "it is found again");
    stop(child);
    let listed = tenon(&closed, &["user", "list"]);
    assert!(text(&listed.stdout).contains("ada@example.org"), "{}", text(&listed.stderr));

    // A cluster that was made when the directory could be entered is never passed over for an empty one.
    let opened = dir.path().join("opened");
    DirBuilder::new().mode(0o755).create(&opened).unwrap();
    assert_eq!(tenon(&opened, &["migrate"]).status.code(), Some(0));
    std::fs::set_permissions(&opened, Permissions::from_mode(0o700)).unwrap();
    let refused = tenon(&opened, &["migrate"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("cannot enter"), "{}", text(&refused.stderr));
    std::fs::remove_dir_all(place).unwrap();
}
