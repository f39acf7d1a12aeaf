//! From sockets that somebody else opened to answered requests, until told to stop.
//!
//! Nobody shall notice the end. First no connection is accepted any more, while those there are bring the requests
//! that are on their way, and every answer says that it is the last; only then are the silent ones closed.

mod connection;
mod parse_errors;
mod unread_body;

use std::{io::Result, os::unix::net, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use salvo::{
    Depot, FlowCtrl, Request, Response, Server, Service,
    conn::{
        Accepted, Acceptor, Holding, StraightStream,
        tcp::{TcpAcceptor, TcpCoupler},
    },
    fuse::{ArcFusePolicy, FuseAction, FuseInfo, TransProto},
    handler,
    http::{HeaderValue, StatusCode, Version, header::CONNECTION, uri::Scheme},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

pub use self::parse_errors::ParseErrors;
use self::{
    connection::{Connection, Connections},
    unread_body::UnreadBody,
};

/// How long a request may be on its way when the process is to stop. A proxy sends it right after it has connected.
const ON_THE_WAY: Duration = Duration::from_millis(300);

/// An open socket.
#[derive(Debug)]
pub enum Listener {
    /// Of the network.
    Tcp(std::net::TcpListener),
    /// Of this machine.
    Unix(net::UnixListener),
}

/// Answers requests on all `listeners` until `stopping` is cancelled; then accepts no more and gives those that run
/// `grace`. What waits in a socket that somebody else keeps open is left to whoever serves it next.
pub async fn serve(
    service: Service,
    parse_errors: ParseErrors,
    listeners: Vec<Listener>,
    stopping: CancellationToken,
    grace: Duration,
) -> Result<()> {
    let connections = Arc::<Connections>::default();
    let mut service = service.hoop(LastAnswer(stopping.clone()));
    // Outermost: whoever gave the response, it may have come early.
    service.hoops.insert(0, Arc::new(UnreadBody(Arc::clone(&connections))));
    let around = Around { connections, parse_errors: Arc::new(parse_errors), stopping };
    let serving =
        listeners.into_iter().map(|listener| serve_one(again(&service), listener, around.clone(), grace));
    try_join_all(serving).await.map(drop)
}

/// What all connections share.
#[derive(Clone)]
struct Around {
    connections: Arc<Connections>,
    parse_errors: Arc<ParseErrors>,
    stopping: CancellationToken,
}

/// The same service: its parts are shared.
fn again(service: &Service) -> Service {
    let mut same = Service::new(Arc::clone(&service.router));
    same.catcher.clone_from(&service.catcher);
    same.hoops.clone_from(&service.hoops);
    same.allowed_media_types = Arc::clone(&service.allowed_media_types);
    same
}

async fn serve_one(service: Service, listener: Listener, around: Around, grace: Duration) -> Result<()> {
    match listener {
        Listener::Tcp(listener) => {
            listener.set_nonblocking(true)?;
            let acceptor = TcpAcceptor::try_from(TcpListener::from_std(listener)?)?;
            run(acceptor, service, around, grace).await
        }
        Listener::Unix(listener) => {
            listener.set_nonblocking(true)?;
            let acceptor = UnixAcceptor::new(UnixListener::from_std(listener)?)?;
            run(acceptor, service, around, grace).await
        }
    }
}

async fn run<A>(acceptor: A, service: Service, around: Around, grace: Duration) -> Result<()>
where
    A: Acceptor + Send,
    A::Stream: AsyncRead + AsyncWrite + Unpin,
{
    let stopping = around.stopping.clone();
    let server = Server::new(UntilStopping { acceptor, around });
    let handle = server.handle();
    let mut serving = std::pin::pin!(server.try_serve(service));
    let waiting = async {
        stopping.cancelled().await;
        tokio::time::sleep(ON_THE_WAY.min(grace)).await;
    };
    tokio::select! {
        ended = &mut serving => return ended,
        // It closes connections that have brought nothing yet, however short ago they were accepted.
        () = waiting => handle.stop_graceful(grace.saturating_sub(ON_THE_WAY)),
    }
    serving.await
}

/// Says in every answer that is given while stopping that the connection ends with it.
struct LastAnswer(CancellationToken);

#[handler]
impl LastAnswer {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        ctrl.call_next(req, depot, res).await;
        let is_upgrade = res.status_code == Some(StatusCode::SWITCHING_PROTOCOLS);
        if self.0.is_cancelled() && !is_upgrade && req.version() < Version::HTTP_2 {
            res.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Accepts nothing once the process is stopping.
struct UntilStopping<A> {
    acceptor: A,
    around: Around,
}

impl<A> Acceptor for UntilStopping<A>
where
    A: Acceptor + Send,
    A::Stream: AsyncRead + AsyncWrite + Unpin,
{
    type Coupler = TcpCoupler<Self::Stream>;
    type Stream = Connection<A::Stream>;

    fn holdings(&self) -> &[Holding] {
        self.acceptor.holdings()
    }

    async fn accept(
        &mut self,
        policy: Option<ArcFusePolicy>,
    ) -> Result<Accepted<Self::Coupler, Self::Stream>> {
        let accepted = tokio::select! {
            biased;
            () = self.around.stopping.cancelled() => std::future::pending().await,
            accepted = self.acceptor.accept(policy) => accepted?,
        };
        let Around { connections, parse_errors, .. } = self.around.clone();
        Ok(Accepted {
            coupler: TcpCoupler::new(),
            stream: Connection::new(accepted.stream, connections, parse_errors),
            fuse_config: accepted.fuse_config,
            conn_ctrl: accepted.conn_ctrl,
            local_addr: accepted.local_addr,
            remote_addr: accepted.remote_addr,
            http_scheme: accepted.http_scheme,
        })
    }
}

/// Salvo's own acceptor for unix sockets insists on opening them.
struct UnixAcceptor {
    listener: UnixListener,
    holdings: Vec<Holding>,
    /// Accepted but not handed on yet, should the wait for the policy be cancelled.
    pending: Option<(UnixStream, Arc<tokio::net::unix::SocketAddr>)>,
}

impl UnixAcceptor {
    fn new(listener: UnixListener) -> Result<Self> {
        let holding = Holding {
            local_addr: listener.local_addr()?.into(),
            http_versions: vec![Version::HTTP_11, Version::HTTP_2],
            http_scheme: Scheme::HTTP,
        };
        Ok(Self { listener, holdings: vec![holding], pending: None })
    }
}

impl Acceptor for UnixAcceptor {
    type Coupler = TcpCoupler<Self::Stream>;
    type Stream = StraightStream<UnixStream>;

    fn holdings(&self) -> &[Holding] {
        &self.holdings
    }

    async fn accept(
        &mut self,
        policy: Option<ArcFusePolicy>,
    ) -> Result<Accepted<Self::Coupler, Self::Stream>> {
        loop {
            let (stream, peer) = if let Some(pending) = self.pending.take() {
                pending
            } else {
                let (stream, peer) = self.listener.accept().await?;
                (stream, Arc::new(peer))
            };
            let local_addr = self.holdings[0].local_addr.clone();
            let control = salvo::conn::ConnCtrl::new();
            self.pending = Some((stream, Arc::clone(&peer)));
            let (fuse_config, observer) = match &policy {
                None => (None, None),
                Some(policy) => {
                    let info = FuseInfo {
                        trans_proto: TransProto::Tcp,
                        remote_addr: Arc::clone(&peer).into(),
                        local_addr: local_addr.clone(),
                    };
                    match policy.decide(&info).await {
                        FuseAction::Accept(config) => (Some(config), policy.observe(&info, &control)),
                        FuseAction::Reject => {
                            self.pending = None;
                            continue;
                        }
                    }
                }
            };
            let Some((stream, peer)) = self.pending.take() else { continue };
            return Ok(Accepted {
                coupler: TcpCoupler::new(),
                stream: StraightStream::new(stream, fuse_config, control.clone(), observer),
                fuse_config,
                conn_ctrl: control,
                local_addr,
                remote_addr: peer.into(),
                http_scheme: Scheme::HTTP,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use std::time::Duration;

    use salvo::{Router, Service, handler};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_util::sync::CancellationToken;

    use super::{Listener, ParseErrors, serve};

    const GRACE: Duration = Duration::from_secs(10);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[handler]
    async fn well() -> &'static str {
        "well"
    }

    struct Zeros;

    impl tenon_core::ports::randomness::Randomness for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn parse_errors() -> ParseErrors {
        ParseErrors::new("http://localhost", Arc::new(Zeros))
    }

    async fn answer(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) -> String {
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn sockets_of_either_kind_are_served_until_they_are_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let stopping = CancellationToken::new();
        let service = Service::new(Router::new().get(well));
        let listeners = vec![Listener::Tcp(tcp), Listener::Unix(unix)];
        let serving =
            async { serve(service, parse_errors(), listeners, stopping.clone(), GRACE).await.unwrap() };
        let asking = async {
            let tcp = answer(tokio::net::TcpStream::connect(address).await.unwrap()).await;
            let unix = answer(tokio::net::UnixStream::connect(&path).await.unwrap()).await;
            for answer in [tcp, unix] {
                assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("well"), "{answer}");
            }
            stopping.cancel();
        };
        tokio::join!(serving, asking);
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "it accepts no more");
    }

    /// Reads one answer of a connection that stays open.
    async fn head(stream: &mut tokio::net::UnixStream) -> String {
        let mut answer = vec![];
        while !answer.ends_with(b"well") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "closed without an answer");
        }
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a_request_that_was_on_its_way_at_the_end_is_answered_and_is_the_last() {
        const KEPT: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        let dir = tempfile::tempdir().unwrap();
        // What must not happen, happened every other time.
        for round in 0..8 {
            let path = dir.path().join(round.to_string());
            let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
            let stopping = CancellationToken::new();
            let service = Service::new(Router::new().get(well));
            let serving = async {
                serve(service, parse_errors(), vec![Listener::Unix(unix)], stopping.clone(), GRACE)
                    .await
                    .unwrap();
            };
            let asking = async {
                let mut used = tokio::net::UnixStream::connect(&path).await.unwrap();
                let mut fresh = tokio::net::UnixStream::connect(&path).await.unwrap();
                used.write_all(KEPT).await.unwrap();
                assert!(!head(&mut used).await.contains("connection: close"));
                stopping.cancel();
                tokio::task::yield_now().await;
                for stream in [&mut used, &mut fresh] {
                    stream.write_all(KEPT).await.unwrap();
                    assert!(head(stream).await.contains("connection: close"));
                    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "it ends with the answer");
                }
            };
            tokio::join!(serving, asking);
        }
    }
}
