//! The whole application in process, over a database of the test's own: real Postgres, its queue included, a clock that
//! stands still, mails that land in a folder. Every exchange is held against the document.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use tenon_adapters::{blob, bus, cache, limiter, mail, queue, randomness::SystemRandomness};
use tenon_app::{
    App, Keys, Parts, Settings,
    crypto::SigningKey,
    invitations, my_invitations, project_members, project_roles, projects,
    sessions::{self, SignIn},
    settings::PasswordCost,
    stories,
    users::{self, AccountPatch, Operator},
    worker, workspaces,
};
use tenon_core::{
    callers::{Caller, Credential},
    emails::Email,
    ids::{ProjectId, SessionId, UserId, WorkspaceId},
    invitations::{GivenRole, Invitee, NewInvitation},
    jobs::QUEUES,
    permissions::ProjectPermissions,
    ports::{bus::Bus, clock::Clock, limiter::Budget, queue::Outcome},
    projects::{NewProject, ProjectDescription, ProjectKey, ProjectName, ProjectPatch},
    roles::RolePatch,
    secrets::{NewPassword, Secret},
    sessions::ClientInfo,
    stories::{NewStory, StoryDescription, StoryTitle},
    tokens::Scope,
    users::{FullName, Lang, NewAccount, Timezone, Username},
    workspaces::{NewWorkspace, WorkspaceName},
};
use tenon_db::jobs::admin::{self, Filter, State};
use tenon_http::{
    frame::{Limits, Settings as HttpSettings},
    live::Hub,
};
use tenon_testkit::{TestDb, clock::FakeClock};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::call::{Call, Wire};

/// The password of everybody in the tests.
pub const PASSWORD: &str = "correct horse battery";

/// The application under test.
pub struct TestApp {
    pub app: Arc<App>,
    pub clock: FakeClock,
    pub wire: Arc<Wire>,
    pub operations: Vec<Arc<tenon_http::endpoint::Operation>>,
    pub hub: Arc<Hub>,
    pub shutdown: CancellationToken,
    pub frame: HttpSettings,
    mails: tempfile::TempDir,
    files: tempfile::TempDir,
    unasserted: AtomicBool,
    // Last: dropped after everything that holds a connection.
    db: TestDb,
}

/// A person of the test, signed in.
#[derive(Clone)]
pub struct Actor {
    pub id: UserId,
    pub name: String,
    pub session: SessionId,
    pub token: String,
    wire: Arc<Wire>,
}

