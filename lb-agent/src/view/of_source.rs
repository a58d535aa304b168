//! What a source reports, as diagnostics. Pure.

use crate::model::{ApiReport, FileReport, SourceReport, path};

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
    let FileReport { problems, left_out, duplicates, notes, incomplete } = report;
    let mut found = Vec::new();
    for file in incomplete {
        let message = "could never be read: until it can, nothing is removed";
        found.push(Diagnostic::new(path(file), Reason::Unknown, message));
    }
    for problem in problems {
        found.push(Diagnostic::new(problem.place(), Reason::Unusable, problem.what()));
    }
    for part in left_out {
        found.push(Diagnostic::new(part.place(), Reason::LeftOut, &*part.text));
    }
    for duplicate in duplicates {
        found.push(Diagnostic::new(duplicate.object.to_string(), Reason::Duplicate, duplicate.what()));
    }
    for note in notes {
        found.push(Diagnostic::new(note.place(), Reason::OtherKind, &*note.text));
    }
    found
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
    use crate::model::{Duplicate, FileNote, FileProblem, Kind, ObjectKey, ObjectName};

    #[test]
    fn a_report_names_the_place_once_and_says_what_is_wrong_there() {
        let web = ObjectKey { kind: Kind::Service, name: ObjectName::new("default", "web") };
        let problem = FileProblem {
            file: "a.yaml".into(),
            document: Some(2),
            field: Some("spec.ports[0].port".to_owned()),
            message: "no number".to_owned(),
        };
        let files = FileReport {
            problems: vec![problem],
            left_out: vec![FileNote { file: "b.yaml".into(), document: None, text: "odd".to_owned() }],
            duplicates: vec![Duplicate { object: web.clone(), used: "c".into(), ignored: "d".into() }],
            notes: vec![FileNote { file: "e.yaml".into(), document: Some(1), text: "skips".to_owned() }],
            incomplete: vec!["a.yaml".into()],
        };
        let api = ApiReport {
            server: "https://x".to_owned(),
            objects: vec![(web, "spec: no object".to_owned())],
            notes: vec!["slow".to_owned()],
            ..ApiReport::default()
        };
        assert_eq!(
            said(&SourceReport::Files(files)),
            [
                "a.yaml unknown could never be read: until it can, nothing is removed",
                "a.yaml: document 2 unusable spec.ports[0].port: no number",
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
