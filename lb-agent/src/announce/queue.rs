//! The warnings that are to become Events: the writer keeps them as they are now, and the publisher
//! reads them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::api::jitter;
use crate::model::ObjectName;

use super::warning::TopologyWarning;

/// The warning of each Service that has one: a mistake that is corrected before its turn never
/// becomes an Event, and nothing piles up behind an API server that does not respond.
#[derive(Clone, Debug, Default)]
pub struct EventQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<BTreeMap<ObjectName, Entry>>,
    news: Notify,
}

#[derive(Debug)]
struct Entry {
    warning: TopologyWarning,
    /// When it was noticed.
    at: Instant,
    due: Due,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    New,
    At(Instant),
    /// The Event was made, or cannot be.
    Settled,
}

impl EventQueue {
    /// Puts `warning` in the place of the Service's last one. Never waits.
    pub fn set(&self, service: &ObjectName, warning: Option<TopologyWarning>) {
        let mut waiting = self.lock();
        match warning {
            None => drop(waiting.remove(service)),
            Some(warning) if waiting.get(service).is_some_and(|known| known.warning == warning) => {}
            Some(warning) => {
                let entry = Entry { warning, at: Instant::now(), due: Due::New };
                waiting.insert(service.clone(), entry);
                drop(waiting);
                self.0.news.notify_one();
            }
        }
    }

    /// Returns when a warning is new.
    pub(super) async fn news(&self) {
        self.0.news.notified().await;
    }

    /// The next warning, and when it is due: each at some moment within `spread` of when it was
    /// noticed, for all agents notice it at once.
    pub(super) fn next(&self, spread: Duration) -> Option<(Instant, TopologyWarning)> {
        let mut waiting = self.lock();
        let mut next: Option<(Instant, &TopologyWarning)> = None;
        for Entry { warning, at, due } in waiting.values_mut() {
            if *due == Due::New {
                *due = Due::At(*at + jitter(spread).saturating_sub(spread / 2));
            }
            match *due {
                Due::At(at) if next.is_none_or(|(earliest, _)| at < earliest) => next = Some((at, warning)),
                Due::New | Due::At(_) | Due::Settled => {}
            }
        }
        next.map(|(at, warning)| (at, warning.clone()))
    }

    /// Whether this is still the Service's warning.
    pub(super) fn holds(&self, warning: &TopologyWarning) -> bool {
        self.lock().get(&warning.service).is_some_and(|entry| entry.warning == *warning)
    }

    /// There is no more to do, unless the Service has another warning by now.
    pub(super) fn settle(&self, warning: &TopologyWarning) {
        self.put(warning, Due::Settled);
    }

    /// It is tried again, after what is due until then.
    pub(super) fn put_off(&self, warning: &TopologyWarning, until: Instant) {
        self.put(warning, Due::At(until));
    }

    /// Nothing of this namespace is tried before.
    pub(super) fn put_off_all(&self, namespace: &str, until: Instant) {
        for (service, entry) in self.lock().iter_mut() {
            if *service.namespace == *namespace && entry.due != Due::Settled {
                entry.due = Due::At(until);
            }
        }
    }

    fn put(&self, warning: &TopologyWarning, due: Due) {
        if let Some(entry) = self.lock().get_mut(&warning.service)
            && entry.warning == *warning
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

    fn warning(service: &str, written: &str) -> TopologyWarning {
        let service = ObjectName::new("default", service);
        TopologyWarning { service, uid: None, written: written.into(), text: String::new() }
    }

    fn next(queue: &EventQueue) -> Option<String> {
        let (_, warning) = queue.next(SPREAD)?;
        Some(format!("{} {}", warning.service.name, warning.written))
    }

    #[test]
    fn a_warning_is_due_again_only_when_it_reads_otherwise() {
        let queue = EventQueue::default();
        let (one, other) = (warning("a", "rack"), warning("a", "row"));
        let set = |warning: &TopologyWarning| queue.set(&warning.service, Some(warning.clone()));
        assert_eq!(next(&queue), None);
        set(&one);
        assert_eq!(next(&queue).as_deref(), Some("a rack"));
        queue.settle(&one);
        set(&one);
        assert_eq!(next(&queue), None);
        set(&other);
        queue.settle(&one);
        assert_eq!(next(&queue).as_deref(), Some("a row"), "settled was the other");
        queue.set(&other.service, None);
        assert_eq!(next(&queue), None, "corrected in time");
        set(&one);
        assert_eq!(next(&queue).as_deref(), Some("a rack"), "wrong again");
    }

    #[test]
    fn each_is_put_off_by_chance_and_by_no_more_than_the_spread() {
        let queue = EventQueue::default();
        let start = Instant::now();
        let mut dues = Vec::new();
        for number in 0..50 {
            let warning = warning(&format!("s-{number}"), "rack");
            queue.set(&warning.service, Some(warning.clone()));
        }
        let end = Instant::now();
        while let Some((due, warning)) = queue.next(SPREAD) {
            assert_eq!(queue.next(SPREAD), Some((due, warning.clone())), "and it stays at that");
            dues.push(due);
            queue.settle(&warning);
        }
        assert_eq!(dues.len(), 50);
        assert!(dues.is_sorted() && dues[0] >= start && dues[49] <= end + SPREAD);
        assert!(dues[49] - dues[0] > SPREAD / 10, "not all at once");
    }
}
