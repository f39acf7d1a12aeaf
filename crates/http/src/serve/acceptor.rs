//! Where connections come in: as many as there is room for, a few short ones beyond, and at the end those that wait.
//!
//! Salvo's own acceptors insist on opening their sockets, take connections until no file is left, and lose what waits in
//! a socket when it is closed.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Result},
    os::unix::net,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use salvo::{
    conn::{Accepted, Acceptor, ConnCtrl, Holding, SocketAddr, StraightStream, tcp::TcpCoupler},
    fuse::{ArcFusePolicy, FuseAction, FuseConfig, FuseInfo, TransProto},
    http::{Version, uri::Scheme},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

use super::{Listener, refusals::Refusals};

/// Connections beyond the usual number: whoever asks how the process is gets an answer while others hold all.
const SPARE: usize = 16;
/// How long a connection beyond the usual number may be silent.
const BRIEFLY: Duration = Duration::from_secs(5);
/// How long nothing is accepted after the system refused to.
const PAUSE: Duration = Duration::from_millis(100);
/// Most connections that are taken out of a socket before it is closed; more do not wait in one.
const WAITING: usize = 8192;

/// Room for connections, of all sockets of a process.
#[derive(Debug, Clone)]
pub(super) struct Room {
    usual: Arc<Semaphore>,
    spare: Arc<Semaphore>,
}

/// A place in it.
struct Place {
    is_spare: bool,
    _permit: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn of(connections: usize) -> Self {
        let most = connections.clamp(1, Semaphore::MAX_PERMITS);
        Self { usual: Arc::new(Semaphore::new(most)), spare: Arc::new(Semaphore::new(SPARE)) }
    }

    /// Waits for a place; among the usual ones while there is any.
    async fn place(&self) -> Place {
        const OPEN: &str = "nobody closes it";
        let (usual, spare) = (Arc::clone(&self.usual), Arc::clone(&self.spare));
        let (permit, is_spare) = tokio::select! {
            biased;
            permit = usual.acquire_owned() => (permit.expect(OPEN), false),
            permit = spare.acquire_owned() => (permit.expect(OPEN), true),
        };
        Place { is_spare, _permit: permit }
    }
}

impl Connection {
    fn new(wire: Wire, place: Place) -> Self {
        metrics::gauge!("http_connections").increment(1.0);
        Self { wire, _place: place }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        metrics::gauge!("http_connections").decrement(1.0);
    }
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The stream of a connection, and its place for as long as it lives.
pub(super) struct Connection {
    wire: Wire,
    _place: Place,
}

enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    async fn accept(&self) -> Result<(Wire, SocketAddr)> {
        match self {
            Self::Tcp(tcp) => tcp.accept().await.map(|(stream, peer)| (Wire::Tcp(stream), peer.into())),
            Self::Unix(unix) => {
                unix.accept().await.map(|(stream, peer)| (Wire::Unix(stream), Arc::new(peer).into()))
            }
        }
    }

    /// Closes the socket, and answers what waited in it. It is asked itself: the runtime may not have heard yet.
    fn close(self) -> VecDeque<(Wire, SocketAddr)> {
        let next: Box<dyn Fn() -> Result<(Wire, SocketAddr)>> = match self {
            Self::Tcp(tcp) => match tcp.into_std() {
                Ok(tcp) => Box::new(move || of_tcp(tcp.accept()?.0)),
                Err(_) => return VecDeque::new(),
            },
            Self::Unix(unix) => match unix.into_std() {
                Ok(unix) => Box::new(move || of_unix(unix.accept()?.0)),
                Err(_) => return VecDeque::new(),
            },
        };
        let mut waiting = VecDeque::new();
        while waiting.len() < WAITING {
            match next() {
                Ok(connection) => waiting.push_back(connection),
                // It has gone already; others may be behind it.
                Err(e) if matches!(e.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(_) => break,
            }
        }
        waiting
    }
}

fn of_tcp(stream: std::net::TcpStream) -> Result<(Wire, SocketAddr)> {
    let peer = stream.peer_addr()?;
    stream.set_nonblocking(true)?;
    Ok((Wire::Tcp(TcpStream::from_std(stream)?), peer.into()))
}

fn of_unix(stream: net::UnixStream) -> Result<(Wire, SocketAddr)> {
    stream.set_nonblocking(true)?;
    let stream = UnixStream::from_std(stream)?;
    let peer = stream.peer_addr()?;
    Ok((Wire::Unix(stream), Arc::new(peer).into()))
}

/// Takes connections from a socket until the process is stopping; then what waits in the socket, and closes it.
pub(super) struct Door {
    socket: Option<Socket>,
    holdings: Vec<Holding>,
    room: Room,
    stopping: CancellationToken,
    /// What waited in the socket when it was closed.
    waiting: VecDeque<(Wire, SocketAddr)>,
    /// Taken but not handed on yet, should the wait for the policy be cancelled.
    pending: Option<(Wire, SocketAddr, Place)>,
    refusals: Refusals,
}

impl Door {
    pub(super) fn at(listener: Listener, room: Room, stopping: CancellationToken) -> Result<Self> {
        let (socket, local_addr): (_, SocketAddr) = match listener {
            Listener::Tcp(tcp) => {
                tcp.set_nonblocking(true)?;
                let tcp = TcpListener::from_std(tcp)?;
                let address = tcp.local_addr()?.into();
                (Socket::Tcp(tcp), address)
            }
            Listener::Unix(unix) => {
                unix.set_nonblocking(true)?;
                let unix = UnixListener::from_std(unix)?;
                let address = unix.local_addr()?.into();
                (Socket::Unix(unix), address)
            }
        };
        let holding = Holding {
            local_addr,
            http_versions: vec![Version::HTTP_11, Version::HTTP_2],
            http_scheme: Scheme::HTTP,
        };
        Ok(Self {
            socket: Some(socket),
            holdings: vec![holding],
            room,
            stopping,
            waiting: VecDeque::new(),
            pending: None,
            refusals: Refusals::default(),
        })
    }

    /// The next connection, and its place; never, once the socket is closed.
    async fn next(&mut self) -> (Wire, SocketAddr, Place) {
        loop {
            if !self.waiting.is_empty() {
                let place = self.room.place().await;
                if let Some((wire, peer)) = self.waiting.pop_front() {
                    return (wire, peer, place);
                }
            }
            let Some(socket) = &self.socket else { return std::future::pending().await };
            let accepted = async {
                let place = self.room.place().await;
                (socket.accept().await, place)
            };
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => {
                    self.waiting = self.socket.take().map(Socket::close).unwrap_or_default();
                }
                (accepted, place) = accepted => match accepted {
                    Ok((wire, peer)) => return (wire, peer, place),
                    Err(error) => {
                        self.refusals.tell(&error);
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
    }
}

impl Acceptor for Door {
    type Coupler = TcpCoupler<Self::Stream>;
    type Stream = StraightStream<Connection>;

    fn holdings(&self) -> &[Holding] {
        &self.holdings
    }

    async fn accept(
        &mut self,
        policy: Option<ArcFusePolicy>,
    ) -> Result<Accepted<Self::Coupler, Self::Stream>> {
        loop {
            let (wire, peer, place) = match self.pending.take() {
                Some(pending) => pending,
                None => self.next().await,
            };
            let is_spare = place.is_spare;
            let local_addr = self.holdings[0].local_addr.clone();
            let control = ConnCtrl::new();
            self.pending = Some((wire, peer.clone(), place));
            let (mut fuse_config, observer) = match &policy {
                None => (None, None),
                Some(policy) => {
                    let info = FuseInfo {
                        trans_proto: TransProto::Tcp,
                        remote_addr: peer.clone(),
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
            let Some((wire, _, place)) = self.pending.take() else { continue };
            if is_spare {
                let config: FuseConfig = fuse_config.unwrap_or_default();
                fuse_config =
                    Some(config.with_http1_header_timeout(BRIEFLY).with_connection_idle_timeout(BRIEFLY));
            }
            let connection = Connection::new(wire, place);
            return Ok(Accepted {
                coupler: TcpCoupler::new(),
                stream: StraightStream::new(connection, fuse_config, control.clone(), observer),
                fuse_config,
                conn_ctrl: control,
                local_addr,
                remote_addr: peer,
                http_scheme: Scheme::HTTP,
            });
        }
    }
}

/// Hands a call on to the stream.
macro_rules! on_wire {
    ($this:ident, $method:ident($($argument:expr),*)) => {
        match &mut $this.get_mut().wire {
            Wire::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            Wire::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        on_wire!(self, poll_read(cx, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        on_wire!(self, poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        on_wire!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        on_wire!(self, poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        on_wire!(self, poll_write_vectored(cx, buffers))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
