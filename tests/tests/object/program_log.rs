//! The programs' log leaves nothing in the ordinary object.

use std::collections::BTreeMap;
use std::path::PathBuf;

use edgeloop_tests::checkout;
use lb_agent::datapath::programs::load::{OBJECT, log_object};
use object::{Object, ObjectSection, ObjectSymbol};

/// `cargo xtask test object` has made it of a tree without a line of the log.
const WITHOUT_LOG: &str = "lb-ebpf/target/edgeloop-without-log.o";
const INSTRUCTION: u64 = 8;

#[test]
fn the_ordinary_programs_are_those_of_a_tree_without_the_log_instruction_by_instruction() {
    let path: PathBuf = checkout::folder().unwrap().join(WITHOUT_LOG);
    let without = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{error}: run `cargo xtask build-ebpf --without-log` first"));

    let ordinary = functions(OBJECT);
    let expected = functions(&without);

    assert!(ordinary.keys().filter(|name| name.starts_with("lb_")).count() >= 4, "{:?}", ordinary.keys());
    let counts = |all: &BTreeMap<String, Vec<u8>>| -> Vec<(String, u64)> {
        all.iter().map(|(name, code)| (name.clone(), code.len() as u64 / INSTRUCTION)).collect()
    };
    assert_eq!(counts(&ordinary), counts(&expected));
    assert!(ordinary == expected, "as many instructions, and others");
    let log = functions(log_object().unwrap());
    for (name, code) in ordinary.iter().filter(|(name, _)| name.starts_with("lb_")) {
        assert!(log[name].len() > code.len(), "{name} says nothing where it was asked to");
    }
}

#[test]
fn the_ring_of_the_log_is_in_its_own_object_alone() {
    let has_ring = |object: &[u8]| {
        let file = object::File::parse(object).unwrap();
        file.symbols().any(|symbol| symbol.name() == Ok("AYA_LOGS"))
    };
    assert!(!has_ring(OBJECT));
    assert!(has_ring(log_object().unwrap()));
}

/// The code of each function by its name; those that are not global have a hash of the crate in it.
fn functions(object: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let file = object::File::parse(object).unwrap();
    let functions =
        file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.size() > 0);
    functions
        .map(|symbol| {
            let section = file.section_by_index(symbol.section_index().unwrap()).unwrap();
            let code = section.data_range(symbol.address(), symbol.size()).unwrap().unwrap();
            (symbol.name().unwrap().to_owned(), code.to_vec())
        })
        .collect()
}
