//! A small table of operations that uses every input and output, and a caller that lets no exchange
//! pass that the document does not allow.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_adapters::{clock::SystemClock, limiter, randomness::SystemRandomness};
use tenon_core::{
    Error,
    callers::Credential,
    ids::{SessionId, UserId},
    ports::limiter::{Budget, Limiter, LimiterError, Verdict},
    secrets::{Secret, TokenHash},
    text::TextError,
    tokens::Scope,
};
use tenon_http::{
    api::system,
    assemble,
    endpoint::{
        Accepted, Api, Body, Caller, Client, Created, Field, File, Given, IfMatch, Json, MaybeCaller,
        NoContent, Page, Patch, Path, Plain, Query, State, Tagged, Upgrade, Upload, Versioned,
        methods::{self, Delete, Get, Post},
    },
    frame::{Frame, Instance, Limits, Settings, Verifier},
    network::TrustedProxies,
    problem::Problem,
    readiness::Check,
    serve::{Listener, ParseErrors, Terms, serve},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

pub use super::call::{Answer, Call, Wire};

/// A title as `core` would have it.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Title(String);

impl TryFrom<String> for Title {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, TextError> {
        tenon_core::text::line(&text, 1, 20).map(Self)
    }
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Note)]
pub struct NoteView {
    id: Uuid,
    #[schema(example = "Buy wood")]
    title: String,
    body: Option<String>,
    kind: Kind,
    owner: Option<PersonView>,
    #[serde(skip)]
    version: i64,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonView {
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Plain,
    ToDo,
}

impl Versioned for NoteView {
    fn version(&self) -> i64 {
        self.version
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNote {
    #[schema(value_type = String, min_length = 1, max_length = 20, example = "Buy wood")]
    title: Title,
    kind: Option<Kind>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    #[schema(minimum = 1, maximum = 20)]
    color: u8,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotePatch {
    #[serde(default)]
    #[schema(value_type = String)]
    title: Given<Title>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    body: Field<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
pub struct NotePath {
    note_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
pub struct ListQuery {
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
pub struct NoteFilter {
    #[serde(default)]
    #[param(inline)]
    kind: Vec<Kind>,
}

#[expect(dead_code, reason = "only its schema is of interest")]
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    NoteMade { title: String },
    NoteGone { id: Uuid },
}

/// What the sample knows.
pub struct Desk {
    pub notes: Mutex<Vec<NoteView>>,
    pub runs: AtomicUsize,
}

impl Desk {
    fn find(&self, id: Uuid) -> Result<NoteView, Error> {
        let notes = self.notes.lock().unwrap();
        notes.iter().find(|note| note.id == id).cloned().ok_or(Error::NotFound("note"))
    }
}

async fn list(
    desk: State<Desk>,
    _caller: Caller,
    Query(page): Query<ListQuery>,
    Query(filter): Query<NoteFilter>,
) -> Result<Page<NoteView>, Problem> {
    let limit = usize::try_from(page.limit.unwrap_or(50)).unwrap();
    let notes = desk.notes.lock().unwrap();
    let fits = |note: &&NoteView| filter.kind.is_empty() || filter.kind.contains(&note.kind);
    let items: Vec<NoteView> = notes.iter().filter(fits).take(limit).cloned().collect();
    Ok(Page::new(items, page.cursor))
}

async fn create(
    desk: State<Desk>,
    _caller: Caller,
    Body(new): Body<NewNote>,
) -> Result<Created<NoteView>, Problem> {
    desk.runs.fetch_add(1, Ordering::SeqCst);
    if new.tags.iter().any(|tag| tag.color > 20) {
        return Err(Error::invalid("/tags/0/color", "out-of-range", "must be a number from 1 to 20").into());
    }
    let note = NoteView {
        id: Uuid::from_u128(7),
        title: new.title.0,
        body: None,
        kind: new.kind.unwrap_or(Kind::Plain),
        owner: None,
        version: 1,
    };
    desk.notes.lock().unwrap().push(note.clone());
    Ok(Created::at(format!("/notes/{}", note.id), note))
}

async fn get(
    desk: State<Desk>,
    _caller: Caller,
    Path(path): Path<NotePath>,
) -> Result<Json<NoteView>, Problem> {
    Ok(Json(desk.find(path.note_id)?))
}

async fn change(
    desk: State<Desk>,
    _caller: Caller,
    Path(path): Path<NotePath>,
    precondition: IfMatch,
    Patch(wanted): Patch<NotePatch>,
) -> Result<Json<NoteView>, Problem> {
    let mut note = desk.find(path.note_id)?;
    if let Some(expected) = precondition.version().filter(|seen| *seen != note.version) {
        let representation = serde_json::to_value(&note).ok();
        return Err(Error::Stale { what: "note", expected, current: note.version, representation }.into());
    }
    if let Some(title) = wanted.title.into_option() {
        note.title = title.0;
    }
    if let Some(body) = wanted.body.into_option() {
        note.body = body;
    }
    note.version += 1;
    Ok(Json(note))
}

async fn remove(
    desk: State<Desk>,
    _caller: Caller,
    Path(path): Path<NotePath>,
    precondition: IfMatch,
) -> Result<NoContent, Problem> {
    precondition.required(async { desk.find(path.note_id) }).await?;
    desk.find(path.note_id)?;
    Ok(NoContent)
}

async fn board(_desk: State<Desk>) -> Result<Tagged<Vec<PersonView>>, Problem> {
    Ok(Tagged((0..200).map(|n| PersonView { name: format!("person {n}") }).collect()))
}

async fn enqueue(caller: MaybeCaller) -> Result<Accepted<PersonView>, Problem> {
    Ok(Accepted(PersonView { name: caller.0.map_or("nobody", |_| "somebody").to_owned() }))
}

async fn sign_in(desk: State<Desk>) -> Result<Plain<PersonView>, Problem> {
    desk.runs.fetch_add(1, Ordering::SeqCst);
    Ok(Plain(PersonView { name: "ada".to_owned() }))
}

async fn who(client: Client, caller: Caller) -> Result<Plain<Vec<String>>, Problem> {
    let address = client.address.map_or_else(|| "nowhere".to_owned(), |address| address.to_string());
    Ok(Plain(vec![address, caller.needs.as_str().to_owned(), caller.correlation_id]))
}

async fn upload(_caller: Caller, upload: Upload) -> Result<Plain<Vec<String>>, Problem> {
    let (name, media_type) = (upload.name.clone().unwrap_or_default(), upload.media_type.clone());
    let mut body = upload.limited(10)?;
    let mut size = 0;
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(bytes) => size += bytes.len(),
            Err(error) => {
                return Err(error
                    .downcast::<Error>()
                    .map_or_else(Problem::internal, |error| (*error).into()));
            }
        }
    }
    Ok(Plain(vec![name, media_type, size.to_string()]))
}

async fn download(_caller: Caller) -> Result<File, Problem> {
    const BYTES: &[u8] = b"0123456789";
    let file = File::new("über <b>.html", "text/html", 10, |range| async move {
        let range =
            range.map_or(0..10, |r| usize::try_from(r.start).unwrap()..usize::try_from(r.end).unwrap());
        Ok(stream::iter([Ok(Bytes::from_static(&BYTES[range]))]).boxed())
    });
    Ok(file.tagged("abc").inline())
}

async fn refuse(Query(query): Query<RefuseQuery>) -> Result<NoContent, Problem> {
    let source = || Box::<dyn std::error::Error + Send + Sync>::from("the secret name of the database");
    Err(match query.how.as_str() {
        "conflict" => Error::conflict("wip-limit", "The column is full."),
        "forbidden" => Error::Forbidden("move stories"),
        "unavailable" => Error::Unavailable { component: "database", source: source() },
        "internal" => Error::internal(source()),
        "panic" => panic!("the secret name of the database"),
        "slow" => {
            std::future::pending::<()>().await;
            Error::Unauthenticated
        }
        _ => Error::RateLimited { retry_after: Duration::from_millis(1500) },
    }
    .into())
}

#[derive(Debug, Deserialize, IntoParams)]
pub struct RefuseQuery {
    how: String,
}

async fn events() -> Result<Upgrade, Problem> {
    Ok(Upgrade::new(|socket| async move { drop(socket) }))
}

pub fn table() -> Api {
    let mut api = Api::new();
    system::mount(&mut api);
    api.component::<Event>();
    let mut notes = api.group("notes", "Notes on a desk.").scopes(Scope::ReadProjects, Scope::WriteProjects);
    notes.op("list_notes", Get, "/notes", "Notes on the desk", list).permission("view_note");
    notes
        .op("create_note", Post, "/notes", "Puts a note on the desk", create)
        .describe("At most **20** characters.");
    notes.op("get_note", Get, "/notes/{note_id}", "A note", get);
    notes.op("change_note", methods::Patch, "/notes/{note_id}", "Changes a note", change);
    notes
        .op("remove_note", Delete, "/notes/{note_id}", "Takes a note off the desk", remove)
        .problem(428, "There is no If-Match.");
    notes.op("get_board", Get, "/notes/board", "Everything at once", board);
    notes.op("enqueue", Post, "/notes/queue", "Does it later", enqueue);
    notes.op("upload_note", methods::Put, "/notes/file", "Stores a file", upload);
    notes.op("download_note", Get, "/notes/file", "The file", download);
    notes
        .op("refuse", Post, "/refusals", "Fails as told", refuse)
        .conflicts(&["wip-limit"])
        .problem(403, "You may not.");
    let mut auth = api.group("auth", "Who are you.").scopes(Scope::ReadAccount, Scope::WriteAccount);
    auth.op("sign_in", Post, "/sign-in", "Proves who one is", sign_in).login();
    auth.op("who", Get, "/who", "Who asks, and from where", who);
    auth.op("open_events", Get, "/events", "Live events", events);
    api
}

/// Knows one session and any token.
struct Doorman;

impl Verifier for Doorman {
    fn verify(&self, bearer: &str) -> Result<Credential, Error> {
        match bearer {
            "ada" => Ok(session()),
            token if token.starts_with("tenon_pat_") => {
                let mut hash = [0; 32];
                hash[..4].copy_from_slice(&token.as_bytes()[token.len() - 4..]);
                Ok(Credential::Token(TokenHash(hash)))
            }
            _ => Err(Error::Unauthenticated),
        }
    }
    fn csrf_matches(&self, session: SessionId, token: &str) -> bool {
        token == format!("proof of {session}")
    }
}

fn session() -> Credential {
    Credential::Session {
        user: UserId::from(Uuid::from_u128(1)),
        session: SessionId::from(Uuid::from_u128(2)),
    }
}

/// A limiter whose store is gone.
pub struct Gone;

#[async_trait]
impl Limiter for Gone {
    async fn give_back(&self, _: &str, _: Budget) -> Result<(), LimiterError> {
        Err(LimiterError("there is no such store".into()))
    }
    async fn take(&self, _: &str, _: Budget) -> Result<Verdict, LimiterError> {
        Err(LimiterError("connection refused".into()))
    }
}

/// The sample, running.
pub struct Sample {
    pub document: Arc<Value>,
    pub wire: Arc<Wire>,
    pub desk: Arc<Desk>,
    parse_errors: Mutex<Option<ParseErrors>>,
}

/// A sample that answers on the loopback until it is dropped.
pub struct Served {
    pub address: SocketAddr,
    _ends: DropGuard,
}

impl Sample {
    /// Serves a sample with limits that no test reaches.
    #[expect(clippy::disallowed_methods, reason = "it ends with what is returned")]
    pub async fn served() -> Served {
        let sample = Self::with(|settings| settings.limits.anonymous.calls = 100_000).await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let parse_errors = sample.parse_errors.lock().unwrap().take().unwrap();
        let Ok(Wire { service, .. }) = Arc::try_unwrap(sample.wire) else { panic!("nobody else has it") };
        let stopping = CancellationToken::new();
        let ends = stopping.clone().drop_guard();
        let terms =
            Terms { leaving: stopping.clone(), stopping, grace: Duration::from_secs(1), connections: 10_000 };
        tokio::spawn(serve(service, parse_errors, vec![Listener::Tcp(listener)], terms));
        Served { address, _ends: ends }
    }
}

impl Sample {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A sample with some settings changed.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let limiter = limiter::connect(limiter::Config::default(), Arc::new(SystemClock)).await.unwrap();
        Self::over(limiter, change, Vec::new())
    }

    pub fn over(limiter: Arc<dyn Limiter>, change: impl FnOnce(&mut Settings), checks: Vec<Check>) -> Self {
        let mut settings = Settings {
            cors_origins: vec!["https://board.example.org".to_owned()],
            trusted_proxies: TrustedProxies(vec!["10.0.0.0/8".parse().unwrap()]),
            request_timeout: Duration::from_millis(200),
            limits: Limits::default(),
            metrics_token: Some(Secret::new("of metrics".to_owned())),
            compression: true,
        };
        change(&mut settings);
        let instance =
            Instance { name: "Sample & Co".to_owned(), public_url: "https://tenon.example.org".to_owned() };
        let desk = Arc::new(Desk { notes: Mutex::new(vec![first()]), runs: AtomicUsize::new(0) });
        let frame = Frame::new(settings, instance, Arc::new(Doorman), limiter, Arc::new(SystemRandomness));
        let assembled = assemble(table(), frame.with(Arc::clone(&desk)).asking(checks));
        let parse_errors = Mutex::new(Some(assembled.parse_errors));
        let ids: BTreeSet<&str> = assembled.operations.iter().map(|operation| operation.id).collect();
        assert_eq!(ids.len(), assembled.operations.len());
        let wire = Arc::new(Wire::new(assembled.service, &assembled.document));
        Self { wire, document: assembled.document, desk, parse_errors }
    }

    pub fn call(&self, method: &'static str, target: impl Into<String>) -> Call {
        Call::to(&self.wire, method, target)
    }
    pub fn get(&self, path: &str) -> Call {
        self.call("GET", format!("/api/v1{path}"))
    }
    pub fn post(&self, path: &str) -> Call {
        self.call("POST", format!("/api/v1{path}"))
    }
    pub fn patch(&self, path: &str) -> Call {
        self.call("PATCH", format!("/api/v1{path}"))
    }
}

/// The address of the note that is there from the start.
pub const FIRST: &str = "/notes/00000000-0000-0000-0000-000000000001";

fn first() -> NoteView {
    NoteView {
        id: Uuid::from_u128(1),
        title: "First".to_owned(),
        body: Some("of all".to_owned()),
        kind: Kind::ToDo,
        owner: Some(PersonView { name: "Ada".to_owned() }),
        version: 3,
    }
}
