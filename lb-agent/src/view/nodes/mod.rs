//! What the agents of several nodes answer, and in what they differ. Pure.

mod differing;
mod facts;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use differing::{Fact, mark};
pub use facts::{SeenStatus, of_explanation, of_services, of_status};

/// The answers of several nodes, by node. Its JSON is an interface: fields may be added, none may go.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct OfNodes<T> {
    pub nodes: Vec<OfNode<T>>,
}

/// The answer of one node.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct OfNode<T> {
    pub node: String,
    /// In what it differs from most of the nodes that should agree with it.
    pub differs: Vec<String>,
    /// Why it gave no answer, as one sentence; `null` where it gave one.
    pub error: Option<String>,
    /// What the command prints on this node alone; `null` where it gave no answer.
    pub answer: Option<T>,
}

impl<T> OfNodes<T> {
    /// How many gave no answer.
    #[must_use]
    pub fn without_answer(&self) -> usize {
        self.nodes.iter().filter(|of| of.error.is_some()).count()
    }
}

/// What each node printed, or why it did not, as answers: the whole of each, and what is read of it (`None`: no answer).
#[must_use]
pub fn answers<T: DeserializeOwned>(
    printed: Vec<(String, Result<Vec<u8>, String>)>,
) -> (OfNodes<Value>, Vec<Option<T>>) {
    let read = printed.into_iter().map(|(node, printed)| {
        let understood = printed.and_then(|text| {
            let answer: Value = serde_json::from_slice(&text).map_err(not_understood)?;
            let read = T::deserialize(&answer).map_err(not_understood)?;
            Ok((answer, read))
        });
        let (error, answer, read) = match understood {
            Ok((answer, read)) => (None, Some(answer), Some(read)),
            Err(error) => (Some(error), None, None),
        };
        (OfNode { node, differs: Vec::new(), error, answer }, read)
    });
    let (nodes, read) = read.unzip();
    (OfNodes { nodes }, read)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err has it")]
fn not_understood(error: serde_json::Error) -> String {
    format!("its answer is not understood, {error}: is its agent of this version?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_not_understood_is_none() {
        let printed = [("n1", Ok("[1,2]")), ("n2", Ok("[1,")), ("n3", Ok("{}")), ("n4", Err("gone"))];
        let printed = printed.map(|(node, text)| {
            (node.to_owned(), text.map(|text: &str| text.as_bytes().to_vec()).map_err(str::to_owned))
        });
        let (of_nodes, read) = answers::<Vec<u8>>(printed.into());
        assert_eq!(read, [Some(vec![1, 2]), None, None, None]);
        assert_eq!(of_nodes.without_answer(), 3);
        let [n1, n2, n3, n4] = &of_nodes.nodes[..] else { panic!("{of_nodes:?}") };
        assert_eq!((n1.error.as_deref(), &n1.answer), (None, &Some(serde_json::json!([1, 2]))));
        for (of, why) in [
            (n2, "its answer is not understood, EOF"),
            (n3, "its answer is not understood, invalid type"),
            (n4, "gone"),
        ] {
            let error = of.error.as_deref().unwrap();
            assert!(error.starts_with(why) && of.answer.is_none(), "{error}");
        }
    }
}
