//! One's own account and sessions.

use serde_json::json;

use crate::harness::people::{PASSWORD, TestApp};

#[tokio::test]
async fn a_profile_changes_field_by_field() {
    let (app, ada) = TestApp::with_person("ada").await;
    app.account("eve", false).await;
    let ada = app.of(&ada);
    let before = ada.get("/me").await;
    let tag = before.header("etag").to_owned();
    assert_eq!(before.expect(200)["version"], 1);
    let patch = json!({ "full_name": "Ada King", "lang": "fr", "timezone": "Europe/Paris", "color": 3 });
    let after = ada.patch("/me").json(patch).header("if-match", &tag).await.expect(200);
    assert_eq!(
        (&after["full_name"], &after["lang"], &after["timezone"], &after["color"], &after["version"]),
        (&json!("Ada King"), &json!("fr"), &json!("Europe/Paris"), &json!(3), &json!(2))
    );
    assert_eq!(after["username"], "ada");
    ada.patch("/me").json(json!({ "color": 4 })).header("if-match", tag).await.refused(412, "stale");
    ada.patch("/me").json(json!({ "username": "eve" })).await.refused(409, "username-taken");
    // Nothing changed, so nothing is another version.
    let same = ada.patch("/me").json(json!({ "username": "ada", "color": 3 })).await.expect(200);
    assert_eq!(same["version"], 2);
    for (body, fault) in [
        (json!({ "color": 21 }), "/color out-of-range"),
        (json!({ "full_name": null }), "/full_name wrong-type"),
        (json!({ "email": "x@example.org" }), "/email unknown-field"),
        (json!({ "is_admin": true }), "/is_admin unknown-field"),
    ] {
        let answer = ada.patch("/me").json(body).await;
        assert_eq!((answer.status, answer.fault().as_str()), (422, fault));
    }
}

#[tokio::test]
async fn l07_a_password_change_needs_the_old_one_and_ends_every_other_session() {
    let (app, ada) = TestApp::with_person("ada").await;
    let elsewhere = app.sign_in("ada").await;
    let change = |old: &str, new: &str| {
        app.of(&ada).post("/me/password").json(json!({ "old_password": old, "new_password": new }))
    };
    let wrong = change("wrong wrong wrong", "analytical engine 1").await;
    assert_eq!((wrong.status, wrong.fault().as_str()), (422, "/old_password wrong-password"));
    let body = json!({ "name": "Nightly export", "scopes": ["read-account"] });
    let made = app.of(&ada).post("/me/tokens").json(body).await.expect(201);
    let weak = change(PASSWORD, "ada@example.org").await;
    assert_eq!((weak.status, weak.fault().as_str()), (422, "/new_password common-password"));
    app.of(&elsewhere).get("/me").await.expect(200);
    change(PASSWORD, "analytical engine 1").await.expect(204);
    app.of(&elsewhere).get("/me").await.refused(401, "unauthenticated");
    app.of(&ada).get("/me").await.expect(200);
    let mail = app.mail().await;
    assert_eq!(mail.to.as_str(), "ada@example.org");
    // Tokens go on, and the mail says so.
    assert!(mail.text.contains("Nightly export"), "{}", mail.text);
    app.bearer(made["token"].as_str().unwrap()).get("/me").await.expect(200);
    for (password, status) in [(PASSWORD, 401), ("analytical engine 1", 200)] {
        let body = json!({ "login": "ada", "password": password });
        app.anonymous().post("/auth/sign-in").json(body).await.expect(status);
    }
}

#[tokio::test]
async fn an_address_changes_when_both_addresses_consent() {
    let (app, ada) = TestApp::with_person("ada").await;
    let ask = |password: &str| {
        app.of(&ada).post("/me/email").json(json!({ "email": "King@example.org", "password": password }))
    };
    let wrong = ask("wrong wrong wrong").await;
    assert_eq!((wrong.status, wrong.fault().as_str()), (422, "/password wrong-password"));
    ask(PASSWORD).await.expect(202);
    let mails = app.mails().await;
    let mut receivers: Vec<&str> = mails.iter().map(|m| m.to.as_str()).collect();
    receivers.sort_unstable();
    assert_eq!(receivers, ["ada@example.org", "king@example.org"]);
    let email = async || app.of(&ada).get("/me").await.expect(200)["email"].clone();
    let confirm = |token: String| app.anonymous().post("/auth/change-email").json(json!({ "token": token }));
    assert_eq!(confirm(mails[1].token()).await.expect(200), json!({ "changed": false }));
    assert_eq!(email().await, "ada@example.org");
    confirm(mails[1].token()).await.refused(409, "link-not-valid");
    assert_eq!(confirm(mails[0].token()).await.expect(200), json!({ "changed": true }));
    assert_eq!(email().await, "king@example.org");
    let told = app.mail().await;
    assert_eq!(told.to.as_str(), "ada@example.org");
}

