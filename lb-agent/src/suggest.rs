//! What someone may have meant: the known names near a misspelt one. Pure.

const MOST: usize = 5;

/// The names that `written` may have meant, nearest first.
pub(crate) fn suggest<'a>(written: &str, known: &[&'a str]) -> Vec<&'a str> {
    let written: Vec<char> = written.to_lowercase().chars().collect();
    let mut ranked: Vec<(usize, &str)> = known
        .iter()
        .map(|name| (distance(&written, &name.to_lowercase().chars().collect::<Vec<_>>()), *name))
        .filter(|(edits, _)| *edits <= (written.len() / 3).max(2))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// How many letters must be put in, taken out or replaced to make one the other.
fn distance(one: &[char], other: &[char]) -> usize {
    // Row by row: `row[i]` makes the letters of `one` so far the first `i` letters of `other`.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, wanted) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != wanted);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first() {
        let known = ["kind-control-plane", "kind-worker", "kind-worker2", "edge-node2", "lone-node"];
        for (written, meant) in [
            ("kind-worker3", "kind-worker kind-worker2"),
            ("kind-wroker2", "kind-worker2 kind-worker"),
            ("KIND-WORKER", "kind-worker kind-worker2"),
            ("edgenode2", "edge-node2"),
            ("edge-node", "edge-node2 lone-node"),
            ("database", ""),
            ("", ""),
        ] {
            assert_eq!(suggest(written, &known).join(" "), meant, "{written:?}");
        }
    }

    #[test]
    fn no_more_names_than_one_reads() {
        let known: Vec<String> = (0..20).map(|number| format!("node-{number}")).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        assert_eq!(suggest("node-x", &known), ["node-0", "node-1", "node-2", "node-3", "node-4"]);
    }

    #[test]
    fn a_distance_counts_letters_in_out_and_replaced() {
        for (one, other, edits) in [
            ("", "", 0),
            ("node", "node", 0),
            ("", "node", 4),
            ("node", "", 4),
            ("node", "nodes", 1),
            ("node", "ode", 1),
            ("node", "nude", 1),
            ("node", "noed", 2),
            ("kitten", "sitting", 3),
            ("saturday", "sunday", 3),
        ] {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(distance(&letters(one), &letters(other)), edits, "{one} {other}");
        }
    }
}
