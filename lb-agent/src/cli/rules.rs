//! The flags that say what the operator wants decided differently.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Dialect, NamespaceTopology, Network, NotANetwork, ObjectName, SelfTestPorts};
use crate::select::nodes::PoolKeys;
use crate::select::topology::{Invalid, OnInvalid, Topology};
use crate::store::{ExternalIps, Localhost, NodePorts, Rules, SkipLabelled};

use super::choices::{DialectArg, ModeArg, OnInvalidTopology, Switch};
use super::label_key::is_label_key;

/// Shared by all commands that decide: a plan is only true under the rules of the agent.
#[derive(Clone, Debug, clap::Args)]
pub struct RuleArgs {
    /// Leave this Service to kube-proxy; may be repeated
    #[arg(long, value_name = "NAMESPACE/NAME", value_delimiter = ',', env = "EDGELOOP_EXCLUDE_SERVICE")]
    exclude_service: Vec<String>,

    /// Give this Service a topology, as if its annotation said so; an annotation of its own goes first; may be
    /// repeated, in the variable with semicolons between
    #[arg(long, value_name = "NAMESPACE/NAME=KEYS", value_delimiter = ';', env = "EDGELOOP_TOPOLOGY")]
    topology: Vec<String>,

    /// Heed the topology annotation of this project, too, next to OpenYurt's, which goes first; may be repeated
    #[arg(long, value_name = "PROJECT", value_enum, value_delimiter = ',', env = "EDGELOOP_DIALECT")]
    dialect: Vec<DialectArg>,

    /// Let the annotation edgeloop.io/topology of a Namespace give a topology, in OpenYurt's words, to its Services that have
    /// none of their own and none by flag; of an API server this takes the right to list and watch Namespaces
    #[arg(long, env = "EDGELOOP_NAMESPACE_TOPOLOGY")]
    namespace_topology: bool,

    /// Let ordered topologies name this node label; may be repeated
    #[arg(long, value_name = "KEY", value_delimiter = ',', env = "EDGELOOP_TOPOLOGY_LABEL")]
    topology_label: Vec<String>,

    /// The node label that names a node's pool; the default falls back to
    /// apps.openyurt.io/desired-nodepool, another key to nothing
    #[arg(
        long,
        value_name = "KEY",
        default_value = "apps.openyurt.io/nodepool",
        env = "EDGELOOP_POOL_LABEL"
    )]
    pool_label: String,

    /// What a topology that is not understood does to its Service
    #[arg(long, value_name = "WHAT", value_enum, default_value_t, env = "EDGELOOP_ON_INVALID_TOPOLOGY")]
    on_invalid_topology: OnInvalidTopology,

    /// Whether there is a kube-proxy on this node, which gets what is left untouched
    #[arg(long, value_name = "MODE", value_enum, default_value_t, env = "EDGELOOP_MODE")]
    mode: ModeArg,

    /// Whether external IPs are served: any user who may write a Service can claim any address so (CVE-2020-8554); unless
    /// given on beside kube-proxy, and off without it
    #[arg(long, value_name = "WHETHER", value_enum, env = "EDGELOOP_EXTERNAL_IPS")]
    external_ips: Option<Switch>,

    /// Serve node ports only at addresses of this machine in this network, such as 192.0.2.0/24; may be repeated
    #[arg(long, value_name = "CIDR", value_delimiter = ',', env = "EDGELOOP_NODEPORT_ADDRESSES")]
    nodeport_addresses: Vec<String>,

    /// Serve node ports on 127.0.0.0/8 and ::1, too, for processes in the host's network
    #[arg(long, env = "EDGELOOP_NODEPORT_LOCALHOST")]
    nodeport_localhost: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("--exclude-service {written:?}: write it as NAMESPACE/NAME")]
    NotAService { written: String },

    #[error("--topology {written:?}: write it as NAMESPACE/NAME=KEYS, such as {EXAMPLE}")]
    NotATopology { written: String },

    #[error("--topology {written:?} is not understood: {invalid}")]
    Topology { written: String, invalid: Invalid },

    #[error("--topology names Service {service} twice: give it one")]
    Twice { service: ObjectName },

    #[error("Service {service} has a --topology, and --exclude-service leaves it alone: give it one of them")]
    ExcludedToo { service: ObjectName },

    #[error("--nodeport-addresses {written:?} is not a network, such as 192.0.2.0/24 or fd00::/8")]
    NotANetwork { written: String },

    #[error("{flag} {written:?} is not a label key, such as topology.kubernetes.io/zone")]
    NotALabel { flag: &'static str, written: String },
}

