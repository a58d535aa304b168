//! What the agent went through, counted. Pure.

use std::fmt;
use std::time::Duration;

/// Of a Service: TCP and UDP, over IPv4 and IPv6.
const FRONTENDS: u32 = 4;

/// How often each disturbance happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strain {
    /// Services whose set changed, or that came or went. Each has four frontends.
    pub changes: u64,
    pub created: u64,
    pub deleted: u64,
    /// Addresses that went from one Service to another at once.
    pub reused: u64,
    /// Changes that were asked for while no agent ran.
    pub while_dead: u64,
    /// SIGKILL.
    pub deaths: u64,
    /// Of these, during a start.
    pub deaths_at_start: u64,
    /// Starts that went on with the maps there were.
    pub restarts: u64,
    /// Starts that changed over to maps of another size.
    pub resizes: u64,
    /// Starts of another build, with another layout version.
    pub upgrades: u64,
    /// Entries that were taken out of the maps behind the agent's back.
    pub deletions: u64,
    /// Service ids that another service port had before.
    pub ids_used_again: u64,
    /// How long no agent was ready.
    pub without_agent: Duration,
}

impl Strain {
    /// A line or two for people.
    pub(in crate::proof) fn show(&self, f: &mut fmt::Formatter<'_>, took: Duration) -> fmt::Result {
        let Self {
            changes,
            created,
            deleted,
            reused,
            while_dead,
            deaths,
            deaths_at_start,
            restarts,
            resizes,
            upgrades,
            deletions,
            ids_used_again,
            without_agent,
        } = self;
        let seconds = took.saturating_sub(*without_agent).as_secs_f64().max(0.001);
        let rate = (changes - while_dead) as f64 / seconds;
        writeln!(
            f,
            "  {changes} Services changed, each with {FRONTENDS} frontends: {rate:.0} ({:.0} sets) a second while an agent was \
             ready, which is {seconds:.0} s;\n  of these {created} created, {deleted} deleted, {reused} addresses handed to \
             another Service, {while_dead} without an agent;\n  {deaths} deaths, {deaths_at_start} of them at a start; \
             {restarts} starts over the same maps, {resizes} over maps of another size, {upgrades} of the other build;\n  \
             {deletions} map entries deleted behind its back, {ids_used_again} service ids used again",
            rate * f64::from(FRONTENDS),
        )
    }
}
