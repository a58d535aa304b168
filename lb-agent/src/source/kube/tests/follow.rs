//! What is followed: lists, watches, bookmarks, and what is gone after a list that comes again.

use std::time::Duration;

use serde_json::json;

use crate::api::testing::server::{Server, service, too_large};
use crate::model::{Kind, SourceState};

use super::client::{Client, of, state};
use crate::source::kube::Timing;

#[tokio::test]
async fn a_list_sent_by_a_watch_is_followed_by_its_changes() {
    let server = Server::start().await;
    let watch = server.stream(Kind::Service, "10", &[service("a", "3"), service("b", "5")]);
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(Kind::Service, 3).await, "+a +b synced");

    watch.send("MODIFIED", &service("b", "11"));
    watch.send("ADDED", &service("c", "12"));
    watch.send("DELETED", &service("a", "13"));
    assert_eq!(client.changes(Kind::Service, 3).await, "+b +c -a");
    let asked = server.asked(Kind::Service);
    assert!(asked[0].contains("sendInitialEvents=true&resourceVersion=0&"), "{asked:?}");
}

#[tokio::test]
async fn slices_are_all_that_count_for_a_service_and_nodes_come_as_metadata() {
    let server = Server::start().await;
    let mut client = Client::new(&server).await;
    assert_eq!(client.next(Kind::Node).await, "synced");
    client.until(|report| report.kinds.iter().all(|kind| kind.state == SourceState::InSync)).await;
    let asked = server.asked(Kind::EndpointSlice);
    assert!(asked[0].contains("?labelSelector=%21service.kubernetes.io%2Fheadless&"), "{asked:?}");
    let heads = server.heads();
    let of_nodes = heads.iter().find(|head| head.contains("/nodes")).unwrap();
    assert!(of_nodes.contains("as=PartialObjectMetadata;g=meta.k8s.io;v=v1"), "{of_nodes}");
    assert!(heads.iter().all(|head| head.contains("user-agent: edgeloop/")));
}

#[tokio::test]
async fn a_server_that_sends_no_lists_by_watches_is_asked_for_plain_ones() {
    for code in [400, 403, 405, 422] {
        let server = Server::start().await;
        server.refuse(Kind::Service, code, "");
        server.list(Kind::Service, "10", &[service("a", "3")]);
        let watch = server.watch(Kind::Service);
        let mut client = Client::new(&server).await;
        assert_eq!(client.changes(Kind::Service, 2).await, "+a synced", "{code}");
        watch.send("ADDED", &service("b", "11"));
        assert_eq!(client.next(Kind::Service).await, "+b");

        let asked = server.asked(Kind::Service);
        assert!(asked[1].contains("?resourceVersion=0&resourceVersionMatch=NotOlderThan"), "{asked:?}");
        assert!(asked[2].contains("&resourceVersion=10"), "{asked:?}");
    }
}

#[tokio::test]
async fn an_error_in_the_watch_is_a_refusal_too() {
    let server = Server::start().await;
    let refusal = server.watch(Kind::Service);
    refusal
        .send("ERROR", &json!({"kind": "Status", "code": 500, "message": "sendInitialEvents is forbidden"}));
    server.list(Kind::Service, "10", &[service("a", "3")]);
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(Kind::Service, 2).await, "+a synced");
    assert_eq!(of(&client.report, Kind::Service).unwrap().last_failure, None, "this is no trouble");
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_from_the_last_bookmark() {
    let server = Server::start().await;
    let watch = server.stream(Kind::Service, "10", &[]);
    watch.bookmark("25");
    drop(watch);
    let next = server.watch(Kind::Service);
    let mut client = Client::new(&server).await;
    assert_eq!(client.next(Kind::Service).await, "synced");
    next.send("ADDED", &service("a", "26"));
    assert_eq!(client.next(Kind::Service).await, "+a");
    let asked = server.asked(Kind::Service);
    assert!(asked[1].ends_with("&resourceVersion=25"), "{asked:?}");
    assert_eq!(of(&client.report, Kind::Service).unwrap().last_failure, None, "this is no trouble");
}

#[tokio::test]
async fn a_version_that_is_gone_leads_to_a_list_that_removes_exactly_what_is_gone() {
    let server = Server::start().await;
    let watch =
        server.stream(Kind::Service, "10", &[service("a", "3"), service("b", "4"), service("c", "5")]);
    watch.send("ERROR", &json!({"kind": "Status", "code": 410, "reason": "Expired"}));
    drop(watch);
    let _again = server.stream(Kind::Service, "90", &[service("b", "4"), service("d", "80")]);
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(Kind::Service, 4).await, "+a +b +c synced");
    assert_eq!(client.changes(Kind::Service, 4).await, "+b +d -a -c");
    let asked = server.asked(Kind::Service);
    assert!(asked[1].contains("&resourceVersion=10&"), "no way back in time: {asked:?}");
}

