//! How the last pass ended.

use std::sync::Arc;

use crate::datapath::takeover::TakeoverError;
use crate::shown::chain;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// The programs have yet to be attached for the first time: without them there is no use in
    /// going on.
    Starting,
    Serving,
    /// Maps or programs are not as they should be, and why; those of before go on.
    Failing(Arc<str>),
}

impl Health {
    /// Goes on after an error, unless nothing was ever attached. The log has each error once.
    pub(super) fn settle(
        &mut self,
        ended: Result<(), TakeoverError>,
        is_attached: bool,
    ) -> Result<(), TakeoverError> {
        *self = match (ended, &*self) {
            (Err(error), Self::Starting) => return Err(error),
            (Err(error), before) => {
                let failing = Self::Failing(chain(&error).into());
                if failing != *before {
                    tracing::warn!(
                        error = chain(&error),
                        "maps or programs are not as they should be; those of before go on, and it is tried again"
                    );
                }
                failing
            }
            (Ok(()), Self::Failing(_)) => {
                tracing::info!("maps and programs are as they should be again");
                Self::Serving
            }
            (Ok(()), Self::Starting) if !is_attached => Self::Starting,
            (Ok(()), Self::Starting | Self::Serving) => Self::Serving,
        };
        Ok(())
    }

    /// Why maps or programs are not as they should be, if so.
    pub(super) fn error(&self) -> Option<Arc<str>> {
        match self {
            Self::Starting | Self::Serving => None,
            Self::Failing(error) => Some(Arc::clone(error)),
        }
    }
}
