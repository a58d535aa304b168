//! The compiled kernel object is what the agent's catalogue says it is.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

mod btf;
mod layout;
mod loops;
mod program_log;

use std::collections::BTreeSet;

use btf::{Attribute, Btf, Type};
use edgeloop_tests::checkout;
use lb_agent::datapath::programs::load::OBJECT;
use lb_common::hook::Hook;
use lb_common::layout::{CATALOGUE, MapSpec};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

/// Maps of the programs' own, which are not pinned and which no other program reads.
const PRIVATE: [&str; 1] = ["FENCES"];

/// Encodings of a number.
const CHARACTER: u32 = 2;

/// Where maps are explained to readers of the code, and to users.
const PAGES: [&str; 2] = ["ARCHITECTURE.md", "docs/maps.md"];

#[test]
fn every_map_is_as_the_catalogue_says() {
    let btf = btf();
    for spec in &CATALOGUE {
        let definition = btf.definition(btf.variable(spec.symbol).unwrap());
        let number = |name: &str| match definition.get(name) {
            Some(Attribute::Number(number)) => Some(*number),
            Some(Attribute::Of(_)) | None => None,
        };
        let size = |name: &str| match definition.get(name) {
            Some(Attribute::Of(id)) => btf.size(*id),
            Some(Attribute::Number(_)) | None => 0,
        };
        assert_eq!(number("type"), Some(spec.kind as u32), "{}: kind", spec.symbol);
        assert_eq!(size("key"), spec.key_size, "{}: key", spec.symbol);
        assert_eq!(size("value"), spec.value_size, "{}: value", spec.symbol);
        assert_eq!(number("map_flags").unwrap_or(0), spec.flags, "{}: flags", spec.symbol);
        if let Some(elements) = spec.size.fixed() {
            assert_eq!(number("max_entries").unwrap_or(0), elements, "{}: elements", spec.symbol);
        }
    }
}

#[test]
fn there_are_no_maps_beyond_the_catalogue() {
    let file = object::File::parse(OBJECT).unwrap();
    let maps = file.section_by_name(".maps").unwrap().index();
    let found: BTreeSet<&str> = file
        .symbols()
        .filter(|symbol| symbol.section_index() == Some(maps) && symbol.size() > 0)
        .map(|symbol| symbol.name().unwrap())
        .collect();
    let known: BTreeSet<&str> = CATALOGUE.iter().map(|spec| spec.symbol).chain(PRIVATE).collect();
    assert_eq!(found, known);
}

#[test]
fn pins_and_symbols_are_told_apart() {
    let pins: BTreeSet<&str> = CATALOGUE.iter().map(|spec| spec.pin).collect();
    assert_eq!(pins.len(), CATALOGUE.len());
    for spec in &CATALOGUE {
        assert_eq!(spec.pin.to_uppercase(), spec.symbol, "one name, in two cases");
        assert!(spec.pin.len() < 16, "{}: the kernel cuts longer names", spec.pin);
    }
}

/// A tuple's fields would be called 0 and 1. `layout.rs` holds the names themselves.
#[test]
fn keys_and_values_have_fields_with_names() {
    let btf = btf();
    let mut seen = BTreeSet::new();
    for spec in &CATALOGUE {
        for id in [target(&btf, spec, "key"), target(&btf, spec, "value")] {
            collect(&btf, id, &mut seen);
        }
    }
    assert!(seen.iter().any(|(name, _)| name == "Service4"), "{seen:?}");
    for (name, fields) in seen {
        let is_word = |field: &String| field.chars().next().is_some_and(|c| c.is_ascii_lowercase());
        assert!(!fields.is_empty() && fields.iter().all(is_word), "{name}: {fields:?}");
    }
}

/// A row `| `pin` | holds | writer | readers | life |`.
#[test]
fn every_map_stands_in_the_tables_of_the_pages_with_its_life() {
    for page in PAGES {
        let text = std::fs::read_to_string(checkout::folder().unwrap().join(page)).unwrap();
        let rows: BTreeSet<(&str, String)> = text
            .lines()
            .filter_map(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                let [_, pin, .., life, _] = cells[..] else { return None };
                Some((pin.strip_prefix('`')?.strip_suffix('`')?, life.to_owned()))
            })
            .filter(|(_, life)| life == "rebuilt" || life == "carried")
            .collect();
        let life = |spec: &MapSpec| format!("{:?}", spec.life).to_lowercase();
        let expected: BTreeSet<(&str, String)> =
            CATALOGUE.iter().map(|spec| (spec.pin, life(spec))).collect();
        assert_eq!(rows, expected, "{page}");
    }
}

