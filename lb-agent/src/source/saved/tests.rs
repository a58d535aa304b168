//! What is written is read again, and nothing else is.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::disk::{self, Found};
use super::format::{FORMAT, Header, Unusable, body, packed, read, write};
use super::{Owner, Place};
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
    let with = |first: &str| packed(first.as_bytes(), &body(&changes())).unwrap();
    let line = |edit: fn(&mut Header)| {
        let mut header = header();
        edit(&mut header);
        write(&header, &body(&changes())).unwrap()
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
            packed(&serde_json::to_vec(&header()).unwrap(), b"\n{}\n").unwrap(),
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
    assert_eq!(fs::read(aside).unwrap(), b"half");
    assert!(matches!(disk::load(&place), Found::Nothing));
    let left: Vec<_> = fs::read_dir(place.file.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn the_first_file_of_this_format_can_be_read() {
    let (first, rest) = FIRST.split_once('\n').unwrap();
    let bytes = packed(format!("{first}\n").as_bytes(), rest.as_bytes()).unwrap();
    let saved = read(&bytes, &owner()).unwrap();
    assert_eq!(saved.changes.len(), saved.header.changes);
    assert_eq!(String::from_utf8(body(&saved.changes)).unwrap(), rest);
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

fn file() -> Vec<u8> {
    write(&header(), &body(&changes())).unwrap()
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
    Header { format: FORMAT, node, server, saved: moment(), level: 3, changes: changes().len() }
}

fn changes() -> Vec<Change> {
    let labels: Labels = [("openyurt.io/nodepool".into(), "shanghai".into())].into();
    vec![
        Change::Apply(Object::Node(Node { name: "n1".into(), labels })),
        Change::Unread(Unread::Service(ObjectName::new("default", "new\nline"))),
        Change::Synced(Kind::Service),
        Change::Synced(Kind::EndpointSlice),
    ]
}
