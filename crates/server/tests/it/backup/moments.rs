//! Any moment: base backups, the archive of the write-ahead log, and a cluster that was lost.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use serde_json::Value;
use tenon_testkit::services::s3;

use super::house::{PASSWORD, World, age_key, s3_target};
use crate::{
    command_line::{directory, text},
    processes::{address, command, line_with, stop, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_cluster_comes_back_at_the_moment_that_was_noted_with_the_files_of_that_moment() {
    let dir = directory();
    let store = s3::Server::start().await;
    store.create_bucket("backups");
    let (identity, recipient) = age_key();
    std::fs::write(dir.path().join("identity"), identity).unwrap();
    let mut config = format!(
        "data_dir = 'data'\n{}[backup]\nrecipients = ['{recipient}']\nidentity_file = '{}'\narchive_wal = true\n",
        s3_target(&store, "backups"),
        dir.path().join("identity").display()
    );
    std::fs::write(dir.path().join("t.toml"), &config).unwrap();
    json(dir.path(), &["migrate"]);
    let mut create = command(
        dir.path(),
        &["--config", "t.toml", "user", "create", "ada@example.org", "--name", "Ada", "--password-stdin"],
    );
    let mut child = create.stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), PASSWORD.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());

    let (up, address) = up(dir.path());
    let base = json(dir.path(), &["backup", "base"]);
    assert_eq!((&base["kind"], &base["archives"]), (&Value::from("base"), &Value::from(true)), "{base}");
    let again = json(dir.path(), &["backup", "base", "--unless-younger", "1d"]);
    assert_eq!(again["id"], base["id"], "there is one that is young enough");
    let mut world = World::new(&address);
    let mut ada = world.client(&address);
    let moment = psql(dir.path(), NOW);
    world.story(&mut ada, "A mistake");
    let kept = world.files.clone();
    world.attach(&address, "late.txt", b"attached after the moment".to_vec());
    let path = world.at(&format!("/stories/1/attachments/{}", kept[0].0));
    ada.call("DELETE", &path, None).unwrap().expect(204);
    all_is_archived(dir.path());
    json(dir.path(), &["backup", "create"]);
    // Of a past that is about to be left.
    let abandoned = json(dir.path(), &["backup", "base"]);
    stop(up);

    // The database, the keys and one of two files are lost.
    std::fs::remove_dir_all(dir.path().join("data/postgres")).unwrap();
    std::fs::remove_dir_all(dir.path().join("data/keys")).unwrap();
    std::fs::remove_file(dir.path().join("data/files/blobs/attachments").join(&kept[1].0)).unwrap();
    let future = run(dir.path(), &["restore", "--to-time", "2999-01-01T00:00:00Z"]);
    assert!(text(&future.stderr).contains("in the future"), "{}", text(&future.stderr));
    let early = run(dir.path(), &["restore", "--to-time", "2020-01-01T00:00:00Z"]);
    assert!(
        text(&early.stderr).contains("the oldest moment that can be restored"),
        "{}",
        text(&early.stderr)
    );
    assert!(!dir.path().join("data/postgres/data").exists(), "nothing half-made");
    let recovered = json(dir.path(), &["restore", "--to-time", &moment]);
    assert_eq!(recovered["files"]["restored"], 1, "{recovered}");
    assert_eq!(recovered["files"]["lost"].as_array().unwrap().len(), 0, "{recovered}");
    assert_eq!(recovered["seen_by_members"]["stories"], 1, "{recovered}");

    // Nobody starts anew by accident on the way.
    let (data, aside) =
        (dir.path().join("data/postgres/data"), dir.path().join("data/postgres/data.before-x"));
    std::fs::rename(&data, &aside).unwrap();
    let anew = run(dir.path(), &["up", "--listen", "127.0.0.1:0"]);
    assert!(
        text(&anew.stderr).contains("left beside it by a recovery that broke off"),
        "{}",
        text(&anew.stderr)
    );
    std::fs::rename(&aside, &data).unwrap();

    let again = run(dir.path(), &["restore", "--to-time", &moment]);
    assert!(text(&again.stderr).contains("there is a database in"), "{}", text(&again.stderr));
    let (up, address) = self::up(dir.path());
    let mut ada = world.client(&address);
    for (id, bytes) in &kept {
        let file = ada.get(&world.at(&format!("/stories/1/attachments/{id}/content"))).unwrap();
        assert_eq!((file.status, &file.body), (200, bytes));
    }

    // Another moment, of the life since: that of the newest base backup ended before, so it is refused unless it is asked
    // for; and then begins with the older one.
    let since = psql(dir.path(), NOW);
    world.story(&mut ada, "In another life");
    all_is_archived(dir.path());
    stop(up);
    let short = run(dir.path(), &["restore", "--force", "--to-time", &since]);
    assert!(text(&short.stderr).contains("--timeline latest"), "{}", text(&short.stderr));
    let named = &["restore", "--force", "--to-time", &moment, "--from", abandoned["id"].as_str().unwrap()];
    let named = run(dir.path(), named);
    assert!(text(&named.stderr).contains("which is after that moment"), "{}", text(&named.stderr));
    let recovered = json(dir.path(), &["restore", "--force", "--to-time", &since, "--timeline", "latest"]);
    assert_eq!(
        (&recovered["base"], &recovered["seen_by_members"]["stories"]),
        (&base["id"], &Value::from(1))
    );
    let (up, address) = self::up(dir.path());
    let mut ada = world.client(&address);

    // A newer base backup is enough for what is kept; the log before it goes with the older one, that after it stays.
    config += "[backup.keep]\npoint_in_time = '1s'\n";
    std::fs::write(dir.path().join("t.toml"), &config).unwrap();
    let newer = json(dir.path(), &["backup", "base"]);
    assert_eq!(
        newer["removed"]["backups"],
        serde_json::json!([base["id"]]),
        "there is a newer one from before the horizon"
    );
    let pruned = until(|| {
        let pruned = json(dir.path(), &["backup", "prune"]);
        pruned["backups"].as_array().unwrap().contains(&abandoned["id"]).then_some(pruned)
    });
    assert!(pruned["segments"].as_u64().unwrap() > 0, "{pruned}");
    world.story(&mut ada, "In another life");
    let moment = psql(dir.path(), NOW);
    // The log ends a replay at the first transaction after the moment.
    world.story(&mut ada, "Too late");
    all_is_archived(dir.path());
    // A drill goes as far, beside what runs.
    let drilled = json(dir.path(), &["backup", "drill", "--to-latest"]);
    assert_eq!(
        (&drilled["id"], &drilled["seen_by_members"]["stories"], &drilled["files"]),
        (&newer["id"], &Value::from(3), &Value::from(2)),
        "{drilled}"
    );
    assert!(drilled["last_change_at"].as_str() > Some(moment.as_str()), "{drilled}");
    stop(up);
    std::fs::remove_dir_all(dir.path().join("data/postgres")).unwrap();
    // All that there is, first; and then without what was too late.
    let recovered = json(dir.path(), &["restore", "--to-latest"]);
    assert_eq!(
        (&recovered["base"], &recovered["seen_by_members"]["stories"], &recovered["to_time"]),
        (&newer["id"], &Value::from(3), &Value::Null)
    );
    let recovered = json(dir.path(), &["restore", "--force", "--to-time", &moment]);
    assert_eq!(
        (&recovered["base"], &recovered["seen_by_members"]["stories"]),
        (&newer["id"], &Value::from(2))
    );
}

