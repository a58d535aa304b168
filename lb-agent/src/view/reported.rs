//! The report of a source, with how many diagnostics it makes. Pure.

use std::sync::Arc;

use crate::model::{FileReport, SourceReport};

use super::diagnostic::Counts;
use super::of_source::{of_duplicates, of_file, of_folder, of_source};

/// A report. A copy is cheap.
#[derive(Clone, Debug, Default)]
pub struct Reported {
    report: Arc<SourceReport>,
    counts: Counts,
    heard: Heard,
}

/// Whether the source has reported anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Heard {
    #[default]
    Nothing,
    Once,
}

impl Reported {
    #[must_use]
    pub fn report(&self) -> &SourceReport {
        &self.report
    }

    /// Whether the source has reported anything.
    #[must_use]
    pub fn was_heard(&self) -> bool {
        self.heard == Heard::Once
    }

    /// Whether the source is alive and in sync.
    #[must_use]
    pub fn is_in_sync(&self) -> bool {
        self.was_heard() && self.report.is_in_sync()
    }

    /// How many diagnostics [`of_source`] makes of it.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Puts `new` in the place of the report. Of files it costs what differs.
    pub fn take(&mut self, new: SourceReport) {
        self.heard = Heard::Once;
        if *self.report == new {
            return;
        }
        match (&*self.report, &new) {
            (SourceReport::Files(before), SourceReport::Files(now)) => recount(&mut self.counts, before, now),
            _ => {
                self.counts = Counts::default();
                self.counts.add(&of_source(&new));
            }
        }
        self.report = Arc::new(new);
    }
}

fn recount(counts: &mut Counts, before: &FileReport, now: &FileReport) {
    counts.subtract(&of_folder(before));
    counts.add(&of_folder(now));
    for (file, before, now) in now.files.news(&before.files) {
        counts.subtract(&before.map(|said| of_file(file, said)).unwrap_or_default());
        counts.add(&now.map(|said| of_file(file, said)).unwrap_or_default());
    }
    for (_, before, now) in now.duplicates.news(&before.duplicates) {
        counts.subtract(&of_duplicates(before.map_or(&[], |several| several)));
        counts.add(&of_duplicates(now.map_or(&[], |several| several)));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::{ApiReport, FileNote, FileProblem, KnownFile, OfFile};

    #[test]
    fn counts_follow_every_change_of_the_report() {
        let file = |name: &str| std::sync::Arc::<Path>::from(Path::new(name));
        let note =
            |text: &str| FileNote { file: "a".into(), document: None, object: None, text: text.into() };
        let problem = FileProblem {
            file: "conf".into(),
            document: None,
            object: None,
            field: None,
            message: "gone".into(),
        };
        let mut now = FileReport::default();
        let mut reported = Reported::default();
        let mut check = |now: SourceReport| {
            let mut expected = Counts::default();
            expected.add(&of_source(&now));
            reported.take(now.clone());
            assert_eq!((reported.counts(), reported.report()), (expected, &now));
        };
        check(SourceReport::Files(now.clone()));
        now.set(&file("a"), OfFile { notes: vec![note("x"), note("y")], ..OfFile::default() });
        check(SourceReport::Files(now.clone()));
        now.set(&file("b"), OfFile { known: KnownFile::Never, ..OfFile::default() });
        now.folder.push(problem);
        check(SourceReport::Files(now.clone()));
        now.set(&file("a"), OfFile { left_out: vec![note("z")], ..OfFile::default() });
        now.folder.clear();
        check(SourceReport::Files(now.clone()));
        check(SourceReport::Api(ApiReport { notes: vec!["slow".to_owned()], ..ApiReport::default() }));
        check(SourceReport::Files(now));
    }
}
