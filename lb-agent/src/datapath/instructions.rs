//! Programs of a few lines, as the kernel takes them: one number an instruction. Pure.

/// A register, by its number: 0 holds results, 1 to 5 arguments, 6 to 9 stay over calls, 10 is the end of the stack.
pub(super) type Register = u8;

/// The end of the stack: what lies on it is below.
pub(super) const STACK: Register = 10;

/// How many bytes are read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Byte,
    Half,
    Word,
    Double,
}

impl Width {
    /// `BPF_B` and so on.
    const fn code(self) -> u8 {
        match self {
            Self::Byte => 0x10,
            Self::Half => 0x08,
            Self::Word => 0x00,
            Self::Double => 0x18,
        }
    }
}

/// `exit`: the result is in register 0.
pub(super) const EXIT: u64 = instruction(0x95, 0, 0, 0, 0);

/// `to = from`.
pub(super) const fn copy(to: Register, from: Register) -> u64 {
    instruction(0xbf, to, from, 0, 0)
}

/// `to = value`, with its sign.
pub(super) const fn set(to: Register, value: i32) -> u64 {
    instruction(0xb7, to, 0, 0, value)
}

/// `to += value`.
pub(super) const fn add(to: Register, value: i32) -> u64 {
    instruction(0x07, to, 0, 0, value)
}

/// `to = *(from + offset)`.
pub(super) const fn load(width: Width, to: Register, from: Register, offset: i16) -> u64 {
    instruction(0x61 | width.code(), to, from, offset, 0)
}

/// `*(to + offset) = from`.
pub(super) const fn store(width: Width, to: Register, offset: i16, from: Register) -> u64 {
    instruction(0x63 | width.code(), to, from, offset, 0)
}

/// Goes on after `skipped` instructions if the register holds `value`.
pub(super) const fn skip_if(register: Register, value: i32, skipped: i16) -> u64 {
    instruction(0x15, register, 0, skipped, value)
}

/// The same if it holds anything else.
pub(super) const fn skip_unless(register: Register, value: i32, skipped: i16) -> u64 {
    instruction(0x55, register, 0, skipped, value)
}

/// Calls the helper of this number in `enum bpf_func_id`.
pub(super) const fn call(helper: i32) -> u64 {
    instruction(0x85, 0, 0, 0, helper)
}

/// `to =` the map with this descriptor: two instructions.
pub(super) const fn map(to: Register, descriptor: i32) -> [u64; 2] {
    // `BPF_PSEUDO_MAP_FD` takes the place of the source.
    [instruction(0x18, to, 1, 0, descriptor), 0]
}

/// As `struct bpf_insn` lies in memory, whatever the order of bytes is.
const fn instruction(code: u8, to: Register, from: Register, offset: i16, value: i32) -> u64 {
    let registers = if cfg!(target_endian = "little") { to | from << 4 } else { to << 4 | from };
    let ([a, b], [c, d, e, f]) = (offset.to_ne_bytes(), value.to_ne_bytes());
    u64::from_ne_bytes([code, registers, a, b, c, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_as_the_kernel_has_them() {
        for (shows, instruction, bytes) in [
            ("r6 = r1", copy(6, 1), [0xbf, 0x16, 0, 0, 0, 0, 0, 0]),
            ("r0 = -1", set(0, -1), [0xb7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
            ("r3 += -40", add(3, -40), [0x07, 3, 0, 0, 0xd8, 0xff, 0xff, 0xff]),
            ("r2 = *(u64 *)(r1 + 16)", load(Width::Double, 2, 1, 16), [0x79, 0x12, 16, 0, 0, 0, 0, 0]),
            ("r3 = *(u16 *)(r2 + 516)", load(Width::Half, 3, 2, 516), [0x69, 0x23, 4, 2, 0, 0, 0, 0]),
            ("r3 = *(u8 *)(r2 + 18)", load(Width::Byte, 3, 2, 18), [0x71, 0x23, 18, 0, 0, 0, 0, 0]),
            (
                "*(u32 *)(r10 - 48) = r3",
                store(Width::Word, STACK, -48, 3),
                [0x63, 0x3a, 0xd0, 0xff, 0, 0, 0, 0],
            ),
            ("if r2 == 0 goto +5", skip_if(2, 0, 5), [0x15, 2, 5, 0, 0, 0, 0, 0]),
            ("if r3 != 17 goto +4", skip_unless(3, 17, 4), [0x55, 3, 4, 0, 17, 0, 0, 0]),
            ("call 127", call(127), [0x85, 0, 0, 0, 127, 0, 0, 0]),
            ("exit", EXIT, [0x95, 0, 0, 0, 0, 0, 0, 0]),
            ("r1 = map 7", map(1, 7)[0], [0x18, 0x11, 0, 0, 7, 0, 0, 0]),
        ] {
            assert_eq!(instruction.to_le_bytes(), bytes, "{shows}");
        }
    }
}
