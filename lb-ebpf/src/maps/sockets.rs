//! What is remembered of the socket in hand.
//!
//! Every hook that gets here runs with the lock of the socket held, so that nothing else reads or writes its memory: plain
//! reads and writes, in any order.

use lb_common::translation::{Memories, Memory};

use super::tables::{CONNECTED, RECENT};
use crate::call::Call;

/// What the socket is connected to, if it ever was to a Service.
#[inline(always)]
pub(crate) fn connected<'c>(call: &Call<'c>) -> Option<&'c mut Memory> {
    // SAFETY: without the flag to create one, the helper only looks; the socket is the call's.
    let found = unsafe { CONNECTED.get_ptr_mut(call.context()) };
    // SAFETY: the value lives as long as the socket, and is this call's alone while it lasts.
    unsafe { found.cast::<Memory>().as_mut() }
}

/// The same, made where it is missing; `None` without memory for it.
#[inline(always)]
pub(crate) fn connected_or_new<'c>(call: &Call<'c>) -> Option<&'c mut Memory> {
    // SAFETY: the helper makes a value of zeros; the socket is the call's.
    let found = unsafe { CONNECTED.get_or_insert_ptr_mut(call.context(), None) };
    // SAFETY: as above.
    unsafe { found.cast::<Memory>().as_mut() }
}

/// What else the socket dialled, if it ever did.
#[inline(always)]
pub(crate) fn recent<'c>(call: &Call<'c>) -> Option<&'c mut Memories> {
    // SAFETY: without the flag to create one, the helper only looks; the socket is the call's.
    let found = unsafe { RECENT.get_ptr_mut(call.context()) };
    // SAFETY: as above.
    unsafe { found.cast::<Memories>().as_mut() }
}

/// The same, made where it is missing; `None` without memory for it.
#[inline(always)]
pub(crate) fn recent_or_new<'c>(call: &Call<'c>) -> Option<&'c mut Memories> {
    // SAFETY: the helper makes a value of zeros; the socket is the call's.
    let found = unsafe { RECENT.get_or_insert_ptr_mut(call.context(), None) };
    // SAFETY: as above.
    unsafe { found.cast::<Memories>().as_mut() }
}
