//! Personal access tokens.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::people::{Client, PASSWORD, TestApp};

async fn make(client: &Client<'_>, scopes: &[&str], expires_at: Value) -> Value {
    let body = json!({ "name": "Nightly export", "scopes": scopes, "expires_at": expires_at });
    client.post("/me/tokens").json(body).await.expect(201)
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_and_no_more() {
    let (app, ada) = TestApp::with_person("ada").await;
    let made = make(&app.of(&ada), &["read-account"], Value::Null).await;
    let secret = made["token"].as_str().unwrap();
    assert!(secret.starts_with("tenon_pat_"));
    let token = app.bearer(secret);
    token.get("/me").await.expect(200);
    token.patch("/me").json(json!({ "color": 3 })).await.refused(403, "forbidden");
    token.get("/users").await.refused(403, "forbidden");
    let writing = make(&app.of(&ada), &["write-account"], Value::Null).await;
    let writing = app.bearer(writing["token"].as_str().unwrap());
    writing.get("/me").await.expect(200);
    writing.patch("/me").json(json!({ "color": 3 })).await.expect(200);
}

#[tokio::test]
async fn a_leaked_token_cannot_take_the_account_over() {
    let app = TestApp::new().await;
    let (ada, root) = (app.admin("ada").await, app.admin("root").await);
    let made = make(&app.of(&ada), &["write-account", "admin"], Value::Null).await;
    let token = app.bearer(made["token"].as_str().unwrap());
    let body = json!({ "name": "more", "scopes": ["write-projects"] });
    token.post("/me/tokens").json(body).await.refused(403, "forbidden");
    let body = json!({ "old_password": PASSWORD, "new_password": "analytical engine 1" });
    token.post("/me/password").json(body).await.refused(403, "forbidden");
    let body = json!({ "email": "eve@example.org", "password": PASSWORD });
    token.post("/me/email").json(body).await.refused(403, "forbidden");
    token.delete("/me").json(json!({ "password": PASSWORD })).await.refused(403, "forbidden");
    // It is used in no session, so there are no others.
    token.post("/me/sessions/revoke-others").await.refused(403, "forbidden");
    app.of(&ada).get("/me").await.expect(200);
    token.post("/auth/sign-out").await.refused(403, "forbidden");
    // The scope alone makes nobody an administrator, nor leaves them one.
    let demoted = json!({ "is_admin": false });
    app.of(&root).patch(&format!("/users/{}", ada.user_id)).json(demoted).await.expect(200);
    token.get("/users").await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_secret_is_shown_once() {
    let (app, ada) = TestApp::with_person("ada").await;
    let ada = app.of(&ada);
    let made = make(&ada, &["read-projects"], Value::Null).await;
    let secret = made["token"].as_str().unwrap();
    let path = format!("/me/tokens/{}", made["id"].as_str().unwrap());
    for path in ["/me/tokens", path.as_str()] {
        let shown = ada.get(path).await.expect(200).to_string();
        assert!(shown.contains("Nightly export") && !shown.contains(secret), "{shown}");
        assert!(!shown.contains("hash"), "{shown}");
    }
}

#[tokio::test]
async fn a_token_ends_when_deleted_and_by_time() {
    let (app, ada) = TestApp::with_person("ada").await;
    let eve = app.person("eve").await;
    let ends = app.app.now() + Duration::from_hours(1);
    let made = make(&app.of(&ada), &["read-account"], json!(ends)).await;
    let lasting = make(&app.of(&ada), &["read-account"], Value::Null).await;
    let token = app.bearer(made["token"].as_str().unwrap());
    token.get("/me").await.expect(200);
    app.wait(Duration::from_hours(1));
    token.get("/me").await.refused(401, "unauthenticated");

    let token = app.bearer(lasting["token"].as_str().unwrap());
    token.get("/me").await.expect(200);
    let path = format!("/me/tokens/{}", lasting["id"].as_str().unwrap());
    let (ada, eve) = (app.sign_in("ada").await, {
        let _ = eve;
        app.sign_in("eve").await
    });
    app.of(&eve).delete(&path).await.refused(404, "not-found");
    app.of(&eve).get(&path).await.refused(404, "not-found");
    app.of(&ada).delete(&path).await.expect(204);
    token.get("/me").await.refused(401, "unauthenticated");
    app.of(&ada).delete(&path).await.refused(404, "not-found");
}

#[tokio::test]
async fn l09_a_token_is_looked_up_by_its_hash_and_costs_no_write() {
    let (app, ada) = TestApp::with_person("ada").await;
    let made = make(&app.of(&ada), &["read-account"], Value::Null).await;
    let path = format!("/me/tokens/{}", made["id"].as_str().unwrap());
    let token = app.bearer(made["token"].as_str().unwrap());
    let last_used = async || app.of(&ada).get(&path).await.expect(200)["last_used_at"].clone();
    for _ in 0..3 {
        token.get("/me").await.expect(200);
    }
    assert_eq!(last_used().await, Value::Null);
    assert_eq!(tenon_app::tokens::flush_uses(&app.app).await.unwrap(), 1);
    assert_eq!(last_used().await, "2026-01-02T03:04:00Z");
    assert_eq!(tenon_app::tokens::flush_uses(&app.app).await.unwrap(), 0);
    // Not one of ours, whatever it looks like.
    app.bearer("tenon_pat_AAAA").get("/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn what_a_token_lacks_is_named() {
    let (app, ada) = TestApp::with_person("ada").await;
    for (body, fault) in [
        (json!({ "name": "x", "scopes": [] }), "/scopes too-short"),
        (json!({ "name": "x", "scopes": ["everything"] }), "/scopes/0 unknown-value"),
        (json!({ "name": "", "scopes": ["admin"] }), "/name too-short"),
        (json!({ "name": "\u{3164}", "scopes": ["read-account"] }), "/name invisible-character"),
        (
            json!({ "name": "x", "scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z" }),
            "/expires_at in-the-past",
        ),
    ] {
        let answer = app.of(&ada).post("/me/tokens").json(body).await;
        assert_eq!((answer.status, answer.fault().as_str()), (422, fault));
    }
}
