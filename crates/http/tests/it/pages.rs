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

#[tokio::test]
async fn the_start_page_says_what_tenon_is_and_how_to_sign_in() {
    let sample = Sample::new().await;
    let html = String::from_utf8(sample.call("GET", "/").send().await.body).unwrap();
    for words in ["team workspace", "id=\"sign-in\"", "/api/v1/auth/sign-in", "no web interface yet"] {
        assert!(html.contains(words), "{words}");
    }
}

#[tokio::test]
async fn an_unknown_address_is_a_page_for_browsers_and_a_problem_for_programs() {
    let sample = Sample::new().await;
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    let page = sample.call("GET", "/nowhere").header("accept", browser).send().await;
    assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert!(String::from_utf8(page.body).unwrap().contains("href=\"/\""));
    for (path, accept) in
        [("/nowhere", "*/*"), ("/nowhere", "application/json"), ("/api/v1/nowhere", browser)]
    {
        let problem = sample.call("GET", path).header("accept", accept).send().await;
        let media_type = problem.header("content-type").to_owned();
        assert_eq!(
            (problem.status, media_type.as_str()),
            (404, "application/problem+json"),
            "{path} {accept}"
        );
    }
    let icon = sample.call("GET", "/favicon.ico").send().await;
    assert_eq!((icon.status, icon.header("content-type")), (200, "image/svg+xml"));
}
