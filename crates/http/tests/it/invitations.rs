//! Invitations, from both sides.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::app::{Actor, Place, TestApp};

async fn role(who: &Actor, place: &Place, slug: &str) -> String {
    let roles = who.get(&place.url("/roles")).expect(200).await.json();
    let found = roles["items"].as_array().unwrap().iter().find(|r| r["slug"] == slug).unwrap().clone();
    found["id"].as_str().unwrap().to_owned()
}

fn workspace(place: &Place, rest: &str) -> String {
    format!("/workspaces/{}{rest}", place.workspace)
}

async fn invite(who: &Actor, place: &Place, email: &str, slug: &str) -> Value {
    let role_id = role(who, place, slug).await;
    let wish = json!({ "invitations": [{ "email": email, "role_id": role_id }] });
    who.post(&place.url("/invitations"), wish).expect(200).await.json()["invitations"][0].clone()
}

async fn invite_to_workspace(who: &Actor, place: &Place, email: &str, role: &str) -> Value {
    let wish = json!({ "invitations": [{ "email": email, "role": role }] });
    let invited = who.post(&workspace(place, "/invitations"), wish).expect(200).await.json();
    invited["invitations"][0].clone()
}

async fn accept(who: &Actor, invitation: &Value) {
    who.post(&format!("/me/invitations/{}/accept", invitation["id"].as_str().unwrap()), json!({}))
        .expect(200)
        .await;
}

#[tokio::test]
async fn many_are_invited_at_once_and_everybody_is_accounted_for() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let (bob, _cleo) = (app.user("bob").await, app.user("cleo").await);
    app.join(&place, &ada, &bob, "member").await;
    let member = role(&ada, &place, "member").await;
    let wish = |who: Value| {
        let mut who = who;
        who["role_id"] = json!(member);
        who
    };
    let wishes = json!({ "invitations": [
        wish(json!({ "username": "bob" })), wish(json!({ "email": "bob@example.org" })),
        wish(json!({ "username": "cleo" })), wish(json!({ "email": "CLEO@example.org" })),
        wish(json!({ "username": "nobody" })), wish(json!({ "email": "dora@example.org" })),
    ]});
    let invited = ada.post(&place.url("/invitations"), wishes).expect(200).await.json();
    assert_eq!(invited["already_members"], 2);
    assert_eq!(invited["unknown_usernames"], json!(["nobody"]));
    let made = invited["invitations"].as_array().unwrap();
    assert_eq!(made.len(), 2);
    // Who is invited by handle keeps the address private; whether an address has an account is private, too.
    assert_eq!((&made[0]["username"], &made[0]["email"]), (&json!("cleo"), &json!(null)));
    assert_eq!((&made[1]["username"], &made[1]["email"]), (&json!(null), &json!("dora@example.org")));
    app.run_jobs().await;
    assert_eq!(app.mails_to("cleo@example.org").len(), 1);
    assert_eq!(app.mails_to("dora@example.org").len(), 1);
    assert!(app.mails_to("bob@example.org").is_empty(), "who is in already is not asked in");
}

#[tokio::test]
async fn one_call_invites_1_to_50_each_by_address_or_by_handle() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let url = workspace(&place, "/invitations");
    let of = |n: usize| {
        let wish = |i| json!({ "email": format!("p{i}@example.org"), "role": "member" });
        json!({ "invitations": (0..n).map(wish).collect::<Vec<_>>() })
    };
    ada.post(&url, of(0)).expect(422).await;
    ada.post(&url, of(51)).expect(422).await;
    let made = ada.post(&url, of(50)).expect(200).await.json();
    assert_eq!(made["invitations"].as_array().unwrap().len(), 50);
    app.run_jobs().await;
    for wrong in [
        json!({ "role": "member" }),
        json!({ "email": "a@b.org", "username": "a", "role": "member" }),
        json!({ "email": "no address", "role": "member" }),
        json!({ "email": "a@b.org", "role": "emperor" }),
    ] {
        ada.post(&url, json!({ "invitations": [wrong] })).expect(422).await;
    }
}

