//! A machine that reboots, with the agent as it is on a node: at the root of all cgroups, at its own paths. Its tests run in a
//! machine of `cargo xtask vm` alone, which runs those of each boot in it.

mod api_server;
mod first_boot;
mod host;
mod second_boot;
