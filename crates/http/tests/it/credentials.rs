//! Who may come in, and from where they say they come.

use crate::harness::sample::{FIRST, Sample};

#[tokio::test]
async fn without_a_good_credential_the_answer_is_401() {
    let sample = Sample::new().await;
    for call in [
        sample.get(FIRST),
        sample.get(FIRST).header("authorization", "Bearer eve"),
        sample.get(FIRST).header("authorization", "Basic YTpi"),
        sample.get(FIRST).header("authorization", "Bearer"),
        sample.get(FIRST).header("cookie", "__Host-tenon_access=eve"),
    ] {
        let answer = call.send().await;
        assert_eq!(answer.problem(), (401, "unauthenticated".to_owned()));
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn a_change_by_cookie_needs_the_token_of_its_session() {
    let sample = Sample::new().await;
    let proof = "proof of 00000000-0000-0000-0000-000000000002";
    let change = || sample.patch(FIRST).header("cookie", "__Host-tenon_access=ada").json("{}");
    assert_eq!(change().send().await.problem(), (403, "csrf".to_owned()));
    assert_eq!(change().header("x-csrf-token", "proof of another").send().await.status, 403);
    assert_eq!(change().header("x-csrf-token", proof).send().await.status, 200);
    assert_eq!(sample.get(FIRST).header("cookie", "__Host-tenon_access=ada").send().await.status, 200);
    assert_eq!(sample.patch(FIRST).signed().json("{}").send().await.status, 200);
}

#[tokio::test]
async fn l06_a_client_is_known_by_what_trusted_proxies_say() {
    let sample = Sample::new().await;
    let address = async |peer: &'static str, forwarded: &'static str| {
        let call = sample.get("/who").signed().from(peer);
        let call = if forwarded.is_empty() { call } else { call.header("x-forwarded-for", forwarded) };
        call.send().await.json()[0].as_str().unwrap().to_owned()
    };
    assert_eq!(address("192.0.2.1", "").await, "192.0.2.1");
    assert_eq!(address("192.0.2.1", "203.0.113.9").await, "192.0.2.1");
    assert_eq!(address("10.0.0.1", "203.0.113.9").await, "203.0.113.9");
    assert_eq!(address("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.2.3.4").await, "203.0.113.9");
    assert_eq!(address("10.0.0.1", "203.0.113.9, rubbish").await, "10.0.0.1");
}

#[tokio::test]
async fn the_scope_is_that_of_the_operation() {
    let sample = Sample::new().await;
    assert_eq!(sample.get("/who").signed().send().await.json()[1], "read-account");
}

#[tokio::test]
async fn l08_a_token_in_the_query_is_no_credential() {
    let sample = Sample::new().await;
    assert_eq!(sample.get("/who?access_token=ada").send().await.status, 401);
}

#[tokio::test]
async fn a_credential_that_is_optional_must_still_be_good() {
    let sample = Sample::new().await;
    assert_eq!(sample.post("/notes/queue").send().await.json()["name"], "nobody");
    assert_eq!(sample.post("/notes/queue").signed().send().await.json()["name"], "somebody");
    assert_eq!(sample.post("/notes/queue").header("authorization", "Bearer eve").send().await.status, 401);
}

#[tokio::test]
async fn a_websocket_opens_only_for_pages_of_ours() {
    let sample = Sample::new().await;
    let foreign = sample.get("/events").header("origin", "https://evil.example").send().await;
    assert_eq!(foreign.problem(), (403, "origin-not-allowed".to_owned()));
    let ours = sample.get("/events").header("origin", "https://tenon.example.org").send().await;
    assert_eq!(ours.problem(), (426, "upgrade-required".to_owned()));
    assert_eq!(sample.get("/events").send().await.status, 426);
}
