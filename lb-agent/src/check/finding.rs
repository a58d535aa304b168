//! One thing that was looked at, what follows from it, and what to do. Pure.

use schemars::JsonSchema;
use serde::Serialize;

/// How much works with what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// It works, but for what `follows` says.
    Degraded,
    /// The agent will not work.
    Missing,
}

impl State {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Missing => "missing",
        }
    }
}

/// A line of `lb-agent check`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Finding {
    pub what: String,
    pub state: State,
    pub found: String,
    /// Nothing where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

impl Finding {
    #[must_use]
    pub fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Ok, found: found.into(), follows: None, todo: None }
    }

    #[must_use]
    pub fn degraded(what: &str, found: impl Into<String>, follows: &str, todo: &str) -> Self {
        Self::bad(what, State::Degraded, found, follows, todo)
    }

    #[must_use]
    pub fn missing(what: &str, found: impl Into<String>, follows: &str, todo: &str) -> Self {
        Self::bad(what, State::Missing, found, follows, todo)
    }

    fn bad(what: &str, state: State, found: impl Into<String>, follows: &str, todo: &str) -> Self {
        let (follows, todo) = (Some(follows.to_owned()), Some(todo.to_owned()));
        Self { what: what.to_owned(), state, found: found.into(), follows, todo }
    }
}

/// 0 where all is well or better than `fails`, 1 where something is degraded, 3 where the agent will not work. (2 is a
/// wrong flag.)
#[must_use]
pub fn exit_code(findings: &[Finding], fails: State) -> u8 {
    match findings.iter().map(|finding| finding.state).max() {
        Some(State::Degraded) if fails <= State::Degraded => 1,
        Some(State::Missing) => 3,
        None | Some(State::Ok | State::Degraded) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_state_decides_the_exit_code() {
        let ok = Finding::ok("a", "b");
        let degraded = Finding::degraded("a", "b", "c", "d");
        let missing = Finding::missing("a", "b", "c", "d");
        for (findings, fails, code) in [
            (vec![], State::Degraded, 0),
            (vec![ok.clone()], State::Degraded, 0),
            (vec![ok.clone(), degraded.clone()], State::Degraded, 1),
            (vec![ok.clone(), degraded.clone()], State::Missing, 0),
            (vec![missing.clone(), degraded.clone(), ok.clone()], State::Degraded, 3),
            (vec![missing, degraded, ok], State::Missing, 3),
        ] {
            assert_eq!(exit_code(&findings, fails), code, "{findings:?}, {fails:?}");
        }
    }
}
