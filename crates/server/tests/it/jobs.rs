//! Jobs across whole processes: killed, without their bus, followed from request to log.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Child,
};

use serde_json::{Value, json};
use tenon_db::managed::{Managed, ManagedConfig};

use crate::{
    client::Client,
    command_line::{directory, tenon, text},
    crash::Sql,
    processes::{address, command, line_with, stop, until},
    tour::{commands, has_tools, run},
};

/// A database, and processes on it that share a data directory.
struct House {
    dir: tempfile::TempDir,
    url: String,
    postgres: Option<Managed>,
}

impl House {
    async fn new() -> Self {
        let dir = directory();
        let config = ManagedConfig { data_dir: dir.path().join("postgres"), ..ManagedConfig::default() };
        let postgres = Managed::start(config).await.unwrap();
        let house = Self { dir, url: postgres.url(), postgres: Some(postgres) };
        let migrated = house.command(&["migrate"]).output().unwrap();
        assert_eq!(migrated.status.code(), Some(0), "{}", text(&migrated.stderr));
        house
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = command(self.dir.path(), arguments);
        command.env("TENON__DATABASE__URL", &self.url).env("TENON__LOG__FORMAT", "json");
        command
    }

    /// A process that serves, and where.
    fn serve(&self) -> (Child, String) {
        let mut serving =
            self.command(&["serve"]).env("TENON__SERVER__LISTEN", "127.0.0.1:0").spawn().unwrap();
        let line = line_with(&mut serving, "Tenon answers at");
        let address = line["address"].as_str().unwrap().trim_start_matches("http://").to_owned();
        (serving, address)
    }

    /// The mail that is there before long.
    fn mail(&self) -> String {
        until(|| mails(&self.dir.path().join(".tenon/mail")).into_iter().next())
    }

    async fn close(mut self) {
        self.postgres.take().unwrap().stop().await.unwrap();
    }
}