#[tokio::test]
async fn another_servers_version_leads_to_a_list_of_what_this_server_has() {
    let server = Server::start().await;
    drop(server.stream(Kind::Service, "9000", &[service("a", "3"), service("b", "4")]));
    server.refuse_as_too_large(Kind::Service);
    let _this = server.stream(Kind::Service, "12", &[service("b", "11")]);
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(Kind::Service, 3).await, "+a +b synced");
    assert_eq!(client.changes(Kind::Service, 2).await, "+b -a");
    client.until(|report| state(report, Kind::Service) == Some(SourceState::InSync)).await;
    let asked = server.asked(Kind::Service);
    assert!(asked[2].contains("&resourceVersion=&"), "whatever this server has: {asked:?}");
}

/// Such a server sends nothing of what happens, and not even bookmarks, until its own versions
/// are as high as ours. So a watch that says nothing to its end, after one that ended early, is asked about.
#[tokio::test]
async fn a_watch_that_sent_nothing_to_its_end_may_be_another_servers() {
    for knows_it in [false, true] {
        let server = Server::start().await;
        let watch = server.stream(Kind::Service, "9000", &[service("a", "3"), service("b", "4")]);
        let silent = server.watch(Kind::Service);
        let mut client = Client::with(server.address(), SHORT).await;
        assert_eq!(client.changes(Kind::Service, 3).await, "+a +b synced");
        if knows_it {
            server.list(Kind::Service, "9000", &[]);
        } else {
            server.refuse_as_too_large(Kind::Service);
        }
        let next = server.stream(Kind::Service, "12", &[service("b", "11")]);
        tokio::time::sleep(Duration::from_millis(600)).await;
        drop(watch);
        while server.asked(Kind::Service).len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(1700)).await;
        drop(silent);
        if knows_it {
            next.send("ADDED", &service("c", "9001"));
            while client.next(Kind::Service).await != "+c" {}
        } else {
            assert_eq!(client.changes(Kind::Service, 2).await, "+b -a");
        }
        let asked = server.asked(Kind::Service);
        assert!(asked[2].contains("fieldSelector=metadata.name%3D-&resourceVersion=9000&"), "{asked:?}");
        let then = if knows_it { "&resourceVersion=9000" } else { "&resourceVersion=&" };
        assert!(asked[3].contains(then), "{asked:?}");
    }
}

/// Watches so short that a test sees their ends: two seconds are asked for.
const SHORT: Timing = Timing {
    watch: Duration::from_millis(2500),
    silence: Duration::from_secs(40),
    uncertain: Duration::from_secs(60),
    doubt: Duration::from_secs(300),
    sound: Duration::from_secs(10),
};

#[tokio::test]
async fn a_version_that_a_server_does_not_know_yet_is_no_refusal_of_lists_sent_by_watches() {
    let server = Server::start().await;
    drop(server.stream(Kind::Service, "10", &[service("a", "3")]));
    server.refuse(Kind::Service, 410, "");
    let too_high = server.watch(Kind::Service);
    too_high.send("ERROR", &too_large());
    let _again = server.stream(Kind::Service, "12", &[service("b", "11")]);
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(Kind::Service, 4).await, "+a synced +b -a");
    let asked = server.asked(Kind::Service);
    assert_eq!(asked.iter().filter(|path| path.contains("sendInitialEvents")).count(), 3, "{asked:?}");
}

#[tokio::test]
async fn a_list_in_parts_is_whole_when_its_last_part_is() {
    let server = Server::start().await;
    server.refuse(Kind::Service, 422, "");
    let mut first = crate::api::testing::server::list(Kind::Service, "10", &[service("a", "3")]);
    first["metadata"]["continue"] = json!("next/1");
    server.body(Kind::Service, &first.to_string());
    server.list(Kind::Service, "10", &[service("b", "4")]);
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(Kind::Service, 3).await, "+a +b synced");
    assert!(server.asked(Kind::Service)[2].contains("continue=next%2F1"));
}

#[tokio::test]
async fn an_object_that_cannot_be_read_hurts_itself_alone_and_is_named() {
    let server = Server::start().await;
    let watch = server.stream(Kind::Service, "10", &[service("a", "3"), service("b", "4")]);
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(Kind::Service, 3).await, "+a +b synced");

    let mut broken = service("b", "11");
    broken["spec"]["ports"] = json!("eighty");
    watch.send("MODIFIED", &broken);
    watch.send("ADDED", &service("c", "12"));
    assert_eq!(client.next(Kind::Service).await, "?b", "b stays as it was");
    assert_eq!(client.next(Kind::Service).await, "+c");
    client.until(|report| !report.objects.is_empty()).await;
    let (object, why) = &client.report.objects[0];
    assert_eq!(object.to_string(), "Service default/b");
    assert!(why.contains("spec.ports: invalid type: string \"eighty\""), "{why}");

    watch.send("MODIFIED", &service("b", "13"));
    assert_eq!(client.next(Kind::Service).await, "+b");
    client.until(|report| report.objects.is_empty()).await;
}

#[tokio::test]
async fn null_where_a_list_should_be_is_normal() {
    let slice = json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": {"name": "s-1", "namespace": "default", "resourceVersion": "3"},
        "addressType": "IPv4", "endpoints": null, "ports": null});
    let server = Server::start().await;
    let _watch = server.stream(Kind::EndpointSlice, "10", &[slice]);
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(Kind::EndpointSlice, 2).await, "+s-1 synced");
    assert_eq!(client.report.objects, []);
}
