//! `tenon user`, and the worker that sends what it leads to.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    command_line::{directory, tenon, text},
    processes::{address, get_with, stop, until, up},
};

/// Runs `tenon` with `input` to read.
pub(crate) fn with_input(dir: &Path, arguments: &[&str], input: &str) -> std::process::Output {
    with_input_and(dir, arguments, input, &[])
}

/// The same, with more in its environment.
pub(crate) fn with_input_and(
    dir: &Path,
    arguments: &[&str],
    input: &str,
    environment: &[(String, String)],
) -> std::process::Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tenon"))
        .args(arguments)
        .current_dir(dir)
        .env_remove("TENON_CONFIG")
        .envs(environment.iter().cloned())
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
fn the_first_administrator_is_made_once_and_of_nobody_who_is_not_certain() {
    let dir = directory();
    assert_eq!(tenon(dir.path(), &["migrate"]).status.code(), Some(0));
    std::fs::write(dir.path().join("password"), "a long and unusual password\nanother line\n").unwrap();
    let first = |email: &str| {
        let options = ["--name", "Root", "--admin", "--if-no-admin", "--password-file", "password"];
        tenon(dir.path(), &[&["--json", "user", "create", email], &options[..]].concat())
    };
    // Somebody who never proved that the address is theirs.
    tenon(dir.path(), &["user", "create", "eve@example.org", "--name", "Eve"]);
    let refused = first("eve@example.org");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("that is not active"), "{}", text(&refused.stderr));

    let made = first("root@example.org");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!((&made["email"], &made["is_admin"]), (&"root@example.org".into(), &true.into()));
    // Another address in the configuration later makes nobody.
    for email in ["root@example.org", "other@example.org"] {
        let again = first(email);
        assert_eq!(text(&again.stdout).trim(), "{\n  \"administrator\": true\n}", "{}", text(&again.stderr));
    }
    let all = tenon(dir.path(), &["--json", "user", "list"]);
    let all: Vec<Value> = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!(all.len(), 2, "{all:?}");
    let alone = tenon(dir.path(), &["user", "create", "a@example.org", "--name", "A", "--if-no-admin"]);
    assert_eq!(alone.status.code(), Some(2), "it is about administrators");
}

#[test]
fn an_account_that_is_there_becomes_the_first_administrator() {
    let dir = directory();
    assert_eq!(tenon(dir.path(), &["migrate"]).status.code(), Some(0));
    let create = ["user", "create", "ada@example.org", "--name", "Ada", "--password-stdin"];
    with_input(dir.path(), &create, "a long and unusual password\n");
    let options = ["--name", "Root", "--admin", "--if-no-admin"];
    let made = tenon(dir.path(), &[&["--json", "user", "create", "ada@example.org"], &options[..]].concat());
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!((&made["full_name"], &made["is_admin"]), (&"Ada".into(), &true.into()));
}

#[test]
fn a_password_set_from_the_machine_is_no_common_one() {
    let dir = directory();
    assert_eq!(tenon(dir.path(), &["migrate"]).status.code(), Some(0));
    let create = ["user", "create", "ada@example.org", "--name", "Ada", "--password-stdin"];
    with_input(dir.path(), &create, "a long and unusual password\n");
    for common in ["password123", "ada@example.org"] {
        let refused = with_input(dir.path(), &["user", "password", "ada"], &format!("{common}\n"));
        assert_eq!(refused.status.code(), Some(1), "{common}");
        assert!(text(&refused.stderr).starts_with("tenon: password "), "{}", text(&refused.stderr));
    }
    let set = with_input(dir.path(), &["user", "password", "ada"], "another unusual one\n");
    assert_eq!(set.status.code(), Some(0), "{}", text(&set.stderr));
}

#[test]
fn a_token_is_made_for_a_person_used_listed_and_revoked() {
    let dir = directory();
    let (running, greeting) = up(dir.path(), &[]);
    let create = ["user", "create", "ada@example.org", "--name", "Ada", "--password-stdin"];
    with_input(dir.path(), &create, "a long and unusual password\n");
    let wrong = tenon(dir.path(), &["token", "create", "ada", "--name", "ci", "--scopes", "everything"]);
    assert!(text(&wrong.stderr).contains("there is no scope everything; the scopes are read-account,"));
    let scopes = "read-account,write-projects";
    let made = ["token", "create", "ada", "--name", "ci", "--scopes", scopes, "--expires-in", "90d"];
    let made = tenon(dir.path(), &made);
    let token = text(&made.stdout).trim().to_owned();
    assert!(token.starts_with("tenon_pat_"), "{}", text(&made.stderr));
    let ask = || get_with(&address(&greeting), "/api/v1/me", &format!("authorization: Bearer {token}\r\n"));
    assert!(ask().starts_with("HTTP/1.1 200"), "{}", ask());

    let listed = tenon(dir.path(), &["--json", "token", "list", "ada"]);
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[0]["name"], "ci");
    assert!(!listed[0].to_string().contains(&token));
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(tenon(dir.path(), &["token", "revoke", id]).status.code(), Some(0));
    assert!(ask().starts_with("HTTP/1.1 401"), "{}", ask());
    let again = tenon(dir.path(), &["token", "revoke", id]);
    assert_eq!(text(&again.stderr), format!("tenon: there is no token {id}\n"));
    stop(running);
}