impl TestApp {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With settings of the test's own.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::configured(change, |_| {}).await
    }

    /// With settings of the test's own, of the frame too.
    pub async fn configured(
        change: impl FnOnce(&mut Settings),
        change_frame: impl FnOnce(&mut HttpSettings),
    ) -> Self {
        let bus = bus::connect(bus::Config::default()).await.unwrap();
        Self::assembled(change, change_frame, bus).await
    }

    /// With a bus of the test's choice.
    pub async fn on_bus(bus: Arc<dyn Bus>) -> Self {
        Self::assembled(|_| {}, |_| {}, bus).await
    }

    async fn assembled(
        change: impl FnOnce(&mut Settings),
        change_frame: impl FnOnce(&mut HttpSettings),
        bus: Arc<dyn Bus>,
    ) -> Self {
        let db = TestDb::new().await;
        let clock = FakeClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let (mails, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut settings = Settings { password_cost: PasswordCost::Least, ..Settings::default() };
        change(&mut settings);
        let key = SigningKey { kid: "test".to_owned(), secret: Secret::new(vec![7; 32]) };
        let app = Arc::new(App::new(Parts {
            db: db.db().clone(),
            blobs: blob::connect(config(json!({ "backend": "filesystem", "directory": files.path() }))).await.unwrap(),
            queue: queue::connect(&queue::Config::Postgres {}, db.db(), Arc::clone(&shared)).await.unwrap(),
            mailer: mail::connect(
                config(json!({ "backend": "directory", "directory": mails.path(), "from": "Tenon <tenon@example.org>" })),
                Arc::clone(&shared),
            )
            .await
            .unwrap(),
            bus,
            limiter: limiter::connect(limiter::Config::default(), Arc::clone(&shared)).await.unwrap(),
            cache: cache::connect(cache::Config::default(), Arc::clone(&shared)).await.unwrap(),
            clock: shared,
            randomness: Arc::new(SystemRandomness),
            keys: Keys::new(vec![key]).unwrap(),
            settings,
        }));
        let shutdown = CancellationToken::new();
        let hub = Hub::start(Arc::clone(&app), TaskTracker::new(), shutdown.clone());
        let mut frame = HttpSettings { limits: generous(), ..HttpSettings::default() };
        change_frame(&mut frame);
        let assembled = tenon_http::service(&app, &hub, frame.clone(), vec![]);
        let wire = Arc::new(Wire::new(assembled.service, &assembled.document));
        Self {
            app,
            clock,
            wire,
            operations: assembled.operations,
            hub,
            shutdown,
            frame,
            mails,
            files,
            unasserted: AtomicBool::new(false),
            db,
        }
    }

    /// An application with one person in it.
    pub async fn with_user(name: &str) -> (Self, Actor) {
        let app = Self::new().await;
        let actor = app.user(name).await;
        (app, actor)
    }

    /// A verified person, signed in; `name` is handle, name and the part of the address before the @.
    pub async fn user(&self, name: &str) -> Actor {
        let new = NewAccount {
            email: Email::parse(&format!("{name}@example.org")).unwrap(),
            username: Some(Username::parse(name).unwrap()),
            full_name: FullName::parse(name).unwrap(),
            password: Some(NewPassword::parse(PASSWORD).unwrap()),
            lang: Lang::En,
            timezone: Timezone::default(),
            is_admin: false,
        };
        let user = users::create(&self.app, Operator::System, new).await.unwrap();
        self.sign_in(user.id, name).await
    }

    /// Makes or unmakes an administrator.
    pub async fn make_admin(&self, who: &Actor, is_admin: bool) {
        let patch = AccountPatch { is_admin: Some(is_admin), ..AccountPatch::default() };
        users::patch(&self.app, Operator::System, who.id, patch, None).await.unwrap();
    }

    /// Another session of a person.
    pub async fn sign_in(&self, id: UserId, name: &str) -> Actor {
        let client = ClientInfo { address: "192.0.2.7".to_owned(), user_agent: "tests".to_owned() };
        let wish = SignIn { login: name.to_owned(), password: Secret::new(PASSWORD.to_owned()), client };
        let (_, pair) = sessions::sign_in(&self.app, &wish, "tests").await.unwrap();
        Actor {
            id,
            name: name.to_owned(),
            session: pair.session_id,
            token: pair.access_token.expose().clone(),
            wire: Arc::clone(&self.wire),
        }
    }

    /// Somebody who shows no credential.
    pub fn anonymous(&self) -> Anonymous {
        Anonymous(Arc::clone(&self.wire))
    }

    /// Runs every job that is ready, and those that follow; none may die.
    pub async fn run_jobs(&self) -> usize {
        let queues: Vec<String> = QUEUES.iter().map(|q| (*q).to_owned()).collect();
        let ran = worker::run_until_idle(&self.app, &queues).await.unwrap();
        for ran in &ran {
            assert_eq!(ran.outcome, Outcome::Done, "{}: {}", ran.job.name, ran.job.payload);
        }
        ran.len()
    }

    /// Leaves jobs unrun on purpose.
    pub fn ignore_jobs(&self) {
        self.unasserted.store(true, Ordering::SeqCst);
    }

    /// Mails sent to an address so far, oldest first, as sent over the wire.
    pub fn mails_to(&self, address: &str) -> Vec<Mailed> {
        self.mails().into_iter().filter(|mail| mail.to == address).collect()
    }

    /// Mails sent so far, oldest first, as sent over the wire.
    pub fn mails(&self) -> Vec<Mailed> {
        let mut files: Vec<_> =
            std::fs::read_dir(self.mails.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
            .into_iter()
            .filter(|path| path.extension().is_some_and(|e| e == "eml"))
            .map(|path| Mailed::parse(&std::fs::read(path).unwrap()))
            .collect()
    }

    /// Where attached files are.
    pub fn files(&self) -> &std::path::Path {
        self.files.path()
    }

    /// The statements sent to the database since this was last asked, but for the queue's notices, which are sent in
    /// the background.
    pub fn statements(&self) -> Vec<String> {
        let mut statements = self.db.statements();
        statements.retain(|statement| !statement.starts_with("SELECT pg_notify"));
        statements
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if std::thread::panicking() || self.unasserted.load(Ordering::SeqCst) {
            return;
        }
        let url = self.db.url().to_owned();
        let left = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let db = tenon_db::Db::open(tenon_db::DbConfig::new(url));
                let waiting = Filter { state: Some(State::Waiting), ..Filter::default() };
                admin::list(&mut db.conn().await.unwrap(), &waiting, None, 100).await.unwrap()
            })
        });
        let left: Vec<String> = left.join().unwrap().into_iter().map(|job| job.name).collect();
        assert!(left.is_empty(), "jobs were left unrun: {left:?}; call run_jobs() or ignore_jobs()");
    }
}