#[tokio::test]
async fn accepting_a_project_makes_a_member_of_its_workspace_too() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    let invitation = invite(&ada, &place, "bob@example.org", "member").await;
    app.run_jobs().await;
    bob.get(&place.url("")).expect(404).await;
    bob.get(&place.url("/changes")).expect(404).await;
    let waiting = bob.get("/me/invitations?count=true").expect(200).await.json();
    assert_eq!((&waiting["total"], &waiting["items"][0]["place_name"]), (&json!(1), &json!("Web site")));
    accept(&bob, &invitation).await;
    assert_eq!(bob.get(&place.url("")).expect(200).await.json()["role"]["slug"], "member");
    assert_eq!(bob.get(&workspace(&place, "")).expect(200).await.json()["role"], "readonly-member");
    let again = format!("/me/invitations/{}/accept", invitation["id"].as_str().unwrap());
    assert_eq!(bob.post(&again, json!({})).expect(409).await.problem().1, "invitation-not-pending");
    let kinds: Vec<Value> = bob.get("/me/changes").expect(200).await.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["kind"].clone())
        .collect();
    for kind in ["invitation.received", "workspace.joined", "project.joined"] {
        assert!(kinds.contains(&json!(kind)), "{kind} in {kinds:?}");
    }
}

#[tokio::test]
async fn a_better_invitation_into_the_workspace_is_accepted_with_that_into_the_project() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    invite_to_workspace(&ada, &place, "bob@example.org", "admin").await;
    let invitation = invite(&ada, &place, "bob@example.org", "readonly-member").await;
    app.run_jobs().await;
    accept(&bob, &invitation).await;
    assert_eq!(bob.get(&workspace(&place, "")).expect(200).await.json()["role"], "admin");
    assert!(bob.get("/me/invitations").expect(200).await.json()["items"].as_array().unwrap().is_empty());
    let left = ada.get(&workspace(&place, "/invitations?status=accepted&count=true")).expect(200).await;
    assert_eq!(left.json()["total"], 1);
}

#[tokio::test]
async fn an_invitation_is_for_nobody_else() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let (bob, eve) = (app.user("bob").await, app.user("eve").await);
    let invitation = invite(&ada, &place, "bob@example.org", "member").await;
    app.run_jobs().await;
    for verb in ["accept", "deny"] {
        let url = format!("/me/invitations/{}/{verb}", invitation["id"].as_str().unwrap());
        eve.post(&url, json!({})).expect(404).await;
    }
    assert!(eve.get("/me/invitations").expect(200).await.json()["items"].as_array().unwrap().is_empty());
    let link = app.mails_to("bob@example.org")[0].token();
    let refused = eve.post("/invitations/accept", json!({ "token": link })).expect(409).await;
    assert_eq!(refused.problem().1, "invitation-of-another");
    let deny = format!("/me/invitations/{}/deny", invitation["id"].as_str().unwrap());
    assert_eq!(bob.post(&deny, json!({})).expect(200).await.json()["status"], "denied");
    bob.get(&place.url("")).expect(404).await;
}

#[tokio::test]
async fn a_mailed_link_opens_once_and_for_four_days() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let eve = app.user("eve").await;
    invite(&ada, &place, "someone@example.org", "member").await;
    app.run_jobs().await;
    let link = json!({ "token": app.mails_to("someone@example.org")[0].token() });
    let nobody = app.anonymous();
    let preview = nobody.post("/invitations/preview", link.clone()).expect(200).await.json();
    assert_eq!(preview, json!({ "kind": "project", "place_name": "Web site", "inviter": "ada" }));
    nobody.post("/invitations/preview", json!({ "token": "forged" })).expect(404).await;
    nobody.post("/invitations/accept", link.clone()).expect(401).await;
    // The address is nobody's account: whoever reads its mail may come in with theirs.
    eve.post("/invitations/accept", link.clone()).expect(200).await;
    eve.get(&place.url("")).expect(200).await;
    eve.post("/invitations/accept", link.clone()).expect(404).await;
    nobody.post("/invitations/preview", link).expect(404).await;

    invite(&ada, &place, "late@example.org", "member").await;
    app.run_jobs().await;
    let link = json!({ "token": app.mails_to("late@example.org")[0].token() });
    app.clock.advance(Duration::from_hours(4 * 24));
    nobody.post("/invitations/preview", link).expect(404).await;
}

