//! Nothing that was acknowledged is lost when processes are killed.
//!
//! Clients write over HTTP while the program, a backend of its database or the database's server is killed with
//! SIGKILL, at moments drawn from a seed. `TENON_TEST_SEED` runs a seed that failed again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{BufRead, BufReader},
    path::Path,
    process::Child,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tenon_db::managed::Managed;

use crate::{
    client::Client,
    command_line::{directory, text},
    people::with_input,
    processes::{address, command},
};

const PASSWORD: &str = "a long and unusual password";
/// Clients that write stories, comments and moves; one more signs people up.
const WRITERS: usize = 3;
/// Writes that must have been acknowledged between two killings, so that each finds the house alive.
const BETWEEN: usize = 30;
/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    /// The program; its database goes on and is adopted.
    Program,
    /// A backend: the database restarts itself under the running program.
    Backend,
    /// The database's server, and then the program.
    ServerThenProgram,
    /// The program, and then the database's server.
    ProgramThenServer,
}

/// What clients were told is done.
#[derive(Default)]
struct Acknowledged {
    /// Title by number.
    stories: BTreeMap<i64, String>,
    /// Body by id.
    comments: BTreeMap<String, String>,
    /// Number, version and column.
    moves: BTreeSet<(i64, i64, String)>,
    /// Addresses that a mail goes to.
    mailed: BTreeSet<String>,
}

/// What clients share.
struct World {
    address: Mutex<String>,
    project: String,
    columns: Vec<String>,
    token: String,
    acknowledged: Mutex<Acknowledged>,
    writes: AtomicUsize,
    over: AtomicBool,
}

/// The generator `SplitMix64`: enough to be random, and the same again for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(n).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

fn seed() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "tests have no configuration of their own")]
    let wanted = std::env::var("TENON_TEST_SEED");
    wanted.map_or_else(|_| uuid::Uuid::now_v7().as_u64_pair().1, |text| text.parse().unwrap())
}

/// The running program; what a failed test leaves of it is ended.
struct House<'a> {
    dir: &'a Path,
    child: Child,
}

impl<'a> House<'a> {
    /// A program that answers, and where.
    fn up(dir: &'a Path) -> (Self, String) {
        let (child, address) = up(dir);
        (Self { dir, child }, address)
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills, and starts again what was killed.
    fn strike(&mut self, victim: Victim, world: &World, dice: &mut Dice) {
        let server = postmaster(self.dir).expect("the database runs");
        match victim {
            Victim::Backend => {
                kill_number(*dice.pick(&backends(server)));
                return;
            }
            Victim::Program => self.kill(),
            Victim::ServerThenProgram => {
                kill_number(server);
                std::thread::sleep(Duration::from_millis(dice.roll() % 200));
                self.kill();
            }
            Victim::ProgramThenServer => {
                self.kill();
                kill_number(server);
            }
        }
        self.again(world);
    }

    /// Stops it as its user would.
    fn stop(&mut self) {
        let number = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(number, Signal::TERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }

    fn again(&mut self, world: &World) {
        let address;
        (self.child, address) = up(self.dir);
        *world.address.lock().unwrap() = address;
    }
}

impl Drop for House<'_> {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if let Some(server) = postmaster(self.dir) {
            kill_number(server);
        }
    }
}

/// Starts the program; answers it and where it listens.
fn up(dir: &Path) -> (Child, String) {
    let mut child = command(dir, &["--json", "up", "--listen", "127.0.0.1:0"])
        .env("TENON__RATE_LIMITS__SESSION", "1000000/1m")
        .env("TENON__RATE_LIMITS__LOGIN", "1000000/1m")
        .env("TENON__RATE_LIMITS__ANONYMOUS", "1000000/1m")
        // Requests that fail while the database is dead are no news here.
        .env("TENON__LOG__LEVEL", "error")
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (found, greeting) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            found.send(line).ok();
        }
    });
    let Ok(greeting) = greeting.recv_timeout(PATIENCE) else {
        child.kill().ok();
        panic!("the program does not come up");
    };
    (child, address(&serde_json::from_str(&greeting).unwrap()))
}

fn kill_number(number: i32) {
    // It may have ended by itself just now.
    kill_process(Pid::from_raw(number).unwrap(), Signal::KILL).ok();
}

/// The process number of the database's server, if one runs.
fn postmaster(dir: &Path) -> Option<i32> {
    let file = std::fs::read_to_string(dir.join(".tenon/postgres/data/postmaster.pid")).ok()?;
    file.lines().next()?.parse().ok()
}

