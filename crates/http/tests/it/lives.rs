//! An account among others: invitations that wait for it, and what its end leaves behind.

use serde_json::{Value, json};
use tenon_app::{credentials, invitations, my_invitations, projects, workspace_members, workspaces};
use tenon_core::{
    callers::Caller,
    emails::Email,
    ids::WorkspaceId,
    invitations::{GivenRole, Invitee, NewInvitation, Place},
    page::Page,
    projects::{NewProject, ProjectDescription, ProjectName},
    roles::WorkspaceRole,
    tokens::Scope,
    workspaces::{NewWorkspace, WorkspaceName},
};

use crate::harness::people::{PASSWORD, Session, TestApp};

const FIRST: Page<uuid::Uuid> = Page { limit: 50, after: None };

fn caller(app: &TestApp, session: &Session) -> Caller {
    credentials::verify(&app.app, &session.access_token, Scope::ReadAccount, "test").unwrap()
}

async fn workspace(app: &TestApp, owner: &Session, name: &str) -> WorkspaceId {
    let new = NewWorkspace { name: WorkspaceName::parse(name).unwrap(), color: None };
    workspaces::create(&app.app, &caller(app, owner), new).await.unwrap().workspace.id
}

async fn invite(app: &TestApp, owner: &Session, to: WorkspaceId, email: &str, role: WorkspaceRole) {
    let new = NewInvitation {
        invitee: Invitee::Email(Email::parse(email).unwrap()),
        role: GivenRole::Workspace(role),
    };
    invitations::create(&app.app, &caller(app, owner), Place::Workspace(to), vec![new]).await.unwrap();
    app.mails().await;
}

async fn accept_all(app: &TestApp, person: &Session) -> usize {
    let caller = caller(app, person);
    let (waiting, _) = my_invitations::list(&app.app, &caller, FIRST, false).await.unwrap();
    for invitation in &waiting.items {
        my_invitations::accept(&app.app, &caller, invitation.id).await.unwrap();
    }
    app.mails().await;
    waiting.items.len()
}

#[tokio::test]
async fn l10_an_invitation_waits_for_a_verified_address() {
    let (app, ada) = TestApp::with_person("ada").await;
    let place = workspace(&app, &ada, "Engines").await;
    invite(&app, &ada, place, "eve@example.org", WorkspaceRole::Member).await;
    // Somebody who cannot read Eve's mail signs up with her address: nothing opens.
    let body = json!({
        "email": "eve@example.org", "username": "eve", "full_name": "Eve", "password": PASSWORD,
        "accept_terms": true, "accept_privacy": true,
    });
    app.anonymous().post("/auth/sign-up").json(body).await.expect(202);
    let token = app.mail().await.token();
    let sign_in = json!({ "login": "eve", "password": PASSWORD });
    app.anonymous().post("/auth/sign-in").json(sign_in).await.refused(409, "email-not-verified");
    // Eve herself reads the mail.
    app.anonymous().post("/auth/verify-email").json(json!({ "token": token })).await.expect(204);
    app.run_jobs().await;
    let eve = app.sign_in("eve").await;
    assert_eq!(accept_all(&app, &eve).await, 1);
}

#[tokio::test]
async fn l10_a_change_to_an_address_opens_its_invitations_only_when_confirmed() {
    let (app, ada) = TestApp::with_person("ada").await;
    let mallory = app.person("mallory").await;
    let place = workspace(&app, &ada, "Engines").await;
    invite(&app, &ada, place, "eve@example.org", WorkspaceRole::Member).await;
    let body = json!({ "email": "eve@example.org", "password": PASSWORD });
    app.of(&mallory).post("/me/email").json(body).await.expect(202);
    let mails = app.mails().await;
    let old = mails.iter().find(|m| m.to.as_str() == "mallory@example.org").unwrap();
    let token = json!({ "token": old.token() });
    app.anonymous().post("/auth/change-email").json(token).await.expect(200);
    app.run_jobs().await;
    assert_eq!(accept_all(&app, &mallory).await, 0);
}

#[tokio::test]
async fn an_account_made_by_an_administrator_finds_its_invitations() {
    let (app, ada) = TestApp::with_person("ada").await;
    let place = workspace(&app, &ada, "Engines").await;
    invite(&app, &ada, place, "eve@example.org", WorkspaceRole::Member).await;
    app.account("eve", false).await;
    app.run_jobs().await;
    let eve = app.sign_in("eve").await;
    assert_eq!(accept_all(&app, &eve).await, 1);
}

