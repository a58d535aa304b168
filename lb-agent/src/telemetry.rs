//! Where the log goes, and how much it holds.

use std::io::{IsTerminal as _, stderr};

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, registry};

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
    match EnvFilter::try_new(asked.as_deref().unwrap_or(LEVEL)) {
        Ok(filter) => subscriber(filter, stderr, stderr().is_terminal()).init(),
        Err(error) => {
            subscriber(EnvFilter::new(LEVEL), stderr, stderr().is_terminal()).init();
            tracing::warn!(%error, "{LOG} is not a log filter, such as info or lb_agent=debug; {LEVEL} is used");
        }
    }
}

/// What writes the log.
pub(crate) fn subscriber<W>(filter: EnvFilter, writer: W, colours: bool) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    registry().with(lines.with_filter(filter.and(filter_fn(may_be_logged))))
}

/// These know no secret. Others, such as the HTTP client, see tokens and what is sent: whatever the filter
/// asks for, of them nothing below `info` is logged.
const KNOW_NO_SECRET: [&str; 4] = ["aya", "aya_obj", "lb_agent", "notify"];

fn may_be_logged(what: &Metadata<'_>) -> bool {
    let from = what.target().split("::").next().unwrap_or_default();
    *what.level() <= Level::INFO || KNOW_NO_SECRET.contains(&from)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A log that is kept.
    #[derive(Clone, Default)]
    pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub(crate) fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn libraries_that_see_secrets_say_little_whatever_is_asked_for() {
        let kept = Kept::default();
        let writer = kept.clone();
        let filter = EnvFilter::new("trace,hyper=trace");
        tracing::subscriber::with_default(subscriber(filter, move || writer.clone(), false), || {
            tracing::trace!("one");
            tracing::trace!(target: "aya::maps", "two");
            tracing::debug!(target: "hyper", "three");
            tracing::trace!(target: "lb_agents::api", "four");
            tracing::info!(target: "hyper_util::client", "five");
        });
        let said: Vec<bool> =
            ["one", "two", "three", "four", "five"].map(|word| kept.text().contains(word)).into();
        assert_eq!(said, [true, true, false, false, true], "{}", kept.text());
    }
}
