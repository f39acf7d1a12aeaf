//! Invitations end with their sender's right to send them, whatever ended it.

use serde_json::{Value, json};

use crate::harness::app::{Actor, PASSWORD, Place, TestApp};

/// Ada owns a project and its workspace; Bob may invite in both; Root administers the instance; Eve is invited by name,
/// and somebody without an account by address.
struct House {
    app: TestApp,
    place: Place,
    ada: Actor,
    bob: Actor,
    eve: Actor,
    root: Actor,
    /// Of the mail about Bob's invitation into the project, and into the workspace.
    links: [Value; 2],
    /// Addresses of Bob's invitations into the project and the workspace.
    sent: [String; 2],
    host: String,
}

impl House {
    async fn new() -> Self {
        let (app, ada) = TestApp::with_user("ada").await;
        let place = app.project_of(&ada).await;
        let (bob, eve, root) = (app.user("bob").await, app.user("eve").await, app.user("root").await);
        app.make_admin(&root, true).await;
        let url = |rest: &str| format!("/workspaces/{}{rest}", place.workspace);
        let new = json!({ "name": "Host", "permissions": ["create_modify_member", "view_story"] });
        let host = text(&ada.post(&place.url("/roles"), new).expect(201).await.json()["id"]);
        let new = json!({ "name": "Guest", "permissions": ["view_story"] });
        let guest = text(&ada.post(&place.url("/roles"), new).expect(201).await.json()["id"]);
        app.join(&place, &ada, &bob, "host").await;
        ada.patch(&url(&format!("/members/{}", bob.id)), json!({ "role": "admin" })).expect(200).await;
        let wish = json!({ "invitations": [
            { "username": "eve", "role_id": guest }, { "email": "p@example.org", "role_id": guest },
        ]});
        let project = bob.post(&place.url("/invitations"), wish).expect(200).await.json();
        let wish = json!({ "invitations": [{ "email": "w@example.org", "role": "admin" }] });
        let workspace = bob.post(&url("/invitations"), wish).expect(200).await.json();
        app.run_jobs().await;
        let link = |address: &str| json!({ "token": app.mails_to(address)[0].token() });
        let links = [link("p@example.org"), link("w@example.org")];
        let id = |made: &Value, n: usize| text(&made["invitations"][n]["id"]);
        let sent = [
            place.url(&format!("/invitations/{}", id(&project, 0))),
            url(&format!("/invitations/{}", id(&workspace, 0))),
        ];
        Self { app, place, ada, bob, eve, root, links, sent, host }
    }

    fn member(&self) -> String {
        self.place.url(&format!("/members/{}", self.bob.id))
    }
    fn workspace_member(&self) -> String {
        format!("/workspaces/{}/members/{}", self.place.workspace, self.bob.id)
    }
    fn workspace(&self, rest: &str) -> String {
        format!("/workspaces/{}{rest}", self.place.workspace)
    }

    async fn status(&self, n: usize) -> Value {
        self.ada.get(&self.sent[n]).expect(200).await.json()["status"].clone()
    }

    /// Whether Bob's invitation into the project (0) or the workspace (1) opens nothing, and everybody is told so.
    async fn assert_ended(&self, n: usize, how: &str) {
        assert_eq!(self.status(n).await, "revoked", "{how}");
        let stranger = self.app.user(&format!("s{n}")).await;
        let anonymous = self.app.anonymous();
        let told = [
            anonymous.post("/invitations/preview", self.links[n].clone()).send().await,
            stranger.post("/invitations/accept", self.links[n].clone()).send().await,
        ];
        for told in told {
            assert_eq!(told.problem(), (409, "invitation-withdrawn".to_owned()), "{how}");
        }
        let log = if n == 0 { self.place.url("/changes") } else { self.workspace("/changes") };
        let log = self.ada.get(&format!("{log}?limit=200")).expect(200).await.json();
        let kind = if n == 0 { "invitation.updated" } else { "workspace_invitation.updated" };
        let ended = log["items"].as_array().unwrap().iter();
        assert!(ended.clone().any(|c| c["kind"] == kind && c["data"]["status"] == "revoked"), "{how}");
        if n == 0 {
            let waiting = self.eve.get("/me/invitations").expect(200).await.json();
            assert_eq!(waiting["items"], json!([]), "{how}");
            let id = self.sent[0].rsplit('/').next().unwrap();
            let refused = self.eve.post(&format!("/me/invitations/{id}/accept"), json!({})).send().await;
            assert_eq!(refused.problem(), (409, "invitation-withdrawn".to_owned()), "{how}");
        }
    }

