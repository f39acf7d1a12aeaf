//! What is well-formed and still refused.

use std::{collections::BTreeSet, net::SocketAddr, path::Path};

use tenon_adapters::{ConnectError, blob, mail};
use url::Url;

use super::{Config, ConfigError, Environment};

const SHORTEST_TOKEN: usize = 16;

/// Says everything that cannot stand, in any environment and in production.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    always(config, &mut problems);
    if config.environment == Environment::Production {
        in_production(config, &mut problems);
    }
    if problems.is_empty() { Ok(()) } else { Err(ConfigError::new(problems)) }
}

fn always(config: &Config, problems: &mut Vec<String>) {
    if !matches!(config.public_url.scheme(), "http" | "https") {
        problems.push(format!(
            "public_url must begin with https:// (or http://), not {}:",
            config.public_url.scheme()
        ));
    }
    public_url(config, problems);
    places(config, problems);
    for (section, checked) in [
        ("storage", config.storage.check()),
        ("backup.target", config.backup.target.check()),
        ("queue", config.queue.check()),
        ("mail", config.mail.check()),
        ("bus", config.bus.check()),
        ("limiter", config.limiter.check()),
        ("cache", config.cache.check()),
    ] {
        problems.extend(checked.err().map(|refused| format!("{section}: {}", in_words(&refused))));
    }
    if let Some(Err(wrong)) = config.log.level.as_deref().map(crate::telemetry::check_level) {
        problems.push(format!("log.level: {wrong}"));
    }
    for origin in config.server.cors_origins.iter().filter(|origin| *origin != "*") {
        if Url::parse(origin).ok().is_none_or(|url| url.origin().ascii_serialization() != *origin) {
            problems.push(format!(
                "server.cors_origins: {origin} is not an origin; write it as https://app.example.org, without a path"
            ));
        }
    }
    if let Some(url) = &config.database.url
        && let Err(wrong) = tenon_db::address::check(url.expose())
    {
        problems.push(format!("database.url cannot be used: {wrong}"));
    }
    let queues = &tenon_core::jobs::QUEUES;
    for queue in config.worker.queues.iter().filter(|queue| !queues.contains(&queue.as_str())) {
        problems
            .push(format!("worker.queues: there is no queue {queue}; the queues are {}", queues.join(", ")));
    }
    backups(config, problems);
    let mut names = BTreeSet::new();
    for (position, key) in config.auth.signing_keys.iter().enumerate() {
        match crate::keys::parse(key.expose()) {
            Err(wrong) => problems.push(format!("auth.signing_keys: key {} {wrong}", position + 1)),
            Ok(key) if !names.insert(key.kid.clone()) => problems.push(format!(
                "auth.signing_keys: two keys are called {}; tokens name their key, so give the new one another name",
                key.kid
            )),
            Ok(_) => {}
        }
    }
    if config.auth.refresh_token_ttl.duration() < config.auth.access_token_ttl.duration() {
        problems.push(format!(
            "auth.refresh_token_ttl must not be shorter than auth.access_token_ttl ({})",
            config.auth.access_token_ttl
        ));
    }
}

fn in_words(refused: &ConnectError) -> String {
    let text = refused.to_string();
    text.trim_end_matches('.').to_owned()
}

/// Links are made by adding to it.
fn public_url(config: &Config, problems: &mut Vec<String>) {
    let url = &config.public_url;
    let wrong = if url.query().is_some() || url.fragment().is_some() {
        "must end with its path: no ? and no #"
    } else if !url.username().is_empty() || url.password().is_some() {
        "must not have a user or a password"
    } else {
        return;
    };
    problems.push(format!("public_url {wrong}"));
}

/// Directories, sockets and addresses.
fn places(config: &Config, problems: &mut Vec<String>) {
    if config.data_dir.as_os_str().is_empty() {
        problems.push("data_dir must not be empty".to_owned());
    }
    let name = &config.instance_name;
    if name.trim().is_empty() || name.chars().count() > 100 || name.contains(char::is_control) {
        problems.push("instance_name must have 1 to 100 characters on one line".to_owned());
    }
    let unix_socket = config.server.unix_socket.as_deref();
    if let Some(Err(wrong)) = unix_socket.map(socket_path) {
        problems.push(format!("server.unix_socket {wrong}"));
    }
    if config.metrics.token.as_ref().is_some_and(|token| token.expose().is_empty()) {
        problems.push("metrics.token must not be empty".to_owned());
    }
    if let Some(metrics) = config.metrics.listen
        && unix_socket.is_none()
        && collide(metrics, config.server.listen)
    {
        problems.push(format!(
            "metrics.listen ({metrics}) must be another port than that of server.listen ({})",
            config.server.listen
        ));
    }
}

