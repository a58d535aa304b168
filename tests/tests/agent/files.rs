//! Files as people keep them: what lies next to manifests, and what is wrong with one object.

use std::fmt::Write as _;
use std::fs;

use edgeloop_tests::Pair;
use edgeloop_tests::agent::wait_for;
use lb_agent::view::diagnostic::Reason;
use nix::sys::signal::Signal;

const WEB: &str = "service web 10.96.0.11:80\nslice web-1 of web 9376 10.244.1.3@n3";

/// No object can hide in them.
#[test]
#[ignore = "needs root"]
fn files_that_hold_no_object_hold_back_no_removal() {
    let pair = Pair::new().unwrap();
    pair.folder.put("web.yaml", WEB).unwrap();
    pair.folder
        .put("other.yaml", "service other 10.96.0.13:80\nslice other-1 of other 9376 10.244.1.3@n3")
        .unwrap();
    pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    pair.folder.put_text("kustomization.yaml", "resources:\n  - web.yaml\n").unwrap();
    pair.folder.put_text("values.yaml", "image: {tag: 81e4521}\nitems: [1]\n").unwrap();
    // One is gone since the agent ended, the other goes while it runs.
    pair.folder.remove("other.yaml").unwrap();

    let agent = pair.agent(&[]).unwrap();
    wait_for("what was removed meanwhile goes", || Ok(pair.holds("10.96.0.13:80")? == "untouched")).unwrap();
    assert!(pair.is_served().unwrap());
    pair.folder.remove("web.yaml").unwrap();
    wait_for("what is removed goes", || Ok(pair.holds(Pair::SERVICE)? == "untouched")).unwrap();
    let view = agent.view().unwrap();
    assert_eq!(view.with(Reason::Unknown).count(), 0, "{view:?}");
    assert_eq!(view.with(Reason::OtherKind).count(), 2, "{view:?}");
}

#[test]
#[ignore = "needs root"]
fn what_is_wrong_with_one_object_costs_that_one_alone() {
    let pair = Pair::new().unwrap();
    let bad = |spec: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: bad}}\nspec: {spec}\n---\n# the others\n---\n"
        )
    };
    let web = edgeloop_tests::manifests::manifests(WEB).unwrap();
    pair.folder
        .put_text("web.yaml", &(bad("{clusterIP: 10.96.0.13, ports: [{port: eighty}]}") + &web))
        .unwrap();

    let agent = pair.agent(&[]).unwrap();
    assert!(pair.is_served().unwrap(), "{}", agent.log());
    let view = agent.view().unwrap();
    let named = view.with(Reason::Unusable).map(|found| found.message.as_str()).collect::<Vec<_>>();
    let expected = "spec.ports[0].port: invalid type: string \"eighty\", expected i32; Service default/bad is not used \
                    as it stands there";
    assert_eq!(named, [expected]);
    pair.folder.put_text("web.yaml", &bad("5")).unwrap();
    wait_for("what left the file goes, though it is not right", || {
        Ok(pair.holds(Pair::SERVICE)? == "untouched")
    })
    .unwrap();
}

/// Slices of `v1beta1` are endpoints. What is not read is named with its Service, in status, log and metrics.
#[test]
#[ignore = "needs root"]
fn endpoints_in_other_forms_are_read_or_named() {
    let pair = Pair::new().unwrap();
    let slice = "apiVersion: discovery.k8s.io/VERSION\nkind: EndpointSlice\nmetadata: {name: NAME-1, labels: \
        {kubernetes.io/service-name: NAME}}\nTYPEports: [{name: '', port: 9376}]\nendpoints: [{addresses: [10.244.1.3], \
        topology: {kubernetes.io/hostname: n3}}]\n---\n";
    let of = |name: &str, version: &str, kind: &str| {
        slice.replace("NAME", name).replace("VERSION", version).replace("TYPE", kind)
    };
    pair.folder
        .put("web.yaml", "service web 10.96.0.11:80\nservice reef 10.96.0.13:80\nservice old 10.96.0.14:80")
        .unwrap();
    let endpoints = "apiVersion: v1\nkind: Endpoints\nmetadata: {name: old}\nsubsets: [{addresses: [{ip: 10.244.1.3}]}]\n";
    let text = of("web", "v1beta1", "addressType: IPv4\n") + &of("reef", "v1", "") + endpoints;
    pair.folder.put_text("slices.yaml", &text).unwrap();

    let agent = pair.agent(&[]).unwrap();

    assert!(pair.is_served().unwrap(), "{}", agent.log());
    let view = agent.view().unwrap();
    let mut named: Vec<String> = view
        .with(Reason::EndpointsNotRead)
        .map(|found| format!("{}: {}", found.about, found.message))
        .collect();
    named.sort_unstable();
    let expected = [
        "Service default/old: it has endpoints in v1 Endpoints, which are not read, and none that can be used in an EndpointSlice",
        "Service default/reef: the endpoints of EndpointSlice default/reef-1 are not read: its addressType is missing",
    ];
    assert_eq!(named, expected);
    let log = agent.log();
    let warned = |service: &str| log.lines().any(|line| line.contains("WARN") && line.contains(service));
    assert!(warned("default/reef") && warned("default/old"), "{log}");
}

/// As large a site as is promised: 10,000 Services with 40,000 endpoints, in as many files.
#[test]
#[ignore = "needs root"]
fn a_large_folder_takes_little_memory() {
    let pair = Pair::new().unwrap();
    for number in 0..10_000 {
        let (high, low) = (number / 250, number % 250);
        let lines = format!(
            "service s{number} 10.97.{high}.{low}:80\nslice s{number}-1 of s{number} 9376 10.128.{high}.{low}@n1 \
             10.129.{high}.{low}@n2 10.130.{high}.{low}@n3 10.131.{high}.{low}@n1"
        );
        pair.folder.put(&format!("s{number}.yaml"), &lines).unwrap();
    }
    let agent = pair.agent(&[]).unwrap();

    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let of = |field: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let mut shown = String::new();
    for field in ["VmHWM", "VmRSS", "RssAnon"] {
        write!(shown, "{field} {} MB, ", of(field) / 1024).unwrap();
    }
    println!("{shown}");
    // The limit is 60 MB in all. A program with all that helps to find faults is larger by some 10 MB than what is shipped.
    assert!(of("RssAnon") < 50 * 1024, "{shown}");
}
