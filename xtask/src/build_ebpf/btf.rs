//! One correction to an object's BTF: `i8` is text.

use anyhow::{Context, Result, bail};

const MAGIC: u16 = 0xeb9f;
const INT: u32 = 1;
const CHAR: u8 = 2;
/// Bytes of every type before what its kind adds.
const TYPE_BYTES: usize = 12;

/// Gives every integer named `i8` the encoding `BTF_INT_CHAR`, and says how many there were.
///
/// `bpftool` prints an array of such as words up to the first zero byte. Rust has no type that
/// would be compiled so; our maps use `i8` for text and for nothing else.
pub(crate) fn mark_i8_as_text(btf: &mut [u8]) -> Result<usize> {
    if half(btf, 0)? != MAGIC {
        bail!("no BTF, or of another byte order");
    }
    let header = word(btf, 4)? as usize;
    let [types, types_bytes, strings] = [word(btf, 8)?, word(btf, 12)?, word(btf, 16)?].map(|at| at as usize);
    let (mut at, end, strings) = (header + types, header + types + types_bytes, header + strings);
    let mut marked = 0;
    while at < end {
        let info = word(btf, at + 4)?;
        let kind = info >> 24 & 0x1f;
        if kind == INT && name(btf, strings + word(btf, at)? as usize)? == b"i8" {
            // Little-endian, encoding in the fourth byte: bits, zero, offset, encoding.
            *btf.get_mut(at + TYPE_BYTES + 3).context("cut off within a type")? = CHAR;
            marked += 1;
        }
        at += TYPE_BYTES + added_bytes(kind, (info & 0xffff) as usize)?;
    }
    Ok(marked)
}

/// What a kind adds to the type, where `members` is the length in its info word.
/// See "BTF Type Format" in the kernel's documentation, `bpf/btf.rst`.
fn added_bytes(kind: u32, members: usize) -> Result<usize> {
    Ok(match kind {
        // Pointers, forward declarations, typedefs, const, volatile, restrict, functions, floats, type tags.
        2 | 7..=12 | 16 | 18 => 0,
        // Integers, variables, declaration tags.
        INT | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Structs, unions, data sections, 64-bit enums.
        4 | 5 | 15 | 19 => 12 * members,
        // Enums, function prototypes.
        6 | 13 => 8 * members,
        unknown => bail!("a type of unknown kind {unknown}"),
    })
}

fn name(btf: &[u8], at: usize) -> Result<&[u8]> {
    let rest = btf.get(at..).context("a name outside of the strings")?;
    Ok(rest.split(|byte| *byte == 0).next().unwrap_or_default())
}

fn half(btf: &[u8], at: usize) -> Result<u16> {
    let bytes = btf.get(at..).and_then(|rest| rest.first_chunk()).context("cut off")?;
    Ok(u16::from_le_bytes(*bytes))
}

fn word(btf: &[u8], at: usize) -> Result<u32> {
    let bytes = btf.get(at..).and_then(|rest| rest.first_chunk()).context("cut off")?;
    Ok(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRINGS: &[u8] = b"\0i8\0u8\0i8x\0";
    const SIGNED_8: u32 = 1 << 24 | 8;
    const CHAR_8: u32 = 2 << 24 | 8;

    #[test]
    fn i8_becomes_text_and_nothing_else_changes() {
        let types = |i8_encoding| {
            [
                vec![4, INT << 24, 1, 8],                  // u8
                vec![7, INT << 24, 1, SIGNED_8],           // i8x
                vec![0, 3 << 24, 0, 1, 1, 63],             // an array
                vec![0, 4 << 24 | 2, 2, 0, 1, 0, 0, 1, 8], // a struct of two
                vec![1, 4 << 24, 0],                       // an empty struct that is named i8
                vec![0, 13 << 24 | 1, 0, 0, 1],            // a prototype of one
                vec![0, 15 << 24 | 1, 4, 1, 0, 4],         // a data section of one
                vec![1, INT << 24, 1, i8_encoding],        // i8
                vec![0, 2 << 24, 1],                       // a pointer
            ]
            .concat()
        };
        let mut btf = section(&types(SIGNED_8));
        assert_eq!(mark_i8_as_text(&mut btf).unwrap(), 1);
        assert_eq!(btf, section(&types(CHAR_8)));
        assert_eq!(mark_i8_as_text(&mut btf).unwrap(), 1, "again: no harm");
        assert_eq!(btf, section(&types(CHAR_8)));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (shows, mut btf) in [
            ("not BTF", b"\x7fELF0000000000000000000000".to_vec()),
            ("empty", Vec::new()),
            ("unknown kind", section(&[0, 30 << 24, 0])),
            ("cut off within a type", section(&[1, INT << 24, 1, SIGNED_8])[..24 + 14].to_vec()),
        ] {
            assert!(mark_i8_as_text(&mut btf).is_err(), "{shows}");
        }
    }

    fn section(types: &[u32]) -> Vec<u8> {
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_le_bytes()).collect();
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let mut btf = vec![0x9f, 0xeb, 1, 0];
        for word in [24u32.to_le_bytes(), [0; 4], length(&types), length(&types), length(STRINGS)] {
            btf.extend(word);
        }
        [btf, types, STRINGS.to_vec()].concat()
    }
}
