//! The parts of a bundle while it is made: packed, so that a large cluster takes little memory.

use std::io::{self, Read as _, Write as _};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::cli::sentence;

/// No file of a bundle is longer, in bytes.
const MOST_OF_A_FILE: usize = 16 << 20;

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Text,
}

/// One file of the bundle.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) form: Form,
    /// What is missing of it, as a clause.
    pub(super) cut: Option<String>,
    packed: Vec<u8>,
}

/// What could not be had, and why.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) part: &'static str,
    pub(super) why: String,
}

impl File {
    pub(super) fn json(name: &str, content: &[u8]) -> io::Result<Self> {
        Self::new(name, Form::Json, content)
    }

    pub(super) fn text(name: &str, content: &str) -> io::Result<Self> {
        Self::new(name, Form::Text, content.as_bytes())
    }

    fn new(name: &str, form: Form, content: &[u8]) -> io::Result<Self> {
        let kept = first(content, MOST_OF_A_FILE);
        let cut = (kept.len() < content.len()).then(|| cut(kept.len(), content.len()));
        Ok(Self { name: name.to_owned(), form, cut, packed: packed(kept)? })
    }

    /// What is in it.
    pub(super) fn content(&self) -> io::Result<String> {
        let mut content = String::new();
        GzDecoder::new(&*self.packed).read_to_string(&mut content)?;
        Ok(content)
    }
}

pub(super) fn packed(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(content)?;
    packed.finish()
}

/// The lines that are whole within the first `most` bytes; that many bytes where there is no such line.
pub(super) fn first(content: &[u8], most: usize) -> &[u8] {
    if content.len() <= most {
        return content;
    }
    let first = &content[..most];
    let end = first.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    // A line that is cut within a letter is not read.
    if end > 0 {
        &first[..end]
    } else {
        std::str::from_utf8(first).map_or_else(|odd| &first[..odd.valid_up_to()], str::as_bytes)
    }
}

pub(super) fn cut(kept: usize, of: usize) -> String {
    format!("cut after {kept} of {of} bytes")
}

/// Gathers parts, each for a limited time and all until a moment.
#[derive(Debug)]
pub(super) struct Gathering {
    until: Instant,
    pub(super) files: Vec<File>,
    pub(super) missing: Vec<Missing>,
}

impl Gathering {
    pub(super) fn new(patience: Duration) -> Self {
        Self { until: Instant::now() + patience, files: Vec::new(), missing: Vec::new() }
    }

    /// Adds the files that `look` makes, with what else it has to say; `None` where it fails or takes longer than `patience`.
    pub(super) fn add<T: Send + 'static>(
        &mut self,
        part: &'static str,
        patience: Duration,
        look: impl FnOnce() -> anyhow::Result<(Vec<File>, T)> + Send + 'static,
    ) -> Option<T> {
        let left = self.until.saturating_duration_since(Instant::now());
        match within(patience.min(left), look) {
            Ok((files, more)) => {
                self.files.extend(files);
                Some(more)
            }
            Err(error) => {
                self.missing.push(Missing { part, why: sentence(&error) });
                None
            }
        }
    }
}

/// Looks in a thread of its own. One that hangs is left: the process ends soon.
fn within<T: Send + 'static>(
    patience: Duration,
    look: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    if patience.is_zero() {
        bail!("no time was left for it");
    }
    let (done, waits) = channel();
    let thread = std::thread::Builder::new().name("sysdump".to_owned());
    // The receiver is gone where it took too long.
    thread.spawn(move || drop(done.send(look()))).context("could not start a thread for it")?;
    match waits.recv_timeout(patience) {
        Ok(looked) => looked,
        Err(RecvTimeoutError::Timeout) => bail!("it took longer than {:.0} s", patience.as_secs_f64().ceil()),
        Err(RecvTimeoutError::Disconnected) => bail!("it ended without a result: a fault of lb-agent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    #[test]
    fn a_part_that_fails_hangs_or_panics_is_listed_and_the_others_are_there() {
        let mut all = Gathering::new(Duration::from_secs(60));
        let file = || Ok((vec![File::text("a.txt", "a")?], 7));
        assert_eq!(all.add("whole", Duration::from_secs(30), file), Some(7));
        assert_eq!(all.add::<()>("fails", SOON, || bail!("no such map")), None);
        let hangs = || {
            std::thread::sleep(Duration::from_secs(3600));
            Ok((Vec::new(), ()))
        };
        assert_eq!(all.add("hangs", SOON, hangs), None);
        assert_eq!(all.add::<()>("panics", Duration::from_secs(30), || panic!("on purpose")), None);
        all.until = Instant::now();
        assert_eq!(all.add("late", SOON, file), None);
        let missing: Vec<String> =
            all.missing.iter().map(|one| format!("{} {}", one.part, one.why)).collect();
        assert_eq!(all.files[0].content().unwrap(), "a");
        assert_eq!(
            missing,
            [
                "fails no such map",
                "hangs it took longer than 1 s",
                "panics it ended without a result: a fault of lb-agent",
                "late no time was left for it"
            ]
        );
    }

    #[test]
    fn what_is_too_long_is_cut_between_lines_where_it_has_some() {
        for (content, most, kept) in [
            ("ab\ncd\nef", 8, "ab\ncd\nef"),
            ("ab\ncd\nef", 7, "ab\ncd\n"),
            ("abcdef", 3, "abc"),
            ("aä", 2, "a"),
            ("", 0, ""),
        ] {
            assert_eq!(first(content.as_bytes(), most), kept.as_bytes(), "{content:?} {most}");
        }
        let long = File::text("a", &"x\n".repeat(9 << 20)).unwrap();
        assert_eq!(long.cut.as_deref(), Some("cut after 16777216 of 18874368 bytes"));
    }
}
