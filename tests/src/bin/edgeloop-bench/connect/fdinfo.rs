//! What the kernel says about a descriptor of a program or a map.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result};

/// Nanoseconds that a program ran, and how often; both stand still unless statistics are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) nanoseconds: u64,
    pub(crate) times: u64,
}

pub(crate) fn runs(program: &impl AsFd) -> Result<Runs> {
    Ok(Runs { nanoseconds: field(program, "run_time_ns")?, times: field(program, "run_cnt")? })
}

/// Bytes of kernel memory that a map takes.
pub(crate) fn memory(map: &impl AsFd) -> Result<u64> {
    field(map, "memlock")
}

fn field(of: &impl AsFd, name: &str) -> Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", of.as_fd().as_raw_fd());
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    parse(&text, name).with_context(|| format!("{path} does not say {name}"))
}

fn parse(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "pos:\t0\nrun_time_ns:\t98\nrun_cnt:\t7\nmemlock:\t4096\n";
        assert_eq!(parse(text, "run_cnt"), Some(7));
        assert_eq!(parse(text, "run_time_ns"), Some(98));
        assert_eq!(parse(text, "run"), None);
        assert_eq!(parse(text, "mem"), None);
    }
}
