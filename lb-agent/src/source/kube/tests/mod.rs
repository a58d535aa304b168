//! Against a small API server that responds as each test lines up.

mod client;
mod dump;
mod faults;
mod follow;
mod lists;
mod load;
mod older;
mod outage;
mod property;
mod rights;
mod same;
mod secrets;
mod shown;
mod skips;
mod thousand;
mod world;
