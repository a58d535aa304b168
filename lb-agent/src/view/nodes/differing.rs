//! Which nodes differ from the majority, and in what. Pure.

use std::collections::BTreeMap;

use super::OfNodes;

/// What is listed of one node's differences.
const MOST_LISTED: usize = 20;

/// Something that one node says, and that others should say as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is about, as it is shown.
    pub about: String,
    /// Which nodes should agree: those with the same.
    pub among: String,
    /// `None`: this node says that it may differ, and so none is compared.
    pub value: Option<String>,
}

/// How many nodes say each thing; `None` once one of them may differ.
type Said<'f> = Option<BTreeMap<&'f str, usize>>;

/// Marks what differs from the majority. `facts` are those of each node, in the order of `of_nodes`; a node without an answer
/// has none. Where no value has more nodes than every other, each of them differs.
pub fn mark<T>(of_nodes: &mut OfNodes<T>, facts: &[Vec<Fact>]) {
    let mut said: BTreeMap<(&str, &str), Said<'_>> = BTreeMap::new();
    for fact in facts.iter().flatten() {
        let values = said.entry((&fact.about, &fact.among)).or_insert_with(|| Some(BTreeMap::new()));
        match (&fact.value, values.as_mut()) {
            (Some(value), Some(values)) => *values.entry(value).or_default() += 1,
            (_, _) => *values = None,
        }
    }
    let majority: BTreeMap<(&str, &str), Option<&str>> =
        said.into_iter().filter_map(|(key, values)| Some((key, most(&values?)))).collect();
    for (of, facts) in of_nodes.nodes.iter_mut().zip(facts) {
        of.differs = differences(facts, &majority);
    }
}

/// The value with more nodes than every other.
fn most<'f>(values: &BTreeMap<&'f str, usize>) -> Option<&'f str> {
    let most = values.values().max()?;
    let mut with_most = values.iter().filter(|(_, nodes)| *nodes == most);
    let (value, _) = with_most.next()?;
    with_most.next().is_none().then_some(*value)
}

fn differences(facts: &[Fact], majority: &BTreeMap<(&str, &str), Option<&str>>) -> Vec<String> {
    let mut differs = Vec::new();
    for Fact { about, among, value } in facts {
        let (Some(value), Some(most)) = (value, majority.get(&(about.as_str(), among.as_str()))) else {
            continue;
        };
        match most {
            Some(most) if most == value => {}
            Some(most) => differs.push(format!("{about}: {value}, most have {most}")),
            None => differs.push(format!("{about}: {value}, and there is no majority")),
        }
    }
    let more = differs.len().saturating_sub(MOST_LISTED);
    differs.truncate(MOST_LISTED);
    if more > 0 {
        differs.push(format!("and {more} more"));
    }
    differs
}

#[cfg(test)]
mod tests {
    use super::super::OfNode;
    use super::*;

    /// Facts are written `about@among=value`, with `?` for a value that may differ.
    fn facts(text: &str) -> Vec<Fact> {
        let fact = |text: &str| {
            let (about, rest) = text.split_once('@').unwrap();
            let (among, value) = rest.split_once('=').unwrap();
            let value = (value != "?").then(|| value.to_owned());
            Fact { about: about.to_owned(), among: among.to_owned(), value }
        };
        text.split_whitespace().map(fact).collect()
    }

    #[test]
    fn a_node_is_marked_where_it_differs_from_most_of_those_that_should_agree() {
        for (shows, nodes, differ) in [
            ("alone", vec!["v@=1"], vec![""]),
            ("all agree", vec!["v@=1", "v@=1"], vec!["", ""]),
            ("one of three", vec!["v@=1", "v@=2", "v@=1"], vec!["", "v: 2, most have 1", ""]),
            (
                "two of two",
                vec!["v@=1", "v@=2"],
                vec!["v: 1, and there is no majority", "v: 2, and there is no majority"],
            ),
            (
                "most need not be half",
                vec!["v@=1", "v@=1", "v@=2", "v@=3"],
                vec!["", "", "v: 2, most have 1", "v: 3, most have 1"],
            ),
            ("a node without an answer", vec!["v@=1", "", "v@=1"], vec!["", "", ""]),
            ("other pools do not matter", vec!["v@a=1", "v@b=2"], vec!["", ""]),
            ("one may differ: none is compared", vec!["v@a=1", "v@a=?", "v@a=2"], vec!["", "", ""]),
            (
                "each thing on its own",
                vec!["v@=1 w@=1", "v@=1 w@=2", "v@=1 w@=1", "v@=2 w@=1"],
                vec!["", "w: 2, most have 1", "", "v: 2, most have 1"],
            ),
        ] {
            let of = |_: &&str| OfNode::<()> {
                node: String::new(),
                differs: vec!["x".to_owned()],
                error: None,
                answer: None,
            };
            let mut of_nodes = OfNodes { nodes: nodes.iter().map(of).collect() };
            mark(&mut of_nodes, &nodes.iter().map(|text| facts(text)).collect::<Vec<_>>());
            let marked: Vec<String> = of_nodes.nodes.iter().map(|of| of.differs.join("; ")).collect();
            assert_eq!(marked, differ, "{shows}");
        }
    }

    #[test]
    fn a_node_that_differs_in_everything_is_no_book() {
        let one: String = (0..500).map(|at| format!("v{at}@=1 ")).collect();
        let other: String = (0..500).map(|at| format!("v{at}@=2 ")).collect();
        let of = OfNode::<()> { node: String::new(), differs: Vec::new(), error: None, answer: None };
        let mut of_nodes = OfNodes { nodes: vec![of; 3] };
        mark(&mut of_nodes, &[facts(&one), facts(&one), facts(&other)]);
        assert_eq!(of_nodes.nodes[2].differs.len(), MOST_LISTED + 1);
        assert_eq!(of_nodes.nodes[2].differs[MOST_LISTED], "and 480 more");
    }
}
