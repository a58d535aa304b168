//! What is asked of the programs as a whole. Pure.

/// Whether there is another program that balances Services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Next to kube-proxy, which gets whatever is left untouched.
    #[default]
    Beside,
    /// Without it: what is not served at a cluster IP is refused.
    Replace,
}

impl Mode {
    pub const ALL: [Self; 2] = [Self::Beside, Self::Replace];

    /// As it is written in flags and status.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Beside => "beside",
            Self::Replace => "replace",
        }
    }

    /// What follows from it, in one sentence without a full stop.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Beside => "kube-proxy gets what is left untouched",
            Self::Replace => {
                "without kube-proxy: serves what sockets of this node dial and nothing that comes from elsewhere, such as to node \
                 ports; a port that no Service has at a cluster IP is refused"
            }
        }
    }
}

/// What `getpeername` shows on TCP sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcpPeername {
    /// The backend: nothing is remembered of a TCP socket.
    #[default]
    Backend,
    /// The Service that was dialled: each TCP connection is remembered.
    Dialled,
}

/// What it means that programs of others decide before ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum First {
    /// It is said.
    #[default]
    Wanted,
    /// The agent is not ready meanwhile (`--require-first`).
    Required,
}
