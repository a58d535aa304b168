//! Other builds of this project, for the upgrade drill and the benches: by their paths in the environment.

mod previous;
mod variant;

use std::path::PathBuf;

use anyhow::Result;

pub(crate) use previous::file as at_previous;
use variant::Feature;

/// Where a test or a bench finds them.
const NEXT_LAYOUT_AGENT: &str = "EDGELOOP_NEXT_LAYOUT_AGENT";
const PLANTED_AGENT: &str = "EDGELOOP_PLANTED_AGENT";
const PREVIOUS_AGENT: &str = "EDGELOOP_PREVIOUS_AGENT";
const PREVIOUS_OBJECT: &str = "EDGELOOP_PREVIOUS_OBJECT";

/// A test that needs the previous build lies in a module of this name: without such a build it is ignored.
pub(crate) const PREVIOUS_TESTS: &str = "previous::";

/// What is handed to tests and benches.
#[derive(Debug, Default)]
pub(crate) struct Builds {
    /// Variables and the files that they name.
    pub(crate) environment: Vec<(&'static str, PathBuf)>,
    /// Why there is no previous build.
    pub(crate) no_previous: Option<String>,
}

impl Builds {
    /// The previous one and the next layout's. The ordinary agent is built after this: all share one place below `target`.
    pub(crate) fn all() -> Result<Self> {
        let mut builds = Self::previous()?;
        builds.environment.push((NEXT_LAYOUT_AGENT, variant::agent(Feature::NextLayout)?));
        Ok(builds)
    }

    /// And the one with planted bugs.
    pub(crate) fn with_planted(mut self) -> Result<Self> {
        self.environment.push((PLANTED_AGENT, variant::agent(Feature::Plants)?));
        Ok(self)
    }

    /// The next layout's alone, for programs that are built after this.
    pub(crate) fn next_layout() -> Result<Self> {
        Ok(Self {
            environment: vec![(NEXT_LAYOUT_AGENT, variant::agent(Feature::NextLayout)?)],
            no_previous: None,
        })
    }

    /// The previous one alone.
    pub(crate) fn previous() -> Result<Self> {
        match previous::get()? {
            previous::Found::Built(folder) => Ok(Self {
                environment: vec![
                    (PREVIOUS_AGENT, folder.join(previous::AGENT)),
                    (PREVIOUS_OBJECT, folder.join(previous::OBJECT)),
                ],
                no_previous: None,
            }),
            previous::Found::Nothing(why) => Ok(Self { environment: Vec::new(), no_previous: Some(why) }),
        }
    }
}