/// The moment, as the server has it.
const NOW: &str = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

/// Waits until all that was written is in the archive: that is what can be replayed.
fn all_is_archived(dir: &Path) {
    let last = psql(dir, "SELECT pg_walfile_name(pg_switch_wal())");
    until(|| {
        (psql(dir, "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver") >= last).then_some(())
    });
}

/// As much of a cluster as archiving looks at, beside settings with a target.
fn bare_cluster(dir: &Path) -> PathBuf {
    std::fs::write(dir.join("t.toml"), "[backup.target]\ndirectory = 'target'\n").unwrap();
    let cluster = dir.join("cluster");
    std::fs::create_dir_all(cluster.join("pg_wal")).unwrap();
    std::fs::create_dir_all(cluster.join("global")).unwrap();
    std::fs::write(cluster.join("global/pg_control"), 42_u64.to_ne_bytes()).unwrap();
    cluster
}

#[tokio::test]
async fn a_note_of_a_base_backup_is_not_taken_for_the_segment_it_began_in() {
    let dir = directory();
    let log = bare_cluster(dir.path()).join("pg_wal");
    let (segment, note) = ("000000010000000000000001", "000000010000000000000001.00000028.backup");
    // In either order.
    for name in [note, segment, note] {
        std::fs::write(log.join(name), name).unwrap();
        let pushed = run(dir.path(), &["wal", "push", log.join(name).to_str().unwrap()]);
        assert_eq!(pushed.status.code(), Some(0), "{}", text(&pushed.stderr));
    }
    let fetched = log.join("RECOVERYXLOG");
    for name in [segment, note] {
        let answer = run(dir.path(), &["wal", "fetch", name, fetched.to_str().unwrap()]);
        assert_eq!(answer.status.code(), Some(0), "{}", text(&answer.stderr));
        assert_eq!(std::fs::read_to_string(&fetched).unwrap(), name);
    }
}

