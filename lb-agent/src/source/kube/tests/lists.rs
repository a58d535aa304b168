//! What counts as a list: nothing but a complete one of what was asked for removes anything.

use serde_json::{Value, json};

use crate::api::testing::server::{Reply, Server, list, service};
use crate::model::{Kind, SourceState};

use super::client::{Client, of, state};

const SERVICE: Kind = Kind::Service;
const JSON: &str = "application/json";

fn named(kind: &str, version: &str, items: &Value) -> String {
    json!({"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items})
        .to_string()
}

#[tokio::test]
async fn what_is_not_a_list_of_what_was_asked_for_changes_nothing_and_is_named() {
    let table = json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "20"},
        "columnDefinitions": [], "rows": []});
    let nameless = json!([{"metadata": {"name": "c", "namespace": "default"}}]);
    let pod = json!([{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "c", "namespace": "default"}}]);
    let sorted = r#"{"apiVersion":"v1","items":[{"metadata":{"name":"c"}}],"kind":"PodList","metadata":{}}"#;
    for (shows, content_type, body) in [
        ("a Table of meta.k8s.io/v1 instead of the ServiceList of v1", JSON, table.to_string()),
        ("a PodList of v1 instead of the ServiceList of v1", JSON, named("PodList", "20", &nameless)),
        ("a PodList of v1 instead of the ServiceList of v1", JSON, named("PodList", "20", &json!([]))),
        ("a PodList of v1 instead of the ServiceList of v1", JSON, sorted.to_owned()),
        ("a Pod of v1 instead of the Service of v1", JSON, named("ServiceList", "20", &pod)),
        ("a Pod of v1 instead of the Service of v1", JSON, named("List", "20", &pod)),
        ("something without a kind instead of the Service of v1", JSON, named("List", "20", &nameless)),
        (
            "a ServiceList without items",
            JSON,
            json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "20"}})
                .to_string(),
        ),
        ("a ServiceList without items", JSON, "{}".to_owned()),
        ("text/html instead of JSON", "text/html", named("ServiceList", "20", &json!([]))),
        ("what was sent is not a list of objects", JSON, r#"["ServiceList","v1",{},[]]"#.to_owned()),
        ("what was sent is not a list of objects", JSON, named("ServiceList", "20", &json!([5]))),
        ("every Service needs a name", JSON, named("ServiceList", "20", &json!([{"metadata": {}}]))),
    ] {
        let server = Server::start().await;
        server.refuse(SERVICE, 422, "");
        server.list(SERVICE, "10", &[service("a", "3"), service("b", "4")]);
        let watch = server.watch(SERVICE);
        watch.send("ERROR", &json!({"kind": "Status", "code": 410}));
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n");
        server.reply(SERVICE, Reply::Whole(head, body.into_bytes()));
        server.list(SERVICE, "20", &[service("a", "3"), service("d", "15")]);
        let mut client = Client::new(&server).await;
        assert_eq!(client.changes(SERVICE, 3).await, "+a +b synced");
        let says = |what: &str| what.contains(shows);
        client
            .until(|report| {
                of(report, SERVICE)
                    .and_then(|kind| kind.last_failure.as_ref())
                    .is_some_and(|why| says(&why.what))
            })
            .await;
        assert_eq!(state(&client.report, SERVICE), Some(SourceState::Behind), "{shows}");
        assert_eq!(client.changes(SERVICE, 3).await, "+a +d -b", "{shows}");
    }
}

#[tokio::test]
async fn a_list_of_anything_counts_where_each_item_says_what_it_is() {
    for (kind, sorted) in [("List", false), ("List", true), ("ServiceList", true)] {
        let server = Server::start().await;
        server.refuse(SERVICE, 422, "");
        let items = json!([service("a", "3"), service("b", "4")]);
        let body = if sorted {
            format!(
                r#"{{"apiVersion":"v1","items":{items},"kind":"{kind}","metadata":{{"resourceVersion":"10"}}}}"#
            )
        } else {
            named(kind, "10", &items)
        };
        server.body(SERVICE, &body);
        let mut client = Client::new(&server).await;
        assert_eq!(client.changes(SERVICE, 3).await, "+a +b synced", "{kind}");
    }
}

/// So Go writes lists: the items carry no kind, and the list's stands before or behind them.
#[tokio::test]
async fn items_that_do_not_say_what_they_are_wait_until_the_list_does() {
    let server = Server::start().await;
    server.refuse(SERVICE, 422, "");
    let mut item = service("a", "3");
    for field in ["kind", "apiVersion"] {
        item.as_object_mut().unwrap().remove(field);
    }
    let body = format!(
        r#"{{"apiVersion":"v1","items":[{item}],"kind":"ServiceList","metadata":{{"resourceVersion":"10"}}}}"#
    );
    server.body(SERVICE, &body);
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(SERVICE, 2).await, "+a synced");
}

