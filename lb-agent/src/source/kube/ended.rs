//! Why a list or a watch ended early. Pure.

use super::event::NotAnEvent;
use super::frames::TooLong;
use super::sink::Closed;
use super::state::Fault;
use crate::api::{RequestError, Says};

/// Why a round ended early.
pub(super) enum Ended {
    Failed(RequestError),
    /// A list sent by a watch does not come to its end.
    Endless,
    Closed,
}

impl From<RequestError> for Ended {
    fn from(error: RequestError) -> Self {
        Self::Failed(error)
    }
}

impl From<Closed> for Ended {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<NotAnEvent> for RequestError {
    fn from(wrong: NotAnEvent) -> Self {
        Self::Garbage(wrong.to_string())
    }
}

impl From<TooLong> for Ended {
    fn from(wrong: TooLong) -> Self {
        Self::Failed(RequestError::Garbage(wrong.to_string()))
    }
}

impl From<&RequestError> for Fault {
    fn from(error: &RequestError) -> Self {
        match error {
            RequestError::Response { says: Says::Expired, .. } => Self::Expired,
            RequestError::Response { says: Says::TooLarge, .. } => Self::Future,
            RequestError::Response { code, says: Says::Nothing, .. } => Self::Code(*code),
            RequestError::Garbage(_) => Self::Garbage,
            RequestError::Silent { .. } => Self::Silence,
            RequestError::Ended => Self::Broken,
            RequestError::Unreachable(_) | RequestError::Untrusted(_) | RequestError::NoCredentials(_) => {
                Self::Link
            }
        }
    }
}
