//! An installation with a database of its own, a target for backups, and something to lose.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tenon_testkit::{TestDb, services::s3};

use crate::{
    client::Client,
    command_line::{directory, text},
    processes::{command, line_with, stop},
};

pub(super) const PASSWORD: &str = "a long and unusual password";

pub(super) struct House {
    pub(super) dir: std::sync::Arc<TempDir>,
    pub(super) db: TestDb,
    /// The configuration, but for the database.
    tables: Vec<String>,
}

/// A running API.
pub(super) struct Serving {
    pub(super) child: Child,
    pub(super) address: String,
}

/// What was put into an installation.
pub(super) struct World {
    token: String,
    project: String,
    pub(super) column: String,
    /// Ids and bytes of the files of the first story.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

impl House {
    pub(super) async fn new() -> Self {
        let house = Self { dir: directory().into(), db: TestDb::new().await, tables: Vec::new() };
        std::fs::create_dir(house.dir.path().join("target")).unwrap();
        house
    }

    /// The same place without its database, which the caller gives.
    pub(super) fn beside(other: &Self) -> HouseWithout {
        HouseWithout { dir: other.dir.clone(), tables: other.tables.clone() }
    }

    /// Adds tables to the configuration.
    pub(super) fn configure(&mut self, toml: &str) {
        self.tables.push(toml.to_owned());
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let target = self.tables.iter().any(|table| table.contains("[backup.target]"));
        let mut text = "data_dir = 'data'\n".to_owned();
        let mut backup = Vec::new();
        for table in &self.tables {
            match table.strip_prefix("[backup]\n") {
                Some(keys) => backup.push(keys),
                None => text += table,
            }
        }
        if !target {
            text += "[backup.target]\ndirectory = 'target'\n";
        }
        text.extend(["[backup]\n", &backup.concat()]);
        std::fs::write(self.dir.path().join("t.toml"), text).unwrap();
        let mut command = command(self.dir.path(), &["--config", "t.toml"]);
        command.args(arguments).env("TENON__DATABASE__URL", self.db.url()).stderr(Stdio::piped());
        command
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command that must succeed prints.
    #[track_caller]
    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Asserts that a command is refused in one sentence that has all of `words`.
    #[track_caller]
    pub(super) fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let output = self.run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "one sentence: {said}");
        for word in words {
            assert!(said.contains(word), "{word} in: {said}");
        }
    }

    pub(super) fn serve(&self) -> Serving {
        let mut child = self
            .command(&["serve"])
            .env("TENON__SERVER__LISTEN", "127.0.0.1:0")
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let line = line_with(&mut child, "answers at");
        let address = line["address"].as_str().unwrap().replace("http://", "");
        Serving { child, address }
    }

    /// A person with a workspace, a project, a story and two files.
    pub(super) fn fill(&self) -> World {
        let mut create =
            self.command(&["user", "create", "ada@example.org", "--name", "Ada", "--password-stdin"]);
        let mut child = create.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        let made = child.wait_with_output().unwrap();
        assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        let serving = self.serve();
        let world = World::new(&serving.address);
        stop(serving.child);
        world
    }
}

/// See [`House::beside`]; for the rest of a struct.
pub(super) struct HouseWithout {
    dir: std::sync::Arc<TempDir>,
    tables: Vec<String>,
}

impl HouseWithout {
    pub(super) fn with(self, db: TestDb) -> House {
        House { dir: self.dir, db, tables: self.tables }
    }
}

impl World {
    pub(super) fn new(address: &str) -> Self {
        let mut client = Client::new(address);
        let wish = json!({ "login": "ada", "password": PASSWORD });
        let pair = client.post("/auth/sign-in", &wish).unwrap().expect(200);
        let token = pair["access_token"].as_str().unwrap().to_owned();
        let mut client = client.bearing(&token);
        let workspace = client.post("/workspaces", &json!({ "name": "Works" })).unwrap().expect(201);
        let path = format!("/workspaces/{}/projects", workspace["id"].as_str().unwrap());
        let made = client.post(&path, &json!({ "name": "Web site", "key": "WEB" })).unwrap().expect(201);
        let project = made["id"].as_str().unwrap().to_owned();
        let board = client.get(&format!("/projects/{project}/workflows/main")).unwrap().expect(200);
        let column = board["statuses"][0]["id"].as_str().unwrap().to_owned();
        let mut world = Self { token, project, column, files: Vec::new() };
        world.story(&mut client, "First");
        world.attach(address, "words.txt", b"believable words".to_vec());
        let mut noise = vec![0_u8; 100_000];
        noise
            .iter_mut()
            .zip((1_u32..).map(|n| n.wrapping_mul(2_654_435_761)))
            .for_each(|(byte, n)| *byte = n.to_be_bytes()[0]);
        world.attach(address, "noise.bin", noise);
        world
    }

    pub(super) fn client(&self, address: &str) -> Client {
        Client::new(address).bearing(&self.token)
    }

    pub(super) fn at(&self, rest: &str) -> String {
        format!("/projects/{}{rest}", self.project)
    }

    pub(super) fn story(&self, client: &mut Client, title: &str) {
        let wish = json!({ "title": title, "status_id": self.column });
        client.post(&self.at("/stories"), &wish).unwrap().expect(201);
    }

    /// Attaches a file to the first story.
    pub(super) fn attach(&mut self, address: &str, name: &str, bytes: Vec<u8>) {
        let path = self.at(&format!("/stories/1/attachments?name={name}"));
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "POST /api/v1{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            self.token,
            bytes.len()
        )
        .unwrap();
        stream.write_all(&bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 201"), "{answer}");
        let file: Value = serde_json::from_str(body).unwrap();
        self.files.push((file["id"].as_str().unwrap().to_owned(), bytes));
    }
}

/// A private key of age, as `age-keygen` writes it, and its public key.
pub(super) fn age_key() -> (String, String) {
    use age::secrecy::ExposeSecret;
    let key = age::x25519::Identity::generate();
    let public = key.to_public().to_string();
    (format!("# public key: {public}\n{}\n", key.to_string().expose_secret()), public)
}

pub(super) fn s3_target(store: &s3::Server, bucket: &str) -> String {
    format!(
        "[backup.target]\nbackend = 's3'\nendpoint = '{}'\nbucket = '{bucket}'\naccess_key_id = '{}'\nsecret_access_key = '{}'\n",
        store.endpoint(),
        s3::Server::ACCESS_KEY_ID,
        s3::Server::SECRET_ACCESS_KEY
    )
}

/// All objects of a target in a directory whose path has `word`.
pub(super) fn objects(dir: &Path, word: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.join("target/blobs")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().contains(word) {
                found.push(path);
            }
        }
    }
    found
}
