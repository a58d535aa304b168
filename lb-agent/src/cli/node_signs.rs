//! What is made known on the agent's own Node.

use crate::announce::node::{NodeSigns, WithCondition};

use super::label_key::is_label_key;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct NodeSignArgs {
    /// Keep the condition edgeloop.io/Covered in the status of this Node: True while the node is covered, else False with a reason.
    /// Takes the rights to get nodes and to patch nodes/status.
    #[arg(long, env = "EDGELOOP_NODE_CONDITION")]
    node_condition: bool,
    /// Once this node is covered, remove the taints with this key, such as edgeloop.io/not-covered, from its Node: once for each
    /// Node that is registered with it. Takes the rights to get and to patch nodes.
    #[arg(long, env = "EDGELOOP_STARTUP_TAINT", value_name = "KEY")]
    startup_taint: Option<String>,
}

/// What cannot be made known so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NodeSignError {
    #[error("{flag} changes the Node at an API server, and --source reads files: leave one of them out")]
    WithoutServer { flag: &'static str },

    #[error(
        "--startup-taint: {written:?} is not the key of a taint: write it as edgeloop.io/not-covered, without value and effect"
    )]
    NotAKey { written: String },
}

impl NodeSignArgs {
    /// # Errors
    /// The source is no API server, or this is not a key.
    pub(super) fn settle(self, of_files: bool) -> Result<NodeSigns, NodeSignError> {
        let Self { node_condition, startup_taint } = self;
        let given = [("--node-condition", node_condition), ("--startup-taint", startup_taint.is_some())];
        if let (true, Some((flag, _))) = (of_files, given.into_iter().find(|(_, given)| *given)) {
            return Err(NodeSignError::WithoutServer { flag });
        }
        if let Some(key) = startup_taint.as_ref().filter(|key| !is_label_key(key)) {
            return Err(NodeSignError::NotAKey { written: key.clone() });
        }
        let condition = if node_condition { WithCondition::On } else { WithCondition::Off };
        Ok(NodeSigns { condition, taint: startup_taint.map(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_need_an_api_server_and_a_key() {
        let args = |node_condition, taint: Option<&str>| NodeSignArgs {
            node_condition,
            startup_taint: taint.map(str::to_owned),
        };
        assert!(args(false, None).settle(true).is_ok_and(|signs| signs.is_empty()));
        let both = args(true, Some("edgeloop.io/not-covered")).settle(false).unwrap();
        assert_eq!(both.condition, WithCondition::On);
        assert_eq!(both.taint.as_deref(), Some("edgeloop.io/not-covered"));
        for (args, of_files, says) in [
            (args(true, None), true, "--node-condition changes the Node"),
            (args(false, Some("a/b")), true, "--startup-taint changes the Node"),
            (args(false, Some("a/b=c:NoSchedule")), false, "without value and effect"),
            (args(false, Some("a/b:NoSchedule")), false, "without value and effect"),
        ] {
            let error = args.settle(of_files).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
