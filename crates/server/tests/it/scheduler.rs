//! Two processes that schedule: whatever becomes of the one that leads, each tick has one job.

use std::{
    io::{BufRead, BufReader},
    process::Child,
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tenon_db::managed::{Managed, ManagedConfig};

use crate::{
    command_line::{directory, tenon, text},
    crash::Sql,
    processes::{command, stop},
};

/// Longest wait for a change of leaders: the server's patience with the one before, and a beat.
const PATIENCE: Duration = Duration::from_mins(1);

/// A process that schedules, and what it says of leading.
struct Scheduler {
    child: Child,
    leads: Receiver<bool>,
}

impl Scheduler {
    fn start(dir: &std::path::Path, url: &str) -> Self {
        let mut child = command(dir, &["scheduler"])
            .env("TENON__DATABASE__URL", url)
            .env("TENON__LOG__FORMAT", "json")
            // A tick every other second: no test waits for an hour to be over.
            .env("TENON__SCHEDULER__SCHEDULES__PURGE_EXPIRED__CRON", "*/2 * * * * *")
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (said, leads) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(leads) = line["scheduler.leads"].as_bool() {
                    said.send(leads).ok();
                }
            }
        });
        Self { child, leads }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until there are so many more ticks.
fn ticks_go_on(sql: &mut Sql, more: usize) {
    let count = |sql: &mut Sql| sql.pairs("SELECT schedule, tick::text FROM schedule_ticks").len();
    let wanted = count(sql) + more;
    let deadline = std::time::Instant::now() + PATIENCE;
    while count(sql) < wanted {
        assert!(std::time::Instant::now() < deadline, "the ticks stopped");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_frozen_is_followed_by_another_and_each_tick_has_one_job() {
    let dir = directory();
    let config = ManagedConfig { data_dir: dir.path().join("postgres"), ..ManagedConfig::default() };
    let postgres = Managed::start(config).await.unwrap();
    let url = postgres.url();
    let place = dir.path().to_owned();
    tokio::task::spawn_blocking(move || freeze(&place, &url)).await.unwrap();
    postgres.stop().await.unwrap();
}

fn freeze(dir: &std::path::Path, url: &str) {
    let migrated = command(dir, &["migrate"]).env("TENON__DATABASE__URL", url).output().unwrap();
    assert_eq!(migrated.status.code(), Some(0), "{}", text(&migrated.stderr));
    let mut sql = Sql::connect(url);
    let one = Scheduler::start(dir, url);
    assert!(one.leads.recv_timeout(PATIENCE).unwrap());
    ticks_go_on(&mut sql, 1);
    let two = Scheduler::start(dir, url);
    one.signal(Signal::STOP);
    assert!(two.leads.recv_timeout(PATIENCE).unwrap(), "the other leads");
    ticks_go_on(&mut sql, 2);
    one.signal(Signal::CONT);
    assert!(!one.leads.recv_timeout(PATIENCE).unwrap(), "the first hears that it does not lead");
    ticks_go_on(&mut sql, 2);
    // And back, by a killing.
    drop(two);
    assert!(one.leads.recv_timeout(PATIENCE).unwrap(), "the first leads again");
    ticks_go_on(&mut sql, 2);
    drop(one);

    let twice = sql.pairs(
        "SELECT correlation_id, count(*)::text FROM (SELECT correlation_id FROM jobs
         UNION ALL SELECT correlation_id FROM finished_jobs) j GROUP BY 1 HAVING count(*) <> 1",
    );
    assert!(twice.is_empty(), "ticks with more than one job: {twice:?}");
    let lost = sql.pairs(
        "SELECT tick::text, t.job::text FROM schedule_ticks t LEFT JOIN jobs j ON j.id = t.job
         AND j.correlation_id = 'schedule.purge_expired.' || extract(epoch FROM tick)::bigint WHERE j.id IS NULL",
    );
    assert!(lost.is_empty(), "ticks without their job: {lost:?}");
}

#[test]
fn what_cannot_be_a_schedule_is_told_before_anything_starts() {
    let dir = directory();
    let check = |line: &str| {
        std::fs::write(dir.path().join("t.toml"), format!("[scheduler.schedules]\n{line}\n")).unwrap();
        let checked = tenon(dir.path(), &["config", "check", "t.toml"]);
        assert_eq!(checked.status.code(), Some(2), "{line}");
        text(&checked.stderr).to_owned()
    };
    let typo = check("sweep_blobs = { cron = '15 25 * * *' }");
    assert!(typo.contains("sweep_blobs.cron: `15 25 * * *` is not a cron expression such as"), "{typo}");
    let zone = check("sweep_blobs = { time_zone = 'Mars/Olympus' }");
    assert!(zone.contains("there is no time zone Mars/Olympus"), "{zone}");
    let name = check("make_coffee = { cron = '15 3 * * *' }");
    assert!(name.contains("there is no key scheduler.schedules.make_coffee.cron"), "{name}");
}

#[test]
fn schedules_are_shown_with_their_times() {
    let dir = directory();
    std::fs::write(
        dir.path().join("tenon.toml"),
        "[scheduler.schedules.sweep_blobs]\ncron = '30 4 * * *'\ntime_zone = 'Europe/Berlin'\n",
    )
    .unwrap();
    let (up, _) = crate::processes::up(dir.path(), &[]);
    let shown = tenon(dir.path(), &["--config", "tenon.toml", "--json", "jobs", "schedules"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let sweep = shown.as_array().unwrap().iter().find(|s| s["name"] == "sweep_blobs").unwrap();
    assert_eq!((&sweep["cron"], &sweep["time_zone"]), (&"30 4 * * *".into(), &"Europe/Berlin".into()));
    assert!(sweep["next_tick"].as_str().unwrap().contains(":30:00"), "{sweep}");
    stop(up);
}
