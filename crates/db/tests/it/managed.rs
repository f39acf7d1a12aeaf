//! A server of our own, through its whole life.

use std::{
    fs::Permissions,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tenon_db::managed::{Managed, ManagedConfig, ManagedError};
use tokio_postgres::NoTls;

/// Set for the process that [`the_server_of_a_killed_parent_is_adopted`] starts and kills.
const PARENT_OF: &str = "TENON_TEST_PARENT_OF";

/// A directory that an unprivileged account can enter, for when the tests run as root.
fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    dir
}

fn config(dir: &Path) -> ManagedConfig {
    ManagedConfig {
        data_dir: dir.join("postgres"),
        settings: vec![("fsync".into(), "off".into()), ("shared_buffers".into(), "16MB".into())],
        ..ManagedConfig::default()
    }
}

async fn ask(url: &str, sql: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::select! {
        row = client.query_one(sql, &[]) => row.unwrap().get(0),
        _ = connection => panic!("the connection ended"),
    }
}

async fn run(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::select! {
        done = client.batch_execute(sql) => done.unwrap(),
        _ = connection => panic!("the connection ended"),
    }
}

#[tokio::test]
async fn no_empty_cluster_is_made_where_a_recovery_broke_off() {
    let dir = directory();
    for name in ["data.before-20261120T213000Z", "data.recovered"] {
        let beside = dir.path().join("postgres").join(name);
        std::fs::create_dir_all(&beside).unwrap();
        let refused = Managed::start(config(dir.path())).await.unwrap_err();
        assert!(matches!(refused, ManagedError::Interrupted { .. }), "{refused}");
        assert!(refused.to_string().contains(name), "{refused}");
        assert!(!dir.path().join("postgres/data").exists());
        std::fs::remove_dir(&beside).unwrap();
    }
    Managed::start(config(dir.path())).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_new_cluster_has_our_database_checksums_and_no_open_port() {
    let dir = directory();
    let managed = Managed::start(config(dir.path())).await.unwrap();
    let url = managed.url();
    assert_eq!(ask(&url, "SELECT current_database() || ' ' || current_user").await, "tenon tenon");
    assert_eq!(ask(&url, "SHOW data_checksums").await, "on");
    assert_eq!(ask(&url, "SHOW listen_addresses").await, "");
    assert_eq!(ask(&url, "SHOW server_encoding").await, "UTF8");
    assert_eq!(ask(&url, "SELECT lower('ÄÖÜ')").await, "äöü");
    assert_eq!(ask(&url, "SHOW shared_buffers").await, "16MB", "settings replace our defaults");
    let mode = std::fs::metadata(managed.socket_dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else can reach the socket");
    managed.stop().await.unwrap();
}

#[tokio::test]
async fn a_stopped_server_is_gone_and_its_data_is_found_again() {
    let dir = directory();
    let managed = Managed::start(config(dir.path())).await.unwrap();
    run(&managed.url(), "CREATE TABLE note (body text); INSERT INTO note VALUES ('kept')").await;
    let url = managed.url();
    managed.stop().await.unwrap();
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err());

    let managed = Managed::start(config(dir.path())).await.unwrap();
    assert!(!managed.adopted());
    assert_eq!(ask(&managed.url(), "SELECT body FROM note").await, "kept");
    managed.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_of_a_killed_parent_is_adopted() {
    let dir = directory();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "managed::a_parent_waits_to_be_killed", "--nocapture"])
        .env(PARENT_OF, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("the server runs")).unwrap().unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();

    let managed = Managed::start(config(dir.path())).await.unwrap();
    assert!(managed.adopted());
    assert_eq!(ask(&managed.url(), "SELECT body FROM note").await, "from the parent");
    let url = managed.url();
    managed.stop().await.unwrap();
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err(), "an adopted server is stopped as well");
}

/// Not a test by itself: the parent of the test above.
#[tokio::test]
async fn a_parent_waits_to_be_killed() {
    #[expect(clippy::disallowed_methods, reason = "how the test above talks to its process")]
    let Some(dir) = std::env::var_os(PARENT_OF) else { return };
    let managed = Managed::start(config(Path::new(&dir))).await.unwrap();
    run(&managed.url(), "CREATE TABLE note (body text); INSERT INTO note VALUES ('from the parent')").await;
    println!("the server runs");
    // Ends by itself when the test that started it is gone.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[tokio::test]
async fn a_pid_file_whose_number_now_belongs_to_somebody_else_is_cleared() {
    let dir = directory();
    Managed::start(config(dir.path())).await.unwrap().stop().await.unwrap();
    let data = dir.path().join("postgres/data");
    let somebody_else = std::process::id();
    let stale = format!("{somebody_else}\n{}\n1700000000\n5432\n/nowhere\n\n", data.display());
    std::fs::write(data.join("postmaster.pid"), stale).unwrap();

    let managed = Managed::start(config(dir.path())).await.unwrap();
    assert!(!managed.adopted());
    managed.stop().await.unwrap();
}

#[tokio::test]
async fn two_on_one_data_directory_are_refused() {
    let dir = directory();
    let first = Managed::start(config(dir.path())).await.unwrap();
    let second = Managed::start(config(dir.path())).await.unwrap_err();
    assert!(matches!(second, ManagedError::InUse(_)), "{second}");
    assert!(second.to_string().starts_with("another tenon is running on the data directory"));
    assert_eq!(Managed::running(&dir.path().join("postgres")), Some(first.url()), "but can be found");
    assert_eq!(ask(&first.url(), "SELECT 'well'").await, "well");
    first.stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_of_another_major_version_is_refused_by_name() {
    let dir = directory();
    let data = dir.path().join("postgres/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("PG_VERSION"), "9\n").unwrap();
    let error = Managed::start(config(dir.path())).await.unwrap_err();
    assert!(matches!(error, ManagedError::WrongMajor { cluster: 9, .. }), "{error}");
    assert!(error.to_string().contains("was made by PostgreSQL 9"));
}

#[tokio::test]
async fn without_a_server_the_error_names_the_command_that_installs_one() {
    let dir = directory();
    let bin_dir = Some(PathBuf::from("/nowhere"));
    let error = Managed::start(ManagedConfig { bin_dir, ..config(dir.path()) }).await.unwrap_err();
    assert!(matches!(error, ManagedError::NoBinaries { .. }), "{error}");
    assert!(error.to_string().contains("/nowhere; install one with"), "{error}");
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_written_is_named() {
    let dir = directory();
    std::fs::write(dir.path().join("file"), "in the way").unwrap();
    let error = Managed::start(config(&dir.path().join("file"))).await.unwrap_err();
    assert!(matches!(error, ManagedError::NotWritable { .. }), "{error}");
    assert!(error.to_string().contains("file/postgres cannot be written"), "{error}");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_one_elsewhere() {
    let dir = directory();
    let long = dir.path().join("a long, long name ".repeat(6));
    let managed = Managed::start(config(&long)).await.unwrap();
    assert!(!managed.socket_dir().starts_with(dir.path()));
    assert_eq!(ask(&managed.url(), "SELECT 'well'").await, "well");
    let socket_dir = managed.socket_dir().to_owned();
    managed.stop().await.unwrap();

    let managed = Managed::start(config(&long)).await.unwrap();
    assert_eq!(managed.socket_dir(), socket_dir, "the same place each time");
    managed.stop().await.unwrap();
    std::fs::remove_dir(socket_dir).unwrap();
}
