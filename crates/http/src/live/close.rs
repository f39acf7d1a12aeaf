//! Why the server closes a socket.

/// The reasons (RFC 6455 §7.4; 4000 and up are ours).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    TooLarge,
    Restarting,
    Unavailable,
    Unauthenticated,
    SlowReader,
    TooManyFrames,
    Silent,
    Maintenance,
    TooManyConnections,
}

impl Close {
    /// Code and reason.
    pub(super) const fn frame(self) -> (u16, &'static str) {
        match self {
            Self::TooLarge => (1009, "the frame is too large"),
            Self::Restarting => (1012, "the service restarts; resume elsewhere"),
            Self::Unavailable => (1013, "the credential could not be checked; come back in a moment"),
            Self::Unauthenticated => (4001, "the credential is no longer good"),
            Self::SlowReader => (4008, "reading too slowly; resume from the last position"),
            Self::TooManyFrames => (4008, "too many frames; come back later"),
            Self::Silent => (4009, "no sign of life"),
            Self::Maintenance => (4010, "the instance is being maintained; come back later"),
            Self::TooManyConnections => (4011, "you have too many live connections; close another one"),
        }
    }
}
