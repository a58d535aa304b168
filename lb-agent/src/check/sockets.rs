//! UDP sockets whose backend is gone: whether they can be found and ended.

use std::io;
use std::net::UdpSocket;

use crate::datapath::sockets::{Door, Fate, ListError, WalkError, Walker, Which, may_enter};
use crate::model::Pods;
use crate::shown::{chain, line};

use super::finding::Finding;

/// What a socket of its own is connected to: nothing is sent there.
const NOWHERE: &str = "127.0.0.1:9";

/// Why the trial came to no end.
#[derive(Debug, thiserror::Error)]
enum EndError {
    #[error(transparent)]
    List(#[from] ListError),
    #[error("there is no socket of its own to try it with")]
    Socket(#[source] io::Error),
    #[error("the kernel does not list a socket that is there")]
    Unlisted,
    #[error("the kernel does not end a socket")]
    End(#[source] io::Error),
}

pub(super) fn findings() -> Vec<Finding> {
    vec![ending(end_one()), finding(Walker::load().map(drop)), pods(may_enter())]
}

/// Ends a socket of this process.
fn end_one() -> Result<(), EndError> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(EndError::Socket)?;
    socket.connect(NOWHERE).map_err(EndError::Socket)?;
    let local = socket.local_addr().map_err(EndError::Socket)?;
    let door = Door::open()?;
    let listed = door.list(Which::Connected)?;
    let shown = listed.iter().find(|end| end.local == local).ok_or(EndError::Unlisted)?;
    match door.end(shown).map_err(EndError::End)? {
        Fate::Ended => Ok(()),
        Fate::Gone => Err(EndError::Unlisted),
    }
}

fn ending(tried: Result<(), EndError>) -> Finding {
    let what = "ending UDP sockets";
    match tried {
        Ok(()) => Finding::ok(what, "one of its own was ended"),
        Err(error) => Finding::degraded(
            what,
            line(&chain(&error)),
            "a connected UDP socket whose backend is gone is left as it is, and waits for replies",
            match &error {
                EndError::End(error) if error.raw_os_error() == Some(libc::EPERM) => {
                    "run as root, or with CAP_NET_ADMIN"
                }
                EndError::End(_) => "use a kernel with CONFIG_INET_DIAG_DESTROY",
                EndError::List(_) | EndError::Unlisted => {
                    "load the kernel's module udp_diag, or use a kernel with CONFIG_INET_UDP_DIAG"
                }
                EndError::Socket(_) => "set the interface lo up",
            },
        ),
    }
}

/// What is lost without an iterator is no fault of the machine.
fn finding(loaded: Result<(), WalkError>) -> Finding {
    let what = "finding UDP sockets";
    match loaded {
        Ok(()) => Finding::ok(what, "by an iterator of the kernel"),
        Err(error) => Finding::ok(
            what,
            format!(
                "by sock_diag, one network namespace after the other; those left in others are not counted ({})",
                line(&chain(&error))
            ),
        ),
    }
}

fn pods(pods: Pods) -> Finding {
    let what = "UDP sockets of pods";
    Finding::ok(
        what,
        match pods {
            Pods::Entered => "their network namespaces can be entered",
            Pods::NotAllowed | Pods::Unknown => {
                "left as they are when their backend is gone, but for those in the host's network: to enter others takes \
                 CAP_SYS_ADMIN"
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn a_kernel_that_ends_none_is_degraded_and_the_line_says_what_to_do() {
        let refused = |errno| EndError::End(io::Error::from_raw_os_error(errno));
        for (tried, todo) in [
            (refused(libc::EPERM), "CAP_NET_ADMIN"),
            (refused(libc::EOPNOTSUPP), "CONFIG_INET_DIAG_DESTROY"),
            (EndError::List(ListError::NoDiag), "udp_diag"),
            (EndError::Unlisted, "udp_diag"),
            (EndError::Socket(io::ErrorKind::AddrNotAvailable.into()), "lo"),
        ] {
            let found = ending(Err(tried));
            assert_eq!(found.state, State::Degraded);
            assert!(found.todo.unwrap().contains(todo), "{todo}");
        }
        assert_eq!(ending(Ok(())).state, State::Ok);
    }

    #[test]
    fn what_is_lost_without_a_right_is_said() {
        let refused = WalkError::Load(io::Error::from_raw_os_error(libc::EPERM));
        for (found, says) in [
            (finding(Err(refused)), "CAP_PERFMON"),
            (finding(Ok(())), "iterator"),
            (pods(Pods::NotAllowed), "CAP_SYS_ADMIN"),
            (pods(Pods::Entered), "can be entered"),
        ] {
            assert!(found.state == State::Ok && found.found.contains(says), "{found:?}");
        }
    }
}
