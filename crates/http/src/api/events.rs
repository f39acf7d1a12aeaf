//! Live events over a websocket.

use std::sync::Arc;

use salvo::{
    Depot, Request,
    http::{StatusCode, header},
};
use tenon_app::{access, credentials};
use tenon_core::{Error, callers::Caller, tokens::Scope};

use crate::{
    endpoint::{Api, Correlation, Ctx, Input, MaybeCaller, OpDoc, State, Upgrade, methods::Get},
    frame::Frame,
    live::{self, Holder, Hub, Introduce, frames::ClientFrame},
    problem::Problem,
};

pub(super) fn mount(api: &mut Api) {
    api.component::<ClientFrame>();
    let mut group = api
        .group("events", "Live events: the same log as the change feed, as it happens.")
        .scopes(Scope::ReadProjects, Scope::ReadProjects);
    group
        .op("open_events", Get, "/events", "Open the live connection", open)
        .describe(
            "Upgrades to a websocket of JSON text frames. A bearer token or the browser's cookie authenticates the handshake; a client that can set neither \
             sends `{\"op\":\"auth\",\"token\":…}` first. Then `{\"op\":\"subscribe\",\"id\":1,\"stream\":\"project:<id>\",\"after\":<seq>}` is answered with \
             `subscribed` and every change after `after`, in order, none missing and none twice. `revoked` ends a subscription when the right, the session or the token \
             goes; `reset` says that the log no longer reaches back to `after`. Close codes: 1012 the service restarts, 4001 the credential is no longer good, \
             4008 the client reads too slowly, 4010 the instance is being maintained. The person's own stream also has `job` frames: how far a job is that they wait for. \
             Administrators may subscribe to `jobs`: `jobs` frames, at most one a second, with the queues whose figures changed and what became of jobs; \
             they have no position and are not replayed.",
        );
}

async fn open(
    ctx: Ctx,
    hub: State<Hub>,
    MaybeCaller(caller): MaybeCaller,
    correlation: Correlation,
    _origin: KnownOrigin,
) -> Result<Upgrade, Problem> {
    let holder = match caller {
        Some(caller) => Some(hold(&ctx, caller).await?),
        None => None,
    };
    let hub = hub.0;
    let introduce = introduction(&ctx, correlation);
    Ok(Upgrade::new(move |socket| {
        let tasks = hub.tasks();
        tasks.track_future(live::serve(hub, socket, holder, introduce))
    }))
}

/// How a client that shows its token as the first frame is known.
fn introduction(ctx: &Ctx, correlation: Correlation) -> Introduce {
    let app = Arc::clone(&ctx.0);
    Box::new(move |token| {
        let (app, correlation) = (Arc::clone(&app), correlation.0.clone());
        Box::pin(async move {
            let caller = credentials::verify(&app, &token, Scope::ReadProjects, &correlation)?;
            hold(&Ctx(app), caller).await
        })
    })
}

async fn hold(ctx: &Ctx, caller: Caller) -> Result<Holder, Error> {
    let mut conn = ctx.read().await?;
    let person = access::person(ctx, &mut conn, &caller).await?;
    Ok(Holder { caller, person })
}

/// A handshake from a page of ours, of an origin that may call, or from no page at all. Browsers send cookies with
/// websocket handshakes of any page, so this is what keeps other pages out.
struct KnownOrigin;

impl Input for KnownOrigin {
    async fn extract(req: &mut Request, depot: &mut Depot) -> Result<Self, Problem> {
        let frame = Frame::of(depot)?;
        let Some(origin) = req.headers().get(header::ORIGIN) else { return Ok(Self) };
        match origin.to_str() {
            Ok(origin) if origin == frame.own_origin() || frame.knows_origin(origin) => Ok(Self),
            _ => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "unknown-origin",
                "Pages of this origin may not connect.",
            )),
        }
    }
    fn describe(_: &mut OpDoc) {}
}