/// Edge caches such as KubeEdge's MetaServer: what they list is there, and what they do not may be as well.
#[tokio::test]
async fn a_list_without_a_version_adds_and_removes_nothing_but_deletions_do() {
    for metadata in [json!(null), json!({"resourceVersion": ""}), json!({"resourceVersion": "0"})] {
        let server = Server::start().await;
        server.refuse(SERVICE, 422, "");
        let body = |items: &[Value]| {
            let mut body = list(SERVICE, "", items);
            body["metadata"] = metadata.clone();
            body.to_string()
        };
        server.body(SERVICE, &body(&[service("a", "3"), service("b", "4")]));
        let watch = server.watch(SERVICE);
        let mut client = Client::new(&server).await;
        assert_eq!(client.changes(SERVICE, 4).await, "+a +b unlisted synced", "{metadata}");
        client.until(|report| state(report, SERVICE) == Some(SourceState::InSync)).await;
        assert!(server.asked(SERVICE)[2].ends_with("&resourceVersion="), "{:?}", server.asked(SERVICE));

        watch.send("DELETED", &service("a", "5"));
        watch.send("DELETED", &service("never-listed", "6"));
        assert_eq!(client.changes(SERVICE, 2).await, "-a -never-listed");
        watch.send("ERROR", &json!({"kind": "Status", "code": 410}));
        server.refuse(SERVICE, 422, "");
        server.body(SERVICE, &body(&[service("c", "9")]));
        let watch = server.watch(SERVICE);
        assert_eq!(client.next(SERVICE).await, "+c", "{metadata}");

        watch.send("ERROR", &json!({"kind": "Status", "code": 410}));
        server.list(SERVICE, "20", &[service("c", "9")]);
        assert_eq!(
            client.changes(SERVICE, 3).await,
            "+c -b complete",
            "{metadata}: a list with a version counts"
        );
    }
}

#[tokio::test]
async fn frames_of_a_watch_that_are_of_another_kind_change_nothing() {
    let of = |kind: &str, api_version: &str| {
        json!({"kind": kind, "apiVersion": api_version,
            "metadata": {"name": "a", "namespace": "default", "resourceVersion": "11"}})
    };
    for (shows, object) in [
        ("a Pod of v1 instead of the Service of v1", of("Pod", "v1")),
        (
            "a Service of serving.knative.dev/v1 instead of the Service of v1",
            of("Service", "serving.knative.dev/v1"),
        ),
        ("a Table of meta.k8s.io/v1 instead of the Service of v1", of("Table", "meta.k8s.io/v1")),
        ("something without a kind instead of the Service of v1", json!({"metadata": {"name": "a"}})),
        ("what was sent is not an object", json!(5)),
        ("what was sent is not an object", json!(null)),
        ("what was sent is not an object", json!(["Service", "v1", {"name": "a"}])),
    ] {
        for event in ["DELETED", "MODIFIED"] {
            let server = Server::start().await;
            let watch = server.stream(SERVICE, "10", &[service("a", "3")]);
            watch.send(event, &object);
            drop(watch);
            let next = server.watch(SERVICE);
            next.raw("\n\n \r\n");
            next.send("ADDED", &service("b", "12"));
            let mut client = Client::new(&server).await;
            assert_eq!(client.changes(SERVICE, 3).await, "+a synced +b", "{shows}");
            let failure = super::client::of(&client.report, SERVICE).unwrap().last_failure.clone();
            assert!(failure.unwrap().what.contains(shows), "{shows}");
        }
    }
}

/// A list that a watch sends is one as well: frames of another kind, and an end that is not its.
#[tokio::test]
async fn a_streamed_list_with_another_end_is_none() {
    let end = json!({"kind": "Pod", "apiVersion": "v1",
        "metadata": {"resourceVersion": "20", "annotations": {"k8s.io/initial-events-end": "true"}}});
    let server = Server::start().await;
    let watch = server.stream(SERVICE, "10", &[service("a", "3"), service("b", "4")]);
    watch.send("ERROR", &json!({"kind": "Status", "code": 410}));
    let again = server.watch(SERVICE);
    again.send("ADDED", &service("a", "3"));
    again.send("BOOKMARK", &end);
    drop(again);
    server.refuse(SERVICE, 422, "");
    server.list(SERVICE, "20", &[service("a", "3"), service("b", "4"), service("c", "12")]);
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(SERVICE, 3).await, "+a +b synced");
    let mut changes = Vec::new();
    while changes.last().is_none_or(|last| last != "+c") {
        changes.push(client.next(SERVICE).await);
    }
    assert!(!changes.iter().any(|change| change.starts_with('-')), "{changes:?}");
}
