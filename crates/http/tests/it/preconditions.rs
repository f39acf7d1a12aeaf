//! Entity tags: reading again costs nothing, changing what one has not seen is refused.

use crate::harness::sample::{FIRST, Sample};

#[tokio::test]
async fn a_tag_spares_the_body() {
    let sample = Sample::new().await;
    let first = sample.get(FIRST).signed().send().await;
    assert!(first.header("etag").starts_with("\"3-"), "{}", first.header("etag"));
    let again = sample.get(FIRST).signed().header("if-none-match", first.header("etag")).send().await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), first.header("etag"));
    let listed = format!("\"x\", W/{}", first.header("etag"));
    assert_eq!(sample.get(FIRST).signed().header("if-none-match", listed).send().await.status, 304);
    let suffixed = format!("W/{}-gzip\"", first.header("etag").trim_end_matches('"'));
    assert_eq!(sample.get(FIRST).signed().header("if-none-match", suffixed).send().await.status, 304);
    assert_eq!(sample.get(FIRST).signed().header("if-none-match", "\"3-0\"").send().await.status, 200);
}

#[tokio::test]
async fn l19_if_match_is_honoured() {
    let sample = Sample::new().await;
    let change = async |tag: &str| {
        sample.patch(FIRST).signed().header("if-match", tag).json(r#"{"title":"New"}"#).send().await
    };
    let tag = sample.get(FIRST).signed().send().await.header("etag").to_owned();
    assert_eq!(change(&tag).await.status, 200);
    assert_eq!(change("*").await.status, 200);
    let stale = change("\"2-aaaaaaaaaaaaaaaa\"").await;
    assert_eq!(stale.problem(), (412, "stale".to_owned()));
    assert_eq!(stale.json()["current"]["title"], "First");
    let bare = tag.trim_matches('"');
    for good in [
        format!("W/{tag}"),
        format!("\"{bare}-gzip\""),
        format!("\"{bare};gzip\""),
        format!("\"zzz\", {tag}"),
    ] {
        assert_eq!(change(&good).await.status, 200, "{good}");
    }
    let foreign = change("\"zzz\"").await;
    assert_eq!(foreign.problem(), (412, "stale".to_owned()));
    assert!(!foreign.json()["detail"].as_str().unwrap().contains("version 0"), "{}", foreign.json());
    assert_eq!(change("nonsense").await.problem(), (400, "malformed".to_owned()));
    let bare = sample.call("DELETE", format!("/api/v1{FIRST}")).signed().send().await;
    assert_eq!(bare.problem(), (428, "precondition-required".to_owned()));
    let nowhere = FIRST.replace("000001", "000009");
    let stranger = sample.call("DELETE", format!("/api/v1{nowhere}")).signed().send().await;
    assert_eq!(
        stranger.problem(),
        (404, "not-found".to_owned()),
        "what is not theirs comes before what is missing"
    );
    let gone = sample.call("DELETE", format!("/api/v1{FIRST}")).signed().header("if-match", tag).send().await;
    assert_eq!(gone.status, 204);
}

#[tokio::test]
async fn a_compressed_answer_keeps_a_strong_tag() {
    let sample = Sample::new().await;
    let plain = sample.get("/notes/board").send().await;
    let packed = sample.get("/notes/board").header("accept-encoding", "gzip").send().await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let expected = format!("{}+gzip\"", plain.header("etag").trim_end_matches('"'));
    assert_eq!(packed.header("etag"), expected);
    let again = sample.get("/notes/board").header("if-none-match", packed.header("etag")).send().await;
    assert_eq!(again.status, 304);
}

#[tokio::test]
async fn l15_creation_is_201_with_its_address() {
    let sample = Sample::new().await;
    let answer = sample.post("/notes").signed().json(r#"{"title":"a"}"#).send().await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), "/api/v1/notes/00000000-0000-0000-0000-000000000007");
    assert!(answer.header("etag").starts_with("\"1-"));
    let found = sample.call("GET", answer.header("location")).signed().send().await;
    assert_eq!(found.header("etag"), answer.header("etag"));
}
