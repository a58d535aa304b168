//! What is new in the report of a source of files, for the log.

use crate::model::FileReport;

impl FileReport {
    /// Writes to the log what this report has and `before` did not have, so that each thing is
    /// said once; and what is over.
    pub(super) fn log_news(&self, before: &Self) {
        for problem in new(&self.problems, &before.problems) {
            tracing::warn!(%problem, "a file cannot be used; what it defined before stays");
        }
        for duplicate in new(&self.duplicates, &before.duplicates) {
            tracing::warn!(%duplicate, "an object is defined twice");
        }
        for part in new(&self.left_out, &before.left_out) {
            tracing::warn!(%part, "a part of an object cannot be used");
        }
        for note in new(&self.notes, &before.notes) {
            tracing::info!(%note, "objects of other kinds are skipped");
        }
        for over in new(&before.problems, &self.problems) {
            if !self.problems.iter().any(|problem| problem.file == over.file) {
                tracing::info!(file = %over.file.display(), "a problem with a file is over");
            }
        }
    }
}

fn new<'a, T: PartialEq>(now: &'a [T], before: &'a [T]) -> impl Iterator<Item = &'a T> {
    now.iter().filter(|item| !before.contains(item))
}
