//! Pages for people.

use crate::harness::sample::Sample;

#[tokio::test]
async fn the_start_page_names_instance_and_version() {
    let sample = Sample::new().await;
    let answer = sample.call("GET", "/").send().await;
    let html = String::from_utf8(answer.body).unwrap();
    assert_eq!(answer.status, 200);
    assert!(html.contains("Sample &amp; Co") && html.contains(env!("CARGO_PKG_VERSION")));
    assert!(html.contains("href=\"/api/docs\""));
}

#[tokio::test]
async fn l22_the_reference_needs_nothing_that_its_policy_forbids() {
    let sample = Sample::new().await;
    let page = sample.call("GET", "/api/docs").send().await;
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"));
    let html = String::from_utf8(page.body).unwrap();
    assert!(!html.contains("<style") && !html.contains("style=\"") && !html.contains("onclick"));
    assert!(!html.contains("http://") && !html.contains("https://"), "nothing from another host");
    let script = sample.call("GET", "/api/docs/reference.js").send().await;
    assert!(script.header("content-type").starts_with("text/javascript"));
    let script = String::from_utf8(script.body).unwrap();
    assert!(
        script.contains("/api/v1/openapi.json") && !script.contains("innerHTML") && !script.contains("eval(")
    );
    for asset in html.split('"').filter(|text| text.starts_with("/api/docs/") || *text == "/favicon.svg") {
        let answer = sample.call("GET", asset).send().await;
        assert_eq!((answer.status, answer.header("x-content-type-options")), (200, "nosniff"), "{asset}");
        let again = sample.call("GET", asset).header("if-none-match", answer.header("etag")).send().await;
        assert_eq!(again.status, 304, "{asset}");
    }
}
