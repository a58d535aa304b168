//! The programs on this machine's kernel, without an agent; the proofs; the harness itself.

mod affinity;
mod bench;
mod bloom;
mod bpftool;
mod cells;
mod choice;
mod connect;
mod connect6;
mod harness;
mod maps;
mod proof;
mod refusal;
mod skip;
mod stale;
mod udp;
mod variants;
mod verifier;
