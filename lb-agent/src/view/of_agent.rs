//! What needs attention at the agent itself: its kernel, its host, and the state that it goes by. Pure.

use crate::model::{SelfTest, Staleness};

use super::diagnostic::{Counts, Diagnostic, Reason};
use super::of_source::of_source;
use super::published::{Published, SavedState};

impl Published {
    /// All diagnostics but those of Services: few, as a rule.
    #[must_use]
    pub fn others(&self) -> Vec<Diagnostic> {
        let mut others = of_source(self.report.report());
        others.extend(self.of_kernel());
        others.extend(self.of_host());
        others.extend(self.of_age());
        others.extend(self.of_order());
        others.extend(self.of_saved());
        others.extend(self.of_self_test());
        others
    }

    fn of_host(&self) -> Option<Diagnostic> {
        let address = self.elsewhere?;
        let text = format!(
            "no interface that the agent sees has {address}, which this node has: the agent has to run in the host's network, or \
             node ports are not served, and a cluster IP that the host has is"
        );
        Some(Diagnostic::new("host", Reason::HostNetwork, text))
    }

    fn of_order(&self) -> Option<Diagnostic> {
        let hooks =
            self.before_ours.iter().map(|at| format!("{} at {}", at.programs.join(", "), at.hook.name()));
        let all: Vec<String> = hooks.collect();
        let text = || {
            format!("other programs decide before ours and may hide cluster IPs from it: {}", all.join("; "))
        };
        (!all.is_empty()).then(|| Diagnostic::new("kernel", Reason::NotFirst, text()))
    }

    fn of_age(&self) -> Option<Diagnostic> {
        let Staleness { age, .. } = self.staleness.filter(Staleness::is_over)?;
        let text = format!(
            "no live source has been in sync for {} s, longer than --max-stale: every connection is left as it is dialled",
            age.as_secs()
        );
        Some(Diagnostic::new("source", Reason::Stale, text))
    }

    fn of_self_test(&self) -> Option<Diagnostic> {
        let SelfTest::Failed { why, .. } = &self.self_test else { return None };
        let text = format!(
            "a connection of the agent's own does not arrive where the maps say, and those of pods may not either: {why}; see \
             what else is attached by `bpftool cgroup tree`"
        );
        Some(Diagnostic::new("kernel", Reason::SelfTest, text))
    }

    fn of_saved(&self) -> Vec<Diagnostic> {
        let SavedState { in_use, trouble } = &self.saved;
        let in_use = in_use.as_ref().map(|(age, clock)| {
            format!(
                "no API server was heard of since the start: the saved state decides, which is {age} (saved at {clock} by the \
                 clock of then)"
            )
        });
        let texts = in_use.into_iter().chain(trouble.as_ref().map(|why| why.to_string()));
        texts.map(|text| Diagnostic::new("saved state", Reason::SavedState, text)).collect()
    }

    fn of_kernel(&self) -> Option<Diagnostic> {
        let all = [self.kernel_error.as_deref(), self.skips.trouble.as_deref()];
        let all: Vec<&str> = all.into_iter().flatten().collect();
        (!all.is_empty()).then(|| Diagnostic::new("kernel", Reason::Kernel, all.join("; ")))
    }

    /// How many diagnostics there are of each reason.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = self.diagnostics.counts();
        counts.merge(self.report.counts());
        counts.add(&self.of_kernel());
        counts.add(&self.of_host());
        counts.add(&self.of_age());
        counts.add(&self.of_order());
        counts.add(&self.of_saved());
        counts.add(&self.of_self_test());
        counts
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::model::{Age, FileReport, KnownFile, OfFile, SourceReport};
    use crate::store::{Rules, Store};
    use crate::view::reported::Reported;

    #[test]
    fn every_diagnostic_is_counted_wherever_it_comes_from() {
        let mut files = FileReport::default();
        let unknown = OfFile { known: KnownFile::Never, ..OfFile::default() };
        files.set(&std::path::Path::new("/x/a.yaml").into(), unknown);
        let mut report = Reported::default();
        report.take(SourceReport::Files(files));
        let published = Published {
            report,
            kernel_error: Some("no memory".into()),
            elsewhere: Some(IpAddr::from([192, 0, 2, 1])),
            saved: SavedState {
                in_use: Some((Age::Exactly(Duration::from_secs(90)), "1970-01-01T00:00:01Z".into())),
                trouble: Some("the disk is full".into()),
            },
            self_test: SelfTest::Failed { why: "refused".into(), passed: None },
            ..Published::first(&Store::new("n1", Rules::default()), "file:/x", Instant::now())
        };
        let counts = published.counts();
        assert_eq!(
            [
                Reason::Unknown,
                Reason::Kernel,
                Reason::HostNetwork,
                Reason::SavedState,
                Reason::SelfTest,
                Reason::Conflict
            ]
            .map(|reason| counts.of(reason)),
            [1, 1, 1, 2, 1, 0]
        );
    }
}
