//! Maps that are too small: they grow, or the Services that matter most get the room.

use std::time::Duration;

use anyhow::Result;
use edgeloop_tests::agent::{in_kernel, wait_for};
use edgeloop_tests::pins::{generation, wait_for_one_generation};
use edgeloop_tests::{Answer, Pair, bpf};
use lb_agent::view::diagnostic::Reason;
use lb_agent::view::status::AgentView;
use nix::sys::signal::Signal;

/// Maps made small, by flags that are then gone, are maps like any other: they grow when they are full.
#[test]
#[ignore = "needs root"]
fn full_maps_grow_under_load_without_one_failed_connection() {
    let pair = Pair::new().unwrap();
    let services4 = pair.client.node().pin_root().join(generation()).join("services4");
    let small = ["--max-services", "64", "--max-backends", "64"];
    pair.agent(&small).unwrap().end_by(Signal::SIGTERM).unwrap();
    let agent = pair.agent(&[]).unwrap();
    assert_eq!(room(&pair).unwrap(), (64, 64), "they are taken over as they are");
    let before = bpf::id(&services4).unwrap();
    let load = pair.load().unwrap();

    let services: String = (1..=200).map(|number| service(number, "10.244.1.3@n3")).collect();
    pair.folder.put("many.yaml", &services).unwrap();
    wait_for("all are served", || Ok(in_kernel(pair.client.node())?.services.len() == 201))
        .unwrap_or_else(|error| panic!("{error}: {}", agent.log()));
    assert!(pair.dial("10.96.1.200:80").unwrap().is_from("web"));
    let large = "service large 10.96.2.1:80\nslice large-1 of large 9376 10.244.1.3 10.245.0.1..200";
    pair.folder.put("large.yaml", large).unwrap();
    wait_for("the large one is served", || Ok(pair.holds("10.96.2.1:80")? != "refused")).unwrap();
    wait_for("by all of them", || Ok(pair.holds("10.96.2.1:80")?.split(' ').count() == 201)).unwrap();

    // The programs of every hook move: what changes after it shows through each.
    wait_for_one_generation(pair.client.node()).unwrap();
    assert_eq!(load.stop().unwrap().failed, []);
    assert_ne!(bpf::id(&services4).unwrap(), before, "{}", agent.log());
    let (services, backends) = room(&pair).unwrap();
    assert!(services >= 201 && backends >= 256, "{services}, {backends}");
    assert_eq!(agent.view().unwrap().diagnostics, []);
    pair.folder.put("web.yaml", "service web 10.96.0.11:80").unwrap();
    let refused = |answer: &Answer| answer.failed_with("ECONNREFUSED");
    for target in [Pair::SERVICE, "[::ffff:10.96.0.11]:80"] {
        pair.client.wait_until(target, refused, Duration::from_secs(5)).unwrap();
    }
}

/// The operator's word on the size holds, and status says what it costs.
#[test]
#[ignore = "needs root"]
fn maps_of_a_given_size_do_not_grow_and_those_with_a_topology_get_the_room() {
    let pair = Pair::new().unwrap();
    let flags = ["--max-services", "4", "--max-backends", "64"];
    let agent = pair.agent(&flags).unwrap();
    let plain: String = (1..=3).map(|number| service(number, "10.244.1.3@n3")).collect();
    pair.folder.put("plain.yaml", &plain).unwrap();
    wait_for("four are served", || Ok(in_kernel(pair.client.node())?.services.len() == 4)).unwrap();

    let topology = "service near 10.96.3.1:80 topology=openyurt.io/nodepool\n\
                    slice near-1 of near 9376 10.244.1.3@n3\n\
                    service any 10.96.3.2:80 topology=openyurt.io/nodepool, *\n\
                    slice any-1 of any 9376 10.244.1.3@n3";
    pair.folder.put("topology.yaml", topology).unwrap();
    let view = agent.wait_until("two are short", |view| short(view).len() == 2).unwrap();

    assert_eq!(pair.holds("10.96.3.1:80").unwrap(), "refused", "its pool has no backend");
    assert_eq!(pair.holds("10.96.3.2:80").unwrap(), "10.244.1.3:9376");
    assert_eq!(in_kernel(pair.client.node()).unwrap().services.len(), 4);
    for name in short(&view) {
        let address = if name == "default/web" {
            Pair::SERVICE.to_owned()
        } else {
            format!("10.96.1.{}:80", name.trim_start_matches("default/s"))
        };
        assert!(pair.dial(&address).unwrap().failed_with("ENETUNREACH"), "{name} is left alone");
    }
    let text = &view.with(Reason::NoRoom).next().unwrap().message;
    assert!(text.contains("as many service ports as they can") && text.contains("--max-services"), "{text}");
    assert_eq!(room(&pair).unwrap().0, 4);

    pair.folder.remove("topology.yaml").unwrap();
    agent.wait_until("none is short", |view| short(view).is_empty()).unwrap();
    assert_eq!(in_kernel(pair.client.node()).unwrap().services.len(), 4, "there was room again");
}

/// Section 5 of the contract: what of the last good set is still right, inline if need be.
#[test]
#[ignore = "needs root"]
fn without_room_for_its_backends_a_service_keeps_those_that_are_still_right() {
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&["--max-services", "16", "--max-backends", "4"]).unwrap();
    let put = |endpoints: &str| {
        let lines = format!("service big 10.96.4.1:80\nslice big-1 of big 9376 {endpoints}");
        pair.folder.put("big.yaml", &lines).unwrap();
    };
    let holds = |expected: &str| {
        let holds = || pair.holds("10.96.4.1:80");
        wait_for(expected, || Ok(holds()? == expected))
            .unwrap_or_else(|error| panic!("{error}: {:?}", holds()));
    };
    put("10.244.1.3 10.245.0.1 10.245.0.2");
    holds("10.244.1.3:9376 10.245.0.1:9376 10.245.0.2:9376");

    put("10.244.1.3 10.245.0.2 10.246.0.1..20");
    holds("10.244.1.3:9376 10.245.0.2:9376");
    let view = agent.wait_until("it is short", |view| short(view) == ["default/big"]).unwrap();
    let text = &view.with(Reason::NoRoom).next().unwrap().message;
    assert!(text.contains("backends4 has no room") && text.contains("--max-backends"), "{text}");

    put("10.246.0.21..40");
    holds("refused");

    put("10.244.1.3 10.246.0.1..5");
    holds("10.244.1.3:9376 10.246.0.1:9376 10.246.0.2:9376 10.246.0.3:9376 10.246.0.4:9376 10.246.0.5:9376");
    agent.wait_until("nothing is short", |view| short(view).is_empty()).unwrap();
}

fn service(number: u32, endpoint: &str) -> String {
    format!("service s{number} 10.96.1.{number}:80\nslice s{number}-1 of s{number} 9376 {endpoint}\n")
}

/// The Services that lack room.
fn short(view: &AgentView) -> Vec<String> {
    view.with(Reason::NoRoom).map(|short| short.about.replace("Service ", "")).collect()
}

/// Of front end and backends.
fn room(pair: &Pair) -> Result<(u64, u64)> {
    let view = in_kernel(pair.client.node())?;
    let room = |map: &str| view.maps.iter().find(|fill| fill.map == map).map_or(0, |fill| fill.max_entries);
    Ok((room("services4"), room("backends4")))
}
