//! What is written is read again, and nothing else is.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::disk::{self, Found};
use super::format::{FORMAT, Header, Unusable, pack, packed, read};
use super::{Job, Outcome, Owner, Place, Saver};
use crate::model::{Change, Kind, Labels, Moment, Node, Object, ObjectKey, ObjectName, Unread};

/// A file of format 1 as it was written first. An agent that cannot read it any more raises the format.
const FIRST: &str = include_str!("first.jsonl");

#[test]
fn what_is_saved_is_what_is_read() {
    let saved = read(&file(), &owner()).unwrap();
    assert_eq!(saved.changes, changes());
    assert_eq!((saved.header.level, saved.header.saved), (3, moment()));
}

#[test]
fn a_file_that_is_not_whole_or_not_ours_is_refused_with_the_reason() {
    let whole = file();
    let cut = |bytes: usize| whole[..whole.len() - bytes].to_vec();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let with = |first: &str| packed(format!("{first}{}", body(&changes())).as_bytes()).unwrap();
    let line = |edit: fn(&mut Header)| {
        let mut header = header();
        edit(&mut header);
        pack(&header, changes()).unwrap().0
    };
    let damaged = "it is cut off or damaged";
    for (shows, bytes, why) in [
        ("an empty file", Vec::new(), damaged),
        ("text", b"{}\n".to_vec(), damaged),
        ("half a file", cut(whole.len() / 2), damaged),
        ("a file without its last byte", cut(1), damaged),
        ("a checksum that does not fit", flipped(whole.len() - 6), damaged),
        ("two files", [whole.clone(), whole.clone()].concat(), "it has something behind its end"),
        ("another program's", with("hello\n"), "its first line is not that of a saved state"),
        (
            "an older format",
            line(|header| header.format = 0),
            "it is written in format 0, and this agent reads format 1",
        ),
        (
            "a newer format",
            with("{\"format\":2,\"all\":\"else\"}\n"),
            "it is written in format 2, and this agent reads format 1",
        ),
        (
            "another node's",
            line(|header| header.node = "n2\n".to_owned()),
            "it is the state of Node n2\\n, and this is n1",
        ),
        (
            "another cluster's",
            line(|header| header.server = "https://192.0.2.2:6443".to_owned()),
            "it is the state of the API server https://192.0.2.2:6443, and this agent follows https://192.0.2.1:6443",
        ),
        ("fewer changes", line(|header| header.changes += 1), "it has 4 changes, and its first line says 5"),
        (
            "a change of no kind",
            packed(format!("{}\n{{}}\n", serde_json::to_string(&header()).unwrap()).as_bytes()).unwrap(),
            "its line 2 cannot be read",
        ),
    ] {
        let error = read(&bytes, &owner()).unwrap_err().to_string();
        assert!(error.starts_with(why), "{shows}: {error}");
    }
    for at in 0..whole.len() {
        // The header of gzip has bytes that say nothing, such as the system it was made on.
        let said_nothing = matches!(at, 3..=9);
        assert!(said_nothing || read(&flipped(at), &owner()).is_err(), "byte {at}");
        assert!(read(&whole[..at], &owner()).is_err(), "{at} bytes");
    }
}

