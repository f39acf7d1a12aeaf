//! During maintenance the API is closed: to all but probes, and administrators who only read.

use std::{sync::Arc, time::Duration};

use salvo::{Depot, FlowCtrl, Handler, Request, Response, http::StatusCode};
use tenon_app::{App, access};
use tenon_core::{Time, callers::Caller, maintenance::Notice, tokens::Scope};

use crate::{
    endpoint::{Budgeting, Method, Operation},
    frame::{self, Frame, Presented},
    problem::Problem,
};

/// When to come back, if nobody knows when it will be over.
const A_WHILE: Duration = Duration::from_mins(1);

pub(super) struct Closed {
    frame: Arc<Frame>,
}

impl Closed {
    pub(super) fn new(frame: Arc<Frame>) -> Self {
        Self { frame }
    }

    /// Whether an administrator may look into the closed instance with this.
    async fn is_administrator(&self, req: &Request, depot: &Depot, app: &App, needs: Scope) -> bool {
        let Ok(Presented::Bearer(credential) | Presented::Cookie(credential)) =
            self.frame.present(req, depot)
        else {
            return false;
        };
        let caller = Caller { credential, needs, correlation_id: frame::correlation(depot).to_string() };
        let Ok(mut conn) = app.read().await else { return false };
        access::admin(app, &mut conn, &caller).await.is_ok()
    }
}

#[salvo::async_trait]
impl Handler for Closed {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        let notice = self.frame.maintenance.notice();
        let operation = depot.get_typed::<Arc<Operation>>().ok();
        let (Some(notice), Some(operation)) = (notice, operation) else {
            ctrl.call_next(req, depot, res).await;
            return;
        };
        let app = depot.get_typed::<Arc<App>>().ok();
        let may_look = operation.method == Method::Get && !operation.websocket;
        let is_open = operation.budgeting == Budgeting::Free
            || match app {
                Some(app) if may_look => {
                    let needs = operation.scope.unwrap_or(Scope::ReadAccount);
                    self.is_administrator(req, depot, app, needs).await
                }
                _ => false,
            };
        if is_open {
            ctrl.call_next(req, depot, res).await;
            return;
        }
        ctrl.skip_rest();
        refusal(&notice, app.map(|app| app.now())).write(&frame::correlation(depot), res);
    }
}

fn refusal(notice: &Notice, now: Option<Time>) -> Problem {
    let detail = match &notice.message {
        Some(message) => message.as_str().to_owned(),
        None => "The instance is being maintained; try again later.".to_owned(),
    };
    let wait = notice.until.zip(now).and_then(|(until, now)| (until - now).to_std().ok());
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "maintenance", detail)
        .with_retry_after(wait.unwrap_or(A_WHILE))
}
