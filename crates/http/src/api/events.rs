//! Live events over a websocket.

use std::sync::Arc;

use salvo::{Depot, Request};
use tenon_app::{access, credentials};
use tenon_core::{Error, callers::Caller, tokens::Scope};

use crate::{
    endpoint::{Api, Correlation, Ctx, Input, MaybeCaller, OpDoc, State, Upgrade, methods::Get},
    frame::Frame,
    live::{self, Allowance, Holder, Hub, Introduce, frames::ClientFrame},
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
             goes; `reset` says that the log no longer reaches back to `after`. A change whose texts are long comes without them, and `omitted` says where they are. \
             Frames count against the rate limit of the session or token; one too many is answered with an `error` of code `rate-limited`, which says \
             how many seconds to wait in `retry_after`. \
             Close codes: 1009 a frame of the client is longer than 64 KiB, 1012 the service restarts, 1013 come back in a moment, 4001 the credential is no longer good, \
             4008 the client reads too slowly or sends too much, 4009 the client is silent, 4010 the instance is being maintained, \
             4011 the user has too many live connections. The person's own stream also has `job` frames: how far a job is that they wait for. \
             Administrators may subscribe to `jobs`: `jobs` frames, at most one a second, with the queues whose figures changed and what became of jobs; \
             they have no position and are not replayed.",
        );
}

async fn open(
    ctx: Ctx,
    hub: State<Hub>,
    MaybeCaller(caller): MaybeCaller,
    correlation: Correlation,
    Around(frame): Around,
) -> Result<Upgrade, Problem> {
    let holder = match caller {
        Some(caller) => Some(hold(&ctx, &frame, caller).await?),
        None => None,
    };
    let hub = hub.0;
    let introduce = introduction(&ctx, frame, correlation);
    Ok(Upgrade::new(move |socket| {
        let tasks = hub.tasks();
        tasks.track_future(live::serve(hub, socket, holder, introduce))
    }))
}

/// How a client that shows its token as the first frame is known.
fn introduction(ctx: &Ctx, frame: Arc<Frame>, correlation: Correlation) -> Introduce {
    let app = Arc::clone(&ctx.0);
    Box::new(move |token| {
        let (app, frame, correlation) = (Arc::clone(&app), Arc::clone(&frame), correlation.0.clone());
        Box::pin(async move {
            let caller = credentials::verify(&app, &token, Scope::ReadProjects, &correlation)?;
            hold(&Ctx(app), &frame, caller).await
        })
    })
}

async fn hold(ctx: &Ctx, frame: &Frame, caller: Caller) -> Result<Holder, Error> {
    let mut conn = ctx.read().await?;
    let (person, until) = access::person_until(ctx, &mut conn, &caller).await?;
    let allowance = Allowance::of(frame, caller.credential);
    Ok(Holder { caller, person, until, allowance })
}

/// What the process is like, for what outlives the request.
struct Around(Arc<Frame>);

impl Input for Around {
    async fn extract(_: &mut Request, depot: &mut Depot) -> Result<Self, Problem> {
        Frame::of(depot).map(Self)
    }
    fn describe(_: &mut OpDoc) {}
}
