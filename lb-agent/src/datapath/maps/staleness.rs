//! The words of `control` by which the programs know how old what the maps hold is, and may be.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lb_common::layout::{CONTROL, Control};

use crate::datapath::sys::since_boot;
use crate::model::Staleness;

use super::bpf::Bpf;
use super::control::ControlPage;
use super::map::Map;
use super::pinned::{PinnedMaps, folder_of, generations};
use crate::plan::ReadError;
use crate::plan::takeover::GenerationName;

/// The first layout version whose agents write these words. Programs of earlier ones do not read them.
const SINCE: u32 = 5;

/// Whether agents of this generation's version write them.
pub(in crate::datapath) const fn is_kept_by(name: GenerationName) -> bool {
    name.version >= SINCE
}

/// Has the programs of every generation below `pin_root` serve what is at most so old, from now on: before there is a source,
/// since the operator may want it otherwise for lack of one.
pub(in crate::datapath) fn allow(pin_root: &Path, max: Option<Duration>) -> io::Result<()> {
    for name in generations(pin_root)?.into_iter().filter(|name| is_kept_by(*name)) {
        match Map::<u32, Control>::open(&folder_of(pin_root, name), &CONTROL) {
            Ok(Some(map)) => ControlPage::new(map.mmap()?).allow(max, since_boot()),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Bpf {
    /// A live source is in sync now.
    pub fn in_sync(&self) {
        self.control().set_in_sync_at(since_boot());
    }

    /// Serves what is at most so old. Nothing is known of how old it is, unless the words are `kept` from an agent before.
    pub(in crate::datapath) fn allow(&self, max: Option<Duration>, kept: bool) {
        if !kept {
            self.in_sync();
        }
        self.control().allow(max, since_boot());
    }

    /// How old what the maps hold is.
    #[must_use]
    pub fn staleness(&self) -> Option<Staleness> {
        self.control().staleness(since_boot())
    }
}

impl PinnedMaps {
    /// How old it is what the maps hold; `None` where no agent has said.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn staleness(&self) -> Result<Option<Staleness>, ReadError> {
        let Control { max_stale, in_sync_at, .. } = self.control.first()?;
        Ok(Staleness::of(max_stale, in_sync_at, since_boot()))
    }
}

impl ControlPage {
    fn allow(&self, max: Option<Duration>, now: Duration) {
        if self.in_sync_at().load(Ordering::Relaxed) == 0 {
            self.set_in_sync_at(now);
        }
        // After the age that it is held against.
        self.max_stale().store(max.map_or(0, nanoseconds), Ordering::Release);
    }

    fn set_in_sync_at(&self, now: Duration) {
        self.in_sync_at().store(nanoseconds(now), Ordering::Relaxed);
    }

    fn staleness(&self, now: Duration) -> Option<Staleness> {
        let [max, at] = [self.max_stale(), self.in_sync_at()].map(|word| word.load(Ordering::Relaxed));
        Staleness::of(max, at, now)
    }
}

/// 584 years at most.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