#[tokio::test]
async fn an_address_that_another_account_has_is_not_revealed_and_not_taken() {
    let (app, ada) = TestApp::with_person("ada").await;
    app.account("eve", false).await;
    let body = json!({ "email": "eve@example.org", "password": PASSWORD });
    app.of(&ada).post("/me/email").json(body).await.expect(202);
    let mails = app.mails().await;
    let to_eve = mails.iter().find(|m| m.to.as_str() == "eve@example.org").unwrap();
    assert!(!to_eve.text.contains("/#/change-email/"), "{}", to_eve.text);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_or_all_at_once() {
    let (app, one) = TestApp::with_person("ada").await;
    let (two, three) = (app.sign_in("ada").await, app.sign_in("ada").await);
    let (eve, ada) = (app.person("eve").await, app.of(&one));
    let list = ada.get("/me/sessions").await.expect(200);
    let current: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|s| (s["id"].clone(), s["current"].clone())).collect();
    assert_eq!(current.len(), 3);
    assert!(current.contains(&(json!(one.id), json!(true))));
    assert!(current.contains(&(json!(two.id), json!(false))));

    let path = format!("/me/sessions/{}", two.id);
    app.of(&eve).delete(&path).await.refused(404, "not-found");
    ada.delete(&path).await.expect(204);
    ada.delete(&path).await.expect(204);
    app.of(&two).get("/me").await.refused(401, "unauthenticated");
    app.of(&three).get("/me").await.expect(200);

    assert_eq!(ada.post("/me/sessions/revoke-others").await.expect(200), json!({ "count": 1 }));
    app.of(&three).get("/me").await.refused(401, "unauthenticated");
    ada.get("/me").await.expect(200);
    app.of(&eve).get("/me").await.expect(200);
}

#[tokio::test]
async fn sessions_come_in_pages() {
    let (app, ada) = TestApp::with_person("ada").await;
    for _ in 0..4 {
        app.sign_in("ada").await;
    }
    let (mut seen, mut path) = (vec![], "/me/sessions?limit=2".to_owned());
    loop {
        let page = app.of(&ada).get(&path).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|s| s["id"].to_string()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/me/sessions?limit=2&cursor={cursor}");
    }
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (5, 5));
}

#[tokio::test]
async fn deleting_an_account_is_told_beforehand() {
    let (app, ada) = TestApp::with_person("ada").await;
    let nothing = json!({ "blockers": [], "destroyed": [], "left": [] });
    assert_eq!(app.of(&ada).get("/me/delete-info").await.expect(200), nothing);
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let app = TestApp::new().await;
    let root = app.admin("root").await;
    app.of(&root)
        .delete("/me")
        .json(json!({ "password": PASSWORD }))
        .await
        .refused(409, "last-administrator");
    let path = format!("/users/{}", root.user_id);
    for patch in [json!({ "is_admin": false }), json!({ "is_active": false })] {
        app.of(&root).patch(&path).json(patch).await.refused(409, "last-administrator");
    }
    app.account("second", true).await;
    app.of(&root).delete("/me").json(json!({ "password": PASSWORD })).await.expect(204);
}

