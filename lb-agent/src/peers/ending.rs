//! The sockets of one network namespace that are to end are asked, and ended.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::datapath::sockets::{Answer, Asker, Door, Fate, Which};
use crate::model::{Cause, Ended, Left, Obstacle, Translation, UdpEnd};
use crate::plan::admissions::{Admissions, Verdict};
use crate::shown::chain;

/// How long before, for [`Asks::Early`].
const EARLY: Duration = Duration::from_millis(300);

/// What is asked before a socket is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// The socket itself, just before: it may have been connected elsewhere since it was found.
    JustBefore,
    /// All sockets of a namespace first, and then they are ended, after a while: a bug that tests plant.
    Early,
    /// Not that socket, but any with the same peer: a bug that tests plant.
    ItsAddress,
}

/// What was done in some network namespaces.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) ended: Ended,
    pub(super) left: Left,
    pub(super) trouble: Option<String>,
}

impl Done {
    /// Nothing was ended.
    pub(super) fn left(obstacle: Obstacle, sockets: u64, trouble: Option<String>) -> Self {
        Self { left: Left::for_one(obstacle, sockets), trouble, ended: Ended::default() }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.ended.add(other.ended);
        self.left.add(other.left);
        self.trouble = self.trouble.take().or(other.trouble);
    }
}

/// Ends the sockets of the calling thread's network namespace that are to end; so many were `found` there.
pub(super) fn end_here(asker: &Asker, admissions: &Admissions, asks: Asks, found: u64) -> Done {
    let listed = Door::open().and_then(|door| Ok((door.list(Which::Connected)?, door)));
    let (sockets, door) = match listed {
        Ok(listed) => listed,
        Err(error) => return Done::left(Obstacle::Refused, found, Some(chain(&error))),
    };
    let mut done = Done::default();
    let mut end = |socket: &UdpEnd, cause| match door.end(socket) {
        Ok(Fate::Ended) => done.ended.count(cause),
        Ok(Fate::Gone) => {}
        Err(error) => done.add(Done::left(Obstacle::Refused, 1, Some(trouble(&error)))),
    };
    let mut unasked = None;
    match asks {
        Asks::JustBefore => {
            for socket in &sockets {
                match cause(asker, admissions, socket) {
                    Ok(Some(cause)) => end(socket, cause),
                    Ok(None) => {}
                    Err(error) => unasked = Some(trouble(&error)),
                }
            }
        }
        Asks::Early => {
            let asked: Vec<_> = sockets
                .iter()
                .filter_map(|socket| Some((socket, cause(asker, admissions, socket).ok()??)))
                .collect();
            if !asked.is_empty() {
                std::thread::sleep(EARLY);
            }
            asked.into_iter().for_each(|(socket, cause)| end(socket, cause));
        }
        Asks::ItsAddress => {
            let causes: Vec<_> = sockets
                .iter()
                .filter_map(|socket| Some((socket.peer, cause(asker, admissions, socket).ok()??)))
                .collect();
            for socket in &sockets {
                let same = causes.iter().find(|(peer, _)| *peer == socket.peer);
                same.into_iter().for_each(|(_, cause)| end(socket, *cause));
            }
        }
    }
    done.trouble = done.trouble.or(unasked);
    done
}

/// Why a socket is to end, if it is.
fn cause(asker: &Asker, admissions: &Admissions, socket: &UdpEnd) -> io::Result<Option<Cause>> {
    Ok(match asker.ask(socket)? {
        Answer::Connected(translation) => judge(admissions, &translation, socket.peer),
        Answer::Nothing | Answer::Gone | Answer::Changing => None,
    })
}

/// Why a socket with this peer is to end that was connected by `translation`. One that is connected elsewhere by now is not:
/// what it remembers was of another connection.
pub(super) fn judge(
    admissions: &Admissions,
    translation: &Translation,
    peer: Option<SocketAddr>,
) -> Option<Cause> {
    match admissions.judge(translation) {
        Verdict::Ends(cause) if peer == Some(translation.backend) => Some(cause),
        Verdict::Ends(_) | Verdict::Stays => None,
    }
}

fn trouble(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => {
            "the kernel ends no sockets: it was built without CONFIG_INET_DIAG_DESTROY".to_owned()
        }
        Some(libc::EPERM) => "the kernel does not let this process end a socket (CAP_NET_ADMIN)".to_owned(),
        _ => format!("a socket could not be asked, or ended: {error}"),
    }
}
