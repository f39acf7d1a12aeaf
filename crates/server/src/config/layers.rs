//! From defaults, a file, the environment and secrets in files to one [`Config`].
//!
//! Values are checked against the keys before they are read, because only here it is still known where each
//! came from. Text from the environment becomes a number or a list only where the key wants one: the password
//! `0123` stays text.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use config::{FileFormat, Source, Value, ValueKind};
use serde_json::Value as Json;

use super::{
    Config,
    keys::{self, Key, Kind},
    ranges,
};

const PREFIX: &str = "TENON__";

/// A configuration that cannot be used: each sentence is one thing wrong.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub(crate) struct ConfigError(Vec<String>);

impl ConfigError {
    pub(super) const fn new(problems: Vec<String>) -> Self {
        Self(problems)
    }

    fn one(problem: impl Into<String>) -> Self {
        Self(vec![problem.into()])
    }

    /// Each thing that is wrong.
    pub(crate) fn problems(&self) -> &[String] {
        &self.0
    }
}

/// Where values come from, weakest first: defaults, file, environment, files of secrets, command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// The file of `--config` or `$TENON_CONFIG`.
    pub(crate) file: Option<PathBuf>,
    /// The environment; only what begins with `TENON__` is looked at.
    pub(crate) environment: Vec<(String, String)>,
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub(crate) credentials: Option<PathBuf>,
    /// What the command line says: option, key, value.
    pub(crate) options: Vec<(&'static str, &'static str, String)>,
    /// Secrets in files are looked up but not read, so that a file can be checked on another machine.
    pub(crate) without_secrets: bool,
}

impl Sources {
    /// Reads everything, or says all that is wrong.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        let mut values = Values::default();
        self.refuse_near_misses()?;
        let tree = self.layered()?;
        flatten(&tree, "", &mut values.found);
        if !self.without_secrets {
            self.read_secrets(&mut values)?;
        }
        for (option, key, value) in &self.options {
            values.found.insert((*key).to_owned(), text_value(option, value));
        }
        values.complete();
        if self.without_secrets {
            values.assume_secrets();
        }
        let mut config = values.into_config()?;
        config.file = self.file.as_deref().and_then(|file| std::path::absolute(file).ok());
        super::refusals::check(&config)?;
        config.database.take_password();
        Ok(config)
    }

    /// Refuses a variable that was meant for us and would not be read: `TENON_SERVER__LISTEN` for `TENON__SERVER__LISTEN`.
    fn refuse_near_misses(&self) -> Result<(), ConfigError> {
        let meant = |(name, _): &(String, String)| {
            let rest = name.strip_prefix("TENON_").filter(|rest| !rest.starts_with('_'))?;
            let flat = rest.to_lowercase().replace("__", "_");
            let known = keys::all().iter().find_map(|key| {
                let path = key.path.replace('.', "_");
                let suffix = flat.strip_prefix(&path)?;
                let is_key = suffix.is_empty() || (key.secret && suffix == "_file");
                is_key.then(|| format!("{PREFIX}{}{suffix}", key.path.replace('.', "__")).to_uppercase())
            });
            match known {
                Some(right) => Some(format!("{name} is not read; write it as {right}")),
                None if rest.contains("__") => {
                    Some(format!("{name} is not read; names of settings begin with {PREFIX}"))
                }
                None => None,
            }
        };
        let problems: Vec<String> = self.environment.iter().filter_map(meant).collect();
        if problems.is_empty() { Ok(()) } else { Err(ConfigError(problems)) }
    }

    fn layered(&self) -> Result<Value, ConfigError> {
        let mut builder = config::Config::builder();
        if let Some(path) = &self.file {
            let text = std::fs::read_to_string(path)
                .map_err(|e| ConfigError::one(format!("cannot read {}: {e}", path.display())))?;
            builder = builder.add_source(NamedFile { path: path.clone(), text });
        }
        let environment = Environment(self.environment.clone());
        let built = builder.add_source(environment).build();
        built.map(|built| built.cache).map_err(|e| ConfigError::one(e.to_string().trim().to_owned()))
    }

    /// Replaces each `<key>_file` by what is in that file, and adds what systemd passes under the key's name.
    fn read_secrets(&self, values: &mut Values) -> Result<(), ConfigError> {
        for key in keys::all().iter().filter(|key| key.secret) {
            let named = values.found.remove(&format!("{}_file", key.path));
            let passed =
                self.credentials.as_ref().map(|dir| dir.join(&key.path)).filter(|path| path.exists());
            let path = match named {
                Some(value) => Some(PathBuf::from(value.into_string().map_err(|_| {
                    ConfigError::one(format!("{}_file must be the name of a file", key.path))
                })?)),
                None => passed,
            };
            if let Some(path) = path {
                let text = std::fs::read_to_string(&path).map_err(|e| {
                    ConfigError::one(format!("cannot read {} for {}: {e}", path.display(), key.path))
                })?;
                let origin = path.display().to_string();
                values.found.insert(key.path.clone(), text_value(&origin, text.trim()));
            }
        }
        Ok(())
    }
}

