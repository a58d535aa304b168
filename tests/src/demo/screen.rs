//! What the demo prints: headings, lines and tables, as it happens.

use std::env;
use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

use anyhow::{Context, Result};

pub(super) struct Screen {
    colours: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { colours: stdout().is_terminal() && env::var_os("NO_COLOR").is_none() }
    }

    pub(super) fn heading(&self, text: &str) -> Result<()> {
        let (bold, plain) = if self.colours { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        print(&format!("\n{bold}{text}{plain}\n"))
    }

    /// Below a heading.
    pub(super) fn line(&self, text: &str) -> Result<()> {
        print(format!("   {text}").trim_end())?;
        print("\n")
    }

    /// What changes next, and where.
    pub(super) fn act(&self, file: &str, what: &str) -> Result<()> {
        self.line(&format!("{file}: {what}"))
    }

    /// A time, and what it is the time of.
    pub(super) fn measured(&self, time: Duration, what: &str) -> Result<()> {
        self.line(&format!("{:>9}  {what}", short(time)))
    }

    /// A number of connections, and what became of them.
    pub(super) fn counted(&self, number: u64, what: &str) -> Result<()> {
        self.line(&format!("{:>9}  {what}", grouped(number)))
    }
}

/// Three digits or so.
pub(super) fn short(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1e-3 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 0.1 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}

/// With a comma after each three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// At once, so that who watches sees it when it happens.
fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("the demo's output could not be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_read_easily() {
        for (time, text) in [(0.000_012_3, "12 µs"), (0.003_21, "3.2 ms"), (0.25, "250 ms"), (1.46, "1.5 s")]
        {
            assert_eq!(short(Duration::from_secs_f64(time)), text);
        }
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
