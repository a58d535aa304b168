//! Whether a connection that this process dials arrives where the maps say: dialled as any other process would, on a thread
//! of its own.

mod dial;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU16;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::model::self_test::{SelfTestPorts, SelfTestRound, frontend, loopback};
use crate::model::{Family, PerFamily};
use crate::shown::chain;

/// How long after a round that passed, and one that failed, the next one begins.
const EVERY: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(1);

/// Where the connections of the self-test arrive.
#[derive(Debug)]
pub struct Listeners(PerFamily<Option<TcpListener>>);

impl Listeners {
    /// One at the loopback address of each family that this machine has, on a port that the kernel chooses.
    ///
    /// # Errors
    /// When no family has one.
    pub fn open() -> io::Result<Self> {
        let mut why = None;
        let listeners = PerFamily { v4: listen(Family::V4, &mut why), v6: listen(Family::V6, &mut why) };
        let listeners = Self(listeners);
        match why.filter(|_| listeners.ports() == SelfTestPorts::default()) {
            Some(error) => Err(error),
            None => Ok(listeners),
        }
    }

    #[must_use]
    pub fn ports(&self) -> SelfTestPorts {
        let port = |listener: &TcpListener| NonZeroU16::new(listener.local_addr().ok()?.port());
        PerFamily::each(|family| self.0.of(family).as_ref().and_then(port))
    }

    /// Dials in each family.
    fn round(&self) -> SelfTestRound {
        let failed = |family: Family| {
            let listener = self.0.of(family).as_ref()?;
            let error = dial::dial(&frontend(family).address, listener).err()?;
            Some(format!("{} over {}: {}", frontend(family).address, family.label(), chain(&error)).into())
        };
        SelfTestRound { failed: PerFamily::each(failed) }
    }
}

fn listen(family: Family, why: &mut Option<io::Error>) -> Option<TcpListener> {
    let listener = TcpListener::bind(SocketAddr::new(loopback(family), 0))
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    match listener {
        Ok(listener) => Some(listener),
        Err(error) => {
            *why = Some(error);
            None
        }
    }
}

/// Asks for rounds. The thread ends once it is dropped.
#[derive(Debug)]
pub struct Tester(Sender<()>);

impl Tester {
    /// Asks for a round now.
    pub fn ask(&self) {
        // The thread ends with the writer alone.
        _ = self.0.send(());
    }
}

impl From<Sender<()>> for Tester {
    fn from(asks: Sender<()>) -> Self {
        Self(asks)
    }
}

/// Starts the thread: it waits for the first ask, and `send` is given how each round ended until it returns false.
///
/// # Errors
/// When there is no thread for it.
pub fn start(
    listeners: Listeners,
    send: impl FnMut(SelfTestRound) -> bool + Send + 'static,
) -> io::Result<Tester> {
    let (tester, asked) = channel();
    std::thread::Builder::new()
        .name("self-test".to_owned())
        .spawn(move || follow(&listeners, &asked, send))?;
    Ok(Tester(tester))
}

fn follow(listeners: &Listeners, asked: &Receiver<()>, mut send: impl FnMut(SelfTestRound) -> bool) {
    let mut wait = Duration::MAX;
    loop {
        match asked.recv_timeout(wait) {
            // What was asked for meanwhile is one round.
            Ok(()) => asked.try_iter().for_each(drop),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let round = listeners.round();
        wait = if round == SelfTestRound::default() { EVERY } else { SOON };
        if !send(round) {
            return;
        }
    }
}