/// Reports errors under the file's own name, unlike the file source of `config`, which guesses at its format.
#[derive(Debug, Clone)]
struct NamedFile {
    path: PathBuf,
    text: String,
}

impl Source for NamedFile {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, Value>, config::ConfigError> {
        let origin = self.path.display().to_string();
        config::Format::parse(&FileFormat::Toml, Some(&origin), &self.text)
            .map_err(|cause| config::ConfigError::FileParse { uri: Some(origin), cause })
    }
}

/// `TENON__DATABASE__URL` is `database.url`.
#[derive(Debug, Clone)]
struct Environment(Vec<(String, String)>);

impl Source for Environment {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, Value>, config::ConfigError> {
        let ours = self.0.iter().filter_map(|(name, value)| {
            let path = name.strip_prefix(PREFIX)?.to_lowercase().replace("__", ".");
            Some((path, text_value(name, value)))
        });
        Ok(ours.collect())
    }
}

fn text_value(origin: &str, text: &str) -> Value {
    Value::new(Some(&origin.to_owned()), ValueKind::String(text.to_owned()))
}

/// Lists the values under their full names.
fn flatten(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (name, value) in table {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(value, &path, found);
            }
        }
        _ => {
            found.insert(path.to_owned(), value.clone());
        }
    }
}

/// Values by full name, and what is wrong with them.
#[derive(Default)]
struct Values {
    found: BTreeMap<String, Value>,
}

impl Values {
    /// Defaults that depend on other keys: what is kept in directories is kept within `data_dir`, and the public
    /// URL has the port that is listened on.
    fn complete(&mut self) {
        let said = |found: &BTreeMap<String, Value>, key: &str| {
            found.get(key).and_then(|value| value.clone().into_string().ok())
        };
        if let Some(Ok(address)) = said(&self.found, "server.listen").map(|text| text.parse::<SocketAddr>()) {
            let url = format!("http://localhost:{}", address.port());
            self.found.entry("public_url".to_owned()).or_insert_with(|| text_value("server.listen", &url));
        }
        let data_dir =
            said(&self.found, "data_dir").map_or_else(|| Config::default().data_dir, PathBuf::from);
        for (section, backend, name) in [
            ("storage", "filesystem", "files"),
            ("mail", "directory", "mail"),
            ("backup.target", "filesystem", "backups"),
        ] {
            let key = format!("{section}.backend");
            let chosen = said(&self.found, &key).unwrap_or_else(|| backend.to_owned());
            if chosen == backend {
                let dir = data_dir.join(name).display().to_string();
                self.found
                    .entry(format!("{section}.directory"))
                    .or_insert_with(|| text_value("data_dir", &dir));
            }
        }
        for key in keys::all().iter().filter(|key| key.path.ends_with(".backend")) {
            let section = key.path.trim_end_matches("backend");
            let begun = self.found.keys().any(|path| path.starts_with(section));
            if begun && let Some(default) = key.default.as_str() {
                self.found.entry(key.path.clone()).or_insert_with(|| text_value("the default", default));
            }
        }
    }

