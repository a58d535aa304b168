//! What a source reports besides its objects: what cannot be used, and how far it is.

use std::fmt;
use std::path::PathBuf;

use super::{Kind, ObjectKey};

/// The report of any source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceReport {
    Files(FileReport),
    Api(ApiReport),
}

impl Default for SourceReport {
    fn default() -> Self {
        Self::Files(FileReport::default())
    }
}

impl SourceReport {
    /// Whether a part of the source could never be read. What it defines is unknown, and
    /// unknown is not empty: nothing is removed for being absent.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        match self {
            Self::Files(report) => !report.incomplete.is_empty(),
            // A kind whose list never ended was never in sync.
            Self::Api(_) => false,
        }
    }
}

/// The state of the files now, not what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Files that cannot be used as they are.
    pub problems: Vec<FileProblem>,
    /// Parts of usable objects that were left out.
    pub oddities: Vec<Remark>,
    /// Objects that several places define.
    pub duplicates: Vec<Duplicate>,
    /// Kinds that are not read.
    pub notes: Vec<Remark>,
    /// Files that were never usable since the start. What they define is unknown, and unknown
    /// is not empty: while there are any, nothing is removed for being absent.
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

/// The state of an API server's lists and watches now, not what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiReport {
    /// Which API server, and with whose credentials.
    pub server: String,
    pub kinds: Vec<KindState>,
    /// Objects of which a part, or all of what they say now, cannot be used.
    pub objects: Vec<(ObjectKey, String)>,
    /// What an operator should know of the connection.
    pub notes: Vec<String>,
}

/// One kind of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindState {
    pub kind: Kind,
    pub state: SourceState,
    /// Since when, as in `2026-01-02T03:04:05Z`.
    pub since: String,
    /// What last went wrong, also when all is well again.
    pub last_failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Not all objects have arrived yet.
    Starting,
    /// The API server sends every change as it happens.
    InSync,
    /// All objects have arrived once, and now changes do not.
    Behind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub at: String,
    pub what: String,
}

impl SourceState {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::InSync => "in sync",
            Self::Behind => "behind",
        }
    }
}
