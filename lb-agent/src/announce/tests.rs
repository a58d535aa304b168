//! Events on Services: one of each mistake, however many agents notice it.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::api::ApiClient;
use crate::api::query::{self, Resource};
use crate::api::testing::server::{PATIENCE, Server};
use crate::model::{Kind, ObjectName};

use super::warning::TopologyWarning;
use super::{EventQueue, RateLimit, publish};

const FAST: RateLimit = RateLimit {
    spread: Duration::from_millis(20),
    gap: Duration::from_millis(2),
    most: Duration::from_millis(50),
    without_right: Duration::from_millis(300),
    silence: PATIENCE,
};
/// Long enough for any Event that is due.
const QUIET: Duration = Duration::from_millis(400);

fn warning(service: &str, written: &str) -> TopologyWarning {
    let service = ObjectName::new("default", service);
    TopologyWarning {
        service,
        uid: Some("u-1".into()),
        written: written.into(),
        text: "It is wrong.".to_owned(),
    }
}

fn set(queue: &EventQueue, warning: &TopologyWarning) {
    queue.set(&warning.service, Some(warning.clone()));
}

/// An agent's publisher, which ends when dropped, and its queue.
async fn agent(server: &Server, node: &str, rate: RateLimit) -> (JoinSet<()>, EventQueue) {
    let queue = EventQueue::default();
    let client = ApiClient::new(server.config(), None).await.unwrap();
    (publish(&client, queue.clone(), node, rate), queue)
}

/// The codes of all responses so far.
fn codes(server: &Server) -> Vec<u16> {
    server.events().into_iter().map(|(code, _)| code).collect()
}

/// Waits for so many attempts, and that there are no more.
async fn attempts(server: &Server, count: usize) -> Vec<u16> {
    let until = Instant::now() + PATIENCE;
    while codes(server).len() < count && Instant::now() < until {
        sleep(Duration::from_millis(5)).await;
    }
    sleep(QUIET).await;
    codes(server)
}

#[tokio::test]
async fn two_agents_make_one_event_and_neither_repeats_it() {
    let server = Server::start().await;
    let (_one, first) = agent(&server, "n1", FAST).await;
    let (_other, second) = agent(&server, "n2", FAST).await;
    for queue in [&first, &second, &first] {
        set(queue, &warning("web", "rack"));
    }
    assert_eq!(attempts(&server, 2).await, [201, 409]);
    let (_, event) = &server.events()[0];
    assert_eq!(event["involvedObject"]["uid"], "u-1");
    assert_eq!(event["source"]["component"], "edgeloop");
    let heads = server.heads();
    let made = heads.iter().find(|head| head.contains("/events")).unwrap();
    assert!(made.starts_with("POST /api/v1/namespaces/default/events HTTP/1.1\r\n"), "{made}");

    let (_again, third) = agent(&server, "n1", FAST).await;
    set(&third, &warning("web", "rack"));
    assert_eq!(attempts(&server, 3).await, [201, 409, 409], "once more after a restart");
}

