//! Servers in trouble: the source is in sync as soon as one works, and asks no more than it has to.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::testing::server::{Reply, Server, WatchEnd, kind_of, list, service};
use crate::model::{Kind, SourceState};
use crate::source::kube::Timing;

use super::client::{Client, of, state};

const SERVICE: Kind = Kind::Service;

/// A list that a watch sends is given up after one second here, or two.
const TIMING: Timing = Timing {
    watch: Duration::from_secs(20),
    silence: Duration::from_secs(8),
    uncertain: Duration::from_secs(60),
    doubt: Duration::from_secs(300),
    sound: Duration::from_secs(10),
};

fn is_stream(path: &str) -> bool {
    path.contains("sendInitialEvents")
}

fn is_watch(path: &str) -> bool {
    path.contains("watch=true")
}

fn error(code: u16) -> Reply {
    ended(|watch| watch.send("ERROR", &json!({"kind": "Status", "code": code})))
}

/// A watch that sends this, and ends.
fn ended(send: impl FnOnce(&WatchEnd)) -> Reply {
    let (reply, end) = Reply::watch(SERVICE);
    send(&end);
    reply
}

/// A watch that sends this, and stays.
fn open(send: impl FnOnce(&WatchEnd)) -> Reply {
    let (reply, end) = Reply::watch(SERVICE);
    send(&end);
    std::mem::forget(end);
    reply
}

fn whole(version: &str, items: &[Value]) -> Reply {
    Reply::json(&list(SERVICE, version, items))
}

/// Services alone are in trouble.
fn of_services(
    mut respond: impl FnMut(&str) -> Option<Reply> + Send + 'static,
) -> impl FnMut(&str) -> Option<Reply> {
    move |path| if kind_of(path) == SERVICE { respond(path) } else { None }
}

/// Ignores what it does not know of, and sends what happens: often, and of old and new objects.
fn ignores(path: &str) -> Option<Reply> {
    if !is_watch(path) {
        return Some(whole("10", &[service("a", "3")]));
    }
    let (reply, end) = Reply::watch(SERVICE);
    let is_new = is_stream(path);
    tokio::spawn(async move {
        if is_new {
            end.send("ADDED", &service("a", "3"));
        }
        for version in 100.. {
            tokio::time::sleep(Duration::from_millis(200)).await;
            end.send("MODIFIED", &service("a", &version.to_string()));
            if end.is_closed() {
                return;
            }
        }
    });
    Some(reply)
}

fn cuts(path: &str) -> Option<Reply> {
    match (is_stream(path), is_watch(path)) {
        (true, _) => Some(ended(|watch| watch.send("ADDED", &service("a", "3")))),
        (false, false) => Some(whole("10", &[service("a", "3")])),
        (false, true) => None,
    }
}

fn silent(path: &str) -> Option<Reply> {
    match (is_stream(path), is_watch(path)) {
        (true, _) => Some(open(|_| {})),
        (false, false) => Some(whole("10", &[service("a", "3")])),
        (false, true) => None,
    }
}

#[tokio::test]
async fn a_server_that_does_not_end_lists_sent_by_watches_is_followed_by_plain_ones() {
    for (shows, respond) in [
        ("ignores it", ignores as fn(&str) -> Option<Reply>),
        ("ends each before its end", cuts),
        ("sends nothing", silent),
    ] {
        let server = Server::start().await;
        server.otherwise(of_services(respond));
        let start = Instant::now();
        let mut client = Client::with(server.address(), TIMING).await;
        client.until(|report| state(report, SERVICE) == Some(SourceState::InSync)).await;
        assert!(start.elapsed() < Duration::from_secs(5), "{shows}: {:?}", start.elapsed());
        let notes = client.report.notes.join(" ");
        assert!(notes.contains("sends no end of Service lists"), "{shows}: {notes}");
        while client.next(SERVICE).await != "synced" {}
    }
}

/// Every watch fails and lists are fine: what is listed counts.
#[tokio::test]
async fn a_watch_that_always_fails_from_one_version_leads_to_a_list() {
    for code in [403, 500, 404] {
        let server = Server::start().await;
        let mut lists = 0;
        server.otherwise(of_services(move |path| {
            if is_stream(path) {
                return Some(Reply::refusal(422, ""));
            }
            if is_watch(path) {
                return Some(error(code));
            }
            lists += 1;
            let added = service(if lists == 1 { "a" } else { "b" }, "3");
            Some(whole(&(10 * lists).to_string(), &[added]))
        }));
        let mut client = Client::with(server.address(), TIMING).await;
        let start = Instant::now();
        assert_eq!(client.changes(SERVICE, 4).await, "+a synced +b -a", "{code}");
        assert!(start.elapsed() < Duration::from_secs(6), "{code}: {:?}", start.elapsed());
        assert_ne!(state(&client.report, SERVICE), Some(SourceState::InSync), "{code}: not for a moment");
    }
}

