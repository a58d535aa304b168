//! What is attached, as the pins show it.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use lb_common::hook::Hook;

use crate::datapath::cgroup::Cgroup;
use crate::datapath::probe::{self, Running};
use crate::datapath::sys::{self, CGROUP_LINK, LinkInfo, Object};

/// A hook that our program runs at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    pub hook: &'static str,
    pub program_id: u32,
    /// Zero once the cgroup is gone.
    pub cgroup_id: u64,
    /// Programs that run before ours: their rewrite would hide the cluster IP from us. `None`
    /// where the kernel does not say.
    pub before: Option<Vec<Running>>,
}

/// What is attached under `pin_root` now, read from the pins alone, in the order of attaching.
/// `cgroup` is asked for the programs that run before ours.
#[must_use]
pub fn attached(pin_root: &Path, cgroup: Option<&Cgroup>) -> Vec<Attached> {
    let links =
        Hook::ALL.into_iter().filter_map(|hook| Some((hook, pinned_link(&pin_root.join(hook.name()))?)));
    links
        .map(|(hook, PinnedLink { info, .. })| Attached {
            hook: hook.name(),
            program_id: info.prog_id,
            cgroup_id: info.cgroup_id,
            before: cgroup.filter(|cgroup| cgroup.id == info.cgroup_id).and_then(|cgroup| {
                let running = sys::effective_programs(cgroup.file.as_fd(), hook.attach_type()).ok()?;
                let before = running.into_iter().take_while(|id| *id != info.prog_id);
                Some(before.map(probe::program).collect())
            }),
        })
        .collect()
}

/// A link to a hook of a cgroup, opened by its pin.
#[derive(Debug)]
pub(in crate::datapath) struct PinnedLink {
    pub(in crate::datapath) path: PathBuf,
    pub(in crate::datapath) link: OwnedFd,
    pub(in crate::datapath) info: LinkInfo,
    /// Of the pin: another pin in its place has another one.
    pub(in crate::datapath) inode: u64,
}

impl PinnedLink {
    /// The hook it is attached at; `None` for one that this version does not know.
    pub(in crate::datapath) fn hook(&self) -> Option<Hook> {
        Hook::ALL.into_iter().find(|hook| hook.attach_type() == self.info.attach_type)
    }
}

/// The link of a cgroup that is pinned at `path`; `None` where there is no pin, or one of
/// something else.
pub(in crate::datapath) fn pinned_link(path: &Path) -> Option<PinnedLink> {
    let inode = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?.ino();
    let link = sys::get_pinned(path).ok()?;
    if sys::object(link.as_fd()).ok()? != Object::Link {
        return None;
    }
    let info = sys::link_info(link.as_fd()).ok().filter(|info| info.kind == CGROUP_LINK)?;
    Some(PinnedLink { path: path.to_owned(), link, info, inode })
}

/// Every link of a cgroup that is pinned in `folder`, whatever its name, in the order of
/// detaching: unknown hooks first, then the reverse of attaching.
pub(in crate::datapath) fn pinned_links(folder: &Path) -> Vec<PinnedLink> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut links: Vec<PinnedLink> = entries.filter_map(|entry| pinned_link(&entry.path())).collect();
    links.sort_by_key(|link| std::cmp::Reverse(link.hook().map_or(usize::MAX, |hook| hook as usize)));
    links
}
