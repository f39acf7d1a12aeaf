//! What is wrong with a request is said in one shape, with the place, a word and a sentence.

use crate::harness::sample::{FIRST, Sample};

async fn faults(cases: &[(&str, u16, &str)]) {
    let sample = Sample::new().await;
    for (body, status, expected) in cases {
        let answer = sample.post("/notes").signed().json(*body).send().await;
        let said = if answer.status == 422 { answer.fault() } else { answer.problem().1 };
        assert_eq!((answer.status, said.as_str()), (*status, *expected), "{}", answer.json());
    }
}

#[tokio::test]
async fn a_refused_field_is_named_by_pointer_and_code() {
    faults(&[
        ("{}", 422, "/title missing"),
        (r#"{"title":"a","colour":1}"#, 422, "/colour unknown-field"),
        (r#"{"title":"a","title":"b"}"#, 422, "/title duplicate-field"),
        (r#"{"title":7}"#, 422, "/title wrong-type"),
        (r#"{"title":"  "}"#, 422, "/title too-short"),
        (r#"{"title":"a","kind":"odd"}"#, 422, "/kind unknown-value"),
        (r#"{"title":"a","kind":7}"#, 422, "/kind wrong-type"),
        (r#"{"title":"a","kind":}"#, 400, "malformed"),
        (r#"{"title":"a","tags":[{"color":1},{"color":"red"}]}"#, 422, "/tags/1/color wrong-type"),
        (r#"{"title":"a","tags":[{"color":300}]}"#, 422, "/tags/0/color invalid-value"),
        (r#"{"title":"a","tags":[{"color":30}]}"#, 422, "/tags/0/color out-of-range"),
        (r#"{"title":"a","tags":[{"colour":1}]}"#, 422, "/tags/0/colour unknown-field"),
        ("[]", 422, " wrong-type"),
    ])
    .await;
}

#[tokio::test]
async fn l20_null_long_nul_and_deep_values_are_the_callers_fault_not_ours() {
    let long = format!(r#"{{"title":"{}"}}"#, "x".repeat(500_000));
    let deep = format!(r#"{{"title":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    faults(&[
        (r#"{"title":null}"#, 422, "/title wrong-type"),
        (r#"{"title":"a\u0000b"}"#, 422, "/title control-character"),
        (&long, 422, "/title too-long"),
        (&deep, 422, "/title wrong-type"),
        (&"[".repeat(100_000), 422, " wrong-type"),
        ("{\"title\":\"a\u{0}\"}", 400, "malformed"),
        (r#"{"title":"a""#, 400, "malformed"),
        (r#"{"title":"a"} x"#, 400, "malformed"),
        ("not json", 400, "malformed"),
    ])
    .await;
    let sample = Sample::new().await;
    for id in ["x", "00000000-0000-0000-0000-00000000000", "%00", "..%2f", "%ff"] {
        let answer = sample.get(&format!("/notes/{id}")).signed().send().await;
        assert_eq!(answer.problem(), (404, "not-found".to_owned()), "{id}");
    }
    let answer = sample.get("/notes?cursor=a%00b").signed().send().await;
    assert_eq!((answer.status, answer.fault().as_str()), (422, "cursor control-character"));
}

#[tokio::test]
async fn a_refusal_does_not_repeat_what_was_sent() {
    let sample = Sample::new().await;
    let body = r#"{"title":{"password":"hunter2"},"kind":"hunter2"}"#;
    let answer = sample.post("/notes").signed().json(body).send().await;
    assert_eq!(answer.status, 422);
    assert!(!String::from_utf8_lossy(&answer.body).contains("hunter2"));
}

#[tokio::test]
async fn the_media_type_must_be_json_and_the_size_within_a_mebibyte() {
    let sample = Sample::new().await;
    let form =
        sample.post("/notes").signed().bytes("application/x-www-form-urlencoded", b"title=a").send().await;
    assert_eq!(form.problem(), (415, "unsupported-media-type".to_owned()));
    let none = sample.post("/notes").signed().send().await;
    assert_eq!(none.status, 415);
    let charset = sample
        .post("/notes")
        .signed()
        .bytes("application/json; charset=utf-8", br#"{"title":"a"}"#)
        .send()
        .await;
    assert_eq!(charset.status, 201);
    let latin = sample.post("/notes").signed().bytes("application/json; charset=latin1", br#"{"title":"a"}"#);
    assert_eq!(latin.send().await.problem(), (415, "unsupported-charset".to_owned()));
    let packed = sample.post("/notes").signed().header("content-encoding", "gzip").json(r#"{"title":"a"}"#);
    let packed = packed.send().await;
    assert_eq!(packed.problem(), (415, "unsupported-encoding".to_owned()));
    assert_eq!(packed.header("accept-encoding"), "identity");
    let body = format!(r#"{{"title":"{}"}}"#, "x".repeat(1 << 20));
    let large = sample.post("/notes").signed().json(body).send().await;
    assert_eq!(large.problem(), (413, "too-large".to_owned()));
}

#[tokio::test]
async fn in_a_patch_absent_is_not_null() {
    let sample = Sample::new().await;
    let patch = async |body: &'static str| {
        let call = sample.patch(FIRST).signed().bytes("application/merge-patch+json", body.as_bytes());
        call.send().await
    };
    assert_eq!(patch("{}").await.json()["body"], "of all");
    assert_eq!(patch(r#"{"body":null}"#).await.json()["body"], serde_json::Value::Null);
    assert_eq!(patch(r#"{"body":"new"}"#).await.json()["body"], "new");
    let null = patch(r#"{"title":null}"#).await;
    assert_eq!((null.status, null.fault().as_str()), (422, "/title wrong-type"));
    let plain = sample.patch(FIRST).signed().json(r#"{"title":"Second"}"#).send().await;
    assert_eq!(plain.json()["title"], "Second");
}

#[tokio::test]
async fn query_parameters_are_typed_repeated_and_known() {
    let sample = Sample::new().await;
    let list = async |query: &str| sample.get(&format!("/notes?{query}")).signed().send().await;
    assert_eq!(list("kind=to-do&kind=plain&limit=2").await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(list("kind=plain").await.json()["items"].as_array().unwrap().len(), 0);
    for (query, fault) in [
        ("limit=x", "limit wrong-type"),
        ("limit=0", "limit out-of-range"),
        ("limit=201", "limit out-of-range"),
        ("kind=odd", "kind unknown-value"),
        ("kinds=plain", "kinds unknown-parameter"),
    ] {
        let answer = list(query).await;
        assert_eq!((answer.status, answer.fault().as_str()), (422, fault), "{query}");
    }
    let answer = sample.get("/notes/board?odd=1").send().await;
    assert_eq!(answer.fault(), "odd unknown-parameter");
}
