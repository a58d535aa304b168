//! An API server with a truth of its own, which it does not always say: for any order of faults.

mod faults;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::testing::server::{Reply, WatchEnd, kind_of, list, too_large};
use crate::model::Kind;

/// A random number generator whose seed can be given again.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, most: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 32) % u64::from(most)).unwrap()
    }

    /// Whether something happens that does so often in a hundred times.
    pub(super) fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < chance
    }
}

/// A Service at a moment. Its address is the moment at which it became so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    version: u64,
    pub(super) moment: u32,
}

pub(super) type Objects = BTreeMap<String, Object>;

#[derive(Clone)]
struct Snapshot {
    version: u64,
    objects: Objects,
}

struct Event {
    version: u64,
    line: Value,
}

struct Open {
    since: Instant,
    /// What happens up to this version is not sent.
    from: u64,
    end: WatchEnd,
}

impl Open {
    fn new(end: WatchEnd, from: u64) -> Self {
        Self { since: Instant::now(), from, end }
    }
}

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) is_right: bool,
    /// Lists sent by watches are not known here.
    refuses_streams: bool,
    now: Snapshot,
    /// Counts on whatever becomes of versions.
    pub(super) moment: u32,
    /// Moments at which a name was gone.
    pub(super) gone: BTreeMap<String, Vec<u32>>,
    before: Vec<Snapshot>,
    log: Vec<Event>,
    /// Watches from this version on, or sooner ones, are refused.
    compacted: u64,
    watches: Vec<Open>,
    /// What was done wrong, in order.
    pub(super) faults: Vec<&'static str>,
}

/// They are always there, and change.
pub(super) const STABLE: [&str; 3] = ["stable-0", "stable-1", "stable-2"];
const CHANGING: [&str; 4] = ["changing-0", "changing-1", "changing-2", "changing-3"];
/// What clients ask for.
const LASTS: Duration = Duration::from_secs(2);
const FIRST: u64 = 1000;

fn service(name: &str, object: &Object) -> Value {
    json!({"kind": "Service", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", "resourceVersion": object.version.to_string()},
        "spec": {"clusterIP": address(object.moment), "ports": [{"port": 80}]}})
}