#[tokio::test]
async fn a_sole_owner_of_what_others_use_stays() {
    let (app, ada) = TestApp::with_person("ada").await;
    app.account("eve", false).await;
    let eve = app.sign_in("eve").await;
    let (shared, alone) = (workspace(&app, &ada, "Shared").await, workspace(&app, &ada, "Alone").await);
    invite(&app, &ada, shared, "eve@example.org", WorkspaceRole::Member).await;
    accept_all(&app, &eve).await;
    let new = NewProject {
        name: ProjectName::parse("Mine").unwrap(),
        description: ProjectDescription::parse("").unwrap(),
        color: None,
        key: None,
        template: "kanban".to_owned(),
    };
    let mine = projects::create(&app.app, &caller(&app, &ada), shared, new).await.unwrap();
    app.mails().await;
    let of = |kind: &str, id: String, name: &str| json!({ "kind": kind, "id": id, "name": name });
    let project = of("project", mine.project.id.to_string(), "Mine");
    let (shared_view, alone_view) =
        (of("workspace", shared.to_string(), "Shared"), of("workspace", alone.to_string(), "Alone"));
    let info = app.of(&ada).get("/me/delete-info").await.expect(200);
    assert_eq!(info, json!({ "blockers": [shared_view], "destroyed": [alone_view, project], "left": [] }));
    app.of(&ada).delete("/me").json(json!({ "password": PASSWORD })).await.refused(409, "sole-owner");

    let role = WorkspaceRole::Owner;
    let eve_id = eve.user_id.parse::<uuid::Uuid>().unwrap().into();
    workspace_members::change_role(&app.app, &caller(&app, &ada), shared, eve_id, None, role).await.unwrap();
    let info = app.of(&ada).get("/me/delete-info").await.expect(200);
    assert_eq!((&info["blockers"], &info["left"]), (&json!([]), &json!([shared_view])));
    app.of(&ada).delete("/me").json(json!({ "password": PASSWORD })).await.expect(204);

    // Those who stay are told, and nobody else is an author of it.
    let path = format!("/workspaces/{shared}/changes?after=0");
    let changes = app.of(&eve).get(&path).await.expect(200);
    let last = changes["items"]
        .as_array()
        .or_else(|| changes["changes"].as_array())
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!((&last["kind"], &last["data"]["user_id"]), (&json!("member.removed"), &json!(ada.user_id)));
    let (members, _) = workspace_members::list(
        &app.app,
        &caller(&app, &eve),
        shared,
        Page { limit: 50, after: None },
        false,
    )
    .await
    .unwrap();
    assert_eq!(members.items.len(), 1);
}

#[tokio::test]
async fn one_s_own_log_tells_of_sessions_and_tokens_without_their_secrets() {
    let (app, ada) = TestApp::with_person("ada").await;
    let other = app.sign_in("ada").await;
    let body = json!({ "name": "Export", "scopes": ["read-projects"] });
    let token = app.of(&ada).post("/me/tokens").json(body).await.expect(201);
    let path = format!("/me/tokens/{}", token["id"].as_str().unwrap());
    app.of(&ada).delete(&path).await.expect(204);
    app.of(&ada).delete(&format!("/me/sessions/{}", other.id)).await.expect(204);
    let changes = app.of(&ada).get("/me/changes").await.expect(200);
    let kinds: Vec<&str> = list(&changes).iter().map(|c| c["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "account.created",
            "session.created",
            "session.created",
            "token.created",
            "token.revoked",
            "session.revoked"
        ]
    );
    let text = changes.to_string();
    for secret in [&other.refresh_token, &other.access_token, &token["token"].as_str().unwrap().to_owned()] {
        assert!(!text.contains(secret.as_str()));
    }
    assert!(!text.contains("argon2"), "{text}");
    assert_eq!(list(&changes)[5]["data"], json!({ "session_id": other.id }));
    assert_eq!(list(&changes)[4]["data"], json!({ "token_id": token["id"] }));
}

fn list(changes: &Value) -> &Vec<Value> {
    changes["items"].as_array().or_else(|| changes["changes"].as_array()).unwrap()
}