#[tokio::test]
async fn another_mistake_is_another_event_and_one_that_is_corrected_in_time_makes_none() {
    let server = Server::start().await;
    let slow = RateLimit { spread: Duration::from_millis(300), ..FAST };
    let (_agent, queue) = agent(&server, "n1", slow).await;
    let web = warning("web", "rack");
    set(&queue, &web);
    queue.set(&web.service, None);
    assert_eq!(attempts(&server, 0).await, [0; 0], "corrected before its turn");
    for written in ["rack", "row"] {
        set(&queue, &warning("web", written));
        sleep(QUIET).await;
    }
    assert_eq!(attempts(&server, 2).await, [201, 201]);
    queue.set(&web.service, None);
    assert_eq!(attempts(&server, 2).await.len(), 2, "corrected");
    set(&queue, &warning("web", "row"));
    assert_eq!(attempts(&server, 3).await, [201, 201, 409], "wrong as before");
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_left() {
    for (shows, refusals, expected) in [
        ("in trouble, and busy", &[(500, ""), (429, "")][..], &[500, 429, 201][..]),
        ("the namespace goes", &[(403, "because it is being terminated")], &[403]),
        ("the namespace is gone", &[(404, "")], &[404]),
        ("it is not taken for an Event", &[(422, "")], &[422]),
        ("no right, until it is given", &[(403, "forbidden")], &[403, 201]),
    ] {
        let server = Server::start().await;
        server.refuse_events(refusals);
        let (_agent, queue) = agent(&server, "n1", FAST).await;
        set(&queue, &warning("web", "rack"));
        assert_eq!(attempts(&server, expected.len()).await, expected, "{shows}");
    }
}

#[tokio::test]
async fn without_the_right_the_api_server_is_left_in_peace() {
    let server = Server::start().await;
    server.refuse_events(&[(403, "forbidden")]);
    let hour = RateLimit { without_right: Duration::from_secs(3600), ..FAST };
    let (_agent, queue) = agent(&server, "n1", hour).await;
    for number in 0..50 {
        set(&queue, &warning(&format!("s-{number}"), "rack"));
    }
    assert_eq!(attempts(&server, 1).await, [403], "one attempt for all");
}

/// A quota, a policy or a missing right is one namespace's own.
#[tokio::test]
async fn what_one_namespace_refuses_is_asked_of_others_all_the_same() {
    let server = Server::start().await;
    server.refuse_events(&[(403, "exceeded quota: few")]);
    let hour = RateLimit { without_right: Duration::from_secs(3600), spread: Duration::ZERO, ..FAST };
    let (_agent, queue) = agent(&server, "n1", hour).await;
    set(&queue, &warning("first", "rack"));
    assert_eq!(attempts(&server, 1).await, [403]);
    let of = |namespace: &str, name: &str| TopologyWarning {
        service: ObjectName::new(namespace, name),
        ..warning(name, "rack")
    };
    for number in 0..5 {
        set(&queue, &warning(&format!("s-{number}"), "rack"));
        set(&queue, &of("other", &format!("s-{number}")));
    }
    assert_eq!(attempts(&server, 6).await, [403, 201, 201, 201, 201, 201]);
    let asked = server.events().into_iter().map(|(_, event)| event["metadata"]["namespace"].clone());
    assert_eq!(asked.skip(1).collect::<Vec<_>>(), vec![json!("other"); 5]);
}

#[tokio::test]
async fn one_event_that_fails_for_ever_holds_up_no_other() {
    let server = Server::start().await;
    let (_agent, queue) = agent(&server, "n1", FAST).await;
    server.refuse_events(&[(500, ""); 3]);
    set(&queue, &warning("a", "rack"));
    set(&queue, &warning("b", "rack"));
    let all = attempts(&server, 5).await;
    assert_eq!((all.len(), all[3], all[4]), (5, 201, 201), "{all:?}");
}

/// The Events and a watch share one client.
#[tokio::test]
async fn many_mistakes_are_no_burst_and_delay_no_watch() {
    let server = Server::start().await;
    let watch = server.watch(Kind::Service);
    let client = ApiClient::new(server.config(), None).await.unwrap();
    let path = query::watch(Resource::Services, "", "10", PATIENCE);
    let mut response = client.get(&path, query::accept_watch(Kind::Service), PATIENCE).await.unwrap();
    let gap = Duration::from_millis(50);
    let queue = EventQueue::default();
    let _publisher = publish(&client, queue.clone(), "n1", RateLimit { gap, most: gap, ..FAST });
    let start = Instant::now();
    for number in 0..1000 {
        set(&queue, &warning(&format!("s-{number}"), "rack"));
    }
    watch.send("ADDED", &json!({"a": 1}));
    assert!(response.next().await.unwrap().is_some());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}: one by one they take 50 s", start.elapsed());
    sleep(Duration::from_secs(1)).await;
    let made = codes(&server).len();
    let most = start.elapsed().as_millis() / (gap.as_millis() / 2) + 1;
    assert!(made >= 5 && made as u128 <= most, "{made} of at most {most}");
}

#[tokio::test]
async fn where_others_are_at_work_an_agent_slows_down() {
    let server = Server::start().await;
    let rate = RateLimit { gap: Duration::from_millis(10), most: Duration::from_secs(3600), ..FAST };
    let (_first, one) = agent(&server, "n1", rate).await;
    for number in 0..20 {
        set(&one, &warning(&format!("s-{number}"), "rack"));
    }
    assert_eq!(attempts(&server, 20).await, [201; 20]);
    let (_second, other) = agent(&server, "n2", rate).await;
    for number in 0..20 {
        set(&other, &warning(&format!("s-{number}"), "rack"));
    }
    sleep(Duration::from_secs(1)).await;
    let made = codes(&server).len() - 20;
    assert!((2..=9).contains(&made), "{made}: each gap is twice the last");
}
