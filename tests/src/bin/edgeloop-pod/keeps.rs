//! What this client was given by Services that keep their clients, and what it is to be given again.

use edgeloop_tests::proof::{ADDRESSES, History, Reached, Set, keeps_clients};
use nix::errno::Errno;

use crate::prove::{By, Door};

/// Of each address, at its cluster IP and at its node port, over IPv4 and IPv6: each of them keeps clients by itself. The backend that the client was given last, and
/// since when it has it.
#[derive(Default)]
pub(crate) struct Keeps([[Option<(Set, u64)>; 4]; ADDRESSES as usize]);

impl Keeps {
    /// The backend that was to be given to a connection, and is noted from now on: none where there was none to keep, or where
    /// it did not stay. `moment` is from before that connection.
    pub(crate) fn due(
        &mut self,
        address: u8,
        (by, door): (By, Door),
        reached: Result<Reached, Errno>,
        moment: u64,
        history: &History,
    ) -> Set {
        if !keeps_clients(address) {
            return 0;
        }
        let kind = usize::from(by == By::V6) + 2 * usize::from(door == Door::NodePort);
        let last = &mut self.0[usize::from(address)][kind];
        let due = last.map_or(0, |(backend, since)| history.staying_since(since) & backend);
        if let Ok(Reached::Backend(backend)) = reached {
            *last = Some((1 << backend, moment));
        }
        due
    }
}
