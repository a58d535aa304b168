//! Pods and Namespaces, which say who is skipped: followed where asked for, and waited for by nothing.

use serde_json::{Value, json};

use crate::api::testing::server::{Server, service};
use crate::model::{Kind, SourceState};

use super::client::{Client, of, state};

#[tokio::test]
async fn the_pods_of_one_node_are_followed_by_their_metadata() {
    let server = Server::start().await;
    let watch = server.stream(Kind::Pod, "10", &[pod("a", "3")]);
    let mut client = Client::with_pods_of("n1", &server).await;
    assert_eq!(client.changes(Kind::Pod, 2).await, "+a synced");
    watch.send("ADDED", &pod("b", "11"));
    // As it is sent when the pod has ended, and is not asked for any more.
    watch.send("DELETED", &pod("a", "12"));
    assert_eq!(client.changes(Kind::Pod, 2).await, "+b -a");
    client.until(|report| report.kinds.iter().all(|kind| kind.state == SourceState::InSync)).await;
    assert_eq!(client.report.kinds.len(), Kind::ALL.len());
    assert!(server.asked(Kind::Pod)[0].contains("spec.nodeName%3Dn1%2C"), "{:?}", server.asked(Kind::Pod));
    for path in ["/api/v1/pods?", "/api/v1/namespaces?"] {
        let heads = server.heads();
        let head = heads.iter().find(|head| head.contains(path)).unwrap();
        assert!(head.contains("as=PartialObjectMetadata;g=meta.k8s.io;v=v1"), "{head}");
    }
}

#[tokio::test]
async fn an_agent_that_may_not_read_pods_says_so_and_follows_all_else() {
    let server = Server::start().await;
    for _ in 0..2 {
        // The list that a watch sends, and the plain one.
        server.refuse(Kind::Pod, 403, "");
    }
    let watch = server.stream(Kind::Service, "10", &[service("a", "3")]);
    let mut client = Client::with_pods_of("n1", &server).await;
    client.until(|report| report.notes.iter().any(|note| note.starts_with("refuses Pods"))).await;
    assert_eq!(state(&client.report, Kind::Pod), Some(SourceState::Starting));
    let failure = of(&client.report, Kind::Pod).unwrap().last_failure.clone().unwrap();
    assert_eq!(failure.what, "answered 403: no");
    assert_eq!(client.changes(Kind::Service, 2).await, "+a synced");
    watch.send("ADDED", &service("b", "11"));
    assert_eq!(client.next(Kind::Service).await, "+b");
    client.until(|report| report.notes.is_empty()).await;
    client.until(|report| state(report, Kind::Pod) == Some(SourceState::InSync)).await;
}

#[tokio::test]
async fn namespaces_are_followed_where_they_decide_and_pods_are_not() {
    let server = Server::start().await;
    let named = |version: &str, keys: &str| {
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "shop", "resourceVersion": version, "annotations": {"edgeloop.io/topology": keys}}})
    };
    let watch = server.stream(Kind::Namespace, "10", &[named("3", "kubernetes.io/hostname")]);
    let mut client = Client::with_namespaces(&server).await;
    assert_eq!(client.changes(Kind::Namespace, 2).await, "+shop synced");
    watch.send("MODIFIED", &named("11", "openyurt.io/nodepool"));
    watch.send("DELETED", &named("12", "openyurt.io/nodepool"));
    assert_eq!(client.changes(Kind::Namespace, 2).await, "+shop -shop");
    client.until(|report| report.kinds.iter().all(|kind| kind.state == SourceState::InSync)).await;
    let kinds: Vec<Kind> = client.report.deciding().map(|of| of.kind).collect();
    assert_eq!(kinds, [Kind::Service, Kind::EndpointSlice, Kind::Node, Kind::Namespace]);
    assert_eq!(client.report.kinds.len(), kinds.len(), "no pods");
}

#[tokio::test]
async fn an_agent_that_may_not_read_namespaces_that_decide_says_who_waits() {
    let server = Server::start().await;
    for _ in 0..2 {
        server.refuse(Kind::Namespace, 403, "");
    }
    let mut client = Client::with_namespaces(&server).await;
    client
        .until(|report| {
            report.notes.iter().any(|note| note.contains("start it without --namespace-topology"))
        })
        .await;
    client.until(|report| report.notes.is_empty()).await;
}

/// What it does not name may exist: nothing counts as gone for that, and no Service either.
#[tokio::test]
async fn a_list_of_pods_that_may_lack_some_is_not_all_of_them() {
    let server = Server::start().await;
    server.refuse(Kind::Pod, 400, "");
    let list = json!({"metadata": {}, "items": [pod("a", "3")]});
    server.body(Kind::Pod, &list.to_string());
    let watch = server.watch(Kind::Pod);
    let mut client = Client::with_pods_of("n1", &server).await;
    assert_eq!(client.next(Kind::Pod).await, "+a");
    watch.send("ADDED", &pod("b", "11"));
    assert_eq!(client.next(Kind::Pod).await, "+b", "not in sync");
}

fn pod(name: &str, version: &str) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": version}})
}
