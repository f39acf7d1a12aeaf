//! What every request finds in the process: settings, ports, and the name of the request.

use std::{sync::Arc, time::Duration};

use salvo::{Depot, Request, http::header};
use tenon_app::{App, credentials, maintenance::Maintenance};
use tenon_core::{
    BoxError, Error,
    callers::Credential,
    ids::SessionId,
    ports::{
        limiter::{Budget, Limiter},
        randomness::Randomness,
    },
    secrets::Secret,
    tokens::Scope,
};
use url::Url;

use crate::{
    endpoint::Correlation,
    network::TrustedProxies,
    problem::Problem,
    readiness::{Check, Readiness},
};

/// The cookie that carries a browser's access token, as it is called where people come by TLS.
pub const ACCESS_COOKIE: &str = "__Host-tenon_access";

/// What a cookie is called in an instance: where people come without TLS, as on one's own machine, browsers take no
/// cookie with one of the prefixes that keep other hosts and plain connections from setting it.
pub(crate) fn cookie_name(name: &'static str, public_url: &str) -> &'static str {
    if is_plain(public_url) {
        name.trim_start_matches("__Host-").trim_start_matches("__Secure-")
    } else {
        name
    }
}

/// Whether people reach the instance without TLS.
pub(crate) fn is_plain(public_url: &str) -> bool {
    public_url.starts_with("http://")
}

/// How the HTTP face behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Origins of other sites whose pages may call, exactly as browsers send them.
    pub cors_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// A request that takes longer is answered 503.
    pub request_timeout: Duration,
    /// Budgets of calls.
    pub limits: Limits,
    /// Who shows this may see the details of readiness from afar.
    pub metrics_token: Option<Secret<String>>,
    /// Whether answers are compressed; a proxy in front may do it instead.
    pub compression: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cors_origins: Vec::new(),
            trusted_proxies: TrustedProxies(Vec::new()),
            request_timeout: Duration::from_secs(30),
            limits: Limits::default(),
            metrics_token: None,
            compression: true,
        }
    }
}

/// How often one may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Without a credential, per client address.
    pub anonymous: Budget,
    /// Per session.
    pub session: Budget,
    /// Per personal access token.
    pub token: Budget,
    /// Attempts to sign in and the like, per client address, besides `anonymous`.
    pub login: Budget,
}

/// The rate limit that a credential draws from, be it by requests or by frames of a socket.
#[derive(Debug, Clone)]
pub(crate) struct CredentialLimit {
    /// `session` or `token`.
    pub(crate) class: &'static str,
    /// Its key in the limiter.
    pub(crate) key: String,
    /// How much.
    pub(crate) budget: Budget,
}

impl Limits {
    /// What a credential draws from.
    pub(crate) fn of(&self, credential: Credential) -> CredentialLimit {
        match credential {
            Credential::Session { session, .. } => CredentialLimit {
                class: "session",
                key: format!("http:session:{session}"),
                budget: self.session,
            },
            Credential::Token(hash) => {
                let name = u128::from_be_bytes(hash.0[..16].try_into().expect("a hash has 32 bytes"));
                CredentialLimit { class: "token", key: format!("http:token:{name:032x}"), budget: self.token }
            }
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let per_minute = |calls| Budget { calls, window: Duration::from_mins(1) };
        Self {
            anonymous: per_minute(120),
            session: per_minute(1200),
            token: per_minute(1200),
            login: per_minute(10),
        }
    }
}

/// Tells genuine credentials from others, by signature or shape; whether they still hold is the
/// use-cases' to find out.
pub trait Verifier: Send + Sync {
    /// The credential in the text behind `Bearer`, or in the cookie.
    fn verify(&self, bearer: &str) -> Result<Credential, Error>;
    /// Whether `token` is the one against cross-site requests that goes with `session`.
    fn csrf_matches(&self, session: SessionId, token: &str) -> bool;
}

impl Verifier for App {
    fn verify(&self, bearer: &str) -> Result<Credential, Error> {
        credentials::verify(self, bearer, Scope::ReadAccount, "").map(|caller| caller.credential)
    }
    fn csrf_matches(&self, session: SessionId, token: &str) -> bool {
        credentials::csrf_matches(self, session, token)
    }
}

/// What an instance calls itself.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Where people reach it, without a slash at the end.
    pub public_url: String,
}

type Provide = Box<dyn Fn(&mut Depot) + Send + Sync>;

