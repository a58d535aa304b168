//! Bad links and servers in trouble: the last good state stays, and the way back is short.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::api::testing::server::{PATIENCE, Reply, Server, config_of, kubeconfig, list, service};
use crate::model::{ApiReport, Kind, SourceState};

use super::client::{Client, of, state};
use crate::source::kube::Timing;

/// What went wrong last, in the eyes of an operator.
fn trouble(client: &Client) -> String {
    let failure = of(&client.report, Kind::Service).unwrap().last_failure.clone();
    failure.map(|failure| failure.what).unwrap_or_default()
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_when_it_said() {
    let server = Server::start().await;
    server.refuse(Kind::Service, 429, "Retry-After: 1\r\n");
    let _watch = server.stream(Kind::Service, "10", &[service("a", "3")]);
    let start = Instant::now();
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(Kind::Service, 2).await, "+a synced");
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(server.asked(Kind::Service)[1].contains("sendInitialEvents"), "busy is no refusal");
}

/// YurtHub while its caches start: busy, then it refuses lists sent by watches, then busy again.
#[tokio::test]
async fn a_proxy_that_has_just_started_costs_no_more_than_it_asks_for() {
    for (after, most) in [("", Duration::from_millis(2500)), ("Retry-After: 1\r\n", Duration::from_secs(6))] {
        let server = Server::start().await;
        server.refuse(Kind::Service, 429, after);
        let refusal = server.watch(Kind::Service);
        refusal.send("ERROR", &json!({"kind": "Status", "code": 500, "message": "not supported"}));
        for _ in 0..2 {
            server.refuse(Kind::Service, 429, after);
        }
        server.list(Kind::Service, "10", &[service("a", "3")]);
        let start = Instant::now();
        let mut client = Client::new(&server).await;
        assert_eq!(client.changes(Kind::Service, 2).await, "+a synced");
        assert!(start.elapsed() < most, "{after:?}: {:?}", start.elapsed());
    }
}

/// A server that was restarted responds with errors, then knows nothing of our version.
#[tokio::test]
async fn what_was_wrong_before_does_not_delay_the_list_that_corrects_it() {
    let server = Server::start().await;
    let watch = server.stream(Kind::Service, "10", &[service("a", "3")]);
    for code in [500, 500, 500, 410] {
        server.refuse(Kind::Service, code, "");
    }
    watch.bookmark("10");
    drop(watch);
    let _again = server.stream(Kind::Service, "20", &[service("b", "15")]);
    let mut client = Client::new(&server).await;
    let is_reported = |report: &ApiReport| {
        let failure = of(report, Kind::Service).and_then(|kind| kind.last_failure.as_ref());
        failure.is_some_and(|failure| failure.what.starts_with("answered 410"))
    };
    client.until(is_reported).await;
    let start = Instant::now();
    assert_eq!(client.changes(Kind::Service, 4).await, "+a synced +b -a");
    assert!(start.elapsed() < Duration::from_millis(600), "{:?}", start.elapsed());
}

/// A proxy whose API server is gone may take a watch and end it in the same moment.
#[tokio::test]
async fn watches_that_end_as_they_begin_do_not_look_like_being_in_sync_in_between() {
    let server = Server::start().await;
    drop(server.stream(Kind::Service, "10", &[service("a", "3")]));
    drop(server.watch(Kind::Service));
    let next = server.watch(Kind::Service);
    let mut client = Client::new(&server).await;
    let mut states = Vec::new();
    client
        .until(|report| {
            let Some(state) = state(report, Kind::Service) else { return false };
            if states.last() != Some(&state) {
                states.push(state);
            }
            states.len() > 1 && state == SourceState::InSync && states.contains(&SourceState::Behind)
        })
        .await;
    assert_eq!(states.iter().filter(|state| **state == SourceState::Behind).count(), 1, "{states:?}");
    assert_eq!(server.asked(Kind::Service).len(), 3, "{:?}", server.asked(Kind::Service));
    next.send("ADDED", &service("b", "11"));
    assert_eq!(client.changes(Kind::Service, 3).await, "+a synced +b");
}

#[tokio::test]
async fn whatever_a_server_says_in_trouble_the_last_good_state_stays() {
    for (shows, says) in [
        ("answered 500: no", None),
        ("sent something that is not understood", Some("this is not JSON\n")),
        (
            "sent something that is not understood",
            Some("{\"type\":\"ADDED\",\"object\":{\"kind\":\"Service\",\"apiVersion\":\"v1\"}}\n"),
        ),
        ("broke off in the middle of a response", Some("{\"type\":\"ADDED\",\"obj")),
    ] {
        let server = Server::start().await;
        let watch = server.stream(Kind::Service, "10", &[service("a", "3")]);
        let mut client = Client::new(&server).await;
        assert_eq!(client.changes(Kind::Service, 2).await, "+a synced");
        match says {
            None => {
                watch.bookmark("10");
                server.refuse(Kind::Service, 500, "");
            }
            Some(text) => watch.raw(text),
        }
        drop(watch);
        let next = server.watch(Kind::Service);
        client.until(|report| state(report, Kind::Service) == Some(SourceState::Behind)).await;
        assert!(trouble(&client).starts_with(shows), "{shows}: {}", trouble(&client));
        next.send("ADDED", &service("b", "11"));
        assert_eq!(client.next(Kind::Service).await, "+b", "{shows}: nothing is gone");
        client.until(|report| state(report, Kind::Service) == Some(SourceState::InSync)).await;
        let asked = server.asked(Kind::Service);
        assert!(asked.last().unwrap().ends_with("&resourceVersion=10"), "{shows}: {asked:?}");
    }
}

