//! What a source of files has to say beside its objects.

use std::fmt;
use std::path::PathBuf;

use crate::model::ObjectKey;

/// The state of the files now, not what changed: whoever tells a person compares it with the
/// last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that cannot be used as they are.
    pub problems: Vec<FileProblem>,
    /// Parts of usable objects that were left out.
    pub oddities: Vec<Remark>,
    /// Objects that several places define.
    pub duplicates: Vec<Duplicate>,
    /// Kinds that are not read.
    pub notes: Vec<Remark>,
    /// Files that were never usable since the start. What they define is unknown, and unknown
    /// is not empty: while there are any, nothing may be removed for not having been told.
    pub incomplete: Vec<PathBuf>,
}

/// Why a file, or the folder itself, cannot be used. What it defined before stays.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileProblem {
    pub file: PathBuf,
    /// Counted from 1.
    pub document: Option<usize>,
    /// As in `spec.ports[0].port`.
    pub field: Option<String>,
    pub message: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if let Some(document) = self.document {
            write!(f, "document {document}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Something worth saying about a file that is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    pub file: PathBuf,
    pub document: Option<usize>,
    pub text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if let Some(document) = self.document {
            write!(f, "document {document}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// One object in two places. The first file by name is used, and in one file the first
/// document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duplicate {
    pub object: ObjectKey,
    pub used: PathBuf,
    pub ignored: PathBuf,
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, used, ignored } = self;
        if used == ignored {
            write!(f, "{object} stands twice in {}; the first is used", used.display())
        } else {
            write!(
                f,
                "{object} is defined by {} and {}; the first is used",
                used.display(),
                ignored.display()
            )
        }
    }
}

impl Report {
    /// Writes to the log what this report has and `before` did not have, so that each thing is
    /// said once; and what is mended.
    pub(super) fn log_news(&self, before: &Self) {
        for problem in new(&self.problems, &before.problems) {
            tracing::warn!(%problem, "a file cannot be used; what it defined before stays");
        }
        for duplicate in new(&self.duplicates, &before.duplicates) {
            tracing::warn!(%duplicate, "an object is defined twice");
        }
        for oddity in new(&self.oddities, &before.oddities) {
            tracing::warn!(%oddity, "a part of an object cannot be used");
        }
        for note in new(&self.notes, &before.notes) {
            tracing::info!(%note, "objects of other kinds are skipped");
        }
        for mended in new(&before.problems, &self.problems) {
            if !self.problems.iter().any(|problem| problem.file == mended.file) {
                tracing::info!(file = %mended.file.display(), "a problem with a file is over");
            }
        }
    }
}

fn new<'a, T: PartialEq>(now: &'a [T], before: &'a [T]) -> impl Iterator<Item = &'a T> {
    now.iter().filter(|item| !before.contains(item))
}
