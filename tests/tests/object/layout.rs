//! The layout's fingerprint: every byte that two builds must agree on, as text, one file a version.
//!
//! Maps of one layout version outlive the agent that made them. A version that is recorded therefore
//! never changes: other bytes, fields, arithmetic or flags are another version.

use std::fmt::Write as _;
use std::{env, fs};

use edgeloop_tests::checkout;
use lb_common::bloom::place;
use lb_common::element::check;
use lb_common::family::V4;
use lb_common::hook::Hook;
use lb_common::layout::{
    Backend4, CATALOGUE, FLAG_AFFINITY, FLAG_TOPOLOGY, Frontend4, LAYOUT_VERSION, MapSpec, Service4,
};
use lb_common::outcome::{Counter, Event, Outcome};

use crate::btf::{Btf, Type};
use crate::{btf, target};

/// Set to anything, the file of a version that has none yet is written.
const RECORD: &str = "EDGELOOP_RECORD_LAYOUT";

#[test]
fn the_bytes_of_a_layout_version_never_change() {
    let file = format!("lb-common/layouts/v{LAYOUT_VERSION}.txt");
    let path = checkout::folder().unwrap().join(&file);
    let now = fingerprint().unwrap();
    if !path.exists() && env::var_os(RECORD).is_some() {
        fs::write(&path, &now).unwrap();
    }
    let recorded = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{file}: {error}. A new version is recorded with `{RECORD}=1 cargo xtask test object`")
    });
    let line = now.lines().zip(recorded.lines()).find(|(now, then)| now != then);
    assert!(
        now == recorded,
        "the bytes are not those of layout version {LAYOUT_VERSION} any more (first difference: {line:?}, against \
         {file}): raise LAYOUT_VERSION in lb-common, then record it with `{RECORD}=1 cargo xtask test object`"
    );
}

#[test]
fn pages_name_the_folder_of_this_layout_version() {
    for page in ["README.md", "docs/maps.md"] {
        let text = fs::read_to_string(checkout::folder().unwrap().join(page)).unwrap();
        let named: Vec<&str> = text.split("/sys/fs/bpf/edgeloop/v").skip(1).collect();
        assert!(!named.is_empty(), "{page}");
        for rest in named {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            assert_eq!(digits, LAYOUT_VERSION.to_string(), "{page}: {}", &rest[..20.min(rest.len())]);
        }
    }
}

fn fingerprint() -> Result<String, std::fmt::Error> {
    let btf = btf();
    let mut text = String::new();
    for spec in &CATALOGUE {
        let MapSpec { pin, symbol: _, kind, key_size, value_size, flags, size, life } = spec;
        writeln!(text, "map {pin}: {kind:?}, flags {flags:#x}, {size:?}, {life:?}")?;
        for (of, size) in [("key", key_size), ("value", value_size)] {
            let id = target(&btf, spec, of);
            writeln!(text, "  {of}, {size} bytes: {}", shown(&btf, id))?;
            fields(&btf, id, (0, 2), &mut text)?;
        }
    }
    for (name, flag) in [("FLAG_TOPOLOGY", FLAG_TOPOLOGY), ("FLAG_AFFINITY", FLAG_AFFINITY)] {
        writeln!(text, "{name}: {flag:#x}")?;
    }
    for outcome in Outcome::ALL {
        let words = Hook::ALL.map(|hook| format!("{} {}", hook.name(), Counter::Run(hook, outcome).word()));
        writeln!(text, "words of {}: {}", outcome.label(), words.join(", "))?;
    }
    for event in Event::ALL {
        writeln!(text, "word of {}: {}", event.label(), Counter::Event(event).word())?;
    }
    for (number, (key, value)) in (1..).zip(examples()) {
        let (word, bits) = place::<V4>(&key);
        writeln!(text, "example {number}: check word {:#010x}", check::<V4>(&key, &value))?;
        writeln!(text, "  Bloom filter: word {word}, bits {bits:#018x}")?;
    }
    Ok(text)
}

/// The fields of a struct that lies at byte `from`, and those of the structs within.
fn fields(btf: &Btf, id: u32, (from, depth): (u32, usize), text: &mut String) -> std::fmt::Result {
    match btf.get(id) {
        Type::Struct { members, .. } => {
            for member in members {
                let at = from + member.bits_from / 8;
                writeln!(text, "{:1$}{at:3} {2}: {3}", "", 2 * depth, member.name, shown(btf, member.of))?;
                fields(btf, member.of, (at, depth + 1), text)?;
            }
            Ok(())
        }
        Type::Array { of, .. } => fields(btf, *of, (from, depth), text),
        Type::Void | Type::Number { .. } | Type::Pointer(_) | Type::Variable { .. } | Type::Other => Ok(()),
    }
}

fn shown(btf: &Btf, id: u32) -> String {
    match btf.get(id) {
        Type::Struct { name, .. } | Type::Number { name, .. } => name.clone(),
        Type::Array { of, count } => format!("[{}; {count}]", shown(btf, *of)),
        Type::Void | Type::Pointer(_) | Type::Variable { .. } | Type::Other => "unknown".to_owned(),
    }
}

/// In these every word of key and value differs.
fn examples() -> [(Frontend4, Service4); 2] {
    let key = Frontend4 { address: [10, 96, 0, 11], port: [0, 80], protocol: 6, zero: 0 };
    let mut value = Service4 {
        id: 7,
        revision: 3,
        count: 300,
        flags: FLAG_TOPOLOGY,
        affinity: 10_800,
        region: 41,
        ..Service4::default()
    };
    for (slot, backend) in (1..).zip(&mut value.inline) {
        *backend = Backend4 { address: [10, 244, 1, slot], port: [0x24, 0xa0], place: u16::from(slot) };
    }
    let other = Frontend4 { address: [172, 30, 200, 7], port: [0x1f, 0x90], protocol: 17, zero: 0 };
    [(key, value), (other, Service4 { id: u32::MAX, revision: u32::MAX, ..value })]
}
