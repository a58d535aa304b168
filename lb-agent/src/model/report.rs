//! What a source reports besides its objects: what cannot be used, and how far it is.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Kind, ObjectKey};
use crate::shown::{line, shown};

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

/// The state of the files now, not what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Files that cannot be used as they are.
    pub problems: Vec<FileProblem>,
    /// Parts of usable objects that were left out.
    pub left_out: Vec<FileNote>,
    /// Objects that several places define.
    pub duplicates: Vec<Duplicate>,
    /// Kinds that are not read.
    pub notes: Vec<FileNote>,
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

impl FileProblem {
    /// The file, and the document in it.
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.file, self.document)
    }

    /// What is wrong there, and with which field.
    #[must_use]
    pub fn what(&self) -> String {
        match &self.field {
            Some(field) => format!("{}: {}", shown(field), line(&self.message)),
            None => line(&self.message),
        }
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.what())
    }
}

/// Something worth saying about a file that is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileNote {
    pub file: PathBuf,
    pub document: Option<usize>,
    pub text: String,
}

impl FileNote {
    /// The file, and the document in it.
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.file, self.document)
    }
}

impl fmt::Display for FileNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), line(&self.text))
    }
}

/// A file as it is shown.
#[must_use]
pub fn path(file: &Path) -> String {
    shown(&file.to_string_lossy())
}

fn place(file: &Path, document: Option<usize>) -> String {
    match document {
        Some(document) => format!("{}: document {document}", path(file)),
        None => path(file),
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

impl Duplicate {
    /// Where it is defined, and which definition is used.
    #[must_use]
    pub fn what(&self) -> String {
        let Self { used, ignored, .. } = self;
        if used == ignored {
            format!("stands twice in {}; the first is used", path(used))
        } else {
            format!("is defined by {} and {}; the first is used", path(used), path(ignored))
        }
    }
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.object, self.what())
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
