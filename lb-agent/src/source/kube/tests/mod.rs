//! Against an API server of our own, that says what each test wants to hear.

mod faults;
mod follow;
mod load;
mod same;
mod server;
