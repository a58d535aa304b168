//! The tier `model`: the publish protocol, every interleaving of it, and the bugs that must show.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::packages::{self, Missing};
use crate::shell;
use crate::test::Counts;

/// What is checked: docs/model/README.md.
const MODEL: &str = "docs/model/publish.pml";

/// One search through all states of the model in some size.
struct Search {
    name: &'static str,
    lookups: u8,
    changes: u8,
    deaths: u8,
    start: Start,
    others: Others,
    expected: Expected,
}

/// Whether the writer may change over to other maps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    None,
    Grow,
}

/// What the maps hold at first.
#[derive(Clone, Copy)]
enum Start {
    /// Each of four states.
    Any,
    /// One of them: two searches of half the size run side by side.
    Only(u8),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Holds,
    /// With this bug planted it goes wrong.
    Fails(&'static str),
}

use Expected::{Fails, Holds};
use Start::{Any, Only};

const fn search(
    name: &'static str,
    sizes: [u8; 3],
    start: Start,
    others: Others,
    expected: Expected,
) -> Search {
    let [lookups, changes, deaths] = sizes;
    Search { name, lookups, changes, deaths, start, others, expected }
}

/// Sizes are lookups, changes, deaths. The dearest come first, so that two at a time end together.
const SEARCHES: [Search; 14] = [
    search("two-lookups-three-keys", [2, 1, 1], Only(1), Others::None, Holds),
    search("two-lookups-two-keys", [2, 1, 1], Only(2), Others::None, Holds),
    search("changes-and-growth", [1, 2, 0], Any, Others::Grow, Holds),
    search("two-lookups-and-growth", [2, 1, 0], Only(1), Others::Grow, Holds),
    search("two-changes", [1, 2, 0], Any, Others::None, Holds),
    search("death-and-growth", [1, 1, 1], Any, Others::Grow, Holds),
    search("two-lookups-death-and-growth", [2, 0, 1], Only(1), Others::Grow, Holds),
    search("publish-before-fill", [1, 1, 0], Any, Others::None, Fails("PUBLISH_FIRST")),
    search("no-check-word", [1, 2, 0], Any, Others::None, Fails("NO_CHECK")),
    search("no-epoch", [1, 1, 0], Any, Others::None, Fails("NO_EPOCH")),
    search("no-grace-period", [1, 2, 0], Any, Others::None, Fails("NO_GRACE")),
    search("no-grace-period-after-a-death", [1, 2, 1], Any, Others::None, Fails("NO_FENCE")),
    search("filter-after-element", [1, 1, 1], Any, Others::None, Fails("FILTER_AFTER")),
    search("links-before-maps-are-full", [1, 0, 0], Any, Others::Grow, Fails("LINK_FIRST")),
];

/// At a time: each takes a processor and up to 1 GB.
const AT_A_TIME: usize = 2;
/// Seconds, many times what the dearest takes. A search that takes longer is no result.
const LONGEST: &str = "600";
/// MiB of states.
const MEMORY: u32 = 3000;

/// What pan found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// All of so many states were looked at, and nothing went wrong.
    Nothing {
        states: u64,
    },
    Error,
}

/// The tier. Where there is no spin, the second says why.
pub(crate) fn check() -> (Counts, Option<String>) {
    if let Err(error) = install() {
        let counts = Counts { skipped: SEARCHES.len(), ..Counts::default() };
        return (counts, Some(format!("{error:#}").replace('\n', " ")));
    }
    let next = Mutex::new(SEARCHES.iter());
    let counts = Mutex::new(Counts::default());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(search) = next.lock().ok().and_then(|mut next| next.next()) {
                    let done = search.carry_out();
                    let Ok(mut counts) = counts.lock() else { break };
                    match done {
                        Ok(()) => counts.passed += 1,
                        Err(error) => {
                            eprintln!("error: {error:#}");
                            counts.failed.push(search.name.to_owned());
                        }
                    }
                }
            });
        }
    });
    (counts.into_inner().unwrap_or_default(), None)
}

fn install() -> Result<()> {
    let tools = [
        ("spin", Missing { packages: &["spin"], why: "to check the model of the publish protocol" }),
        ("gcc", Missing { packages: &["gcc", "libc6-dev"], why: "to compile what spin makes of the model" }),
    ];
    let missing = tools.iter().filter(|(name, _)| shell::programs(name).is_empty());
    packages::install(&missing.map(|(_, missing)| *missing).collect::<Vec<_>>())
}

