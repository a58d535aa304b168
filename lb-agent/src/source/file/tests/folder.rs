//! The folder as a state machine: which changes follow from what is seen.

use super::super::folder::{FileId, Folder, Seen};
use super::{service, words};
use crate::model::FileReport;

fn folder() -> Folder {
    Folder::new(vec!["conf".into(), "more".into()])
}

fn file(name: &str) -> FileId {
    match name.strip_prefix("more/") {
        Some(name) => FileId { folder: 1, name: name.into() },
        None => FileId { folder: 0, name: name.into() },
    }
}

fn text(name: &str, text: &str) -> (FileId, Seen) {
    (file(name), Seen::Text(text.to_owned()))
}

fn gone(name: &str) -> (FileId, Seen) {
    (file(name), Seen::Gone)
}

fn problems(report: &FileReport) -> Vec<String> {
    report.problems().iter().map(ToString::to_string).collect()
}

fn duplicates(report: &FileReport) -> Vec<String> {
    report.duplicates().iter().map(ToString::to_string).collect()
}

#[test]
fn only_what_changed_is_told() {
    let mut folder = folder();
    let both = service("a", "10.0.0.1") + "---\n" + &service("b", "10.0.0.2");
    let other = service("a", "10.0.0.1") + "---\n" + &service("b", "10.0.0.3");
    let spaced = format!("# a comment\n{other}");
    for (shows, sighting, expected) in [
        ("everything at first", text("s.yaml", &both), "+a=10.0.0.1 +b=10.0.0.2"),
        ("the same again is nothing", text("s.yaml", &both), ""),
        ("one of two", text("s.yaml", &other), "+b=10.0.0.3"),
        ("another way to write it is nothing", text("s.yaml", &spaced), ""),
        ("an object that is left out is gone", text("s.yaml", &service("a", "10.0.0.1")), "-b"),
        ("a file that is gone takes its objects along", gone("s.yaml"), "-a"),
        ("a file that never was is nothing", gone("s.yaml"), ""),
    ] {
        assert_eq!(words(&folder.take(vec![sighting])), expected, "{shows}");
    }
    assert!(folder.is_empty());
}

#[test]
fn sightings_taken_together_are_one_change() {
    let mut folder = folder();
    folder.take(vec![text("a.yaml", &service("a", "10.0.0.1"))]);

    let moved = vec![gone("a.yaml"), text("b.yaml", &service("a", "10.0.0.1"))];
    assert_eq!(words(&folder.take(moved)), "", "an object that moves to another file stays");

    let back = vec![text("a.yaml", &service("a", "10.0.0.2")), gone("b.yaml")];
    assert_eq!(words(&folder.take(back)), "+a=10.0.0.2");
}

#[test]
fn of_two_files_that_define_an_object_the_first_by_name_wins() {
    let mut folder = folder();
    for (shows, sighting, expected) in [
        ("b is first to come", text("b.yaml", &service("s", "10.0.0.2")), "+s=10.0.0.2"),
        ("c loses to it", text("c.yaml", &service("s", "10.0.0.3")), ""),
        ("a wins over it", text("a.yaml", &service("s", "10.0.0.1")), "+s=10.0.0.1"),
        ("a loser that changes is nothing", text("b.yaml", &service("s", "10.0.0.22")), ""),
        ("the next takes over when the winner goes", gone("a.yaml"), "+s=10.0.0.22"),
        ("also when it only drops the object", text("b.yaml", "# nothing\n"), "+s=10.0.0.3"),
        ("another folder is later than any file here", text("more/a.yaml", &service("s", "10.0.0.4")), ""),
        ("until it is the last", gone("c.yaml"), "+s=10.0.0.4"),
        ("the last one out", gone("more/a.yaml"), "-s"),
    ] {
        assert_eq!(words(&folder.take(vec![sighting])), expected, "{shows}");
    }
}

