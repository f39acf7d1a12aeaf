//! Queues outside the database, chosen by configuration and nothing else.

use std::path::Path;

use serde_json::{Value, json};
use tenon_testkit::services::redis::Server;

use crate::{
    client::Client,
    command_line::text,
    installation::{Installation, Unit},
    processes::{get, until},
};

const PASSWORD: &str = "a long and unusual password";

/// An installation whose queue is a Redis of its own; `None`, said loudly, where there is none.
async fn with_redis() -> Option<(Installation, Server)> {
    let server = Server::start()?;
    let mut installation = Installation::new().await;
    installation.set("TENON__SERVER__LISTEN", "127.0.0.1:0");
    Some((installation, server))
}

fn use_redis(installation: &mut Installation, server: &Server) {
    installation.set("TENON__QUEUE__BACKEND", "redis");
    installation.set("TENON__QUEUE__URL", &server.url());
}

fn sign_up(serve: &Unit, name: &str) {
    let wish = json!({
        "email": format!("{name}@example.org"), "full_name": "A person", "password": PASSWORD,
        "accept_terms": true, "accept_privacy": true,
    });
    Client::new(serve.address()).post("/auth/sign-up", &wish).unwrap().expect(202);
}

/// Waits until a mail went to this person.
fn mail_to(dir: &Path, name: &str) {
    let address = format!("{name}@example.org");
    until(|| {
        let mails = std::fs::read_dir(dir.join(".tenon/mail")).ok()?.flatten().map(|entry| entry.path());
        mails.filter_map(|path| std::fs::read_to_string(path).ok()).find(|mail| mail.contains(&address))
    });
}

fn json_of(installation: &Installation, arguments: &[&str]) -> Value {
    serde_json::from_str(&installation.tenon(&[&["--json"], arguments].concat())).unwrap()
}

#[tokio::test]
async fn mails_go_through_redis_and_what_became_of_their_jobs_is_known() {
    let Some((mut installation, server)) = with_redis().await else { return };
    use_redis(&mut installation, &server);
    assert!(installation.tenon(&["doctor"]).contains("queue         answers"));
    let serve = installation.start(&["serve"]);
    sign_up(&serve, "grace");
    let waiting = json_of(&installation, &["jobs", "list", "--name", "send_mail"]);
    assert_eq!(waiting[0]["state"], "waiting", "{waiting}");
    let worker = installation.start(&["worker", "--metrics-listen", "127.0.0.1:0"]);
    let scheduler = installation.start(&["scheduler", "--metrics-listen", "127.0.0.1:0"]);
    mail_to(installation.dir(), "grace");
    // Redis forgets everything, and the next mail goes out as well.
    assert_eq!(server.tell("FLUSHALL").unwrap(), "+OK");
    sign_up(&serve, "edsger");
    mail_to(installation.dir(), "edsger");
    // It ends with what it had, and a mail waits for the one that comes in its place.
    sign_up(&serve, "alan");
    server.stop().unwrap();
    sign_up(&serve, "kurt");
    server.start_again().unwrap();
    for name in ["alan", "kurt"] {
        mail_to(installation.dir(), name);
    }
    until(|| {
        let list = json_of(&installation, &["jobs", "list", "--state", "done", "--name", "send_mail"]);
        (list.as_array().unwrap().len() == 4).then_some(())
    });
    let ready = get(&worker.metrics(), "/readiness");
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("\"queue\""), "{ready}");
    until(|| {
        let figures = get(&scheduler.metrics(), "/metrics");
        figures.contains("queue_jobs{queue=\"mail\",state=\"waiting\"} 0").then_some(())
    });
    drop(server);
    until(|| Some(get(&worker.metrics(), "/readiness")).filter(|ready| ready.contains(" 503 ")));
    let ill = installation.outcome(&["doctor"]);
    assert_eq!(text(&ill.stderr), "tenon: not well: queue\n", "{}", text(&ill.stdout));
    // It is the worker's, and no reason to turn people away.
    sign_up(&serve, "barbara");
    for unit in [serve, worker, scheduler] {
        unit.stop();
    }
    installation.end().await;
}

