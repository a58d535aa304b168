//! As much of BTF as describes a map with its keys and values.
//!
//! Documented in the kernel's `Documentation/bpf/btf.rst`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

const MAGIC: u16 = 0xeb9f;

/// One type of those that data is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Void,
    /// Size in bytes, and its encoding: 1 signed, 2 a character, 4 a bool.
    Number {
        name: String,
        size: u32,
        encoding: u32,
    },
    Pointer(u32),
    Array {
        of: u32,
        count: u32,
    },
    Struct {
        name: String,
        size: u32,
        members: Vec<Member>,
    },
    Variable {
        name: String,
        of: u32,
    },
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) of: u32,
    pub(crate) bits_from: u32,
}

pub(crate) struct Btf {
    /// By id; 0 is void.
    types: Vec<Type>,
}

impl Btf {
    pub(crate) fn parse(section: &[u8]) -> Result<Self> {
        ensure!(half(section, 0)? == MAGIC, "no BTF");
        let header = word(section, 4)? as usize;
        let part = |offset: usize, length: usize| -> Result<&[u8]> {
            let from = header + word(section, offset)? as usize;
            section.get(from..from + word(section, length)? as usize).context("BTF is cut off")
        };
        let (mut rest, strings) = (part(8, 12)?, part(16, 20)?);
        let mut types = vec![Type::Void];
        while !rest.is_empty() {
            let (found, length) = one(rest, strings)?;
            types.push(found);
            rest = rest.get(length..).context("BTF is cut off")?;
        }
        Ok(Self { types })
    }

    pub(crate) fn get(&self, id: u32) -> &Type {
        self.types.get(id as usize).unwrap_or(&Type::Void)
    }

    /// The type of a global variable.
    pub(crate) fn variable(&self, wanted: &str) -> Option<&Type> {
        self.types.iter().find_map(|found| {
            let Type::Variable { name, of } = found else { return None };
            (name == wanted).then(|| self.get(*of))
        })
    }

    /// Bytes.
    pub(crate) fn size(&self, id: u32) -> u32 {
        match self.get(id) {
            Type::Number { size, .. } | Type::Struct { size, .. } => *size,
            Type::Array { of, count } => self.size(*of) * count,
            Type::Pointer(_) => 8,
            Type::Variable { of, .. } => self.size(*of),
            Type::Void | Type::Other => 0,
        }
    }

    /// What a map definition says: numbers are the length of an array behind a pointer, and types are what
    /// a pointer points at (`__uint` and `__type` of libbpf).
    pub(crate) fn definition(&self, map: &Type) -> BTreeMap<String, Attribute> {
        let Type::Struct { members, .. } = map else { return BTreeMap::new() };
        let said = members.iter().filter_map(|member| {
            let Type::Pointer(target) = self.get(member.of) else { return None };
            let said = match (member.name.as_str(), self.get(*target)) {
                ("key" | "value", _) => Attribute::Of(*target),
                (_, Type::Array { count, .. }) => Attribute::Number(*count),
                _ => return None,
            };
            Some((member.name.clone(), said))
        });
        said.collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Number(u32),
    Of(u32),
}

/// The first type in `bytes`, and how long it is.
fn one(bytes: &[u8], strings: &[u8]) -> Result<(Type, usize)> {
    let (name, info, size) = (text(strings, word(bytes, 0)?)?, word(bytes, 4)?, word(bytes, 8)?);
    let count = (info & 0xffff) as usize;
    let found = match info >> 24 & 0x1f {
        1 => {
            let encoding = word(bytes, 12)? >> 24 & 0xf;
            (Type::Number { name, size, encoding }, 16)
        }
        2 => (Type::Pointer(size), 12),
        3 => (Type::Array { of: word(bytes, 12)?, count: word(bytes, 20)? }, 24),
        4 => {
            let member = |index: usize| -> Result<Member> {
                let at = 12 + 12 * index;
                let name = text(strings, word(bytes, at)?)?;
                Ok(Member { name, of: word(bytes, at + 4)?, bits_from: word(bytes, at + 8)? & 0x00ff_ffff })
            };
            let members = (0..count).map(member).collect::<Result<_>>()?;
            (Type::Struct { name, size, members }, 12 + 12 * count)
        }
        14 => (Type::Variable { name, of: size }, 16),
        // Unions, data sections, and enums of 64 bits; enums and function prototypes; functions and the rest.
        5 | 15 | 19 => (Type::Other, 12 + 12 * count),
        6 | 13 => (Type::Other, 12 + 8 * count),
        17 => (Type::Other, 16),
        _ => (Type::Other, 12),
    };
    Ok(found)
}

fn text(strings: &[u8], at: u32) -> Result<String> {
    let rest = strings.get(at as usize..).context("BTF names something beyond its strings")?;
    let text: Vec<u8> = rest.iter().copied().take_while(|byte| *byte != 0).collect();
    String::from_utf8(text).context("a name in BTF is not text")
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..at + 4).context("BTF is cut off")?;
    Ok(u32::from_le_bytes(word.try_into()?))
}

fn half(bytes: &[u8], at: usize) -> Result<u16> {
    Ok(u16::try_from(word(bytes, at)? & 0xffff)?)
}
