//! Signing up, in and out.

use std::time::Duration;

use serde_json::{Value, json};
use tenon_app::Settings;
use tenon_core::accounts::Registration;

use crate::harness::people::{PASSWORD, TestApp};

fn sign_up(email: &str) -> Value {
    json!({
        "email": email, "full_name": "Ada Lovelace", "password": PASSWORD,
        "accept_terms": true, "accept_privacy": true,
    })
}

fn sign_in(login: &str) -> Value {
    json!({ "login": login, "password": PASSWORD })
}

#[tokio::test]
async fn signing_up_mails_a_link_that_opens_the_account() {
    let app = TestApp::new().await;
    let nobody = app.anonymous();
    let answer = nobody.post("/auth/sign-up").json(sign_up("Ada@Example.org")).await.expect(202);
    assert_eq!(answer, json!({ "email": "ada@example.org" }));
    let mail = app.mail().await;
    assert_eq!(mail.to.as_str(), "ada@example.org");
    nobody.post("/auth/sign-in").json(sign_in("ada@example.org")).await.refused(409, "email-not-verified");

    let link = json!({ "token": mail.token() });
    nobody.post("/auth/verify-email").json(link.clone()).await.expect(204);
    let tokens = nobody.post("/auth/sign-in").json(sign_in("ADA@example.org")).await.expect(200);
    let me = app.bearer(tokens["access_token"].as_str().unwrap()).get("/me").await.expect(200);
    assert_eq!((&me["username"], &me["email"]), (&json!("ada"), &json!("ada@example.org")));
    nobody.post("/auth/verify-email").json(link).await.refused(409, "link-not-valid");
    app.run_jobs().await;
}

#[tokio::test]
async fn a_link_ends_and_a_new_one_replaces_it() {
    let app = TestApp::new().await;
    let nobody = app.anonymous();
    nobody.post("/auth/sign-up").json(sign_up("ada@example.org")).await.expect(202);
    let first = app.mail().await.token();
    let resend = || nobody.post("/auth/resend-verification").json(json!({ "email": "ada@example.org" }));
    resend().await.expect(202);
    let second = app.mail().await.token();
    let verify = |token: &str| nobody.post("/auth/verify-email").json(json!({ "token": token }));
    verify(&first).await.refused(409, "link-not-valid");
    app.wait(Duration::from_secs(48 * 3600 + 1));
    verify(&second).await.refused(409, "link-not-valid");
    verify("nonsense").await.refused(409, "link-not-valid");
    resend().await.expect(202);
    verify(&app.mail().await.token()).await.expect(204);
    app.run_jobs().await;
    // Nothing is left to verify, and nobody is told so.
    resend().await.expect(202);
    let of_nobody = json!({ "email": "nobody@example.org" });
    nobody.post("/auth/resend-verification").json(of_nobody).await.expect(202);
    assert!(app.mails().await.is_empty());
}

#[tokio::test]
async fn what_a_sign_up_lacks_is_named() {
    let app = TestApp::new().await;
    let nobody = app.anonymous();
    for (member, value, fault) in [
        ("email", json!("ada"), "/email invalid-email"),
        ("full_name", json!(""), "/full_name too-short"),
        ("password", json!("short"), "/password too-short"),
        ("password", json!("password123"), "/password common-password"),
        ("password", json!("ada@example.org"), "/password common-password"),
        ("accept_terms", json!(false), "/accept_terms must-accept"),
        ("accept_privacy", json!(false), "/accept_privacy must-accept"),
        ("username", json!("Ada Lovelace"), "/username invalid-username"),
        ("timezone", json!("Mars/Olympus"), "/timezone unknown-timezone"),
        ("lang", json!("tlh"), "/lang unknown-value"),
    ] {
        let mut body = sign_up("ada@example.org");
        body[member] = value;
        let answer = nobody.post("/auth/sign-up").json(body).await;
        assert_eq!((answer.status, answer.fault().as_str()), (422, fault));
    }
}

