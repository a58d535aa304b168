//! Backend to service: what a UDP client is shown as the other end is what it dialled.

use lb_common::outcome::Outcome;
use lb_common::translation::Pair;

use crate::call::Call;
use crate::record;
use crate::settings::shows_tcp_peers;

/// The source of a datagram, on an AF_INET socket.
#[inline(always)]
pub(crate) fn recvmsg4(call: &Call<'_>) -> Result<Outcome, Outcome> {
    show4(call, &record::leads_to(call, &call.end4()))
}

/// The source of a datagram, on an AF_INET6 socket.
#[inline(always)]
pub(crate) fn recvmsg6(call: &Call<'_>) -> Result<Outcome, Outcome> {
    show6(call, &record::leads_to(call, &call.end6()))
}

/// What an AF_INET socket is connected to. Other sockets than UDP's come here as well.
#[inline(always)]
pub(crate) fn getpeername4(call: &Call<'_>) -> Result<Outcome, Outcome> {
    if !is_remembered(call) {
        return Err(Outcome::ShownAsItIs);
    }
    show4(call, &record::connected_to(call, &call.end4()))
}

/// What an AF_INET6 socket is connected to.
#[inline(always)]
pub(crate) fn getpeername6(call: &Call<'_>) -> Result<Outcome, Outcome> {
    if !is_remembered(call) {
        return Err(Outcome::ShownAsItIs);
    }
    show6(call, &record::connected_to(call, &call.end6()))
}

/// Whether what a socket of this kind dialled is remembered.
#[inline(always)]
fn is_remembered(call: &Call<'_>) -> bool {
    call.is_udp() || (shows_tcp_peers() && call.is_tcp())
}

#[inline(always)]
fn show4(call: &Call<'_>, found: &Pair) -> Result<Outcome, Outcome> {
    if found.is_empty() {
        return Err(Outcome::ShownAsItIs);
    }
    call.show4(&found.service);
    Ok(Outcome::ShownAsDialled)
}

/// What is dialled by an IPv4-mapped address is remembered as one, and so is its backend.
#[inline(always)]
fn show6(call: &Call<'_>, found: &Pair) -> Result<Outcome, Outcome> {
    if found.is_empty() {
        return Err(Outcome::ShownAsItIs);
    }
    call.show6(&found.service);
    Ok(Outcome::ShownAsDialled)
}
