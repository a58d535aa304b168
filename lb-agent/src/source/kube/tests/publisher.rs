//! Events on Services: one of each mistake, however many agents notice it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::server::{Client, PATIENCE, Server};
use crate::announce::warning::TopologyWarning;
use crate::announce::{EventQueue, RateLimit};
use crate::model::{Kind, ObjectName};

const FAST: RateLimit = RateLimit {
    spread: Duration::from_millis(20),
    gap: Duration::from_millis(2),
    most: Duration::from_millis(50),
    without_right: Duration::from_millis(300),
    silence: PATIENCE,
};
/// Long enough for anything that is to be said.
const QUIET: Duration = Duration::from_millis(400);

fn complaint(service: &str, written: &str) -> TopologyWarning {
    let service = ObjectName::new("default", service);
    TopologyWarning {
        service,
        uid: Some("u-1".into()),
        written: written.into(),
        text: "It is wrong.".to_owned(),
    }
}

fn set(outbox: &EventQueue, complaint: &TopologyWarning) {
    outbox.set(&complaint.service, Some(complaint.clone()));
}

async fn agent(server: &Server, node: &str, pace: RateLimit) -> (Client, EventQueue) {
    let outbox = EventQueue::default();
    (Client::telling(server, outbox.clone(), node, pace).await, outbox)
}

/// What was answered so far.
fn answers(server: &Server) -> Vec<u16> {
    server.events().into_iter().map(|(code, _)| code).collect()
}

/// Waits for so many attempts, and that there are no more.
async fn attempts(server: &Server, count: usize) -> Vec<u16> {
    let until = Instant::now() + PATIENCE;
    while answers(server).len() < count && Instant::now() < until {
        sleep(Duration::from_millis(5)).await;
    }
    sleep(QUIET).await;
    answers(server)
}

#[tokio::test]
async fn two_agents_make_one_event_and_neither_repeats_it() {
    let server = Server::start().await;
    let (_one, first) = agent(&server, "n1", FAST).await;
    let (_other, second) = agent(&server, "n2", FAST).await;
    for outbox in [&first, &second, &first] {
        set(outbox, &complaint("web", "rack"));
    }
    assert_eq!(attempts(&server, 2).await, [201, 409]);
    let (_, event) = &server.events()[0];
    assert_eq!(event["involvedObject"]["uid"], "u-1");
    assert_eq!(event["source"]["component"], "edgeloop");
    let heads = server.heads();
    let made = heads.iter().find(|head| head.contains("/events")).unwrap();
    assert!(made.starts_with("POST /api/v1/namespaces/default/events HTTP/1.1\r\n"), "{made}");

    let (_again, third) = agent(&server, "n1", FAST).await;
    set(&third, &complaint("web", "rack"));
    assert_eq!(attempts(&server, 3).await, [201, 409, 409], "once more after a restart");
}

#[tokio::test]
async fn another_mistake_is_another_event_and_what_is_mended_in_time_is_none() {
    let server = Server::start().await;
    let slow = RateLimit { spread: Duration::from_millis(300), ..FAST };
    let (_agent, outbox) = agent(&server, "n1", slow).await;
    let web = complaint("web", "rack");
    set(&outbox, &web);
    outbox.set(&web.service, None);
    assert_eq!(attempts(&server, 0).await, [0; 0], "mended before its turn");
    for written in ["rack", "row"] {
        set(&outbox, &complaint("web", written));
        sleep(QUIET).await;
    }
    assert_eq!(attempts(&server, 2).await, [201, 201]);
    outbox.set(&web.service, None);
    assert_eq!(attempts(&server, 2).await.len(), 2, "mended");
    set(&outbox, &complaint("web", "row"));
    assert_eq!(attempts(&server, 3).await, [201, 201, 409], "broken as before");
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_left() {
    for (shows, refusals, expected) in [
        ("in trouble, and busy", &[(500, ""), (429, "")][..], &[500, 429, 201][..]),
        ("the namespace goes", &[(403, "because it is being terminated")], &[403]),
        ("the namespace is gone", &[(404, "")], &[404]),
        ("it is taken for no Event", &[(422, "")], &[422]),
        ("no right, until it is given", &[(403, "forbidden")], &[403, 201]),
    ] {
        let server = Server::start().await;
        server.refuse_events(refusals);
        let (_agent, outbox) = agent(&server, "n1", FAST).await;
        set(&outbox, &complaint("web", "rack"));
        assert_eq!(attempts(&server, expected.len()).await, expected, "{shows}");
    }
}

#[tokio::test]
async fn without_the_right_the_api_server_is_left_in_peace() {
    let server = Server::start().await;
    server.refuse_events(&[(403, "forbidden")]);
    let hour = RateLimit { without_right: Duration::from_secs(3600), ..FAST };
    let (_agent, outbox) = agent(&server, "n1", hour).await;
    for number in 0..50 {
        set(&outbox, &complaint(&format!("s-{number}"), "rack"));
    }
    assert_eq!(attempts(&server, 1).await, [403], "one attempt for all");
}

#[tokio::test]
async fn one_event_that_fails_for_ever_holds_up_no_other() {
    let server = Server::start().await;
    let (_agent, outbox) = agent(&server, "n1", FAST).await;
    server.refuse_events(&[(500, ""); 3]);
    set(&outbox, &complaint("a", "rack"));
    set(&outbox, &complaint("b", "rack"));
    let all = attempts(&server, 5).await;
    assert_eq!((all.len(), all[3], all[4]), (5, 201, 201), "{all:?}");
}

/// The API server takes connections and answers nobody: watches and their changes go on.
#[tokio::test]
async fn many_mistakes_are_no_burst_and_delay_no_watch() {
    let server = Server::start().await;
    let watch = server.stream(Kind::Service, "10", &[]);
    let gap = Duration::from_millis(50);
    let (mut client, outbox) = agent(&server, "n1", RateLimit { gap, most: gap, ..FAST }).await;
    assert_eq!(client.next(Kind::Service).await, "synced");
    let start = Instant::now();
    for number in 0..1000 {
        set(&outbox, &complaint(&format!("s-{number}"), "rack"));
    }
    watch.tell("ADDED", &super::server::service("a", "11"));
    assert_eq!(client.next(Kind::Service).await, "+a");
    sleep(Duration::from_secs(1)).await;
    let made = answers(&server).len();
    let most = start.elapsed().as_millis() / (gap.as_millis() / 2) + 1;
    assert!(made >= 5 && made as u128 <= most, "{made} of at most {most}");
}

#[tokio::test]
async fn where_others_are_at_work_an_agent_slows_down() {
    let server = Server::start().await;
    let pace = RateLimit { gap: Duration::from_millis(10), most: Duration::from_secs(3600), ..FAST };
    let (_first, one) = agent(&server, "n1", pace).await;
    for number in 0..20 {
        set(&one, &complaint(&format!("s-{number}"), "rack"));
    }
    assert_eq!(attempts(&server, 20).await, [201; 20]);
    let (_second, other) = agent(&server, "n2", pace).await;
    for number in 0..20 {
        set(&other, &complaint(&format!("s-{number}"), "rack"));
    }
    sleep(Duration::from_secs(1)).await;
    let made = answers(&server).len() - 20;
    assert!((2..=9).contains(&made), "{made}: each gap is twice the last");
}