#[tokio::test]
async fn an_account_is_deleted_by_whoever_knows_its_password() {
    let (app, ada) = TestApp::with_person("ada").await;
    let delete = || app.of(&ada).delete("/me");
    let without = delete().await;
    assert_eq!((without.status, without.fault().as_str()), (422, "/password missing"));
    let wrong = delete().json(json!({ "password": "wrong wrong wrong" })).await;
    assert_eq!((wrong.status, wrong.fault().as_str()), (422, "/password wrong-password"));
    app.of(&ada).get("/me").await.expect(200);
    delete().json(json!({ "password": PASSWORD })).await.expect(204);
    app.of(&ada).get("/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn an_account_without_a_password_is_deleted_soon_after_a_sign_in() {
    let (app, ada) = TestApp::with_person("ada").await;
    app.execute("UPDATE users SET password_hash = NULL").await;
    app.wait(std::time::Duration::from_mins(15));
    let again = app.anonymous().post("/auth/refresh").json(json!({ "refresh_token": ada.refresh_token }));
    let pair = again.await.expect(200);
    let late = app.bearer(pair["access_token"].as_str().unwrap());
    late.delete("/me").await.refused(409, "sign-in-not-recent");
    app.execute("UPDATE sessions SET created_at = created_at + interval '1 minute'").await;
    late.delete("/me").await.expect(204);
}

#[tokio::test]
async fn a_reset_ends_tokens_too_and_the_mail_says_so() {
    let (app, ada) = TestApp::with_person("ada").await;
    let body = json!({ "name": "Nightly export", "scopes": ["read-account"] });
    let made = app.of(&ada).post("/me/tokens").json(body).await.expect(201);
    let token = app.bearer(made["token"].as_str().unwrap());
    app.anonymous()
        .post("/auth/reset-password/request")
        .json(json!({ "email": "ada@example.org" }))
        .await
        .expect(202);
    token.get("/me").await.expect(200);
    let body = json!({ "token": app.mail().await.token(), "password": "analytical engine 1" });
    app.anonymous().post("/auth/reset-password").json(body).await.expect(204);
    token.get("/me").await.refused(401, "unauthenticated");
    let mail = app.mail().await;
    assert!(mail.text.contains("every personal access token"), "{}", mail.text);
}

#[tokio::test]
async fn a_name_shows_something_and_nothing_unseen() {
    let (app, ada) = TestApp::with_person("ada").await;
    for (body, fault) in [
        (json!({ "full_name": "\u{3164}" }), "/full_name invisible-character"),
        (json!({ "full_name": "\u{2800}" }), "/full_name nothing-visible"),
        (json!({ "full_name": "Ada\u{202E}gnp" }), "/full_name invisible-character"),
        (json!({ "username": ".." }), "/username invalid-username"),
        (json!({ "username": "-ada" }), "/username invalid-username"),
        (json!({ "username": "me" }), "/username reserved-username"),
    ] {
        let answer = app.of(&ada).patch("/me").json(body).await;
        assert_eq!((answer.status, answer.fault().as_str()), (422, fault));
    }
}

#[tokio::test]
async fn what_an_earlier_release_let_in_still_works_and_is_shown_without_what_nobody_sees() {
    let (app, ada) = TestApp::with_person("ada").await;
    app.execute(
        "UPDATE users SET full_name = E'Ada\\u202Egnp', username = 'me', email = 'ada@bücher.example'",
    )
    .await;
    let me = app.of(&ada).get("/me").await.expect(200);
    assert_eq!((&me["full_name"], &me["username"]), (&json!("Adagnp"), &json!("me")));
    assert_eq!(me["email"], "ada@xn--bcher-kva.example");
    for login in ["me", "ada@bücher.example", "ADA@xn--bcher-kva.example"] {
        let body = json!({ "login": login, "password": PASSWORD });
        app.anonymous().post("/auth/sign-in").json(body).await.expect(200);
    }
    // The other spelling is no other account.
    let root = app.admin("root").await;
    let twin = json!({ "email": "ada@xn--bcher-kva.example", "full_name": "Twin" });
    app.of(&root).post("/users").json(twin).await.refused(409, "email-taken");
    tenon_app::accounts::purge(&app.app, "test").await.unwrap();
    let body = json!({ "login": "ada@bücher.example", "password": PASSWORD });
    app.anonymous().post("/auth/sign-in").json(body).await.expect(200);
    let body = json!({ "email": "jö@example.org", "full_name": "Jo" });
    let answer = app.of(&root).post("/users").json(body).await;
    assert_eq!((answer.status, answer.fault().as_str()), (422, "/email non-ascii-email"));
}
