//! Whether what is pinned for a node and what runs in its cgroup are one and the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use aya::maps::{MapData, MapInfo};
use aya::programs::loaded_programs;
use lb_agent::datapath::programs::attach::attached;
use lb_common::hook::Hook;
use lb_common::layout::LAYOUT_VERSION;

use super::agent::wait_for;
use crate::harness::bpf;
use crate::harness::node::Node;

/// Maps that no program reads: they are for agents.
const FOR_AGENTS: [&str; 4] = ["names", "control", "cells", "places"];

/// As [`assert_generation_of`], of this build's layout version.
pub fn assert_one_generation(node: &Node) -> Result<()> {
    assert_generation_of(node, LAYOUT_VERSION)
}

/// Polls until [`assert_one_generation`] is satisfied: the programs change over to other maps first, then those get their
/// names, and one who looks in between sees the new maps served and the earlier ones pinned.
///
/// # Errors
/// What is still not so in the end.
pub fn wait_for_one_generation(node: &Node) -> Result<()> {
    wait_for("one generation is in its place", || Ok(assert_one_generation(node).is_ok()))
        .or_else(|_| assert_one_generation(node))
}

/// An error unless a program runs at every hook, on exactly the maps that are pinned for this layout version, and
/// nothing else is pinned: no half of a change-over is left.
pub fn assert_generation_of(node: &Node, version: u32) -> Result<()> {
    let pin_root = node.pin_root();
    let folder = folder_of(node, version);
    let names: Vec<String> =
        names_in(&folder)?.into_iter().filter(|name| !name.starts_with("prog_")).collect();
    let attached = attached(&pin_root, None);
    let hooks = hooks_of(version);
    ensure!(attached.len() == hooks.len(), "attached at {attached:?} alone");
    for hook in attached {
        let used = maps_of(hook.program_id).with_context(|| format!("the program at {}", hook.hook))?;
        let mut pinned = BTreeSet::new();
        for name in names.iter().filter(|name| is_used_by(hook.hook, name)) {
            pinned.insert(bpf::id(&folder.join(name))?);
        }
        ensure!(
            used.is_superset(&pinned),
            "the program at {} uses the maps {used:?}, pinned are {pinned:?}",
            hook.hook
        );
    }
    let names = names_in(&pin_root)?;
    let folder = format!("v{version}");
    let hooks = hooks.into_iter().map(|hook| hook.name().to_owned());
    let expected: BTreeSet<String> = hooks.chain([folder]).collect();
    ensure!(names == expected, "pinned are {names:?}, not {expected:?}");
    Ok(())
}

/// The hooks that programs of a layout version run at. UDP came with version 3, IPv6 with version 4.
fn hooks_of(version: u32) -> Vec<Hook> {
    let since = |hook: Hook| match hook {
        Hook::Connect4 | Hook::Connect6 => 1,
        Hook::Sendmsg6 => 4,
        Hook::Recvmsg6 | Hook::Recvmsg4 | Hook::Getpeername6 | Hook::Getpeername4 | Hook::Sendmsg4 => 3,
    };
    Hook::ALL.into_iter().filter(|hook| version >= since(*hook)).collect()
}

/// Whether the program of a hook uses the map of that name. connect6 serves IPv4-mapped addresses as well.
fn is_used_by(hook: &str, map: &str) -> bool {
    let is_of =
        |family: char| ["services", "backends", "bloom"].iter().any(|name| map == format!("{name}{family}"));
    match hook {
        "recvmsg4" | "recvmsg6" => ["outcomes", "connected", "recent"].contains(&map),
        "getpeername4" | "getpeername6" => ["outcomes", "connected"].contains(&map),
        "connect4" | "sendmsg4" => !FOR_AGENTS.contains(&map) && !is_of('6'),
        "sendmsg6" => !FOR_AGENTS.contains(&map) && !is_of('4'),
        _ => !FOR_AGENTS.contains(&map),
    }
}

/// The folder of the generation in use below a pin root, of this build's layout version.
#[must_use]
pub fn generation() -> String {
    format!("v{LAYOUT_VERSION}")
}

/// Where the maps of a layout version are pinned.
#[must_use]
pub fn folder_of(node: &Node, version: u32) -> PathBuf {
    node.pin_root().join(format!("v{version}"))
}

fn names_in(folder: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// A map of the attached programs that is pinned nowhere, by the name that the kernel knows it by.
pub fn private_map(node: &Node, name: &str) -> Result<MapData> {
    for program in attached(&node.pin_root(), None) {
        for id in maps_of(program.program_id)? {
            if MapInfo::from_id(id)?.name_as_str() == Some(name) {
                return MapData::from_id(id).with_context(|| format!("could not open the map {name}"));
            }
        }
    }
    bail!("no attached program has a map {name}")
}

/// The ids of the maps that a program uses. A program of another test that is gone by the time it is asked for its
/// description counts for nothing.
fn maps_of(program: u32) -> Result<BTreeSet<u32>> {
    let mut loaded = loaded_programs().filter_map(Result::ok);
    let info = loaded.find(|info| info.id() == program).context("it is not loaded any more")?;
    let maps = info.map_ids()?.context("the kernel does not say which maps a program uses")?;
    Ok(maps.into_iter().collect())
}
