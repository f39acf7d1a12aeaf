//! What has ended goes, and nothing else.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use tenon_app::{
    accounts, attachments, credentials, projects,
    sessions::{self, SignIn},
    stories,
    users::{self, Operator},
    worker::run_until_idle,
    workflows::{self, WorkflowRef},
    workspaces,
};
use tenon_core::{
    Error,
    accounts::SignUp,
    attachments::FileName,
    callers::Caller,
    emails::Email,
    ids::{ProjectId, WorkspaceId},
    jobs::{Job, PurgeExpired, QUEUES, SweepBlobs},
    ports::{
        blob::{BlobError, Key},
        queue::Outcome,
    },
    projects::{NewProject, ProjectDescription, ProjectName},
    secrets::{NewPassword, Secret},
    sessions::ClientInfo,
    stories::{NewStory, StoryDescription, StoryRef, StoryTitle},
    tokens::Scope,
    users::{FullName, Lang, NewAccount, Timezone},
    workspaces::{NewWorkspace, WorkspaceName},
};

use crate::harness::House;

const DAY: Duration = Duration::from_hours(24);
const PASSWORD: &str = "correct horse battery";

fn client() -> ClientInfo {
    ClientInfo { address: "192.0.2.7".to_owned(), user_agent: "test".to_owned() }
}

/// Ada, signed in.
async fn ada(house: &House) -> Caller {
    let wish = SignIn {
        login: "ada@example.org".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        client: client(),
    };
    let (_, pair) = sessions::sign_in(&house.app, &wish, "sign-in").await.unwrap();
    credentials::verify(&house.app, pair.access_token.expose(), Scope::WriteProjects, "ada").unwrap()
}

/// A house with Ada, her workspace and a project in it.
async fn settled() -> (House, WorkspaceId, ProjectId) {
    let house = House::new().await;
    let account = NewAccount {
        email: Email::parse("ada@example.org").unwrap(),
        username: None,
        full_name: FullName::parse("Ada").unwrap(),
        password: Some(NewPassword::parse(PASSWORD).unwrap()),
        lang: Lang::En,
        timezone: Timezone::default(),
        is_admin: false,
    };
    users::create(&house.app, Operator::System, account).await.unwrap();
    let ada = ada(&house).await;
    let new = NewWorkspace { name: WorkspaceName::parse("Engine room").unwrap(), color: None };
    let workspace = workspaces::create(&house.app, &ada, new).await.unwrap().workspace.id;
    let project = project(&house, &ada, workspace).await;
    (house, workspace, project)
}

async fn project(house: &House, caller: &Caller, workspace: WorkspaceId) -> ProjectId {
    let new = NewProject {
        name: ProjectName::parse("Difference engine").unwrap(),
        description: ProjectDescription::parse("").unwrap(),
        color: None,
        key: None,
        template: "kanban".to_owned(),
    };
    projects::create(&house.app, caller, workspace, new).await.unwrap().project.id
}

/// A story with a file; answers its number and the key of the file.
async fn story(house: &House, caller: &Caller, project: ProjectId) -> (StoryRef, Key) {
    let board = workflows::list(&house.app, caller, project).await.unwrap().remove(0).id;
    let board = workflows::board(&house.app, caller, project, &WorkflowRef::Id(board)).await.unwrap();
    let new = NewStory {
        title: StoryTitle::parse("Build it").unwrap(),
        description: StoryDescription::parse("").unwrap(),
        status_id: board.statuses[0].id,
    };
    let number = stories::create(&house.app, caller, project, new).await.unwrap().number;
    let story = StoryRef { key: None, number };
    let name = FileName::parse("plan.txt").unwrap();
    let body = stream::iter([Ok(Bytes::from_static(b"cogs"))]).boxed();
    let file = attachments::upload(&house.app, caller, project, &story, name, body).await.unwrap();
    (story, Key::parse(&file.blob_key).unwrap())
}

async fn run<J: Job>(house: &House, job: &J) {
    house.app.write(&[], "purge", async |tx| tx.enqueue(job)).await.unwrap();
    let ran = run_until_idle(&house.app, &QUEUES.map(str::to_owned)).boxed().await.unwrap();
    for ran in ran {
        assert_eq!(ran.outcome, Outcome::Done, "{}", ran.job.name);
    }
}

