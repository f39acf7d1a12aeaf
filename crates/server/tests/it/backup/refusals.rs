//! What cannot be backed up or restored is refused in one sentence, and nothing is harmed.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use tenon_db::{address, backups, databases, managed};
use tenon_testkit::{TestDb, services::skip};

use super::house::{House, age_key, objects};
use crate::{command_line::text, processes::until};

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_found_and_not_restored() {
    let house = House::new().await;
    house.fill();
    house.json(&["backup", "create"]);
    let other = House::beside(&house).with(TestDb::empty().await);
    // One bit, in each kind of object; and an end that is missing.
    for word in ["/database", "/files", "/keys"] {
        let path = objects(house.dir.path(), "backups/")
            .into_iter()
            .find(|path| path.to_string_lossy().ends_with(word))
            .unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for damaged in [flipped, whole[..whole.len() - 1].to_vec(), Vec::new()] {
            std::fs::write(&path, damaged).unwrap();
            house.refuses(&["backup", "verify"], &["cannot be restored", "damaged"]);
            other.refuses(&["restore"], &["cannot be restored", "damaged"]);
        }
        std::fs::remove_file(&path).unwrap();
        other.refuses(&["restore"], &["is missing in"]);
        std::fs::write(&path, whole).unwrap();
    }
    let manifest = objects(house.dir.path(), "manifest").pop().unwrap();
    let whole = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, whole.replace("\"stories\": 1", "\"stories\": 2")).unwrap();
    other.refuses(&["restore"], &["the manifest", "damaged"]);
    assert_eq!(house.json(&["backup", "list"])[0]["state"], "unreadable");
    std::fs::write(&manifest, whole).unwrap();
    other.json(&["restore"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_backup_that_cannot_be_read_is_not_passed_over() {
    let house = House::new().await;
    house.fill();
    let older = house.json(&["backup", "create"]);
    let newer = house.json(&["backup", "create"]);
    let manifest = objects(house.dir.path(), newer["id"].as_str().unwrap())
        .into_iter()
        .find(|path| path.to_string_lossy().contains("manifest"))
        .unwrap();
    std::fs::write(&manifest, "{}").unwrap();
    let other = House::beside(&house).with(TestDb::empty().await);
    for command in [&["restore"][..], &["backup", "verify"], &["backup", "drill"]] {
        other.refuses(command, &["damaged", newer["id"].as_str().unwrap(), "an older one must be named"]);
    }
    other.json(&["restore", "--from", older["id"].as_str().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_backup_is_not_restored_unasked_when_it_is_of_an_emptied_installation() {
    let house = House::new().await;
    house.fill();
    let full = house.json(&["backup", "create"]);
    // After a loss somebody starts anew, and the night comes before anybody restores.
    let emptied = House::beside(&house).with(TestDb::empty().await);
    emptied.json(&["migrate"]);
    let empty = emptied.json(&["backup", "create"]);
    let (full, empty) = (full["id"].as_str().unwrap(), empty["id"].as_str().unwrap());
    emptied.refuses(&["restore"], &[empty, "without people", full, "--from"]);
    assert_eq!(emptied.json(&["restore", "--from", full])["seen_by_members"]["stories"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_lost_its_lock_is_given_up() {
    let mut house = House::new().await;
    house.fill();
    let at = |name: &str| house.dir.path().join(name);
    let (started, go) = (at("started"), at("go"));
    let slow = format!("touch {}; while [ ! -e {} ]; do sleep 0.02; done", started.display(), go.display());
    let bin = pg_dump(&house, &format!("{slow}; exec \"$real\" \"$@\"")).await;
    house.configure(&format!("[database]\nbin_dir = '{}'\n", bin.display()));
    let making = house.command(&["backup", "create"]).stdin(Stdio::null()).spawn().unwrap();
    until(|| started.exists().then_some(()));
    sql(
        &house,
        "SELECT pg_terminate_backend(pid) FROM pg_locks
         WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .await;
    std::fs::write(&go, "").unwrap();
    let made = making.wait_with_output().unwrap();
    let said = text(&made.stderr);
    assert_eq!(made.status.code(), Some(1), "{said}");
    assert!(said.contains("the connection that keeps other backups away was lost"), "{said}");
    assert_eq!(house.json(&["backup", "list"])[0]["state"], "unfinished");
}

async fn pg_dump(house: &House, script: &str) -> PathBuf {
    program(house, "pg_dump", script).await
}

/// A directory with a program of `PostgreSQL` that says its version, and else runs `script`, which finds the real one in
/// `$real`.
pub(super) async fn program(house: &House, name: &'static str, script: &str) -> PathBuf {
    let server = backups::server(&mut house.db.db().dedicated().await.unwrap()).await.unwrap();
    let real = managed::program(None, name, server.major.try_into().unwrap()).await.unwrap();
    let bin = house.dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let real = real.display();
    let script =
        format!("#!/bin/sh\nreal={real}\n[ \"$1\" = --version ] && exec $real --version\n{script}\n");
    std::fs::write(bin.join(name), script).unwrap();
    std::fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
    bin
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_key_or_none_opens_nothing() {
    let mut house = House::new().await;
    let (identity, recipient) = age_key();
    house.configure(&format!("[backup]\nrecipients = ['{recipient}']\n"));
    house.fill();
    house.json(&["backup", "create"]);
    let canary = std::fs::read_to_string(house.dir.path().join("data/keys/signing-keys")).unwrap();
    for path in objects(house.dir.path(), "") {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(20).any(|part| part == &canary.as_bytes()[..20]), "{}", path.display());
        assert!(!bytes.windows(10).any(|part| part == b"believable"), "{}", path.display());
    }
    let mut other = House::beside(&house).with(TestDb::empty().await);
    other.refuses(&["restore"], &["is encrypted, and backup.identity is not set"]);
    std::fs::write(house.dir.path().join("wrong"), age_key().0).unwrap();
    std::fs::write(house.dir.path().join("right"), identity).unwrap();
    other.configure("[backup]\nidentity_file = 'wrong'\n");
    other.refuses(&["restore"], &["encrypted to other keys"]);
    let mut third = House::beside(&house).with(TestDb::empty().await);
    third.configure("[backup]\nidentity_file = 'right'\n");
    assert_eq!(third.json(&["restore"])["files"]["restored"], 0, "the storage has them still");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_newer_release_is_not_restored() {
    let house = House::new().await;
    house.fill();
    house.json(&["backup", "create"]);
    let other = House::beside(&house).with(TestDb::empty().await);
    let manifest = objects(house.dir.path(), "manifest").pop().unwrap();
    let whole = std::fs::read_to_string(&manifest).unwrap();
    let migration =
        serde_json::from_str::<serde_json::Value>(&whole).unwrap()["migration"].as_str().unwrap().to_owned();
    std::fs::remove_file(&manifest).unwrap();
    for (from, to, words) in [
        ("\"format\": 1", "\"format\": 2", ["newer release", "format"]),
        (migration.as_str(), "29990101000000", ["newer release", "29990101000000"]),
    ] {
        let newer = whole.replace(from, to);
        let name = format!("manifest-{}.json", sha256(&newer));
        let path = manifest.with_file_name(name);
        std::fs::write(&path, newer).unwrap();
        other.refuses(&["restore"], &words);
        std::fs::remove_file(path).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_rights_and_tables_of_others_are_left_alone() {
    let house = House::new().await;
    house.fill();
    house.json(&["backup", "create"]);
    let strange = House::beside(&house).with(TestDb::empty().await);
    sql(&strange, "CREATE TABLE invoices (id int)").await;
    strange.refuses(&["restore", "--force"], &["tables that are not Tenon's"]);

    let poor = House::beside(&house).with(TestDb::empty().await);
    let name = address::Address::of(poor.db.url()).unwrap().database;
    let role = format!("poor_{}", &name[name.len() - 12..]);
    sql(&poor, &format!("CREATE ROLE {role} LOGIN")).await;
    let url = poor.db.url().replacen("postgres://tenon@", &format!("postgres://{role}@"), 1);
    let refused = poor.command(&["restore"]).env("TENON__DATABASE__URL", url).output().unwrap();
    let said = text(&refused.stderr);
    assert!(said.contains("may not make databases") && said.contains("CREATEDB"), "{said}");
    sql(&poor, &format!("DROP ROLE {role}")).await;
    let mut admin = poor.db.db().dedicated().await.unwrap();
    assert!(databases::exists(&mut admin, &name).await.unwrap(), "nothing was harmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_are_missing_or_of_another_version_are_told_by_name() {
    let mut house = House::new().await;
    house.fill();
    let old = house.dir.path().join("old");
    std::fs::create_dir(&old).unwrap();
    house.configure(&format!("[database]\nbin_dir = '{}'\n", old.display()));
    house.refuses(&["backup", "create"], &["pg_dump of that version was not found in", "found: none"]);
    std::fs::write(old.join("pg_dump"), "#!/bin/sh\necho 'pg_dump (PostgreSQL) 13.9'\n").unwrap();
    std::fs::set_permissions(old.join("pg_dump"), Permissions::from_mode(0o755)).unwrap();
    house.refuses(&["backup", "create"], &["pg_dump of that version was not found in", "found: 13"]);
    assert!(objects(house.dir.path(), "").is_empty(), "nothing half-made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_fails_leaves_no_backup() {
    let mut house = House::new().await;
    house.fill();
    // It breaks off in the middle of its work.
    let bin = pg_dump(&house, "echo half a dump; echo no more >&2; exit 3").await;
    house.configure(&format!("[database]\nbin_dir = '{}'\n", bin.display()));
    house.refuses(&["backup", "create"], &["pg_dump failed: no more"]);
    assert!(objects(house.dir.path(), "").is_empty(), "nothing half-made");
    // So that there is an alarm.
    sql(
        &house,
        "DO $$ BEGIN
           ASSERT (SELECT value > 0 FROM backup_figures WHERE name = 'backup_last_failure_timestamp_seconds');
         END $$",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_a_backup_and_harms_none_before_it() {
    let house = House::new().await;
    house.fill();
    let program = env!("CARGO_BIN_EXE_tenon");
    // A file system of its own, seen by nobody else and gone with the process: with a backup, and then full.
    let script = format!(
        "set -e
        mount -t tmpfs -o size=2m none target
        {program} --config t.toml backup create
        head -c 10m /dev/zero >target/full 2>/dev/null || true
        {program} --config t.toml backup create >out && exit 9
        find target/incoming -type f >left
        {program} --config t.toml backup verify"
    );
    drop(house.command(&["backup", "list"]));
    // Only root may mount without becoming root of a namespace first.
    let root = rustix::process::geteuid().is_root();
    let arguments = if root { &["--mount"][..] } else { &["--map-root-user", "--mount"] };
    let output = Command::new("unshare")
        .args(arguments)
        .args(["sh", "-c", &script])
        .current_dir(house.dir.path())
        .env("TENON__DATABASE__URL", house.db.url())
        .output();
    let Ok(output) = output else { return skip("there is no `unshare` (util-linux)") };
    let said = text(&output.stderr);
    if said.contains("unshare:") || said.contains("mount:") {
        return skip("this machine does not let a test mount a file system");
    }
    assert!(said.contains("cannot store") && said.contains("No space left"), "{said}");
    assert_eq!(output.status.code(), Some(0), "the one before is whole: {said}");
    let left = std::fs::read_to_string(house.dir.path().join("left")).unwrap();
    assert_eq!(left, "", "what was stored of it takes room");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_backups_at_once_are_one() {
    let house = House::new().await;
    house.fill();
    let mut holder = house.db.db().dedicated().await.unwrap();
    assert!(tenon_db::backups::try_lock(&mut holder).await.unwrap());
    house.refuses(&["backup", "create"], &["another backup of this database is running"]);
    house.refuses(&["backup", "prune"], &["another backup of this database is running"]);
    // One that is told to waits.
    let waiting =
        house.command(&["--json", "backup", "create", "--wait", "1m"]).stdin(Stdio::null()).spawn().unwrap();
    // Until it was turned away once.
    sql(
        &house,
        "DO $$ BEGIN
           WHILE (SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND query LIKE 'SELECT pg_try_advisory_lock%') < 2
           LOOP PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot(); END LOOP;
         END $$",
    )
    .await;
    drop(holder);
    let made = waiting.wait_with_output().unwrap();
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
}

async fn sql(house: &House, statement: &str) {
    let (client, connection) = tokio_postgres::connect(house.db.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::select! {
        done = client.batch_execute(statement) => done.unwrap(),
        _ = connection => panic!("the connection ended"),
    }
}

fn sha256(text: &str) -> String {
    use sha2::Digest;
    use std::fmt::Write;
    sha2::Sha256::digest(text).iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").unwrap();
        digits
    })
}