    /// Takes it that the chosen adapters will be given their secrets, by files that only another machine has.
    fn assume_secrets(&mut self) {
        let chosen = |found: &BTreeMap<String, Value>, with: &String| {
            with.split_once(" = ").is_some_and(|(path, word)| {
                found
                    .get(path)
                    .is_some_and(|value| value.clone().into_string().is_ok_and(|said| said == word))
            })
        };
        for key in keys::all().iter().filter(|key| key.secret) {
            // A password belongs to a name, which is no secret.
            let nobodys = key
                .path
                .strip_suffix(".password")
                .is_some_and(|section| !self.found.contains_key(&format!("{section}.username")));
            if !nobodys && key.only_with.iter().any(|with| chosen(&self.found, with)) {
                let assumed = if key.path.rsplit('.').next() == Some("url") {
                    "redis://localhost"
                } else {
                    "to be given"
                };
                self.found.entry(key.path.clone()).or_insert_with(|| text_value("its file", assumed));
            }
        }
    }

    fn into_config(self) -> Result<Config, ConfigError> {
        let mut problems = Vec::new();
        let mut origins = BTreeMap::new();
        let mut tree = Json::Object(serde_json::Map::new());
        for (path, value) in self.found {
            let origin = value.origin().unwrap_or("the environment").to_owned();
            let secret_file = path.strip_suffix("_file").and_then(keys::find).is_some_and(|key| key.secret);
            match keys::find(&path) {
                Some(key) => match fit(key, value).and_then(|json| ranges::within(key, json)) {
                    Ok(json) => insert(&mut tree, &path, json),
                    Err(expected) => problems.push(format!("{path} must be {expected} (from {origin})")),
                },
                None if secret_file => {}
                None => problems.push(unknown(&path, &origin)),
            }
            origins.insert(path, origin);
        }
        if !problems.is_empty() {
            return Err(ConfigError(problems));
        }
        serde_path_to_error::deserialize(tree).map_err(|e| {
            let path = e.path().to_string();
            let path = path.split('[').next().unwrap_or_default();
            let from = origins.get(path).map(|origin| format!(" (from {origin})")).unwrap_or_default();
            ConfigError::one(format!("{path}: {}{from}", e.inner()))
        })
    }
}

/// The value as the key wants it, or in words what the key wants.
fn fit(key: &Key, value: Value) -> Result<Json, String> {
    let ValueKind::String(text) = value.kind else {
        return match (&key.kind, value.kind) {
            (Kind::Boolean, ValueKind::Boolean(b)) => Ok(b.into()),
            (Kind::Number, ValueKind::I64(n)) => Ok(n.into()),
            (Kind::Number, ValueKind::Float(n)) => Ok(n.into()),
            (Kind::List, ValueKind::Array(items)) => items
                .into_iter()
                .map(|item| match item.kind {
                    ValueKind::String(text) => Ok(Json::String(text)),
                    _ => Err("a list of texts".to_owned()),
                })
                .collect(),
            (kind, _) => Err(expected(kind)),
        };
    };
    let fitted = match &key.kind {
        Kind::Boolean => text.parse::<bool>().ok().map(Json::from),
        Kind::Number => text.parse::<i64>().ok().map(Json::from),
        Kind::List => {
            let items = text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
            Some(items.map(Json::from).collect())
        }
        Kind::Choice(words) => words.contains(&text).then_some(Json::String(text)),
        Kind::Text(_) => Some(Json::String(text)),
    };
    fitted.ok_or_else(|| expected(&key.kind))
}

fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Boolean => "true or false".to_owned(),
        Kind::Number => "a number".to_owned(),
        Kind::List => "a list".to_owned(),
        Kind::Choice(words) => format!("one of {}", words.join(", ")),
        Kind::Text(_) => "text in quotes".to_owned(),
    }
}

/// Says that there is no such key, and which one was probably meant: of the same section if one is near enough.
fn unknown(path: &str, origin: &str) -> String {
    let nearest = keys::all()
        .iter()
        .map(|key| (strsim::jaro_winkler(path, &key.path), key.path.as_str()))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, name)) if likeness > 0.8 => {
            format!("there is no key {path} (from {origin}); did you mean {name}?")
        }
        _ => format!("there is no key {path} (from {origin})"),
    }
}