#[test]
fn a_duplicate_names_both_files_and_the_object_until_it_is_over() {
    let mut folder = folder();
    folder.take(vec![
        text("a.yaml", &service("s", "10.0.0.1")),
        text("b.yaml", &service("s", "10.0.0.1")),
        text("more/a.yaml", &service("s", "10.0.0.1")),
    ]);
    let expected = [
        "Service default/s is defined by conf/a.yaml and conf/b.yaml; the first is used",
        "Service default/s is defined by conf/a.yaml and more/a.yaml; the first is used",
    ];
    assert_eq!(duplicates(&folder.report()), expected);

    folder.take(vec![gone("a.yaml"), gone("more/a.yaml")]);
    assert!(folder.report().duplicates().is_empty());
}

#[test]
fn twice_in_one_file_the_first_wins_and_it_is_said() {
    let mut folder = folder();
    let twice = service("s", "10.0.0.1") + "---\n" + &service("s", "10.0.0.2");
    assert_eq!(words(&folder.take(vec![text("a.yaml", &twice)])), "+s=10.0.0.1");
    assert_eq!(
        duplicates(&folder.report()),
        ["Service default/s stands twice in conf/a.yaml; the first is used"]
    );
}

#[test]
fn a_malformed_file_changes_nothing_until_it_is_corrected() {
    let mut folder = folder();
    let good = service("a", "10.0.0.1") + "---\n" + &service("b", "10.0.0.2");
    let bad = good.clone() + "---\napiVersion: v1\nkind: Service\nmetadata: {name: c}\nspec: {ports: 5}\n";
    folder.take(vec![text("s.yaml", &good)]);

    assert_eq!(words(&folder.take(vec![text("s.yaml", &bad)])), "?c");
    let report = folder.report();
    assert_eq!(
        problems(&report),
        ["conf/s.yaml: document 3: spec.ports: invalid type: integer `5`, expected a sequence"]
    );
    assert!(report.unknown == 0, "what it defined is known");

    assert_eq!(words(&folder.take(vec![text("s.yaml", &good)])), "-c", "back to what it was");
    assert!(folder.report().problems().is_empty());

    folder.take(vec![text("s.yaml", &bad)]);
    assert_eq!(words(&folder.take(vec![text("s.yaml", &service("a", "10.0.0.9"))])), "+a=10.0.0.9 -b -c");
    assert_eq!(folder.report(), FileReport::default());
}

#[test]
fn what_an_unusable_file_names_exists_until_it_is_defined_or_gone() {
    let bad = |name: &str| {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: 5}}\n")
    };
    let both = |name: &str| bad(name) + "---\n" + &service("b", "10.0.0.2");
    for (shows, seen, expected) in [
        ("what it names and what it defines", vec![text("s.yaml", &both("a"))], "?a +b=10.0.0.2"),
        (
            "what another file defines is no change",
            vec![text("t.yaml", &service("a", "10.0.0.1")), text("s.yaml", &bad("a"))],
            "+a=10.0.0.1",
        ),
        (
            "the same the other way round",
            vec![text("s.yaml", &bad("a")), text("t.yaml", &service("a", "10.0.0.1"))],
            "+a=10.0.0.1",
        ),
    ] {
        assert_eq!(words(&folder().take(seen)), expected, "{shows}");
    }
    let mut folder = folder();
    folder.take(vec![text("s.yaml", &service("a", "10.0.0.1")), text("t.yaml", &service("b", "10.0.0.2"))]);
    for (shows, seen, expected) in [
        (
            "b moves and cannot be read there",
            vec![gone("t.yaml"), text("s.yaml", &(service("a", "10.0.0.1") + "---\n" + &bad("b")))],
            "?b",
        ),
        ("the file is worse by now: what it named stays", vec![text("s.yaml", "a: [")], ""),
        ("it cannot be read at all", vec![(file("s.yaml"), Seen::Unreadable("no".to_owned()))], ""),
        ("another file names b too", vec![text("u.yaml", &bad("b"))], ""),
        ("the first is good again, without b", vec![text("s.yaml", &service("a", "10.0.0.1"))], ""),
        ("the second goes", vec![gone("u.yaml")], "-b"),
        ("the file goes with what it named", vec![text("s.yaml", &both("a")), gone("s.yaml")], "-a"),
    ] {
        assert_eq!(words(&folder.take(seen)), expected, "{shows}");
    }
}

