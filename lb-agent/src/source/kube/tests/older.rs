//! Servers that are not as far as what is known, and API servers of older versions.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::query::Resource;
use crate::api::testing::server::{Reply, Server, kind_of, service};
use crate::model::{Change, Kind, NamespaceTopology, Object, SourceState};
use crate::source::kube::{Timing, load};

use super::client::{Client, of, state};

const SERVICE: Kind = Kind::Service;

fn expired() -> Value {
    json!({"kind": "Status", "code": 410})
}

/// So YurtHub responds from its disk: asked for nothing older than 107, it sends what it had at 106.
#[tokio::test]
async fn a_list_that_is_older_than_what_is_known_removes_nothing_and_takes_nothing_back() {
    for is_streamed in [true, false] {
        let server = Server::start().await;
        let lined_up = |version: &str, items: &[Value]| {
            if is_streamed {
                return server.stream(SERVICE, version, items);
            }
            server.list(SERVICE, version, items);
            server.watch(SERVICE)
        };
        if !is_streamed {
            server.refuse(SERVICE, 422, "");
        }
        let watch = lined_up("100", &[service("a", "3"), service("gone", "5")]);
        watch.send("DELETED", &service("gone", "105"));
        watch.send("ADDED", &service("b", "107"));
        watch.send("MODIFIED", &service("a", "106"));
        watch.send("ERROR", &expired());
        let older = [service("a", "104"), service("gone", "5"), service("new", "102")];
        let watch = lined_up("106", &older);
        let mut client = Client::new(&server).await;
        assert_eq!(
            client.changes(SERVICE, 7).await,
            "+a +gone synced -gone +b +a +new",
            "what is new is taken"
        );
        let why = "sent a list of version 106, which is older than 107; nothing is removed for that";
        let says = |kind: &crate::model::KindState| {
            kind.last_failure.as_ref().is_some_and(|failure| failure.what == why)
        };
        client.until(|report| of(report, SERVICE).is_some_and(says)).await;
        watch.bookmark("106");
        watch.send("ADDED", &service("c", "106"));
        assert_eq!(client.next(SERVICE).await, "+c");
        assert_eq!(state(&client.report, SERVICE), Some(SourceState::Behind), "it is not as far as we are");
        watch.bookmark("107");
        client.until(|report| state(report, SERVICE) == Some(SourceState::InSync)).await;

        watch.send("ERROR", &expired());
        let _watch = lined_up("108", &[service("a", "106"), service("c", "106")]);
        let mut changes = Vec::new();
        while changes.len() < 4 {
            changes.push(client.next(SERVICE).await);
        }
        assert_eq!(changes.join(" "), "+a +c -b -new", "a list that is as far counts");
    }
}

/// At the start: what a list sent by a watch brought before it broke off is newer than the plain list after it,
/// which says nothing of what it lacks.
#[tokio::test]
async fn an_object_that_is_newer_than_a_list_does_not_go_for_that() {
    let server = Server::start().await;
    let watch = server.watch(SERVICE);
    for (name, version) in [("a", "30"), ("b", "40"), ("c", "5")] {
        watch.send("ADDED", &service(name, version));
    }
    drop(watch);
    server.list(SERVICE, "35", &[service("a", "3"), service("d", "6")]);
    let watch = server.watch(SERVICE);
    watch.send("DELETED", &service("b", "50"));
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(SERVICE, 7).await, "+a +b +c +d unlisted synced -b");
    assert!(server.asked(SERVICE)[1].contains("resourceVersion=40&"), "{:?}", server.asked(SERVICE));
}

/// A watch that sends again what was sent before, as one does that begins too early.
#[tokio::test]
async fn what_a_watch_sends_again_changes_nothing() {
    let server = Server::start().await;
    let watch = server.stream(SERVICE, "10", &[service("a", "8")]);
    watch.send("DELETED", &service("b", "12"));
    watch.send("ADDED", &service("c", "13"));
    watch.send("DELETED", &service("c", "14"));
    for (event, name, version) in
        [("DELETED", "a", "7"), ("MODIFIED", "a", "7"), ("ADDED", "c", "13"), ("MODIFIED", "a", "15")]
    {
        watch.send(event, &service(name, version));
    }
    watch.send("DELETED", &service("a", "16"));
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(SERVICE, 6).await, "+a synced +c -c +a -a");
}