/// Backends that serve our program.
fn backends(postmaster: i32) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap();
    let serves = |number: &i32| {
        std::fs::read_to_string(format!("/proc/{number}/cmdline"))
            .is_ok_and(|line| line.contains("tenon tenon"))
    };
    children.split_whitespace().map(|word| word.parse().unwrap()).filter(serves).collect()
}

impl World {
    /// A person with a project, through the program at `address`.
    fn new(dir: &Path, address: String) -> Self {
        let create = ["user", "create", "ada@example.org", "--name", "Ada", "--password-stdin"];
        let made = with_input(dir, &create, PASSWORD);
        assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        let wish = json!({ "login": "ada", "password": PASSWORD });
        let mut client = Client::new(&address);
        let pair = client.post("/auth/sign-in", &wish).unwrap().expect(200);
        let token = pair["access_token"].as_str().unwrap().to_owned();
        let mut client = client.bearing(&token);
        let workspace = client.post("/workspaces", &json!({ "name": "Works" })).unwrap().expect(201);
        let workspace = workspace["id"].as_str().unwrap();
        let wish = json!({ "name": "Web site", "key": "WEB" });
        let made = client.post(&format!("/workspaces/{workspace}/projects"), &wish).unwrap().expect(201);
        let project = made["id"].as_str().unwrap().to_owned();
        let board = client.get(&format!("/projects/{project}/workflows/main")).unwrap().expect(200);
        let columns = board["statuses"].as_array().unwrap();
        let columns = columns.iter().map(|column| column["id"].as_str().unwrap().to_owned()).collect();
        Self {
            address: Mutex::new(address),
            project,
            columns,
            token,
            acknowledged: Mutex::default(),
            writes: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        }
    }

    fn client(&self) -> Client {
        Client::new(self.address.lock().unwrap().as_str()).bearing(&self.token)
    }

    fn at(&self, rest: &str) -> String {
        format!("/projects/{}{rest}", self.project)
    }

    /// Does one thing after another until it is over; what is not acknowledged is forgotten.
    fn keep(&self, mut once: impl FnMut(&mut Client, usize) -> Option<()>) {
        let mut client = self.client();
        let mut turn = 0;
        while !self.over.load(SeqCst) {
            turn += 1;
            if once(&mut client, turn).is_some() {
                self.writes.fetch_add(1, SeqCst);
            } else {
                // It was killed, or its database was; somebody is about to start it again.
                std::thread::sleep(Duration::from_millis(10));
                client = self.client();
            }
        }
    }

    fn write(&self, client: &mut Client, dice: &mut Dice, name: &str) -> Option<()> {
        let story = {
            let known = self.acknowledged.lock().unwrap();
            let numbers: Vec<i64> = known.stories.keys().copied().collect();
            if numbers.is_empty() { None } else { Some(*dice.pick(&numbers)) }
        };
        match (dice.below(3), story) {
            (1, Some(story)) => self.comment(client, story, name),
            (2, Some(story)) => self.place(client, story, dice.pick::<String>(&self.columns)),
            _ => self.wish(client, name),
        }
    }

    fn wish(&self, client: &mut Client, title: &str) -> Option<()> {
        let wish = json!({ "title": title, "status_id": self.columns[0] });
        let made = done(client.post(&self.at("/stories"), &wish), 201)?;
        let number = made["ref"].as_i64().unwrap();
        let before = self.acknowledged.lock().unwrap().stories.insert(number, title.to_owned());
        assert_eq!(before, None, "the number {number} was given twice");
        Some(())
    }

    fn comment(&self, client: &mut Client, story: i64, body: &str) -> Option<()> {
        let path = self.at(&format!("/stories/{story}/comments"));
        let made = done(client.post(&path, &json!({ "body": body })), 201)?;
        let id = made["id"].as_str().unwrap().to_owned();
        self.acknowledged.lock().unwrap().comments.insert(id, body.to_owned());
        Some(())
    }

    fn place(&self, client: &mut Client, story: i64, column: &str) -> Option<()> {
        let wish = json!({ "refs": [story], "status_id": column });
        let moved = done(client.post(&self.at("/stories/move"), &wish), 200)?;
        let version = moved["items"][0]["version"].as_i64().unwrap();
        self.acknowledged.lock().unwrap().moves.insert((story, version, column.to_owned()));
        Some(())
    }

