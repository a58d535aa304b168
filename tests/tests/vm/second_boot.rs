//! The machine was switched off and has booted again: without an API server, and without a clock that knows the date.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lb_agent::view::diagnostic::Reason;
use lb_agent::view::published::WaitsFor;
use lb_agent::view::status::AgentView;

use super::host::{self, Agent, DISK, Host, KUBERNETES, WEB, in_kernel, knows, saved_state, says, services};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[test]
#[ignore = "needs a machine of its own, which reboots"]
fn without_an_api_server_what_was_saved_before_the_reboot_is_served() {
    let host = after_a_reboot();
    let (agent, took) = host.serve();
    host::say(&format!(
        "{} Services from the saved state: the first answer came {} ms after the start",
        services(),
        took.as_millis()
    ));

    let view = agent.wait_until("it says so", |view| view.with(Reason::SavedState).count() == 1);
    assert!(!view.ready && view.waits_for.contains(&WaitsFor::Source), "{:?}", view.waits_for);
    assert_eq!(view.pool.as_deref(), Some("p1"), "the node's own labels were saved, too");
    let kernel = in_kernel();
    assert_eq!(kernel.services.len(), services() - 1);
    assert!(
        knows(&kernel, WEB) && !knows(&kernel, KUBERNETES),
        "the API server's own Service is the way to newer state"
    );

    let said = &view.with(Reason::SavedState).next().unwrap().message;
    let age: u64 = said
        .split("from before the last boot, at least ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let up: f64 = fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(age as f64 <= up, "{said}, {up} s since the boot");
    assert!(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() < YEAR, "1970, by the clock");
    let status = says(&["status"]).unwrap();
    assert!(status.contains("the saved state decides, which is from before the last boot"), "{status}");
    host::say(&format!("status: {said}"));
}

#[test]
#[ignore = "needs a machine of its own, which reboots"]
fn without_a_saved_state_nothing_is_served() {
    let host = after_a_reboot();
    let agent = Agent::start(&["--saved-state", "/var/lib/nothing/state.gz"]);
    waits(&agent);
    assert!(!host.is_served());
}

#[test]
#[ignore = "needs a machine of its own, which reboots"]
fn a_state_that_was_cut_off_is_refused_and_kept_aside() {
    let host = after_a_reboot();
    let (cut, aside) = (PathBuf::from("/var/lib/cut.gz"), PathBuf::from("/var/lib/cut.gz.refused"));
    let whole = fs::read(saved_state()).unwrap();
    let half = &whole[..whole.len() / 2];
    fs::write(&cut, half).unwrap();
    let agent = Agent::start(&["--saved-state", "/var/lib/cut.gz"]);
    let view = waits(&agent);
    assert_eq!(view.with(Reason::SavedState).count(), 0);
    assert!(!host.is_served());
    assert!(agent.log().contains("it is cut off or damaged"), "{}", agent.log());
    assert_eq!(fs::read(&aside).unwrap(), half);
    assert!(!cut.exists());
}

/// Until it has looked for an API server, and for what was saved.
fn waits(agent: &Agent) -> AgentView {
    agent.wait_until("it waits", |view| view.waits_for.contains(&WaitsFor::Source) && view.api.is_some())
}

fn after_a_reboot() -> Host {
    let before = fs::read_to_string(Path::new(DISK).join("first-boot"));
    let before = before.expect("the first boot left nothing on the disk");
    assert_ne!(before, host::boot_id(), "the machine has rebooted");
    Host::new()
}
