//! Several datagrams in one call, as resolvers send and receive them.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};

/// `ADDRESS TEXT, ADDRESS TEXT, …` in one `sendmmsg(2)`: how many of them went out.
pub(crate) fn send(fd: i32, words: &str) -> Result<Result<String, Errno>> {
    let parts = words.split(", ").map(|part| {
        let (to, text) = part.split_once(' ').with_context(|| format!("no ADDRESS TEXT: `{part}`"))?;
        let to: SocketAddr = to.parse().with_context(|| format!("no address in `{part}`"))?;
        Ok((Some(SockaddrStorage::from(to)), [IoSlice::new(text.as_bytes())]))
    });
    let (addresses, texts): (Vec<_>, Vec<_>) = parts.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let mut headers = MultiHeaders::preallocate(texts.len(), None);
    let sent = sendmmsg(fd, &mut headers, &texts, &addresses, [], MsgFlags::empty());
    Ok(sent.map(|sent| format!("{} sent", sent.count())))
}

/// So many datagrams by one `recvmmsg(2)`: what each says, and where it came from.
pub(crate) fn receive(fd: i32, count: usize) -> Result<Vec<(String, Option<SockaddrStorage>)>, Errno> {
    let mut buffers = vec![[0; 512]; count];
    let mut parts: Vec<_> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(count, None);
    let received = recvmmsg(fd, &mut headers, parts.iter_mut(), MsgFlags::empty(), None)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(received.map(|one| (one.iovs().map(text).collect::<String>(), one.address)).collect())
}
