//! What goes over one connection, and what its requests and its socket have to tell each other.
//!
//! Salvo hands nothing from a connection to its requests. Those of HTTP/1 are answered in the task that serves their
//! connection, so that is how they find it; those of HTTP/2 have tasks of their own and need nothing of this.

use std::{
    collections::HashMap,
    io::{IoSlice, Result},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task,
    time::Sleep,
};

use super::parse_errors::ParseErrors;

/// How long the rest of a request is thrown away after the response that did not wait for it. Were the socket closed at
/// once, the system would reset it, and the client might lose the response while it still sends.
const LINGER: Duration = Duration::from_secs(2);

/// A connection, as its requests see it.
#[derive(Default)]
pub(super) struct State {
    phase: AtomicU8,
    lingers: AtomicBool,
}

/// Everything given to the connection has been sent; what hyper writes now, nobody gave it.
const CLEAN: u8 = 0;
/// A request is being answered, or a response of any length is being sent.
const BUSY: u8 = 1;
/// A response that is sent in one piece is about to be written.
const ANSWERED: u8 = 2;
/// It has begun to be written.
const WRITING: u8 = 3;

impl State {
    /// A request begins.
    pub(super) fn begin(&self) {
        self.phase.store(BUSY, Ordering::Release);
    }

    /// A request has its response, which is sent in one piece.
    pub(super) fn answered(&self) {
        self.phase.store(ANSWERED, Ordering::Release);
    }

    /// The connection ends after this response although its request was not read to the end.
    pub(super) fn linger(&self) {
        self.lingers.store(true, Ordering::Release);
    }

    fn is(&self, phase: u8) -> bool {
        self.phase.load(Ordering::Acquire) == phase
    }

    fn go(&self, from: u8, to: u8) {
        // Somebody else went on meanwhile: then that holds.
        let _ = self.phase.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// All open connections, by the task that serves them.
#[derive(Default)]
pub(super) struct Connections(Mutex<HashMap<task::Id, Arc<State>>>);

impl Connections {
    /// The connection of the request that is being answered in this task.
    pub(super) fn current(&self) -> Option<Arc<State>> {
        let task = task::try_id()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&task).cloned()
    }
}

/// The stream of one connection.
pub(super) struct Connection<S> {
    stream: S,
    state: Arc<State>,
    connections: Arc<Connections>,
    parse_errors: Arc<ParseErrors>,
    /// The task that serves it; unknown until it reads.
    task: Option<task::Id>,
    /// A response of ours that goes out in place of one of hyper's.
    instead: Vec<u8>,
    is_shut: bool,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl<S> Connection<S> {
    pub(super) fn new(stream: S, connections: Arc<Connections>, parse_errors: Arc<ParseErrors>) -> Self {
        Self {
            stream,
            state: Arc::default(),
            connections,
            parse_errors,
            task: None,
            instead: Vec::new(),
            is_shut: false,
            lingering: None,
        }
    }

    fn register(&mut self) {
        if self.task.is_some() {
            return;
        }
        if let Some(task) = task::try_id() {
            self.task = Some(task);
            let mut known = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(task, Arc::clone(&self.state));
        }
    }

    /// Whether `bytes` are hyper's refusal of a request that it could not read; ours is sent in its place.
    fn replace(&mut self, bytes: &[IoSlice<'_>]) -> bool {
        if self.state.is(ANSWERED) {
            self.state.go(ANSWERED, WRITING);
        }
        if !self.state.is(CLEAN) {
            return false;
        }
        self.state.go(CLEAN, BUSY);
        if bytes.iter().map(|part| part.len()).sum::<usize>() > ParseErrors::LONGEST {
            return false;
        }
        let head: Vec<u8> = bytes.iter().flat_map(|part| part.iter().copied()).collect();
        let Some(instead) = self.parse_errors.instead_of(&head) else { return false };
        self.instead = instead;
        self.state.linger();
        true
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            self.connections.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&task);
        }
    }
}

impl<S: AsyncWrite + Unpin> Connection<S> {
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.instead.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.instead))?;
            if written == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.instead.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        self.register();
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        ready!(self.poll_instead(cx))?;
        if self.replace(&[IoSlice::new(buf)]) {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        ready!(self.poll_instead(cx))?;
        if self.replace(bufs) {
            return Poll::Ready(Ok(bufs.iter().map(|part| part.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_instead(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // Hyper flushes when it has nothing left to write.
        self.state.go(WRITING, CLEAN);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        if !this.is_shut {
            ready!(this.poll_instead(cx))?;
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.is_shut = true;
        }
        if !this.state.lingers.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        let deadline = this.lingering.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        loop {
            if deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut bytes = [0; 16 << 10];
            let mut rest = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