/// The kernel's limit of a socket's path, with the byte that ends it.
const LONGEST_SOCKET: usize = 107;

fn socket_path(path: &Path) -> Result<(), String> {
    match path.as_os_str().len() {
        0 => Err("must not be empty".to_owned()),
        length if length > LONGEST_SOCKET => {
            Err(format!("must have at most {LONGEST_SOCKET} bytes, and has {length}"))
        }
        _ => Ok(()),
    }
}

/// Whether only one of two can listen.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() != 0
        && a.port() == b.port()
        && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

fn backups(config: &Config, problems: &mut Vec<String>) {
    let backup = &config.backup;
    if matches!(backup.target, blob::Config::Memory {}) {
        problems.push(
            "backup.target.backend must not be memory: backups would be gone with the process".to_owned(),
        );
    }
    if let Err(wrong) = crate::backup::recipients(&backup.recipients) {
        problems.push(format!("backup.recipients: {wrong}"));
    }
    if let Some(Err(wrong)) = backup.identity.as_ref().map(crate::backup::identities) {
        problems.push(format!("backup.identity {wrong}"));
    }
    if backup.keep.daily == 0 && backup.keep.weekly == 0 && backup.keep.monthly == 0 {
        problems.push("backup.keep must keep a backup of at least one day, week or month".to_owned());
    }
    if backup.keep.point_in_time.duration() > config.retention.backup_window.duration() {
        problems.push(format!(
            "backup.keep.point_in_time must not be longer than retention.backup_window ({}): the files of older moments are gone",
            config.retention.backup_window
        ));
    }
}

