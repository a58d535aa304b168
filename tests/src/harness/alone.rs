//! Experiments about speed run while no other test of this binary uses the machine.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// Who uses the machine at this moment.
struct Users {
    /// The thread of each site.
    sites: Vec<ThreadId>,
    /// The thread whose experiment runs alone.
    alone: Option<ThreadId>,
    /// Threads that wait to be alone. A thread without a site lets them go first.
    waiting: usize,
}

static USERS: Mutex<Users> = Mutex::new(Users { sites: Vec::new(), alone: None, waiting: 0 });
static CHANGED: Condvar = Condvar::new();

/// While it lives, no other thread of this process has a site.
#[derive(Debug)]
pub struct Alone(());

/// Waits until the sites of all other threads are gone. The calling thread has no site yet.
#[must_use]
pub fn alone() -> Alone {
    let own = thread::current().id();
    let mut users = users();
    users.waiting += 1;
    while users.alone.is_some() || !users.sites.is_empty() {
        users = wait(users);
    }
    users.waiting -= 1;
    users.alone = Some(own);
    Alone(())
}

impl Drop for Alone {
    fn drop(&mut self) {
        users().alone = None;
        CHANGED.notify_all();
    }
}

/// One site of one thread.
#[derive(Debug)]
pub(crate) struct InUse(ThreadId);

impl InUse {
    /// Waits while an experiment of another thread runs alone.
    pub(crate) fn begin() -> Self {
        let own = thread::current().id();
        let mut users = users();
        while !users.admits(own) {
            users = wait(users);
        }
        users.sites.push(own);
        Self(own)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut users = users();
        if let Some(place) = users.sites.iter().position(|thread| *thread == self.0) {
            users.sites.swap_remove(place);
        }
        drop(users);
        CHANGED.notify_all();
    }
}

impl Users {
    /// A thread that has a site gets another one at once: the others wait for it.
    fn admits(&self, thread: ThreadId) -> bool {
        match self.alone {
            Some(alone) => alone == thread,
            None => self.waiting == 0 || self.sites.contains(&thread),
        }
    }
}

fn users() -> MutexGuard<'static, Users> {
    USERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait(users: MutexGuard<'static, Users>) -> MutexGuard<'static, Users> {
    CHANGED.wait(users).unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_with_a_site_gets_another_and_the_rest_wait_for_the_one_that_wants_to_be_alone() {
        let (own, other) = (thread::current().id(), thread::spawn(|| ()).thread().id());
        for (shows, sites, alone, waiting, admits) in [
            ("no thread waits", vec![], None, 0, true),
            ("another site is no hindrance", vec![other], None, 0, true),
            ("one waits to be alone", vec![other], None, 1, false),
            ("one waits for this thread", vec![own], None, 1, true),
            ("another is alone", vec![], Some(other), 0, false),
            ("this thread is alone", vec![], Some(own), 1, true),
        ] {
            assert_eq!(Users { sites, alone, waiting }.admits(own), admits, "{shows}");
        }
    }
}
