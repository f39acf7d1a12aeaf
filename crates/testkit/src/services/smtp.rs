//! A mail server within the test: speaks SMTP, keeps what it gets, and refuses as told.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mail_parser::MessageParser;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A mail that arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's receivers.
    pub to: Vec<String>,
    /// The mail as it came.
    pub raw: Vec<u8>,
}

impl Received {
    fn message(&self) -> mail_parser::Message<'_> {
        MessageParser::default().parse(&self.raw).expect("what arrived is a mail")
    }
    /// The subject, decoded.
    pub fn subject(&self) -> String {
        self.message().subject().unwrap_or_default().to_owned()
    }
    /// The plain text.
    pub fn text(&self) -> String {
        self.message().body_text(0).unwrap_or_default().replace("\r\n", "\n")
    }
    /// The HTML.
    pub fn html(&self) -> String {
        self.message().body_html(0).unwrap_or_default().replace("\r\n", "\n")
    }
    /// The `Message-ID` without its angle brackets.
    pub fn message_id(&self) -> String {
        self.message().message_id().unwrap_or_default().to_owned()
    }
    /// The receiver's display name, decoded.
    pub fn to_name(&self) -> Option<String> {
        let message = self.message();
        let to = message.to()?.first()?;
        to.name().map(str::to_owned)
    }
    /// A header as it stands there, trimmed.
    pub fn header(&self, name: &str) -> Option<String> {
        self.message().header_raw(name).map(|value| value.trim().to_owned())
    }
    /// The media types of all parts in order: `multipart/alternative`, `text/plain`, …
    pub fn media_types(&self) -> Vec<String> {
        use mail_parser::MimeHeaders as _;
        self.message()
            .parts
            .iter()
            .filter_map(|part| part.content_type())
            .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()))
            .collect()
    }
}

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    received: Vec<Received>,
    refusals: HashMap<String, String>,
    login: Option<(String, String)>,
    connections: usize,
}

impl Server {
    /// A server that takes every mail.
    pub async fn start() -> Self {
        Self::serve(State::default()).await
    }

    /// A server that takes mails after `AUTH PLAIN` with these only.
    pub async fn start_with_login(user: &str, password: &str) -> Self {
        Self::serve(State { login: Some((user.to_owned(), password.to_owned())), ..State::default() }).await
    }

    async fn serve(state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(state));
        let mut tasks = JoinSet::new();
        let shared = state.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                lock(&shared).connections += 1;
                let session = Session { state: shared.clone(), signed_in: false, from: None, to: vec![] };
                connections.spawn(async move {
                    // A client that hangs up is no matter of ours.
                    let _ = session.run(socket).await;
                });
            }
        });
        Self { address, state, tasks }
    }

    /// The port it listens on, at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }
    /// Answers `command` (`MAIL`, `RCPT`, `DATA`, or `.` for a mail's end) with `reply` from now on.
    pub fn refuse(&self, command: &str, reply: &str) {
        lock(&self.state).refusals.insert(command.to_owned(), reply.to_owned());
    }
    /// Refuses nothing any more.
    pub fn relent(&self) {
        lock(&self.state).refusals.clear();
    }
    /// Goes away: nobody listens any more and connections break.
    pub async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
    /// What arrived so far.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state).received.clone()
    }
    /// How many connections were made so far.
    pub fn connections(&self) -> usize {
        lock(&self.state).connections
    }
}

/// One client's conversation.
struct Session {
    state: Arc<Mutex<State>>,
    signed_in: bool,
    from: Option<String>,
    to: Vec<String>,
}

impl Session {
    async fn run(mut self, socket: TcpStream) -> io::Result<()> {
        let (input, mut output) = socket.into_split();
        let mut input = BufReader::new(input);
        output.write_all(b"220 sink.test ESMTP\r\n").await?;
        let mut line = String::new();
        while input.read_line(&mut line).await? > 0 {
            let command = line.trim_end().to_owned();
            line.clear();
            let verb = command.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            let reply = match self.refusal(&verb) {
                Some(reply) => reply,
                None if verb == "DATA" && !self.to.is_empty() => {
                    output.write_all(b"354 go on\r\n").await?;
                    let raw = read_mail(&mut input).await?;
                    self.take(raw)
                }
                None => self.answer(&verb, &command),
            };
            output.write_all(format!("{reply}\r\n").as_bytes()).await?;
            if verb == "QUIT" {
                break;
            }
        }
        Ok(())
    }

    fn refusal(&self, verb: &str) -> Option<String> {
        lock(&self.state).refusals.get(verb).cloned()
    }

    fn answer(&mut self, verb: &str, command: &str) -> String {
        match verb {
            "EHLO" => "250-sink.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN".to_owned(),
            "HELO" | "NOOP" => "250 fine".to_owned(),
            "RSET" => {
                self.from = None;
                self.to.clear();
                "250 fine".to_owned()
            }
            "AUTH" => self.sign_in(command),
            "MAIL" if lock(&self.state).login.is_some() && !self.signed_in => "530 sign in first".to_owned(),
            "MAIL" => {
                self.from = Some(address(command));
                self.to.clear();
                "250 fine".to_owned()
            }
            "RCPT" if self.from.is_some() => {
                self.to.push(address(command));
                "250 fine".to_owned()
            }
            "QUIT" => "221 bye".to_owned(),
            "RCPT" | "DATA" => "503 not now".to_owned(),
            _ => "502 what?".to_owned(),
        }
    }

    fn sign_in(&mut self, command: &str) -> String {
        use base64::Engine as _;
        let given = command.split(' ').nth(2).unwrap_or_default();
        let given = base64::engine::general_purpose::STANDARD.decode(given).unwrap_or_default();
        let expected =
            lock(&self.state).login.clone().map(|(user, password)| format!("\0{user}\0{password}"));
        if expected.is_some_and(|expected| expected.as_bytes() == given) {
            self.signed_in = true;
            "235 welcome".to_owned()
        } else {
            "535 no".to_owned()
        }
    }

    fn take(&mut self, raw: Vec<u8>) -> String {
        let from = self.from.take().unwrap_or_default();
        let to = std::mem::take(&mut self.to);
        if let Some(reply) = self.refusal(".") {
            return reply;
        }
        lock(&self.state).received.push(Received { from, to, raw });
        "250 taken".to_owned()
    }
}

/// Reads up to the lone dot and undoes the doubling of dots.
async fn read_mail(input: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut mail = Vec::new();
    loop {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(mail);
        }
        mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

/// What stands between the angle brackets.
fn address(command: &str) -> String {
    let inside = command.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or_else(String::new, |(address, _)| address.to_owned())
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