    async fn assert_good(&self, n: usize, how: &str) {
        assert_eq!(self.status(n).await, "pending", "{how}");
        self.app.anonymous().post("/invitations/preview", self.links[n].clone()).expect(200).await;
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What ends with each way; `false` where the invitation stays good.
macro_rules! ways {
    ($($name:ident: $project:literal, $workspace:literal, |$h:ident| $act:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let $h = House::new().await;
            $act;
            for (n, ends) in [$project, $workspace].into_iter().enumerate() {
                if ends {
                    $h.assert_ended(n, stringify!($name)).await;
                } else {
                    $h.assert_good(n, stringify!($name)).await;
                }
            }
            $h.app.run_jobs().await;
        }
    )*};
}

ways! {
    invitations_stay_while_their_sender_does: false, false, |h| {
        h.ada.patch(&h.place.url(""), json!({ "name": "Site" })).expect(200).await
    };
    invitations_end_when_their_sender_is_removed_from_the_project: true, false, |h| {
        h.ada.delete(&h.member()).expect(204).await
    };
    invitations_end_when_their_sender_leaves_the_project: true, false, |h| {
        h.bob.post(&h.place.url("/leave"), json!({})).expect(204).await
    };
    invitations_end_when_their_sender_is_removed_from_the_workspace: true, true, |h| {
        h.ada.delete(&h.workspace_member()).expect(204).await
    };
    invitations_end_when_their_sender_leaves_the_workspace: true, true, |h| {
        h.bob.post(&h.workspace("/leave"), json!({})).expect(204).await
    };
    invitations_end_when_their_sender_is_demoted_in_the_project: true, false, |h| {
        let roles = h.ada.get(&h.place.url("/roles")).expect(200).await.json();
        h.ada.patch(&h.member(), json!({ "role_id": roles["items"][3]["id"] })).expect(200).await
    };
    invitations_stay_when_their_sender_is_promoted: false, false, |h| {
        let roles = h.ada.get(&h.place.url("/roles")).expect(200).await.json();
        h.ada.patch(&h.member(), json!({ "role_id": roles["items"][1]["id"] })).expect(200).await
    };
    invitations_end_when_their_sender_is_demoted_in_the_workspace: false, true, |h| {
        h.ada.patch(&h.workspace_member(), json!({ "role": "member" })).expect(200).await
    };
    invitations_end_when_the_role_of_their_sender_may_no_longer_invite: true, false, |h| {
        let url = h.place.url(&format!("/roles/{}", h.host));
        h.ada.patch(&url, json!({ "permissions": ["view_story"] })).expect(200).await
    };
    invitations_end_when_the_role_of_their_sender_holds_less_than_they_give: true, false, |h| {
        let url = h.place.url(&format!("/roles/{}", h.host));
        h.ada.patch(&url, json!({ "permissions": ["create_modify_member"] })).expect(200).await
    };
    invitations_end_when_the_role_of_their_sender_is_deleted: true, false, |h| {
        let roles = h.ada.get(&h.place.url("/roles")).expect(200).await.json();
        let to = text(&roles["items"][3]["id"]);
        h.ada.delete(&h.place.url(&format!("/roles/{}?move_to={to}", h.host))).expect(204).await
    };
    invitations_end_when_their_sender_is_deactivated: true, true, |h| {
        h.root.patch(&format!("/users/{}", h.bob.id), json!({ "is_active": false })).expect(200).await
    };
    invitations_end_when_the_account_of_their_sender_is_deleted: true, true, |h| {
        h.bob.call("DELETE", "/me").json(json!({ "password": PASSWORD })).expect(204).await
    };
}

#[tokio::test]
async fn an_invitation_that_was_missed_is_refused_when_it_is_answered() {
    let h = House::new().await;
    let mut conn = h.app.app.read().await.unwrap();
    // Behind the back of the use-cases, as by a write of the moment in which it was sent.
    tenon_db::users::set_active(&mut conn, h.bob.id, false).await.unwrap();
    let id = h.sent[0].rsplit('/').next().unwrap();
    let refused = h.eve.post(&format!("/me/invitations/{id}/accept"), json!({})).expect(409).await;
    assert_eq!(refused.problem().1, "invitation-withdrawn");
    for link in &h.links {
        h.app.anonymous().post("/invitations/preview", link.clone()).expect(409).await;
        h.eve.post("/invitations/accept", link.clone()).expect(409).await;
    }
    h.eve.get(&h.place.url("")).expect(404).await;
}

#[tokio::test]
async fn who_changes_what_an_invitation_gives_is_its_sender_from_then_on() {
    let h = House::new().await;
    let roles = h.ada.get(&h.place.url("/roles")).expect(200).await.json();
    let admin = json!({ "role_id": roles["items"][1]["id"] });
    let changed = h.ada.patch(&h.sent[0], admin).expect(200).await.json();
    assert_eq!(changed["invited_by"]["id"], h.ada.id.to_string());
    h.ada.delete(&h.member()).expect(204).await;
    assert_eq!(h.status(0).await, "pending");
    let id = h.sent[0].rsplit('/').next().unwrap();
    h.eve.post(&format!("/me/invitations/{id}/accept"), json!({})).expect(200).await;
    assert_eq!(h.eve.get(&h.place.url("")).expect(200).await.json()["role"]["slug"], "admin");
}