#[tokio::test]
async fn a_handle_is_unique_and_made_from_the_address_when_absent() {
    let app = TestApp::new().await;
    app.account("ada", false).await;
    let admin = app.admin("root").await;
    let nobody = app.anonymous();
    let mut taken = sign_up("other@example.org");
    taken["username"] = json!("ADA");
    nobody.post("/auth/sign-up").json(taken).await.refused(409, "username-taken");
    nobody.post("/auth/sign-up").json(sign_up("ada@example.com")).await.expect(202);
    let found = app.of(&admin).get("/users?search=example.com").await.expect(200);
    assert_eq!(found["items"][0]["username"], "ada2");
    app.run_jobs().await;
}

#[tokio::test]
async fn registration_can_be_closed_or_by_invitation() {
    let closed = TestApp::with(|s: &mut Settings| s.registration = Registration::Closed).await;
    let answer = closed.anonymous().post("/auth/sign-up").json(sign_up("ada@example.org")).await;
    answer.refused(409, "registration-closed");
    let invite = TestApp::with(|s: &mut Settings| s.registration = Registration::Invite).await;
    let answer = invite.anonymous().post("/auth/sign-up").json(sign_up("ada@example.org")).await;
    answer.refused(409, "invitation-needed");
}

#[tokio::test]
async fn l01_a_rotated_refresh_token_ends_its_family() {
    let (app, ada) = TestApp::with_person("ada").await;
    let nobody = app.anonymous();
    let refresh = |token: &str| nobody.post("/auth/refresh").json(json!({ "refresh_token": token }));
    let second = refresh(&ada.refresh_token).await.expect(200);
    // An answer that was lost on its way is given again.
    app.wait(Duration::from_secs(9));
    refresh(&ada.refresh_token).await.expect(200);
    app.of(&ada).get("/me").await.expect(200);
    // Later it is a theft, and nobody knows who the thief is.
    app.wait(Duration::from_secs(2));
    refresh(&ada.refresh_token).await.refused(401, "unauthenticated");
    refresh(second["refresh_token"].as_str().unwrap()).await.refused(401, "unauthenticated");
    app.of(&ada).get("/me").await.refused(401, "unauthenticated");
    let thief = app.bearer(second["access_token"].as_str().unwrap());
    thief.get("/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn l01_a_refresh_token_revoked_by_a_password_change_gives_nothing() {
    let (app, ada) = TestApp::with_person("ada").await;
    let elsewhere = app.sign_in("ada").await;
    let body = json!({ "old_password": PASSWORD, "new_password": "analytical engine 1" });
    app.of(&ada).post("/me/password").json(body).await.expect(204);
    let refresh = |token: &str| app.anonymous().post("/auth/refresh").json(json!({ "refresh_token": token }));
    refresh(&elsewhere.refresh_token).await.refused(401, "unauthenticated");
    refresh(&ada.refresh_token).await.expect(200);
    app.run_jobs().await;
}

#[tokio::test]
async fn l02_two_sign_ins_in_the_same_instant_both_succeed() {
    let app = TestApp::new().await;
    app.account("ada", false).await;
    let nobody = app.anonymous();
    let (one, two) = tokio::join!(
        nobody.post("/auth/sign-in").json(sign_in("ada")).into_future(),
        nobody.post("/auth/sign-in").json(sign_in("ada")).into_future(),
    );
    let (one, two) = (one.expect(200), two.expect(200));
    for member in ["session_id", "access_token", "refresh_token"] {
        assert_ne!(one[member], two[member], "{member}");
    }
}

#[tokio::test]
async fn l03_case_makes_no_second_account() {
    let app = TestApp::new().await;
    app.account("ada", false).await;
    let admin = app.admin("root").await;
    let known = app.anonymous().post("/auth/sign-up").json(sign_up("ADA@Example.Org")).await;
    let new = app.anonymous().post("/auth/sign-up").json(sign_up("Eve@Example.Org")).await;
    // The same answer; only the mail differs.
    assert_eq!(
        (known.expect(202), new.expect(202)),
        (json!({ "email": "ada@example.org" }), json!({ "email": "eve@example.org" }),)
    );
    let mails = app.mails().await;
    assert_eq!(mails.iter().filter(|m| m.text.contains("verify-email")).count(), 1);
    let found = app.of(&admin).get("/users?search=ada%40&count=true").await.expect(200);
    assert_eq!(found["total"], 1);
}

#[tokio::test]
async fn l04_a_deactivated_account_is_refused_on_the_next_request() {
    let (app, ada) = TestApp::with_person("ada").await;
    let root = app.admin("root").await;
    let path = format!("/users/{}", ada.user_id);
    let body = json!({ "name": "x", "scopes": ["read-account"] });
    let made = app.of(&ada).post("/me/tokens").json(body).await.expect(201);
    let token = app.bearer(made["token"].as_str().unwrap());
    app.of(&root).patch(&path).json(json!({ "is_active": false })).await.expect(200);
    // Its holder is told why, nobody else.
    app.of(&ada).get("/me").await.refused(401, "account-deactivated");
    app.of(&ada)
        .get("/workspaces/00000000-0000-7000-8000-000000000000")
        .await
        .refused(401, "account-deactivated");
    app.bearer("tenon_pat_AAAA").get("/me").await.refused(401, "unauthenticated");
    token.get("/me").await.refused(401, "account-deactivated");
    let again = json!({ "refresh_token": ada.refresh_token });
    app.anonymous().post("/auth/refresh").json(again).await.refused(401, "account-deactivated");
    app.anonymous().post("/auth/sign-in").json(sign_in("ada")).await.refused(409, "account-deactivated");
    // Switched on again, the old session and the old token stay ended.
    app.of(&root).patch(&path).json(json!({ "is_active": true })).await.expect(200);
    app.of(&ada).get("/me").await.refused(401, "unauthenticated");
    token.get("/me").await.refused(401, "unauthenticated");
    app.sign_in("ada").await;
}

#[tokio::test]
async fn l04_a_deleted_account_is_refused_on_the_next_request() {
    let (app, ada) = TestApp::with_person("ada").await;
    let elsewhere = app.sign_in("ada").await;
    app.of(&ada).delete("/me").json(json!({ "password": PASSWORD })).await.expect(204);
    app.of(&ada).get("/me").await.refused(401, "unauthenticated");
    app.of(&elsewhere).get("/me").await.refused(401, "unauthenticated");
    app.anonymous().post("/auth/sign-in").json(sign_in("ada")).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn l05_a_stranger_cannot_lock_a_victim_out_nor_find_out_who_is_here() {
    let app = TestApp::new().await;
    app.account("ada", false).await;
    let nobody = app.anonymous();
    let attempt = |login: &str, peer: &str| {
        let body = json!({ "login": login, "password": "wrong wrong wrong" });
        nobody.post("/auth/sign-in").json(body).from(peer)
    };
    let mut answers = vec![];
    for login in ["ada", "nobody"] {
        let mut of_login = vec![];
        for _ in 0..12 {
            let answer = attempt(login, "192.0.2.66").await;
            let mut body = answer.json();
            body["instance"] = json!(null);
            of_login.push((answer.status, body));
        }
        answers.push(of_login);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0][9].0, 401);
    assert_eq!(answers[0][10].0, 429);
    // The stranger is out, the owner is not.
    let from = |peer: &str| nobody.post("/auth/sign-in").json(sign_in("ada")).from(peer);
    from("192.0.2.66").await.refused(429, "rate-limited");
    from("192.0.2.7").await.expect(200);
}

#[tokio::test]
async fn right_passwords_do_not_count() {
    let app = TestApp::new().await;
    app.account("ada", false).await;
    let nobody = app.anonymous();
    for _ in 0..20 {
        nobody.post("/auth/sign-in").json(sign_in("ada")).from("192.0.2.66").await.expect(200);
    }
    // The handle and the address are one account.
    for n in 0..10 {
        let login = if n % 2 == 0 { "ada" } else { "ada@example.org" };
        let body = json!({ "login": login, "password": "wrong wrong wrong" });
        assert_eq!(nobody.post("/auth/sign-in").json(body).from("192.0.2.66").await.status, 401);
    }
    let refused = nobody.post("/auth/sign-in").json(sign_in("ada")).from("192.0.2.66").await;
    assert_eq!(refused.status, 429);
    let policy = refused.header("ratelimit-policy");
    assert!(policy.contains(r#""sign-in-pair";q=10;w=900"#), "{policy}");
    assert!(
        refused.header("ratelimit").contains(r#""sign-in-pair";r=0;t=900"#),
        "{}",
        refused.header("ratelimit")
    );
}

#[tokio::test]
async fn an_office_is_not_shut_out_by_the_mistakes_of_some() {
    let app = TestApp::with(|settings| settings.limits.sign_in_address.calls = 3).await;
    for name in ["ada", "grace"] {
        app.account(name, false).await;
    }
    let nobody = app.anonymous();
    let attempt = |login: String, password: &str| {
        nobody.post("/auth/sign-in").json(json!({ "login": login, "password": password })).from("192.0.2.66")
    };
    attempt("ada".to_owned(), PASSWORD).await.expect(200);
    // 3, and 10 more for the one account that has signed in from there.
    for n in 0..13 {
        assert_eq!(attempt(format!("nobody{n}"), "wrong wrong wrong").await.status, 401);
    }
    attempt("nobody".to_owned(), "wrong wrong wrong").await.refused(429, "rate-limited");
}

#[tokio::test]
async fn failures_from_everywhere_slow_an_account_and_do_not_lock_it() {
    let delay = std::time::Duration::from_millis(300);
    let app = TestApp::with(|settings| {
        settings.limits.sign_in_account.calls = 5;
        settings.limits.sign_in_account_delay = delay;
    })
    .await;
    app.account("ada", false).await;
    let nobody = app.anonymous();
    for n in 0..5 {
        let body = json!({ "login": "ada", "password": "wrong wrong wrong" });
        let answer = nobody.post("/auth/sign-in").json(body).from(&format!("192.0.2.{}", n + 10)).await;
        assert_eq!(answer.status, 401);
    }
    let began = std::time::Instant::now();
    nobody.post("/auth/sign-in").json(sign_in("ada")).from("192.0.2.200").await.expect(200);
    assert!(began.elapsed() >= delay);
}

#[tokio::test]
async fn l06_a_forged_forwarding_header_gives_no_fresh_attempts() {
    let app = TestApp::new().await;
    app.account("ada", false).await;
    let nobody = app.anonymous();
    let attempt = |peer: &str, forwarded: String| {
        let body = json!({ "login": "ada", "password": "wrong wrong wrong" });
        nobody.post("/auth/sign-in").json(body).from(peer).header("x-forwarded-for", forwarded)
    };
    for n in 0..10 {
        assert_eq!(attempt("192.0.2.66", format!("198.51.100.{n}")).await.status, 401);
    }
    attempt("192.0.2.66", "198.51.100.99".to_owned()).await.refused(429, "rate-limited");
    // Behind the trusted proxy, clients are told apart.
    for n in 0..12 {
        assert_eq!(attempt("10.0.0.1", format!("203.0.113.{n}")).await.status, 401);
    }
}

#[tokio::test]
async fn l08_a_token_in_the_query_is_not_a_credential() {
    let (app, ada) = TestApp::with_person("ada").await;
    let path = format!("/me?access_token={}", ada.access_token);
    app.anonymous().get(&path).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_browser_gets_its_tokens_as_cookies() {
    let app = TestApp::new().await;
    app.account("ada", false).await;
    let nobody = app.anonymous();
    let mut body = sign_in("ada");
    body["delivery"] = json!("cookie");
    let answer = nobody.post("/auth/sign-in").json(body).await;
    let lines: Vec<String> =
        answer.headers.get_all("set-cookie").iter().map(|l| l.to_str().unwrap().to_owned()).collect();
    let attributes: Vec<String> = lines
        .iter()
        .map(|l| format!("{} {}", l.split('=').next().unwrap(), l.split_once("; ").unwrap().1))
        .collect();
    insta::assert_snapshot!(attributes.join("\n"), @r"
    __Host-tenon_access HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=900
    __Secure-tenon_refresh HttpOnly; SameSite=Lax; Secure; Path=/api/v1/auth; Max-Age=2592000
    __Host-tenon_csrf SameSite=Lax; Secure; Path=/; Max-Age=2592000
    ");
    let cookies = answer.cookies();
    let tokens = answer.expect(200);
    assert_eq!((&tokens["access_token"], &tokens["refresh_token"]), (&Value::Null, &Value::Null));
    assert_eq!(tokens["csrf_token"], cookies[2].1.as_str());
    let cookie = |n: usize| format!("{}={}", cookies[n].0, cookies[n].1);

    nobody.get("/me").header("cookie", cookie(0)).await.expect(200);
    let change = || nobody.patch("/me").header("cookie", cookie(0)).json(json!({ "color": 3 }));
    change().await.refused(403, "csrf");
    change().header("x-csrf-token", cookies[2].1.clone()).await.expect(200);

    let refreshed = nobody.post("/auth/refresh").header("cookie", cookie(1)).json(json!({})).await;
    assert_eq!(refreshed.cookies().len(), 3);
    assert_ne!(refreshed.cookies()[1].1, cookies[1].1);
    refreshed.expect(200);

    let out = nobody
        .post("/auth/sign-out")
        .header("cookie", cookie(0))
        .header("x-csrf-token", cookies[2].1.clone())
        .await;
    assert!(out.cookies().iter().all(|(_, value)| value.is_empty()));
    out.expect(204);
    nobody.get("/me").header("cookie", cookie(0)).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn an_access_token_ends_and_a_session_goes_on() {
    let (app, ada) = TestApp::with_person("ada").await;
    app.wait(Duration::from_mins(15));
    app.of(&ada).get("/me").await.refused(401, "unauthenticated");
    let refresh = |token: &str| app.anonymous().post("/auth/refresh").json(json!({ "refresh_token": token }));
    let next = refresh(&ada.refresh_token).await.expect(200);
    app.bearer(next["access_token"].as_str().unwrap()).get("/me").await.expect(200);
    app.wait(Duration::from_hours(30 * 24));
    refresh(next["refresh_token"].as_str().unwrap()).await.refused(401, "unauthenticated");
    app.anonymous().post("/auth/refresh").json(json!({})).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn two_exchanges_of_one_token_in_the_same_instant_end_nothing() {
    let (app, ada) = TestApp::with_person("ada").await;
    let refresh = || {
        app.anonymous()
            .post("/auth/refresh")
            .json(json!({ "refresh_token": ada.refresh_token }))
            .into_future()
    };
    let (one, two) = tokio::join!(refresh(), refresh());
    for answer in [one, two] {
        let tokens = answer.expect(200);
        app.bearer(tokens["access_token"].as_str().unwrap()).get("/me").await.expect(200);
    }
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let (app, ada) = TestApp::with_person("ada").await;
    app.of(&ada).post("/auth/sign-out").await.expect(204);
    app.of(&ada).get("/me").await.refused(401, "unauthenticated");
    app.of(&ada).post("/auth/sign-out").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_sign_in_from_an_unknown_device_is_told() {
    let app = TestApp::new().await;
    app.account("ada", false).await;
    let from = |agent: &'static str| {
        app.anonymous().post("/auth/sign-in").json(sign_in("ada")).header("user-agent", agent)
    };
    from("first").await.expect(200);
    from("first").await.expect(200);
    assert!(app.mails().await.is_empty());
    from("second").from("192.0.2.7").await.expect(200);
    let mail = app.mail().await;
    assert!(mail.text.contains("second") && mail.text.contains("192.0.2.7"), "{}", mail.text);
    from("second").await.expect(200);
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_mail() {
    let (app, ada) = TestApp::with_person("ada").await;
    let nobody = app.anonymous();
    let request = |email: &str| nobody.post("/auth/reset-password/request").json(json!({ "email": email }));
    assert_eq!(request("nobody@example.org").await.expect(202), json!({ "email": "nobody@example.org" }));
    assert!(app.mails().await.is_empty());
    request("ada@example.org").await.expect(202);
    let token = app.mail().await.token();
    let reset = |password: &str| {
        nobody.post("/auth/reset-password").json(json!({ "token": token, "password": password }))
    };
    let weak = reset("password123").await;
    assert_eq!((weak.status, weak.fault().as_str()), (422, "/password common-password"));
    reset("analytical engine 1").await.expect(204);
    reset("analytical engine 2").await.refused(409, "link-not-valid");
    assert_eq!(app.mail().await.to.as_str(), "ada@example.org");
    app.of(&ada).get("/me").await.refused(401, "unauthenticated");
    nobody.post("/auth/sign-in").json(sign_in("ada")).await.refused(401, "unauthenticated");
    let new = json!({ "login": "ada", "password": "analytical engine 1" });
    nobody.post("/auth/sign-in").json(new).await.expect(200);
}

#[tokio::test]
async fn whoever_signs_up_again_replaces_an_account_that_was_never_verified() {
    let app = TestApp::new().await;
    let nobody = app.anonymous();
    let mut squatter = sign_up("ada@example.org");
    squatter["password"] = json!("the squatter's own");
    nobody.post("/auth/sign-up").json(squatter).await.expect(202);
    let first = app.mail().await.token();
    nobody.post("/auth/sign-up").json(sign_up("ada@example.org")).await.expect(202);
    let second = app.mail().await.token();
    let verify = |token: &str| nobody.post("/auth/verify-email").json(json!({ "token": token }));
    verify(&first).await.refused(409, "link-not-valid");
    verify(&second).await.expect(204);
    let squatter = json!({ "login": "ada@example.org", "password": "the squatter's own" });
    nobody.post("/auth/sign-in").json(squatter).await.refused(401, "unauthenticated");
    nobody.post("/auth/sign-in").json(sign_in("ada@example.org")).await.expect(200);
    app.run_jobs().await;
}

#[tokio::test]
async fn the_first_administrator_claims_the_instance_once() {
    let app = TestApp::new().await;
    let nobody = app.anonymous();
    let old = tenon_app::claims::open(&app.app, "start").await.unwrap().unwrap();
    let token = tenon_app::claims::open(&app.app, "start").await.unwrap().unwrap();
    let claim = |token: &str, email: &str| {
        let body = json!({ "token": token, "email": email, "full_name": "Root", "password": PASSWORD });
        nobody.post("/auth/claim").json(body)
    };
    claim(&old, "root@example.org").await.refused(409, "link-not-valid");
    let root = claim(&token, "root@example.org").await.expect(201);
    assert_eq!((&root["is_admin"], &root["is_active"]), (&json!(true), &json!(true)));
    claim(&token, "eve@example.org").await.refused(409, "link-not-valid");
    assert_eq!(tenon_app::claims::open(&app.app, "start").await.unwrap(), None);
    let root = app.sign_in("root").await;
    app.of(&root).get("/users").await.expect(200);
}

#[tokio::test]
async fn the_value_against_cross_site_requests_is_the_session_s_own() {
    let (app, one) = TestApp::with_person("ada").await;
    let two = app.sign_in("ada").await;
    let change = |value: &str| {
        let cookie = format!("__Host-tenon_access={}", one.access_token);
        let call = app.anonymous().patch("/me").json(json!({ "color": 3 }));
        call.header("cookie", cookie).header("x-csrf-token", value)
    };
    change(&two.csrf_token).await.refused(403, "csrf");
    change(&one.csrf_token).await.expect(200);
}

#[tokio::test]
async fn what_is_not_json_is_refused_in_the_right_words() {
    let app = TestApp::new().await;
    let nobody = app.anonymous();
    nobody.post("/auth/sign-in").bytes("text/plain", b"ada").await.refused(415, "unsupported-media-type");
    nobody.post("/auth/sign-in").bytes("application/json", b"{").await.refused(400, "malformed");
    nobody.put("/auth/sign-in").await.refused(405, "method-not-allowed");
    let long = json!({ "login": "ada".repeat(1 << 19), "password": PASSWORD });
    nobody.post("/auth/sign-in").json(long).await.refused(413, "too-large");
}