#[test]
fn a_refused_file_is_kept_aside_and_one_without_a_name_is_no_matter() {
    let folder = TempDir::new().unwrap();
    let place = Place { file: folder.path().join("deep/x.state.gz"), owner: owner() };
    assert!(matches!(disk::load(&place), Found::Nothing));
    disk::replace(&place.file, &file()).unwrap();
    assert!(matches!(disk::load(&place), Found::Saved(_)));
    assert_eq!(disk::header(&place.file), Some(header()));

    disk::replace(&place.file, b"half").unwrap();
    assert_eq!(disk::header(&place.file), None);
    let Found::Refused { why, aside } = disk::load(&place) else { panic!("it was used") };
    assert!(matches!(why, disk::Refusal::Unusable(Unusable::Damaged(_))), "{why:?}");
    assert_eq!(fs::read(aside.unwrap()).unwrap(), b"half");
    assert!(matches!(disk::load(&place), Found::Nothing));
    let left: Vec<_> = fs::read_dir(place.file.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn the_first_file_of_this_format_can_be_read() {
    let (_, rest) = FIRST.split_once('\n').unwrap();
    let saved = read(&packed(FIRST.as_bytes()).unwrap(), &owner()).unwrap();
    assert_eq!(saved.changes.len(), saved.header.changes);
    assert_eq!(body(&saved.changes), rest);
}

#[test]
fn the_way_to_the_api_server_is_never_served_from_a_saved_state() {
    let named = |name: &str| {
        Change::Delete(ObjectKey { kind: Kind::Service, name: ObjectName::new("default", name) })
    };
    let mut saved = read(&file(), &owner()).unwrap();
    saved.changes = vec![named("kubernetes"), named("web")];
    assert_eq!(saved.into_decisive().collect::<Vec<_>>(), [named("web")]);
}

/// An older agent's file says nothing of what Namespaces say: that it is complete must not be taken from it.
#[test]
fn that_namespaces_are_known_is_taken_from_a_file_that_has_what_they_say() {
    for (namespaces, expected) in [(true, vec![Change::Synced(Kind::Namespace)]), (false, vec![])] {
        let mut saved = read(&file(), &owner()).unwrap();
        saved.header.namespaces = namespaces;
        saved.changes = vec![Change::Synced(Kind::Namespace)];
        assert_eq!(saved.into_decisive().collect::<Vec<_>>(), expected);
    }
    let first = read(&packed(FIRST.as_bytes()).unwrap(), &owner()).unwrap();
    assert!(!first.header.namespaces);
}

/// A folder, or `/dev/null`, is often given where nothing is to be written.
#[test]
fn what_is_no_file_of_its_own_is_neither_renamed_nor_replaced_nor_waited_for() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("folder")).unwrap();
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("/dev/null", at("null")).unwrap();
    for name in ["folder", "pipe", "null"] {
        let place = Place { file: at(name), owner: owner() };
        let before = fs::symlink_metadata(&place.file).unwrap().file_type();
        assert!(
            matches!(disk::load(&place), Found::Refused { why: disk::Refusal::OtherKind, aside: None }),
            "{name}"
        );
        assert_eq!(disk::header(&place.file), None);
        let error = disk::replace(&place.file, &file()).unwrap_err().to_string();
        assert_eq!(error, "there is something that is not a regular file", "{name}");
        assert_eq!(fs::symlink_metadata(&place.file).unwrap().file_type(), before, "{name}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing was left");
}

#[test]
fn a_state_that_the_file_has_already_is_not_written_again() {
    let folder = TempDir::new().unwrap();
    let place = Place { file: folder.path().join("state.gz"), owner: owner() };
    // Each saver is another start.
    for (changes, is_written) in [(changes(), true), (changes(), false), (vec![], true)] {
        let (done, outcome) = std::sync::mpsc::channel();
        let saver = Saver::new(place.clone(), move |outcome| done.send(outcome).unwrap()).unwrap();
        assert!(saver.save(Job { changes, at: moment(), level: 0 }));
        match outcome.recv().unwrap() {
            Outcome::Written => assert!(is_written),
            Outcome::Same => assert!(!is_written),
            Outcome::Failed(error) => panic!("{error}"),
        }
    }
}

/// What follows the header.
fn body(changes: &[Change]) -> String {
    changes.iter().map(|change| format!("{}\n", serde_json::to_string(change).unwrap())).collect()
}

fn file() -> Vec<u8> {
    pack(&header(), changes()).unwrap().0
}

fn owner() -> Owner {
    Owner { node: "n1".to_owned(), server: "https://192.0.2.1:6443".to_owned() }
}

fn moment() -> Moment {
    Moment {
        boot: "b".to_owned(),
        since_boot: Duration::from_millis(1500),
        clock: "2026-01-01T00:00:00Z".to_owned(),
    }
}

fn header() -> Header {
    let Owner { node, server } = owner();
    Header {
        format: FORMAT,
        node,
        server,
        saved: moment(),
        level: 3,
        namespaces: true,
        changes: changes().len(),
    }
}

fn changes() -> Vec<Change> {
    let labels: Labels = [("openyurt.io/nodepool".into(), "shanghai".into())].into();
    vec![
        Change::Apply(Object::Node(Node { name: "n1".into(), labels, odd_labels: Vec::new() })),
        Change::Unread(Unread::Service(ObjectName::new("default", "new\nline"))),
        Change::Synced(Kind::Service),
        Change::Synced(Kind::EndpointSlice),
    ]
}
