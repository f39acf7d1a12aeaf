//! The instance itself.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use tenon_http::readiness::Check;

use crate::harness::sample::{Gone, Sample};

fn sample(checks: Vec<Check>) -> Sample {
    Sample::over(Arc::new(Gone), |_| {}, checks)
}

#[tokio::test]
async fn readiness_names_what_is_ready() {
    let sample =
        sample(vec![Check::new("database", || async { Ok(()) }), Check::new("bus", || async { Ok(()) })]);
    let answer = sample.get("/readiness").send().await;
    assert_eq!(answer.json(), json!({"status": "ready", "components": ["database", "bus"], "degraded": []}));
}

#[tokio::test]
async fn readiness_does_not_fail_for_what_can_be_done_without() {
    let bus = || Check::degrading("bus", || async { Err("Redis at 10.1.2.3 cannot be reached.".into()) });
    let sample = sample(vec![Check::new("database", || async { Ok(()) }), bus()]);
    let stranger = sample.get("/readiness").from("192.0.2.1").send().await;
    assert_eq!(stranger.status, 200);
    let body = stranger.json();
    assert_eq!((&body["status"], &body["components"]), (&json!("ready"), &json!(["database"])));
    assert_eq!(body["degraded"], json!([{ "component": "bus", "detail": "is not ready" }]));
    let here = sample.get("/readiness").from("127.0.0.1").send().await;
    assert_eq!(here.json()["degraded"][0]["detail"], "Redis at 10.1.2.3 cannot be reached.");
}

#[tokio::test]
async fn l21_readiness_keeps_details_from_strangers() {
    let broken = || Check::new("database", || async { Err("password of tenon@10.1.2.3 refused".into()) });
    let sample = sample(vec![broken(), Check::new("bus", || async { Ok(()) })]);
    let stranger = sample.get("/readiness").from("192.0.2.1").send().await;
    assert_eq!(stranger.problem(), (503, "not-ready".to_owned()));
    assert_eq!(stranger.fault(), "database not-ready");
    assert!(!String::from_utf8_lossy(&stranger.body).contains("10.1.2.3"));
    let forged =
        sample.get("/readiness").from("192.0.2.1").header("x-forwarded-for", "127.0.0.1").send().await;
    assert!(!String::from_utf8_lossy(&forged.body).contains("10.1.2.3"));
    let here = sample.get("/readiness").from("127.0.0.1").send().await;
    assert!(String::from_utf8_lossy(&here.body).contains("10.1.2.3"));
    let metrics =
        sample.get("/readiness").from("192.0.2.1").header("authorization", "Bearer of metrics").send().await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("10.1.2.3"));
}

#[tokio::test]
async fn components_are_asked_once_a_second_and_not_waited_for() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let counted = Check::new("storage", move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    });
    let ready = sample(vec![counted]);
    for _ in 0..5 {
        ready.get("/readiness").send().await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn health_touches_nothing() {
    let sample = sample(vec![Check::new("database", || async { Err("away".into()) })]);
    assert_eq!(sample.get("/health").send().await.status, 200);
    assert_eq!(sample.get("/version").send().await.json()["name"], "tenon");
    assert_eq!(sample.get("/languages").send().await.json()["items"][2]["name"], "Français");
}
