//! What the process keeps of itself for a bug report: how it was started, and the end of its log. In memory, bounded.

use std::collections::VecDeque;
use std::hint::spin_loop;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, TryLockError};

use serde::{Deserialize, Serialize};

/// So many lines are kept at most.
const MOST_LINES: usize = 1000;
/// So many bytes of text are kept at most, in all lines together.
const MOST_BYTES: usize = 256 << 10;
/// No line is kept longer, in bytes.
const MOST_OF_A_LINE: usize = 2000;
/// How often a thread that logs looks whether another one is done with the lines: each takes less than a microsecond.
const LOOKS: usize = 200;

static RECORD: Record = Record::new();

/// What is kept, as it is sent to those who ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    pub version: String,
    pub started: Started,
    /// The end of the log, the oldest line first.
    pub log: Vec<String>,
    /// How many lines before those there were.
    pub earlier: u64,
    /// How many lines are missing among those, since two threads logged at the same moment.
    pub missed: u64,
}

/// How the process was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Started {
    pub at: String,
    /// As in `--node=n1`, by flag or variable; without secrets.
    pub flags: Vec<String>,
}

/// Says how this process was started; what is said later counts for nothing.
pub fn started(started: Started) {
    // Tests start more than once.
    drop(RECORD.started.set(started));
}

/// What this process keeps.
#[must_use]
pub fn kept() -> Kept {
    RECORD.kept()
}

struct Record {
    started: OnceLock<Started>,
    tail: Mutex<Tail>,
    missed: AtomicU64,
}

struct Tail {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
    earlier: u64,
}

impl Record {
    const fn new() -> Self {
        let tail = Tail { lines: VecDeque::new(), bytes: 0, earlier: 0 };
        Self { started: OnceLock::new(), tail: Mutex::new(tail), missed: AtomicU64::new(0) }
    }

    /// Takes a line, which is formatted. No thread waits here for another: a line is rather left out, and counted.
    fn keep(&self, line: &[u8]) {
        let line: Arc<str> = String::from_utf8_lossy(cut(line)).into();
        for _ in 0..LOOKS {
            match self.tail.try_lock() {
                Ok(mut tail) => return tail.push(line),
                Err(TryLockError::Poisoned(tail)) => return tail.into_inner().push(line),
                Err(TryLockError::WouldBlock) => spin_loop(),
            }
        }
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    fn kept(&self) -> Kept {
        let (lines, earlier) = {
            let tail = self.tail.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            // Pointers alone: a thread that logs meanwhile would lose a line.
            (tail.lines.clone(), tail.earlier)
        };
        Kept {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started.get().cloned().unwrap_or_default(),
            log: lines.iter().map(|line| without_colours(line)).collect(),
            earlier,
            missed: self.missed.load(Ordering::Relaxed),
        }
    }
}

impl Tail {
    fn push(&mut self, line: Arc<str>) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > MOST_LINES || self.bytes > MOST_BYTES {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.len();
            self.earlier += 1;
        }
    }
}

/// Without the end of the line, and no longer than a line is kept.
fn cut(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    &line[..line.len().min(MOST_OF_A_LINE)]
}

/// The colours of a terminal are all that stands unescaped in a line.
fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += part.split_once('m').map_or("", |(_, text)| text);
    }
    plain
}

/// Takes what is logged, besides what shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeper;

impl io::Write for Keeper {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        RECORD.keep(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_those_before_counted() {
        let record = Record::new();
        (0..1200).for_each(|number| record.keep(format!("line {number}\n").as_bytes()));
        let kept = record.kept();
        assert_eq!((kept.log.len(), kept.earlier, kept.missed), (1000, 200, 0));
        assert_eq!((kept.log[0].as_str(), kept.log[999].as_str()), ("line 200", "line 1199"));
    }

    #[test]
    fn long_lines_are_cut_and_all_together_are_bounded() {
        let record = Record::new();
        (0..500).for_each(|_| record.keep("ä".repeat(5000).as_bytes()));
        let kept = record.kept();
        assert_eq!(kept.log[0].len(), 2000);
        assert_eq!((kept.log.len(), kept.earlier), (131, 369), "262144 / 2000");
    }

    #[test]
    fn colours_are_left_out() {
        let record = Record::new();
        record.keep(b"\x1b[2m2026\x1b[0m \x1b[33m WARN\x1b[0m said a\\u{1b}[31m\n");
        assert_eq!(record.kept().log, ["2026  WARN said a\\u{1b}[31m"]);
    }

    #[test]
    fn while_another_thread_has_the_lines_one_is_left_out_and_counted() {
        let record = Record::new();
        let held = record.tail.lock().unwrap();
        record.keep(b"one");
        drop(held);
        record.keep(b"two");
        let kept = record.kept();
        assert_eq!((kept.log, kept.missed), (vec!["two".to_owned()], 1));
    }
}
