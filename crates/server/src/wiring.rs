//! Where concrete adapters meet ports, and the configuration becomes settings.

use std::sync::Arc;

use anyhow::Context;
use tenon_adapters::{
    blob, bus, cache, clock::SystemClock, limiter, mail, queue, randomness::SystemRandomness,
};
use tenon_app::{App, Keys, Parts, Settings, settings::PasswordCost, throttle};
use tenon_core::ports::{bus::Bus, cache::Cache, clock::Clock, limiter::Limiter};
use tenon_db::Db;
use tenon_http::{
    frame::{Limits, Settings as HttpSettings},
    network::TrustedProxies,
};

use crate::{
    config::{Config, Network, RateLimits},
    keys,
};

/// The application over `db`, with the configured adapters. It starts without Redis and connects when that comes.
pub(crate) async fn app(config: &Config, db: Db) -> anyhow::Result<Arc<App>> {
    let clock = clock();
    let around = Around {
        bus: bus::connect_lazily(config.bus.clone())?,
        limiter: limiter::connect_lazily(config.limiter.clone(), clock.clone())?,
        cache: cache::connect_lazily(config.cache.clone(), clock.clone())?,
    };
    with(config, db, clock, around).await
}

/// The same for a process that answers no requests: nothing is limited or cached there, and its work goes on while the
/// bus is away.
pub(crate) async fn app_without_requests(config: &Config, db: Db) -> anyhow::Result<Arc<App>> {
    let clock = clock();
    let around = Around {
        bus: bus::connect_lazily(config.bus.clone())?,
        limiter: limiter::connect_lazily(limiter::Config::default(), clock.clone())?,
        cache: cache::connect_lazily(cache::Config::default(), clock.clone())?,
    };
    with(config, db, clock, around).await
}

/// What is around the answering of requests.
struct Around {
    bus: Arc<dyn Bus>,
    limiter: Arc<dyn Limiter>,
    cache: Arc<dyn Cache>,
}

async fn with(config: &Config, db: Db, clock: Arc<dyn Clock>, around: Around) -> anyhow::Result<Arc<App>> {
    let randomness = Arc::new(SystemRandomness);
    let keys = keys::load(&config.auth.signing_keys, &config.data_dir.join("keys"), &*randomness)?;
    let queue = queue::connect_lazily(&config.queue, &db, clock.clone()).await?;
    Ok(Arc::new(App::new(Parts {
        db,
        blobs: blob::connect(config.storage.clone()).await?,
        queue,
        mailer: mail::connect(config.mail.clone(), clock.clone()).await?,
        bus: around.bus,
        limiter: around.limiter,
        cache: around.cache,
        clock,
        randomness,
        keys: Keys::new(keys).map_err(anyhow::Error::msg)?,
        settings: settings(config)?,
    })))
}

/// The time of this process.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn settings(config: &Config) -> anyhow::Result<Settings> {
    let most = |count: u32| usize::try_from(count).context("a limit is too large for this machine");
    Ok(Settings {
        instance_name: config.instance_name.clone(),
        public_url: config.public_url.as_str().trim_end_matches('/').to_owned(),
        registration: config.registration(),
        access_token_ttl: config.auth.access_token_ttl.duration(),
        refresh_token_ttl: config.auth.refresh_token_ttl.duration(),
        refresh_grace: config.auth.refresh_grace.duration(),
        limits: limits(&config.rate_limits),
        attachment_bytes: config.limits.attachment_bytes.bytes(),
        workflows_per_project: most(config.limits.workflows_per_project)?,
        statuses_per_workflow: most(config.limits.statuses_per_workflow)?,
        live_connections_per_user: most(config.limits.live_connections_per_user)?,
        trash: config.retention.trash.duration(),
        log: config.retention.log.duration(),
        backup_window: config.retention.backup_window.duration(),
        unverified: config.retention.unverified.duration(),
        schedules: config.scheduler.schedules.settings(),
        password_cost: PasswordCost::Standard,
    })
}

fn limits(rates: &RateLimits) -> throttle::Limits {
    throttle::Limits {
        sign_in_pair: rates.sign_in_pair.into(),
        sign_in_account: rates.sign_in_account.into(),
        sign_in_account_delay: rates.sign_in_account_delay.duration(),
        sign_in_address: rates.sign_in_address.into(),
        sign_in_address_per_account: rates.sign_in_address_per_account,
        request_pair: rates.request_pair.into(),
        request_address: rates.request_address.into(),
        request_mails: rates.request_mails.into(),
        mail_sender: rates.mail_sender.into(),
        mail_new_sender: rates.mail_new_sender.into(),
        new_sender_age: rates.new_sender_age.duration(),
        mail_instance: rates.mail_instance.into(),
        mail_recipient: rates.mail_recipient.into(),
    }
}

/// How the HTTP face behaves.
pub(crate) fn http(config: &Config) -> HttpSettings {
    HttpSettings {
        cors_origins: config.server.cors_origins.clone(),
        trusted_proxies: TrustedProxies(config.server.trusted_proxies.iter().map(Network::network).collect()),
        request_timeout: config.server.request_timeout.duration(),
        limits: Limits {
            anonymous: config.rate_limits.anonymous.into(),
            session: config.rate_limits.session.into(),
            token: config.rate_limits.token.into(),
            login: config.rate_limits.login.into(),
        },
        metrics_token: config.metrics.token.clone(),
        compression: config.server.compression,
    }
}
