//! Commands that ask other nodes, as an operator runs them: against an API server that runs programs in pods.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod server;
