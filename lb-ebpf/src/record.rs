//! A UDP socket's memory: which Service it dialled when it was sent to which backend.
//!
//! What the socket is connected to lies in a record of its own: most sockets need no more. One that dials several Services
//! has a list besides, which then holds them all, the newest first: of two that lead to one backend, the newer one is right.

use lb_common::outcome::Event;
use lb_common::translation::{self, End, Memories, Pair};

use crate::call::Call;
use crate::maps;

/// The newest translation of `service` on this socket.
#[inline(always)]
pub(crate) fn remembered(call: &Call<'_>, service: &End) -> Pair {
    if let Some(recent) = maps::recent(call) {
        let found = translation::of_service(recent, service);
        if !found.is_empty() {
            return found;
        }
    }
    match maps::connected(call) {
        Some(connected) if Pair::of(connected).service == *service => Pair::of(connected),
        Some(_) | None => Pair::default(),
    }
}

/// The newest translation that sent this socket to `backend`.
#[inline(always)]
pub(crate) fn leads_to(call: &Call<'_>, backend: &End) -> Pair {
    if cfg!(feature = "plant-connected-first") {
        let connected = connected_to(call, backend);
        if !connected.is_empty() {
            return connected;
        }
    }
    if let Some(recent) = maps::recent(call) {
        if cfg!(feature = "plant-newest-shown") {
            return Pair::of(&recent[0]);
        }
        let found = translation::of_backend(recent, backend);
        if !found.is_empty() {
            return found;
        }
    }
    connected_to(call, backend)
}

/// The translation that the socket is connected by, while its peer is the backend that was chosen.
#[inline(always)]
pub(crate) fn connected_to(call: &Call<'_>, peer: &End) -> Pair {
    match maps::connected(call) {
        Some(connected) if Pair::of(connected).backend == *peer => Pair::of(connected),
        Some(_) | None => Pair::default(),
    }
}

/// The socket is about to be connected by `pair`.
#[inline(always)]
pub(crate) fn connects(call: &Call<'_>, pair: &Pair) {
    let Some(connected) = maps::connected_or_new(call) else {
        return maps::count_event(Event::UnstoredTranslation);
    };
    let before = Pair::of(connected);
    *connected = pair.memory();
    if let Some(recent) = maps::recent(call) {
        return remember(recent, pair);
    }
    // Replies to what was sent before may still come, or wait to be read.
    if !before.is_empty() && !before.leads_as(pair) {
        begin(call, &before, pair);
    }
}

/// The socket is about to be connected to what is no Service.
#[inline(always)]
pub(crate) fn connects_elsewhere(call: &Call<'_>, to: &End) {
    if let Some(connected) = maps::connected(call) {
        let before = Pair::of(connected);
        translation::clear(connected);
        if !before.is_empty() && maps::recent(call).is_none() {
            begin(call, &before, &before);
        }
    }
    sends_elsewhere(call, to);
}

/// A TCP socket is about to be connected by `pair`.
#[inline(always)]
pub(crate) fn tcp_connects(call: &Call<'_>, pair: &Pair) {
    match maps::connected_or_new(call) {
        Some(connected) => *connected = pair.memory(),
        None => maps::count_event(Event::UnstoredTranslation),
    }
}

/// A TCP socket is about to be connected to what is not known yet.
#[inline(always)]
pub(crate) fn tcp_dials(call: &Call<'_>) {
    if let Some(connected) = maps::connected(call) {
        translation::clear(connected);
    }
}

/// The socket is about to send a datagram by `pair`.
#[inline(always)]
pub(crate) fn sends(call: &Call<'_>, pair: &Pair) {
    if let Some(recent) = maps::recent(call) {
        return remember(recent, pair);
    }
    let connected = maps::connected(call).map_or(Pair::default(), |connected| Pair::of(connected));
    if !connected.leads_as(pair) {
        begin(call, &connected, pair);
    }
}

/// The socket is about to send a datagram to what is no Service: replies come from there.
#[inline(always)]
pub(crate) fn sends_elsewhere(call: &Call<'_>, to: &End) {
    if let Some(recent) = maps::recent(call) {
        translation::forget(recent, to);
    }
}

/// From now on the socket has a list.
#[inline(always)]
fn begin(call: &Call<'_>, connected: &Pair, pair: &Pair) {
    let Some(recent) = maps::recent_or_new(call) else {
        return maps::count_event(Event::UnstoredTranslation);
    };
    translation::begin(recent, connected);
    remember(recent, pair);
}

#[inline(always)]
fn remember(recent: &mut Memories, pair: &Pair) {
    if translation::remember(recent, pair) {
        maps::count_event(Event::ForgottenTranslation);
    }
}
