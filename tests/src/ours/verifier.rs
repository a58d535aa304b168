//! What our programs cost the kernel's verifier, and what is recorded of that.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::harness::ability::Ability;
use crate::harness::checkout;

/// Which of the programs' constants are set when they are loaded.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// As the agent loads them on x86-64, without flags.
    Plain,
    /// Load fences, `--mode replace` and `--tcp-peername` together: the longest programs.
    Everything,
    /// As [`Variant::Plain`], by a process without CAP_PERFMON, for which the verifier goes through more. Kernels before 6.17 refuse it.
    Limited,
    /// As [`Variant::Everything`], in the same way.
    EverythingLimited,
}

impl Variant {
    const ALL: [Self; 4] = [Self::Plain, Self::Everything, Self::Limited, Self::EverythingLimited];

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Everything => "everything",
            Self::Limited => "limited",
            Self::EverythingLimited => "everything-limited",
        }
    }

    /// Whether all constants are set.
    #[must_use]
    pub const fn is_everything(self) -> bool {
        matches!(self, Self::Everything | Self::EverythingLimited)
    }

    /// Whether this kernel is to take the programs so.
    fn is_for_this_kernel(self) -> Result<bool> {
        Ok(match self {
            Self::Plain | Self::Everything => true,
            Self::Limited | Self::EverythingLimited => Ability::Barriers.is_here()?,
        })
    }

    /// A program that says what the verifier says.
    fn command(self) -> Result<Command> {
        let program = checkout::program("edgeloop-pod")?;
        let mut command = match self {
            Self::Plain | Self::Everything => Command::new(program),
            Self::Limited | Self::EverythingLimited => {
                let mut command = Command::new("setpriv");
                command.args(["--bounding-set=-all,+bpf,+net_admin", "--inh-caps=-all"]);
                command.arg("--no-new-privs").arg(program);
                command
            }
        };
        command.args(["verifier", "--variant", self.name()]);
        Ok(command)
    }
}

/// What the verifier said of one program.
#[derive(Debug, Serialize, Deserialize)]
pub struct Statement {
    pub program: String,
    /// Else it was refused.
    pub is_taken: bool,
    pub log: String,
}

/// What one program costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// That the verifier went through, on all paths; the kernel allows a million.
    pub instructions: u64,
    /// That it kept to compare others with.
    pub states: u64,
    /// Bytes, of the program and the deepest function that it calls; the kernel allows 512.
    pub stack: u64,
}

/// By program and variant.
pub type Costs = BTreeMap<(String, String), Cost>;

/// What this machine's kernel says.
#[derive(Debug, Default)]
pub struct Measured {
    pub costs: Costs,
    /// Programs that it refuses, with the end of what it says: of some there is a second one, for older kernels.
    pub refused: Vec<String>,
}

/// Asks this machine's kernel.
///
/// # Errors
/// When the helper fails, or the verifier says something else than expected.
pub fn measure() -> Result<Measured> {
    let mut measured = Measured::default();
    for variant in Variant::ALL {
        if !variant.is_for_this_kernel()? {
            continue;
        }
        let output = variant.command()?.output().context("could not run edgeloop-pod")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Statement { program, is_taken, log } = serde_json::from_slice(line)?;
            if is_taken {
                let cost = cost(&log).with_context(|| format!("{program}: the verifier says {log:?}"))?;
                measured.costs.insert((program, variant.name().to_owned()), cost);
            } else {
                let lines: Vec<&str> = log.trim().lines().collect();
                let tail = lines[lines.len().saturating_sub(4)..].join("; ");
                measured.refused.push(format!("{program} ({}): {tail}", variant.name()));
            }
        }
    }
    Ok(measured)
}

/// From the statistics at the end of a log.
fn cost(log: &str) -> Option<Cost> {
    let stack = log.lines().find_map(|line| line.strip_prefix("stack depth "))?;
    let mut depths = stack.trim().split('+').map(|depth| depth.parse::<u64>().ok());
    let own = depths.next()??;
    let deepest = depths.max().flatten().unwrap_or(0);
    let words: Vec<&str> =
        log.lines().find(|line| line.starts_with("processed "))?.split_ascii_whitespace().collect();
    let states = words.iter().position(|word| *word == "total_states")?;
    Some(Cost {
        instructions: words.get(1)?.parse().ok()?,
        states: words.get(states + 1)?.parse().ok()?,
        stack: own + deepest,
    })
}

