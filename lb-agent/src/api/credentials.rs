//! The credentials that requests are sent with: of a token's file, of a plugin, or fixed ones.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use http::HeaderValue;
use k8s_openapi::jiff::Timestamp;
use tokio::task::JoinSet;

use super::access::{Identity, bearer};
use super::config::{ConnectError, TokenFault};
use super::file;
use super::plugin::{Issued, IssuedPair, Plugin, PluginError};
use super::renewal::{Held, Need, Pace, judge};

/// A token's file is read again after this time: half of what lies between a kubelet's renewal of a token and the
/// end of the old one, less 10 s, as in client-go.
const READ_EVERY: Duration = Duration::from_secs(50);

pub(crate) enum Credentials {
    Fixed(Option<HeaderValue>),
    File(TokenFile),
    Plugin(Box<Renewed>),
}

/// A token that a file holds.
pub(crate) struct TokenFile {
    file: PathBuf,
    otherwise: Option<HeaderValue>,
    token: Option<HeaderValue>,
    read: Option<Instant>,
    is_refused: bool,
    /// Why it could not be read.
    pub(crate) problem: Option<String>,
}

/// Credentials that a plugin gives.
pub(crate) struct Renewed {
    pub(crate) plugin: Plugin,
    pub(crate) held: Option<Held>,
    pace: Pace,
    /// Counts the credentials that were given.
    serial: u64,
    /// One run at most. It ends when this is dropped.
    pub(crate) run: JoinSet<()>,
    /// What the last run failed with.
    pub(crate) error: Option<String>,
}

impl Credentials {
    /// Reads a token's file, and runs no plugin yet.
    ///
    /// # Errors
    /// The file holds no token, and there is no other.
    pub(crate) fn of(identity: &Identity, now: Instant) -> Result<Self, ConnectError> {
        let mut credentials = Self::unread(identity);
        if let Self::File(token) = &mut credentials
            && let Err(error) = token.refresh(now)
            && token.last().is_none()
        {
            return Err(error);
        }
        Ok(credentials)
    }

    fn unread(identity: &Identity) -> Self {
        match identity {
            Identity::Anonymous => Self::Fixed(None),
            Identity::Fixed(header) => Self::Fixed(Some(header.clone())),
            Identity::TokenFile { file, otherwise } => Self::File(TokenFile {
                file: file.clone(),
                otherwise: otherwise.clone(),
                token: None,
                read: None,
                is_refused: false,
                problem: None,
            }),
            Identity::Plugin(plugin) => Self::Plugin(Box::new(Renewed {
                plugin: (**plugin).clone(),
                held: None,
                pace: Pace::default(),
                serial: 0,
                run: JoinSet::new(),
                error: None,
            })),
        }
    }

    /// The client certificate that a plugin gave.
    pub(crate) fn pair(&self) -> Option<&IssuedPair> {
        match self {
            Self::Plugin(renewed) => renewed.held.as_ref()?.issued.pair.as_ref(),
            Self::Fixed(_) | Self::File(_) => None,
        }
    }

    /// Which of several credentials in turn these are.
    pub(crate) fn serial(&self) -> u64 {
        match self {
            Self::Plugin(renewed) => renewed.serial,
            Self::Fixed(_) | Self::File(_) => 0,
        }
    }

    /// The API server refused the credentials of this number, or took them.
    pub(crate) fn judge(&mut self, serial: u64, is_refused: bool) {
        match self {
            Self::File(token) => token.is_refused |= is_refused,
            Self::Plugin(renewed) if renewed.serial == serial => {
                if let Some(held) = &mut renewed.held {
                    judge(held, &mut renewed.pace, is_refused);
                }
            }
            Self::Fixed(_) | Self::Plugin(_) => {}
        }
    }
}

impl TokenFile {
    /// The token, read again where it is time to.
    ///
    /// # Errors
    /// The file cannot be read, or holds no token; then [`Self::last`] is what is left.
    pub(crate) fn refresh(&mut self, now: Instant) -> Result<(), ConnectError> {
        let is_fresh = self.read.is_some_and(|read| now.duration_since(read) < READ_EVERY);
        if is_fresh && !self.is_refused {
            return Ok(());
        }
        // Refused again, it is read again: those that ask wait longer each time.
        self.is_refused = false;
        self.read = Some(now);
        let file = || self.file.clone();
        let text = file::read_text(&self.file).map_err(|source| ConnectError::Read {
            what: "token file",
            file: file(),
            source,
        })?;
        let wrong = |wrong| ConnectError::Token { file: file(), wrong };
        let token = text.trim();
        if token.is_empty() {
            return Err(wrong(TokenFault::Empty));
        }
        self.token = Some(bearer(token).map_err(|fault| wrong(TokenFault::Unsendable(fault)))?);
        Ok(())
    }

    /// What was read last, else what stands in the kubeconfig.
    pub(crate) fn last(&self) -> Option<&HeaderValue> {
        self.token.as_ref().or(self.otherwise.as_ref())
    }
}

impl Renewed {
    pub(crate) fn need(&self) -> Need {
        self.held.as_ref().map_or(Need::Now, |held| held.need(Timestamp::now()))
    }

    pub(crate) fn may_run(&self, now: Instant) -> bool {
        self.run.is_empty() && self.pace.may_run(now)
    }

    /// Takes in how a run has ended. Returns an error that is new.
    pub(crate) fn ended(&mut self, now: Instant, result: Result<Issued, PluginError>) -> Option<String> {
        self.pace.ran(now);
        match result {
            Ok(issued) => {
                self.held = Some(Held::new(issued, Timestamp::now()));
                self.serial += 1;
                self.error = None;
                None
            }
            Err(error) => {
                let text = crate::shown::chain(&error);
                let is_new = self.error.as_ref() != Some(&text);
                self.error = Some(text.clone());
                is_new.then_some(text)
            }
        }
    }
}