/// The names must lie where the bytes lie.
#[test]
fn fields_lie_one_behind_the_other_without_a_gap() {
    let btf = btf();
    for spec in &CATALOGUE {
        for id in [target(&btf, spec, "key"), target(&btf, spec, "value")] {
            let Type::Struct { members, size, name } = btf.get(id) else { continue };
            let mut from = 0;
            for member in members {
                assert_eq!(member.bits_from, from * 8, "{name}.{}", member.name);
                from += btf.size(member.of);
            }
            assert_eq!(from, *size, "{name}");
        }
    }
}

#[test]
fn text_is_encoded_as_characters_and_nothing_else_is() {
    let btf = btf();
    let characters = |of: u32| {
        let Type::Array { of, .. } = btf.get(of) else { return false };
        matches!(btf.get(*of), Type::Number { size: 1, encoding: CHARACTER, .. })
    };
    let mut texts = BTreeSet::new();
    for spec in &CATALOGUE {
        for id in [target(&btf, spec, "key"), target(&btf, spec, "value")] {
            let Type::Struct { members, name, .. } = btf.get(id) else { continue };
            let of_text = members.iter().filter(|member| characters(member.of));
            texts.extend(of_text.map(|member| format!("{name}.{}", member.name)));
        }
    }
    let names = ["namespace", "port", "service"].map(|field| format!("ServiceName.{field}"));
    let pools = ["backend_pool", "client_pool"].map(|field| format!("Cell.{field}"));
    assert_eq!(texts, names.into_iter().chain(pools).collect());
}

#[test]
fn both_variants_of_every_program_are_there() {
    let file = object::File::parse(OBJECT).unwrap();
    let programs: BTreeSet<(&str, String)> = file
        .symbols()
        .filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.is_global())
        .filter_map(|symbol| {
            let section = file.section_by_index(symbol.section_index()?).ok()?;
            Some((symbol.name().ok()?, section.name().ok()?.to_owned()))
        })
        .filter(|(_, section)| section.starts_with("cgroup/"))
        .collect();
    let expected: BTreeSet<(&str, String)> = Hook::ALL
        .into_iter()
        .flat_map(|hook| hook.programs().iter().map(move |name| (*name, format!("cgroup/{}", hook.name()))))
        .collect();
    assert_eq!(programs, expected);
}

/// `bpf_set_retval` is for such programs only.
#[test]
fn the_license_is_one_that_the_kernel_takes_for_the_gpl() {
    let file = object::File::parse(OBJECT).unwrap();
    let license = file.section_by_name("license").unwrap().data().unwrap();
    assert_eq!(license, b"Dual BSD/GPL\0");
}

/// What changes lies in the catalogue's maps. Constants are set once, before the programs load.
#[test]
fn there_are_no_globals_that_can_be_written() {
    let file = object::File::parse(OBJECT).unwrap();
    for section in file.sections().filter(|section| section.size() > 0) {
        let name = section.name().unwrap();
        let writable = matches!(
            section.kind(),
            SectionKind::Data | SectionKind::UninitializedData | SectionKind::Common
        );
        assert!(!writable || matches!(name, ".maps" | "license"), "{name} holds variables");
    }
    let constant = file.symbols().find(|symbol| symbol.name() == Ok("LOADS_REORDER")).unwrap();
    let section = file.section_by_index(constant.section_index().unwrap()).unwrap();
    assert_eq!(section.name().unwrap(), ".rodata");
}

fn btf() -> Btf {
    let file = object::File::parse(OBJECT).unwrap();
    Btf::parse(file.section_by_name(".BTF").unwrap().data().unwrap()).unwrap()
}

fn target(btf: &Btf, spec: &MapSpec, of: &str) -> u32 {
    match btf.definition(btf.variable(spec.symbol).unwrap())[of] {
        Attribute::Of(id) => id,
        Attribute::Number(_) => panic!("{}: {of} is a number", spec.symbol),
    }
}

/// Every struct that is reached from the type `id`, with the names of its fields.
fn collect(btf: &Btf, id: u32, seen: &mut BTreeSet<(String, Vec<String>)>) {
    match btf.get(id) {
        Type::Struct { name, members, .. } => {
            seen.insert((name.clone(), members.iter().map(|member| member.name.clone()).collect()));
            for member in members {
                collect(btf, member.of, seen);
            }
        }
        Type::Array { of, .. } => collect(btf, *of, seen),
        Type::Void | Type::Number { .. } | Type::Pointer(_) | Type::Variable { .. } | Type::Other => {}
    }
}
