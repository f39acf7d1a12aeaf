//! `tenon maintenance`, and what every process of an installation makes of it.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    command_line::text,
    installation::{Installation, Unit},
    live::Live,
    processes::{get, get_with, until},
};

/// What `address` answers to somebody with a token.
fn ask(address: &str, token: &str) -> String {
    get_with(address, "/api/v1/me", &format!("authorization: Bearer {token}\r\n"))
}

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn mails(dir: &Path) -> usize {
    std::fs::read_dir(dir.join(".tenon/mail")).map_or(0, |files| {
        files.flatten().filter(|file| file.path().extension().is_some_and(|end| end == "eml")).count()
    })
}

#[tokio::test]
async fn every_process_closes_and_opens_again_without_a_restart() {
    let mut installation = Installation::new().await;
    installation.set("TENON__SERVER__LISTEN", "127.0.0.1:0");
    installation.person("bob", &[]);
    let token = ["token", "create", "bob", "--name", "t", "--scopes", "read-account,read-projects"];
    let bob = installation.tenon(&token);
    let operator = installation.token();
    let serve = || installation.start(&["serve", "--metrics-listen", "127.0.0.1:0"]);
    let (first, second) = (serve(), serve());
    let worker = installation.start(&["worker", "--metrics-listen", "127.0.0.1:0"]);
    // The mail that lets Eve choose a password.
    installation.tenon(&["user", "create", "eve@example.org", "--name", "Eve"]);
    until(|| (mails(installation.dir()) == 1).then_some(()));
    let live = Live::open(&second.address(), &bob).unwrap_or_else(|refused| panic!("{refused}"));

    assert_eq!(installation.tenon(&["maintenance", "status"]), "Maintenance is off.");
    let on = ["--json", "maintenance", "on", "--message", "Moving house.", "--until", "2h"];
    let on: Value = serde_json::from_str(&installation.tenon(&on)).unwrap();
    assert_eq!((&on["on"], &on["message"]), (&json!(true), &json!("Moving house.")));
    let closed = |unit: &Unit| {
        let address = unit.address();
        let refused = until(|| Some(ask(&address, &bob)).filter(|answer| answer.contains(" 503 ")));
        let wait = refused.to_lowercase();
        let wait = wait.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
        assert!((7100..=7200).contains(&wait.parse().unwrap()), "{wait}");
        let problem = body(&refused);
        assert_eq!((&problem["code"], &problem["detail"]), (&json!("maintenance"), &json!("Moving house.")));
        assert!(get(&address, "/api/v1/health").starts_with("HTTP/1.1 200"));
        assert!(get(&address, "/api/v1/readiness").starts_with("HTTP/1.1 200"));
        assert!(ask(&address, &operator).starts_with("HTTP/1.1 200"), "administrators may look");
        assert!(get(&unit.metrics(), "/metrics").contains("\nmaintenance_mode 1\n"));
    };
    closed(&first);
    closed(&second);
    assert_eq!(live.closed(), 4010);
    assert!(Live::open(&second.address(), &operator).err().unwrap().contains(" 503 "));

    // A job that comes now waits, as long as it takes to restart a process; one that was restarted is closed at once.
    let worker_knows = || get(&worker.metrics(), "/metrics").contains("\nmaintenance_mode 1\n").then_some(());
    until(worker_knows);
    installation.tenon(&["user", "create", "mallory@example.org", "--name", "Mallory"]);
    first.stop();
    let first = serve();
    assert!(ask(&first.address(), &bob).starts_with("HTTP/1.1 503"), "from the first answer on");
    closed(&first);
    let waiting = ["--json", "jobs", "list", "--state", "waiting"];
    let waiting: Vec<Value> = serde_json::from_str(&installation.tenon(&waiting)).unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!((&waiting[0]["name"], &waiting[0]["attempts"]), (&json!("send_mail"), &json!(0)));
    assert_eq!(mails(installation.dir()), 1);

    // Given again, it changes what people are told, and keeps the beginning.
    let again: Value = serde_json::from_str(&installation.tenon(&["--json", "maintenance", "on"])).unwrap();
    assert_eq!(
        (&again["since"], &again["message"], &again["until"]),
        (&on["since"], &Value::Null, &Value::Null)
    );

    assert_eq!(installation.tenon(&["maintenance", "off"]), "Maintenance is off.");
    for unit in [&first, &second] {
        until(|| ask(&unit.address(), &bob).starts_with("HTTP/1.1 200").then_some(()));
    }
    until(|| (mails(installation.dir()) == 2).then_some(()));
    for unit in [first, second, worker] {
        unit.stop();
    }
    installation.end().await;
}

#[tokio::test]
async fn what_cannot_be_announced_is_refused() {
    let installation = Installation::new().await;
    for (arguments, words) in [
        (["--until", "tomorrow"], "--until tomorrow is neither a time"),
        (["--until", "2001-01-01T00:00:00Z"], "is in the past"),
        (["--message", "two\nlines"], "the message must not contain control characters"),
    ] {
        let output = installation.outcome(&[&["maintenance", "on"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
        assert_eq!(installation.tenon(&["maintenance", "status"]), "Maintenance is off.");
    }
    installation.end().await;
}
