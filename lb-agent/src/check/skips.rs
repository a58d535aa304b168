//! The pods that the programs leave alone, by the pins: with an agent or without.

use std::path::Path;

use crate::datapath::generation::find;
use crate::datapath::maps::pinned::{PinnedMaps, folder_of};
use crate::plan::takeover::Takeover;
use crate::shown::{chain, line};

use super::finding::Finding;

/// Each of them has a cgroup in the map, whichever agent wrote that.
pub(super) fn finding(pin_root: &Path) -> Finding {
    // What cannot be looked into is another finding's: the folder of the pins, or capabilities.
    let name = find(pin_root).ok().and_then(|found| match found.takeover() {
        Takeover::Adopt(name) | Takeover::Finish(name) => Some(name),
        Takeover::Make | Takeover::Replace(_) => None,
    });
    let Some(name) = name else { return of(None) };
    of(Some(
        PinnedMaps::open(&folder_of(pin_root, name))
            .map_err(|error| chain(&error))
            .and_then(|maps| maps.skipped_pods().map_err(|error| chain(&error))),
    ))
}

/// `None`: there are no maps that this version reads.
fn of(pods: Option<Result<usize, String>>) -> Finding {
    let what = "skipped pods";
    let found = match pods {
        None => "no maps of this version are pinned".to_owned(),
        Some(Ok(0)) => "none".to_owned(),
        Some(Ok(count)) => {
            format!(
                "{count} by the label edgeloop.io/skip: what they dial is left alone, and no pool is kept for them"
            )
        }
        Some(Err(why)) => format!("not known: {}", line(&why)),
    };
    Finding::ok(what, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn what_is_left_alone_is_counted_and_no_fault() {
        for (pods, says) in [
            (None, "no maps"),
            (Some(Ok(0)), "none"),
            (Some(Ok(3)), "3 by the label edgeloop.io/skip"),
            (Some(Err("no\u{1b}[31m right".to_owned())), "not known: no"),
        ] {
            let found = of(pods);
            assert!(found.state == State::Ok && found.found.contains(says), "{found:?}");
            assert!(!found.found.contains('\u{1b}'), "{found:?}");
        }
    }
}
