//! Exit codes, output and errors.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

/// Runs `tenon` in `dir` without anything of our own environment's settings.
pub(crate) fn tenon(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tenon"))
        .args(arguments)
        .current_dir(dir)
        .env_remove("TENON_CONFIG")
        .output()
        .unwrap()
}

/// A directory that an unprivileged account can enter, for when the tests run as root.
pub(crate) fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_wrong_option_is_a_usage_error() {
    let dir = directory();
    let output = tenon(dir.path(), &["migrate", "--frobnicate"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_wrong_configuration_is_one_sentence_and_code_2() {
    let dir = directory();
    std::fs::write(dir.path().join("t.toml"), "[server]\nlisen = '127.0.0.1:1'\n").unwrap();
    for arguments in [&["config", "check", "t.toml"][..], &["--config", "t.toml", "migrate"]] {
        let output = tenon(dir.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(
            text(&output.stderr),
            "tenon: there is no key server.lisen (from t.toml); did you mean server.listen?\n"
        );
    }
    let output = tenon(dir.path(), &["--json", "config", "check", "t.toml"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["valid"], false);
}

#[test]
fn a_valid_file_passes_without_its_secrets() {
    let dir = directory();
    std::fs::write(
        dir.path().join("t.toml"),
        "environment = 'production'\npublic_url = 'https://x.example'\n[database]\nurl_file = '/run/keys/none'\n",
    )
    .unwrap();
    let output = tenon(dir.path(), &["config", "check", "t.toml"]);
    assert_eq!(text(&output.stdout), "t.toml is valid\n", "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_database_that_is_away_is_one_sentence_and_code_1() {
    let dir = directory();
    std::fs::write(dir.path().join("t.toml"), "[database]\nurl = 'postgres://u:canary@127.0.0.1:1/none'\n")
        .unwrap();
    let output = tenon(dir.path(), &["--config", "t.toml", "migrate"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.starts_with("tenon: the database could not be reached: "), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(!error.contains("canary"), "{error}");
}

#[test]
fn migrating_twice_changes_nothing_the_second_time_and_then_the_doctor_is_content() {
    let dir = directory();
    let first = tenon(dir.path(), &["--json", "migrate"]);
    let json: serde_json::Value =
        serde_json::from_slice(&first.stdout).unwrap_or_else(|_| panic!("{}", text(&first.stderr)));
    assert_ne!(json["applied"].as_array().unwrap().len(), 0);
    let second = tenon(dir.path(), &["migrate"]);
    assert_eq!(text(&second.stdout), "The database is up to date.\n", "{}", text(&second.stderr));
    let doctor = tenon(dir.path(), &["--json", "doctor"]);
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&doctor.stdout).unwrap();
    assert!(findings.iter().all(|finding| finding["well"] == true), "{findings:?}");
    assert_eq!(doctor.status.code(), Some(0));
}

#[test]
fn the_reference_page_in_the_repository_is_the_one_the_program_prints() {
    let dir = directory();
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configuration.md");
    let printed = tenon(dir.path(), &["config", "reference"]);
    assert_eq!(std::fs::read_to_string(committed).unwrap(), text(&printed.stdout), "run `just gen`");
}

#[test]
fn shells_get_completions_and_readers_a_page_for_each_command() {
    let dir = directory();
    for shell in ["bash", "zsh", "fish"] {
        let script = tenon(dir.path(), &["completions", shell]);
        assert_eq!(script.status.code(), Some(0), "{}", text(&script.stderr));
        assert!(text(&script.stdout).contains("demo-data"), "{shell} knows no demo-data");
    }
    let written = tenon(dir.path(), &["man", "pages/man1"]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    // Units name these.
    for page in ["tenon.1", "tenon-serve.1", "tenon-backup.1", "tenon-user.1", "tenon-backup-create.1"] {
        let page = dir.path().join("pages/man1").join(page);
        assert!(std::fs::read_to_string(&page).unwrap().contains(".SH SYNOPSIS"), "{}", page.display());
    }
}
