//! Who may do what: every operation, tried by everybody.
//!
//! A row is an operation, the status that each of the cast gets, and a body. `$words` in bodies and the names in the
//! operation's path are filled from the world. What can be used up is made anew for each attempt.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenon_http::endpoint::{Method, Operation};

use crate::harness::{
    app::{Actor, Place, TestApp},
    call::Call,
};

/// One operation: owner, admin, member, read-only member, invitee, stranger, anonymous.
pub(crate) struct Row(pub(crate) &'static str, pub(crate) [u16; 7], pub(crate) &'static str);

/// Everybody in, with the same answer; nobody else.
const PEOPLE: [u16; 7] = [200, 200, 200, 200, 404, 404, 401];
/// Everybody with an account.
const ACCOUNTS: [u16; 7] = [200, 200, 200, 200, 200, 200, 401];
/// Everybody.
const ALL: [u16; 7] = [200; 7];
/// Owners and admins; other members see that it is there.
const ADMINS: [u16; 7] = [200, 200, 403, 403, 404, 404, 401];
const ADMINS_MAKE: [u16; 7] = [201, 201, 403, 403, 404, 404, 401];
const ADMINS_TAKE: [u16; 7] = [204, 204, 403, 403, 404, 404, 401];
/// Owners only.
const OWNERS: [u16; 7] = [200, 403, 403, 403, 404, 404, 401];
/// Everybody in but those who only read.
const WRITERS: [u16; 7] = [200, 200, 200, 403, 404, 404, 401];
const WRITERS_MAKE: [u16; 7] = [201, 201, 201, 403, 404, 404, 401];
const WRITERS_TAKE: [u16; 7] = [204, 204, 204, 403, 404, 404, 401];
/// Administrators of the instance, of whom there are none here.
const OPERATORS: [u16; 7] = [403, 403, 403, 403, 403, 403, 401];

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    Row("list_workspaces", ACCOUNTS, ""),
    Row("create_workspace", [201, 201, 201, 201, 201, 201, 401], r#"{"name":"New"}"#),
    Row("get_workspace", PEOPLE, ""),
    Row("update_workspace", ADMINS, r#"{"color":3}"#),
    // It holds a project.
    Row("delete_workspace", [409, 403, 403, 403, 404, 404, 401], ""),
    Row("restore_workspace", OWNERS, "{}"),
    Row("list_workspace_changes", PEOPLE, ""),

    Row("list_workspace_members", PEOPLE, ""),
    Row("get_workspace_member", PEOPLE, ""),
    Row("update_workspace_member", ADMINS, r#"{"role":"member"}"#),
    Row("remove_workspace_member", ADMINS_TAKE, ""),
    Row("leave_workspace", [409, 204, 204, 204, 404, 404, 401], "{}"),

    Row("list_workspace_invitations", ADMINS, ""),
    Row("create_workspace_invitations", ADMINS, r#"{"invitations":[{"email":"new@example.org","role":"member"}]}"#),
    Row("get_workspace_invitation", ADMINS, ""),
    Row("update_workspace_invitation", ADMINS, r#"{"role":"readonly-member"}"#),
    Row("revoke_workspace_invitation", ADMINS_TAKE, ""),
    // A mail has just gone out.
    Row("resend_workspace_invitation", [409, 409, 403, 403, 404, 404, 401], "{}"),

    Row("list_my_projects", ACCOUNTS, ""),
    Row("list_projects", PEOPLE, ""),
    Row("list_templates", ACCOUNTS, ""),
    Row("create_project", WRITERS_MAKE, r#"{"name":"New"}"#),
    Row("get_project", PEOPLE, ""),
    Row("update_project", ADMINS, r#"{"color":3}"#),
    Row("delete_project", [204, 403, 403, 403, 404, 404, 401], ""),
    Row("restore_project", OWNERS, "{}"),
    Row("list_project_changes", PEOPLE, ""),
    Row("list_project_activity", PEOPLE, ""),

    Row("list_project_roles", PEOPLE, ""),
    Row("create_project_role", ADMINS_MAKE, r#"{"name":"New","permissions":["view_story"]}"#),
    Row("get_project_role", PEOPLE, ""),
    Row("update_project_role", ADMINS, r#"{"name":"Other"}"#),
    Row("delete_project_role", ADMINS_TAKE, ""),

    Row("list_project_members", PEOPLE, ""),
    Row("get_project_member", PEOPLE, ""),
    Row("update_project_member", ADMINS, r#"{"role_id":"$role"}"#),
    Row("remove_project_member", ADMINS_TAKE, ""),
    Row("leave_project", [409, 204, 204, 204, 404, 404, 401], "{}"),

    Row("list_project_invitations", ADMINS, ""),
    Row("create_project_invitations", ADMINS, r#"{"invitations":[{"email":"new@example.org","role_id":"$role"}]}"#),
    Row("get_project_invitation", ADMINS, ""),
    Row("update_project_invitation", ADMINS, r#"{"role_id":"$role"}"#),
    Row("revoke_project_invitation", ADMINS_TAKE, ""),
    Row("resend_project_invitation", [409, 409, 403, 403, 404, 404, 401], "{}"),

    Row("list_my_invitations", ACCOUNTS, ""),
    Row("accept_invitation", [404, 404, 404, 404, 200, 404, 401], "{}"),
    Row("deny_invitation", [404, 404, 404, 404, 200, 404, 401], "{}"),
    Row("preview_invitation_link", ALL, r#"{"token":"$link"}"#),
    // The link was mailed to the invitee; those who come after them find it used.
    Row("accept_invitation_link", [404, 404, 404, 404, 200, 409, 401], r#"{"token":"$link"}"#),
    Row("deny_invitation_link", [204; 7], r#"{"token":"$link"}"#),

    Row("list_workflows", PEOPLE, ""),
    Row("create_workflow", WRITERS_MAKE, r#"{"name":"New"}"#),
    Row("get_board", PEOPLE, ""),
    Row("update_workflow", WRITERS, r#"{"position":0}"#),
    Row("delete_workflow", ADMINS_TAKE, ""),
    Row("list_statuses", PEOPLE, ""),
    Row("create_status", WRITERS_MAKE, r#"{"name":"New","category":"todo"}"#),
    Row("reorder_statuses", WRITERS, r#"{"status_ids":$columns}"#),
    Row("update_status", WRITERS, r#"{"name":"Other"}"#),
    Row("delete_status", WRITERS_TAKE, ""),

    Row("list_stories", PEOPLE, ""),
    Row("create_story", WRITERS_MAKE, r#"{"title":"New","status_id":"$column"}"#),
    Row("move_stories", WRITERS, r#"{"refs":[$ref],"status_id":"$column"}"#),
    Row("get_story", PEOPLE, ""),
    Row("get_story_by_id", PEOPLE, ""),
    Row("update_story", WRITERS, r#"{"title":"Other","version":1}"#),
    Row("delete_story", WRITERS_TAKE, ""),
    Row("restore_story", WRITERS, "{}"),
    Row("list_trashed_stories", WRITERS, ""),
    Row("list_story_activity", PEOPLE, ""),

    Row("list_comments", PEOPLE, ""),
    Row("create_comment", WRITERS_MAKE, r#"{"body":"New"}"#),
    Row("get_comment", PEOPLE, ""),
    // The comment is the owner's.
    Row("update_comment", [200, 403, 403, 403, 404, 404, 401], r#"{"body":"Other"}"#),
    Row("delete_comment", [204, 204, 403, 403, 404, 404, 401], ""),

    Row("list_attachments", PEOPLE, ""),
    Row("create_attachment", WRITERS_MAKE, "text"),
    Row("get_attachment", PEOPLE, ""),
    Row("download_attachment", PEOPLE, ""),
    Row("delete_attachment", WRITERS_TAKE, ""),

    Row("get_me", ACCOUNTS, ""),
    Row("update_me", ACCOUNTS, r#"{"color":3}"#),
    Row("get_delete_info", ACCOUNTS, ""),
    Row("list_my_changes", ACCOUNTS, ""),
    Row("list_sessions", ACCOUNTS, ""),
    Row("list_tokens", ACCOUNTS, ""),

    Row("list_jobs", OPERATORS, ""),
    Row("get_job", OPERATORS, ""),
    Row("discard_job", OPERATORS, ""),
    Row("retry_job", OPERATORS, "{}"),
    Row("cancel_job", OPERATORS, "{}"),
    Row("run_job_now", OPERATORS, "{}"),
    Row("list_queues", OPERATORS, ""),
    Row("pause_queue", OPERATORS, "{}"),
    Row("resume_queue", OPERATORS, "{}"),
    Row("list_schedules", OPERATORS, ""),
    Row("run_schedule", OPERATORS, "{}"),

    Row("list_users", OPERATORS, ""),
    Row("get_user", OPERATORS, ""),
    Row("update_user", OPERATORS, r#"{"is_active":false}"#),

    Row("list_sole_ownerships", OPERATORS, ""),
    Row("list_ownerless", OPERATORS, ""),
    Row("set_workspace_owner", OPERATORS, r#"{"user_id":"$other"}"#),
    Row("set_project_owner", OPERATORS, r#"{"user_id":"$other"}"#),

    Row("get_health", ALL, ""),
    Row("get_readiness", ALL, ""),
    Row("get_version", ALL, ""),
    Row("list_languages", ALL, ""),
    Row("get_config", ALL, ""),
];

/// After these somebody is elsewhere, or something is gone: the next operation gets a new world.
const SPENT: [&str; 7] = [
    "leave_workspace",
    "leave_project",
    "delete_project",
    "accept_invitation",
    "deny_invitation",
    "accept_invitation_link",
    "deny_invitation_link",
];

/// Operations that prove who one is, or are about one's own account alone: there is nothing of others' to keep from anybody.
/// The tests of their own noun try them with wrong secrets.
const ONE_S_OWN: &[&str] = &[
    "sign_up",
    "resend_verification",
    "verify_email",
    "sign_in",
    "refresh_session",
    "sign_out",
    "request_password_reset",
    "reset_password",
    "confirm_email_change",
    "claim_instance",
    "delete_me",
    "change_password",
    "request_email_change",
    "revoke_session",
    "revoke_other_sessions",
    "create_token",
    "get_token",
    "delete_token",
    "create_user",
    "send_password_reset",
    "open_events",
];

#[tokio::test]
async fn every_operation_has_a_row() {
    let app = TestApp::new().await;
    let known: BTreeSet<&str> = app.operations.iter().map(|o| o.id).collect();
    let rows: Vec<&str> = TABLE.iter().map(|r| r.0).chain(ONE_S_OWN.iter().copied()).collect();
    let named: BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!(rows.len(), named.len(), "an operation has two rows");
    let missing: Vec<_> = known.difference(&named).collect();
    assert!(missing.is_empty(), "operations without a row: {missing:?}");
    let gone: Vec<_> = named.difference(&known).collect();
    assert!(gone.is_empty(), "rows without an operation: {gone:?}");
}

#[tokio::test]
async fn everybody_gets_what_the_table_says() {
    let mut world = World::new().await;
    let mut wrong = vec![];
    for Row(id, expected, body) in TABLE {
        let operation = world.app.operations.iter().find(|o| o.id == *id).cloned();
        let Some(operation) = operation else { continue };
        // The weakest first, so that what they may not do has not been done already.
        for place in (0..7).rev() {
            let who = world.cast.get(place).cloned();
            let status = world.attempt(&operation, body, who.as_ref()).await;
            if status != expected[place] {
                wrong.push(format!("{id} by {}: {status}, not {}", CAST[place], expected[place]));
            }
        }
        if SPENT.contains(id) {
            world = World::new().await;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_session_that_was_revoked_opens_nothing() {
    let world = World::new().await;
    let owner = world.cast[0].clone();
    let other = world.app.sign_in(owner.id, &owner.name).await;
    other.delete(&format!("/me/sessions/{}", owner.session)).expect(204).await;
    let world = World { cast: vec![other], ..world };
    for Row(id, _, body) in TABLE {
        let operation = world.app.operations.iter().find(|o| o.id == *id && o.authenticated).cloned();
        let Some(operation) = operation else { continue };
        assert_eq!(world.attempt(&operation, body, Some(&owner)).await, 401, "{id}");
    }
}

const CAST: [&str; 7] = ["owner", "admin", "member", "readonly", "invitee", "stranger", "anonymous"];

/// A project in a workspace, and the cast in their places.
pub(crate) struct World {
    pub(crate) app: TestApp,
    pub(crate) place: Place,
    /// All but the anonymous.
    pub(crate) cast: Vec<Actor>,
    /// Somebody else in the project.
    other: Actor,
    /// The link of the invitee's invitation, as it was mailed.
    link: String,
    invitation: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        let app = TestApp::with(|settings| {
            settings.workflows_per_project = 100;
            settings.statuses_per_workflow = 1000;
        })
        .await;
        let mut cast = vec![];
        for name in &CAST[..6] {
            cast.push(app.user(if *name == "admin" { "deputy" } else { name }).await);
        }
        let owner = cast[0].clone();
        let place = app.project_of(&owner).await;
        let other = app.user("other").await;
        for (person, role) in
            [(&cast[1], "admin"), (&cast[2], "member"), (&cast[3], "readonly-member"), (&other, "member")]
        {
            app.join(&place, &owner, person, role).await;
            let url = format!("/workspaces/{}/members/{}", place.workspace, person.id);
            owner.patch(&url, json!({ "role": role })).expect(200).await;
        }
        let url = format!("/workspaces/{}/invitations", place.workspace);
        let wish = json!({ "invitations": [{ "email": "invitee@example.org", "role": "member" }] });
        let invited = owner.post(&url, wish).expect(200).await.json();
        let invitation = text(&invited["invitations"][0]["id"]);
        app.run_jobs().await;
        let link = app.mails_to("invitee@example.org")[0].token();
        app.ignore_jobs();
        Self { app, place, cast, other, link, invitation }
    }

    pub(crate) fn owner(&self) -> &Actor {
        &self.cast[0]
    }

    async fn attempt(&self, operation: &Operation, body: &str, who: Option<&Actor>) -> u16 {
        self.prepare(operation, body, who).await.send().await.status
    }

    /// A call of an operation by somebody, on things that are there for it.
    pub(crate) async fn prepare(&self, operation: &Operation, body: &str, who: Option<&Actor>) -> Call {
        let mut path = operation.path.to_owned();
        let names: Vec<String> = path
            .split('/')
            .filter_map(|p| Some(p.strip_prefix('{')?.strip_suffix('}')?.to_owned()))
            .collect();
        let story = self.story(operation, &names, body).await;
        for name in &names {
            let value = self.value(operation, name, &story).await;
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        let mut body = body.to_owned();
        if body.contains('$') {
            let columns = if body.contains("$columns") { self.columns().await } else { String::new() };
            let role =
                if body.contains("$role") { self.role("readonly-member").await } else { String::new() };
            let link =
                if operation.id == "preview_invitation_link" || operation.id == "accept_invitation_link" {
                    self.link.clone()
                } else {
                    self.fresh_link().await
                };
            for (word, value) in [
                ("$columns", columns),
                ("$column", self.place.columns[0].clone()),
                ("$role", role),
                ("$link", link),
                ("$other", self.other.id.to_string()),
                ("$ref", story["ref"].to_string()),
            ] {
                body = body.replace(word, &value);
            }
        }
        let call = match who {
            Some(actor) => actor.call(operation.method.as_str(), &path),
            None => self.app.anonymous().call(operation.method.as_str(), &path),
        };
        with_body(call, operation, &body)
    }

    /// What a name in the path stands for; made anew when the operation uses it up.
    async fn value(&self, operation: &Operation, name: &str, story: &Value) -> String {
        let id = operation.id;
        match name {
            "workspace_id" => self.place.workspace.to_string(),
            "project_id" => self.place.project.to_string(),
            "user_id" if id.starts_with("remove_") => self.newcomer().await.id.to_string(),
            "user_id" => self.other.id.to_string(),
            // Whether there is such a job is not told to those who are refused.
            "job_id" => uuid::Uuid::nil().to_string(),
            "queue" => "mail".to_owned(),
            "schedule" => "purge_expired".to_owned(),
            "role_id" => {
                let new = json!({ "name": "Passing", "permissions": ["view_story"] });
                text(&self.owner().post(&self.place.url("/roles"), new).expect(201).await.json()["id"])
            }
            "invitation_id" if operation.path.starts_with("/me/") => self.invitation.clone(),
            "invitation_id" => self.invite(operation.path.starts_with("/projects/")).await,
            "workflow" if id == "delete_workflow" => {
                let new = json!({ "name": "Passing" });
                let made = self.owner().post(&self.place.url("/workflows"), new).expect(201).await.json();
                text(&made["workflow"]["slug"])
            }
            "workflow" => self.place.board.clone(),
            "status_id" => {
                let url = format!("{}/statuses", self.place.board_url());
                let new = json!({ "name": "Passing", "category": "done" });
                text(&self.owner().post(&url, new).expect(201).await.json()["id"])
            }
            "ref" => story["ref"].to_string(),
            "story_id" => text(&story["id"]),
            "comment_id" => {
                let url = self.place.url(&format!("/stories/{}/comments", story["ref"]));
                text(&self.owner().post(&url, json!({ "body": "Passing" })).expect(201).await.json()["id"])
            }
            "attachment_id" => {
                let url = self.place.url(&format!("/stories/{}/attachments", story["ref"]));
                let call = self.owner().call("POST", &url).bytes("text/plain", b"Passing");
                let call = call.header("content-disposition", "attachment; filename=\"a.txt\"");
                text(&call.expect(201).await.json()["id"])
            }
            _ => panic!("{id}: the world has no {name}"),
        }
    }

    /// A story for the operation, in the trash when it is to be restored; none for those about other things.
    async fn story(&self, operation: &Operation, names: &[String], body: &str) -> Value {
        if !names.iter().any(|n| n == "ref" || n == "story_id") && !body.contains("$ref") {
            return Value::Null;
        }
        let new = json!({ "title": "Passing", "status_id": self.place.columns[0] });
        let story = self.owner().post(&self.place.url("/stories"), new).expect(201).await.json();
        if operation.id == "restore_story" {
            self.owner().delete(&self.place.url(&format!("/stories/{}", story["ref"]))).expect(204).await;
        }
        story
    }

    async fn newcomer(&self) -> Actor {
        let name = format!("n{}", &uuid::Uuid::now_v7().simple().to_string()[20..]);
        let person = self.app.user(&name).await;
        self.app.join(&self.place, self.owner(), &person, "member").await;
        person
    }

    async fn role(&self, slug: &str) -> String {
        let roles = self.owner().get(&self.place.url("/roles")).expect(200).await.json();
        let found = roles["items"].as_array().unwrap().iter().find(|r| r["slug"] == slug).unwrap().clone();
        text(&found["id"])
    }

    async fn columns(&self) -> String {
        let url = format!("{}/statuses", self.place.board_url());
        let list = self.owner().get(&url).expect(200).await.json();
        let ids: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|s| &s["id"]).collect();
        serde_json::to_string(&ids).unwrap()
    }

    /// A new invitation, to nobody in particular.
    async fn invite(&self, to_project: bool) -> String {
        let email = format!("{}@example.org", uuid::Uuid::now_v7().simple());
        let (url, wish) = if to_project {
            (self.place.url("/invitations"), json!({ "email": email, "role_id": self.role("member").await }))
        } else {
            let url = format!("/workspaces/{}/invitations", self.place.workspace);
            (url, json!({ "email": email, "role": "member" }))
        };
        let invited = self.owner().post(&url, json!({ "invitations": [wish] })).expect(200).await.json();
        text(&invited["invitations"][0]["id"])
    }

    /// The link of a new invitation: its token is derived, so no mail need be read.
    async fn fresh_link(&self) -> String {
        let id: uuid::Uuid = self.invite(false).await.parse().unwrap();
        tenon_app::invitations::token(&self.app.app.keys, id.into(), 1)
    }
}

fn with_body(call: Call, operation: &Operation, body: &str) -> Call {
    match operation.id {
        "create_attachment" => call
            .header("content-disposition", "attachment; filename=\"a.txt\"")
            .bytes("text/plain", body.as_bytes()),
        _ if matches!(operation.method, Method::Get | Method::Delete) || body.is_empty() => call,
        _ => call.json(body),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
