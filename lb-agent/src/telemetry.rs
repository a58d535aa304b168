//! Where the log goes, and how much it holds.

pub mod record;

use std::fmt::{self, Write as _};
use std::io::{IsTerminal as _, stderr};

use tracing::field::Field;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::writer::MakeWriterExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, registry};

use crate::shown::{Cut, MOST_OF_A_SENTENCE};

use record::Keeper;

/// What the log shows, in the syntax of `tracing` filters.
pub(crate) const LOG: &str = "EDGELOOP_LOG";
const LEVEL: &str = "info";

/// Sends the log to stderr from now on, and keeps its end. A filter that is not understood is named there, and
/// replaced by the usual one.
///
/// # Panics
/// When it is called twice.
pub fn init() {
    let asked = std::env::var(LOG).ok().filter(|asked| !asked.is_empty());
    let writer = stderr.and(|| Keeper);
    match EnvFilter::try_new(asked.as_deref().map_or(LEVEL.to_owned(), filter)) {
        Ok(filter) => subscriber(filter, writer, stderr().is_terminal()).init(),
        Err(error) => {
            subscriber(EnvFilter::new(LEVEL), writer, stderr().is_terminal()).init();
            tracing::warn!(%error, "{LOG} is not a log filter, such as info or lb_agent=debug; {LEVEL} is used");
        }
    }
}

/// A level alone that shows more is meant for the agent: of libraries it takes a name to ask for that.
fn filter(asked: &str) -> String {
    match asked.trim().parse::<Level>() {
        Ok(level) if level > Level::INFO => format!("{LEVEL},lb_agent={level}"),
        Ok(_) | Err(_) => asked.to_owned(),
    }
}

/// What writes the log.
pub(crate) fn subscriber<W>(filter: EnvFilter, writer: W, colours: bool) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let fields = debug_fn(field).delimited(" ");
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours).fmt_fields(fields);
    registry().with(lines.with_filter(filter.and(filter_fn(may_be_logged))))
}

/// A field as it is shown: whatever is in it, it is on one line and no book.
fn field(to: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(to, "{}=", field.name())?;
    }
    let mut shown = ShownWriter { to, cut: Cut::new(MOST_OF_A_SENTENCE) };
    write!(shown, "{value:?}")?;
    shown.cut.end(|part| shown.to.write_str(part))
}

struct ShownWriter<'a, 'w> {
    to: &'a mut Writer<'w>,
    cut: Cut,
}

impl fmt::Write for ShownWriter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.cut.take(text, |part| self.to.write_str(part))
    }
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
    fn whatever_is_logged_is_one_line_and_no_book() {
        let kept = Kept::default();
        let writer = kept.clone();
        tracing::subscriber::with_default(
            subscriber(EnvFilter::new("info"), move || writer.clone(), false),
            || {
                let (odd, long) = ("a\n2026 WARN forged\u{1b}[31m", "x".repeat(250_000));
                tracing::info!(odd, display = %odd, debug = ?[odd], long, "said {odd}");
            },
        );
        let text = kept.text();
        let (_, said) = text.split_once("tests: ").unwrap();
        let escaped = "a\\n2026 WARN forged\\u{1b}[31m";
        let long = format!("\"{}… (250002 bytes)", "x".repeat(MOST_OF_A_SENTENCE - 1));
        let expected =
            format!("said {escaped} odd=\"{escaped}\" display={escaped} debug=[\"{escaped}\"] long={long}\n");
        assert_eq!(said, expected);
    }

    #[test]
    fn a_level_alone_is_the_agents() {
        for (asked, filters) in [
            ("debug", "info,lb_agent=DEBUG"),
            (" TRACE ", "info,lb_agent=TRACE"),
            ("warn", "warn"),
            ("aya_obj=debug", "aya_obj=debug"),
        ] {
            assert_eq!(filter(asked), filters, "{asked}");
            assert!(EnvFilter::try_new(filter(asked)).is_ok(), "{asked}");
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
