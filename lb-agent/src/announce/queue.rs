//! What is to be said of Services: the agent keeps it as it is now, and the herald reads it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::announce::warning::TopologyWarning;
use crate::model::ObjectName;

use crate::api::jitter;

/// The complaint of each Service that has one: no queue, so what is mended before its turn is
/// never said, and nothing piles up behind an API server that does not answer.
#[derive(Clone, Debug, Default)]
pub struct EventQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<BTreeMap<ObjectName, Entry>>,
    news: Notify,
}

#[derive(Debug)]
struct Entry {
    complaint: TopologyWarning,
    /// When it was noticed.
    at: Instant,
    due: Due,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    New,
    At(Instant),
    /// It has been said, or cannot be.
    Settled,
}

impl EventQueue {
    /// This is to be said of the Service from now on. Never waits.
    pub fn set(&self, service: &ObjectName, complaint: Option<TopologyWarning>) {
        let mut waiting = self.lock();
        match complaint {
            None => drop(waiting.remove(service)),
            Some(complaint) if waiting.get(service).is_some_and(|known| known.complaint == complaint) => {}
            Some(complaint) => {
                let entry = Entry { complaint, at: Instant::now(), due: Due::New };
                waiting.insert(service.clone(), entry);
                drop(waiting);
                self.0.news.notify_one();
            }
        }
    }

    /// Returns when something new is to be said.
    pub(super) async fn news(&self) {
        self.0.news.notified().await;
    }

    /// What is to be said next, and when: each at some moment within `spread` of when it was
    /// noticed, for all agents notice it at once.
    pub(super) fn next(&self, spread: Duration) -> Option<(Instant, TopologyWarning)> {
        let mut waiting = self.lock();
        let mut next: Option<(Instant, &TopologyWarning)> = None;
        for Entry { complaint, at, due } in waiting.values_mut() {
            if *due == Due::New {
                *due = Due::At(*at + jitter(spread).saturating_sub(spread / 2));
            }
            match *due {
                Due::At(at) if next.is_none_or(|(earliest, _)| at < earliest) => next = Some((at, complaint)),
                Due::New | Due::At(_) | Due::Settled => {}
            }
        }
        next.map(|(at, complaint)| (at, complaint.clone()))
    }

    /// Whether this is still to be said.
    pub(super) fn holds(&self, complaint: &TopologyWarning) -> bool {
        self.lock().get(&complaint.service).is_some_and(|entry| entry.complaint == *complaint)
    }

    /// Nothing more is to be said of this, unless something else is by now.
    pub(super) fn settle(&self, said: &TopologyWarning) {
        self.put(said, Due::Settled);
    }

    /// It is tried again, behind what is due until then.
    pub(super) fn put_off(&self, unsaid: &TopologyWarning, until: Instant) {
        self.put(unsaid, Due::At(until));
    }

    fn put(&self, complaint: &TopologyWarning, due: Due) {
        if let Some(entry) = self.lock().get_mut(&complaint.service)
            && entry.complaint == *complaint
        {
            entry.due = due;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectName, Entry>> {
        // Each entry is whole between any two changes.
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPREAD: Duration = Duration::from_secs(10);

    fn complaint(service: &str, written: &str) -> TopologyWarning {
        let service = ObjectName::new("default", service);
        TopologyWarning { service, uid: None, written: written.into(), text: String::new() }
    }

    fn next(outbox: &EventQueue) -> Option<String> {
        let (_, complaint) = outbox.next(SPREAD)?;
        Some(format!("{} {}", complaint.service.name, complaint.written))
    }

    #[test]
    fn what_was_said_is_said_again_only_when_it_reads_otherwise() {
        let outbox = EventQueue::default();
        let (one, other) = (complaint("a", "rack"), complaint("a", "row"));
        let set = |complaint: &TopologyWarning| outbox.set(&complaint.service, Some(complaint.clone()));
        assert_eq!(next(&outbox), None);
        set(&one);
        assert_eq!(next(&outbox).as_deref(), Some("a rack"));
        outbox.settle(&one);
        set(&one);
        assert_eq!(next(&outbox), None);
        set(&other);
        outbox.settle(&one);
        assert_eq!(next(&outbox).as_deref(), Some("a row"), "settled was the other");
        outbox.set(&other.service, None);
        assert_eq!(next(&outbox), None, "mended in time");
        set(&one);
        assert_eq!(next(&outbox).as_deref(), Some("a rack"), "broken again");
    }

    #[test]
    fn each_is_put_off_by_chance_and_by_no_more_than_the_spread() {
        let outbox = EventQueue::default();
        let start = Instant::now();
        let mut dues = Vec::new();
        for number in 0..50 {
            let complaint = complaint(&format!("s-{number}"), "rack");
            outbox.set(&complaint.service, Some(complaint.clone()));
        }
        let end = Instant::now();
        while let Some((due, complaint)) = outbox.next(SPREAD) {
            assert_eq!(outbox.next(SPREAD), Some((due, complaint.clone())), "and it stays at that");
            dues.push(due);
            outbox.settle(&complaint);
        }
        assert_eq!(dues.len(), 50);
        assert!(dues.is_sorted() && dues[0] >= start && dues[49] <= end + SPREAD);
        assert!(dues[49] - dues[0] > SPREAD / 10, "not all at once");
    }
}
