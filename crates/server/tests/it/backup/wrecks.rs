//! Restores that were not the last word: what they replaced, and what they leave when they break off.

use std::process::Stdio;

use tenon_db::{address::Address, databases};
use tenon_testkit::TestDb;

use super::{house::House, refusals::program};
use crate::{command_line::text, processes::until};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restore_replaced_is_never_restored_unless_it_is_named() {
    let house = House::new().await;
    house.fill();
    let good = house.json(&["backup", "create"])["id"].as_str().unwrap().to_owned();
    let safety = house.json(&["restore", "--force"])["safety_backup"].as_str().unwrap().to_owned();
    // Whoever is not content tries again, and has not the wreck back.
    let again = house.json(&["restore", "--force"]);
    assert_eq!(again["id"], *good, "{again}");
    assert_eq!(house.json(&["restore", "--force", "--from", "newest"])["id"], *good);
    assert_eq!(house.json(&["backup", "verify"])["id"], *good);
    assert_eq!(house.json(&["backup", "drill"])["id"], *good);
    let listed = house.json(&["backup", "list"]);
    let marked: Vec<bool> =
        listed.as_array().unwrap().iter().map(|one| one["safety"].as_bool().unwrap()).collect();
    assert_eq!(marked, [false, true, true, true], "{listed}");
    assert_eq!(house.json(&["restore", "--force", "--from", &safety])["id"], *safety);

    std::fs::remove_dir_all(house.dir.path().join("target/blobs/backups").join(&good)).unwrap();
    house.refuses(&["restore", "--force"], &["but what restores made of what they replaced", "name one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restore_leaves_that_broke_off_is_named_by_the_doctor_and_removed() {
    let house = House::new().await;
    house.fill();
    house.json(&["backup", "create"]);
    let mut other = House::beside(&house).with(TestDb::empty().await);
    let own = Address::of(other.db.url()).unwrap().database;
    let (started, go) = (house.dir.path().join("started"), house.dir.path().join("go"));
    let slow = format!("touch {}; while [ ! -e {} ]; do sleep 0.02; done", started.display(), go.display());
    let bin = program(&house, "pg_restore", &format!("{slow}; exec \"$real\" \"$@\"")).await;
    other.configure(&format!("[database]\nbin_dir = '{}'\n", bin.display()));
    let mut conn = house.db.db().dedicated().await.unwrap();
    // Somebody's own, though it begins as ours do.
    let theirs = format!("{}_restored_by_hand", &own[..19]);
    databases::create(&mut conn, &theirs, None).await.unwrap();

    for remover in [&["backup", "prune"][..], &["restore"]] {
        let mut restoring = other.command(&["restore"]).stdin(Stdio::null()).spawn().unwrap();
        until(|| started.exists().then_some(()));
        // One that runs is nobody's to clear away.
        assert_eq!(other.json(&["backup", "prune"])["databases"].as_array().map(Vec::len), Some(0));
        other.refuses(&["restore"], &["another restore", "is running"]);
        restoring.kill().unwrap();
        restoring.wait().unwrap();
        std::fs::write(&go, "").unwrap();

        let doctor = other.run(&["doctor"]);
        let told = text(&doctor.stdout);
        let line = told.lines().find(|line| line.contains("leftovers")).unwrap().to_owned();
        assert!(line.contains("_restored_2") && line.contains("tenon backup prune"), "{line}");
        assert!(!line.contains("by_hand"), "{line}");
        let left = line.split_whitespace().find(|word| word.contains("_restored_2")).unwrap().to_owned();
        assert!(databases::exists(&mut conn, &left).await.unwrap());
        // The server notices in its own time that nobody is there any more.
        until(|| {
            other
                .run(&["--json", "backup", "prune", "--dry-run"])
                .stdout
                .windows(left.len())
                .any(|part| part == left.as_bytes())
                .then_some(())
        });
        other.json(remover);
        assert!(!databases::exists(&mut conn, &left).await.unwrap(), "{remover:?}");
        std::fs::remove_file(&started).unwrap();
        std::fs::remove_file(&go).unwrap_or_default();
    }
    assert!(databases::exists(&mut conn, &theirs).await.unwrap());
    databases::drop(&mut conn, &theirs).await.unwrap();
}
