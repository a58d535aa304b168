//! What is new in the report of a source of files, for the log.

use crate::model::{FileReport, OfFile, path};

impl FileReport {
    /// Writes to the log what this report has and `before` did not have, so that each thing is
    /// said once; and what is over. It costs what differs.
    pub(super) fn log_news(&self, before: &Self) {
        for problem in new(&self.folder, &before.folder) {
            tracing::warn!(%problem, "the folder cannot be read as it should; what it defined before stays");
        }
        let none = OfFile::default();
        for (file, before, now) in self.files.news(&before.files) {
            let (before, now) = (before.map_or(&none, |said| said), now.map_or(&none, |said| said));
            log_file(now, before);
            if now.problems.is_empty() && !before.problems.is_empty() {
                tracing::info!(file = path(file), "the problems with a file are over");
            }
        }
        for (_, before, now) in self.duplicates.news(&before.duplicates) {
            let before = before.map_or(&[][..], |several| several);
            for duplicate in new(now.map_or(&[][..], |several| several), before) {
                tracing::warn!(%duplicate, "an object is defined twice");
            }
        }
    }
}

fn log_file(now: &OfFile, before: &OfFile) {
    for problem in new(&now.problems, &before.problems) {
        tracing::warn!(%problem, "something in a file cannot be used; what was read of it before stays");
    }
    for part in new(&now.left_out, &before.left_out) {
        tracing::warn!(%part, "a part of an object cannot be used");
    }
    for note in new(&now.notes, &before.notes) {
        tracing::info!(%note, "what is not read here is skipped");
    }
}

/// What of `now` was not there `before`.
fn new<'a, T: Ord>(now: &'a [T], before: &'a [T]) -> impl Iterator<Item = &'a T> {
    let mut before: Vec<&T> = before.iter().collect();
    before.sort_unstable();
    now.iter().filter(move |item| before.binary_search(item).is_err())
}