fn in_production(config: &Config, problems: &mut Vec<String>) {
    if config.public_url.scheme() != "https" {
        problems.push("public_url must begin with https:// in production".to_owned());
    }
    if config.server.cors_origins.iter().any(|origin| origin == "*") {
        problems.push("server.cors_origins must name its origins in production, not *".to_owned());
    }
    if matches!(config.storage, blob::Config::Memory {}) {
        problems.push(
            "storage.backend must not be memory in production: files are gone with the process".to_owned(),
        );
    }
    if matches!(config.mail, mail::Config::Log(_)) {
        problems.push(
            "mail.backend must not be log in production: whoever reads the log could use the links of the mails"
                .to_owned(),
        );
    }
    let level = config.log.level.as_deref().unwrap_or_default().to_lowercase();
    if level.contains("debug") || level.contains("trace") {
        problems.push(
            "log.level must be info, warn or error in production: more would log what people write"
                .to_owned(),
        );
    }
    if config.metrics.token.as_ref().is_some_and(|token| token.expose().len() < SHORTEST_TOKEN) {
        problems
            .push(format!("metrics.token must be at least {SHORTEST_TOKEN} characters long in production"));
    }
    let exposed = config.metrics.listen.is_some_and(|address| !address.ip().is_loopback());
    if exposed && config.metrics.token.is_none() {
        problems.push("metrics.token must be set when metrics.listen is not on loopback".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use tenon_core::secrets::Secret;

    use super::{Config, Environment, check};

    fn production() -> Config {
        Config {
            environment: Environment::Production,
            public_url: "https://tenon.example.org".parse().unwrap(),
            ..Config::default()
        }
    }

    fn refusal(change: impl FnOnce(&mut Config)) -> String {
        let mut config = production();
        change(&mut config);
        check(&config).unwrap_err().to_string()
    }

    #[test]
    fn production_refuses_what_is_only_good_for_trying_things_out() {
        check(&production()).unwrap();
        assert!(
            refusal(|c| c.public_url = "http://tenon.example.org".parse().unwrap()).contains("public_url")
        );
        assert!(refusal(|c| c.server.cors_origins = vec!["*".into()]).contains("cors_origins"));
        assert!(refusal(|c| c.log.level = Some("info,tenon_http=debug".into())).contains("log.level"));
        assert!(
            refusal(|c| c.metrics.token = Some(Secret::from("short".to_owned()))).contains("metrics.token")
        );
        assert!(
            refusal(|c| c.metrics.listen = Some("0.0.0.0:9464".parse().unwrap())).contains("metrics.token")
        );
        assert!(
            refusal(|c| c.auth.signing_keys = vec![Secret::from("a:c2hvcnQ".to_owned())])
                .contains("signing_keys")
        );
    }

    #[test]
    fn a_url_of_a_database_that_nobody_could_connect_to_is_refused_without_its_password() {
        for (url, words) in [
            ("postgres://tenon:canary@db/tenon?sslmode=sometimes", "sslmode"),
            ("postgres://tenon:canary@db/tenon?colour=blue", "colour"),
            ("postgres:///tenon?user=tenon&password=canary", "names no host"),
            ("mysql://tenon:canary@db/tenon", "database.url cannot be used"),
        ] {
            let wrong = refusal(|c| c.database.url = Some(Secret::from(url.to_owned())));
            assert!(wrong.contains("database.url") && wrong.contains(words), "{wrong}");
            assert!(!wrong.contains("canary"), "{wrong}");
        }
    }

    type Change = Box<dyn FnOnce(&mut Config)>;

    #[test]
    fn what_only_a_start_would_refuse_is_refused_by_the_check() {
        use tenon_adapters::{blob, bus, mail};
        let key = |name: &str| Secret::from(format!("{name}:{}", "A".repeat(43)));
        let s3 = |endpoint: &str, size: u16| {
            blob::Config::S3(blob::S3Config {
                endpoint: endpoint.to_owned(),
                region: "us-east-1".to_owned(),
                bucket: "b".to_owned(),
                prefix: String::new(),
                access_key_id: None,
                secret_access_key: None,
                part_size_mib: size,
                path_style: true,
            })
        };
        let directory = |from: &str| {
            mail::Config::Directory(mail::DirectoryConfig { from: from.to_owned(), directory: "m".into() })
        };
        let cases: Vec<(&str, Change)> = vec![
            ("storage.backend must not be memory", Box::new(|c| c.storage = blob::Config::Memory {})),
            ("storage: endpoint must be", Box::new(move |c| c.storage = s3("s3.example.org", 0))),
            ("storage: endpoint must be", Box::new(move |c| c.storage = s3("https://a:b@s3?x", 0))),
            ("part_size_mib is 4", Box::new(move |c| c.backup.target = s3("https://s3", 4))),
            ("mail: The sender's address \"nobody\"", Box::new(move |c| c.mail = directory("nobody"))),
            (
                "mail.backend must not be log",
                Box::new(|c| c.mail = mail::Config::Log(mail::LogConfig::default())),
            ),
            (
                "bus: url is not one of Redis",
                Box::new(|c| c.bus = bus::Config::Redis(bus::RedisConfig::new("http://canary@x"))),
            ),
            ("log.level: ", Box::new(|c| c.log.level = Some("loud".into()))),
            ("log.level: ", Box::new(|c| c.log.level = Some("info,tenon_http=loud".into()))),
            (
                "two keys are called a",
                Box::new(move |c| c.auth.signing_keys = vec![key("a"), key("b"), key("a")]),
            ),
            ("data_dir must not be empty", Box::new(|c| c.data_dir = "".into())),
            ("public_url must end", Box::new(|c| c.public_url = "https://t.org/?a=b".parse().unwrap())),
            ("public_url must not", Box::new(|c| c.public_url = "https://u:p@t.org".parse().unwrap())),
            ("metrics.listen (127.0.0.1:8080)", Box::new(|c| c.metrics.listen = Some(c.server.listen))),
            ("server.unix_socket", Box::new(|c| c.server.unix_socket = Some("x".repeat(200).into()))),
            ("instance_name", Box::new(|c| c.instance_name = " ".into())),
            ("auth.refresh_token_ttl", Box::new(|c| c.auth.refresh_token_ttl = "10m".parse().unwrap())),
        ];
        for (words, change) in cases {
            let wrong = refusal(change);
            assert!(wrong.contains(words), "{words} in: {wrong}");
            assert!(!wrong.contains("canary"), "{wrong}");
        }
    }

    #[test]
    fn an_origin_with_a_path_is_refused_everywhere() {
        let mut config = Config::default();
        config.server.cors_origins = vec!["https://app.example.org".into()];
        check(&config).unwrap();
        config.server.cors_origins = vec!["https://app.example.org/".into()];
        assert!(check(&config).unwrap_err().to_string().contains("is not an origin"));
    }

    #[test]
    fn backups_that_could_not_be_restored_are_refused() {
        assert!(refusal(|c| c.backup.recipients = vec!["age1nobody".into()]).contains("backup.recipients"));
        let wrong = refusal(|c| c.backup.identity = Some(Secret::from("AGE-SECRET-KEY-1CANARY".to_owned())));
        assert!(wrong.contains("backup.identity") && !wrong.contains("CANARY"), "{wrong}");
        assert!(refusal(|c| c.backup.keep.point_in_time = "90d".parse().unwrap()).contains("backup_window"));
        assert!(
            refusal(|c| c.backup.target = tenon_adapters::blob::Config::Memory {})
                .contains("must not be memory")
        );
        assert!(
            refusal(|c| {
                c.backup.keep.daily = 0;
                c.backup.keep.weekly = 0;
                c.backup.keep.monthly = 0;
            })
            .contains("backup.keep")
        );
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let mut config = production();
        config.data_dir = "".into();
        config.log.level = Some("loud".to_owned());
        assert_eq!(check(&config).unwrap_err().problems().len(), 2);
    }
}
