//! Without Redis the program starts and works; with it again, it uses it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tenon_testkit::services::redis::Server;

use crate::{
    client::Client,
    installation::{Installation, Unit},
    processes::{get, until},
};

const PASSWORD: &str = "a long and unusual password";
/// The longest that a request may take here. A request that waited for Redis would take longer than the quickest by the
/// breaker's 250 ms; signing in takes the work of a password besides.
const QUICK: Duration = Duration::from_millis(200);

/// An installation whose bus, limiter and cache are a Redis of its own, which is stopped.
async fn without_redis() -> Option<(Installation, Server)> {
    let server = Server::start()?;
    server.stop().unwrap();
    let mut installation = Installation::new().await;
    installation.set("TENON__SERVER__LISTEN", "127.0.0.1:0");
    for part in ["BUS", "LIMITER", "CACHE"] {
        installation.set(&format!("TENON__{part}__BACKEND"), "redis");
        installation.set(&format!("TENON__{part}__URL"), &server.url());
    }
    Some((installation, server))
}

fn attempt(serve: &Unit, password: &str) -> u16 {
    let wish = json!({ "login": "ada@example.org", "password": password, "delivery": "body" });
    Client::new(serve.address()).post("/auth/sign-in", &wish).unwrap().status
}

/// The body of the readiness of a process that is ready.
fn readiness(unit: &Unit) -> Value {
    let answer = get(&unit.metrics(), "/readiness");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_starts_and_works_without_redis_and_uses_it_when_it_comes() {
    let Some((installation, server)) = without_redis().await else { return };
    installation.person("ada", &[]);
    let serve = installation.start(&["serve", "--metrics-listen", "127.0.0.1:0"]);
    let worker = installation.start(&["worker", "--metrics-listen", "127.0.0.1:0"]);
    readiness(&worker);
    assert_eq!(readiness(&serve)["degraded"], json!(["bus", "limiter"]));
    until(|| {
        let figures = get(&serve.metrics(), "/metrics");
        figures.contains(r#"component_ready{component="bus",kind="degrading"} 0"#).then_some(())
    });

    // No request waits for Redis, but for the one now and then that finds out whether it is back.
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let began = Instant::now();
            Client::new(serve.address()).get("/version").unwrap().expect(200);
            began.elapsed()
        })
        .collect();
    times.sort();
    eprintln!("without Redis: half {:?}, 90 % {:?}, the slowest {:?}", times[25], times[45], times[49]);
    assert!(times[45] < QUICK, "{times:?}");

    // Wrong passwords are counted in the process.
    let statuses: Vec<u16> = (0..30).map(|_| attempt(&serve, "wrong wrong wrong")).collect();
    assert_eq!(statuses[0], 401);
    assert!(statuses.contains(&429), "{statuses:?}");

    server.start_again().unwrap();
    until(|| (readiness(&serve)["degraded"] == json!([])).then_some(()));
    until(|| {
        (server.tell("DBSIZE").unwrap() != ":0").then_some(()).or_else(|| {
            Client::new(serve.address()).get("/version").unwrap();
            None
        })
    });
    for unit in [serve, worker] {
        unit.stop();
    }
    drop(server);
    installation.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_right_sign_ins_in_a_row_are_let_in() {
    let mut installation = Installation::new().await;
    installation.set("TENON__SERVER__LISTEN", "127.0.0.1:0");
    installation.person("ada", &[]);
    let serve = installation.start(&["serve"]);
    let statuses: Vec<u16> = (0..20).map(|_| attempt(&serve, PASSWORD)).collect();
    assert_eq!(statuses, [200; 20]);
    serve.stop();
    installation.end().await;
}
