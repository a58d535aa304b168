//! The proof: no connection goes astray while its Service is published; and that it can fail.
//!
//! Clients in several processes dial a Service whose set changes without end, across the limit between inline
//! backends and a region, while neighbours in its hash bucket are created and deleted. A decoy answers at the
//! cluster IP itself. Programs with a planted bug go through the same.

mod agent;
mod bucket;
mod finding;
mod history;
mod publisher;
mod services;
mod soak;
mod testbed;
mod verdicts;
mod world;
mod writer;

pub use finding::Finding;
pub use history::History;
pub use soak::{Build, Soaking, Strain, soak, soak_planted};
pub use testbed::{CLIENTS, Experiment, Families, Publishing, Regions, Testbed, Until, Way};
pub use verdicts::Verdicts;
pub use world::{
    ADDRESSES, BACKENDS, CLUSTER, REFUSED, Reached, Set, UNTOUCHED, backend, cluster, keeps_clients,
    node_port, over6, under6,
};