/// After a watch that lasted, an expired version asks for a list at once again.
#[tokio::test]
async fn waits_begin_anew_after_a_watch_that_lasted() {
    let server = Server::start().await;
    let lists: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let (noted, mut watches) = (Arc::clone(&lists), 0);
    server.otherwise(of_services(move |path| {
        if is_stream(path) {
            return Some(Reply::refusal(422, ""));
        }
        if !is_watch(path) {
            noted.lock().unwrap().push(Instant::now());
            return Some(whole("10", &[]));
        }
        watches += 1;
        match watches {
            1 | 2 => Some(error(410)),
            3 => {
                let (reply, end) = Reply::watch(SERVICE);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(600)).await;
                    end.send("ERROR", &json!({"kind": "Status", "code": 410}));
                });
                Some(reply)
            }
            _ => None,
        }
    }));
    let _client =
        Client::with(server.address(), Timing { sound: Duration::from_millis(400), ..TIMING }).await;
    let start = Instant::now();
    while lists.lock().unwrap().len() < 4 {
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", lists.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let lists = lists.lock().unwrap();
    let after = |number: usize| lists[number].duration_since(lists[number - 1]);
    assert!(after(1) < Duration::from_secs(1), "the first is free: {:?}", after(1));
    assert!(after(2) > Duration::from_millis(1500), "the next waits: {:?}", after(2));
    // Without the watch that lasted it would be 4 s.
    assert!(after(3) < Duration::from_secs(3), "{:?}", after(3));
}

/// What a load balancer says in the server's place has nothing to do with the version.
#[tokio::test]
async fn a_code_without_a_status_of_the_api_server_keeps_the_version() {
    for code in [504, 410] {
        let server = Server::start().await;
        drop(server.stream(SERVICE, "10", &[service("a", "3")]));
        let html = "<html>gateway</html>".as_bytes().to_vec();
        server
            .reply(SERVICE, Reply::Whole(format!("HTTP/1.1 {code} X\r\nContent-Type: text/html\r\n"), html));
        let next = server.watch(SERVICE);
        next.send("ADDED", &service("b", "11"));
        let mut client = Client::new(&server).await;
        assert_eq!(client.changes(SERVICE, 3).await, "+a synced +b");
        let asked = server.asked(SERVICE);
        assert!(asked[1..].iter().all(|path| path.ends_with("&resourceVersion=10")), "{asked:?}");
    }
}

#[tokio::test]
async fn a_bookmark_without_a_version_says_nothing() {
    let server = Server::start().await;
    let watch = server.stream(SERVICE, "10", &[service("a", "3")]);
    watch.bookmark("");
    watch.bookmark("0");
    watch.send("ADDED", &service("b", "11"));
    let mut client = Client::new(&server).await;
    assert_eq!(client.changes(SERVICE, 3).await, "+a synced +b");
    assert_eq!(server.asked(SERVICE).len(), 1);
    assert_eq!(of(&client.report, SERVICE).unwrap().last_failure, None);
}

type Respond = Box<dyn FnMut(&str) -> Option<Reply> + Send>;

/// How a server is in trouble, and how often it is asked for Services in the first 3.5 s, at most.
fn troubles() -> Vec<(&'static str, Respond, u32)> {
    let endless = json!({"kind": "ServiceList", "apiVersion": "v1", "items": [],
        "metadata": {"resourceVersion": "10", "continue": "again"}});
    let mut token = 0;
    let one_thing = AtomicU32::new(100);
    vec![
        // A list at once, and after 1 and 2 s more, each with a watch; one list is free.
        (
            "every version has expired",
            Box::new(|path| Some(if is_watch(path) { error(410) } else { whole("10", &[]) })),
            9,
        ),
        (
            "a watch sends one thing and ends",
            Box::new(move |path| {
                let version = one_thing.fetch_add(1, Ordering::Relaxed).to_string();
                Some(ended(|watch| {
                    if is_stream(path) {
                        watch.list_end("10");
                    }
                    watch.send("ADDED", &service("a", &version));
                }))
            }),
            14,
        ),
        (
            "a list goes on where it went on before",
            Box::new(move |path| {
                Some(if is_watch(path) { Reply::refusal(422, "") } else { Reply::json(&endless) })
            }),
            10,
        ),
        (
            "a list has part after part",
            Box::new(move |path| {
                token += 1;
                let mut part = list(SERVICE, "10", &[]);
                part["metadata"]["continue"] = json!(token.to_string());
                Some(if is_watch(path) { Reply::refusal(422, "") } else { Reply::json(&part) })
            }),
            10_002,
        ),
        (
            "it dies within each list",
            Box::new(|path| {
                Some(if is_watch(path) {
                    Reply::refusal(422, "")
                } else {
                    Reply::Half(list(SERVICE, "10", &[service("a", "3")]).to_string().into_bytes())
                })
            }),
            5,
        ),
        ("it is busy", Box::new(|_| Some(Reply::refusal(429, ""))), 8),
        ("it is in error", Box::new(|_| Some(Reply::refusal(500, ""))), 8),
        ("watches end as they begin", Box::new(|path| is_watch(path).then(|| ended(|_| {}))), 14),
    ]
}

#[tokio::test]
async fn a_server_in_trouble_is_not_asked_more_often_for_that() {
    const WHILE: Duration = Duration::from_millis(3500);
    let mut running = Vec::new();
    for (shows, respond, most) in troubles() {
        let server = Server::start().await;
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let mut respond = respond;
        server.otherwise(of_services(move |path| {
            count.fetch_add(1, Ordering::Relaxed);
            respond(path)
        }));
        let client = Client::with(server.address(), TIMING).await;
        running.push((shows, server, client, asked, most));
    }
    tokio::time::sleep(WHILE).await;
    for (shows, _server, _client, asked, most) in &running {
        let asked = asked.load(Ordering::Relaxed);
        assert!((1..=*most).contains(&asked), "{shows}: {asked} requests");
    }
}
