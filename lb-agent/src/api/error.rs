//! Errors as texts. Pure.

use std::error::Error;

/// An error with its causes, those left out that say the same again.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let says = next.to_string();
        if !says.is_empty() && !text.ends_with(&says) {
            text = format!("{text}: {says}");
        }
        cause = next.source();
    }
    text
}
