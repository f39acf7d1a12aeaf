//! The instance itself: health, readiness, version, languages, and what the browser needs to know.

use salvo::http::StatusCode;
use serde::Serialize;
use subtle::ConstantTimeEq;
use tenon_core::{FieldError, accounts::Registration, users::Lang};
use utoipa::ToSchema;

use crate::{
    endpoint::{Api, Ctx, Input, OpDoc, Plain, State, methods::Get},
    frame::Frame,
    problem::Problem,
    readiness::Finding,
};

/// Mounts what needs no application.
pub fn mount(api: &mut Api) {
    let mut api = api.group("system", "The instance itself.");
    api.op("get_health", Get, "/health", "Whether the process runs", health)
        .free()
        .describe("Touches nothing: an orchestrator that restarts on failure should ask this one.");
    api.op("get_readiness", Get, "/readiness", "Whether the instance can work", readiness)
        .free()
        .problem(503, "A component is not ready; `errors` names it.")
        .describe("Asks each component, at most once a second. A balancer should ask this one. A component that can be done without does not make the instance unready; it is named under `degraded`. Details are shown only on the machine itself or with the metrics token.");
    api.op("get_version", Get, "/version", "The software and its version", version);
    api.op("list_languages", Get, "/languages", "Languages of the instance", languages);
}

/// Mounts what describes the application.
pub fn mount_config(api: &mut Api) {
    let mut api = api.group("system", "The instance itself.");
    api.op("get_config", Get, "/config", "What a client needs to know before signing in", config);
}

/// The process runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

async fn health() -> Result<Plain<Health>, Problem> {
    Ok(Plain(Health { status: "ok" }))
}

/// Every component is ready.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// Always `ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// The components that are well.
    #[schema(example = json!(["database", "storage"]))]
    components: Vec<&'static str>,
    /// Components that are away and can be done without: the instance works, with less than all it has.
    degraded: Vec<Degraded>,
}

/// A component that is away and can be done without.
#[derive(Debug, Serialize, ToSchema)]
pub struct Degraded {
    /// Its name.
    #[schema(example = "bus")]
    component: &'static str,
    /// Why, for those who may see internals.
    #[schema(example = "is not ready")]
    detail: String,
}

async fn readiness(frame: State<Frame>, Insider(inside): Insider) -> Result<Plain<Ready>, Problem> {
    let findings = frame.readiness.findings().await;
    let detail = |finding: &Finding| {
        let fault = finding.fault.as_deref().filter(|_| inside);
        fault.unwrap_or("is not ready").to_owned()
    };
    let faults: Vec<FieldError> = findings
        .iter()
        .filter(|finding| finding.is_blocking())
        .map(|finding| FieldError {
            pointer: finding.name.to_owned(),
            code: "not-ready".to_owned(),
            detail: detail(finding),
        })
        .collect();
    if faults.is_empty() {
        let degraded = findings.iter().filter(|finding| finding.is_degraded());
        return Ok(Plain(Ready {
            status: "ready",
            components: findings.iter().filter(|f| f.fault.is_none()).map(|f| f.name).collect(),
            degraded: degraded.map(|f| Degraded { component: f.name, detail: detail(f) }).collect(),
        }));
    }
    let detail = "A component is not ready.";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", detail)
        .with_errors(faults)
        .with_retry_after(std::time::Duration::from_secs(1)))
}

/// Whether the request may see internals: it comes from this machine, or shows the metrics token.
struct Insider(bool);

impl Input for Insider {
    async fn extract(req: &mut salvo::Request, depot: &mut salvo::Depot) -> Result<Self, Problem> {
        let frame = Frame::of(depot)?;
        let bearer = req.headers().get("authorization").and_then(|value| value.to_str().ok());
        let shown = bearer.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        let token = frame.settings.metrics_token.as_ref();
        let has_token = token.is_some_and(|token| {
            !token.expose().is_empty() && bool::from(token.expose().as_bytes().ct_eq(shown.as_bytes()))
        });
        Ok(Self(has_token || frame.settings.trusted_proxies.is_local(req)))
    }
    fn describe(_: &mut OpDoc) {}
}

/// The software.
#[derive(Debug, Serialize, ToSchema)]
pub struct Release {
    /// Its name.
    #[schema(example = "tenon")]
    name: &'static str,
    /// Its version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The version of the API.
    #[schema(example = "v1")]
    api: &'static str,
}

async fn version() -> Result<Plain<Release>, Problem> {
    Ok(Plain(Release { name: "tenon", version: env!("CARGO_PKG_VERSION"), api: "v1" }))
}

/// Languages of the instance.
#[derive(Debug, Serialize, ToSchema)]
pub struct Languages {
    /// In the order they are offered.
    items: Vec<Language>,
}

/// A language.
#[derive(Debug, Serialize, ToSchema)]
pub struct Language {
    /// ISO 639-1 code.
    #[schema(example = "fr")]
    code: &'static str,
    /// What it calls itself.
    #[schema(example = "Français")]
    name: &'static str,
}

async fn languages() -> Result<Plain<Languages>, Problem> {
    let items = Lang::ALL.into_iter().map(|lang| Language { code: lang.code(), name: lang.name() });
    Ok(Plain(Languages { items: items.collect() }))
}

/// What a client needs to know before signing in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Config {
    /// What the instance calls itself.
    #[schema(example = "Tenon")]
    instance_name: String,
    /// Where people reach it.
    #[schema(example = "https://tenon.example.org")]
    public_url: String,
    /// Who may sign up.
    #[schema(value_type = String, example = "open")]
    registration: Registration,
    /// Largest attachment, in bytes.
    #[schema(example = 104_857_600)]
    attachment_bytes: u64,
}

async fn config(app: Ctx) -> Result<Plain<Config>, Problem> {
    let settings = &app.settings;
    Ok(Plain(Config {
        instance_name: settings.instance_name.clone(),
        public_url: settings.public_url.clone(),
        registration: settings.registration,
        attachment_bytes: settings.attachment_bytes,
    }))
}
