//! Texts that must not be shown. Pure.

use std::fmt;

/// A token, a password, a key, or what a plugin gets and writes. It has no `Display`, and `Debug`
/// keeps it back, so that it reaches no log, status or error by accident.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret<T = String>(T);

impl<T> Secret<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    /// For those who send it to where it belongs.
    pub(crate) const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
