//! The clients that a door serves at one time: so many, and each for a limited time.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinError, JoinSet, yield_now};
use tokio::time::{Instant, sleep_until};

/// The clients of one door. All of them are left when it is dropped.
#[derive(Debug)]
pub(super) struct Clients {
    room: usize,
    /// What a client may count on.
    stay: Duration,
    served: JoinSet<()>,
    /// Those in `served`, the oldest first.
    by_age: VecDeque<(Instant, AbortHandle)>,
}

impl Clients {
    /// Room for `room` clients, at least one.
    pub(super) fn new(room: usize, stay: Duration) -> Self {
        Self { room: room.max(1), stay, served: JoinSet::new(), by_age: VecDeque::new() }
    }

    /// Serves one more. Where all room is taken, it waits until one leaves: the oldest has to, once it has
    /// stayed for its time. So clients that do nothing keep no other out.
    ///
    /// # Panics
    /// When serving a client has panicked.
    pub(super) async fn admit(&mut self, client: impl Future<Output = ()> + Send + 'static) {
        self.forget_ended();
        while self.by_age.len() >= self.room {
            self.make_room().await;
        }
        self.by_age.push_back((Instant::now(), self.served.spawn(client)));
        // It gets its turn before others come: under a flood it would be the oldest at once.
        yield_now().await;
    }

    async fn make_room(&mut self) {
        let Some(leaves) = self.by_age.front().map(|(came, _)| *came + self.stay) else { return };
        tokio::select! {
            ended = self.served.join_next() => ended.into_iter().for_each(check),
            () = sleep_until(leaves) => {
                if let Some((_, oldest)) = self.by_age.pop_front() {
                    oldest.abort();
                }
            }
        }
        self.forget_ended();
    }

    fn forget_ended(&mut self) {
        while let Some(ended) = self.served.try_join_next() {
            check(ended);
        }
        self.by_age.retain(|(_, client)| !client.is_finished());
    }
}

/// A panic is one of the whole door.
fn check(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        resume_unwind(error.into_panic());
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    const STAY: Duration = Duration::from_millis(50);

    /// A client that is served until it is made to leave, which its receiver notices.
    fn client() -> (impl Future<Output = ()> + Send, oneshot::Receiver<()>) {
        let (here, left) = oneshot::channel();
        let served = async move {
            pending::<()>().await;
            drop(here);
        };
        (served, left)
    }

    #[tokio::test]
    async fn when_there_is_no_room_the_oldest_leaves_after_its_time_and_no_other() {
        let mut clients = Clients::new(2, STAY);
        let ((one, mut first), (two, mut second), (three, mut third)) = (client(), client(), client());
        let start = Instant::now();
        clients.admit(one).await;
        clients.admit(two).await;
        assert!(start.elapsed() < STAY, "there was room");
        clients.admit(three).await;
        assert!(start.elapsed() >= STAY && start.elapsed() < 20 * STAY, "{:?}", start.elapsed());
        assert!(timeout(STAY, &mut first).await.is_ok(), "the first has left");
        assert!(timeout(STAY, &mut second).await.is_err() && timeout(STAY, &mut third).await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_leaves_by_itself_makes_room() {
        let mut clients = Clients::new(1, Duration::from_secs(3600));
        let start = Instant::now();
        for _ in 0..100 {
            clients.admit(tokio::time::sleep(Duration::from_millis(1))).await;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }

    #[tokio::test]
    #[should_panic(expected = "of a client")]
    async fn a_panic_of_one_client_is_one_of_the_door() {
        let mut clients = Clients::new(1, STAY);
        clients.admit(async { panic!("of a client") }).await;
        clients.admit(async {}).await;
    }
}
