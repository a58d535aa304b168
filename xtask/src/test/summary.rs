//! How tests came out, at the end: what was ignored and why, and what failed with what it wrote.

use std::process::ExitCode;

use super::{Counts, Outcome};

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped += other.skipped;
        self.ignored.extend(other.ignored);
        self.excerpts.add(other.excerpts);
    }

    /// The tests that did not pass, and what the failed ones wrote.
    #[expect(clippy::print_stdout, reason = "a part of the summary")]
    fn list(&self) {
        for test in &self.ignored {
            println!("         ignored {test}");
        }
        for name in &self.failed {
            println!("         {name}");
            for line in self.excerpts.of(name) {
                println!("            {line}");
            }
        }
    }

    fn shown(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped)
    }
}

#[expect(clippy::print_stdout, reason = "the summary is this verb's result")]
pub(super) fn summary(outcomes: Vec<Outcome>) -> ExitCode {
    let mut all = Counts::default();
    println!();
    for Outcome { tier, counts, ignored, took } in outcomes {
        let verdict = match ignored {
            _ if !counts.failed.is_empty() => "FAILED",
            Some(_) => "ignored",
            None => "passed",
        };
        let why = ignored.map(|why| format!(": {why}")).unwrap_or_default();
        let seconds = took.as_secs_f64();
        println!("{:8} {verdict:8} {seconds:5.0} s  {}{why}", tier.name(), counts.shown());
        counts.list();
        all.add(counts);
    }
    println!("{}", all.shown());
    if all.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The result of tests that are of no tier here.
#[expect(clippy::print_stdout, reason = "the summary is this verb's result")]
pub(crate) fn say(counts: &Counts) -> ExitCode {
    println!();
    counts.list();
    println!("{}", counts.shown());
    if counts.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