/// A mail as it was sent.
#[derive(Debug, Clone)]
pub struct Mailed {
    pub to: String,
    pub subject: String,
    pub text: String,
    pub headers: Vec<(String, String)>,
}

impl Mailed {
    fn parse(raw: &[u8]) -> Self {
        let mail = mail_parser::MessageParser::default().parse(raw).unwrap();
        let headers = mail
            .headers()
            .iter()
            .map(|h| (h.name().to_owned(), h.value().as_text().unwrap_or_default().to_owned()))
            .collect();
        Self {
            to: mail.to().unwrap().first().unwrap().address().unwrap().to_owned(),
            subject: mail.subject().unwrap_or_default().to_owned(),
            text: mail.body_text(0).unwrap_or_default().into_owned(),
            headers,
        }
    }

    /// The secret at the end of the link in the mail, behind the last slash of the fragment.
    pub fn token(&self) -> String {
        let link =
            self.text.split_whitespace().find(|word| word.contains("/#/")).expect("a link in the mail");
        link.rsplit('/').next().unwrap().trim_end_matches(['.', '>', ')']).to_owned()
    }
}

impl Actor {
    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }
    pub fn post(&self, path: &str, body: Value) -> Call {
        self.call("POST", path).json(body)
    }
    pub fn patch(&self, path: &str, body: Value) -> Call {
        self.call("PATCH", path).json(body)
    }
    pub fn delete(&self, path: &str) -> Call {
        self.call("DELETE", path)
    }
    pub fn call(&self, method: &'static str, path: &str) -> Call {
        Call::new(&self.wire, method, path).header("authorization", format!("Bearer {}", self.token))
    }
}

/// Nobody.
pub struct Anonymous(Arc<Wire>);

impl Anonymous {
    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }
    pub fn post(&self, path: &str, body: Value) -> Call {
        self.call("POST", path).json(body)
    }
    pub fn call(&self, method: &'static str, path: &str) -> Call {
        Call::new(&self.0, method, path)
    }
}

fn config<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// Tests of other things are not about budgets.
fn generous() -> Limits {
    let budget = Budget { calls: 100_000, window: std::time::Duration::from_mins(1) };
    Limits { anonymous: budget, session: budget, token: budget, login: budget }
}

/// A project to test in: its board and the board's columns.
pub struct Place {
    pub workspace: WorkspaceId,
    pub project: ProjectId,
    /// Slug of the board.
    pub board: String,
    pub columns: Vec<String>,
}

impl Place {
    pub fn url(&self, rest: &str) -> String {
        format!("/projects/{}{rest}", self.project)
    }
    pub fn story(&self, number: i64) -> String {
        self.url(&format!("/stories/{number}"))
    }
    pub fn board_url(&self) -> String {
        self.url(&format!("/workflows/{}", self.board))
    }
}

impl TestApp {
    /// A project of `owner`'s from the `kanban` template, in a workspace of its own.
    pub async fn project_of(&self, owner: &Actor) -> Place {
        let caller = Self::caller(owner);
        let name = WorkspaceName::parse("Works").unwrap();
        let workspace =
            workspaces::create(&self.app, &caller, NewWorkspace { name, color: None }).await.unwrap();
        let new = NewProject {
            name: ProjectName::parse("Web site").unwrap(),
            description: ProjectDescription::parse("").unwrap(),
            color: None,
            key: Some(ProjectKey::parse("WEB").unwrap()),
            template: "kanban".to_owned(),
        };
        let workspace = workspace.workspace.id;
        let project = projects::create(&self.app, &caller, workspace, new).await.unwrap();
        let project = project.project.id;
        let boards = tenon_app::workflows::list(&self.app, &caller, project).await.unwrap();
        let slug = boards[0].slug.clone();
        let columns =
            tenon_app::statuses::list(&self.app, &caller, project, &slug.parse().unwrap()).await.unwrap();
        let columns = columns.into_iter().map(|c| c.id.to_string()).collect();
        Place { workspace, project, board: slug, columns }
    }

