//! The agent as a process on this machine's kernel.

mod by_flag;
mod calls;
mod check;
mod crowds;
mod dns;
mod doors;
mod ending;
mod facts;
mod files;
mod further;
mod generations;
mod hold;
mod life;
mod links;
mod node_ports;
mod out_of_memory;
mod program_log;
mod repair;
mod rights;
mod room;
mod says;
mod shown;
mod skip;
mod takeover;
mod unit;
mod upgrade;