    fn sign_up(&self, client: &mut Client, turn: usize) -> Option<()> {
        let address = format!("person-{turn}@example.org");
        let wish = json!({
            "email": address, "full_name": "A person", "password": PASSWORD,
            "accept_terms": true, "accept_privacy": true,
        });
        done(client.post("/auth/sign-up", &wish), 202)?;
        self.acknowledged.lock().unwrap().mailed.insert(address);
        Some(())
    }

    /// Waits until so many more writes were acknowledged.
    fn progress(&self) {
        let (wanted, deadline) = (self.writes.load(SeqCst) + BETWEEN, Instant::now() + PATIENCE);
        while self.writes.load(SeqCst) < wanted {
            assert!(Instant::now() < deadline, "writes are not acknowledged any more");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything in the project's log, in order.
    fn changes(&self) -> Vec<Value> {
        let (mut client, mut all, mut after) = (self.client(), Vec::new(), 0);
        loop {
            let feed =
                client.get(&self.at(&format!("/changes?after={after}&limit=200"))).unwrap().expect(200);
            all.extend(feed["items"].as_array().unwrap().iter().cloned());
            after = feed["seq"].as_i64().unwrap();
            if feed["more"] == false {
                return all;
            }
        }
    }
}

/// The body of an answer that says the write is done. What breaks off or fails is not done, as far as anybody knows.
fn done(answer: std::io::Result<crate::client::Answer>, status: u16) -> Option<Value> {
    let answer = answer.ok()?;
    assert!(
        answer.status == status || answer.status >= 500 || answer.status == 429,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    (answer.status == status).then(|| answer.json())
}

#[test]
fn what_was_acknowledged_outlives_any_killing() {
    let dir = directory();
    let seed = seed();
    println!("TENON_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    let (mut house, address) = House::up(dir.path());
    let world = World::new(dir.path(), address);
    let mut victims =
        [Victim::Program, Victim::Backend, Victim::ServerThenProgram, Victim::ProgramThenServer];
    for i in (1..victims.len()).rev() {
        victims.swap(i, dice.below(i + 1));
    }
    std::thread::scope(|scope| {
        let world = &world;
        for writer in 0..WRITERS {
            let mut dice = Dice(dice.roll());
            scope.spawn(move || {
                world.keep(|client, turn| world.write(client, &mut dice, &format!("{writer}-{turn}")));
            });
        }
        scope.spawn(|| world.keep(|client, turn| world.sign_up(client, turn)));
        let struck = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for victim in victims {
                world.progress();
                std::thread::sleep(Duration::from_millis(dice.roll() % 300));
                house.strike(victim, world, &mut dice);
            }
            world.progress();
        }));
        world.over.store(true, SeqCst);
        if let Err(panic) = struck {
            std::panic::resume_unwind(panic);
        }
    });
    // A last time while jobs run; what was leased then comes back when the lease ends, which is now.
    house.kill();
    let url = Managed::running(&dir.path().join(".tenon/postgres")).expect("the database is left running");
    let mut sql = Sql::connect(&url);
    sql.run("UPDATE jobs SET lease_until = now() WHERE worker IS NOT NULL");
    sql.run("UPDATE jobs SET run_at = now() WHERE worker IS NULL AND run_at > now()");
    house.again(&world);

    let known = world.acknowledged.lock().unwrap();
    println!(
        "acknowledged: {} stories, {} comments, {} moves, {} sign-ups",
        known.stories.len(),
        known.comments.len(),
        known.moves.len(),
        known.mailed.len()
    );
    holds_in_the_log(&world, &known);
    holds_on_the_board(&world, &known);
    let comments: BTreeMap<_, _> = sql.pairs("SELECT id::text, body FROM comments").into_iter().collect();
    for (id, body) in &known.comments {
        assert_eq!(comments.get(id), Some(body), "a comment is missing");
    }
    let gaps = sql.pairs(
        "SELECT s.id::text, concat_ws(' ', s.seq, count(c.seq), min(c.seq), max(c.seq))
         FROM streams s LEFT JOIN changes c ON c.stream = s.id GROUP BY s.id
         HAVING count(c.seq) <> s.seq OR coalesce(max(c.seq), 0) <> s.seq OR coalesce(min(c.seq), 1) <> 1",
    );
    assert!(gaps.is_empty(), "streams whose log is not gap-free (id; head, count, first, last): {gaps:?}");
    every_job_ran(&mut sql, dir.path(), &known.mailed);
    house.stop();
}

/// `seq` is 1, 2, 3, …; numbers of stories too; every acknowledged write is there.
fn holds_in_the_log(world: &World, known: &Acknowledged) {
    let changes = world.changes();
    for (change, expected) in changes.iter().zip(1..) {
        assert_eq!(change["seq"], expected, "the feed has a gap");
    }
    let of = |kind: &str| {
        let kind = kind.to_owned();
        changes.iter().filter(move |change| change["kind"] == kind.as_str()).map(|change| &change["data"])
    };
    let numbers: Vec<i64> = of("story.created").map(number).collect();
    assert!(numbers.iter().copied().eq(1..=i64::try_from(numbers.len()).unwrap()), "{numbers:?}");
    let titles: HashMap<i64, &str> =
        of("story.created").map(|story| (number(story), story["title"].as_str().unwrap())).collect();
    for (number, title) in &known.stories {
        assert_eq!(titles.get(number), Some(&title.as_str()), "story {number} is missing from the log");
    }
    let comments: BTreeSet<&str> = of("comment.created").map(|c| c["id"].as_str().unwrap()).collect();
    for id in known.comments.keys() {
        assert!(comments.contains(id.as_str()), "comment {id} is missing from the log");
    }
    let moves: BTreeSet<(i64, i64, String)> = of("story.moved")
        .map(|m| (number(m), m["version"].as_i64().unwrap(), m["status_id"].as_str().unwrap().to_owned()))
        .collect();
    let missing: Vec<_> = known.moves.difference(&moves).collect();
    assert!(missing.is_empty(), "moves are missing from the log: {missing:?}");
}

/// The number in a change's data, whatever it calls it.
fn number(data: &Value) -> i64 {
    data["ref"].as_i64().or_else(|| data["number"].as_i64()).unwrap()
}

/// The board shows what the log tells.
fn holds_on_the_board(world: &World, known: &Acknowledged) {
    let board = world.client().get(&world.at("/workflows/main")).unwrap().expect(200);
    let stories = board["stories"].as_array().unwrap();
    let mut numbers: Vec<i64> = stories.iter().map(number).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=i64::try_from(numbers.len()).unwrap()), "{numbers:?}");
    let shown: HashMap<i64, &Value> = stories.iter().map(|story| (number(story), story)).collect();
    for (number, title) in &known.stories {
        assert_eq!(shown[number]["title"], title.as_str());
    }
    for (number, version, column) in &known.moves {
        let story = shown[number];
        let now = story["version"].as_i64().unwrap();
        assert!(now > *version || now == *version && story["status_id"] == column.as_str(), "{story}");
    }
}

