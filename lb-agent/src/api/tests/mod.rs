//! The client against servers that ask for credentials.

mod credentials;
mod guarded;
mod tls;
