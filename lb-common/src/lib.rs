//! The bytes and arithmetic that the kernel programs and the agent share.
#![no_std]

#[macro_use]
mod wire;
pub mod bloom;
pub mod element;
pub mod family;
pub mod hook;
pub mod layout;
pub mod node_port;
pub mod outcome;
pub mod pick;
pub mod trace;
pub mod translation;