#[tokio::test]
async fn it_takes_no_account_to_say_no() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let invitation = invite_to_workspace(&ada, &place, "someone@example.org", "member").await;
    app.run_jobs().await;
    let link = json!({ "token": app.mails_to("someone@example.org")[0].token() });
    app.anonymous().post("/invitations/deny", link.clone()).expect(204).await;
    app.anonymous().post("/invitations/deny", link).expect(404).await;
    let url = workspace(&place, &format!("/invitations/{}", invitation["id"].as_str().unwrap()));
    assert_eq!(ada.get(&url).expect(200).await.json()["status"], "denied");
}

#[tokio::test]
async fn at_most_one_mail_in_ten_minutes_and_ten_in_all() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let invitation = invite(&ada, &place, "bob@example.org", "member").await;
    app.run_jobs().await;
    let first = json!({ "token": app.mails_to("bob@example.org")[0].token() });
    let url = place.url(&format!("/invitations/{}/resend", invitation["id"].as_str().unwrap()));
    let refused = ada.post(&url, json!({})).expect(409).await;
    assert_eq!(refused.problem().1, "mailed-recently");
    // Inviting again is no way around it.
    invite(&ada, &place, "bob@example.org", "admin").await;
    assert_eq!(app.run_jobs().await, 0);
    for sent in 2..=10 {
        app.clock.advance(Duration::from_mins(10));
        let ada = app.sign_in(ada.id, "ada").await;
        assert_eq!(ada.post(&url, json!({})).expect(200).await.json()["sent_count"], sent);
        app.run_jobs().await;
    }
    app.anonymous().post("/invitations/preview", first).expect(404).await;
    app.clock.advance(Duration::from_mins(10));
    let ada = app.sign_in(ada.id, "ada").await;
    let refused = ada.post(&url, json!({})).expect(409).await;
    assert_eq!(refused.problem().1, "too-many-mails");
    let mails = app.mails_to("bob@example.org");
    assert_eq!(mails.len(), 10);
    let last = json!({ "token": mails[9].token() });
    app.anonymous().post("/invitations/preview", last).expect(200).await;
}

#[tokio::test]
async fn an_invitation_taken_back_opens_nothing_and_can_be_opened_again() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    let invitation = invite(&ada, &place, "bob@example.org", "member").await;
    app.run_jobs().await;
    let link = json!({ "token": app.mails_to("bob@example.org")[0].token() });
    let url = place.url(&format!("/invitations/{}", invitation["id"].as_str().unwrap()));
    ada.delete(&url).expect(204).await;
    ada.delete(&url).expect(204).await;
    let told = bob.post("/invitations/accept", link.clone()).expect(409).await;
    assert_eq!(told.problem().1, "invitation-withdrawn");
    let accept_url = format!("/me/invitations/{}/accept", invitation["id"].as_str().unwrap());
    bob.post(&accept_url, json!({})).expect(409).await;
    ada.post(&format!("{url}/resend"), json!({})).expect(409).await;
    let again = invite(&ada, &place, "bob@example.org", "readonly-member").await;
    assert_eq!((&again["id"], &again["role"]), (&invitation["id"], &json!("readonly-member")));
    // The link of what was taken back does not come back with it.
    bob.post("/invitations/accept", link).expect(404).await;
    accept(&bob, &again).await;
    assert_eq!(ada.delete(&url).expect(409).await.problem().1, "invitation-not-pending");
}

#[tokio::test]
async fn only_owners_invite_owners() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    app.join(&place, &ada, &bob, "admin").await;
    ada.patch(&workspace(&place, &format!("/members/{}", bob.id)), json!({ "role": "admin" }))
        .expect(200)
        .await;
    let owner = role(&ada, &place, "owner").await;
    let wish = json!({ "invitations": [{ "email": "x@example.org", "role_id": owner }] });
    bob.post(&place.url("/invitations"), wish).expect(403).await;
    let wish = json!({ "invitations": [{ "email": "x@example.org", "role": "owner" }] });
    bob.post(&workspace(&place, "/invitations"), wish).expect(403).await;
    let made = invite(&bob, &place, "x@example.org", "member").await;
    app.run_jobs().await;
    let url = place.url(&format!("/invitations/{}", made["id"].as_str().unwrap()));
    bob.patch(&url, json!({ "role_id": owner })).expect(403).await;
    ada.patch(&url, json!({ "role_id": owner })).expect(200).await;
    assert_eq!(app.mails_to("x@example.org").len(), 1);
}

