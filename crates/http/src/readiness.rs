//! Whether the process can do its work: each component is asked, briefly, at most once a second.
//!
//! Some components make the work slower or poorer when they are away, and do not stop it: the bus is one. They are
//! *degraded* then, which is said and does not make the process unready: a balancer that asks would else take all
//! processes away at once, though every one of them serves.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, join_all};
use tenon_core::BoxError;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// How long a component has to answer, and how long its answer counts.
const SECOND: Duration = Duration::from_secs(1);

type Ask = dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync;

/// One component and how to ask it.
pub struct Check {
    name: &'static str,
    is_essential: bool,
    ask: Box<Ask>,
}

impl Check {
    /// A component called `name`: `database`, `migrations`, `storage`, `bus`, `draining`, …
    pub fn new<F, Fut>(name: &'static str, ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self { name, is_essential: true, ask: Box::new(move || Box::pin(ask())) }
    }

    /// The same of a component without which the process still does its work.
    pub fn degrading<F, Fut>(name: &'static str, ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self { is_essential: false, ..Self::new(name, ask) }
    }
}

/// What one component answered.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The component.
    pub name: &'static str,
    /// Whether the process cannot do its work without it.
    pub is_essential: bool,
    /// Why it is not ready; for administrators only.
    pub fault: Option<String>,
}

impl Finding {
    /// Whether it keeps the process from its work.
    pub const fn is_blocking(&self) -> bool {
        self.is_essential && self.fault.is_some()
    }
    /// Whether it is away and can be done without.
    pub const fn is_degraded(&self) -> bool {
        !self.is_essential && self.fault.is_some()
    }
}

/// All components.
#[derive(Default)]
pub struct Readiness {
    checks: Vec<Check>,
    latest: Mutex<Option<(Instant, Arc<[Finding]>)>>,
}

impl Readiness {
    /// The components to ask.
    pub fn new(checks: Vec<Check>) -> Self {
        Self { checks, latest: Mutex::new(None) }
    }

    /// What each component answered, not longer than a second ago.
    pub async fn findings(&self) -> Arc<[Finding]> {
        // Whoever comes while the components are being asked waits for that answer.
        let mut latest = self.latest.lock().await;
        if let Some((at, findings)) = &*latest
            && at.elapsed() < SECOND
        {
            return Arc::clone(findings);
        }
        let findings: Arc<[Finding]> = join_all(self.checks.iter().map(ask)).await.into();
        *latest = Some((Instant::now(), Arc::clone(&findings)));
        findings
    }
}

async fn ask(check: &Check) -> Finding {
    let fault = match timeout(SECOND, (check.ask)()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("did not answer within a second".to_owned()),
    };
    Finding { name: check.name, is_essential: check.is_essential, fault }
}
