//! The kernel's own types, as it describes them in `/sys/kernel/btf/vmlinux`: where members of its structures lie. Pure.
//!
//! See "BPF Type Format" in the kernel's documentation, `bpf/btf.rst`.

const MAGIC: u16 = 0xeb9f;
/// Kinds of types.
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const FUNCTION: u32 = 12;
const SECTION: u32 = 15;
const TYPE_TAG: u32 = 18;
/// Bytes of every type before what its kind adds.
const TYPE_BYTES: usize = 12;
const MEMBER_BYTES: usize = 12;
/// Structures lie in each other at most so deep.
const DEEPEST: u32 = 16;

/// Types of a kernel.
#[derive(Debug)]
pub(super) struct Btf<'a> {
    types: &'a [u8],
    names: &'a [u8],
    /// Where each type begins, by id. There is no type 0.
    begins: Vec<u32>,
}

/// Bytes that are no types, or of another byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kernel's types are not as they are documented")]
pub(super) struct Malformed;

impl<'a> Btf<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let magic = bytes.first_chunk().map(|magic| u16::from_ne_bytes(*magic));
        if magic != Some(MAGIC) {
            return Err(Malformed);
        }
        let [header, types, types_length, names, names_length] =
            [4, 8, 12, 16, 20].map(|at| word(bytes, at).map(|word| word as usize));
        let (header, types, names) = (header?, types?, names?);
        let part = |at: usize, length: usize| -> Result<&'a [u8], Malformed> {
            let begin = header.checked_add(at).ok_or(Malformed)?;
            bytes.get(begin..begin.checked_add(length).ok_or(Malformed)?).ok_or(Malformed)
        };
        let (types, names) = (part(types, types_length?)?, part(names, names_length?)?);
        let mut begins = vec![0];
        let mut at = 0;
        while at < types.len() {
            begins.push(at as u32);
            at += TYPE_BYTES + added(word(types, at + 4)?)?;
        }
        Ok(Self { types, names, begins })
    }

    /// The id of the function of this name.
    pub(super) fn function(&self, name: &str) -> Option<u32> {
        self.find(FUNCTION, name)
    }

    /// How many bytes after its beginning the section has this variable.
    pub(super) fn variable(&self, section: &str, name: &str) -> Option<u32> {
        let id = self.find(SECTION, section)?;
        let (begin, info) = (self.begin(id)?, self.info(id)?);
        let entries = (0..(info & 0xffff) as usize).map(|index| begin + TYPE_BYTES + index * MEMBER_BYTES);
        entries.filter_map(|at| Some((word(self.types, at).ok()?, word(self.types, at + 4).ok()?))).find_map(
            |(variable, offset)| {
                let name_at = word(self.types, self.begin(variable)?).ok()?;
                (self.name(name_at) == name.as_bytes()).then_some(offset)
            },
        )
    }

    /// How many bytes after its beginning the structure `name` has what `path` leads to: a member, and members of structures in
    /// it. What lies in a structure or union without a name is a member of the one around it.
    pub(super) fn offset(&self, name: &str, path: &[&str]) -> Option<u32> {
        let mut id = self.find(STRUCT, name)?;
        let mut offset = 0;
        for member in path {
            let (at, of) = self.member(id, member, DEEPEST)?;
            offset += at;
            id = of;
        }
        Some(offset)
    }

    /// Where a structure has a member, and of which type that is.
    fn member(&self, id: u32, name: &str, deepest: u32) -> Option<(u32, u32)> {
        let id = self.plain(id)?;
        let (begin, info) = (self.begin(id)?, self.info(id)?);
        if !matches!(kind(info), STRUCT | UNION) {
            return None;
        }
        let members = (0..(info & 0xffff) as usize).map(|index| begin + TYPE_BYTES + index * MEMBER_BYTES);
        for at in members {
            let [name_at, of, place] = [0, 4, 8].map(|offset| word(self.types, at + offset).ok());
            let (of, place) = (of?, place?);
            // Where any member has a width in bits, the upper byte is that width.
            let (bits, width) = if info >> 31 == 1 { (place & 0xff_ffff, place >> 24) } else { (place, 0) };
            let is_whole = bits % 8 == 0 && width == 0;
            match self.name(name_at?) {
                found if found == name.as_bytes() => return is_whole.then_some((bits / 8, of)),
                [] if is_whole && deepest > 0 => {
                    if let Some((within, of)) = self.member(of, name, deepest - 1) {
                        return Some((bits / 8 + within, of));
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The type behind names and qualifiers.
    fn plain(&self, mut id: u32) -> Option<u32> {
        for _ in 0..DEEPEST {
            match kind(self.info(id)?) {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => {
                    id = word(self.types, self.begin(id)? + 8).ok()?;
                }
                _ => return Some(id),
            }
        }
        None
    }

    fn find(&self, wanted: u32, name: &str) -> Option<u32> {
        (1..self.begins.len() as u32).find(|id| {
            self.info(*id).is_some_and(|info| kind(info) == wanted)
                && self.begin(*id).and_then(|begin| word(self.types, begin).ok()).map(|at| self.name(at))
                    == Some(name.as_bytes())
        })
    }

    fn begin(&self, id: u32) -> Option<usize> {
        self.begins.get(id as usize).filter(|_| id != 0).map(|at| *at as usize)
    }

    fn info(&self, id: u32) -> Option<u32> {
        word(self.types, self.begin(id)? + 4).ok()
    }

    fn name(&self, at: u32) -> &'a [u8] {
        let rest = self.names.get(at as usize..).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

const fn kind(info: u32) -> u32 {
    info >> 24 & 0x1f
}

/// How many bytes a type has besides those that all have.
const fn added(info: u32) -> Result<usize, Malformed> {
    let count = (info & 0xffff) as usize;
    Ok(match kind(info) {
        // Pointers, forward declarations, names, qualifiers, functions, floats, tags of types.
        2 | 7..=12 | 16 | 18 => 0,
        // Integers, variables, tags of declarations.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Structures, unions, sections, enumerations of 64 bits.
        4 | 5 | 15 | 19 => MEMBER_BYTES * count,
        // Enumerations, prototypes.
        6 | 13 => 8 * count,
        _ => return Err(Malformed),
    })
}

fn word(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.map(|word| u32::from_ne_bytes(*word)).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, and where each begins: inner 1, deep 7, sock 12, prot 17, walk 22, t 27.
    const NAMES: &[u8] = b"\0inner\0deep\0sock\0prot\0walk\0t\0";
    const BITS: u32 = 1 << 31;

    fn bytes(types: &[&[u32]]) -> Vec<u8> {
        let types: Vec<u8> = types.concat().iter().flat_map(|word| word.to_ne_bytes()).collect();
        let length = types.len() as u32;
        let header = [24, 0, length, length, NAMES.len() as u32].map(u32::to_ne_bytes).concat();
        [&MAGIC.to_ne_bytes()[..], &[1, 0], &header, &types, NAMES].concat()
    }

    fn example() -> Vec<u8> {
        bytes(&[
            &[0, 1 << 24, 4, 32],                                                    // 1: int
            &[1, 4 << 24 | 1, 4, 7, 1, 32], // 2: struct inner { int (at 4) deep }
            &[27, 8 << 24, 2],              // 3: typedef struct inner t
            &[0, 5 << 24 | 1, 8, 1, 3, 0],  // 4: union { t inner }
            &[12, BITS | 4 << 24 | 3, 24, 27, 1, 0x0400_0000, 0, 4, 64, 17, 1, 160], // 5: struct sock { int t:4; union; int prot }
            &[22, 12 << 24, 1],                                                      // 6: function walk
            &[12, 12 << 24, 1],                                                      // 7: function sock
        ])
    }

    #[test]
    fn members_are_found_through_unions_without_a_name_and_names_of_types() {
        let bytes = example();
        let btf = Btf::parse(&bytes).unwrap();
        for (name, path, offset) in [
            ("sock", &["prot"][..], Some(20)),
            ("sock", &["inner"], Some(8)),
            ("sock", &["inner", "deep"], Some(12)),
            ("inner", &["deep"], Some(4)),
            ("sock", &["t"], None), // a part of a byte
            ("sock", &["deep"], None),
            ("sock", &["prot", "deep"], None),
            ("other", &["prot"], None),
            ("walk", &[], None), // no structure
        ] {
            assert_eq!(btf.offset(name, path), offset, "{name} {path:?}");
        }
        assert_eq!([btf.function("walk"), btf.function("sock"), btf.function("t")], [Some(6), Some(7), None]);
    }

    #[test]
    fn what_is_cut_off_or_of_unknown_kind_is_an_error() {
        let whole = example();
        for length in 0..whole.len() {
            assert_eq!(Btf::parse(&whole[..length]).unwrap_err(), Malformed, "{length} bytes");
        }
        assert_eq!(Btf::parse(&bytes(&[&[0, 30 << 24, 0]])).unwrap_err(), Malformed);
        let mut foreign = whole;
        foreign[..2].reverse();
        assert_eq!(Btf::parse(&foreign).unwrap_err(), Malformed, "of the other byte order");
    }

    #[test]
    fn this_kernels_types_say_where_a_socket_has_its_protocol() {
        let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else { return };
        let btf = Btf::parse(&bytes).unwrap();
        assert!(btf.offset("sock", &["sk_protocol"]).is_some_and(|offset| offset > 0 && offset % 2 == 0));
        assert!(btf.function("vprintk").is_some());
    }
}