#[tokio::test]
async fn what_is_garbage_twice_at_one_place_is_left_behind() {
    let server = Server::start().await;
    for watch in [server.stream(Kind::Service, "10", &[service("a", "3")]), server.watch(Kind::Service)] {
        watch.raw("garbage\n");
    }
    let _again = server.stream(Kind::Service, "20", &[service("b", "15")]);
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(Kind::Service, 4).await, "+a synced +b -a");
}

#[tokio::test]
async fn half_a_list_removes_nothing_and_is_no_list() {
    let server = Server::start().await;
    server.refuse(Kind::Service, 422, "");
    server.list(Kind::Service, "10", &[service("a", "3"), service("b", "4")]);
    let watch = server.watch(Kind::Service);
    watch.send("ERROR", &json!({"kind": "Status", "code": 410}));
    let half = list(Kind::Service, "20", &[service("b", "15"), service("c", "16")]).to_string().into_bytes();
    let cut = half.len() - 20;
    server.reply(Kind::Service, Reply::Half(half[..cut].to_vec()));
    server.body(Kind::Service, "<html>proxy error</html>");
    server.list(Kind::Service, "20", &[service("b", "15"), service("c", "16")]);
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(Kind::Service, 3).await, "+a +b synced");
    let mut changes = Vec::new();
    while changes.last().is_none_or(|last| last != "-a") {
        changes.push(client.next(Kind::Service).await);
    }
    let gone: Vec<&String> = changes.iter().filter(|change| change.starts_with('-')).collect();
    assert_eq!(gone, ["-a"], "{changes:?}");
    client.until(|report| state(report, Kind::Service) == Some(SourceState::InSync)).await;
    assert_eq!(server.asked(Kind::Service).len(), 7, "{:?}", server.asked(Kind::Service));
}

/// The server goes on taking connections and requests, and responds to none of them: no FIN comes.
#[tokio::test]
async fn a_dead_link_is_noticed_and_a_live_one_caught_up_with() {
    let server = Server::start().await;
    let silence = Duration::from_millis(400);
    let mut client =
        Client::with(server.address(), Timing { watch: 2 * PATIENCE, silence, ..Timing::default() }).await;
    assert_eq!(client.next(Kind::Service).await, "synced");
    server.die(true);
    let start = Instant::now();
    client.until(|report| state(report, Kind::Service) == Some(SourceState::Behind)).await;
    assert!(start.elapsed() < 3 * silence, "{:?}", start.elapsed());
    assert!(trouble(&client).starts_with("no data for"), "{}", trouble(&client));

    tokio::time::sleep(5 * silence).await;
    // Twice: the first may be the response to a request that was given up in the moment before.
    let again = [server.watch(Kind::Service), server.watch(Kind::Service)];
    for watch in &again {
        watch.send("ADDED", &service("a", "11"));
    }
    server.die(false);
    let start = Instant::now();
    assert_eq!(client.next(Kind::Service).await, "+a");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// So YurtHub responds while it is cut off: with a watch, and nothing on it.
#[tokio::test]
async fn a_list_that_a_watch_promises_and_does_not_send_is_asked_for_as_such() {
    let server = Server::start().await;
    let silence = Duration::from_secs(2);
    let _silent = server.watch(Kind::Service);
    server.list(Kind::Service, "10", &[service("a", "3")]);
    let start = Instant::now();
    let mut client =
        Client::with(server.address(), Timing { watch: 2 * PATIENCE, silence, ..Timing::default() }).await;
    assert_eq!(client.changes(Kind::Service, 2).await, "+a synced");
    assert!(start.elapsed() < silence, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_server_that_comes_up_later_is_found_within_two_seconds() {
    let server = Server::start().await;
    let address = server.address().trim_start_matches("http://").to_owned();
    drop(server);
    let mut client = Client::at(&format!("http://{address}")).await;
    client.until(|report| of(report, Kind::Service).is_some_and(|kind| kind.last_failure.is_some())).await;
    assert_eq!(state(&client.report, Kind::Service), Some(SourceState::Starting));
    assert!(trouble(&client).starts_with("cannot be reached"), "{}", trouble(&client));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let _server = Server::at(&address).await;
    let start = Instant::now();
    assert_eq!(client.next(Kind::Service).await, "synced");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_token_that_was_replaced_is_read_again_when_the_old_one_is_refused() {
    let server = Server::start().await;
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "first").unwrap();
    let file = kubeconfig(&server, token.path());
    let watch = server.stream(Kind::Service, "10", &[service("a", "3")]);
    let mut client = Client::of(config_of(file.path())).await;
    assert_eq!(client.changes(Kind::Service, 2).await, "+a synced");

    std::fs::write(token.path(), "second").unwrap();
    server.refuse(Kind::Service, 401, "");
    drop(watch);
    let next = server.watch(Kind::Service);
    next.send("ADDED", &service("b", "11"));
    assert_eq!(client.next(Kind::Service).await, "+b");
    let heads = server.heads();
    let of_services: Vec<&String> = heads.iter().filter(|head| head.contains("/services")).collect();
    assert!(of_services[1].contains("authorization: Bearer first\r\n"), "{of_services:?}");
    assert!(of_services[2].contains("authorization: Bearer second\r\n"), "{of_services:?}");
}

#[tokio::test]
async fn a_source_waits_while_too_much_of_it_waits() {
    let server = Server::start().await;
    let watch = server.stream(Kind::Service, "10", &[]);
    let mut client = Client::new(&server).await;
    assert_eq!(client.next(Kind::Service).await, "synced");
    for version in 11..20_011_u32 {
        watch.send("MODIFIED", &service("a", &version.to_string()));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The batches of the other kinds, which are empty, take no room.
    assert!(client.backlog() < 8200, "{} changes wait", client.backlog());
    for _ in 0..20_000 {
        assert_eq!(client.next(Kind::Service).await, "+a");
    }
}
