//! Against an API server of our own, that says what each test wants to hear.

mod events;
mod faults;
mod follow;
mod load;
mod publisher;
mod rights;
mod same;
mod server;
