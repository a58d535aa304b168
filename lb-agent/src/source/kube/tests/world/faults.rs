//! What the server does wrong, while it does.

use serde_json::{Value, json};

use super::{Open, World, service, written};
use crate::api::testing::server::{Reply, WatchEnd};
use crate::model::Kind;

fn body(head: &str, body: &str) -> Reply {
    Reply::Whole(format!("HTTP/1.1 {head}\r\n"), body.as_bytes().to_vec())
}

/// A watch that sends this, and ends.
fn ended(send: impl FnOnce(&WatchEnd)) -> Reply {
    let (reply, end) = Reply::watch(Kind::Service);
    send(&end);
    reply
}

fn deleted(kind: &str) -> Value {
    json!({"kind": kind, "apiVersion": "v1",
        "metadata": {"name": "stable-0", "namespace": "default", "resourceVersion": "999999"}})
}

impl World {
    pub(super) fn fault(&mut self, path: &str) -> Option<Reply> {
        let (is_watch, is_stream) = (path.contains("watch=true"), path.contains("sendInitialEvents"));
        if self.dice.percent(25) {
            return Some(self.refusal());
        }
        if is_stream {
            Some(self.odd_stream())
        } else if is_watch {
            Some(self.odd_watch(path))
        } else if path.contains("fieldSelector") {
            None
        } else {
            Some(self.odd_list())
        }
    }

    fn refusal(&mut self) -> Reply {
        let (what, reply) = match self.dice.below(6) {
            0 => ("500", Reply::refusal(500, "")),
            1 => ("403", Reply::refusal(403, "")),
            2 => ("429", Reply::refusal(429, "Retry-After: 0\r\n")),
            3 => ("504 of a load balancer", body("504 X\r\nContent-Type: text/html", "<html>gateway</html>")),
            4 => ("404", body("404 X", "404 page not found")),
            _ => ("a page with 200", body("200 OK\r\nContent-Type: text/html", "<html>log in</html>")),
        };
        self.faults.push(what);
        reply
    }

    fn odd_list(&mut self) -> Reply {
        let (version, all) = (self.now.version, written(self.now.version, &self.now.objects));
        let named = |kind: &str, items: Value| {
            Reply::json(&json!({"kind": kind, "apiVersion": "v1", "items": items,
                "metadata": {"resourceVersion": (version + 1).to_string()}}))
        };
        let mut less = all.clone();
        less["items"] = json!([]);
        let (what, reply) = match self.dice.below(10) {
            0 => ("half a list", Reply::Half(all.to_string().into_bytes())),
            1 => ("a list of Pods", named("PodList", json!([deleted("Pod")]))),
            2 => ("a Table", json_without_items("Table")),
            3 => ("a list without items", json_without_items("ServiceList")),
            4 => {
                less["metadata"]["resourceVersion"] = json!("0");
                ("an empty list at version 0", Reply::json(&less))
            }
            5 => {
                less.as_object_mut().unwrap().remove("metadata");
                ("an empty list without metadata", Reply::json(&less))
            }
            6 => (
                "an empty list of nothing",
                Reply::json(&json!({"items": [], "metadata": {"resourceVersion": "99999"}})),
            ),
            7 => {
                less["metadata"]["continue"] = json!("again");
                ("a list that goes on and on", Reply::json(&less))
            }
            8 => ("a list with a Pod in it", named("List", json!([deleted("Pod")]))),
            _ => match self.older() {
                Some(older) => ("an older list", Reply::json(&older)),
                None => ("half a list", Reply::Half(all.to_string().into_bytes())),
            },
        };
        self.faults.push(what);
        reply
    }

    fn older(&mut self) -> Option<Value> {
        let count = u32::try_from(self.before.len()).unwrap();
        let back = self.dice.below(30) + 1;
        let at = count.checked_sub(back)? as usize;
        Some(written(self.before[at].version, &self.before[at].objects))
    }

    fn odd_stream(&mut self) -> Reply {
        let objects = self.now.objects.clone();
        let some = |end: &WatchEnd| {
            for (name, object) in objects.iter().take(2) {
                end.send("ADDED", &service(name, object));
            }
        };
        let (what, reply) = match self.dice.below(4) {
            0 => ("a stream that is cut", ended(some)),
            1 => ("a stream of Pods", {
                ended(|end| {
                    end.send("ADDED", &deleted("Pod"));
                    end.list_end("99999");
                })
            }),
            2 => {
                let (reply, end) = Reply::watch(Kind::Service);
                some(&end);
                self.watches.push(Open::new(end, 0));
                ("a stream without an end", reply)
            }
            _ => {
                let reply = ended(|end| {
                    some(end);
                    end.send(
                        "BOOKMARK",
                        &json!({"kind": "Pod", "apiVersion": "v1", "metadata": {
                        "resourceVersion": "99999", "annotations": {"k8s.io/initial-events-end": "true"}}}),
                    );
                });
                ("a stream with another end", reply)
            }
        };
        self.faults.push(what);
        reply
    }

    fn odd_watch(&mut self, path: &str) -> Reply {
        let error = |code: u16| ended(|end| end.send("ERROR", &json!({"kind": "Status", "code": code})));
        let (what, reply) = match self.dice.below(8) {
            0 => ("a watch that ends", ended(|_| {})),
            1 => ("an error", error(500)),
            2 => ("a version that has expired", error(410)),
            3 => ("garbage", ended(|end| end.raw("\n\nnot JSON\n"))),
            4 => ("half an event", ended(|end| end.raw("{\"type\":\"DELETED\",\"obj"))),
            5 => ("a Pod that is deleted", ended(|end| end.send("DELETED", &deleted("Pod")))),
            6 => (
                "no kind that is deleted",
                ended(|end| end.send("DELETED", &json!({"metadata": {"name": "stable-0"}}))),
            ),
            _ => {
                let from: u64 = super::query(path, "resourceVersion").parse().unwrap_or_default();
                let (reply, end) = Reply::watch(Kind::Service);
                let again = u64::from(self.dice.below(10));
                self.replay(&end, from.saturating_sub(again));
                end.bookmark("");
                self.watches.push(Open::new(end, 0));
                ("what was sent before, again", reply)
            }
        };
        self.faults.push(what);
        reply
    }

    /// One that is open.
    pub(super) fn spoil_a_watch(&mut self) {
        let Some(Open { end, .. }) = self.watches.pop() else { return };
        match self.dice.below(4) {
            0 => end.raw("{\"type\":\"MODIFIED\",\"object\":"),
            1 => end.send("DELETED", &deleted("Pod")),
            2 => end.send("ERROR", &json!({"kind": "Status", "code": 410})),
            _ => {}
        }
        self.faults.push("an open watch ends");
    }
}

fn json_without_items(kind: &str) -> Reply {
    Reply::json(&json!({"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": "99999"}}))
}
