//! Budgets of calls: known in advance, drawn from once, never in the way when the limiter is away.

use std::sync::{Arc, atomic::Ordering};

use tenon_core::ports::limiter::Budget;

use crate::harness::sample::{FIRST, Gone, Sample};

fn per_minute(calls: u32) -> Budget {
    Budget { calls, window: std::time::Duration::from_mins(1) }
}

#[tokio::test]
async fn every_answer_tells_what_is_left() {
    let sample = Sample::with(|settings| settings.limits.session = per_minute(7)).await;
    let answer = sample.get(FIRST).signed().send().await;
    assert_eq!(answer.header("ratelimit-policy"), r#""session";q=7;w=60"#);
    assert!(answer.header("ratelimit").starts_with(r#""session";r=6;t="#), "{}", answer.header("ratelimit"));
    assert_eq!((answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")), ("7", "6"));
    let token = sample.get(FIRST).header("authorization", "Bearer tenon_pat_abcd").send().await;
    assert!(token.header("ratelimit").starts_with(r#""token""#));
    let nobody = sample.get("/nowhere").send().await;
    assert!(nobody.header("ratelimit").starts_with(r#""anonymous""#));
}

#[tokio::test]
async fn l12_over_the_budget_is_429_and_nothing_runs() {
    let sample = Sample::with(|settings| settings.limits.login = per_minute(2)).await;
    for _ in 0..2 {
        assert_eq!(sample.post("/sign-in").send().await.status, 200);
    }
    let answer = sample.post("/sign-in").send().await;
    assert_eq!(answer.problem(), (429, "rate-limited".to_owned()));
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert_eq!(sample.desk.runs.load(Ordering::SeqCst), 2);
    assert_eq!(sample.get("/version").send().await.status, 200);
}

#[tokio::test]
async fn l13_refused_calls_are_not_counted() {
    let second = Budget { calls: 1, window: std::time::Duration::from_millis(300) };
    let sample = Sample::with(|settings| settings.limits.anonymous = second).await;
    assert_eq!(sample.get("/version").send().await.status, 200);
    // A client that keeps knocking all the while is let in as soon as the window has passed.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    let mut refused = 0;
    while sample.get("/version").send().await.status == 429 {
        refused += 1;
        assert!(tokio::time::Instant::now() < deadline, "never let in again");
        tokio::task::yield_now().await;
    }
    assert!(refused > 0);
}

#[tokio::test]
async fn l06_each_client_behind_a_proxy_has_a_budget_of_its_own() {
    let sample = Sample::with(|settings| settings.limits.anonymous = per_minute(1)).await;
    let from = async |peer: &'static str, forwarded: &'static str| {
        sample.get("/version").from(peer).header("x-forwarded-for", forwarded).send().await.status
    };
    assert_eq!(from("10.0.0.1", "203.0.113.1").await, 200);
    assert_eq!(from("10.0.0.1", "203.0.113.2").await, 200);
    assert_eq!(from("10.0.0.1", "203.0.113.1").await, 429);
    assert_eq!(from("192.0.2.1", "203.0.113.3").await, 200);
    assert_eq!(from("192.0.2.1", "203.0.113.4").await, 429, "a forged header is no way out");
}

#[tokio::test]
async fn made_up_credentials_are_counted_where_they_come_from() {
    let sample = Sample::with(|settings| settings.limits.anonymous = per_minute(2)).await;
    let statuses = async |bearer: &str| {
        let call = sample.get(FIRST).from("192.0.2.7").header("authorization", format!("Bearer {bearer}"));
        call.send().await.status
    };
    assert_eq!([statuses("eve1").await, statuses("eve2").await, statuses("eve3").await], [401, 401, 429]);
}

#[tokio::test]
async fn a_limiter_that_is_away_lets_calls_through() {
    let sample = Sample::over(Arc::new(Gone), |_| {}, Vec::new());
    let answer = sample.get(FIRST).signed().send().await;
    assert_eq!((answer.status, answer.header("ratelimit")), (200, ""));
}

#[tokio::test]
async fn probes_draw_from_no_budget() {
    let sample = Sample::with(|settings| settings.limits.anonymous = per_minute(1)).await;
    for _ in 0..5 {
        assert_eq!(sample.get("/health").send().await.status, 200);
    }
}
