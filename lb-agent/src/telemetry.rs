//! Where the log goes, and how much it holds.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

/// What the log shows, in the syntax of `tracing` filters.
const LOG: &str = "EDGELOOP_LOG";
const LEVEL: &str = "info";

/// Sends the log to stderr from now on. A filter that is not understood is named there, and
/// replaced by the usual one.
///
/// # Panics
/// When it is called twice.
pub fn init() {
    let asked = std::env::var(LOG).ok().filter(|asked| !asked.is_empty());
    let log = tracing_subscriber::fmt().with_writer(stderr).with_ansi(stderr().is_terminal());
    match EnvFilter::try_new(asked.as_deref().unwrap_or(LEVEL)) {
        Ok(filter) => log.with_env_filter(filter).init(),
        Err(error) => {
            log.with_env_filter(LEVEL).init();
            tracing::warn!(%error, "{LOG} is not a log filter, such as info or lb_agent=debug; {LEVEL} is used");
        }
    }
}
