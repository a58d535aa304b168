//! Which connected UDP sockets are to end: those whose backend their Service admits no more. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::model::{Cause, Family, Frontend, ObjectName, Protocol, Translation};
use crate::store::{Admitted, Known};

/// What is known of some Services since it was taken last, and of all together.
#[derive(Clone, Debug)]
pub struct News {
    /// Each with all of its addresses: one that is not named has gone.
    pub services: BTreeMap<ObjectName, Vec<(Frontend, Admitted)>>,
    pub known: Known,
}

/// What becomes of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Stays,
    Ends(Cause),
}

/// What sockets may stay connected to, by what they dialled.
#[derive(Debug)]
pub struct Admissions {
    by_frontend: HashMap<Frontend, (Arc<ObjectName>, Admitted)>,
    by_service: BTreeMap<Arc<ObjectName>, Vec<Frontend>>,
    known: Known,
}

impl News {
    /// Takes in what is newer.
    pub fn merge(&mut self, newer: Self) {
        self.services.extend(newer.services);
        self.known = newer.known;
    }
}

impl Default for Admissions {
    fn default() -> Self {
        Self { by_frontend: HashMap::new(), by_service: BTreeMap::new(), known: Known::Nothing }
    }
}

impl Admissions {
    /// Takes in what is new. Returns whether a socket may have to end for it: something that was admitted is so no more, or it has
    /// become known what a socket may have that was connected before.
    pub fn take(&mut self, news: News) -> bool {
        let News { services, known } = news;
        let was_known = std::mem::replace(&mut self.known, known);
        let mut lost = known == Known::All && was_known != Known::All;
        // All that goes comes first: an address may pass from one Service to another.
        let named: HashSet<Frontend> = services.values().flatten().map(|(frontend, _)| *frontend).collect();
        for name in services.keys() {
            let gone = self.by_service.remove(name).unwrap_or_default();
            for frontend in gone.into_iter().filter(|frontend| !named.contains(frontend)) {
                if self.by_frontend.get(&frontend).is_some_and(|(of, _)| **of == *name) {
                    self.by_frontend.remove(&frontend);
                    lost = true;
                }
            }
        }
        for (name, all) in services {
            let name = Arc::new(name);
            let frontends: Vec<Frontend> = all.iter().map(|(frontend, _)| *frontend).collect();
            for (frontend, now) in all {
                let before = self.by_frontend.get(&frontend).map(|(_, before)| before);
                lost |= match before {
                    Some(before) => loses(before, &now),
                    None => was_known != Known::All,
                };
                self.by_frontend.insert(frontend, (Arc::clone(&name), now));
            }
            if !frontends.is_empty() {
                self.by_service.insert(name, frontends);
            }
        }
        lost
    }

    /// What becomes of a socket that is connected by `translation`.
    ///
    /// 1. Its Service's port says which backends may stay.
    /// 2. What no Service has was a node port, or has gone: then everything ends, once all Services are known.
    #[must_use]
    pub fn judge(&self, translation: &Translation) -> Verdict {
        let udp = |address| Frontend { address, protocol: Protocol::Udp };
        let Translation { dialled, backend } = *translation;
        let mut node_port = dialled;
        node_port.set_ip(Family::of(dialled.ip()).unspecified());
        let found = self.by_frontend.get(&udp(dialled)).or_else(|| self.by_frontend.get(&udp(node_port)));
        match found {
            Some((_, Admitted::Any)) => Verdict::Stays,
            Some((_, Admitted::Backends(backends))) if backends.binary_search(&backend).is_ok() => {
                Verdict::Stays
            }
            Some((_, Admitted::Backends(_))) => Verdict::Ends(Cause::Backend),
            None if self.known == Known::All => Verdict::Ends(Cause::Service),
            None => Verdict::Stays,
        }
    }
}

