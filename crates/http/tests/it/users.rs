//! People, for administrators.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::people::{PASSWORD, TestApp};

#[tokio::test]
async fn only_administrators_see_everybody() {
    let (app, ada) = TestApp::with_person("ada").await;
    let path = format!("/users/{}", ada.user_id);
    let ada = app.of(&ada);
    ada.get("/users").await.refused(403, "forbidden");
    ada.get(&path).await.refused(403, "forbidden");
    ada.patch(&path).json(json!({ "is_admin": true })).await.refused(403, "forbidden");
    ada.post("/users")
        .json(json!({ "email": "x@example.org", "full_name": "X" }))
        .await
        .refused(403, "forbidden");
    ada.post(&format!("{path}/send-password-reset")).await.refused(403, "forbidden");
    app.anonymous().get("/users").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn people_are_found_by_name_handle_and_address() {
    let app = TestApp::new().await;
    let root = app.admin("root").await;
    for name in ["ada", "grace", "adam", "a_b"] {
        app.wait(Duration::from_millis(1));
        app.account(name, false).await;
    }
    let names = async |query: &str| {
        let page = app.of(&root).get(&format!("/users?{query}")).await.expect(200);
        let of = |user: &Value| user["username"].as_str().unwrap().to_owned();
        (page["items"].as_array().unwrap().iter().map(of).collect::<Vec<_>>(), page["total"].clone())
    };
    assert_eq!(names("search=ADA").await.0, ["ada", "adam"]);
    assert_eq!(names("search=grace%40example").await.0, ["grace"]);
    // No pattern of the database's.
    assert_eq!(names("search=_").await.0, ["a_b"]);
    assert_eq!(names("search=%25").await.0, [""; 0]);
    assert_eq!(names("limit=2&count=true").await, (vec!["root".to_owned(), "ada".to_owned()], json!(5)));
}

#[tokio::test]
async fn an_account_made_without_a_password_waits_for_its_person() {
    let app = TestApp::new().await;
    let root = app.admin("root").await;
    let body = json!({ "email": "grace@example.org", "full_name": "Grace Hopper", "lang": "es" });
    let made = app.of(&root).post("/users").json(body.clone()).await;
    let location = made.header("location").to_owned();
    let made = made.expect(201);
    assert_eq!(location, format!("/api/v1/users/{}", made["id"].as_str().unwrap()));
    assert_eq!((&made["username"], &made["is_active"]), (&json!("grace"), &json!(false)));
    app.of(&root).post("/users").json(body).await.refused(409, "email-taken");
    let token = app.mail().await.token();
    let reset = json!({ "token": token, "password": PASSWORD });
    app.anonymous().post("/auth/reset-password").json(reset).await.expect(204);
    app.run_jobs().await;
    let grace = app.sign_in("grace").await;
    let me = app.of(&grace).get("/me").await.expect(200);
    assert_ne!(me["verified_at"], Value::Null);
}

#[tokio::test]
async fn an_account_made_with_a_password_is_ready_at_once() {
    let app = TestApp::new().await;
    let root = app.admin("root").await;
    let body = json!({ "email": "grace@example.org", "username": "hopper", "full_name": "Grace Hopper", "password": PASSWORD });
    app.of(&root).post("/users").json(body).await.expect(201);
    app.sign_in("hopper").await;
}

#[tokio::test]
async fn administrators_are_made_and_unmade() {
    let app = TestApp::new().await;
    let (root, ada) = (app.admin("root").await, app.person("ada").await);
    let path = format!("/users/{}", ada.user_id);
    let set = |is_admin: bool| app.of(&root).patch(&path).json(json!({ "is_admin": is_admin }));
    let before = app.of(&root).get(&path).await;
    let tag = before.header("etag").to_owned();
    assert_eq!(set(true).header("if-match", &tag).await.expect(200)["is_admin"], true);
    app.of(&ada).get("/users").await.expect(200);
    set(false).header("if-match", tag).await.refused(412, "stale");
    assert_eq!(set(false).await.expect(200)["is_admin"], false);
    app.of(&ada).get("/users").await.refused(403, "forbidden");
    let nobody = "/users/00000000-0000-7000-8000-000000000000";
    app.of(&root).get(nobody).await.refused(404, "not-found");
    app.of(&root).patch(nobody).json(json!({ "is_admin": true })).await.refused(404, "not-found");
}

#[tokio::test]
async fn an_administrator_sends_a_link_for_a_new_password() {
    let app = TestApp::new().await;
    let (root, ada) = (app.admin("root").await, app.person("ada").await);
    app.of(&root).post(&format!("/users/{}/send-password-reset", ada.user_id)).await.expect(204);
    assert!(!app.mail().await.token().is_empty());
    // The session goes on until the password is changed.
    app.of(&ada).get("/me").await.expect(200);
    let path = format!("/users/{}", ada.user_id);
    app.of(&root).patch(&path).json(json!({ "is_active": false })).await.expect(200);
    let again = app.of(&root).post(&format!("{path}/send-password-reset")).await;
    again.refused(409, "account-deactivated");
}

#[tokio::test]
async fn two_administrators_cannot_unmake_each_other() {
    let app = TestApp::new().await;
    let (one, two) = (app.admin("one").await, app.admin("two").await);
    let unmake = |by, of: &str| {
        app.of(by).patch(&format!("/users/{of}")).json(json!({ "is_admin": false })).into_future()
    };
    let (a, b) = tokio::join!(unmake(&one, &two.user_id), unmake(&two, &one.user_id));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(statuses[1] == 409 || statuses[1] == 403, "{statuses:?}");
}