impl Search {
    fn carry_out(&self) -> Result<()> {
        let began = Instant::now();
        let folder = shell::target_folder().join("model").join(self.name);
        fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        let found = self.run(&folder).with_context(|| format!("could not search {}", self.name))?;
        let took = began.elapsed().as_secs_f64();
        match (self.expected, found) {
            (Holds, Found::Nothing { states }) => {
                eprintln!("{:30} holds in all of {states} states ({took:.0} s)", self.name);
                Ok(())
            }
            (Fails(_), Found::Error) => {
                eprintln!("{:30} a counterexample, as planted ({took:.0} s)", self.name);
                Ok(())
            }
            (Holds, Found::Error) => {
                let trail = self.trail(&folder)?;
                bail!("{} goes wrong: how stands in {}", self.name, trail.display())
            }
            (Fails(bug), Found::Nothing { .. }) => {
                bail!("{}: nothing goes wrong although {bug} is planted", self.name)
            }
        }
    }

    fn run(&self, folder: &Path) -> Result<Found> {
        let model = shell::root().join(MODEL);
        said(shell::clean("spin").args(self.flags()).arg("-a").arg(&model).current_dir(folder))?;
        // A bug shows within a moment: there it is the compiler that takes long.
        let speed = if self.expected == Holds { "-O2" } else { "-O0" };
        let compile = [speed, "-w", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=1024", "-o", "pan", "pan.c"];
        said(shell::clean("gcc").args(compile).arg(format!("-DMEMLIM={MEMORY}")).current_dir(folder))?;
        let pan = folder.join("pan");
        let found = said(
            shell::clean("timeout").arg(LONGEST).arg(pan).args(["-m10000", "-w24"]).current_dir(folder),
        )?;
        judge(&found)
    }

    fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            format!("-DREADERS={}", self.lookups),
            format!("-DCHANGES={}", self.changes),
            format!("-DDEATHS={}", self.deaths),
        ];
        if let Only(start) = self.start {
            flags.push(format!("-DSTART={start}"));
        }
        if self.others == Others::Grow {
            flags.push("-DGROW".to_owned());
        }
        if let Fails(bug) = self.expected {
            flags.push(format!("-DPLANT_{bug}"));
        }
        flags
    }

    /// The steps that lead to what went wrong, as text.
    fn trail(&self, folder: &Path) -> Result<PathBuf> {
        let (model, text) = (shell::root().join(MODEL), folder.join("trail.txt"));
        let trail = ["-t", "-p", "-g", "-k", "publish.pml.trail"];
        let steps = said(shell::clean("spin").args(self.flags()).args(trail).arg(model).current_dir(folder))?;
        fs::write(&text, steps).with_context(|| format!("could not write {}", text.display()))?;
        Ok(text)
    }
}

/// What it writes to its standard output; an error unless it succeeds.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("could not start {}", shell::shown(command)))?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{} failed ({}): {said}{errors}", shell::shown(command), output.status);
    Ok(said.into_owned())
}

/// A search that stopped early has shown nothing.
fn judge(said: &str) -> Result<Found> {
    let is_cut_off = said.contains("max search depth too small")
        || said.contains("MEMLIM")
        || !said.contains("Full statespace search");
    let errors = said.split("errors: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let states = said.lines().find_map(|line| line.trim().strip_suffix(" states, stored"));
    match (errors, states) {
        (Some("0"), Some(states)) if !is_cut_off && !said.contains("Search not completed") => {
            // Large numbers are written with an exponent.
            let states: f64 = states.trim().parse().with_context(|| format!("{states:?} is no number"))?;
            Ok(Found::Nothing { states: states as u64 })
        }
        (Some(errors), _) if errors != "0" && said.contains("assertion violated") => Ok(Found::Error),
        _ => bail!("the search came to no result:\n{said}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As pan 6.5.2 writes it, cut down.
    const HEAD: &str = "(Spin Version 6.5.2 -- 6 December 2019)\n\nFull statespace search for:\n";

    #[test]
    fn only_a_complete_search_or_a_counterexample_is_a_result() {
        let holds =
            format!("{HEAD}State-vector 132 byte, depth reached 73, errors: 0\n    40978 states, stored\n");
        assert_eq!(judge(&holds).unwrap(), Found::Nothing { states: 40_978 });
        let large = holds.replace("   40978", "1.3831e+08");
        assert_eq!(judge(&large).unwrap(), Found::Nothing { states: 138_310_000 });
        let wrong = "pan:1: assertion violated (allowed[me]&(1<<0)) (at depth 33)\n";
        let fails =
            format!("{wrong}Warning: Search not completed\n{}", holds.replace("errors: 0", "errors: 1"));
        assert_eq!(judge(&fails).unwrap(), Found::Error);
        for cut_off in ["pan: reached -DMEMLIM bound\n", "error: max search depth too small\n"] {
            assert!(judge(&format!("{cut_off}{holds}")).is_err(), "{cut_off}");
        }
        assert!(judge("").is_err());
        let stuck = fails.replace("assertion violated", "invalid end state");
        assert!(judge(&stuck).is_err(), "a model that comes to a stop is not a counterexample");
    }
}
