//! People who come in by the front door: they sign in over HTTP, and read their mail.

use std::{collections::BTreeSet, future::IntoFuture, ops::Deref, sync::Mutex, time::Duration};

use diesel_async::RunQueryDsl;
use futures_util::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};
use tenon_app::{
    Settings,
    users::{self, Operator},
};
use tenon_core::{
    emails::Email,
    secrets::NewPassword,
    users::{FullName, Lang, NewAccount, Timezone, Username},
};

pub use super::app::PASSWORD;
use super::{
    app::{self, Mailed},
    call,
};

/// The application, and which of its mails were read.
pub struct TestApp {
    house: app::TestApp,
    read: Mutex<BTreeSet<String>>,
}

impl Deref for TestApp {
    type Target = app::TestApp;
    fn deref(&self) -> &app::TestApp {
        &self.house
    }
}

impl TestApp {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With some settings changed.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let at_home = |settings: &mut Settings| {
            "https://tenon.example.org".clone_into(&mut settings.public_url);
            change(settings);
        };
        let proxied = |frame: &mut tenon_http::frame::Settings| {
            frame.trusted_proxies.0.push("10.0.0.0/8".parse().unwrap());
        };
        Self { house: app::TestApp::configured(at_home, proxied).await, read: Mutex::default() }
    }

    /// An application and somebody signed in to it.
    pub async fn with_person(name: &str) -> (Self, Session) {
        let app = Self::new().await;
        let person = app.person(name).await;
        (app, person)
    }

    /// Makes an account `name` at `name@example.org` and signs in.
    pub async fn person(&self, name: &str) -> Session {
        self.account(name, false).await;
        self.sign_in(name).await
    }

    /// Like [`TestApp::person`], an administrator of the instance.
    pub async fn admin(&self, name: &str) -> Session {
        self.account(name, true).await;
        self.sign_in(name).await
    }

    /// Makes an account without signing in.
    pub async fn account(&self, name: &str, is_admin: bool) {
        let new = NewAccount {
            email: Email::parse(&format!("{name}@example.org")).unwrap(),
            username: Some(Username::parse(name).unwrap()),
            full_name: FullName::parse(name).unwrap(),
            password: Some(NewPassword::parse(PASSWORD).unwrap()),
            lang: Lang::En,
            timezone: Timezone::default(),
            is_admin,
        };
        users::create(&self.app, Operator::System, new).await.unwrap();
    }

    /// Begins another session of `name`.
    pub async fn sign_in(&self, name: &str) -> Session {
        let body = json!({ "login": name, "password": PASSWORD });
        let tokens = self.anonymous().post("/auth/sign-in").json(body).await.expect(200);
        let text = |member: &str| tokens[member].as_str().unwrap().to_owned();
        Session {
            user_id: text("user_id"),
            id: text("session_id"),
            access_token: text("access_token"),
            refresh_token: text("refresh_token"),
            csrf_token: text("csrf_token"),
        }
    }

    /// Calls as nobody.
    pub fn anonymous(&self) -> Client<'_> {
        Client { app: self, bearer: None }
    }

    /// Calls with a session's access token.
    pub fn of<'a>(&'a self, session: &Session) -> Client<'a> {
        self.bearer(&session.access_token)
    }

    /// Calls with any bearer token.
    pub fn bearer(&self, token: &str) -> Client<'_> {
        Client { app: self, bearer: Some(token.to_owned()) }
    }

    /// Does something to the database that no use-case does.
    pub async fn execute(&self, statement: &str) {
        diesel::sql_query(statement).execute(&mut self.app.read().await.unwrap()).await.unwrap();
    }

    /// Runs jobs, and answers the mails sent since the last look.
    pub async fn mails(&self) -> Vec<Mailed> {
        self.run_jobs().await;
        let mut read = self.read.lock().unwrap();
        let mut id = |mail: &Mailed| {
            let named = mail.headers.iter().find(|(name, _)| name == "Message-ID");
            read.insert(named.expect("every mail has one").1.clone())
        };
        self.house.mails().into_iter().filter(|mail| id(mail)).collect()
    }

    /// The one mail since the last look.
    pub async fn mail(&self) -> Mailed {
        let mut mails = self.mails().await;
        let subjects: Vec<_> = mails.iter().map(|mail| (&mail.to, &mail.subject)).collect();
        assert_eq!(mails.len(), 1, "{subjects:?}");
        mails.remove(0)
    }

    /// Lets time pass.
    pub fn wait(&self, time: Duration) {
        self.clock.advance(time);
    }
}

/// Somebody's session.
#[derive(Debug, Clone)]
pub struct Session {
    pub user_id: String,
    pub id: String,
    pub access_token: String,
    pub refresh_token: String,
    pub csrf_token: String,
}

/// Who calls.
#[derive(Clone)]
pub struct Client<'a> {
    app: &'a TestApp,
    bearer: Option<String>,
}

impl Client<'_> {
    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }
    pub fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }
    pub fn put(&self, path: &str) -> Call {
        self.call("PUT", path)
    }
    pub fn patch(&self, path: &str) -> Call {
        self.call("PATCH", path)
    }
    pub fn delete(&self, path: &str) -> Call {
        self.call("DELETE", path)
    }
    fn call(&self, method: &'static str, path: &str) -> Call {
        let call = Call(call::Call::new(&self.app.wire, method, path).from("127.0.0.1"));
        match &self.bearer {
            Some(token) => call.header("authorization", format!("Bearer {token}")),
            None => call,
        }
    }
}

/// A request in the making; await it to send it.
pub struct Call(call::Call);

impl Call {
    pub fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        Self(self.0.header(name, value))
    }
    pub fn json(self, body: Value) -> Self {
        Self(self.0.json(body))
    }
    pub fn bytes(self, media_type: &str, body: &[u8]) -> Self {
        Self(self.0.bytes(media_type, body))
    }
    pub fn from(self, peer: &str) -> Self {
        Self(self.0.from(peer))
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = BoxFuture<'static, Answer>;
    fn into_future(self) -> Self::IntoFuture {
        self.0.send().map(Answer).boxed()
    }
}

/// What came back.
pub struct Answer(call::Answer);

impl Deref for Answer {
    type Target = call::Answer;
    fn deref(&self) -> &call::Answer {
        &self.0
    }
}

impl Answer {
    /// The body, when the status is the one expected.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        self.0.expect(status).json()
    }

    /// Asserts a problem by its status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) {
        assert_eq!(self.problem(), (status, code.to_owned()), "{}", String::from_utf8_lossy(&self.body));
    }

    /// The values of the cookies that the answer sets.
    pub fn cookies(&self) -> Vec<(String, String)> {
        let lines = self.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
        let pairs = lines.map(|line| line.split(';').next().unwrap().split_once('=').unwrap());
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}
