//! What the writer says to the thread that ends sockets. The writer never waits: what is newer takes the place of what is older.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::plan::admissions::News;

/// What was said since it was heard last.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) news: Option<News>,
    /// What was written before may have failed: sockets that dialled since are to be looked at again.
    pub(super) again: bool,
}

/// One entry a Service at most.
#[derive(Clone, Debug, Default)]
pub struct PeersQueue(Arc<(Mutex<Option<Asked>>, Condvar)>);

impl PeersQueue {
    /// Says what is new. `again`: sockets are to be looked at whatever is new.
    pub fn put(&self, news: News, again: bool) {
        let (held, condition) = &*self.0;
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = held.get_or_insert_default();
        asked.again |= again;
        match &mut asked.news {
            Some(older) => older.merge(news),
            none => *none = Some(news),
        }
        condition.notify_one();
    }

    /// Takes all that was said, and waits for it this long at most.
    pub(super) fn wait(&self, patience: Duration) -> Option<Asked> {
        let (held, condition) = &*self.0;
        let held = held.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = condition.wait_timeout_while(held, patience, |held| held.is_none());
        let (mut held, _) = waited.unwrap_or_else(PoisonError::into_inner);
        held.take()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::ObjectName;
    use crate::store::Known;

    fn news(services: &[(&str, usize)], known: Known) -> News {
        let frontend = |number: usize| {
            let address = std::net::SocketAddr::from(([10, 96, 0, number as u8], 53));
            let frontend = crate::model::Frontend { address, protocol: crate::model::Protocol::Udp };
            (frontend, crate::store::Admitted::Any)
        };
        let services: BTreeMap<_, _> = services
            .iter()
            .map(|(name, count)| (ObjectName::new("a", name), (0..*count).map(frontend).collect()))
            .collect();
        News { services, known }
    }

    #[test]
    fn a_burst_is_one_entry_a_service_and_the_newest_counts() {
        let queue = PeersQueue::default();
        assert!(queue.wait(Duration::ZERO).is_none());
        queue.put(news(&[("x", 1), ("y", 1)], Known::Part), true);
        queue.put(news(&[("x", 2)], Known::All), false);
        let Asked { news: Some(found), again: true } = queue.wait(Duration::ZERO).unwrap() else {
            panic!("both are one")
        };
        assert_eq!((found.known, found.services.len()), (Known::All, 2));
        assert_eq!(found.services[&ObjectName::new("a", "x")].len(), 2);
        assert!(queue.wait(Duration::ZERO).is_none());
    }
}
