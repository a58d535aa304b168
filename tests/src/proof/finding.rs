//! What came of an experiment, and how it is shown.

use std::fmt;
use std::time::Duration;

use lb_common::outcome::{Event, Outcome};

use super::soak::Strain;
use super::verdicts::Verdicts;
use super::writer::Count;

#[derive(Clone, Debug)]
pub struct Finding {
    pub name: String,
    pub took: Duration,
    /// Of every client.
    pub each: Vec<Verdicts>,
    /// Of all clients together.
    pub all: Verdicts,
    /// What the kernel counted meanwhile; nothing where no program was attached.
    pub kernel: Option<Counted>,
    /// What an agent went through that was a process.
    pub strain: Option<Strain>,
}

/// Meanwhile, by the kernel's own counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Of the Service under test.
    pub publications: u64,
    /// To the front end, neighbours included.
    pub writes: u64,
    /// Connections that were rewritten.
    pub forwarded: u64,
    /// Lookups that met a write and were repeated.
    pub lookup_retries: u64,
    /// Regions that were used again under their reader.
    pub stale_region_reads: u64,
    /// Clients that were not remembered: there was no memory at that moment.
    pub unstored_affinities: u64,
}

impl Finding {
    pub(super) fn new(name: &str, took: Duration, each: Vec<Verdicts>) -> Self {
        let mut all = Verdicts::default();
        for verdicts in &each {
            all.add(verdicts.clone());
        }
        Self { name: name.to_owned(), took, each, all, kernel: None, strain: None }
    }

    pub(super) fn counted(self, before: &Count, after: &Count) -> Self {
        let kernel = Counted {
            publications: after.publications - before.publications,
            writes: after.writes - before.writes,
            forwarded: after.of(Outcome::Forwarded) - before.of(Outcome::Forwarded),
            lookup_retries: after.counters.event(Event::LookupRetry)
                - before.counters.event(Event::LookupRetry),
            stale_region_reads: after.counters.event(Event::StaleRegionRead)
                - before.counters.event(Event::StaleRegionRead),
            unstored_affinities: after.counters.event(Event::UnstoredAffinity)
                - before.counters.event(Event::UnstoredAffinity),
        };
        Self { kernel: Some(kernel), ..self }
    }

    /// How often something went wrong: a connection astray, or a region that was used again too early.
    #[must_use]
    pub fn failures(&self) -> u64 {
        let ids = self.strain.map_or(0, |strain| strain.ids_used_again);
        ids + self.all.astray() + self.kernel.map_or(0, |kernel| kernel.stale_region_reads)
    }

    #[must_use]
    pub fn publications_per_second(&self) -> f64 {
        self.kernel.map_or(0.0, |kernel| kernel.publications as f64 / self.took.as_secs_f64())
    }
}

/// A few lines for people.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdicts {
            connects,
            mapped,
            ipv6,
            node_ports,
            datagrams,
            returning,
            ended,
            refused,
            decoy,
            outside,
            neighbour,
            moved,
            unkept,
            misnamed,
            failed,
            unjudged,
            first,
        } = &self.all;
        let seconds = self.took.as_secs_f64();
        writeln!(f, "{}: {} went wrong", self.name, self.failures())?;
        let each: Vec<String> = self.each.iter().map(|one| one.connects.to_string()).collect();
        writeln!(
            f,
            "  {connects} connects in {seconds:.1} s ({} by each of the processes), {mapped} of them to IPv4-mapped addresses, {ipv6} over IPv6, \
             {node_ports} to node ports,\n  {datagrams} answered over UDP, {returning} to be kept by session affinity, {ended} sockets ended by the agent",
            each.join(" + ")
        )?;
        if let Some(kernel) = self.kernel {
            writeln!(
                f,
                "  counted in the kernel: {} publications of the Service ({:.0} a second), {} writes in all,\n  \
                 {} forwarded, {} lookup retries, {} stale region reads, {} clients not remembered",
                kernel.publications,
                self.publications_per_second(),
                kernel.writes,
                kernel.forwarded,
                kernel.lookup_retries,
                kernel.stale_region_reads,
                kernel.unstored_affinities,
            )?;
        }
        if let Some(strain) = self.strain {
            strain.show(f, self.took)?;
        }
        writeln!(
            f,
            "  {refused} refused, {decoy} at the decoy, {outside} outside the allowed sets, {neighbour} at another \
             Service,\n  {moved} moved, {unkept} not kept by session affinity, {misnamed} misnamed, {failed} failed in another way, {unjudged} not judged"
        )?;
        first.iter().try_for_each(|first| writeln!(f, "  the first astray: {first}"))
    }
}
