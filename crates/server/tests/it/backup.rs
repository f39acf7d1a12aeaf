//! Backups made, looked at and restored by the program, on a real server, to a directory and to S3.

mod house;
mod moments;
mod refusals;
mod wrecks;

use std::{
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use serde_json::Value;
use tenon_testkit::{
    TestDb,
    services::{postgres, s3},
};

use self::house::House;
use crate::{
    command_line::{directory, text},
    processes::{command, get, line_with, stop, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn l37_a_restored_instance_is_full_to_its_members_and_l38_their_files_are_of_the_same_moment() {
    let house = House::new().await;
    let before = house.fill();
    let made = house.json(&["backup", "create"]);
    assert_eq!((made["state"].as_str(), made["copied_files"].as_u64()), (Some("whole"), Some(2)), "{made}");
    assert_eq!(made["counts"]["stories"], 1, "{made}");
    assert!(made["size_bytes"].as_u64().unwrap() > 100_000, "{made}");

    // What comes later is not in it; a file that is removed later is.
    let serving = house.serve();
    let mut ada = before.client(&serving.address);
    ada.post(&before.at("/stories"), &serde_json::json!({ "title": "Later", "status_id": before.column }))
        .unwrap()
        .expect(201);
    ada.call("DELETE", &before.at(&format!("/stories/1/attachments/{}", before.files[0].0)), None)
        .unwrap()
        .expect(204);
    stop(serving.child);

    // Another machine: neither database, files nor keys.
    let other = House::beside(&house).with(TestDb::empty().await);
    std::fs::remove_dir_all(house.dir.path().join("data")).unwrap();
    let restored = other.json(&["restore"]);
    assert_eq!(restored["id"], made["id"]);
    assert_eq!(restored["files"]["restored"], 2, "{restored}");
    assert_eq!(restored["seen_by_members"]["workspaces"], 1, "{restored}");
    assert_eq!(restored["seen_by_members"]["stories"], 1, "{restored}");
    assert!(restored["doctor"].as_array().unwrap().iter().all(|finding| finding["well"] == true));

    let serving = other.serve();
    // Even the token is good: the keys came back as well.
    let mut ada = before.client(&serving.address);
    let workspaces = ada.get("/workspaces").unwrap().expect(200);
    assert_eq!(workspaces["items"][0]["name"], "Works", "{workspaces}");
    let stories = ada.get(&before.at("/stories")).unwrap().expect(200);
    assert_eq!(stories["items"].as_array().unwrap().len(), 1, "{stories}");
    for (id, bytes) in &before.files {
        let file = ada.get(&before.at(&format!("/stories/1/attachments/{id}/content"))).unwrap();
        assert_eq!((file.status, &file.body), (200, bytes));
    }
    stop(serving.child);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_to_s3_is_encrypted_and_copies_files_once() {
    let mut house = House::new().await;
    let store = s3::Server::start().await;
    store.create_bucket("backups");
    let (identity, recipient) = house::age_key();
    house.configure(&house::s3_target(&store, "backups"));
    house.configure(&format!("[backup]\nrecipients = ['{recipient}']\n"));
    house.fill();
    let first = house.json(&["backup", "create"]);
    assert_eq!((first["encrypted"].as_bool(), first["copied_files"].as_u64()), (Some(true), Some(2)));
    let second = house.json(&["backup", "create"]);
    assert_eq!((second["files"].as_u64(), second["copied_files"].as_u64()), (Some(2), Some(0)), "{second}");

    let closed = house.json(&["backup", "verify"]);
    assert_eq!((closed["opened"].as_bool(), closed["objects"].as_u64()), (Some(false), Some(5)), "{closed}");
    std::fs::write(house.dir.path().join("identity"), &identity).unwrap();
    house.configure("[backup]\nidentity_file = 'identity'\n");
    assert_eq!(house.json(&["backup", "verify", first["id"].as_str().unwrap()])["opened"], true);
    let listed = house.json(&["backup", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2, "both are of today: {listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_of_postgres_trust_the_servers_that_we_trust() {
    let dir = directory();
    std::fs::write(dir.path().join("t.toml"), "data_dir = 'data'\n[backup.target]\ndirectory = 'target'\n")
        .unwrap();
    let server = postgres::Server::start().await;
    let run = |query: &str, arguments: &[&str]| {
        let mut command = command(dir.path(), &["--config", "t.toml"]);
        command.args(arguments).env("TENON__DATABASE__URL", server.url(query)).stderr(Stdio::piped());
        let output = command.output().unwrap();
        (output.status.code(), text(&output.stderr).to_owned())
    };
    let authority = format!("sslrootcert={}", server.authority().display());
    assert_eq!(run(&authority, &["migrate"]), (Some(0), String::new()));
    // Those of a server that can, of one that must, and in the clear.
    for query in [&authority, &format!("sslmode=verify-full&{authority}"), "sslmode=disable"] {
        assert_eq!(run(query, &["backup", "create"]), (Some(0), String::new()), "{query}");
    }
    let (code, said) = run("sslmode=require", &["backup", "create"]);
    assert!(code == Some(1) && said.contains("invalid peer certificate"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_broke_off_is_no_backup_and_is_cleared_away() {
    let house = House::new().await;
    house.fill();
    let made = house.json(&["backup", "create"]);
    let blobs = house.dir.path().join("target/blobs");
    let broken = blobs.join("backups/20200101T000000Z-0000");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("database"), "half of it").unwrap();
    let orphan = blobs.join("files/attachments/00000000-0000-0000-0000-000000000000.20200101T000000Z-0000");
    std::fs::write(&orphan, "a file of it").unwrap();

    let listed = house.json(&["backup", "list"]);
    assert_eq!(listed[0]["state"], "unfinished", "{listed}");
    assert_eq!(listed[1]["id"], made["id"]);
    let refused = house.run(&["restore", "--from", "20200101T000000Z-0000"]);
    assert!(text(&refused.stderr).contains("broke off before it was whole"), "{}", text(&refused.stderr));
    assert_eq!(house.json(&["backup", "verify"])["id"], made["id"], "the newest whole one");

    let would = house.json(&["backup", "prune", "--dry-run"]);
    assert_eq!(
        (&would["leftovers"][0], would["files"].as_u64()),
        (&Value::from("20200101T000000Z-0000"), Some(1))
    );
    assert!(orphan.exists());
    house.json(&["backup", "prune"]);
    assert!(!orphan.exists() && !broken.join("database").exists());
    assert!(house.json(&["backup", "verify"])["problems"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_in_the_middle_of_a_file_is_none_and_the_next_is_whole() {
    let house = House::new().await;
    let world = house.fill();
    // The storage gives half of a file, and then nothing for a long time.
    let file = file_in_storage(house.dir.path(), &world.files[0].0);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    let mut making = house.command(&["backup", "create"]).stdin(Stdio::null()).spawn().unwrap();
    let mut slow = std::fs::File::options().write(true).open(&file).unwrap();
    std::io::Write::write_all(&mut slow, &bytes[..bytes.len() / 2]).unwrap();
    making.kill().unwrap();
    making.wait().unwrap();
    drop(slow);
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, &bytes).unwrap();

    let listed = house.json(&["backup", "list"]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["state"]), (1, &Value::from("unfinished")));
    house.refuses(&["restore"], &["there is no full backup"]);
    let made = house.json(&["backup", "create"]);
    assert_eq!(made["removed"]["leftovers"], serde_json::json!([listed[0]["id"]]), "{made}");
    let verified = house.json(&["backup", "verify"]);
    assert_eq!((&verified["id"], verified["problems"].as_array().unwrap().len()), (&made["id"], 0));
    assert_eq!(house.json(&["backup", "list"]).as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_restore_backs_up_what_it_replaces() {
    let house = House::new().await;
    let world = house.fill();
    let first = house.json(&["backup", "create"]);
    let serving = house.serve();
    world
        .client(&serving.address)
        .post(&world.at("/stories"), &serde_json::json!({ "title": "Later", "status_id": world.column }))
        .unwrap()
        .expect(201);
    let in_use = house.run(&["restore", "--force"]);
    assert!(text(&in_use.stderr).contains("is in use by"), "{}", text(&in_use.stderr));
    stop(serving.child);

    let refused = house.run(&["restore"]);
    assert!(text(&refused.stderr).contains("is not empty; with --force"), "{}", text(&refused.stderr));
    let restored = house.json(&["restore", "--force", "--from", first["id"].as_str().unwrap()]);
    let safety = restored["safety_backup"].as_str().unwrap().to_owned();
    assert_eq!(restored["seen_by_members"]["stories"], 1, "{restored}");
    // And there again.
    let again = house.json(&["restore", "--force", "--from", &safety]);
    assert_eq!(again["seen_by_members"]["stories"], 2, "{again}");
    assert_eq!(again["files"]["present"], 2, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_restores_into_a_cluster_of_its_own_and_its_figures_are_shown() {
    let house = House::new().await;
    house.fill();
    let mut scheduler =
        house.command(&["scheduler"]).env("TENON__METRICS__LISTEN", "127.0.0.1:0").spawn().unwrap();
    let address = line_with(&mut scheduler, "Figures are at")["address"].as_str().unwrap().to_owned();
    // That there is none can be told, so that there is an alarm.
    until(|| get(&address, "/metrics").contains("backup_last_success_timestamp_seconds 0\n").then_some(()));
    house.json(&["backup", "create"]);
    let drilled = house.json(&["backup", "drill"]);
    assert_eq!(drilled["seen_by_members"]["projects"], 1, "{drilled}");
    assert_eq!(drilled["files"], 2, "{drilled}");
    assert!(drilled["seconds"].as_f64().unwrap() > 0.0);
    for name in [
        "backup_last_success_timestamp_seconds",
        "backup_last_duration_seconds",
        "backup_size_bytes",
        "backup_drill_last_success_timestamp_seconds",
        "backup_drill_duration_seconds",
    ] {
        until(|| {
            let figures = get(&address, "/metrics");
            let line = figures.lines().find(|line| line.starts_with(&format!("{name} ")))?.to_owned();
            line.split(' ').nth(1)?.parse::<f64>().ok().filter(|value| *value > 0.0)
        });
    }
    stop(scheduler);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_storage_has_lost_is_told_and_the_rest_is_backed_up() {
    let house = House::new().await;
    let world = house.fill();
    let id = &world.files[0].0;
    std::fs::remove_file(file_in_storage(house.dir.path(), id)).unwrap();
    std::fs::write(file_in_storage(house.dir.path(), &world.files[1].0), "something else").unwrap();
    let made = house.run(&["--json", "backup", "create"]);
    assert_eq!(made.status.code(), Some(1));
    assert!(text(&made.stderr).contains("has lost 2 of the files"), "{}", text(&made.stderr));
    let shown: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(shown["lost_files"].as_array().unwrap().len(), 2);
    assert_eq!(house.json(&["backup", "list"])[0]["state"], "whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_damaged_in_the_backup_does_not_keep_the_rest_from_coming_back() {
    let house = House::new().await;
    let world = house.fill();
    let first = house.json(&["backup", "create"])["id"].as_str().unwrap().to_owned();
    let object = house::objects(house.dir.path(), &format!("{}.", world.files[1].0)).pop().unwrap();
    let mut bytes = std::fs::read(&object).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&object, &bytes).unwrap();
    house.refuses(&["backup", "verify"], &["can be restored but for 1 files", "damaged"]);
    // The next backup has bytes of its own of what is gone.
    let file = file_in_storage(house.dir.path(), &world.files[1].0);
    let kept = house.dir.path().join("kept");
    std::fs::rename(&file, &kept).unwrap();

    let other = House::beside(&house).with(TestDb::empty().await);
    let restored = other.run(&["--json", "restore"]);
    assert_eq!(restored.status.code(), Some(1));
    assert!(text(&restored.stderr).contains("neither the storage nor a backup has these files"));
    let shown: Value = serde_json::from_slice(&restored.stdout).unwrap();
    assert_eq!(
        shown["files"]["lost"],
        serde_json::json!([format!("attachments/{}", world.files[1].0)]),
        "{shown}"
    );
    assert_eq!(shown["seen_by_members"]["stories"], 1, "{shown}");

    std::fs::rename(&kept, &file).unwrap();
    std::fs::remove_file(&object).unwrap();
    assert_eq!(house.json(&["backup", "create"])["copied_files"], 1);
    std::fs::remove_file(&file).unwrap();
    let restored = other.json(&["restore", "--force", "--from", &first]);
    assert_eq!(restored["files"]["restored"], 1, "{restored}");
    assert_eq!(std::fs::read(&file).unwrap(), world.files[1].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_the_storage_lost_come_back_while_everything_runs() {
    let house = House::new().await;
    let world = house.fill();
    house.json(&["backup", "create"]);
    let serving = house.serve();
    let (id, bytes) = &world.files[1];
    std::fs::remove_file(file_in_storage(house.dir.path(), id)).unwrap();
    let restored = house.json(&["restore", "--files-only"]);
    assert_eq!(
        (&restored["files"]["present"], &restored["files"]["restored"]),
        (&Value::from(1), &Value::from(1))
    );
    let path = world.at(&format!("/stories/1/attachments/{id}/content"));
    let file = world.client(&serving.address).get(&path).unwrap();
    assert_eq!((file.status, &file.body), (200, bytes));
    stop(serving.child);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_move_to_another_store_while_everything_runs() {
    let house = House::new().await;
    let mut world = house.fill();
    let store = s3::Server::start().await;
    store.create_bucket("files");
    let elsewhere = house::s3_target(&store, "files").replace("[backup.target]", "[storage]");
    std::fs::write(house.dir.path().join("s3.toml"), elsewhere).unwrap();
    let serving = house.serve();
    let first = house.json(&["storage", "copy", "--to", "s3.toml"]);
    assert_eq!((&first["copied"], &first["present"]), (&Value::from(2), &Value::from(0)), "{first}");
    world.attach(&serving.address, "late.txt", b"uploaded meanwhile".to_vec());
    let second = house.json(&["storage", "copy", "--to", "s3.toml"]);
    assert_eq!((&second["copied"], &second["present"]), (&Value::from(1), &Value::from(2)), "{second}");
    stop(serving.child);

    // And back, where one is damaged and one is gone.
    let stored = |position: usize| file_in_storage(house.dir.path(), &world.files[position].0);
    std::fs::write(stored(0), "something else").unwrap();
    std::fs::remove_file(stored(1)).unwrap();
    let back = house.json(&["storage", "copy", "--from", "s3.toml"]);
    assert_eq!((&back["copied"], &back["present"]), (&Value::from(2), &Value::from(1)), "{back}");
    for (position, (_, bytes)) in world.files.iter().enumerate() {
        assert_eq!(&std::fs::read(stored(position)).unwrap(), bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l38_a_backup_made_while_people_write_has_every_file_that_its_database_refers_to() {
    let house = House::new().await;
    let mut world = house.fill();
    let serving = house.serve();
    let over = AtomicBool::new(false);
    let made = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut ada = world.client(&serving.address);
            for turn in 0.. {
                world.story(&mut ada, "Meanwhile");
                world.attach(&serving.address, "meanwhile.txt", format!("the file {turn}").into_bytes());
                if over.load(SeqCst) {
                    return turn;
                }
            }
            0
        });
        let made: Vec<Value> = (0..3).map(|_| house.json(&["backup", "create"])).collect();
        over.store(true, SeqCst);
        assert!(writing.join().unwrap() > 3, "people wrote meanwhile");
        made
    });
    stop(serving.child);
    std::fs::remove_dir_all(house.dir.path().join("data/files")).unwrap();
    for backup in made {
        let other = House::beside(&house).with(TestDb::empty().await);
        let restored = other.json(&["restore", "--from", backup["id"].as_str().unwrap()]);
        assert_eq!(restored["counts"], backup["counts"]);
        let files =
            restored["files"]["present"].as_u64().unwrap() + restored["files"]["restored"].as_u64().unwrap();
        assert_eq!(Some(files), backup["counts"]["attachments"].as_u64(), "{restored}");
    }
}

fn file_in_storage(dir: &Path, id: &str) -> std::path::PathBuf {
    dir.join("data/files/blobs/attachments").join(id)
}
