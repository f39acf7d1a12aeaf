//! Requests per second, latency and processor time of the most frequent requests, beside the same query alone.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tenon_db::managed::Managed;

use crate::{
    client::{Answer, Client},
    program::{Program, command, directory, processor, resident},
};

const PASSWORD: &str = "a long and unusual password";
/// How long each line of the table is measured.
const SPAN: Duration = Duration::from_secs(4);
const STORIES: i64 = 1000;

/// One line of the table.
struct Figures {
    per_second: f64,
    p50: f64,
    p99: f64,
    server: f64,
    postgres: f64,
}

struct Place {
    token: String,
    project: String,
    column: String,
}

pub(crate) fn run() {
    let dir = directory();
    let program = Program::up(dir.path(), |_| ());
    let place = furnish(dir.path(), &program.address);
    let url = Managed::running(&dir.path().join(".tenon/postgres")).unwrap();
    let (server, postgres) = (program.child.id(), program.postmaster());
    let at = |rest: &str| format!("/projects/{}{rest}", place.project);
    let client = || Client::new(&program.address).bearing(&place.token);

    println!("| request | at once | per second | p50 | p99 | CPU of the server | CPU of Postgres |");
    println!("|---|---|---|---|---|---|---|");
    let mut story_cost = 0.0;
    for at_once in [1, 16] {
        let wish = json!({ "login": "ada", "password": PASSWORD });
        let figures = measure(at_once, server, postgres, |thread| {
            // Each attempt from a place of its own: attempts are counted per place.
            let mut turn = thread << 16;
            let address = program.address.clone();
            let wish = wish.clone();
            move || {
                turn += 1;
                let from = format!("10.{}.{}.{}", turn >> 16, (turn >> 8) & 255, turn & 255);
                Client::new(&address).with_header("x-forwarded-for", &from).post("/auth/sign-in", &wish)
            }
        });
        print("sign-in", at_once, &figures);
        let figures = measure(at_once, server, postgres, |_| {
            let (mut client, path) = (client(), at("/stories/500"));
            move || client.get(&path)
        });
        print("story", at_once, &figures);
        story_cost = figures.server + figures.postgres;
        let figures = measure(at_once, server, postgres, |_| {
            let (mut client, path) = (client(), at("/workflows/main"));
            move || client.get(&path)
        });
        print("board of 1000", at_once, &figures);
    }
    let bare_cost = bare(&url, &place.project, postgres);
    pgbench(dir.path(), &url, &place.project, postgres);
    // Last, as it makes the board longer.
    for at_once in [1, 16] {
        let figures = measure(at_once, server, postgres, |_| {
            let (mut client, path) = (client(), at("/stories"));
            let wish = json!({ "title": "One more", "status_id": place.column });
            move || client.post(&path, &wish)
        });
        print("create a story", at_once, &figures);
    }
    println!(
        "\nstory, 16 at once: {:.1} times the processor time of the bare handler (target 3)",
        story_cost / bare_cost
    );
    println!("memory after all this: {:.1} MiB", resident(server));
}

/// A person with a project of [`STORIES`] stories.
fn furnish(dir: &Path, address: &str) -> Place {
    let mut create = command(dir);
    create.args(["user", "create", "ada@example.org", "--name", "Ada", "--password-stdin"]);
    let mut create = create.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    create.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    assert!(create.wait().unwrap().success());
    let mut client = Client::new(address);
    let pair = client.post("/auth/sign-in", &json!({ "login": "ada", "password": PASSWORD })).unwrap();
    let token = pair.expect(200)["access_token"].as_str().unwrap().to_owned();
    let mut client = client.bearing(&token);
    let mut made = |path: &str, wish: Value| client.post(path, &wish).unwrap().expect(201);
    let workspace = made("/workspaces", json!({ "name": "Works" }));
    let path = format!("/workspaces/{}/projects", workspace["id"].as_str().unwrap());
    let project = made(&path, json!({ "name": "Web site", "key": "WEB" }))["id"].as_str().unwrap().to_owned();
    let board = client.get(&format!("/projects/{project}/workflows/main")).unwrap().expect(200);
    let column = board["statuses"][0]["id"].as_str().unwrap().to_owned();
    for number in 1..=STORIES {
        let wish = json!({
            "title": format!("Story {number} of a board that is as full as boards get"),
            "description": "As a *member* I want a description of common length. ".repeat(8),
            "status_id": column,
        });
        client.post(&format!("/projects/{project}/stories"), &wish).unwrap().expect(201);
    }
    Place { token, project, column }
}