/// As a table for people, which [`read`] reads.
#[must_use]
pub fn written(costs: &Costs) -> String {
    let mut text =
        "| program | constants | instructions | states | stack |\n|---|---|---:|---:|---:|\n".to_owned();
    for ((program, variant), Cost { instructions, states, stack }) in costs {
        // Writing to a string does not fail.
        let _done = writeln!(text, "| {program} | {variant} | {instructions} | {states} | {stack} |");
    }
    text
}

/// The rows of a recorded table, among whatever other lines.
#[must_use]
pub fn read(text: &str) -> Costs {
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [program, variant, instructions, states, stack] = cells[..] else { return None };
        let cost = Cost {
            instructions: instructions.parse().ok()?,
            states: states.parse().ok()?,
            stack: stack.parse().ok()?,
        };
        Some(((program.to_owned(), variant.to_owned()), cost))
    };
    text.lines().filter_map(row).collect()
}

/// What is more than a tenth above the record, or not in both.
#[must_use]
pub fn exceeds(now: &Costs, recorded: &Costs) -> Vec<String> {
    let mut found = Vec::new();
    for ((program, variant), cost) in now {
        let what = format!("{program} ({variant})");
        let Some(then) = recorded.get(&(program.clone(), variant.clone())) else {
            found.push(format!("{what} is not recorded"));
            continue;
        };
        let figures = [
            ("instructions", cost.instructions, then.instructions),
            ("states", cost.states, then.states),
            ("bytes of stack", cost.stack, then.stack),
        ];
        for (of, now, then) in figures {
            if 10 * now > 11 * then {
                found.push(format!("{what}: {now} {of}, recorded are {then}"));
            }
        }
    }
    let gone = recorded.keys().filter(|key| !now.contains_key(key));
    found.extend(
        gone.map(|(program, variant)| format!("{program} ({variant}) is recorded, and does not load")),
    );
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistics_are_read_whichever_kernel_says_them() {
        for (log, instructions, states, stack) in [
            (
                "verification time 4711 usec\nstack depth 224+16+40\nprocessed 990 insns (limit 1000000) max_states_per_insn 4 total_states 50 peak_states 48 mark_read 9\n",
                990,
                50,
                264,
            ),
            (
                "stack depth 8\nprocessed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n",
                2,
                0,
                8,
            ),
        ] {
            assert_eq!(cost(log), Some(Cost { instructions, states, stack }), "{log}");
        }
        assert_eq!(cost("R0 invalid mem access 'scalar'\n"), None);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let costs = of(&[("lb_connect4", 1000, 100, 200), ("lb_connect6", 2000, 150, 300)]);
        assert_eq!(read(&format!("# Linux 6.18\n\n{}\nAnd more.\n", written(&costs))), costs);
    }

    #[test]
    fn more_than_a_tenth_is_too_much_and_so_is_a_program_that_is_not_in_both() {
        let recorded = of(&[("a", 1000, 100, 200)]);
        for (shows, now, found) in [
            ("as recorded", of(&[("a", 1000, 100, 200)]), vec![]),
            ("a tenth", of(&[("a", 1100, 110, 220)]), vec![]),
            ("less", of(&[("a", 1, 0, 0)]), vec![]),
            (
                "instructions",
                of(&[("a", 1101, 100, 200)]),
                vec!["a (plain): 1101 instructions, recorded are 1000"],
            ),
            ("states", of(&[("a", 1000, 111, 200)]), vec!["a (plain): 111 states, recorded are 100"]),
            ("stack", of(&[("a", 1000, 100, 221)]), vec!["a (plain): 221 bytes of stack, recorded are 200"]),
            (
                "another one",
                of(&[("b", 1, 1, 1)]),
                vec!["b (plain) is not recorded", "a (plain) is recorded, and does not load"],
            ),
        ] {
            assert_eq!(exceeds(&now, &recorded), found, "{shows}");
        }
    }

    fn of(costs: &[(&str, u64, u64, u64)]) -> Costs {
        let cost = |(program, instructions, states, stack): &(&str, u64, u64, u64)| {
            let cost = Cost { instructions: *instructions, states: *states, stack: *stack };
            (((*program).to_owned(), "plain".to_owned()), cost)
        };
        costs.iter().map(cost).collect()
    }
}