#[test]
fn what_is_wrong_costs_its_object_alone_and_a_part_takes_nothing_back() {
    let mut folder = folder();
    let bad =
        |name: &str| format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: 5\n");
    let good = |name: &str, address: &str| format!("---\n{}", service(name, address));
    let no_yaml = "---\na: [\n";
    for (shows, documents, expected, problems, unknown) in [
        ("a part, from the start", good("a", "10.0.0.1") + no_yaml, "+a=10.0.0.1", 1, 1),
        ("the other part of it", good("b", "10.0.0.2") + no_yaml, "+b=10.0.0.2", 1, 1),
        ("the whole", good("a", "10.0.0.1") + &good("b", "10.0.0.2"), "", 0, 0),
        (
            "one that cannot be read, and one that changes",
            bad("a") + &good("b", "10.0.0.3"),
            "+b=10.0.0.3",
            1,
            0,
        ),
        ("a part, in which one changes", good("b", "10.0.0.4") + no_yaml, "+b=10.0.0.4", 1, 0),
        ("a part with neither", good("c", "10.0.0.5") + no_yaml, "+c=10.0.0.5", 1, 0),
        ("it still cannot be read, and the others are gone", bad("a"), "-b -c", 1, 0),
        ("it can be read again, and is as it was", good("a", "10.0.0.1"), "", 0, 0),
        ("gone from a whole file", good("b", "10.0.0.4"), "+b=10.0.0.4 -a", 0, 0),
        ("never read", good("b", "10.0.0.4") + &bad("d"), "?d", 1, 0),
        ("gone without ever being read", good("b", "10.0.0.4"), "-d", 0, 0),
    ] {
        let changes = folder.take(vec![text("s.yaml", &documents)]);
        let report = folder.report();
        let found = (words(&changes), report.problems().len(), report.unknown);
        assert_eq!(
            (found.0.split(' ').collect::<std::collections::BTreeSet<_>>(), found.1, found.2),
            (expected.split(' ').collect(), problems, unknown),
            "{shows}"
        );
    }
}

#[test]
fn v1_endpoints_are_said_as_long_as_any_file_has_them() {
    let mut folder = folder();
    let endpoints =
        "apiVersion: v1\nkind: Endpoints\nmetadata: {name: a}\nsubsets: [{addresses: [{ip: 10.1.0.1}]}]\n";
    for (shows, seen, expected) in [
        ("the first", vec![text("s.yaml", endpoints)], "ea"),
        ("another file", vec![text("t.yaml", endpoints)], ""),
        ("one of two goes", vec![gone("s.yaml")], ""),
        ("in part", vec![text("t.yaml", "a: [")], ""),
        ("the last goes", vec![text("t.yaml", "# none\n")], "no-ea"),
        ("it comes and goes", vec![text("s.yaml", endpoints), gone("s.yaml")], ""),
    ] {
        assert_eq!(words(&folder.take(seen)), expected, "{shows}");
    }
}

