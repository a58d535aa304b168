//! What this process may do, as the kernel shows it.

const STATUS: &str = "/proc/self/status";

/// Capabilities by their numbers in `linux/capability.h`.
pub const NET_ADMIN: u32 = 12;
pub const SYS_ADMIN: u32 = 21;
pub const SYS_RESOURCE: u32 = 24;
pub const PERFMON: u32 = 38;
pub const BPF: u32 = 39;

/// Effective capabilities, a bit for each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held(pub u64);

impl Held {
    /// Those of this process; `None` where `/proc` does not show them.
    #[must_use]
    pub fn by_this_process() -> Option<Self> {
        Self::read(&std::fs::read_to_string(STATUS).ok()?)
    }

    /// The line `CapEff` of a process's status.
    fn read(status: &str) -> Option<Self> {
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(line.trim(), 16).ok().map(Self)
    }

    #[must_use]
    pub const fn has(self, capability: u32) -> bool {
        self.0 >> capability & 1 == 1
    }

    /// Whether the verifier trusts this process with speculation: CAP_SYS_ADMIN stands in for CAP_PERFMON.
    #[must_use]
    pub const fn has_perfmon(self) -> bool {
        self.has(PERFMON) || self.has(SYS_ADMIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_capabilities_are_read_as_bits() {
        let held = |status| Held::read(status).map(|Held(bits)| bits);
        assert_eq!(held("Name:\tx\nCapPrm:\t0\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert_eq!(held("Name:\tx\n"), None);
        let has = |capability: u32| Held(1 << capability).has_perfmon();
        assert_eq!(
            [PERFMON, SYS_ADMIN, BPF, NET_ADMIN, SYS_RESOURCE].map(has),
            [true, true, false, false, false]
        );
    }
}