    /// Makes somebody a member of a project, in one of its built-in roles.
    pub async fn join(&self, place: &Place, owner: &Actor, person: &Actor, role: &str) {
        let roles = project_roles::list(&self.app, &Self::caller(owner), place.project).await.unwrap();
        let role = roles.into_iter().find(|r| r.slug == role).unwrap();
        let invitee = Invitee::Username(Username::parse(&person.name).unwrap());
        let new = NewInvitation { invitee, role: GivenRole::Project(role.id) };
        let to = tenon_core::invitations::Place::Project(place.project);
        let sent = invitations::create(&self.app, &Self::caller(owner), to, vec![new]).await.unwrap();
        my_invitations::accept(&self.app, &Self::caller(person), sent.invitations[0].id).await.unwrap();
        self.run_jobs().await;
    }

    /// Leaves a role nothing that it may do.
    pub async fn take_permissions(&self, place: &Place, owner: &Actor, role: &str) {
        let caller = Self::caller(owner);
        let roles = project_roles::list(&self.app, &caller, place.project).await.unwrap();
        let role = roles.into_iter().find(|r| r.slug == role).unwrap();
        let patch = RolePatch { permissions: Some(ProjectPermissions::NONE), ..RolePatch::default() };
        project_roles::patch(&self.app, &caller, place.project, role.id, None, patch).await.unwrap();
    }

    pub async fn rename(&self, place: &Place, owner: &Actor, name: &str) {
        let patch = ProjectPatch { name: Some(ProjectName::parse(name).unwrap()), ..ProjectPatch::default() };
        projects::patch(&self.app, &Self::caller(owner), place.project, None, patch).await.unwrap();
    }

    pub async fn remove(&self, place: &Place, owner: &Actor, person: &Actor) {
        project_members::remove(&self.app, &Self::caller(owner), place.project, person.id, None)
            .await
            .unwrap();
    }

    pub async fn sign_out(&self, actor: &Actor) {
        sessions::sign_out(&self.app, &Self::caller(actor)).await.unwrap();
    }

    /// Another process on the same database, whose bells nobody here hears.
    pub async fn twin_with_another_bus(&self) -> Twin {
        self.twin(bus::connect(bus::Config::default()).await.unwrap())
    }

    /// Another process on the same database.
    pub fn twin(&self, bus: Arc<dyn Bus>) -> Twin {
        let app = Arc::new(App::new(Parts {
            db: self.app.db().clone(),
            blobs: Arc::clone(&self.app.blobs),
            queue: Arc::clone(&self.app.queue),
            mailer: Arc::clone(&self.app.mailer),
            bus,
            limiter: Arc::clone(&self.app.limiter),
            cache: Arc::clone(&self.app.cache),
            clock: Arc::clone(&self.app.clock),
            randomness: Arc::clone(&self.app.randomness),
            keys: self.app.keys.clone(),
            settings: self.app.settings.clone(),
        }));
        Twin { hub: Hub::start(Arc::clone(&app), TaskTracker::new(), self.shutdown.clone()), app }
    }

    fn caller(actor: &Actor) -> Caller {
        let credential = Credential::Session { user: actor.id, session: actor.session };
        Caller { credential, needs: Scope::WriteProjects, correlation_id: "tests".to_owned() }
    }
}

/// Another process.
pub struct Twin {
    pub app: Arc<App>,
    pub hub: Arc<Hub>,
}

impl Twin {
    pub async fn write_story(&self, who: &Actor, place: &Place, title: &str) {
        let credential = Credential::Session { user: who.id, session: who.session };
        let caller = Caller { credential, needs: Scope::WriteProjects, correlation_id: "twin".to_owned() };
        let new = NewStory {
            title: StoryTitle::parse(title).unwrap(),
            description: StoryDescription::parse("").unwrap(),
            status_id: place.columns[0].parse().unwrap(),
        };
        stories::create(&self.app, &caller, place.project, new).await.unwrap();
    }
}