#[tokio::test]
async fn l10_an_address_that_is_not_verified_gets_nothing() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    // Somebody signs up with an address that is not theirs, and cannot verify it.
    let wish = json!({
        "email": "victim@example.org", "username": "mallory", "full_name": "Mallory",
        "password": crate::harness::app::PASSWORD, "accept_terms": true, "accept_privacy": true,
    });
    let signed_up = app.anonymous().post("/auth/sign-up", wish).send().await;
    assert!(signed_up.status < 300, "{}", signed_up.status);
    app.run_jobs().await;
    let verify = app.mails_to("victim@example.org")[0].token();
    let invitation = invite(&ada, &place, "victim@example.org", "member").await;
    assert_eq!(invitation["username"], json!(null));
    let wish = json!({ "invitations": [{ "username": "mallory", "role": "member" }] });
    let invited = ada.post(&workspace(&place, "/invitations"), wish).expect(200).await.json();
    assert_eq!(invited["unknown_usernames"], json!(["mallory"]));
    app.run_jobs().await;
    // The owner of the address verifies it: now the invitation is linked, and their log knows.
    let verified = app.anonymous().post("/auth/verify-email", json!({ "token": verify })).send().await;
    assert!(verified.status < 300, "{}", verified.status);
    app.run_jobs().await;
    let user = tenon_app::users::find(&app.app, tenon_app::users::Operator::System, "mallory").await.unwrap();
    let person = app.sign_in(user.id, "mallory").await;
    let waiting = person.get("/me/invitations").expect(200).await.json();
    assert_eq!(waiting["items"][0]["id"], invitation["id"]);
    let log = person.get("/me/changes").expect(200).await.json();
    assert!(log["items"].as_array().unwrap().iter().any(|c| c["kind"] == "invitation.received"));
}

#[tokio::test]
async fn mails_to_people_who_are_not_members_are_limited_by_sender_and_said_so() {
    let app = TestApp::with(|settings| settings.limits.mail_new_sender.calls = 3).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let place = app.project_of(&ada).await;
    let wish = |i: usize| json!({ "email": format!("p{i}@example.org"), "role": "member" });
    let wishes = json!({ "invitations": (0..5).map(wish).collect::<Vec<_>>() });
    let invited = ada.post(&workspace(&place, "/invitations"), wishes).expect(200).await.json();
    assert_eq!(invited["invitations"].as_array().unwrap().len(), 3);
    let refused = &invited["refused"];
    assert_eq!(
        (&refused[0]["invitee"], &refused[1]["invitee"]),
        (&json!("p3@example.org"), &json!("p4@example.org"))
    );
    assert_eq!(refused[0]["code"], "mail-limit-sender");
    assert_eq!(
        refused[0]["detail"],
        "A new account may send 3 mails in 24 hours to people who are not members yet. Try again in 24 hours."
    );
    // When nobody can be invited, nothing is done.
    let wishes = json!({ "invitations": [wish(5)] });
    let refused = ada.post(&workspace(&place, "/invitations"), wishes).expect(429).await;
    assert_eq!(refused.problem().1, "mail-limit-sender");
    app.run_jobs().await;
    assert_eq!(app.mails_to("p2@example.org").len(), 1);
    assert!(app.mails_to("p3@example.org").is_empty());
    // Somebody else's limit is their own.
    let other = app.project_of(&bob).await;
    invite_to_workspace(&bob, &other, "p3@example.org", "member").await;
    app.run_jobs().await;
    assert_eq!(app.mails_to("p3@example.org").len(), 1);
}

#[tokio::test]
async fn an_address_gets_so_many_mails_over_all_workspaces() {
    let app = TestApp::with(|settings| settings.limits.mail_recipient.calls = 2).await;
    for n in 0..3 {
        let host = app.user(&format!("host{n}")).await;
        let place = app.project_of(&host).await;
        let wishes = json!({ "invitations": [{ "email": "victim@example.org", "role": "member" }] });
        let status = if n < 2 { 200 } else { 429 };
        let answer = host.post(&workspace(&place, "/invitations"), wishes).expect(status).await;
        if n == 2 {
            assert_eq!(answer.problem().1, "mail-limit-recipient");
        }
    }
    app.run_jobs().await;
    assert_eq!(app.mails_to("victim@example.org").len(), 2);
}
