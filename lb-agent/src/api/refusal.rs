//! Why a request gave nothing, and what an API server says then.

use std::time::Duration;

use serde::Deserialize;

use crate::shown::shown;

/// Why a request gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("cannot be reached: {0}")]
    Unreachable(String),

    #[error("is not trusted: {0}")]
    Untrusted(String),

    #[error("is not asked, for lack of credentials: {0}")]
    NoCredentials(String),

    /// The link may be dead, or the other end of it.
    #[error("no data for {} s", after.as_secs())]
    Silent { after: Duration },

    #[error("answered {code}: {}", shown(message))]
    Response { code: u16, message: String, retry_after: Option<Duration>, says: Says },

    #[error("broke off in the middle of a response")]
    Ended,

    #[error("sent something that is not understood: {}", shown(_0))]
    Garbage(String),
}

/// What the API server itself says of the version that it was asked for. A proxy that responds in its place with
/// the same code says nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Says {
    #[default]
    Nothing,
    /// It does not know the version any more.
    Expired,
    /// It does not know the version yet.
    TooLarge,
}

impl RequestError {
    /// There is no such object.
    pub(crate) const fn is_not_found(&self) -> bool {
        matches!(self, Self::Response { code: 404, .. })
    }

    /// What was asked for was not done, and would not be done either if it were asked for again.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Response { code: 400..=499, .. })
    }

    /// The API server itself said nothing of this.
    pub(crate) const fn is_of_the_link(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Silent { .. } | Self::Ended => true,
            Self::Untrusted(_) | Self::NoCredentials(_) | Self::Response { .. } | Self::Garbage(_) => false,
        }
    }

    pub(crate) const fn code(&self) -> Option<u16> {
        match self {
            Self::Response { code, .. } => Some(*code),
            Self::Unreachable(_)
            | Self::Untrusted(_)
            | Self::NoCredentials(_)
            | Self::Silent { .. }
            | Self::Ended
            | Self::Garbage(_) => None,
        }
    }
}

/// What an API server says when it does not give what was asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    kind: String,
    pub(super) code: u16,
    pub(super) message: String,
    pub(super) reason: String,
    pub(super) details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Details {
    pub(super) retry_after_seconds: Option<u64>,
    causes: Option<Vec<Cause>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
}

impl Status {
    /// A refusal by a server that was asked for what it does not do, unless it is only busy or the
    /// version is unknown to it (by now, or still).
    pub(crate) fn refusal(mut self) -> RequestError {
        if self.says() == Says::Nothing && !matches!(self.code, 401 | 429) {
            self.code = 422;
        }
        self.into()
    }

    /// Up to 1.18.5 no cause is given for a version that is still to come.
    fn says(&self) -> Says {
        let causes = self.details.as_ref().and_then(|details| details.causes.as_deref()).unwrap_or_default();
        let is_timeout = self.reason == "Timeout" || (self.reason.is_empty() && self.code == 504);
        if self.kind != "Status" {
            Says::Nothing
        } else if causes.iter().any(|cause| cause.reason == "ResourceVersionTooLarge")
            || (causes.is_empty() && is_timeout && self.message.contains("Too large resource version"))
        {
            Says::TooLarge
        } else if self.code == 410 || matches!(&*self.reason, "Expired" | "Gone") {
            Says::Expired
        } else {
            Says::Nothing
        }
    }
}

impl From<Status> for RequestError {
    fn from(status: Status) -> Self {
        let says = status.says();
        let Status { kind: _, code, message, reason, details } = status;
        let message = if message.is_empty() { reason } else { message };
        let retry_after = details.and_then(|details| details.retry_after_seconds).map(Duration::from_secs);
        Self::Response { code, message, retry_after, says }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_api_server_itself_says_that_it_does_not_know_a_version() {
        use Says::{Expired, Nothing, TooLarge};
        let too_large =
            r#""reason":"Timeout","code":504,"message":"Too large resource version: 9, current: 7""#;
        let cause = r#""details":{"causes":[{"reason":"ResourceVersionTooLarge"}]}"#;
        for (shows, text, says) in [
            ("with a cause", format!(r#"{{"kind":"Status",{too_large},{cause}}}"#), TooLarge),
            ("without one", format!(r#"{{"kind":"Status",{too_large}}}"#), TooLarge),
            (
                "causes that are null",
                format!(r#"{{"kind":"Status",{too_large},"details":{{"causes":null}}}}"#),
                TooLarge,
            ),
            (
                "another cause",
                format!(r#"{{"kind":"Status",{too_large},"details":{{"causes":[{{"reason":"x"}}]}}}}"#),
                Nothing,
            ),
            (
                "a timeout of another kind",
                r#"{"kind":"Status","reason":"Timeout","code":504,"message":"try again"}"#.to_owned(),
                Nothing,
            ),
            ("not a Status", format!("{{{too_large},{cause}}}"), Nothing),
            ("a version that is gone", r#"{"kind":"Status","code":410}"#.to_owned(), Expired),
            ("by its reason", r#"{"kind":"Status","reason":"Expired"}"#.to_owned(), Expired),
            ("a code alone", r#"{"code":410}"#.to_owned(), Nothing),
            ("what a load balancer says", "{}".to_owned(), Nothing),
        ] {
            let status: Status = serde_json::from_str(&text).unwrap();
            assert_eq!(status.says(), says, "{shows}");
        }
    }
}
