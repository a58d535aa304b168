//! Which pods are to be skipped, and from when on it is known that no other is.

use std::sync::Arc;

use crate::model::{
    Change, Kind, Namespace, Object, ObjectKey, ObjectName, Pod, PodState, SkipLabel, Unread,
};
use crate::store::{Rules, SkipLabelled, Store};

use super::store;

/// `+name` is a pod with the label, `-name` one without it; in namespace `mesh` if that is named. `!name` is deleted.
/// `N+name` and the like are Namespaces.
#[test]
fn a_pod_is_skipped_while_it_or_its_namespace_has_the_label() {
    for (changes, skipped) in [
        ("+a -b", "a"),
        ("+a -a", ""),
        ("-a +a", "a"),
        ("+a !a", ""),
        ("-mesh/a N+mesh", "mesh/a"),
        ("N+mesh -mesh/a", "mesh/a"),
        ("N+mesh -mesh/a -b", "mesh/a"),
        ("N+mesh -mesh/a N-mesh", ""),
        ("N+mesh -mesh/a N!mesh", ""),
        ("N+mesh +mesh/a N-mesh", "mesh/a"),
        ("N-mesh +mesh/a -mesh/b", "mesh/a"),
    ] {
        let mut store = store([]);
        for change in changes.split(' ') {
            store.apply(read(change));
        }
        assert_eq!(names(&store), skipped, "{changes}");
        assert!(store.take_skip_news() && !store.take_skip_news() && store.dirty().is_empty(), "{changes}");
    }
}

#[test]
fn pods_of_other_nodes_or_that_have_ended_or_have_no_uid_are_none() {
    let a = pod("a", SkipLabel::Skip);
    for (shows, pod, skipped) in [
        ("here", Pod { node: Some("n1".into()), ..a.clone() }, "a"),
        ("elsewhere", Pod { node: Some("n2".into()), ..a.clone() }, ""),
        ("ended", Pod { state: PodState::Ended, ..a.clone() }, ""),
        ("without a uid", Pod { uid: None, ..a.clone() }, ""),
    ] {
        let mut store = store([Object::Pod(a.clone())]);
        store.take_skip_news();
        store.apply(Change::Apply(Object::Pod(pod)));
        assert_eq!(names(&store), skipped, "{shows}");
        assert_eq!(store.take_skip_news(), skipped.is_empty(), "{shows}");
    }
}

#[test]
fn what_skips_none_is_no_news() {
    let mut store = store([]);
    store.take_skip_news();
    for change in ["-a", "-a", "!a", "N-mesh", "N!mesh", "-mesh/a", "!mesh/a"] {
        store.apply(read(change));
        assert!(!store.take_skip_news(), "{change}");
    }
}

#[test]
fn that_no_other_pod_is_to_be_skipped_is_known_once_all_of_both_kinds_have_come() {
    let mut store = Store::new("n1", Rules::default());
    for kind in Kind::ALL {
        assert!(!store.knows_skipped_pods(), "{kind:?}");
        store.apply(Change::Synced(kind));
    }
    assert!(store.knows_skipped_pods() && store.take_skip_news());
    for (unread, read_again) in [
        (Unread::Pod(ObjectName::new("default", "a")), "-a"),
        (Unread::Namespace("mesh".into()), "N-mesh"),
        (Unread::Namespace("mesh".into()), "N!mesh"),
    ] {
        store.apply(Change::Unread(unread));
        assert!(!store.knows_skipped_pods(), "{read_again}");
        store.take_skip_news();
        store.apply(read(read_again));
        assert!(store.knows_skipped_pods() && store.take_skip_news(), "{read_again}");
        store.apply(read("!a"));
    }
    store.apply(read("+b"));
    store.apply(Change::Unread(Unread::Pod(ObjectName::new("default", "b"))));
    assert_eq!(
        (names(&store), store.knows_skipped_pods()),
        ("b".to_owned(), true),
        "what was read of it stays"
    );
    store.apply(Change::Incomplete);
    assert!(!store.knows_skipped_pods());
    store.apply(Change::Complete);
    assert!(store.knows_skipped_pods() && store.take_skip_news());
}

#[test]
fn where_the_label_does_not_count_it_is_known_at_once_that_none_is_skipped() {
    let rules = Rules { skip_labelled: SkipLabelled::Off, ..Rules::default() };
    let mut store = Store::new("n1", rules);
    store.apply(read("+a"));
    assert_eq!((names(&store), store.knows_skipped_pods()), (String::new(), true));
}

#[test]
fn no_service_waits_for_pods_or_namespaces() {
    let mut store = Store::new("n1", Rules::default());
    Kind::DECIDING.into_iter().for_each(|kind| store.apply(Change::Synced(kind)));
    store.take_dirty();
    assert!(store.is_ready() && store.known() == crate::store::Known::All);
    store.apply(Change::Unread(Unread::Namespace("mesh".into())));
    store.apply(Change::Synced(Kind::Pod));
    assert!(store.is_ready() && store.dirty().is_empty() && !store.take_sweep());
}

fn names(store: &Store) -> String {
    let all: Vec<String> = store.skipped_pods().into_values().map(|name| name.to_string()).collect();
    all.join(" ").replace("default/", "")
}

fn read(written: &str) -> Change {
    let name = |text: &str| match text.split_once('/') {
        Some((namespace, name)) => ObjectName::new(namespace, name),
        None => ObjectName::new("default", text),
    };
    if let Some(written) = written.strip_prefix('N') {
        let (sign, namespace) = written.split_at(1);
        return match sign {
            "!" => Change::Delete(ObjectKey { kind: Kind::Namespace, name: ObjectName::new("", namespace) }),
            sign => Change::Apply(Object::Namespace(Namespace {
                name: namespace.into(),
                label: label(sign),
                topology: None,
            })),
        };
    }
    match written.split_at(1) {
        ("!", of) => Change::Delete(ObjectKey { kind: Kind::Pod, name: name(of) }),
        (sign, of) => {
            Change::Apply(Object::Pod(Pod { name: name(of), uid: Some(of.into()), ..pod(of, label(sign)) }))
        }
    }
}

fn label(sign: &str) -> SkipLabel {
    if sign == "+" { SkipLabel::Skip } else { SkipLabel::Absent }
}

fn pod(name: &str, label: SkipLabel) -> Pod {
    let uid: Option<Arc<str>> = Some(name.into());
    Pod { name: ObjectName::new("default", name), uid, node: None, label, state: PodState::Live }
}