const EXAMPLE: &str = "kube-system/kube-dns=\"kubernetes.io/hostname, openyurt.io/nodepool, *\"";

impl RuleArgs {
    /// Blanks around a value do not count, and an empty one counts as not given: an environment variable
    /// cannot be given without a value.
    ///
    /// # Errors
    /// A value is not the name of a Service, not a label key, or not a topology; or two of them contradict one another.
    pub fn settle(self) -> Result<Rules, RuleError> {
        let Self {
            exclude_service,
            topology,
            dialect,
            namespace_topology,
            topology_label,
            pool_label,
            on_invalid_topology,
            mode,
            external_ips,
            nodeport_addresses,
            nodeport_localhost,
        } = self;
        let excluded: Result<BTreeSet<ObjectName>, RuleError> =
            given(&exclude_service).map(excluded).collect();
        let excluded = excluded?;
        let labels: Result<Vec<Arc<str>>, RuleError> =
            given(&topology_label).map(|key| label("--topology-label", key)).collect();
        let labels = labels?;
        let topologies = topologies(&topology, &labels)?;
        if let Some(service) = topologies.keys().find(|service| excluded.contains(service)) {
            return Err(RuleError::ExcludedToo { service: service.clone() });
        }
        Ok(Rules {
            excluded,
            topology_labels: labels,
            topologies,
            dialects: dialect.into_iter().map(Dialect::from).collect(),
            namespace_topology: if namespace_topology {
                NamespaceTopology::On
            } else {
                NamespaceTopology::Off
            },
            on_invalid: match on_invalid_topology {
                OnInvalidTopology::Unfiltered => OnInvalid::Unfiltered,
                OnInvalidTopology::Refuse => OnInvalid::Refuse,
            },
            pool_keys: pool_keys(&pool_label)?,
            external_ips: match (external_ips, mode) {
                (None, ModeArg::Beside) | (Some(Switch::On), _) => ExternalIps::Served,
                // As kube-proxy will have it (KEP-5707).
                (None, ModeArg::Replace) | (Some(Switch::Off), _) => ExternalIps::LeftAlone,
            },
            skip_labelled: SkipLabelled::default(),
            node_ports: NodePorts {
                networks: given(&nodeport_addresses).map(network).collect::<Result<_, _>>()?,
                localhost: if nodeport_localhost { Localhost::Served } else { Localhost::LeftAlone },
            },
            mode: mode.into(),
            self_test: SelfTestPorts::default(),
        })
    }
}

fn given(written: &[String]) -> impl Iterator<Item = &str> {
    written.iter().map(|value| value.trim()).filter(|value| !value.is_empty())
}

fn excluded(written: &str) -> Result<ObjectName, RuleError> {
    service(written).ok_or_else(|| RuleError::NotAService { written: written.to_owned() })
}

fn network(written: &str) -> Result<Network, RuleError> {
    written.parse().map_err(|NotANetwork| RuleError::NotANetwork { written: written.to_owned() })
}

fn service(written: &str) -> Option<ObjectName> {
    let (namespace, name) = written.split_once('/')?;
    let is_name = !namespace.is_empty() && !name.is_empty() && !name.contains('/');
    is_name.then(|| ObjectName::new(namespace, name))
}

fn topologies(written: &[String], labels: &[Arc<str>]) -> Result<BTreeMap<ObjectName, Arc<str>>, RuleError> {
    let mut topologies = BTreeMap::new();
    for written in given(written) {
        let (service, keys) = topology(written, labels)?;
        if topologies.insert(service.clone(), keys).is_some() {
            return Err(RuleError::Twice { service });
        }
    }
    Ok(topologies)
}

fn topology(written: &str, labels: &[Arc<str>]) -> Result<(ObjectName, Arc<str>), RuleError> {
    let not_one = || RuleError::NotATopology { written: written.to_owned() };
    let (name, keys) = written.split_once('=').ok_or_else(not_one)?;
    let (name, keys) = (service(name.trim()).ok_or_else(not_one)?, keys.trim());
    match Topology::parse(Some(keys), labels) {
        Topology::None => Err(not_one()),
        Topology::Invalid(invalid) => Err(RuleError::Topology { written: written.to_owned(), invalid }),
        Topology::Hard(_) | Topology::Ordered(_) | Topology::Union(_) => Ok((name, keys.into())),
    }
}

