//! What a source reports besides its objects: what cannot be used, and how far it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Kind, NamespaceTopology, ObjectKey, Shards};
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

impl SourceReport {
    /// Whether the source is alive and all that it says is known, as far as that is known: what `--max-stale` counts from. A
    /// folder is, while it can be read; what cannot be read in it is named, and holds nothing else back.
    #[must_use]
    pub fn is_in_sync(&self) -> bool {
        match self {
            Self::Files(report) => report.folder.is_empty(),
            Self::Api(report) => {
                let mut kinds = report.deciding().peekable();
                kinds.peek().is_some() && kinds.all(|kind| kind.state == SourceState::InSync)
            }
        }
    }
}

/// The state of the files now, not what changed. A copy is cheap, and two of them are compared at the cost of
/// what differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    /// The files of which there is anything to say.
    pub files: Shards<Arc<Path>, Arc<OfFile>>,
    /// Objects that several places define.
    pub duplicates: Shards<ObjectKey, Arc<[Duplicate]>>,
    /// What is wrong with the folder itself.
    pub folder: Vec<FileProblem>,
    /// How many files were never known as a whole, and the folder where it never was. What they define is
    /// unknown, and unknown is not empty: while there are any, nothing is removed for being absent.
    pub unknown: usize,
}

/// What there is to say of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfFile {
    /// What of it cannot be used as it is.
    pub problems: Vec<FileProblem>,
    /// Parts of usable objects that were left out.
    pub left_out: Vec<FileNote>,
    /// Kinds that are not read.
    pub notes: Vec<FileNote>,
    pub known: KnownFile,
}

/// Whether a file was known as a whole since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KnownFile {
    #[default]
    Once,
    /// It may define any object.
    Never,
}

impl FileReport {
    /// Puts what there is to say of a file in the place of what was said.
    pub fn set(&mut self, file: &Arc<Path>, new: OfFile) {
        let was_unknown = self.files.get(file).is_some_and(|old| old.known == KnownFile::Never);
        self.unknown -= usize::from(was_unknown);
        self.unknown += usize::from(new.known == KnownFile::Never);
        let any = new != OfFile::default();
        self.files.set(Arc::clone(file), any.then(|| Arc::new(new)));
    }

    /// The problems, of the folder first, then by file.
    #[must_use]
    pub fn problems(&self) -> Vec<&FileProblem> {
        let of_files = self.by_name().into_iter().flat_map(|(_, said)| &said.problems);
        self.folder.iter().chain(of_files).collect()
    }

    /// By file.
    #[must_use]
    pub fn left_out(&self) -> Vec<&FileNote> {
        self.by_name().into_iter().flat_map(|(_, said)| &said.left_out).collect()
    }

    /// By file.
    #[must_use]
    pub fn notes(&self) -> Vec<&FileNote> {
        self.by_name().into_iter().flat_map(|(_, said)| &said.notes).collect()
    }

    /// The files that were never known as a whole, by name.
    #[must_use]
    pub fn unknown_files(&self) -> Vec<&Path> {
        let all = self.by_name().into_iter();
        all.filter(|(_, said)| said.known == KnownFile::Never).map(|(file, _)| file).collect()
    }

    /// By object.
    #[must_use]
    pub fn duplicates(&self) -> Vec<&Duplicate> {
        let mut all: Vec<&Duplicate> = self.duplicates.iter().flat_map(|(_, several)| &**several).collect();
        all.sort_unstable();
        all
    }

    fn by_name(&self) -> Vec<(&Path, &OfFile)> {
        let mut all: Vec<(&Path, &OfFile)> =
            self.files.iter().map(|(file, said)| (&**file, &**said)).collect();
        all.sort_unstable_by_key(|(file, _)| *file);
        all
    }
}

/// Why a file, something in it, or the folder itself cannot be used. What it defined before stays.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileProblem {
    pub file: PathBuf,
    /// Counted from 1.
    pub document: Option<usize>,
    /// The object that cannot be used; `None` where it may be any, or all.
    pub object: Option<ObjectKey>,
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

impl FileProblem {
    /// What is not used for it, as a sentence without a full stop.
    #[must_use]
    pub fn consequence(&self) -> String {
        match (&self.object, self.document) {
            (Some(object), _) => format!("{object} is not used as it stands there"),
            (None, Some(_)) => "what stands there is not used".to_owned(),
            (None, None) => "nothing of this file is used".to_owned(),
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
    /// The object that it is about, if it is about one.
    pub object: Option<ObjectKey>,
    pub text: String,
}

impl FileNote {
    /// The file, and the document in it.
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.file, self.document)
    }
}

impl FileNote {
    /// What is said, and of which object.
    #[must_use]
    pub fn what(&self) -> String {
        match &self.object {
            Some(object) => format!("{object}: {}", line(&self.text)),
            None => line(&self.text),
        }
    }
}

impl fmt::Display for FileNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.what())
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
    /// Whether Namespaces decide, too.
    pub namespaces: NamespaceTopology,
}

impl ApiReport {
    /// The kinds that say where a connection goes.
    pub fn deciding(&self) -> impl Iterator<Item = &KindState> {
        let of_namespaces = self.namespaces == NamespaceTopology::On;
        let decides = move |kind: Kind| kind.is_deciding() || (of_namespaces && kind == Kind::Namespace);
        self.kinds.iter().filter(move |of| decides(of.kind))
    }
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
