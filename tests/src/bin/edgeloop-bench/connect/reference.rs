//! The programs that ours is compared with: loaded, filled with the same services, attached.

use std::path::Path;

use anyhow::{Context, Result};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapData, PerCpuArray};
use aya::programs::links::FdLink;
use aya::programs::{CgroupAttachMode, CgroupSockAddr, ProgramFd};
use aya::{Ebpf, EbpfLoader, Pod};
use edgeloop_tests::Node;
use lb_common::hook::Hook;
use lb_common::layout::{Backend4, Frontend4};
use lb_common::outcome::Outcome;

use super::calls::Population;
use super::contender::Shape;
use super::dials;
use super::ours::{backend4, frontend};

/// Sockets that the LRU maps remember: more than the bench makes, so that none is evicted, which
/// would double the cost of the shapes that we are compared with.
const CONNECTIONS: u32 = 262_144;
/// Bits of a key that count: address, port, protocol.
const PREFIX: u32 = 56;

pub(crate) struct Reference {
    object: Ebpf,
    pub(crate) programs: Vec<(Hook, ProgramFd)>,
    _links: Vec<FdLink>,
}

/// Its programs, each at its hook.
const fn programs(shape: Shape) -> &'static [(&'static str, Hook)] {
    match shape {
        Shape::ThreeHashes => &[("three_hashes", Hook::Connect4)],
        Shape::Trie => &[("trie", Hook::Connect4)],
        Shape::TrieAffine => &[("trie_affine", Hook::Connect4)],
        Shape::Remembering => &[
            ("remembering_connect4", Hook::Connect4),
            ("remembering_sendmsg4", Hook::Sendmsg4),
            ("remembering_recvmsg4", Hook::Recvmsg4),
        ],
        Shape::Empty | Shape::Ours | Shape::Guarded | Shape::Previous => &[
            ("empty_connect4", Hook::Connect4),
            ("empty_connect6", Hook::Connect6),
            ("empty_sendmsg4", Hook::Sendmsg4),
            ("empty_recvmsg4", Hook::Recvmsg4),
        ],
    }
}

/// Loads a shape's programs of the object at `path` over maps with `services` services of `each` backends.
pub(crate) fn set_up(
    path: &Path,
    shape: Shape,
    population: Population,
    node: &Node,
    services: u32,
    each: u32,
) -> Result<Reference> {
    let roomy = |elements: u32| (elements * 3 / 2).next_power_of_two().max(16_384);
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    for map in ["CONNECTIONS", "DIALLED", "AFFINITIES"] {
        loader.map_max_entries(map, CONNECTIONS);
    }
    for (map, elements) in
        [("SERVICES", 1), ("TRIE", 1), ("SLOTS", each), ("BACKENDS", each), ("ENDPOINTS", each)]
    {
        loader.map_max_entries(map, roomy(services * elements));
    }
    let mut object = loader.load_file(path).with_context(|| {
        format!("could not load {}; `cargo xtask bench connect` builds it", path.display())
    })?;
    for (name, _) in programs(shape) {
        named(&mut object, name)?.load()?;
    }
    match shape {
        Shape::ThreeHashes => fill_hashes(&mut object, population, services, each)?,
        Shape::Trie | Shape::TrieAffine | Shape::Remembering => {
            fill_trie(&mut object, population, services, each)?
        }
        Shape::Empty | Shape::Ours | Shape::Guarded | Shape::Previous => {}
    }
    let attached = programs(shape).iter().map(|(name, hook)| {
        let (program, link) = attach(&mut object, name, node)?;
        Ok(((*hook, program), link))
    });
    let (programs, links) = attached.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    Ok(Reference { object, programs, _links: links })
}

fn named<'o>(object: &'o mut Ebpf, name: &str) -> Result<&'o mut CgroupSockAddr> {
    Ok(object.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?)
}

fn attach(object: &mut Ebpf, name: &str, node: &Node) -> Result<(ProgramFd, FdLink)> {
    let program = named(object, name)?;
    let cgroup = std::fs::File::open(node.cgroup())?;
    // With links aya's "Single" is no flag at all.
    let id = program.attach(cgroup, CgroupAttachMode::Single)?;
    let link = FdLink::try_from(program.take_link(id)?)?;
    Ok((program.fd()?.try_clone()?, link))
}

impl Reference {
    /// How often the program ended so.
    pub(crate) fn counted(&self, outcome: Outcome) -> Result<u64> {
        let map = self.object.map("OUTCOMES").context("no map OUTCOMES")?;
        let counts: PerCpuArray<_, u64> = PerCpuArray::try_from(map)?;
        Ok(counts.get(&(outcome as u32), 0)?.iter().sum())
    }
}

fn fill_hashes(object: &mut Ebpf, population: Population, services: u32, each: u32) -> Result<()> {
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
        fronts.insert(frontend(dials::service(index), population.protocol()), [id, each], 0)?;
    }
    Ok(())
}

fn fill_trie(object: &mut Ebpf, population: Population, services: u32, each: u32) -> Result<()> {
    let trie = object.take_map("TRIE").context("no map TRIE")?;
    let mut trie: LpmTrie<_, Frontend4, [u32; 2]> = LpmTrie::try_from(trie)?;
    let mut endpoints = map::<[u32; 2], Backend4>(object, "ENDPOINTS")?;
    for index in 0..services {
        let id = index + 1;
        for slot in 0..each {
            endpoints.insert([id, slot], backend4(dials::backend(index, slot, each)), 0)?;
        }
        trie.insert(
            &Key::new(PREFIX, frontend(dials::service(index), population.protocol())),
            [id, each],
            0,
        )?;
    }
    Ok(())
}

fn map<K: Pod, V: Pod>(object: &mut Ebpf, name: &str) -> Result<HashMap<MapData, K, V>> {
    let map = object.take_map(name).with_context(|| format!("no map {name}"))?;
    Ok(HashMap::try_from(map)?)
}