fn mails(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mails = entries.filter(|path: &PathBuf| path.extension().is_some_and(|end| end == "eml"));
    mails.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn sign_up(client: &mut Client) {
    let wish = json!({
        "email": "ada@example.org", "full_name": "Ada", "password": "a long and unusual password",
        "accept_terms": true, "accept_privacy": true,
    });
    client.post("/auth/sign-up", &wish).unwrap().expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn l41_a_mail_promised_by_a_process_that_is_killed_is_sent() {
    let house = House::new().await;
    let (mut serving, address) = house.serve();
    sign_up(&mut Client::new(&address));
    // Nobody has had time to send anything: this process runs no jobs.
    serving.kill().unwrap();
    serving.wait().unwrap();
    assert!(mails(&house.dir.path().join(".tenon/mail")).is_empty());
    let worker = house.command(&["worker"]).spawn().unwrap();
    assert!(house.mail().contains("To: Ada <ada@example.org>"));
    stop(worker);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l42_a_worker_whose_redis_is_stopped_does_its_work() {
    let house = House::new().await;
    let mut command = house.command(&["worker"]);
    for part in ["BUS", "LIMITER", "CACHE"] {
        command.env(format!("TENON__{part}__BACKEND"), "redis");
        // Nobody listens there.
        command.env(format!("TENON__{part}__URL"), "redis://127.0.0.1:1/0");
    }
    let worker = command.spawn().unwrap();
    let (serving, address) = house.serve();
    sign_up(&mut Client::new(&address));
    assert!(house.mail().contains("To: Ada <ada@example.org>"));
    stop(worker);
    stop(serving);
    house.close().await;
}

#[test]
fn a_request_is_followed_through_its_job_and_mail_to_the_log() {
    const REQUEST: &str = "a-request-to-follow-1";
    let dir = directory();
    let log = File::create(dir.path().join("log")).unwrap();
    let mut up = command(dir.path(), &["--json", "up", "--listen", "127.0.0.1:0"])
        .env("TENON__SERVER__TRUSTED_PROXIES", "127.0.0.1")
        .env("TENON__LOG__FORMAT", "json")
        .env("TENON__LOG__LEVEL", "info,tenon_app=debug")
        .stderr(log)
        .spawn()
        .unwrap();
    let address = address(&line_with(&mut up, "address"));
    sign_up(&mut Client::new(&address).with_header("X-Correlation-ID", REQUEST));
    let mail = until(|| mails(&dir.path().join(".tenon/mail")).into_iter().next());
    assert!(mail.contains(&format!("X-Correlation-ID: {REQUEST}")), "{mail}");
    let jobs = until(|| {
        let shown = tenon(dir.path(), &["--json", "jobs", "list", "--state", "done", "--name", "send_mail"]);
        let jobs: Value = serde_json::from_slice(&shown.stdout).unwrap();
        jobs.as_array().filter(|jobs| !jobs.is_empty()).cloned()
    });
    assert_eq!(jobs[0]["correlation_id"], REQUEST);
    stop(up);
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let told: Vec<&str> = log.lines().filter(|line| line.contains(REQUEST)).collect();
    let of_job = jobs[0]["id"].as_str().unwrap();
    assert!(told.iter().any(|line| line.contains(of_job) && line.contains("send_mail")), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lets_nobody_make_tables_is_named_and_left_alone() {
    let house = House::new().await;
    let poor = house.url.replace("postgres://tenon@", "postgres://poor@").replace("/tenon", "/empty");
    assert_ne!(poor, house.url);
    let administer = async |statement: &'static str| {
        let url = house.url.clone();
        tokio::task::spawn_blocking(move || Sql::connect(&url).run(statement)).await.unwrap();
    };
    administer("CREATE ROLE poor LOGIN").await;
    administer("CREATE DATABASE empty").await;
    let refused = command(house.dir.path(), &["migrate"])
        .env("TENON__DATABASE__URL", &poor)
        .stderr(std::process::Stdio::piped())
        .output();
    let refused = refused.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("permission denied for schema public"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    // And again, once it may.
    administer("ALTER DATABASE empty OWNER TO poor").await;
    let migrated =
        command(house.dir.path(), &["migrate"]).env("TENON__DATABASE__URL", &poor).output().unwrap();
    assert_eq!(migrated.status.code(), Some(0));
    house.close().await;
}

#[test]
fn a_worker_of_a_queue_that_is_not_is_refused() {
    let dir = directory();
    for name in ["mial", "mail queue", "ü'; DROP TABLE jobs"] {
        let refused = command(dir.path(), &["worker"])
            .env("TENON__WORKER__QUEUES", name)
            .stderr(std::process::Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(2));
        let said = text(&refused.stderr);
        assert!(said.contains(&format!("there is no queue {name}; the queues are default, mail")), "{said}");
    }
}

#[test]
fn every_command_of_the_page_on_jobs_does_what_it_says() {
    const PAGE: &str = include_str!("../../../../docs/admin/jobs.md");
    if !has_tools() {
        return;
    }
    let dir = directory();
    let (up, _) = crate::processes::up(dir.path(), &[]);
    let url = Managed::running(&dir.path().join(".tenon/postgres")).unwrap();
    // What nobody wishes for, and the page is about.
    let mut sql = Sql::connect(&url);
    for _ in 0..2 {
        sql.run(
            "INSERT INTO jobs (id, queue, name, payload, priority, run_at, max_attempts)
             VALUES (gen_random_uuid(), 'default', 'make_coffee', '{}', 0, now(), 3)",
        );
    }
    until(|| {
        let dead = "SELECT id::text, name FROM finished_jobs WHERE state = 'dead'";
        (sql.pairs(dead).len() == 2).then_some(())
    });
    let script = commands(PAGE);
    assert!(script.lines().count() > 12, "the page has commands");
    run(&script, dir.path(), &[]);
    drop(sql);
    stop(up);
}
