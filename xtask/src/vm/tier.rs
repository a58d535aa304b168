//! The tier `vm`: a named part of the tests on the oldest kernel.

use anyhow::Result;

use super::Place;
use super::arch::Arch;
use super::job::Job;
use super::kernels::Kernel;
use super::qemu::Bounds;
use crate::test::{Binary, Counts};

/// What emulation may take: ten times what it takes on two cores.
const BOUNDS: Bounds = Bounds { seconds: 900, services: 1_000 };

/// What the oldest kernel could break, in tests that are short where every instruction is emulated: the programs load
/// without `bpf_set_retval`, rewrite and refuse, over TCP and UDP. Its verifier is the one that compares the least.
///
/// Programs that take the place of others, which not every machine's own kernel lets root load.
///
/// And a machine with nothing but the agent on it, which reboots.
const TESTS: [(u32, &str, &[&str]); 4] = [
    (
        1,
        "kernel",
        &[
            "connect::connect_to_a_service_reaches_its_backend",
            "connect::an_empty_set_refuses_at_once",
            "connect6::a_dual_stack_service_is_served_in_both_families",
            "udp::replies_still_come_from_a_service_that_is_gone",
            "udp::without_bpf_set_retval_udp_is_refused_with_eperm",
            "verifier::no_program_costs_the_verifier_a_tenth_more_than_recorded",
        ],
    ),
    // Few: an agent that starts there takes seconds.
    (
        1,
        "agent",
        &[
            "rights::the_charts_capabilities_serve_refuse_grow_and_take_over",
            "trace::each_decision_is_shown_as_the_program_made_it_with_process_and_pod",
        ],
    ),
    (1, "vm", &["first_boot::an_agent_at_the_root_of_all_cgroups_serves_and_saves_what_an_api_server_shows"]),
    (
        2,
        "vm",
        &[
            "second_boot::without_an_api_server_what_was_saved_before_the_reboot_is_served",
            "second_boot::without_a_saved_state_nothing_is_served",
            "second_boot::a_state_that_was_cut_off_is_refused_and_kept_aside",
        ],
    ),
];

/// How the names of the tests of the tier `vm` begin, boot by boot.
pub(super) const BOOTS: [&str; 2] = ["first_boot::", "second_boot::"];

/// Those whose names contain what `rest` names. Where no machine can be had, all are skipped, and the second says why.
pub(crate) fn check(binaries: &[Binary], rest: &[String]) -> Result<(Counts, Option<String>)> {
    let jobs = jobs(rest);
    let asked: usize = jobs.iter().map(|job| job.arguments.len() - 1).sum();
    if asked == 0 {
        return Ok((Counts::default(), Some("it has no such test".to_owned())));
    }
    let place = match Place::get(Kernel::V5_10, Arch::Amd64) {
        Ok(place) => place,
        Err(error) => {
            return Ok((Counts { skipped: asked, ..Counts::default() }, Some(format!("{error:#}"))));
        }
    };
    let mut counts = place.run(binaries, &jobs, BOUNDS)?;
    let came = counts.passed + counts.failed.len() + counts.skipped;
    if came < asked && counts.failed.is_empty() {
        counts.failed.push(format!("{came} of {asked} tests ran: others have no such name any more"));
    }
    Ok((counts, None))
}

fn jobs(rest: &[String]) -> Vec<Job> {
    let parts: Vec<&String> = rest.iter().filter(|part| !part.starts_with('-')).collect();
    let is_meant = |name: &str| parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()));
    let meant = TESTS.iter().filter(|(_, _, names)| names.iter().any(|name| is_meant(name)));
    let last_boot = meant.map(|(boot, ..)| *boot).max();
    let job = |(boot, tier, names): (u32, &'static str, &[&str])| {
        // Tests of a later boot need what those of the boots before left on the disk.
        let is_needed = tier == "vm" && Some(boot) < last_boot;
        let mut arguments = vec!["--exact".to_owned()];
        arguments.extend(names.iter().filter(|name| is_needed || is_meant(name)).map(ToString::to_string));
        Job { boot, tier, arguments }
    };
    // Without a name, a binary would run all that it has.
    TESTS.into_iter().map(job).filter(|job| job.arguments.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_name_leaves_the_tests_that_contain_it() {
        let names = |rest: &[&str]| -> Vec<String> {
            let rest: Vec<String> = rest.iter().map(ToString::to_string).collect();
            jobs(&rest).into_iter().flat_map(|job| job.arguments).collect()
        };
        assert_eq!(
            names(&["dual_stack"]),
            ["--exact", "connect6::a_dual_stack_service_is_served_in_both_families"]
        );
        assert_eq!(names(&["no such"]), [""; 0]);
        let after_a_reboot = names(&["cut_off"]);
        assert!(
            after_a_reboot[1].starts_with(BOOTS[0]) && after_a_reboot[3].starts_with(BOOTS[1]),
            "it needs a boot before"
        );
        assert_eq!(after_a_reboot.len(), 4);
        assert!(names(&[]).len() > names(&["connect"]).len());
    }
}