/// Everything the HTTP face needs from the process.
pub struct Frame {
    /// How it behaves.
    pub settings: Settings,
    /// What the instance calls itself.
    pub instance: Instance,
    /// Tells genuine credentials.
    pub verifier: Arc<dyn Verifier>,
    /// Counts calls.
    pub limiter: Arc<dyn Limiter>,
    /// Makes correlation ids.
    pub randomness: Arc<dyn Randomness>,
    /// Tells whether the process can work.
    pub readiness: Readiness,
    /// Tells whether the installation is being maintained.
    pub maintenance: Maintenance,
    /// Hands the application to the endpoints.
    pub(crate) provide: Vec<Provide>,
}

/// What a request presents as a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented {
    Nothing,
    Bearer(Credential),
    Cookie(Credential),
}

impl Frame {
    /// A frame that hands nothing to the endpoints yet.
    pub fn new(
        settings: Settings,
        instance: Instance,
        verifier: Arc<dyn Verifier>,
        limiter: Arc<dyn Limiter>,
        randomness: Arc<dyn Randomness>,
    ) -> Self {
        Self {
            settings,
            instance,
            verifier,
            limiter,
            randomness,
            readiness: Readiness::default(),
            maintenance: Maintenance::default(),
            provide: Vec::new(),
        }
    }

    /// The frame around an application.
    pub fn around(app: &Arc<App>, settings: Settings) -> Self {
        let instance = Instance {
            name: app.settings.instance_name.clone(),
            public_url: app.settings.public_url.clone(),
        };
        let verifier = Arc::clone(app) as Arc<dyn Verifier>;
        let (limiter, randomness) = (Arc::clone(&app.limiter), Arc::clone(&app.randomness));
        let mut frame = Self::new(settings, instance, verifier, limiter, randomness).with(Arc::clone(app));
        frame.maintenance = app.maintenance.clone();
        frame
    }

    /// The same frame, asking these components for readiness.
    #[must_use]
    pub fn asking(mut self, checks: Vec<Check>) -> Self {
        self.readiness = Readiness::new(checks);
        self
    }

    /// The same frame, handing `value` to endpoints that take a [`State`](crate::endpoint::State) of it.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, value: Arc<T>) -> Self {
        self.provide.push(Box::new(move |depot| {
            depot.insert_typed(Arc::clone(&value));
        }));
        self
    }

    pub(crate) fn of(depot: &Depot) -> Result<Arc<Self>, Problem> {
        depot
            .get_typed::<Arc<Self>>()
            .cloned()
            .map_err(|_| Problem::internal(BoxError::from("no frame around a request")))
    }

    /// The credential of a request: the header before the cookie.
    pub(crate) fn present(&self, req: &Request, depot: &Depot) -> Result<Presented, Error> {
        if let Ok(known) = depot.get_typed::<Presented>() {
            return Ok(*known);
        }
        if let Some(value) = req.headers().get(header::AUTHORIZATION) {
            let (scheme, bearer) =
                value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Error::Unauthenticated)?;
            if !scheme.eq_ignore_ascii_case("bearer") {
                return Err(Error::Unauthenticated);
            }
            return self.verifier.verify(bearer.trim()).map(Presented::Bearer);
        }
        match req.cookie(cookie_name(ACCESS_COOKIE, &self.instance.public_url)) {
            Some(cookie) if !cookie.value().is_empty() => {
                self.verifier.verify(cookie.value()).map(Presented::Cookie)
            }
            _ => Ok(Presented::Nothing),
        }
    }

    /// The origin of our own pages, as browsers send it.
    pub(crate) fn own_origin(&self) -> String {
        Url::parse(&self.instance.public_url)
            .map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
    }

    /// Whether a page of `origin` may open a websocket with the request's cookie: one of our own, one of an origin that
    /// may call, or one that came to this very address by the loopback, whichever of its names was used. A name of the
    /// loopback cannot be another's, so an origin equal to the `Host` is no page of a stranger.
    pub(crate) fn admits_page(&self, origin: &str, req: &Request) -> bool {
        let is_ours = origin == self.own_origin() || self.knows_origin(origin);
        let host = req.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        is_ours
            || host.is_some_and(|host| {
                origin.strip_prefix("http://").is_some_and(|page| page.eq_ignore_ascii_case(host))
                    && Url::parse(origin).is_ok_and(|url| is_loopback(&url))
            })
    }

    /// Whether pages of `origin` may call.
    pub(crate) fn knows_origin(&self, origin: &str) -> bool {
        self.settings.cors_origins.iter().any(|known| known == origin)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The request's name; a dash before it has one.
pub(crate) fn correlation(depot: &Depot) -> Arc<str> {
    depot.get_typed::<Correlation>().map_or_else(|_| Arc::from("-"), |name| Arc::clone(&name.0))
}
