//! The machine has an API server.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use super::api_server;
use super::host::{self, API_SERVER, DISK, Host, KUBERNETES, WEB, in_kernel, knows, saved_state, services};

#[test]
#[ignore = "needs a machine of its own, which reboots"]
fn an_agent_at_the_root_of_all_cgroups_serves_and_saves_what_an_api_server_shows() {
    let host = Host::new();
    api_server::serve(API_SERVER, objects()).unwrap();
    let (agent, took) = host.serve();
    agent.wait_until("it is ready", |view| view.ready);
    host::say(&format!(
        "{} Services from an API server: the first answer came {} ms after the start",
        services(),
        took.as_millis()
    ));
    let kernel = in_kernel();
    assert_eq!(kernel.services.len(), services());
    assert!(knows(&kernel, WEB) && knows(&kernel, KUBERNETES));

    agent.wait_for("the state is saved", || saved_state().exists().then_some(()));
    let mut file = File::create(Path::new(DISK).join("first-boot")).unwrap();
    file.write_all(host::boot_id().as_bytes()).unwrap();
    file.sync_all().unwrap();
    // It goes on until the power goes, with everything pinned.
    std::mem::forget(agent);
}

/// The agent's own API server, `web`, and many more of which each has a pod.
fn objects() -> impl Iterator<Item = String> {
    let few = [
        "node n1 pool=p1",
        "service kubernetes 10.96.0.1:443",
        "slice kubernetes of kubernetes 6443 10.0.0.1",
        "service web 10.96.0.11:80",
        "slice web-1 of web 9376 10.244.1.1@n1",
    ];
    let more = (2..services()).flat_map(|number| {
        let (high, low) = (number / 250, number % 250 + 1);
        [
            format!("service s{number} 10.97.{high}.{low}:80"),
            format!("slice s{number}-1 of s{number} 9376 10.245.{high}.{low}@n1"),
        ]
    });
    few.map(str::to_owned).into_iter().chain(more)
}