/// Whether something that sockets may have had is admitted no more.
fn loses(before: &Admitted, now: &Admitted) -> bool {
    match (before, now) {
        (_, Admitted::Any) => false,
        (Admitted::Any, Admitted::Backends(_)) => true,
        (Admitted::Backends(before), Admitted::Backends(now)) => {
            before.iter().any(|backend| now.binary_search(backend).is_err())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a 53: 1 2` is the Service `a`, which admits the backends 1 and 2 at 10.96.0.53; `*` is any; `n80` a node port.
    fn news(known: Known, lines: &[&str]) -> News {
        let mut services: BTreeMap<ObjectName, Vec<(Frontend, Admitted)>> = BTreeMap::new();
        for line in lines {
            let (head, backends) = line.split_once(':').unwrap();
            let (name, at) = head.split_once(' ').unwrap_or((head, ""));
            let of = services.entry(ObjectName::new("default", name)).or_default();
            if at.is_empty() {
                continue;
            }
            let mut backends: Vec<_> = backends.split_whitespace().collect();
            backends.sort_unstable();
            let admitted = match backends[..] {
                ["*"] => Admitted::Any,
                _ => Admitted::Backends(backends.iter().map(|number| backend(number)).collect()),
            };
            of.push((Frontend { address: dialled(at), protocol: Protocol::Udp }, admitted));
        }
        News { services, known }
    }

    fn backend(number: &str) -> std::net::SocketAddr {
        format!("10.244.0.{number}:5353").parse().unwrap()
    }

    fn dialled(at: &str) -> std::net::SocketAddr {
        let text = match at.strip_prefix('n') {
            Some(port) => format!("0.0.0.0:{port}"),
            None => format!("10.96.0.{at}:53"),
        };
        text.parse().unwrap()
    }

    /// Of each socket `AT BACKEND` whether it stays.
    fn stays(admissions: &Admissions, sockets: &[&str]) -> Vec<bool> {
        let judge = |socket: &&str| {
            let (at, number) = socket.split_once(' ').unwrap();
            let translation = Translation { dialled: dialled(at), backend: backend(number) };
            admissions.judge(&translation) == Verdict::Stays
        };
        sockets.iter().map(judge).collect()
    }

    #[test]
    fn the_service_that_was_dialled_decides_and_no_other_with_the_same_backend() {
        let mut admissions = Admissions::default();
        admissions.take(news(Known::All, &["a 1: 1 2", "b 2: 2 3", "c 3: *", "d 4:", "e n53: 5"]));
        for (socket, expected) in [
            ("1 1", true),
            ("1 2", true),
            ("1 3", false),
            ("2 2", true),
            ("2 1", false),
            ("3 9", true),  // it is left alone
            ("4 1", false), // its set is empty
            ("9 5", true),  // an address of the host, at a node port
            ("9 1", false),
        ] {
            assert_eq!(stays(&admissions, &[socket]), [expected], "{socket}");
        }
        assert_eq!(stays(&admissions, &["n80 1"]), [false], "no Service, and no node port");
    }

    #[test]
    fn it_is_looked_at_again_only_when_something_is_lost() {
        let mut admissions = Admissions::default();
        for (shows, lines, lost) in [
            ("at first", &["a 1: 1 2"][..], true),
            ("the same", &["a 1: 1 2"], false),
            ("one more", &["a 1: 1 2 3"], false),
            ("another Service", &["b 2: 1"], false),
            ("one less", &["a 1: 1 3"], true),
            ("another in its place", &["a 1: 1 4"], true),
            ("left alone from now on", &["a 1: *"], false),
            ("and not any more", &["a 1: 1 4"], true),
            ("another address besides", &["a 1: 1 4", "a 5: 1 4"], false),
            ("the first address goes", &["a 5: 1 4"], true),
            ("another Service takes it, with the same backends", &["b 2: 1", "b 1: 1 4"], false),
            ("the Service goes", &["a:"], true),
            ("it goes again", &["a:"], false),
        ] {
            assert_eq!(admissions.take(news(Known::All, lines)), lost, "{shows}");
        }
    }

    #[test]
    fn an_address_that_changes_hands_is_the_new_ones_whichever_comes_first() {
        for lines in [&["a:", "b 1: 2"], &["b 1: 2", "a:"]] {
            let mut admissions = Admissions::default();
            admissions.take(news(Known::All, &["a 1: 1"]));
            assert!(admissions.take(news(Known::All, lines)));
            assert_eq!(stays(&admissions, &["1 1", "1 2"]), [false, true]);
            // What is said of `a` later is about `a`.
            assert!(!admissions.take(news(Known::All, &["a:"])));
            assert_eq!(stays(&admissions, &["1 2"]), [true]);
        }
    }

    #[test]
    fn what_is_not_known_ends_nothing_until_everything_is() {
        let mut admissions = Admissions::default();
        assert_eq!(stays(&admissions, &["1 1"]), [true], "nothing was said yet");
        assert!(admissions.take(news(Known::Part, &["a 1: 1"])), "sockets may be older than the agent");
        assert_eq!(stays(&admissions, &["1 1", "1 2", "2 1"]), [true, false, true]);
        assert!(admissions.take(news(Known::Part, &["b 3: 1"])));
        assert!(admissions.take(news(Known::All, &[])));
        assert_eq!(stays(&admissions, &["1 1", "2 1"]), [true, false]);
        assert!(!admissions.take(news(Known::All, &[])));
    }
}
