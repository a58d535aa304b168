//! Manifests in, connections or maps out: on the in-memory maps, on the kernel, and as the demo.

mod interrupted;
mod scenarios;
mod soak;
mod tutorial;
