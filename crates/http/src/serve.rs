//! From sockets that somebody else opened to answered requests, until told to stop.
//!
//! Nobody shall notice the end. Every answer says that it is the last of its connection, for as long as balancers take to
//! notice that the process leaves. Then the sockets are closed, with what waited in them taken out; connections bring the
//! requests that are on their way, and only then are the silent ones closed.

mod acceptor;
mod refusals;

mod connection;
mod parse_errors;
mod unread_body;

use std::{io::Result, os::unix::net, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use salvo::{
    Depot, FlowCtrl, Request, Response, Server, Service,
    conn::{Accepted, Acceptor, Holding, tcp::TcpCoupler},
    fuse::ArcFusePolicy,
    handler,
    http::{HeaderValue, StatusCode, Version, header::CONNECTION},
};
use tokio_util::sync::CancellationToken;

use self::{
    acceptor::{Door, Room},
    connection::{Connection, Connections},
    unread_body::UnreadBody,
};
pub use self::{parse_errors::ParseErrors, refusals::Refusals};

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

/// When serving ends, and how much is served at once.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Cancelled when the process has been asked to stop. From then on every answer is the last of its connection, while
    /// connections are still accepted.
    pub leaving: CancellationToken,
    /// Cancelled when no more connections are to be accepted.
    pub stopping: CancellationToken,
    /// How long requests may then go on.
    pub grace: Duration,
    /// Most connections at once, of all listeners; a few more are served briefly.
    pub connections: usize,
}

/// Answers requests on all `listeners`. What waits in a socket when it is closed is answered; what comes later to one that
/// somebody else keeps open is left to whoever serves it next.
pub async fn serve(
    service: Service,
    parse_errors: ParseErrors,
    listeners: Vec<Listener>,
    terms: Terms,
) -> Result<()> {
    let connections = Arc::<Connections>::default();
    let mut service =
        service.hoop(LastAnswer { leaving: terms.leaving.clone(), stopping: terms.stopping.clone() });
    // Outermost: whoever gave the response, it may have come early.
    service.hoops.insert(0, Arc::new(UnreadBody(Arc::clone(&connections))));
    let parse_errors = Arc::new(parse_errors);
    let room = Room::of(terms.connections);
    let serving = listeners.into_iter().map(|listener| {
        let (service, room, terms) = (again(&service), room.clone(), terms.clone());
        let (connections, parse_errors) = (Arc::clone(&connections), Arc::clone(&parse_errors));
        async move {
            let door = Door::at(listener, room, terms.stopping.clone())?;
            let acceptor = Watched { door, connections, parse_errors };
            run(acceptor, service, terms.stopping, terms.grace).await
        }
    });
    try_join_all(serving).await.map(drop)
}

/// The same service: its parts are shared.
fn again(service: &Service) -> Service {
    let mut same = Service::new(Arc::clone(&service.router));
    same.catcher.clone_from(&service.catcher);
    same.hoops.clone_from(&service.hoops);
    same.allowed_media_types = Arc::clone(&service.allowed_media_types);
    same
}

async fn run(
    acceptor: Watched,
    service: Service,
    stopping: CancellationToken,
    grace: Duration,
) -> Result<()> {
    let server = Server::new(acceptor);
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
struct LastAnswer {
    leaving: CancellationToken,
    stopping: CancellationToken,
}

#[handler]
impl LastAnswer {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        ctrl.call_next(req, depot, res).await;
        let is_upgrade = res.status_code == Some(StatusCode::SWITCHING_PROTOCOLS);
        let ends = self.leaving.is_cancelled() || self.stopping.is_cancelled();
        if ends && !is_upgrade && req.version() < Version::HTTP_2 {
            res.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Accepts at the door, and puts around each connection what its requests and its socket tell each other.
struct Watched {
    door: Door,
    connections: Arc<Connections>,
    parse_errors: Arc<ParseErrors>,
}

impl Acceptor for Watched {
    type Coupler = TcpCoupler<Self::Stream>;
    type Stream = Connection<<Door as Acceptor>::Stream>;

    fn holdings(&self) -> &[Holding] {
        self.door.holdings()
    }

    async fn accept(
        &mut self,
        policy: Option<ArcFusePolicy>,
    ) -> Result<Accepted<Self::Coupler, Self::Stream>> {
        let accepted = self.door.accept(policy).await?;
        let (connections, parse_errors) = (Arc::clone(&self.connections), Arc::clone(&self.parse_errors));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use std::time::Duration;

    use salvo::{Router, Service, handler};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_util::sync::CancellationToken;

    use super::{Listener, ParseErrors, Terms, serve};

    const GRACE: Duration = Duration::from_secs(10);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    fn until(stopping: &CancellationToken) -> Terms {
        Terms { leaving: stopping.clone(), stopping: stopping.clone(), grace: GRACE, connections: 100 }
    }

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
        let serving = async { serve(service, parse_errors(), listeners, until(&stopping)).await.unwrap() };
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
                serve(service, parse_errors(), vec![Listener::Unix(unix)], until(&stopping)).await.unwrap();
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

    #[tokio::test]
    async fn what_waits_in_a_socket_that_is_closed_is_answered() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let stopping = CancellationToken::new();
        // They are connected before anybody accepts, and the end is there before them.
        let connect = || tokio::net::TcpStream::connect(address);
        let mut waiting = vec![];
        for _ in 0..20 {
            waiting.push(connect().await.unwrap());
        }
        stopping.cancel();
        let service = Service::new(Router::new().get(well));
        let serving = serve(service, parse_errors(), vec![Listener::Tcp(tcp)], until(&stopping));
        let asking = async {
            for stream in waiting {
                let answer = answer(stream).await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            }
            assert!(connect().await.is_err(), "the next is refused, so that it goes elsewhere");
        };
        let (served, ()) = tokio::join!(serving, asking);
        served.unwrap();
    }

    #[tokio::test]
    async fn while_the_process_leaves_connections_are_accepted_and_end_with_their_answer() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let (leaving, stopping) = (CancellationToken::new(), CancellationToken::new());
        let terms = Terms { leaving: leaving.clone(), ..until(&stopping) };
        let service = Service::new(Router::new().get(well));
        let serving =
            async { serve(service, parse_errors(), vec![Listener::Tcp(tcp)], terms).await.unwrap() };
        let asking = async {
            leaving.cancel();
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.contains("connection: close") && answer.ends_with("well"), "{answer}");
            stopping.cancel();
        };
        tokio::join!(serving, asking);
    }

    #[tokio::test]
    async fn when_all_places_are_held_whoever_asks_is_still_answered() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let stopping = CancellationToken::new();
        let terms = Terms { connections: 2, ..until(&stopping) };
        let service = Service::new(Router::new().get(well));
        let serving =
            async { serve(service, parse_errors(), vec![Listener::Tcp(tcp)], terms).await.unwrap() };
        let asking = async {
            let mut held = vec![];
            for _ in 0..12 {
                held.push(tokio::net::TcpStream::connect(address).await.unwrap());
            }
            let answer = answer(tokio::net::TcpStream::connect(address).await.unwrap()).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            stopping.cancel();
        };
        tokio::join!(serving, asking);
    }
}
