//! What cannot work is refused in one sentence, before anything is made.

use std::{
    fs::Permissions,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use tenon_db::managed::{Managed, ManagedConfig};
use tenon_testkit::services::{s3, smtp};

use crate::{
    command_line::{directory, tenon, text},
    processes::command,
};

/// Asserts that the command failed with `code`, saying one sentence that has all of `words`.
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    assert!(said.starts_with("tenon: "), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} in: {said}");
    }
    assert_eq!(text(&output.stdout), "");
}

fn nothing_was_made(dir: &Path) {
    assert!(!dir.join(".tenon").exists(), "nothing half-made");
}

/// Runs `up` under a configuration file.
fn up_with(dir: &Path, configuration: &str) -> Output {
    std::fs::write(dir.join("t.toml"), configuration).unwrap();
    let arguments = ["--config", "t.toml", "up", "--listen", "127.0.0.1:0"];
    command(dir, &arguments).env("TENON__LOG__LEVEL", "warn").stderr(Stdio::piped()).output().unwrap()
}

#[test]
fn an_unknown_key_and_a_wrong_type() {
    let dir = directory();
    let unknown = up_with(dir.path(), "[server]\nlisen = '127.0.0.1:1'\n");
    refused(&unknown, 2, &["server.lisen", "did you mean server.listen?"]);
    let wrong = up_with(dir.path(), "[database]\npool_size = 'many'\n");
    refused(&wrong, 2, &["database.pool_size", "t.toml"]);
    let unit = up_with(dir.path(), "[retention]\ntrash = '30'\n");
    refused(&unit, 2, &["retention.trash"]);
    nothing_was_made(dir.path());
}

#[test]
fn a_secret_or_a_configuration_that_cannot_be_read() {
    let dir = directory();
    let missing = up_with(dir.path(), "[database]\nurl_file = '/nowhere/url'\n");
    refused(&missing, 2, &["/nowhere/url", "database.url"]);
    let absent = tenon(dir.path(), &["--config", "absent.toml", "up"]);
    refused(&absent, 2, &["cannot read absent.toml"]);
    std::fs::create_dir(dir.path().join("folder.toml")).unwrap();
    let folder = tenon(dir.path(), &["--config", "folder.toml", "up"]);
    refused(&folder, 2, &["cannot read folder.toml"]);
    std::fs::write(dir.path().join("broken.toml"), "[server\n").unwrap();
    let broken = tenon(dir.path(), &["--config", "broken.toml", "up"]);
    assert_eq!(broken.status.code(), Some(2));
    assert!(text(&broken.stderr).contains("broken.toml"), "{}", text(&broken.stderr));
    nothing_was_made(dir.path());
}

#[test]
fn a_port_in_use() {
    let dir = directory();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = tenon(dir.path(), &["up", "--listen", &address]);
    refused(&output, 1, &["cannot listen on", &address]);
    nothing_was_made(dir.path());
}

#[test]
fn a_data_directory_that_cannot_be_written() {
    let dir = directory();
    std::fs::write(dir.path().join("file"), "in the way").unwrap();
    let output = tenon(dir.path(), &["up", "--listen", "127.0.0.1:0", "--data-dir", "file/data"]);
    refused(&output, 1, &["file/data", "cannot be written"]);
}

#[test]
fn a_cluster_of_another_major_version() {
    let dir = directory();
    let data = dir.path().join(".tenon/postgres/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("PG_VERSION"), "9\n").unwrap();
    let output = tenon(dir.path(), &["up", "--listen", "127.0.0.1:0"]);
    refused(&output, 1, &["was made by PostgreSQL 9", "install PostgreSQL 9"]);
}

#[test]
fn no_programs_of_a_server_or_too_old_ones() {
    let dir = directory();
    let none = up_with(dir.path(), "[database]\nbin_dir = '/nowhere'\n");
    refused(&none, 1, &["no PostgreSQL server (14 or newer) was found in /nowhere", "install one with"]);

    let old = dir.path().join("old");
    std::fs::create_dir(&old).unwrap();
    for program in ["postgres", "initdb"] {
        std::fs::write(old.join(program), "#!/bin/sh\necho 'postgres (PostgreSQL) 13.9'\n").unwrap();
        std::fs::set_permissions(old.join(program), Permissions::from_mode(0o755)).unwrap();
    }
    let too_old = up_with(dir.path(), &format!("[database]\nbin_dir = '{}'\n", old.display()));
    refused(&too_old, 1, &["no PostgreSQL server (14 or newer)"]);
    assert!(!dir.path().join(".tenon/postgres/data").exists(), "no cluster was made");
}

#[tokio::test]
async fn a_database_newer_than_the_program() {
    let dir = directory();
    let postgres = ManagedConfig { data_dir: dir.path().join("postgres"), ..ManagedConfig::default() };
    let postgres = Managed::start(postgres).await.unwrap();
    let url = postgres.url();
    let run = |arguments: &[&str]| {
        command(dir.path(), arguments)
            .env("TENON__DATABASE__URL", &url)
            .stderr(Stdio::piped())
            .output()
            .unwrap()
    };
    assert_eq!(run(&["migrate"]).status.code(), Some(0));
    let socket = postgres.socket_dir().display().to_string();
    let insert = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')";
    let psql = Command::new("psql")
        .args(["-h", &socket, "-U", "tenon", "-d", "tenon", "-qc", insert])
        .output()
        .unwrap();
    assert!(psql.status.success(), "{}", text(&psql.stderr));
    for arguments in [&["migrate"][..], &["serve"], &["worker"], &["scheduler"], &["user", "list"]] {
        refused(&run(arguments), 1, &["the database is newer than this program", "29990101000000"]);
    }
    postgres.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there() {
    let dir = directory();
    let store = s3::Server::start().await;
    let configuration = format!(
        "[storage]\nbackend = 's3'\nendpoint = '{}'\nbucket = 'absent'\naccess_key_id = '{}'\nsecret_access_key = '{}'\n",
        store.endpoint(),
        s3::Server::ACCESS_KEY_ID,
        s3::Server::SECRET_ACCESS_KEY
    );
    let output = up_with(dir.path(), &configuration);
    refused(&output, 1, &["The bucket absent does not exist at", &store.endpoint()]);
    assert!(!text(&output.stderr).contains(s3::Server::SECRET_ACCESS_KEY));
    let doctor = tenon(dir.path(), &["--config", "t.toml", "doctor"]);
    assert!(text(&doctor.stdout).contains("The bucket absent does not exist"), "{}", text(&doctor.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_refuses_is_found_by_the_doctor() {
    let dir = directory();
    let server = smtp::Server::start().await;
    server.refuse("EHLO", "554 we know you");
    server.refuse("HELO", "554 we know you");
    let configuration =
        format!("[mail]\nbackend = 'smtp'\nhost = '127.0.0.1'\nport = {}\ntls = 'none'\n", server.port());
    std::fs::write(dir.path().join("t.toml"), configuration).unwrap();
    assert_eq!(tenon(dir.path(), &["--config", "t.toml", "migrate"]).status.code(), Some(0));
    let ill = tenon(dir.path(), &["--config", "t.toml", "doctor"]);
    assert_eq!(ill.status.code(), Some(1));
    assert_eq!(text(&ill.stderr), "tenon: not well: mail\n", "{}", text(&ill.stdout));
    server.relent();
    let well = tenon(dir.path(), &["--config", "t.toml", "doctor"]);
    assert_eq!(well.status.code(), Some(0), "{}", text(&well.stdout));
}