pub(super) fn address(moment: u32) -> String {
    format!("10.96.{}.{}", moment >> 8, moment & 0xff)
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let refuses_streams = dice.percent(40);
        let now = Snapshot { version: FIRST, objects: Objects::new() };
        let mut world = Self {
            dice,
            is_right: false,
            refuses_streams,
            now,
            moment: 0,
            gone: BTreeMap::new(),
            before: Vec::new(),
            log: Vec::new(),
            compacted: FIRST,
            watches: Vec::new(),
            faults: Vec::new(),
        };
        for name in CHANGING {
            world.gone.insert(name.to_owned(), vec![0]);
        }
        STABLE.into_iter().for_each(|name| world.change(name));
        // Nothing goes back to when they were not there.
        world.before.clear();
        world
    }

    pub(super) fn objects(&self) -> &Objects {
        &self.now.objects
    }

    /// Something happens.
    pub(super) fn happen(&mut self) {
        let stable = self.dice.percent(30);
        let names: &[&str] = if stable { &STABLE } else { &CHANGING };
        let name = names[self.dice.below(u32::try_from(names.len()).unwrap()) as usize];
        if !stable && self.now.objects.contains_key(name) && self.dice.percent(50) {
            self.remove(name);
        } else {
            self.change(name);
        }
        if self.dice.percent(3) {
            self.compacted = self.now.version;
            self.log.clear();
        }
        if !self.is_right && self.dice.percent(5) {
            self.spoil_a_watch();
        }
    }

    fn next(&mut self) -> Object {
        if self.before.len() < 500 {
            self.before.push(self.now.clone());
        }
        self.now.version += 1;
        self.moment += 1;
        Object { version: self.now.version, moment: self.moment }
    }

    fn change(&mut self, name: &str) {
        let object = self.next();
        let kind = if self.now.objects.contains_key(name) { "MODIFIED" } else { "ADDED" };
        self.say(kind, service(name, &object));
        self.now.objects.insert(name.to_owned(), object);
    }

    fn remove(&mut self, name: &str) {
        let object = self.next();
        self.now.objects.remove(name);
        self.gone.entry(name.to_owned()).or_default().push(object.moment);
        self.say("DELETED", service(name, &object));
    }

    fn say(&mut self, kind: &str, object: Value) {
        let line = json!({"type": kind, "object": object});
        let text = format!("{line}\n");
        self.watches.retain(|watch| !watch.end.is_closed());
        let version = self.now.version;
        let meant = self.watches.iter().filter(|watch| version > watch.from);
        meant.for_each(|watch| watch.end.raw(&text));
        self.log.push(Event { version: self.now.version, line });
    }

    /// All connections end.
    pub(super) fn cut(&mut self) {
        self.watches.clear();
    }

    /// What etcd has is what it had so many changes ago, and goes on from there.
    pub(super) fn restore(&mut self, changes: usize) {
        let Some(at) = self.before.len().checked_sub(changes) else { return };
        self.faults.push("restored");
        self.now = self.before[at].clone();
        self.before.truncate(at);
        self.log.clear();
        self.compacted = self.now.version;
        self.moment += 1;
        for (name, gone) in &mut self.gone {
            if !self.now.objects.contains_key(name) {
                gone.push(self.moment);
            }
        }
        self.cut();
    }

    pub(super) fn respond(&mut self, path: &str) -> Option<Reply> {
        if kind_of(path) != Kind::Service {
            return None;
        }
        if !self.is_right
            && self.dice.percent(60)
            && let Some(fault) = self.fault(path)
        {
            return Some(fault);
        }
        Some(self.right(path))
    }

    /// As an API server does.
    fn right(&mut self, path: &str) -> Reply {
        let asked = query(path, "resourceVersion").parse::<u64>().unwrap_or_default();
        let (is_watch, is_stream) = (path.contains("watch=true"), path.contains("sendInitialEvents"));
        if is_stream && self.refuses_streams {
            return Reply::refusal(422, "");
        }
        if (is_stream || !is_watch) && asked > self.now.version {
            return Reply::Whole("HTTP/1.1 504 X\r\n".to_owned(), too_large().to_string().into_bytes());
        }
        if !is_watch {
            let items =
                if path.contains("fieldSelector") { Objects::new() } else { self.now.objects.clone() };
            return Reply::json(&written(self.now.version, &items));
        }
        if !is_stream && asked != 0 && asked < self.compacted {
            return Reply::refusal(410, "");
        }
        let (reply, end) = Reply::watch(Kind::Service);
        if is_stream || asked == 0 {
            for (name, object) in &self.now.objects {
                end.send("ADDED", &service(name, object));
            }
            if is_stream {
                end.list_end(&self.now.version.to_string());
            }
        } else {
            self.replay(&end, asked);
        }
        let from = if self.dice.percent(50) { asked } else { 0 };
        self.watches.push(Open::new(end, from));
        reply
    }

    fn replay(&self, end: &WatchEnd, after: u64) {
        for event in self.log.iter().filter(|event| event.version > after) {
            end.raw(&format!("{}\n", event.line));
        }
    }

    /// Ends the watches that have lasted as long as clients ask for.
    pub(super) fn end_watches(&mut self) {
        self.watches.retain(|watch| watch.since.elapsed() < LASTS);
    }
}

fn written(version: u64, objects: &Objects) -> Value {
    let items: Vec<Value> = objects.iter().map(|(name, object)| service(name, object)).collect();
    list(Kind::Service, &version.to_string(), &items)
}

fn query<'a>(path: &'a str, name: &str) -> &'a str {
    let fields = path.split(['?', '&']).filter_map(|field| field.split_once('='));
    fields.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value).unwrap_or_default()
}
