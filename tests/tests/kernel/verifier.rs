//! What the programs cost the verifier, beside what is recorded of this kernel.

use std::io::{self, Write as _};
use std::{env, fs};

use anyhow::Result;
use edgeloop_tests::verifier::{Cost, Costs, Measured, exceeds, measure, read, written};
use edgeloop_tests::{checkout, leave_off};

/// Set to anything, the record of this kernel is written.
const RECORD: &str = "EDGELOOP_RECORD_VERIFIER";

#[test]
#[ignore = "needs root"]
fn no_program_costs_the_verifier_a_tenth_more_than_recorded() {
    let kernel = kernel().unwrap();
    let path = checkout::folder().unwrap().join(format!("docs/verifier/{kernel}.md"));
    let how = format!("{RECORD}=1 cargo xtask test kernel -- verifier");
    if env::var_os(RECORD).is_none() && !path.exists() {
        leave_off(&format!("nothing is recorded of Linux {kernel}: `{how}`")).unwrap();
        return;
    }
    let Measured { costs: now, refused } = measure().unwrap();
    let refused = refused.join("\n");
    if env::var_os(RECORD).is_some() {
        let head = format!(
            "# What the programs cost the verifier of Linux {kernel}\n\n\
             Instructions on all paths, of a million that are allowed; states that it keeps; bytes of stack, of 512. `everything` are load fences,\n\
             `--mode replace` and `--tcp-peername` together; `limited` is a process without CAP_PERFMON, for which the verifier goes\n\
             through more; kernels before 6.17 refuse the programs to it.\n\
             A test fails when a figure grows by more than a tenth. Recorded by\n`{how}`;\n\
             so set, `cargo xtask vm --kernel KERNEL test kernel -- verifier` prints that of another kernel.\n\n"
        );
        let record = head + &written(&now);
        // Past the test runner: the files of a virtual machine go with it.
        io::stderr().write_all(format!("\n{record}\n{refused}\n").as_bytes()).unwrap();
        fs::write(&path, record).unwrap();
    }
    let recorded = read(&fs::read_to_string(&path).unwrap());
    assert!(now.len() >= 16, "{now:?}");
    let found = exceeds(&now, &recorded);
    assert!(found.is_empty(), "{found:#?}\nRefused are:\n{refused}\nIf that has to be, record it: `{how}`");
    // A record that is a fifth lower stands for programs that have grown.
    let lower: Costs = recorded.into_iter().map(|(program, cost)| (program, a_fifth_less(cost))).collect();
    assert!(exceeds(&now, &lower).len() >= now.len(), "the comparison finds nothing");
}

const fn a_fifth_less(cost: Cost) -> Cost {
    Cost { instructions: cost.instructions * 4 / 5, states: cost.states * 4 / 5, stack: cost.stack * 4 / 5 }
}

/// Such as `6.18`.
fn kernel() -> Result<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(release.split('.').take(2).collect::<Vec<&str>>().join("."))
}
