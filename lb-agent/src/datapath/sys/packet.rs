//! A program that the kernel runs on a packet of ours, in the network namespace of the thread that asks.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use bytemuck::{Pod, Zeroable};

use super::{address, address_mut, bpf, owned, raw};

const PROG_LOAD: i64 = 5;
const PROG_TEST_RUN: i64 = 10;

/// `BPF_PROG_TYPE_SCHED_CLS`.
const CLASSIFIER: u32 = 3;

/// The start of what `PROG_LOAD` takes.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ProgLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// The start of what `PROG_TEST_RUN` takes.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct TestRun {
    program: u32,
    result: u32,
    input_length: u32,
    output_length: u32,
    input: u64,
    output: u64,
    repeat: u32,
    duration: u32,
    context_input_length: u32,
    context_output_length: u32,
    context_input: u64,
    context_output: u64,
}

/// The start of `struct __sk_buff`, up to the interface.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Context {
    zeros: [u32; 10],
    interface: u32,
    zero: u32,
}

/// Loads a program for packets.
pub(in crate::datapath) fn load_classifier(instructions: &[u64]) -> io::Result<OwnedFd> {
    let license = c"GPL";
    let mut attr = ProgLoad {
        kind: CLASSIFIER,
        instruction_count: instructions.len() as u32,
        instructions: address(instructions),
        license: license.as_ptr() as u64,
        name: *b"edgeloop_ask\0\0\0\0",
        ..ProgLoad::zeroed()
    };
    let fd = bpf(PROG_LOAD, &mut attr)?;
    // SAFETY: the kernel made this descriptor for this call.
    Ok(unsafe { owned(fd) })
}

/// Runs `program` once on `packet`, as if it came by the interface of this number; 0 for loopback. Returns what the program
/// returns; `packet` is then what it has left.
pub(in crate::datapath) fn run_on(
    program: BorrowedFd<'_>,
    packet: &mut [u8; 64],
    interface: u32,
) -> io::Result<u32> {
    let input = *packet;
    let context = [Context { interface, ..Context::zeroed() }];
    let mut attr = TestRun {
        program: raw(program),
        input_length: 64,
        output_length: 64,
        input: address(&input),
        output: address_mut(packet),
        ..TestRun::zeroed()
    };
    if interface != 0 {
        attr.context_input_length = size_of::<Context>() as u32;
        attr.context_input = address(&context);
    }
    bpf(PROG_TEST_RUN, &mut attr)?;
    Ok(attr.result)
}
