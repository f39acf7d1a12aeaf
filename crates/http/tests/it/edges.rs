//! What every answer has, whatever went wrong.

use metrics_exporter_prometheus::PrometheusBuilder;

use crate::harness::sample::{Answer, FIRST, Sample};

fn assert_shielded(answer: &Answer) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("strict-transport-security", "max-age=63072000"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), value, "{name} of a {}", answer.status);
    }
    assert!(answer.header("content-security-policy").contains("default-src 'none'"));
    assert!(!answer.header("x-correlation-id").is_empty());
}

#[tokio::test]
async fn l11_every_answer_has_cors_and_security_headers() {
    let sample = Sample::with(|settings| settings.limits.login.calls = 1).await;
    let origin = "https://board.example.org";
    sample.post("/sign-in").send().await;
    for (call, status) in [
        (sample.get(FIRST).signed(), 200),
        (sample.get("/nowhere"), 404),
        (sample.call("DELETE", "/api/v1/notes"), 405),
        (sample.post("/sign-in"), 429),
        (sample.post("/refusals?how=internal"), 500),
        (sample.post("/refusals?how=panic"), 500),
        (sample.post("/refusals?how=slow"), 503),
        (sample.call("GET", "/nowhere/at/all"), 404),
    ] {
        let answer = call.header("origin", origin).send().await;
        assert_eq!(answer.status, status);
        assert_shielded(&answer);
        assert_eq!(answer.header("access-control-allow-origin"), origin, "{status}");
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
    }
}

#[tokio::test]
async fn l14_origins_are_known_exactly() {
    let sample = Sample::new().await;
    for origin in ["http://localhost", "http://localhost:3000", "https://board.example.org.evil.net", "null"]
    {
        let answer = sample.get("/version").header("origin", origin).send().await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
        assert_eq!(answer.header("vary"), "origin");
    }
    let preflight = |origin| {
        sample
            .call("OPTIONS", format!("/api/v1{FIRST}"))
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
    };
    let known = preflight("https://board.example.org").send().await;
    assert_eq!((known.status, known.body.len()), (204, 0));
    assert!(known.header("access-control-allow-methods").contains("PATCH"));
    assert!(known.header("access-control-allow-headers").contains("x-csrf-token"));
    assert_shielded(&known);
    let foreign = preflight("https://evil.example").send().await;
    assert_eq!(foreign.status, 405);
    assert_eq!(foreign.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn l15_there_is_one_shape_of_error() {
    let sample = Sample::new().await;
    for (how, status, code) in [
        ("conflict", 409, "wip-limit"),
        ("forbidden", 403, "forbidden"),
        ("limit", 429, "rate-limited"),
        ("unavailable", 503, "unavailable"),
        ("internal", 500, "internal"),
        ("panic", 500, "internal"),
        ("slow", 503, "timeout"),
    ] {
        // The exchange validator checks the shape of each of these.
        let answer = sample.post(&format!("/refusals?how={how}")).send().await;
        assert_eq!(answer.problem(), (status, code.to_owned()));
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{how}");
    }
    let limited = sample.post("/refusals?how=limit").send().await;
    assert_eq!(limited.header("retry-after"), "2");
    let nowhere = sample.get("/nowhere").send().await;
    assert_eq!(nowhere.problem(), (404, "not-found".to_owned()));
    let method = sample.call("PUT", "/api/v1/notes").send().await;
    assert_eq!(method.problem(), (405, "method-not-allowed".to_owned()));
    assert_eq!(method.header("allow"), "GET, HEAD, POST");
}

#[tokio::test]
async fn a_request_has_one_name_everywhere() {
    let sample = Sample::new().await;
    let named = sample.get("/who").signed().header("x-correlation-id", "Abc_1.2-3").send().await;
    assert_eq!(
        (named.header("x-correlation-id"), named.json()[2].as_str()),
        ("Abc_1.2-3", Some("Abc_1.2-3"))
    );
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traced = sample.get("/who").signed().header("traceparent", trace).send().await;
    assert_eq!(traced.header("x-correlation-id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    for bad in ["a b", "", &"x".repeat(129), "<script>"] {
        let answer = sample.get("/version").header("x-correlation-id", bad).send().await;
        assert_eq!(answer.header("x-correlation-id").len(), 36, "{bad}");
    }
    let failed = sample.post("/refusals?how=panic").header("x-correlation-id", "here").send().await;
    assert_eq!(failed.json()["instance"], "here");
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    let sample = Sample::new().await;
    let head = sample.call("HEAD", format!("/api/v1{FIRST}")).signed().send().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(!head.header("etag").is_empty());
    assert_eq!(sample.call("HEAD", "/api/v1/nowhere").send().await.status, 404);
}

#[tokio::test]
async fn l16_routes_that_do_not_exist_make_one_series() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let sample = Sample::new().await;
    for n in 0..50 {
        sample.get(&format!("/nowhere/{n}")).send().await;
        sample.get(&format!("/notes/{n}")).signed().send().await;
        sample.call("GET", format!("/{n}.php")).send().await;
    }
    let scrape = handle.render();
    let series: Vec<&str> = scrape.lines().filter(|line| line.starts_with("http_requests_total{")).collect();
    assert_eq!(series.len(), 2, "{series:#?}");
    assert!(scrape.contains(r#"http_requests_total{method="GET",route="(unmatched)",status="404"} 100"#));
    assert!(
        scrape
            .contains(r#"http_requests_total{method="GET",route="/api/v1/notes/{note_id}",status="404"} 50"#)
    );
    assert!(scrape.contains("http_requests_in_progress 0"));
    assert!(scrape.contains("http_request_duration_seconds"));
}
