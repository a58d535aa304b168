//! The programs that ours is compared with: loaded, filled with the same services, attached.

use std::path::Path;

use anyhow::{Context, Result};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapData, PerCpuArray};
use aya::programs::links::FdLink;
use aya::programs::{CgroupAttachMode, CgroupSockAddr, ProgramFd};
use aya::{Ebpf, EbpfLoader, Pod};
use edgeloop_tests::Node;
use lb_common::layout::{Backend4, Frontend4};
use lb_common::outcome::Outcome;

use super::dials;
use super::ours::{backend4, frontend};

/// Sockets that the LRU maps remember: more than the bench makes, so that none is evicted, which
/// would double the cost of the shapes that we are compared with.
const CONNECTIONS: u32 = 262_144;
/// Bits of a key that count: address, port, protocol.
const PREFIX: u32 = 56;

pub(crate) struct Reference {
    object: Ebpf,
    pub(crate) program: ProgramFd,
    _link: FdLink,
}

/// Loads `program` of the object at `path` over maps with `services` services of `each` backends.
pub(crate) fn set_up(path: &Path, program: &str, node: &Node, services: u32, each: u32) -> Result<Reference> {
    let roomy = |elements: u32| (elements * 3 / 2).next_power_of_two().max(16_384);
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    loader.map_max_entries("CONNECTIONS", CONNECTIONS).map_max_entries("AFFINITIES", CONNECTIONS);
    for (map, elements) in
        [("SERVICES", 1), ("TRIE", 1), ("SLOTS", each), ("BACKENDS", each), ("ENDPOINTS", each)]
    {
        loader.map_max_entries(map, roomy(services * elements));
    }
    let mut object = loader.load_file(path).with_context(|| {
        format!("could not load {}; `cargo xtask bench connect` builds it", path.display())
    })?;
    let loaded: &mut CgroupSockAddr =
        object.program_mut(program).with_context(|| format!("no program {program}"))?.try_into()?;
    loaded.load()?;
    match program {
        "three_hashes" => fill_hashes(&mut object, services, each)?,
        "trie" => fill_trie(&mut object, services, each)?,
        _ => {}
    }
    attach(object, program, node)
}

fn attach(mut object: Ebpf, program: &str, node: &Node) -> Result<Reference> {
    let program: &mut CgroupSockAddr =
        object.program_mut(program).with_context(|| format!("no program {program}"))?.try_into()?;
    let cgroup = std::fs::File::open(node.cgroup())?;
    // With links aya's "Single" is no flag at all.
    let id = program.attach(cgroup, CgroupAttachMode::Single)?;
    let link = FdLink::try_from(program.take_link(id)?)?;
    let program = program.fd()?.try_clone()?;
    Ok(Reference { object, program, _link: link })
}

impl Reference {
    /// How often the program ended so.
    pub(crate) fn counted(&self, outcome: Outcome) -> Result<u64> {
        let map = self.object.map("OUTCOMES").context("no map OUTCOMES")?;
        let counts: PerCpuArray<_, u64> = PerCpuArray::try_from(map)?;
        Ok(counts.get(&(outcome as u32), 0)?.iter().sum())
    }
}

fn fill_hashes(object: &mut Ebpf, services: u32, each: u32) -> Result<()> {
    let mut fronts = map::<Frontend4, [u32; 2]>(object, "SERVICES")?;
    let mut slots = map::<[u32; 2], u32>(object, "SLOTS")?;
    let mut backends = map::<u32, Backend4>(object, "BACKENDS")?;
    for index in 0..services {
        let id = index + 1;
        for slot in 0..each {
            let backend = index * each + slot + 1;
            backends.insert(backend, backend4(dials::backend(index, slot, each)), 0)?;
            slots.insert([id, slot], backend, 0)?;
        }
        fronts.insert(frontend(dials::service(index)), [id, each], 0)?;
    }
    Ok(())
}

fn fill_trie(object: &mut Ebpf, services: u32, each: u32) -> Result<()> {
    let trie = object.take_map("TRIE").context("no map TRIE")?;
    let mut trie: LpmTrie<_, Frontend4, [u32; 2]> = LpmTrie::try_from(trie)?;
    let mut endpoints = map::<[u32; 2], Backend4>(object, "ENDPOINTS")?;
    for index in 0..services {
        let id = index + 1;
        for slot in 0..each {
            endpoints.insert([id, slot], backend4(dials::backend(index, slot, each)), 0)?;
        }
        trie.insert(&Key::new(PREFIX, frontend(dials::service(index))), [id, each], 0)?;
    }
    Ok(())
}

fn map<K: Pod, V: Pod>(object: &mut Ebpf, name: &str) -> Result<HashMap<MapData, K, V>> {
    let map = object.take_map(name).with_context(|| format!("no map {name}"))?;
    Ok(HashMap::try_from(map)?)
}