/// The default written out is the default, with its fallback.
fn pool_keys(written: &str) -> Result<PoolKeys, RuleError> {
    let default = PoolKeys::default();
    match written.trim() {
        "" => Ok(default),
        key if *key == *default.preferred => Ok(default),
        key => Ok(PoolKeys { preferred: label("--pool-label", key)?, fallback: None }),
    }
}

fn label(flag: &'static str, written: &str) -> Result<Arc<str>, RuleError> {
    if is_label_key(written) {
        Ok(written.into())
    } else {
        Err(RuleError::NotALabel { flag, written: written.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn without_flags_the_rules_are_openyurts() {
        let rules = settle(&[]).unwrap();
        assert_eq!((rules.excluded, rules.topology_labels), (BTreeSet::new(), Vec::new()));
        assert_eq!((rules.on_invalid, rules.dialects), (OnInvalid::Unfiltered, BTreeSet::new()));
        assert_eq!(rules.namespace_topology, NamespaceTopology::Off);
        assert_eq!(rules.pool_keys, PoolKeys::default());
    }

    #[test]
    fn lists_are_repeated_flags_or_separated_by_commas() {
        let rules = settle(&[
            "--exclude-service=default/web, kube-system/dns,",
            "--exclude-service=default/api",
            "--topology-label=example.com/rack",
            "--topology-label= row ,",
        ])
        .unwrap();
        let excluded: Vec<String> = rules.excluded.iter().map(ToString::to_string).collect();
        assert_eq!(excluded, ["default/api", "default/web", "kube-system/dns"]);
        assert_eq!(rules.topology_labels, ["example.com/rack".into(), "row".into()]);
    }

    #[test]
    fn a_topology_is_given_to_a_service_by_name() {
        let rules = settle(&[
            "--topology=kube-system/kube-dns=kubernetes.io/hostname, openyurt.io/nodepool, *",
            "--topology= default/web = openyurt.io/nodepool ; default/api=example.com/rack;",
            "--topology-label=example.com/rack",
        ]);
        let topologies = rules.unwrap().topologies;
        let given: Vec<String> =
            topologies.iter().map(|(service, keys)| format!("{service}={keys}")).collect();
        assert_eq!(
            given,
            [
                "default/api=example.com/rack",
                "default/web=openyurt.io/nodepool",
                "kube-system/kube-dns=kubernetes.io/hostname, openyurt.io/nodepool, *",
            ]
        );
    }

    #[test]
    fn the_annotations_of_other_projects_count_only_where_asked_for() {
        use Dialect::{KubeEdge, SuperEdge};
        for (flags, expected) in [
            (&["--dialect=kubeedge"][..], &[KubeEdge][..]),
            (&["--dialect=superedge", "--dialect=kubeedge"], &[KubeEdge, SuperEdge]),
            (&["--dialect=superedge,kubeedge,superedge"], &[KubeEdge, SuperEdge]),
        ] {
            assert_eq!(settle(flags).unwrap().dialects, expected.iter().copied().collect(), "{flags:?}");
        }
    }

    #[test]
    fn namespaces_have_a_say_where_asked_for() {
        let rules = settle(&["--namespace-topology"]).unwrap();
        assert_eq!(rules.namespace_topology, NamespaceTopology::On);
    }

    #[test]
    fn only_the_default_pool_label_has_a_fallback() {
        for (written, preferred, has_fallback) in [
            ("--pool-label=example.com/site", "example.com/site", false),
            ("--pool-label=apps.openyurt.io/nodepool", "apps.openyurt.io/nodepool", true),
            ("--pool-label=apps.openyurt.io/desired-nodepool", "apps.openyurt.io/desired-nodepool", false),
            ("--pool-label=", "apps.openyurt.io/nodepool", true),
        ] {
            let keys = settle(&[written]).unwrap().pool_keys;
            assert_eq!((&*keys.preferred, keys.fallback.is_some()), (preferred, has_fallback), "{written}");
        }
    }

    #[test]
    fn an_invalid_topology_can_be_refused() {
        let rules = settle(&["--on-invalid-topology=refuse"]).unwrap();
        assert_eq!(rules.on_invalid, OnInvalid::Refuse);
    }

    #[test]
    fn external_ips_are_served_unless_they_are_switched_off_or_there_is_no_kube_proxy() {
        for (flags, expected) in [
            (&[][..], ExternalIps::Served),
            (&["--external-ips=on"], ExternalIps::Served),
            (&["--external-ips=off"], ExternalIps::LeftAlone),
            (&["--mode=replace"], ExternalIps::LeftAlone),
            (&["--mode=replace", "--external-ips=on"], ExternalIps::Served),
            (&["--mode=beside"], ExternalIps::Served),
        ] {
            assert_eq!(settle(flags).unwrap().external_ips, expected, "{flags:?}");
        }
    }

    #[test]
    fn node_ports_are_everywhere_but_on_loopback_unless_narrowed() {
        for (flags, networks, localhost) in [
            (&[][..], 0, Localhost::LeftAlone),
            (&["--nodeport-addresses="], 0, Localhost::LeftAlone),
            (&["--nodeport-addresses=192.0.2.0/24, fd00::/8", "--nodeport-localhost"], 2, Localhost::Served),
        ] {
            let node_ports = settle(flags).unwrap().node_ports;
            assert_eq!((node_ports.networks.len(), node_ports.localhost), (networks, localhost), "{flags:?}");
        }
    }

    #[test]
    fn what_is_no_service_or_no_label_is_named() {
        for (flag, says) in [
            ("--exclude-service=web", "--exclude-service \"web\": write it as NAMESPACE/NAME"),
            ("--exclude-service=/web", "--exclude-service \"/web\": write it as NAMESPACE/NAME"),
            ("--exclude-service=default/", "--exclude-service \"default/\": write it as NAMESPACE/NAME"),
            ("--exclude-service=a/b/c", "--exclude-service \"a/b/c\": write it as NAMESPACE/NAME"),
            (
                "--topology-label=rack=r1",
                "--topology-label \"rack=r1\" is not a label key, such as topology.kubernetes.io/zone",
            ),
            (
                "--pool-label=a/b/c",
                "--pool-label \"a/b/c\" is not a label key, such as topology.kubernetes.io/zone",
            ),
            (
                "--topology=a/b",
                "--topology \"a/b\": write it as NAMESPACE/NAME=KEYS, such as kube-system/kube-dns=\"kubernetes.io/hostname, openyurt.io/nodepool, *\"",
            ),
            (
                "--topology=a/b=",
                "--topology \"a/b=\": write it as NAMESPACE/NAME=KEYS, such as kube-system/kube-dns=\"kubernetes.io/hostname, openyurt.io/nodepool, *\"",
            ),
            (
                "--topology=dns=*",
                "--topology \"dns=*\": write it as NAMESPACE/NAME=KEYS, such as kube-system/kube-dns=\"kubernetes.io/hostname, openyurt.io/nodepool, *\"",
            ),
            (
                "--topology=a/b=*, kubernetes.io/hostname",
                "--topology \"a/b=*, kubernetes.io/hostname\" is not understood: \"*\" (item 1) may only stand last",
            ),
            (
                "--topology=a/b=rack",
                "--topology \"a/b=rack\" is not understood: \"rack\" (item 1) is neither a known key nor a node label allowed by --topology-label",
            ),
            (
                "--nodeport-addresses=192.0.2.0/24,primary",
                "--nodeport-addresses \"primary\" is not a network, such as 192.0.2.0/24 or fd00::/8",
            ),
            ("--topology=a/b=*;a/b=*", "--topology names Service a/b twice: give it one"),
        ] {
            assert_eq!(settle(&[flag]).unwrap_err().to_string(), says);
        }
        let both = settle(&["--topology=a/b=*", "--exclude-service=a/b"]).unwrap_err().to_string();
        assert_eq!(
            both,
            "Service a/b has a --topology, and --exclude-service leaves it alone: give it one of them"
        );
    }

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        rules: RuleArgs,
    }

    fn settle(flags: &[&str]) -> Result<Rules, RuleError> {
        let command = ["test"].iter().chain(flags);
        Command::try_parse_from(command).unwrap().rules.settle()
    }
}