/// Edge caches have no version at first and may have one later: they are asked again for a list now and then.
#[tokio::test]
async fn a_list_that_may_lack_something_is_asked_for_again_after_a_while() {
    let server = Server::start().await;
    server.refuse(SERVICE, 422, "");
    server.list(SERVICE, "", &[service("a", "3"), service("b", "4")]);
    let watch = server.watch(SERVICE);
    server.list(SERVICE, "20", &[service("b", "4")]);
    let uncertain = Duration::from_millis(500);
    let mut client = Client::with(server.address(), Timing { uncertain, ..Timing::default() }).await;
    assert_eq!(client.changes(SERVICE, 4).await, "+a +b unlisted synced");
    let says = "sends Service lists without a version or kind to go by";
    client.until(|report| report.notes.iter().any(|note| note.starts_with(says))).await;
    tokio::time::sleep(uncertain).await;
    drop(watch);
    assert_eq!(client.changes(SERVICE, 3).await, "+b -a complete");
    client.until(|report| report.notes.is_empty()).await;
}

#[tokio::test]
async fn slices_of_the_version_before_are_followed_where_a_server_has_no_other() {
    let server = Server::start().await;
    let slice = |name: &str, node: &str| {
        json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1beta1", "addressType": "IPv4",
            "metadata": {"name": name, "namespace": "default", "resourceVersion": "3",
                "labels": {"kubernetes.io/service-name": "web"}},
            "ports": [{"port": 80}],
            "endpoints": [{"addresses": ["10.1.0.1"], "topology": {"kubernetes.io/hostname": node}}]})
    };
    let list = json!({"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1beta1",
        "metadata": {"resourceVersion": "10"}, "items": [slice("a", "n1")]});
    let added = slice("b", "n2");
    server.otherwise(move |path| {
        let (kind, is_watch) = (kind_of(path), path.contains("watch=true"));
        if kind != Kind::EndpointSlice {
            return None;
        }
        if !path.starts_with("/apis/discovery.k8s.io/v1beta1/") {
            let text = "404 page not found\n".as_bytes().to_vec();
            return Some(Reply::Whole("HTTP/1.1 404 X\r\nContent-Type: text/plain\r\n".to_owned(), text));
        }
        if path.contains("sendInitialEvents") {
            return Some(Reply::refusal(422, ""));
        }
        if !is_watch {
            return Some(Reply::json(&list));
        }
        let (reply, end) = Reply::watch(kind);
        end.send("ADDED", &added);
        std::mem::forget(end);
        Some(reply)
    });
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(Kind::EndpointSlice, 3).await, "+a synced +b");
    client.until(|report| report.kinds.iter().all(|kind| kind.state == SourceState::InSync)).await;
    assert_eq!(of(&client.report, Kind::EndpointSlice).unwrap().last_failure, None, "this is no trouble");

    let config = server.config();
    let loaded = tokio::task::spawn_blocking(|| load(config, NamespaceTopology::Off)).await.unwrap().unwrap();
    let [Change::Apply(Object::Slice(slice))] = &loaded.changes[..] else { panic!("{loaded:?}") };
    assert_eq!(slice.endpoints[0].node.as_deref(), Some("n1"));
}

/// The version of the API changes what a slice says, and nothing else: it is read by one function.
#[test]
fn a_slice_of_either_version_is_one_change() {
    for (resource, node) in [(Resource::Slices, None), (Resource::SlicesV1Beta1, Some("n1"))] {
        let slice = json!({"kind": "EndpointSlice", "apiVersion": resource.api_version(), "addressType": "IPv4",
            "metadata": {"name": "a"},
            "endpoints": [{"addresses": ["10.1.0.1"], "topology": {"kubernetes.io/hostname": "n1"}}]});
        let mut tracker = crate::source::kube::tracker::Tracker::new(Kind::EndpointSlice);
        tracker.begin(resource);
        tracker.apply(slice.to_string().as_bytes()).unwrap();
        let changes = tracker.take_changes();
        let [Change::Apply(Object::Slice(slice))] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!(slice.endpoints[0].node.as_deref(), node);
    }
}
