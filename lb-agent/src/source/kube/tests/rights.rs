//! `deploy/rbac.yaml` grants what is asked for, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::announce::event;
use crate::api::query::{self, Resource, VersionMatch};
use crate::model::{Kind, ObjectName};

/// From the folder of the package, where tests run.
const GRANTED: &str = "../deploy/rbac.yaml";

/// `verb resource.group`.
type Rights = BTreeSet<String>;

#[test]
fn the_agent_may_do_exactly_what_it_does() {
    let service = ObjectName::new("default", "web");
    let mut asked: Rights = Kind::ALL.into_iter().flat_map(|kind| [list(kind), watch(kind)]).collect();
    asked.insert(right("create", &event::path(&service)));
    assert_eq!(granted("edgeloop-agent"), asked);
}

#[test]
fn a_viewer_may_list_and_nothing_else() {
    let asked: Rights = Kind::DECIDING.into_iter().map(list).collect();
    assert_eq!(granted("edgeloop-viewer"), asked);
}

#[test]
fn the_agents_account_has_the_agents_role() {
    let all = documents();
    let account = of(&all, "ServiceAccount", "edgeloop-agent");
    let binding = of(&all, "ClusterRoleBinding", "edgeloop-agent");
    assert_eq!(binding["roleRef"]["name"], "edgeloop-agent");
    let [subject] = binding["subjects"].as_array().unwrap().as_slice() else { panic!("{binding}") };
    for field in ["name", "namespace"] {
        assert_eq!(subject[field], account["metadata"][field]);
    }
    assert_eq!(account["metadata"]["namespace"], "kube-system");
}

fn list(kind: Kind) -> String {
    right("list", &query::list(Resource::of(kind), "n1", &VersionMatch::Any, None))
}

/// A list that a watch sends is a watch as well.
fn watch(kind: Kind) -> String {
    let watch = right("watch", &query::watch(Resource::of(kind), "n1", "1", Duration::from_secs(1)));
    assert_eq!(
        right("watch", &query::stream(Resource::of(kind), "n1", &VersionMatch::Any, Duration::from_secs(1))),
        watch
    );
    watch
}

/// The right that a request takes.
fn right(verb: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts[..] {
        ["api", "v1", "namespaces", _, resource] | ["api", "v1", resource] => format!("{verb} {resource}."),
        ["apis", group, "v1", resource] => format!("{verb} {resource}.{group}"),
        _ => panic!("{path} is no path of the API"),
    }
}

fn granted(role: &str) -> Rights {
    let all = documents();
    let mut rights = Rights::new();
    for rule in of(&all, "ClusterRole", role)["rules"].as_array().unwrap() {
        let words = |field: &str| -> Vec<String> {
            rule[field].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        for group in words("apiGroups") {
            for resource in words("resources") {
                rights.extend(words("verbs").iter().map(|verb| format!("{verb} {resource}.{group}")));
            }
        }
    }
    rights
}

fn documents() -> Vec<Value> {
    let text = std::fs::read_to_string(GRANTED).unwrap();
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

fn of<'a>(all: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let named = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    all.iter().find(named).unwrap()
}