#[tokio::test]
async fn jobs_move_from_the_database_to_redis_and_back() {
    let Some((mut installation, server)) = with_redis().await else { return };
    let serve = installation.start(&["serve"]);
    for name in ["grace", "edsger", "barbara"] {
        sign_up(&serve, name);
    }
    serve.stop();
    let unknown = installation.outcome(&["queue", "move", "--from", "postgres", "--to", "redis"]);
    assert_eq!(
        text(&unknown.stderr).trim(),
        "tenon: the settings of redis are not in the configuration: run this with queue.backend = \"redis\": \
         missing field `url`"
    );
    use_redis(&mut installation, &server);
    let moved = |from: &str, to: &str| {
        let moved = json_of(&installation, &["queue", "move", "--from", from, "--to", to]);
        assert_eq!((&moved["from"], &moved["to"], &moved["left"]), (&json!(from), &json!(to), &json!(0)));
        moved["moved"].as_u64().unwrap()
    };
    assert_eq!(moved("postgres", "redis"), 3);
    assert_eq!(moved("postgres", "redis"), 0);
    assert_eq!(moved("redis", "postgres"), 3);
    assert_eq!(moved("postgres", "redis"), 3);
    let same = installation.outcome(&["queue", "move", "--from", "redis", "--to", "redis"]);
    assert_eq!(text(&same.stderr), "tenon: the jobs of redis are there already\n");
    let stats = json_of(&installation, &["jobs", "stats"]);
    assert_eq!((&stats[0]["waiting"], &stats[0]["running"]), (&json!(3), &json!(0)), "{stats}");
    let worker = installation.start(&["worker"]);
    for name in ["grace", "edsger", "barbara"] {
        mail_to(installation.dir(), name);
    }
    worker.stop();
    installation.end().await;
}

#[cfg(feature = "sqlxmq")]
#[tokio::test]
async fn mails_go_through_sqlxmq_and_its_jobs_move_elsewhere() {
    let mut installation = Installation::new().await;
    installation.set("TENON__SERVER__LISTEN", "127.0.0.1:0");
    installation.set("TENON__QUEUE__BACKEND", "sqlxmq");
    assert!(installation.tenon(&["doctor"]).contains("queue         answers"));
    let serve = installation.start(&["serve"]);
    let worker = installation.start(&["worker"]);
    sign_up(&serve, "grace");
    mail_to(installation.dir(), "grace");
    until(|| {
        let list = json_of(&installation, &["jobs", "list", "--state", "done", "--name", "send_mail"]);
        (list.as_array().unwrap().len() == 1).then_some(())
    });
    worker.stop();
    for name in ["edsger", "barbara"] {
        sign_up(&serve, name);
    }
    let waiting = || json_of(&installation, &["jobs", "list", "--state", "waiting", "--name", "send_mail"]);
    until(|| (waiting().as_array().unwrap().len() == 2).then_some(()));
    serve.stop();
    // One that only waits can be cancelled, whatever the queue cannot do.
    let cancelled = waiting()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(json_of(&installation, &["jobs", "cancel", &cancelled])["state"], "cancelled");
    for (mistyped, refusal) in [
        (["jobs", "pause", "mial"], "There is no queue mial; did you mean mail?"),
        (["jobs", "resume", "nosuch"], "There is no queue nosuch; there are default, mail"),
        (["jobs", "run-now", "sweep_blob"], "There is no schedule sweep_blob; did you mean sweep_blobs?"),
        (["jobs", "list", "--name=sendmail"], "There is no job sendmail; did you mean send_mail?"),
    ] {
        let outcome = installation.outcome(&mistyped);
        assert_eq!(text(&outcome.stderr), format!("tenon: {refusal}\n"));
        assert!(!outcome.status.success());
    }
    let paused = installation.outcome(&["jobs", "pause", "mail"]);
    assert_eq!(text(&paused.stderr), "tenon: The configured queue does not support pausing\n");
    let moved = json_of(&installation, &["queue", "move", "--from", "sqlxmq", "--to", "postgres"]);
    assert_eq!((&moved["moved"], &moved["left"]), (&json!(1), &json!(0)));
    installation.set("TENON__QUEUE__BACKEND", "postgres");
    let worker = installation.start(&["worker"]);
    mail_to(installation.dir(), "barbara");
    worker.stop();
    installation.end().await;
}
