//! UDP sockets as the kernel lists them by `sock_diag`, one network namespace at a time; what each of them remembers; and their end.

mod ask;
mod door;
mod memory;
mod message;
mod walk;

use std::fs::File;
use std::io;

use crate::model::UdpEnd;

pub use ask::{Answer, Asker};
pub use door::{Door, Fate, ListError, enter, may_enter};
pub use memory::Memories;
pub use message::Which;
pub use walk::{WalkError, Walked, Walker};

/// The UDP sockets of the network namespace that `namespace` opens to; without one, of the calling thread's own.
///
/// # Errors
/// When the namespace cannot be entered, or the kernel does not say.
pub fn list(namespace: Option<&File>) -> Result<Vec<UdpEnd>, ListError> {
    let door = match namespace {
        None => Door::open()?,
        Some(namespace) => door_into(namespace)?,
    };
    door.list(Which::All)
}

/// A door in another namespace. That is a thread's own affair: the thread that enters it ends with this call.
fn door_into(namespace: &File) -> Result<Door, ListError> {
    let open = || {
        enter(namespace)?;
        Door::open()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespace".to_owned()).spawn_scoped(scope, open);
        let ended = thread.map_err(ListError::Enter)?.join();
        ended.unwrap_or_else(|_panic| Err(ListError::Enter(io::ErrorKind::Other.into())))
    })
}