#[tokio::test]
async fn a_segment_is_archived_once_and_another_of_its_name_is_refused() {
    let dir = directory();
    let cluster = bare_cluster(dir.path());
    let (name, segment) = ("000000010000000000000001", cluster.join("pg_wal/000000010000000000000001"));
    let bytes = b"written ahead ".repeat(10_000);
    std::fs::write(&segment, &bytes).unwrap();
    let push = |path: &Path| run(dir.path(), &["--json", "wal", "push", path.to_str().unwrap()]);
    let new = |output: &Output| serde_json::from_slice::<Value>(&output.stdout).unwrap()["new"].clone();
    assert_eq!(new(&push(&segment)), true);
    assert_eq!(new(&push(&segment)), false, "the same again is fine");
    std::fs::write(&segment, b"of another life").unwrap();
    let other = push(&segment);
    assert_eq!(other.status.code(), Some(1));
    assert!(
        text(&other.stderr).contains("a segment 000000010000000000000001 with other bytes"),
        "{}",
        text(&other.stderr)
    );

    let fetched = cluster.join("pg_wal/RECOVERYXLOG");
    let fetch = |name: &str| run(dir.path(), &["wal", "fetch", name, fetched.to_str().unwrap()]);
    assert_eq!(fetch(name).status.code(), Some(0));
    assert_eq!(std::fs::read(&fetched).unwrap(), bytes);
    // A hole is not the end.
    let later = cluster.join("pg_wal/000000010000000000000003");
    std::fs::write(&later, "later").unwrap();
    assert_eq!(push(&later).status.code(), Some(0));
    let hole = fetch("000000010000000000000002");
    assert_eq!(hole.status.code(), Some(200));
    assert!(
        text(&hole.stderr).contains("has 000000010000000000000003, which comes later"),
        "{}",
        text(&hole.stderr)
    );
    assert_eq!(fetch("000000020000000000000002").status.code(), Some(1), "of another timeline");
    for object in std::fs::read_dir(dir.path().join("target/blobs/wal/42")).unwrap() {
        let object = object.unwrap().path();
        if object.to_string_lossy().contains("000000010000000000000003") {
            std::fs::remove_file(object).unwrap();
        }
    }
    std::fs::remove_file(later).unwrap();
    let absent = fetch("000000010000000000000002");
    assert_eq!(absent.status.code(), Some(1), "that is where the log ends");
    assert!(text(&absent.stderr).contains("does not have the segment"), "{}", text(&absent.stderr));
    // What cannot be told is not the end of the log.
    assert_eq!(fetch("../../etc/passwd").status.code(), Some(200));

    let object =
        std::fs::read_dir(dir.path().join("target/blobs/wal/42")).unwrap().next().unwrap().unwrap().path();
    let mut damaged = std::fs::read(&object).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&object, damaged).unwrap();
    std::fs::remove_file(&fetched).unwrap();
    assert_eq!(fetch(name).status.code(), Some(200));
    std::fs::rename(dir.path().join("target"), dir.path().join("elsewhere")).unwrap();
    std::fs::write(dir.path().join("target"), "").unwrap();
    assert_eq!(fetch("000000010000000000000002").status.code(), Some(200), "an archive that is away");
    assert_eq!(std::fs::read_dir(cluster.join("pg_wal")).unwrap().count(), 1, "nothing half-fetched");
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    command(dir, &["--config", "t.toml"]).args(arguments).stderr(Stdio::piped()).output().unwrap()
}

#[track_caller]
fn json(dir: &Path, arguments: &[&str]) -> Value {
    let output = run(dir, &[&["--json"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn up(dir: &Path) -> (std::process::Child, String) {
    let mut up = command(dir, &["--config", "t.toml", "--json", "up", "--listen", "127.0.0.1:0"])
        .env("TENON__LOG__LEVEL", "warn")
        .spawn()
        .unwrap();
    let greeting = line_with(&mut up, "address");
    let address = address(&greeting);
    (up, address)
}

/// One value from the running database.
fn psql(dir: &Path, statement: &str) -> String {
    let socket = dir.join("data/postgres/run");
    let output = std::process::Command::new("psql")
        .args(["-h", socket.to_str().unwrap(), "-U", "tenon", "-d", "tenon", "-qAtc", statement])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}
