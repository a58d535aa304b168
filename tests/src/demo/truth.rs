//! What the tutorial says is true, written down by hand: nothing here is read from what the agents read.

use anyhow::{Context, Result};

/// A node and the client pod on it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) node: &'static str,
    /// The address of the client pod.
    pub(super) client: &'static str,
}

pub(super) const WORKER: &str = "kind-worker";
pub(super) const EDGE2: &str = "edge-node2";
pub(super) const WORKER2: &str = "kind-worker2";
pub(super) const LONE: &str = "lone-node";

pub(super) const PLACES: [Place; 5] = [
    Place { node: "kind-control-plane", client: "10.244.0.10" },
    Place { node: WORKER, client: "10.244.2.10" },
    Place { node: EDGE2, client: "10.244.3.10" },
    Place { node: WORKER2, client: "10.244.1.10" },
    Place { node: LONE, client: "10.244.4.10" },
];

/// The pools that have servers.
pub(super) const HANGZHOU: &str = "hangzhou";
pub(super) const SHANGHAI: &str = "shanghai";
pub(super) const SERVING: [&str; 2] = [HANGZHOU, SHANGHAI];

/// In each of these pools.
pub(super) const SERVERS_IN_A_POOL: usize = 2;

/// The Service with the annotation, and the one without.
pub(super) const SERVICE: Service = Service { name: "svc-ud1", at: "10.96.0.11:80" };
pub(super) const EVERYWHERE: Service = Service { name: "svc-ud1-without-topology", at: "10.96.0.12:80" };

#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) at: &'static str,
}

/// The pools whose pods answer a client: all of them, and no other. None: the client is refused.
pub(super) type Pools = &'static [&'static str];

pub(super) const IN_BOTH: Pools = &[HANGZHOU, SHANGHAI];
pub(super) const IN_HANGZHOU: Pools = &[HANGZHOU];
pub(super) const IN_SHANGHAI: Pools = &[SHANGHAI];
pub(super) const NO_POOL: Pools = &[];

/// For each of [`PLACES`], in their order: the node's pool, and who answers its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Truth {
    pub(super) pools: [Option<&'static str>; 5],
    pub(super) service: [Pools; 5],
    pub(super) everywhere: [Pools; 5],
}

/// The folder as it is.
pub(super) const AT_FIRST: Truth = Truth {
    pools: [Some("beijing"), Some(HANGZHOU), Some(HANGZHOU), Some(SHANGHAI), None],
    service: [NO_POOL, IN_HANGZHOU, IN_HANGZHOU, IN_SHANGHAI, NO_POOL],
    everywhere: [IN_BOTH; 5],
};

/// shanghai's pods are not ready.
pub(super) const UNREADY: Truth = Truth {
    service: [NO_POOL, IN_HANGZHOU, IN_HANGZHOU, NO_POOL, NO_POOL],
    everywhere: [IN_HANGZHOU; 5],
    ..AT_FIRST
};

/// The same, and the annotation allows for any endpoint where the own pool has none.
pub(super) const FALLBACK: Truth = Truth { service: [IN_HANGZHOU; 5], ..UNREADY };

/// shanghai's pods are ready again. Who has no server in its pool may go anywhere.
pub(super) const HOME: Truth = Truth {
    service: [IN_BOTH, IN_HANGZHOU, IN_HANGZHOU, IN_SHANGHAI, IN_BOTH],
    everywhere: [IN_BOTH; 5],
    ..FALLBACK
};

/// edge-node2 is in shanghai.
pub(super) const MOVED: Truth = Truth {
    pools: [Some("beijing"), Some(HANGZHOU), Some(SHANGHAI), Some(SHANGHAI), None],
    service: [IN_BOTH, IN_HANGZHOU, IN_SHANGHAI, IN_SHANGHAI, IN_BOTH],
    ..HOME
};

/// The same with the annotation of the beginning.
pub(super) const BACK: Truth =
    Truth { service: [NO_POOL, IN_HANGZHOU, IN_SHANGHAI, IN_SHANGHAI, NO_POOL], ..MOVED };

/// The pool that a node is in at first.
pub(super) fn pool_of(node: &str) -> Result<&'static str> {
    let mut pools = PLACES.iter().zip(AT_FIRST.pools);
    let found = pools.find(|(place, _)| place.node == node).and_then(|(_, pool)| pool);
    found.with_context(|| format!("the tutorial knows no pool of a node {node}"))
}
