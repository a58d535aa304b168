//! What a source reports, as diagnostics. Pure.

use std::path::Path;
use std::sync::Arc;

use crate::model::{
    ApiReport, Duplicate, FileNote, FileProblem, FileReport, KnownFile, OfFile, SourceReport, path,
};

use super::diagnostic::{Diagnostic, Reason};

/// The diagnostics in the report of a source, in the order of their reasons.
#[must_use]
pub fn of_source(report: &SourceReport) -> Vec<Diagnostic> {
    match report {
        SourceReport::Files(report) => of_files(report),
        SourceReport::Api(report) => of_api(report),
    }
}

fn of_files(report: &FileReport) -> Vec<Diagnostic> {
    let mut files: Vec<(&Arc<Path>, &Arc<OfFile>)> = report.files.iter().collect();
    files.sort_unstable_by_key(|(file, _)| *file);
    let of_files = files.into_iter().flat_map(|(file, said)| of_file(file, said));
    let duplicates = report.duplicates().into_iter().flat_map(|one| of_duplicates(std::slice::from_ref(one)));
    let mut found: Vec<Diagnostic> =
        of_folder(report).into_iter().chain(of_files).chain(duplicates).collect();
    // Stable: those of one reason stay in the order of their files.
    found.sort_by_key(|found| found.reason);
    found
}

/// What is wrong with the folder itself.
pub(super) fn of_folder(report: &FileReport) -> Vec<Diagnostic> {
    report.folder.iter().map(of_problem).collect()
}

pub(super) fn of_file(file: &Path, said: &OfFile) -> Vec<Diagnostic> {
    let OfFile { problems, left_out, notes, known } = said;
    let mut found = Vec::new();
    if *known == KnownFile::Never {
        let message = "could never be read as a whole: until it can, nothing is removed";
        found.push(Diagnostic::new(path(file), Reason::Unknown, message));
    }
    found.extend(problems.iter().map(of_problem));
    let note = |reason| move |note: &FileNote| Diagnostic::new(note.place(), reason, note.what());
    found.extend(left_out.iter().map(note(Reason::LeftOut)));
    found.extend(notes.iter().map(note(Reason::OtherKind)));
    found
}

pub(super) fn of_duplicates(several: &[Duplicate]) -> Vec<Diagnostic> {
    let of = |one: &Duplicate| Diagnostic::new(one.object.to_string(), Reason::Duplicate, one.what());
    several.iter().map(of).collect()
}

fn of_problem(problem: &FileProblem) -> Diagnostic {
    let message = match &problem.object {
        Some(_) => format!("{}; {}", problem.what(), problem.consequence()),
        None => problem.what(),
    };
    Diagnostic::new(problem.place(), Reason::Unusable, message)
}

fn of_api(report: &ApiReport) -> Vec<Diagnostic> {
    let objects = report.objects.iter();
    let objects = objects.map(|(object, why)| Diagnostic::new(object.to_string(), Reason::Unusable, &**why));
    let notes = report.notes.iter();
    let notes = notes.map(|note| Diagnostic::new(&*report.server, Reason::Connection, &**note));
    objects.chain(notes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, ObjectKey, ObjectName};

    #[test]
    fn a_report_names_the_place_once_and_says_what_is_wrong_there() {
        let web = ObjectKey { kind: Kind::Service, name: ObjectName::new("default", "web") };
        let problem = FileProblem {
            file: "a.yaml".into(),
            document: Some(2),
            object: Some(web.clone()),
            field: Some("spec.ports[0].port".to_owned()),
            message: "no number".to_owned(),
        };
        let note = |file: &str, document, text: &str| {
            vec![FileNote { file: file.into(), document, object: None, text: text.to_owned() }]
        };
        let none = OfFile::default;
        let duplicate = Duplicate { object: web.clone(), used: "c".into(), ignored: "d".into() };
        let mut files = FileReport::default();
        for (file, said) in [
            ("e.yaml", OfFile { notes: note("e.yaml", Some(1), "skips"), ..none() }),
            ("b.yaml", OfFile { left_out: note("b.yaml", None, "odd"), ..none() }),
            ("a.yaml", OfFile { problems: vec![problem], known: KnownFile::Never, ..none() }),
        ] {
            files.set(&Path::new(file).into(), said);
        }
        files.duplicates.set(web.clone(), Some(vec![duplicate].into()));
        let api = ApiReport {
            server: "https://x".to_owned(),
            objects: vec![(web, "spec: no object".to_owned())],
            notes: vec!["slow".to_owned()],
            ..ApiReport::default()
        };
        assert_eq!(
            said(&SourceReport::Files(files)),
            [
                "a.yaml: document 2 unusable spec.ports[0].port: no number; Service default/web is not used as it stands there",
                "a.yaml unknown could never be read as a whole: until it can, nothing is removed",
                "b.yaml left-out odd",
                "Service default/web duplicate is defined by c and d; the first is used",
                "e.yaml: document 1 other-kind skips",
            ]
        );
        assert_eq!(
            said(&SourceReport::Api(api)),
            ["Service default/web unusable spec: no object", "https://x connection slow"]
        );
    }

    fn said(report: &SourceReport) -> Vec<String> {
        let all = of_source(report).into_iter();
        all.map(|found| format!("{} {} {}", found.about, found.reason.label(), found.message)).collect()
    }
}
