//! The bytes and arithmetic that the kernel programs and the agent share.
#![no_std]

#[macro_use]
mod wire;
pub mod layout;
pub mod marks;
pub mod outcome;
pub mod pick;