/// As for the log and for counting: 10,000 files of which one changes.
#[test]
fn a_report_costs_what_changed() {
    let mut folder = folder();
    let pod = |number: usize| text(&format!("{number}.yaml"), "apiVersion: v1\nkind: Pod\n");
    folder.take((0..10_000).map(pod).collect());
    let before = folder.report();
    folder.take(vec![text("7.yaml", "# nothing\n")]);
    let start = std::time::Instant::now();
    for _ in 0..100 {
        let now = folder.report();
        assert!(now != before);
        assert_eq!(now.files.news(&before.files).count(), 1);
        now.log_news(&before);
    }
    // Lists of this length took a second each time.
    assert!(start.elapsed() < std::time::Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_file_that_was_never_usable_makes_the_folder_incomplete() {
    for (shows, seen, problem) in [
        (
            "malformed",
            Seen::Text("a: [".to_owned()),
            "document 1: line 1, column 4: a syntax error: unclosed bracket '['",
        ),
        (
            "empty",
            Seen::Text(String::new()),
            "is empty, as a half-written file is; one that is to define nothing holds a comment",
        ),
        ("unreadable", Seen::Unreadable("could not be read: no".to_owned()), "could not be read: no"),
        ("open for writing", Seen::BeingWritten, "is still being written"),
    ] {
        let mut folder = folder();
        folder.take(vec![(file("s.yaml"), seen)]);
        let report = folder.report();
        assert_eq!(problems(&report), [format!("conf/s.yaml: {problem}")], "{shows}");
        assert_eq!(report.unknown_files(), [std::path::Path::new("conf/s.yaml")], "{shows}");

        assert_eq!(words(&folder.take(vec![text("s.yaml", &service("a", "10.0.0.1"))])), "+a=10.0.0.1");
        assert_eq!(folder.report(), FileReport::default(), "{shows}");
    }
}

#[test]
fn a_file_that_was_never_usable_and_goes_leaves_nothing_unknown() {
    let mut folder = folder();
    folder.take(vec![text("s.yaml", "a: [")]);
    assert_eq!(words(&folder.take(vec![gone("s.yaml")])), "");
    assert_eq!(folder.report(), FileReport::default());
}

#[test]
fn a_usable_file_stays_as_it_was_while_it_is_written_truncated_or_unreadable() {
    let mut folder = folder();
    folder.take(vec![text("s.yaml", &service("a", "10.0.0.1"))]);
    for (shows, seen, problems) in [
        ("being written", Seen::BeingWritten, 0),
        ("truncated", Seen::Text(String::new()), 1),
        ("unreadable", Seen::Unreadable("could not be read: no".to_owned()), 1),
        ("the same text again", Seen::Text(service("a", "10.0.0.1")), 0),
    ] {
        assert_eq!(words(&folder.take(vec![(file("s.yaml"), seen)])), "", "{shows}");
        let report = folder.report();
        assert_eq!(report.problems().len(), problems, "{shows}");
        assert!(report.unknown == 0, "{shows}");
    }
}

#[test]
fn a_malformed_file_keeps_its_place_among_duplicates() {
    let mut folder = folder();
    folder.take(vec![text("a.yaml", &service("s", "10.0.0.1")), text("b.yaml", &service("s", "10.0.0.2"))]);
    assert_eq!(words(&folder.take(vec![text("a.yaml", "a: [")])), "", "a still defines it");
    assert_eq!(words(&folder.take(vec![gone("a.yaml")])), "+s=10.0.0.2");
}

#[test]
fn what_is_left_out_and_notes_name_their_file() {
    let mut folder = folder();
    let odd =
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: ten, ports: [{port: 80}]}\n";
    let other = "---\napiVersion: v1\nkind: ConfigMap\n";
    folder.take(vec![text("s.yaml", &format!("{odd}{other}"))]);
    let report = folder.report();
    let left_out: Vec<String> = report.left_out().iter().map(ToString::to_string).collect();
    assert_eq!(
        left_out,
        [
            "conf/s.yaml: document 1: Service default/s: spec.clusterIP: \"ten\" is not an IP address; it is left out"
        ]
    );
    let notes: Vec<String> = report.notes().iter().map(ToString::to_string).collect();
    assert_eq!(notes, ["conf/s.yaml: ConfigMap of v1 is not read here: 1 skipped"]);
}
