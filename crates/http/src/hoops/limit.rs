//! Budgets of calls (draft-ietf-httpapi-ratelimit-headers).
//!
//! A call is counted once, before the endpoint runs; one that is refused is not counted, and where only failures count,
//! one that succeeded is given back. What the use-cases counted meanwhile is shown with it. A limiter that is
//! away lets everybody through: it protects the service and must not be what takes it down.

use std::{net::IpAddr, sync::Arc, time::Duration};

use salvo::{
    Depot, FlowCtrl, Handler, Request, Response,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
};
use tenon_app::throttle::{self, Observed};
use tenon_core::{
    Error,
    ports::limiter::{Budget, Verdict},
};

use crate::{
    endpoint::{Budgeting, Operation},
    frame::{self, CredentialLimit, Frame, Presented},
    network::{NOBODY, household},
    problem::Problem,
};

/// How long the limiter may think.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) struct Limit {
    frame: Arc<Frame>,
}

/// A budget to draw from.
struct Purse {
    class: &'static str,
    key: String,
    budget: Budget,
}

impl Purse {
    fn anonymous(frame: &Frame, address: IpAddr) -> Self {
        Self {
            class: "anonymous",
            key: format!("http:anonymous:{address}"),
            budget: frame.settings.limits.anonymous,
        }
    }

    fn login(frame: &Frame, address: IpAddr) -> Self {
        Self { class: "login", key: format!("http:login:{address}"), budget: frame.settings.limits.login }
    }

    fn of(frame: &Frame, presented: Presented, address: IpAddr) -> Self {
        match presented {
            Presented::Nothing => Self::anonymous(frame, address),
            Presented::Bearer(credential) | Presented::Cookie(credential) => {
                let CredentialLimit { class, key, budget } = frame.settings.limits.of(credential);
                Self { class, key, budget }
            }
        }
    }
}

impl Limit {
    pub(super) fn new(frame: Arc<Frame>) -> Self {
        Self { frame }
    }

    /// Draws one call; nothing when the limiter is away.
    async fn draw(&self, purse: &Purse) -> Option<Verdict> {
        let answer = tokio::time::timeout(PATIENCE, self.frame.limiter.take(&purse.key, purse.budget)).await;
        match answer {
            Ok(Ok(verdict)) => Some(verdict),
            Ok(Err(error)) => {
                let cause = error.0.to_string();
                tracing::warn!(limiter.error = cause, "the limiter is away; calls are not counted");
                None
            }
            Err(_) => {
                tracing::warn!("the limiter takes too long; calls are not counted");
                None
            }
        }
    }

    /// What was no failure does not count.
    async fn give_back(&self, purse: &Purse, shown: &mut Shown) {
        let answer =
            tokio::time::timeout(PATIENCE, self.frame.limiter.give_back(&purse.key, purse.budget)).await;
        if let Ok(Ok(())) = answer {
            shown.give_back(purse.class);
        }
    }
}

#[salvo::async_trait]
impl Handler for Limit {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        let budgeting = depot.get_typed::<Arc<Operation>>().map_or(Budgeting::Usual, |o| o.budgeting);
        if budgeting == Budgeting::Free {
            ctrl.call_next(req, depot, res).await;
            return;
        }
        let frame = &*self.frame;
        let address = frame.settings.trusted_proxies.client(req).map_or(NOBODY, household);
        // A credential that is no good is the endpoint's to refuse; here it counts as none.
        let presented = frame.present(req, depot);
        if let Ok(presented) = presented {
            // A signature is checked once for a request.
            depot.insert_typed(presented);
        }
        let presented = presented.unwrap_or(Presented::Nothing);
        let mut purses = Vec::with_capacity(2);
        if matches!(budgeting, Budgeting::Login | Budgeting::Proof) {
            purses.push(Purse::login(frame, address));
        }
        purses.push(Purse::of(frame, presented, address));
        let mut shown = Shown::default();
        for purse in &purses {
            let Some(verdict) = self.draw(purse).await else { continue };
            shown.add(purse.class, purse.budget, verdict, true);
            if !verdict.allowed {
                refuse(purse, verdict, depot, res);
                shown.write(res.headers_mut());
                ctrl.skip_rest();
                return;
            }
        }
        let (_, counted) = throttle::observing(ctrl.call_next(req, depot, res)).await;
        if budgeting == Budgeting::Proof && res.status_code.is_none_or(|status| status.is_success()) {
            self.give_back(&purses[0], &mut shown).await;
        }
        for observed in &counted {
            shown.add_observed(observed);
        }
        // Anybody can make up tokens, each with a budget of its own: those that are no good are
        // counted where they come from.
        let made_up = res.status_code == Some(StatusCode::UNAUTHORIZED) && presented != Presented::Nothing;
        if made_up {
            let purse = Purse::anonymous(frame, address);
            if let Some(verdict) = self.draw(&purse).await {
                shown.add(purse.class, purse.budget, verdict, true);
                if !verdict.allowed {
                    refuse(&purse, verdict, depot, res);
                }
            }
        }
        shown.write(res.headers_mut());
    }
}

fn refuse(purse: &Purse, verdict: Verdict, depot: &Depot, res: &mut Response) {
    metrics::counter!("rate_limited_total", "class" => purse.class).increment(1);
    Problem::from(Error::RateLimited { retry_after: verdict.reset_after })
        .write(&frame::correlation(depot), res);
}

/// What the headers say.
#[derive(Default)]
struct Shown(Vec<(&'static str, Budget, Verdict, bool)>);

impl Shown {
    fn add(&mut self, class: &'static str, budget: Budget, verdict: Verdict, refuses: bool) {
        self.0.push((class, budget, verdict, refuses));
    }

    fn give_back(&mut self, class: &str) {
        for (_, budget, verdict, _) in self.0.iter_mut().filter(|(known, ..)| *known == class) {
            verdict.remaining = (verdict.remaining + 1).min(budget.calls);
        }
    }

    fn add_observed(&mut self, observed: &Observed) {
        self.add(observed.class, observed.budget, observed.verdict, observed.refuses);
    }

    fn write(&self, headers: &mut HeaderMap) {
        let tightest = self.0.iter().filter(|(.., refuses)| *refuses);
        let Some((_, budget, verdict, _)) = tightest.min_by_key(|(.., verdict, _)| verdict.remaining) else {
            return;
        };
        let seconds = |verdict: &Verdict| {
            verdict.reset_after.as_secs() + u64::from(verdict.reset_after.subsec_nanos() > 0)
        };
        let policy = |(class, budget, ..): &(&str, Budget, Verdict, bool)| {
            format!("\"{class}\";q={};w={}", budget.calls, budget.window.as_secs())
        };
        let state = |(class, _, verdict, _): &(&str, Budget, Verdict, bool)| {
            format!("\"{class}\";r={};t={}", verdict.remaining, seconds(verdict))
        };
        for (name, value) in [
            ("ratelimit-policy", self.0.iter().map(policy).collect::<Vec<_>>().join(", ")),
            ("ratelimit", self.0.iter().map(state).collect::<Vec<_>>().join(", ")),
            ("x-ratelimit-limit", budget.calls.to_string()),
            ("x-ratelimit-remaining", verdict.remaining.to_string()),
            ("x-ratelimit-reset", seconds(verdict).to_string()),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}
