//! Whether what is pinned for a node and what runs in its cgroup are one and the same.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use aya::programs::loaded_programs;
use lb_agent::datapath::maps::pinned::folder;
use lb_agent::datapath::programs::attach::attached;
use lb_common::hook::Hook;
use lb_common::layout::{CATALOGUE, CONTROL, NAMES};

use crate::harness::bpf;
use crate::harness::node::Node;

/// An error unless a program runs at every hook, on exactly the maps that are pinned, and nothing else is pinned:
/// no half of a change-over is left.
pub fn assert_one_generation(node: &Node) -> Result<()> {
    let pin_root = node.pin_root();
    let maps = folder(&pin_root);
    let mut pinned = BTreeSet::new();
    // Those two are for agents, no program reads them.
    for map in CATALOGUE.iter().filter(|map| **map != NAMES && **map != CONTROL) {
        pinned.insert(bpf::id(&maps.join(map.pin))?);
    }
    let attached = attached(&pin_root, None);
    ensure!(attached.len() == Hook::in_use().count(), "attached at {attached:?} alone");
    for hook in attached {
        let used = maps_of(hook.program_id).with_context(|| format!("the program at {}", hook.hook))?;
        ensure!(
            used.is_superset(&pinned),
            "the program at {} uses the maps {used:?}, pinned are {pinned:?}",
            hook.hook
        );
    }
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(&pin_root).with_context(|| format!("could not read {}", pin_root.display()))? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    let version = maps.file_name().map(|name| name.to_string_lossy().into_owned());
    let expected: BTreeSet<String> =
        Hook::in_use().map(|hook| hook.name().to_owned()).chain(version).collect();
    ensure!(names == expected, "pinned are {names:?}, not {expected:?}");
    Ok(())
}

/// The ids of the maps that a program uses.
fn maps_of(program: u32) -> Result<BTreeSet<u32>> {
    for info in loaded_programs() {
        let info = info.context("could not list the programs of this kernel")?;
        if info.id() == program {
            let maps = info.map_ids()?.context("the kernel does not say which maps a program uses")?;
            return Ok(maps.into_iter().collect());
        }
    }
    anyhow::bail!("there is no program {program}")
}