#[test]
fn demonstration_data_is_made_once_and_can_be_looked_at() {
    let dir = directory();
    let (running, greeting) = up(dir.path(), &[]);
    let create = ["user", "create", "ada@example.org", "--name", "Ada", "--password-stdin"];
    with_input(dir.path(), &create, "a long and unusual password\n");
    let made = tenon(dir.path(), &["--json", "demo-data", "--owner", "ada"]);
    let made: Value =
        serde_json::from_slice(&made.stdout).unwrap_or_else(|_| panic!("{}", text(&made.stderr)));
    let stories: Vec<&Value> = made["projects"].as_array().unwrap().iter().map(|p| &p["stories"]).collect();
    assert_eq!(stories, [1000, 2000, 60, 40, 12]);

    let token = ["token", "create", "ada", "--name", "t", "--scopes", "read-projects,read-account"];
    let token = text(&tenon(dir.path(), &token).stdout).trim().to_owned();
    let ask = |path: &str| {
        let answer = get_with(&address(&greeting), path, &format!("authorization: Bearer {token}\r\n"));
        let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        serde_json::from_str::<Value>(&body).unwrap_or_else(|_| panic!("{path}: {answer}"))
    };
    let projects = ask("/api/v1/me/projects");
    let wide = projects["items"].as_array().unwrap().iter().find(|p| p["key"] == "HAR").unwrap();
    let id = wide["id"].as_str().unwrap();
    let board = ask(&format!("/api/v1/projects/{id}/workflows/sites"));
    assert_eq!(board["statuses"].as_array().unwrap().len(), 40);
    assert_eq!(ask(&format!("/api/v1/projects/{id}/stories/HAR-2000"))["ref"], 2000);

    let again = tenon(dir.path(), &["demo-data"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("There are workspaces already"), "{}", text(&again.stderr));
    stop(running);
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

#[test]
fn nothing_is_made_that_opens_nothing_without_a_word() {
    let dir = directory();
    let (running, greeting) = up(dir.path(), &[]);
    let create = ["user", "create", "ada@example.org", "--name", "Ada"];
    assert_eq!(tenon(dir.path(), &create).status.code(), Some(0));
    let token = || tenon(dir.path(), &["token", "create", "ada", "--name", "x", "--scopes", "read-account"]);
    let refused = token();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("not active until its address is verified"),
        "{}",
        text(&refused.stderr)
    );
    // Whoever sets a password on the machine vouches for the address.
    let set = with_input(dir.path(), &["user", "password", "ada"], "another unusual one\n");
    assert_eq!(
        text(&set.stdout),
        "Set the password of ada <ada@example.org>, Ada\n",
        "{}",
        text(&set.stderr)
    );
    let made = token();
    let secret = text(&made.stdout).trim().to_owned();
    let ask = || get_with(&address(&greeting), "/api/v1/me", &format!("authorization: Bearer {secret}\r\n"));
    assert!(ask().starts_with("HTTP/1.1 200"), "{}", text(&made.stderr));

    tenon(dir.path(), &["user", "deactivate", "ada"]);
    assert!(ask().contains("account-deactivated"), "{}", ask());
    let refused = token();
    assert!(text(&refused.stderr).contains("first: tenon user activate ada"), "{}", text(&refused.stderr));
    let set = with_input(dir.path(), &["user", "password", "ada"], "a third unusual one\n");
    assert_eq!(set.status.code(), Some(0));
    assert!(text(&set.stderr).contains("tenon user activate ada"), "{}", text(&set.stderr));
    let scope = ["token", "create", "ada", "--name", "x", "--scopes", "admin"];
    tenon(dir.path(), &["user", "activate", "ada"]);
    let refused = tenon(dir.path(), &scope);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("first: tenon user promote ada"), "{}", text(&refused.stderr));
    stop(running);
}