async fn exists(house: &House, key: &Key) -> bool {
    match house.app.blobs.head(key).await {
        Ok(_) => true,
        Err(BlobError::NotFound) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_story_leaves_the_trash_for_good_and_its_file_after_the_backup_window() {
    let (house, _, project) = settled().await;
    let caller = ada(&house).await;
    let (kept, kept_file) = story(&house, &caller, project).await;
    let (gone, gone_file) = story(&house, &caller, project).await;
    stories::delete(&house.app, &caller, project, &gone, None).await.unwrap();

    house.clock.advance(DAY * 29);
    run(&house, &PurgeExpired {}).await;
    let caller = ada(&house).await;
    stories::restore(&house.app, &caller, project, &gone).await.unwrap();
    stories::delete(&house.app, &caller, project, &gone, None).await.unwrap();

    house.clock.advance(DAY * 31);
    run(&house, &PurgeExpired {}).await;
    let caller = ada(&house).await;
    let restored = stories::restore(&house.app, &caller, project, &gone).await;
    assert!(matches!(restored, Err(Error::NotFound(_))), "{restored:?}");
    assert!(exists(&house, &gone_file).await, "a restored backup may still refer to it");

    house.clock.advance(DAY * 36);
    run(&house, &PurgeExpired {}).await;
    assert!(!exists(&house, &gone_file).await);
    assert!(exists(&house, &kept_file).await);
    stories::get(&house.app, &ada(&house).await, project, &kept).await.unwrap();
}

#[tokio::test]
async fn a_project_goes_with_everything_in_it() {
    let (house, workspace, doomed) = settled().await;
    let caller = ada(&house).await;
    let (_, file) = story(&house, &caller, doomed).await;
    let kept = project(&house, &caller, workspace).await;
    projects::delete(&house.app, &caller, doomed, None).await.unwrap();
    house.clock.advance(DAY * 31);
    run(&house, &PurgeExpired {}).await;
    let caller = ada(&house).await;
    let restored = projects::restore(&house.app, &caller, doomed).await;
    assert!(matches!(restored, Err(Error::NotFound(_))), "{restored:?}");
    projects::get(&house.app, &caller, kept).await.unwrap();
    house.clock.advance(DAY * 36);
    run(&house, &PurgeExpired {}).await;
    assert!(!exists(&house, &file).await);
}

#[tokio::test]
async fn a_workspace_goes_once_its_projects_have() {
    let (house, workspace, project) = settled().await;
    let caller = ada(&house).await;
    projects::delete(&house.app, &caller, project, None).await.unwrap();
    workspaces::delete(&house.app, &caller, workspace, None).await.unwrap();
    house.clock.advance(DAY * 29);
    run(&house, &PurgeExpired {}).await;
    workspaces::restore(&house.app, &ada(&house).await, workspace).await.unwrap();
    workspaces::delete(&house.app, &ada(&house).await, workspace, None).await.unwrap();
    house.clock.advance(DAY * 31);
    run(&house, &PurgeExpired {}).await;
    let restored = workspaces::restore(&house.app, &ada(&house).await, workspace).await;
    assert!(matches!(restored, Err(Error::NotFound(_))), "{restored:?}");
}

#[tokio::test]
async fn l38_a_file_without_a_row_is_swept_when_no_restored_moment_can_have_one() {
    let (house, _, project) = settled().await;
    let (_, known) = story(&house, &ada(&house).await, project).await;
    let orphan = Key::parse(&format!("attachments/{}", house.app.id::<uuid::Uuid>())).unwrap();
    let body = stream::iter([Ok(Bytes::from_static(b"half"))]).boxed();
    house.app.blobs.put(&orphan, "text/plain", body).await.unwrap();

    run(&house, &SweepBlobs {}).await;
    assert!(exists(&house, &orphan).await, "it may be on its way to its row");
    house.clock.advance(DAY * 34);
    run(&house, &SweepBlobs {}).await;
    assert!(exists(&house, &orphan).await, "a database restored to another moment may have a row for it");
    house.clock.advance(DAY * 2);
    run(&house, &SweepBlobs {}).await;
    assert!(!exists(&house, &orphan).await);
    assert!(exists(&house, &known).await);
}

#[tokio::test]
async fn the_mailed_token_verifies_the_address_and_an_account_without_ends() {
    let house = House::new().await;
    for name in ["grace", "eve"] {
        let wish = SignUp {
            email: Email::parse(&format!("{name}@example.org")).unwrap(),
            username: None,
            full_name: FullName::parse(name).unwrap(),
            password: NewPassword::parse(PASSWORD).unwrap(),
            lang: Lang::Es,
            timezone: Timezone::default(),
            accept_terms: true,
            accept_privacy: true,
        };
        accounts::sign_up(&house.app, wish, &client(), "sign-up").await.unwrap();
    }
    run(&house, &SweepBlobs {}).await;
    let sent = house.post.sent();
    let mail = sent.iter().find(|mail| mail.to.as_str() == "grace@example.org").unwrap();
    let link = mail.text.lines().find(|line| line.contains("/#/verify-email/")).unwrap();
    let token = link.rsplit('/').next().unwrap();
    accounts::verify_email(&house.app, token, "verify").await.unwrap();

    house.clock.advance(DAY * 8);
    run(&house, &PurgeExpired {}).await;
    users::find(&house.app, Operator::System, "grace").await.unwrap();
    let eve = users::find(&house.app, Operator::System, "eve").await;
    assert!(matches!(eve, Err(Error::NotFound(_))), "{eve:?}");
}