/// Calls from so many threads for [`SPAN`], after a while to warm up.
fn measure<F>(at_once: usize, server: u32, postgres: u32, caller: impl Fn(usize) -> F) -> Figures
where
    F: FnMut() -> std::io::Result<Answer> + Send,
{
    let mut callers: Vec<F> = (0..at_once).map(caller).collect();
    for call in &mut callers {
        let answer = call().unwrap();
        assert!(answer.status < 300, "{}", String::from_utf8_lossy(&answer.body));
    }
    let before = (processor(server, false), processor(postgres, true));
    let start = Instant::now();
    let mut took: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = callers
            .into_iter()
            .map(|mut call| {
                scope.spawn(move || {
                    let mut took = Vec::new();
                    while start.elapsed() < SPAN {
                        let begun = Instant::now();
                        assert!(call().unwrap().status < 300);
                        took.push(begun.elapsed().as_secs_f64() * 1000.0);
                    }
                    took
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let span = start.elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    let count = f64::from(u32::try_from(took.len()).unwrap());
    let each = |after: f64, before: f64| (after - before) * 1000.0 / count;
    Figures {
        per_second: count / span,
        p50: took[took.len() / 2],
        p99: took[took.len() * 99 / 100],
        server: each(processor(server, false), before.0),
        postgres: each(processor(postgres, true), before.1),
    }
}

fn print(what: &str, at_once: usize, f: &Figures) {
    println!(
        "| {what} | {at_once} | {:.0} | {:.2} ms | {:.2} ms | {:.3} ms | {:.3} ms |",
        f.per_second, f.p50, f.p99, f.server, f.postgres
    );
}

/// The story's query behind a bare handler; answers its processor time per request at 16 at once.
fn bare(url: &str, project: &str, postgres: u32) -> f64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["bare", url, project])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
    let mut cost = 0.0;
    for at_once in [1, 16] {
        let figures = measure(at_once, child.id(), postgres, |_| {
            let mut client = Client::new(address.trim());
            move || client.get("/500")
        });
        print("story, bare handler", at_once, &figures);
        cost = figures.server + figures.postgres;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    cost
}

/// The story's query alone, prepared, by `pgbench`.
fn pgbench(dir: &Path, url: &str, project: &str, postgres: u32) {
    let script = dir.join("story.sql");
    std::fs::write(&script, include_str!("story.sql").replace("PROJECT", project)).unwrap();
    for at_once in ["1", "16"] {
        let before = processor(postgres, true);
        let seconds = SPAN.as_secs().to_string();
        let output = Command::new("pgbench")
            .args(["-n", "-M", "prepared", "-c", at_once, "-j", "1", "-T", &seconds, "-f"])
            .arg(&script)
            .arg(url)
            .output();
        let Ok(output) = output else {
            println!("| story, pgbench | {at_once} | pgbench is not installed | | | | |");
            continue;
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let number = |name: &str| -> f64 {
            let line = said.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(f64::NAN)
        };
        let (per_second, latency) = (number("tps = "), number("latency average = "));
        let count = number("number of transactions actually processed: ");
        let cost = (processor(postgres, true) - before) * 1000.0 / count;
        println!(
            "| story, pgbench | {at_once} | {per_second:.0} | {latency:.2} ms (mean) | | | {cost:.3} ms |"
        );
    }
}
