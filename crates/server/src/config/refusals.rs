//! What is well-formed and still refused.

use std::time::Duration;

use tenon_adapters::blob;
use url::Url;

use super::{Config, ConfigError, Environment};

const SHORTEST_TOKEN: usize = 16;
/// The longest that a sign-in may be slowed.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

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
    if config.database.pool_size == 0 {
        problems.push("database.pool_size must be at least 1".to_owned());
    }
    let queues = &tenon_core::jobs::QUEUES;
    for queue in config.worker.queues.iter().filter(|queue| !queues.contains(&queue.as_str())) {
        problems
            .push(format!("worker.queues: there is no queue {queue}; the queues are {}", queues.join(", ")));
    }
    if config.worker.concurrency == 0 {
        problems.push("worker.concurrency must be at least 1".to_owned());
    }
    if config.rate_limits.sign_in_account_delay.duration() > LONGEST_DELAY {
        problems.push(format!(
            "rate_limits.sign_in_account_delay must be at most {} s: requests would end before it",
            LONGEST_DELAY.as_secs()
        ));
    }
    backups(config, problems);
    for (position, key) in config.auth.signing_keys.iter().enumerate() {
        if let Err(wrong) = crate::keys::parse(key.expose()) {
            problems.push(format!("auth.signing_keys: key {} {wrong}", position + 1));
        }
    }
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
        config.database.pool_size = 0;
        config.worker.concurrency = 0;
        assert_eq!(check(&config).unwrap_err().problems().len(), 2);
    }
}