fn insert(tree: &mut Json, path: &str, value: Json) {
    let mut place = tree;
    for name in path.split('.') {
        place = &mut place[name];
    }
    *place = value;
}

/// What the environment of this process says.
pub(crate) fn from_process(file: Option<&Path>) -> Sources {
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    let (named, credentials, environment) =
        (std::env::var_os("TENON_CONFIG"), std::env::var_os("CREDENTIALS_DIRECTORY"), std::env::vars_os());
    Sources {
        file: file.map(Path::to_owned).or_else(|| named.map(PathBuf::from)),
        environment: environment
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        credentials: credentials.map(PathBuf::from),
        ..Sources::default()
    }
}

#[cfg(test)]
mod tests {
    use super::Sources;

    fn environment(pairs: &[(&str, &str)]) -> Sources {
        let environment = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Sources { environment, ..Sources::default() }
    }

    fn file(text: &str) -> (tempfile::TempDir, Sources) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tenon.toml");
        std::fs::write(&path, text).unwrap();
        (dir, Sources { file: Some(path), ..Sources::default() })
    }

    #[test]
    fn nothing_at_all_is_the_defaults() {
        let config = Sources::default().load().unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", super::Config::default()));
    }

    #[test]
    fn the_environment_beats_the_file_and_an_option_beats_both() {
        let (_dir, mut sources) =
            file("instance_name = 'file'\n[database]\npool_size = 3\n[worker]\nconcurrency = 2\n");
        sources.environment = vec![
            ("TENON__INSTANCE_NAME".into(), "environment".into()),
            ("TENON__DATABASE__POOL_SIZE".into(), "4".into()),
            ("UNRELATED".into(), "x".into()),
        ];
        sources.options = vec![("--name", "instance_name", "option".into())];
        let config = sources.load().unwrap();
        assert_eq!(config.instance_name, "option");
        assert_eq!(config.database.pool_size, 4);
        assert_eq!(config.worker.concurrency, 2);
    }

    #[test]
    fn lists_in_the_environment_are_comma_separated() {
        let config = environment(&[("TENON__WORKER__QUEUES", "mail, default")]).load().unwrap();
        assert_eq!(config.worker.queues, ["mail", "default"]);
    }

    #[test]
    fn text_that_looks_like_a_number_stays_text() {
        let config =
            environment(&[("TENON__METRICS__TOKEN", "0123"), ("TENON__INSTANCE_NAME", "7")]).load().unwrap();
        assert_eq!(config.metrics.token.unwrap().expose(), "0123");
        assert_eq!(config.instance_name, "7");
    }

    #[test]
    fn files_and_mails_are_within_the_data_directory_unless_they_are_elsewhere() {
        let config = environment(&[("TENON__DATA_DIR", "/var/lib/tenon"), ("TENON__MAIL__DIRECTORY", "/m")])
            .load()
            .unwrap();
        let shown = format!("{:?} {:?}", config.storage, config.mail);
        assert!(shown.contains("/var/lib/tenon/files") && shown.contains("\"/m\""), "{shown}");
    }

    #[test]
    fn the_public_url_follows_the_port_unless_it_is_set() {
        let listen = ("TENON__SERVER__LISTEN", "0.0.0.0:9000");
        assert_eq!(environment(&[listen]).load().unwrap().public_url.as_str(), "http://localhost:9000/");
        let set = ("TENON__PUBLIC_URL", "https://tenon.example.org");
        assert_eq!(
            environment(&[listen, set]).load().unwrap().public_url.as_str(),
            "https://tenon.example.org/"
        );
    }

    #[test]
    fn an_adapter_is_chosen_and_set_up_by_its_section() {
        let (_dir, sources) = file(
            "[storage]\nbackend = 's3'\nendpoint = 'http://127.0.0.1:9000'\nbucket = 'b'\nsecret_access_key = 'canary'\naccess_key_id = 'x'\n\
             [mail]\nbackend = 'smtp'\nhost = 'mail.example.org'\nport = 25\n",
        );
        let config = sources.load().unwrap();
        let shown = format!("{:?} {:?}", config.storage, config.mail);
        assert!(shown.starts_with("S3(") && shown.contains("Smtp("), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");

        let error = environment(&[("TENON__STORAGE__BACKEND", "s3")]).load().unwrap_err().to_string();
        assert_eq!(error, "storage: missing field `endpoint`");
        let error = environment(&[("TENON__STORAGE__BACKEND", "floppy")]).load().unwrap_err().to_string();
        assert_eq!(
            error,
            "storage.backend must be one of filesystem, s3, memory (from TENON__STORAGE__BACKEND)"
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_name() {
        let (_dir, sources) = file("[database]\npool_sise = 3\n");
        let error = sources.load().unwrap_err().to_string();
        assert!(error.starts_with("there is no key database.pool_sise (from "), "{error}");
        assert!(error.ends_with("tenon.toml); did you mean database.pool_size?"), "{error}");

        let error = environment(&[("TENON__WORKERS__CONCURRENCY", "3")]).load().unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no key workers.concurrency (from TENON__WORKERS__CONCURRENCY); did you mean worker.concurrency?"
        );
    }

    #[test]
    fn a_wrong_type_names_the_key_and_where_it_came_from() {
        let (_dir, sources) =
            file("instance_name = 7\n[database]\npool_size = 'many'\n[log]\nformat = 'xml'\n");
        let error = sources.load().unwrap_err();
        let [database, name, log] = error.problems() else { panic!("{error}") };
        assert!(database.starts_with("database.pool_size must be a number (from "), "{database}");
        assert!(name.starts_with("instance_name must be text in quotes (from "), "{name}");
        assert!(log.starts_with("log.format must be one of auto, json, text (from "), "{log}");

        let error = environment(&[("TENON__SERVER__REQUEST_TIMEOUT", "30")]).load().unwrap_err().to_string();
        assert_eq!(
            error,
            "server.request_timeout: expected a length of time such as 500ms, 30s, 15m, 12h or 7d (from TENON__SERVER__REQUEST_TIMEOUT)"
        );
    }

    #[test]
    fn what_is_out_of_range_is_refused_with_the_least_and_the_most() {
        for (name, value, refusal) in [
            (
                "TENON__AUTH__ACCESS_TOKEN_TTL",
                "9000000d",
                "auth.access_token_ttl must be 1m to 1d (from TENON__AUTH__ACCESS_TOKEN_TTL)",
            ),
            (
                "TENON__AUTH__REFRESH_TOKEN_TTL",
                "0s",
                "auth.refresh_token_ttl must be 10m to 3650d (from TENON__AUTH__REFRESH_TOKEN_TTL)",
            ),
            (
                "TENON__DATABASE__POOL_SIZE",
                "0",
                "database.pool_size must be 1 to 1000 (from TENON__DATABASE__POOL_SIZE)",
            ),
            (
                "TENON__WORKER__CONCURRENCY",
                "-1",
                "worker.concurrency must be 1 to 1000 (from TENON__WORKER__CONCURRENCY)",
            ),
            (
                "TENON__LIMITS__ATTACHMENT_BYTES",
                "0B",
                "limits.attachment_bytes must be 1KiB to 100GiB (from TENON__LIMITS__ATTACHMENT_BYTES)",
            ),
            (
                "TENON__RATE_LIMITS__LOGIN",
                "10/1ms",
                "rate_limits.login must be 1/1s to 1000000000/1d (from TENON__RATE_LIMITS__LOGIN)",
            ),
        ] {
            assert_eq!(environment(&[(name, value)]).load().unwrap_err().to_string(), refusal);
        }
        let (_dir, sources) = file("[worker]\nconcurrency = 0\n[database]\npool_size = 5000\n");
        assert_eq!(sources.load().unwrap_err().problems().len(), 2);
        let (_dir, sources) = file("[worker]\nconcurrency = 1.5\n");
        assert!(sources.load().unwrap_err().to_string().contains("must be a number"));
    }

    #[test]
    fn a_variable_with_one_underscore_is_named_as_a_mistake() {
        for (name, right) in [
            ("TENON_SERVER__LISTEN", "TENON__SERVER__LISTEN"),
            ("TENON_DATABASE_URL", "TENON__DATABASE__URL"),
            ("TENON_DATABASE__URL_FILE", "TENON__DATABASE__URL_FILE"),
            ("TENON_DATA_DIR", "TENON__DATA_DIR"),
        ] {
            let error = environment(&[(name, "x")]).load().unwrap_err().to_string();
            assert_eq!(error, format!("{name} is not read; write it as {right}"));
        }
        let unknown = environment(&[("TENON_SERVER__COLOUR", "x")]).load().unwrap_err().to_string();
        assert_eq!(unknown, "TENON_SERVER__COLOUR is not read; names of settings begin with TENON__");
        // Others' variables, such as those that Kubernetes sets for a service called `tenon`.
        environment(&[("TENON_PORT", "tcp://10.0.0.1:80"), ("TENON_TEST_DATABASE_URL", "x")]).load().unwrap();
    }

    #[test]
    fn a_file_that_is_not_toml_is_named_with_the_line() {
        let (_dir, sources) = file("instance_name = \n");
        let error = sources.load().unwrap_err().to_string();
        assert!(error.contains("tenon.toml") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn secrets_come_from_files_and_from_systemd() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("url"), "postgres://tenon:pw@db/tenon\n").unwrap();
        std::fs::write(dir.path().join("metrics.token"), "from systemd\n").unwrap();
        let url = dir.path().join("url").display().to_string();
        let mut sources = environment(&[("TENON__DATABASE__URL_FILE", &url)]);
        sources.credentials = Some(dir.path().to_owned());
        let config = sources.load().unwrap();
        assert_eq!(config.database.url.as_ref().unwrap().expose(), "postgres://tenon:pw@db/tenon");
        assert_eq!(config.metrics.token.as_ref().unwrap().expose(), "from systemd");
        let shown = format!("{config:?}");
        assert!(!shown.contains("pw@") && !shown.contains("from systemd"), "{shown}");
    }

    #[test]
    fn a_file_is_checked_without_the_secrets_that_its_adapters_need() {
        let (_dir, sources) =
            file("[bus]\nbackend = 'redis'\n[cache]\nbackend = 'redis'\nurl_file = '/run/url'\n");
        sources.load().unwrap_err();
        Sources { without_secrets: true, ..sources }.load().unwrap();

        let (_dir, sources) = file("[storage]\nbackend = 's3'\n");
        let error = Sources { without_secrets: true, ..sources }.load().unwrap_err().to_string();
        assert_eq!(error, "storage: missing field `endpoint`");
    }

    #[test]
    fn the_password_of_the_database_goes_into_its_url() {
        let url = |url: &str| {
            let pairs = [("TENON__DATABASE__URL", url), ("TENON__DATABASE__PASSWORD", "p&w d")];
            environment(&pairs).load().unwrap().database.url.unwrap().expose().clone()
        };
        assert_eq!(url("postgres://tenon@db/tenon"), "postgres://tenon@db/tenon?password=p%26w%20d");
        assert_eq!(
            url("postgres:///tenon?host=/run/postgresql"),
            "postgres:///tenon?host=/run/postgresql&password=p%26w%20d"
        );
    }

    #[test]
    fn only_secrets_can_come_from_files() {
        let error = environment(&[("TENON__INSTANCE_NAME_FILE", "/x")]).load().unwrap_err().to_string();
        assert!(error.starts_with("there is no key instance_name_file"), "{error}");
    }

    #[test]
    fn a_missing_file_of_a_secret_is_named_with_its_key() {
        let error = environment(&[("TENON__DATABASE__URL_FILE", "/nowhere")]).load().unwrap_err().to_string();
        assert!(error.starts_with("cannot read /nowhere for database.url: "), "{error}");
        let sources =
            Sources { without_secrets: true, ..environment(&[("TENON__DATABASE__URL_FILE", "/nowhere")]) };
        sources.load().unwrap();
    }
}
