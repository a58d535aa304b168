//! Many agents, the source of each alone, and one server that goes and comes back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::api::ApiClient;
use crate::api::testing::server::{Reply, Server, config, kind_of, list, service};
use crate::model::Kind;
use crate::source::Besides;
use crate::source::kube::{Follower, Timing, follow};

/// How long there is no server, and for how many seconds requests are counted then.
const AWAY: Duration = Duration::from_secs(2);
const COUNTED: u64 = 10;

/// A server that came back, and how often it may be asked for one kind by one agent in ten seconds.
struct Return {
    shows: &'static str,
    streams: bool,
    respond: fn(&Asked<'_>) -> Option<Reply>,
    most: usize,
}

struct Asked<'a> {
    path: &'a str,
    is_watch: bool,
    is_stream: bool,
}

const RETURNS: [Return; 6] = [
    Return { shows: "watches resume", streams: true, respond: |_| None, most: 1 },
    Return {
        shows: "410, then a streamed list",
        streams: true,
        respond: |asked| (asked.is_watch && !asked.is_stream).then(expired),
        most: 2,
    },
    Return {
        shows: "410, then list and watch",
        streams: false,
        respond: |asked| (asked.path.ends_with("&resourceVersion=10")).then(expired),
        most: 3,
    },
    Return {
        shows: "410 to every watch",
        streams: false,
        respond: |asked| asked.is_watch.then(expired),
        most: 9,
    },
    Return {
        shows: "429, retry after 1 s",
        streams: true,
        respond: |_| Some(Reply::refusal(429, "Retry-After: 1\r\n")),
        most: 9,
    },
    Return {
        shows: "410, then half lists",
        streams: false,
        respond: |asked| Some(if asked.is_watch { expired() } else { half(asked.path) }),
        most: 9,
    },
];

fn expired() -> Reply {
    Reply::refusal(410, "")
}

fn half(path: &str) -> Reply {
    Reply::Half(list(kind_of(path), "20", &[service("a", "3")]).to_string().into_bytes())
}

/// As a server does that has nothing, at this version.
fn right(asked: &Asked<'_>, streams: bool, version: &str) -> Reply {
    let kind = kind_of(asked.path);
    if asked.is_stream && !streams {
        return Reply::refusal(422, "");
    }
    if !asked.is_watch {
        return Reply::json(&list(kind, version, &[]));
    }
    let (reply, end) = Reply::watch(kind);
    if asked.is_stream {
        end.list_end(version);
    }
    std::mem::forget(end);
    reply
}

/// When a request was made, by which agent, for what.
type Requests = Arc<Mutex<Vec<(Instant, String, Kind)>>>;

fn serve(server: &Server, back: &'static Return, is_back: bool) -> Requests {
    let requests = Requests::default();
    let noted = Arc::clone(&requests);
    server.otherwise(move |path| {
        let agent = path.split('/').nth(1).unwrap_or_default().to_owned();
        noted.lock().unwrap().push((Instant::now(), agent, kind_of(path)));
        let is_stream = path.contains("sendInitialEvents");
        let asked = Asked { path, is_watch: path.contains("watch=true"), is_stream };
        let own = if is_back { (back.respond)(&asked) } else { None };
        Some(own.unwrap_or_else(|| right(&asked, back.streams, if is_back { "20" } else { "10" })))
    });
    requests
}

async fn start(address: &str, agents: usize) -> Vec<Follower> {
    let mut followers = Vec::new();
    for number in 0..agents {
        let client = ApiClient::new(config(&format!("{address}/agent-{number}")), None).await.unwrap();
        followers.push(follow(&client, Timing::default(), Besides::default(), |_batch| true));
    }
    followers
}

/// What was asked since the server came back.
struct Counted {
    /// Requests by second.
    seconds: Vec<usize>,
    /// The most that one agent made for one kind.
    most: usize,
    /// Between the first tenth and the last tenth of what each asked first.
    spread: Duration,
}

async fn count(back: &'static Return, agents: usize) -> Counted {
    let server = Server::start().await;
    let requests = serve(&server, back, false);
    let address = server.address().to_owned();
    let _followers = start(&address, agents).await;
    // A stream each, or that, a list and a watch.
    let all = agents * Kind::ALL.len() * if back.streams { 1 } else { 3 };
    while requests.lock().unwrap().len() < all {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    drop(server);
    tokio::time::sleep(AWAY).await;
    let server = Server::at(address.trim_start_matches("http://")).await;
    let start = Instant::now();
    let requests = serve(&server, back, true);
    tokio::time::sleep(Duration::from_secs(COUNTED)).await;
    let requests = requests.lock().unwrap();
    let (mut seconds, mut of_one) = (vec![0; usize::try_from(COUNTED).unwrap()], BTreeMap::new());
    let mut first = Vec::new();
    for (at, agent, kind) in &*requests {
        let second = usize::try_from(at.duration_since(start).as_secs()).unwrap();
        if let Some(count) = seconds.get_mut(second) {
            *count += 1;
            let of_one = of_one.entry((agent, *kind)).or_insert(0);
            *of_one += 1;
            first.extend((*of_one == 1).then_some(*at));
        }
    }
    let at = |tenth: usize| first.get(first.len() * tenth / 10).copied().unwrap_or(start);
    let spread = at(9).duration_since(at(1));
    Counted { seconds, most: of_one.into_values().max().unwrap_or_default(), spread }
}

fn check(back: &Return, Counted { seconds, most, spread }: &Counted) {
    assert!((1..=back.most).contains(most), "{}: one agent asked {most} times for one kind", back.shows);
    // They do not return in one moment. A busy machine makes this longer.
    assert!(*spread >= Duration::from_millis(250), "{}: within {spread:?}: {seconds:?}", back.shows);
}

/// A connection has two ends here, and other tests need some, too.
fn agents_that_fit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let descriptors: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX);
    (descriptors / 2 / (2 * Kind::ALL.len()) / RETURNS.len()).clamp(10, 50)
}

#[tokio::test]
async fn agents_make_no_outage_worse() {
    let agents = agents_that_fit();
    let mut counts = JoinSet::new();
    for back in &RETURNS {
        counts.spawn(async move { (back, count(back, agents).await) });
    }
    for (back, counted) in counts.join_all().await {
        check(back, &counted);
    }
}
