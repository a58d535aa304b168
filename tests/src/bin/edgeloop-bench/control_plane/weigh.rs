//! What a process takes: memory and processor time.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

/// In MB (10^6 bytes).
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    pub(crate) anonymous: f64,
    pub(crate) peak: f64,
}

pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("a process has ended")?;
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
        let kilobytes: f64 = value
            .and_then(|value| value.trim().parse().ok())
            .with_context(|| format!("the kernel says nothing of {name} of process {pid}"))?;
        anyhow::Ok(kilobytes * 1024.0 / 1e6)
    };
    Ok(Memory { resident: field("VmRSS:")?, anonymous: field("RssAnon:")?, peak: field("VmHWM:")? })
}

/// Of the process and of those that it has started and that have ended.
pub(crate) fn processor_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("a process has ended")?;
    ticks(&stat).map(|ticks| Duration::from_millis(ticks * 10)).context("/proc/PID/stat does not read as one")
}

/// Hundredths of seconds: user and system time, and those of children.
fn ticks(stat: &str) -> Option<u64> {
    // The name may have blanks in it, and anything else.
    let (_, fields) = stat.rsplit_once(") ")?;
    let times: Vec<u64> = fields.split(' ').skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    (times.len() == 4).then(|| times.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 99 0 0 0 11 22 33 44 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(110));
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    fn a_process_has_memory() {
        let Memory { resident, anonymous, peak } = memory(std::process::id()).unwrap();
        assert!(anonymous > 0.0 && resident > anonymous && peak >= resident);
    }
}
