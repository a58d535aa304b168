//! For `crate::fuzzing`.

use std::path::Path;

use super::kubeconfig::{choose, merge, parse};
use crate::shown::line;

/// Reads a kubeconfig, alone and together with itself; gives what is said of it.
pub(crate) fn kubeconfig(text: &str) -> String {
    let read = || parse(text, Path::new("/etc/k"));
    let together = read().and_then(|one| Ok(merge([one, read()?])));
    let chosen = together.and_then(|both| choose(&both, None));
    chosen.map_or_else(|fault| line(&fault.to_string()), |access| line(&format!("{access:?}")))
}
