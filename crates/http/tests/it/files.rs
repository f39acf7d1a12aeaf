//! Files in and out.

use crate::harness::sample::Sample;

const FILE: &str = "/api/v1/notes/file";

#[tokio::test]
async fn a_download_is_harmless_and_says_its_name() {
    let sample = Sample::new().await;
    let answer = sample.call("GET", FILE).signed().send().await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"0123456789".as_slice()));
    assert_eq!(answer.header("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let disposition = "attachment; filename=\"_ber <b>.html\"; filename*=UTF-8''%C3%BCber%20%3Cb%3E.html";
    assert_eq!(answer.header("content-disposition"), disposition);
    assert_eq!((answer.header("content-length"), answer.header("accept-ranges")), ("10", "bytes"));
}

#[tokio::test]
async fn a_download_comes_in_ranges() {
    let sample = Sample::new().await;
    let range = async |range: &str| sample.call("GET", FILE).signed().header("range", range).send().await;
    let part = range("bytes=2-4").await;
    assert_eq!((part.status, part.body.as_slice()), (206, b"234".as_slice()));
    assert_eq!(part.header("content-range"), "bytes 2-4/10");
    assert_eq!(range("bytes=-2").await.body, b"89");
    let beyond = range("bytes=10-").await;
    assert_eq!(beyond.problem(), (416, "range-not-satisfiable".to_owned()));
    assert_eq!(beyond.header("content-range"), "bytes */10");
    let changed =
        sample.call("GET", FILE).signed().header("range", "bytes=2-4").header("if-range", "\"old\"");
    assert_eq!(changed.send().await.status, 200);
    let known = sample.call("GET", FILE).signed().header("if-none-match", "\"abc\"").send().await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let head = sample.call("HEAD", FILE).signed().send().await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "10", 0));
}

#[tokio::test]
async fn an_upload_is_streamed_within_its_limit() {
    let sample = Sample::new().await;
    let put = |query: &str, media_type: &'static str, bytes: &'static [u8]| {
        sample.call("PUT", format!("{FILE}{query}")).signed().bytes(media_type, bytes)
    };
    let answer = put("?name=pl%C3%A4n.pdf", "application/pdf", b"0123456789").send().await;
    assert_eq!(answer.json(), serde_json::json!(["plän.pdf", "application/pdf", "10"]));
    let disposition = "attachment; filename=\"x\"; filename*=UTF-8''%C3%BC.png";
    let named = put("", "image/png", b"1").header("content-disposition", disposition).send().await;
    assert_eq!(named.json(), serde_json::json!(["ü.png", "image/png", "1"]));
    let over = put("", "image/png", b"01234567890").send().await;
    assert_eq!(over.problem(), (413, "too-large".to_owned()));
    let announced = put("", "image/png", b"1").header("content-length", "99").send().await;
    assert_eq!(announced.status, 413);
    let form = put("", "multipart/form-data; boundary=x", b"--x--").send().await;
    assert_eq!(form.status, 415);
}