/// The queue runs empty, nothing died, and every mail that was promised is in the folder.
fn every_job_ran(sql: &mut Sql, dir: &Path, promised: &BTreeSet<String>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = sql.pairs("SELECT name, concat_ws(' ', attempts, worker, error) FROM jobs");
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "jobs that did not run: {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let dead = sql.pairs("SELECT name, error FROM finished_jobs WHERE state <> 'done'");
    assert!(dead.is_empty(), "jobs that were given up: {dead:?}");
    let mails = std::fs::read_dir(dir.join(".tenon/mail")).unwrap().map(|entry| entry.unwrap().path());
    let mails: Vec<String> = mails
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let missing = |address: &&String| !mails.iter().any(|mail| mail.contains(address.as_str()));
    let missing: Vec<&String> = promised.iter().filter(missing).collect();
    assert!(missing.is_empty(), "no mail went to {missing:?}");
}

/// A connection beside the program's.
pub(crate) struct Sql {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

impl Sql {
    pub(crate) fn connect(url: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (client, connection) =
            runtime.block_on(tokio_postgres::connect(url, tokio_postgres::NoTls)).unwrap();
        runtime.spawn(connection);
        Self { runtime, client }
    }

    pub(crate) fn run(&mut self, statement: &str) {
        self.runtime.block_on(self.client.execute(statement, &[])).unwrap();
    }

    pub(crate) fn pairs(&mut self, query: &str) -> Vec<(String, String)> {
        let rows = self.runtime.block_on(self.client.query(query, &[])).unwrap();
        rows.iter().map(|row| (row.get(0), row.get::<_, Option<String>>(1).unwrap_or_default())).collect()
    }
}
