//! What was found on a machine, as people read it. Pure.

use crate::check::Finding;

use super::lines;

/// A line a thing; below it what follows and what to do, where that is not nothing.
#[must_use]
pub fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.what.chars().count()).max().unwrap_or_default();
    let of = |Finding { what, state, found, follows, todo }: &Finding| {
        let more = [("what follows", follows), ("what to do", todo)]
            .into_iter()
            .filter_map(|(head, said)| said.as_ref().map(|said| format!("{:8}  {head}: {said}\n", "")));
        let first = format!("{:8}  {what:width$}  {found}\n", state.label());
        std::iter::once(first).chain(more).collect::<String>()
    };
    lines(&findings.iter().map(of).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_thing_and_two_more_where_something_is_wrong() {
        let findings = [
            Finding::ok("clock", "plausible"),
            Finding::missing("cgroup2", "none", "nothing works", "mount it"),
        ];
        assert_eq!(
            text(&findings),
            "ok        clock    plausible\n\
             missing   cgroup2  none\n          what follows: nothing works\n          what to do: mount it\n"
        );
    }
}
