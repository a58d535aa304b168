//! What the API server tells, and how it is followed.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use edgeloop_tests::agent::{Agent, element, in_kernel};
use edgeloop_tests::cluster::{Fault, Front, Part, Proxy};
use lb_agent::view::diagnostic::Reason;
use lb_agent::view::status::AgentView;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::stage::{CAUGHT_UP, IN_PEACE, SOON, Stage, WEB, assert_all_answered, of_services, states, within};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

/// etcd and the API server have forgotten the version that the agent knows.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn after_a_compaction_exactly_what_is_gone_is_removed() {
    let mut stage = Stage::new().unwrap();
    for number in 20..40 {
        stage.cluster.apply_lines(&service(number, "10.244.1.1")).unwrap();
    }
    let proxy = Proxy::start(&stage.cluster, Front::Raw).unwrap();
    let agent = stage.follow(Some(&proxy.address())).unwrap();
    let before = in_kernel(&stage.node).unwrap().services;
    assert_eq!(before.len(), 22, "those, `web`, and the API server's own");
    let load = stage.load().unwrap();

    proxy.plant(Fault::Drop);
    let api = stage.cluster.api();
    for number in [20, 21] {
        api.delete(&format!("{SERVICES}/s{number}")).unwrap();
        api.delete(&format!("{SLICES}/s{number}-1")).unwrap();
    }
    api.delete(&format!("{SLICES}/s22-1")).unwrap();
    api.delete(&format!("{SERVICES}/s23")).unwrap();
    stage.cluster.apply_lines("slice s24-1 of s24 9376 10.244.1.1..2").unwrap();
    stage.cluster.apply_lines(&service(50, "10.244.1.2")).unwrap();
    stage.cluster.compact().unwrap();
    stage.cluster.kill(Part::ApiServer).unwrap();
    stage.cluster.start(Part::ApiServer).unwrap();
    stage.cluster.wait_until_ready().unwrap();
    assert_eq!(in_kernel(&stage.node).unwrap().services, before, "nothing was told yet");

    proxy.plant(Fault::Pass);
    within(CAUGHT_UP, "what is new is in the kernel", || Ok(stage.holds(&address(50))? == "10.244.1.2:9376"))
        .unwrap();
    let view = agent.wait_until("in sync", |view| view.is_up_to_date()).unwrap();
    assert!(of_services(&view).1.starts_with("answered 410"), "{view:#?}");
    for (number, holds) in [
        (20, "untouched"),
        (21, "untouched"),
        (22, "refused"),
        (23, "untouched"),
        (24, "10.244.1.1:9376 10.244.1.2:9376"),
    ] {
        assert_eq!(stage.holds(&address(number)).unwrap(), holds, "s{number}");
    }
    // The rest was not so much as written again.
    let touched: Vec<String> = [20, 21, 22, 23, 24, 50].map(address).into();
    let untouched = |services: &[_]| -> Vec<_> {
        let services: &[lb_agent::view::kernel::ServiceView] = services;
        services.iter().filter(|service| !touched.contains(&service.address)).cloned().collect()
    };
    assert_eq!(untouched(&in_kernel(&stage.node).unwrap().services), untouched(&before));
    assert_eq!(untouched(&before).len(), 17);
    assert_all_answered(load).unwrap();
}

/// 2,000 changes to one slice and 500 changed Services, of which an agent that stands still reads nothing.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn of_a_storm_of_changes_the_newest_state_wins_and_memory_does_not_grow() {
    /// In kB. The texts of the changes alone are more.
    const MOST: u64 = 2 << 10;
    let stage = Stage::new().unwrap();
    let names: Vec<(u32, u32)> = (1..3).flat_map(|net| (1..=250).map(move |host| (net, host))).collect();
    for (net, host) in &names {
        let lines = format!(
            "service m{net}-{host} 10.96.{net}.{host}:80\nslice m{net}-{host} of m{net}-{host} 9376 10.244.1.1"
        );
        stage.cluster.apply_lines(&lines).unwrap();
    }
    let mut agent = stage.follow(None).unwrap();
    assert_eq!(in_kernel(&stage.node).unwrap().services.len(), 502);
    forget_peak(&agent).unwrap();
    let before = memory(&agent, "VmRSS:").unwrap();
    let load = stage.load().unwrap();

    agent.signal(Signal::SIGSTOP).unwrap();
    let api = stage.cluster.api();
    for number in 0..2000 {
        let endpoint = json!({"addresses": [format!("10.244.1.{}", 1 + number % 2)], "nodeName": "n1"});
        api.merge(&format!("{SLICES}/web-1"), &json!({"endpoints": [endpoint]})).unwrap();
    }
    for (net, host) in &names {
        let ports = json!([{"port": 81, "protocol": "TCP"}]);
        api.merge(&format!("{SERVICES}/m{net}-{host}"), &json!({"spec": {"ports": ports}})).unwrap();
    }
    assert_eq!(stage.holds(WEB).unwrap(), "10.244.1.1:9376", "nothing was read");
    agent.signal(Signal::SIGCONT).unwrap();

    within(SOON, "the newest state", || {
        let services = in_kernel(&stage.node)?.services;
        let moved = services.iter().filter(|service| service.address.ends_with(":81")).count();
        Ok(stage.holds(WEB)? == "10.244.1.2:9376" && moved == 500 && services.len() == 502)
    })
    .unwrap();
    agent.wait_until("in sync", |view| view.is_up_to_date()).unwrap();
    let after = memory(&agent, "VmHWM:").unwrap();
    eprintln!("{before} kB before the storm, {after} kB at most");
    assert!(after < before + MOST, "{before} kB before the storm, {after} kB at most");
    assert_all_answered(load).unwrap();
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn odd_objects_hurt_themselves_alone() {
    let stage = Stage::new().unwrap();
    let proxy = Proxy::start(&stage.cluster, Front::Http).unwrap();
    let agent = stage.follow(Some(&proxy.address())).unwrap();
    nulls_are_normal(&stage).unwrap();
    an_object_that_cannot_be_read_is_named(&stage, &proxy, &agent).unwrap();
    a_field_of_another_time_does_not_matter(&stage, &proxy, &agent).unwrap();
}

fn nulls_are_normal(stage: &Stage) -> Result<()> {
    let slice = |name: &str, endpoints: serde_json::Value, ports: serde_json::Value| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "nulls"}},
            "endpoints": endpoints, "ports": ports,
        })
    };
    let one = json!([{"addresses": ["10.244.1.1"]}]);
    let port = json!([{"port": 9376}]);
    let create = |object| stage.cluster.api().create(&object).map(drop);
    create(slice("nulls-1", json!(null), port.clone()))?;
    create(slice("nulls-2", one.clone(), json!(null)))?;
    create(slice(
        "nulls-3",
        json!([{"addresses": ["10.244.1.2"], "conditions": {}}]),
        json!([{"name": ""}]),
    ))?;
    stage.change("service nulls 10.96.0.61:80", "10.96.0.61:80", "refused")?;
    create(slice("nulls-4", one, port))?;
    within(SOON, "the slice that has all", || Ok(stage.holds("10.96.0.61:80")? == "10.244.1.1:9376"))?;
    Ok(())
}

/// What only a newer or broken API server would send, so the proxy does.
fn an_object_that_cannot_be_read_is_named(stage: &Stage, proxy: &Proxy, agent: &Agent) -> Result<()> {
    proxy.plant(Fault::Rewrite { from: "\"port\":8077", to: "\"port\":\"77\"" });
    agent.wait_until("in sync again", |view| view.is_up_to_date())?;
    stage.cluster.apply_lines("service odd 10.96.0.62:8077\nslice odd-1 of odd 9376 10.244.1.1")?;
    stage.cluster.apply_lines("service web 10.96.0.11:8077")?;
    stage.change(&service(63, "10.244.1.2"), &address(63), "10.244.1.2:9376")?;
    let named =
        |view: &AgentView| view.with(Reason::Unusable).map(|odd| odd.about.clone()).collect::<Vec<_>>();
    agent
        .wait_until("both are named", |view| named(view) == ["Service default/odd", "Service default/web"])?;
    assert!(proxy.report().planted >= 2, "{:?}", proxy.report());
    assert_eq!(stage.holds("10.96.0.62:8077")?, "untouched");
    assert_eq!(stage.holds(WEB)?, "10.244.1.1:9376", "the last good state");

    stage.change("service web 10.96.0.11:80", WEB, "10.244.1.1:9376")?;
    stage.cluster.api().delete(&format!("{SERVICES}/odd"))?;
    agent.wait_until("nothing is odd", |view| named(view).is_empty())?;
    Ok(())
}

fn a_field_of_another_time_does_not_matter(stage: &Stage, proxy: &Proxy, agent: &Agent) -> Result<()> {
    proxy.plant(Fault::Rewrite { from: "\"ipFamilyPolicy\":", to: "\"aFieldOfTheDay\":" });
    agent.wait_until("in sync again", |view| view.is_up_to_date())?;
    stage.change(&service(64, "10.244.1.2"), &address(64), "10.244.1.2:9376")?;
    assert!(proxy.report().planted >= 1, "{:?}", proxy.report());
    assert_eq!(agent.view()?.with(Reason::Unusable).count(), 0);
    Ok(())
}

/// What is headless stays with the API server; any other label has no say, as in files.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn slices_that_no_service_reads_are_not_asked_for_or_do_not_count() {
    let stage = Stage::new().unwrap();
    stage.cluster.apply_lines(&service(70, "10.244.1.1")).unwrap();
    let proxy = Proxy::start(&stage.cluster, Front::Http).unwrap();
    let _agent = stage.follow(Some(&proxy.address())).unwrap();
    let asked = proxy.report().requests;
    let of_slices: Vec<&String> = asked.iter().filter(|path| path.contains("/endpointslices")).collect();
    let selector = "?labelSelector=%21service.kubernetes.io%2Fheadless&";
    assert!(!of_slices.is_empty() && of_slices.iter().all(|path| path.contains(selector)), "{asked:?}");

    // A label that is put on later takes effect, and so does one that is taken away.
    let slice = format!("{SLICES}/s70-1");
    let label = |value: serde_json::Value| json!({"metadata": {"labels": value}});
    for (labels, holds) in [
        (json!({"service.kubernetes.io/headless": ""}), "refused"),
        (json!({"service.kubernetes.io/headless": null}), "10.244.1.1:9376"),
        (json!({"service.kubernetes.io/service-proxy-name": "other"}), "10.244.1.1:9376"),
        (json!({"kubernetes.io/service-name": null}), "refused"),
        (json!({"kubernetes.io/service-name": "s70"}), "10.244.1.1:9376"),
    ] {
        stage.cluster.api().merge(&slice, &label(labels.clone())).unwrap();
        within(SOON, "the label counts", || Ok(stage.holds(&address(70))? == holds))
            .unwrap_or_else(|error| panic!("{labels}: {error}"));
    }

    // 500 endpoints are some 30 kB, and more with what the API server notes of them.
    stage.cluster.api().merge(&slice, &label(json!({"service.kubernetes.io/headless": ""}))).unwrap();
    within(SOON, "it is headless", || Ok(stage.holds(&address(70))? == "refused")).unwrap();
    let before = proxy.report().bytes;
    let many: Vec<_> =
        (0..500).map(|n| json!({"addresses": [format!("10.245.{}.{}", n / 250, n % 250)]})).collect();
    stage.cluster.api().merge(&slice, &json!({"endpoints": many})).unwrap();
    stage.change(&service(71, "10.244.1.1"), &address(71), "10.244.1.1:9376").unwrap();
    let told = proxy.report().bytes - before;
    assert!(told > 500 && told < 8000, "{told} bytes");
    stage.cluster.api().merge(&slice, &label(json!({"service.kubernetes.io/headless": null}))).unwrap();
    within(SOON, "all of them", || {
        Ok(element(&stage.node, &address(70))?.is_some_and(|service| service.backends.len() == 500))
    })
    .unwrap();
    assert!(proxy.report().bytes - before > 20_000, "{} bytes", proxy.report().bytes - before);
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn credentials_that_are_rotated_are_picked_up_by_a_running_agent() {
    let mut stage = Stage::new().unwrap();
    stage.cluster.agent_kubeconfig().unwrap();
    let account = ("kube-system", "edgeloop-agent");
    let [authority, token] = ["agent-ca.crt", "agent-token"].map(|name| stage.cluster.folder().join(name));
    let trusted = stage.cluster.folder().join("ca.crt");
    fs::copy(&trusted, &authority).unwrap();
    fs::write(&token, stage.cluster.account_token(account.0, account.1).unwrap()).unwrap();
    let kubeconfig = stage.cluster.write_kubeconfig_of_files("files", &authority, &token).unwrap();
    let proxy = Proxy::start(&stage.cluster, Front::Raw).unwrap();
    let agent = stage.follow_with(&kubeconfig, Some(&proxy.address())).unwrap();
    let load = stage.load().unwrap();

    // A token is bound to its account: it is worth nothing once that is another one of the same name.
    stage.cluster.api().delete("/api/v1/namespaces/kube-system/serviceaccounts/edgeloop-agent").unwrap();
    stage.cluster.agent_kubeconfig().unwrap();
    says(&agent, &proxy, "answered 401");
    fs::write(&token, stage.cluster.account_token(account.0, account.1).unwrap()).unwrap();
    within(IN_PEACE, "the new token", || Ok(agent.view()?.is_up_to_date())).unwrap();
    stage.change(&service(80, "10.244.1.1"), &address(80), "10.244.1.1:9376").unwrap();

    stage.cluster.rotate_authority().unwrap();
    stage.cluster.kill(Part::ApiServer).unwrap();
    stage.cluster.start(Part::ApiServer).unwrap();
    stage.cluster.wait_until_ready().unwrap();
    says(&agent, &proxy, "is not trusted");
    assert_eq!(stage.holds(&address(80)).unwrap(), "10.244.1.1:9376");
    fs::copy(&trusted, &authority).unwrap();
    within(IN_PEACE, "the new authority", || Ok(agent.view()?.is_up_to_date())).unwrap();
    stage.change(&service(81, "10.244.1.1"), &address(81), "10.244.1.1:9376").unwrap();
    assert_all_answered(load).unwrap();
}

/// The agent is made to connect again until it says this.
fn says(agent: &Agent, proxy: &Proxy, what: &str) {
    within(2 * SOON, what, || {
        proxy.plant(Fault::Drop);
        std::thread::sleep(Duration::from_millis(200));
        proxy.plant(Fault::Pass);
        std::thread::sleep(Duration::from_millis(1500));
        let view = agent.view()?;
        Ok(states(&view)[0] == "behind" && of_services(&view).1.starts_with(what))
    })
    .unwrap_or_else(|error| panic!("{error}: {:#?}", agent.view()));
}

fn service(number: u8, endpoint: &str) -> String {
    format!("service s{number} {}\nslice s{number}-1 of s{number} 9376 {endpoint}", address(number))
}

fn address(number: u8) -> String {
    format!("10.96.0.{number}:80")
}

/// What the agent holds, or the most that it held since [`forget_peak`]: a line of its status, in kB.
fn memory(agent: &Agent, line: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).context("no such process")?;
    let number = status.lines().find_map(|found| found.strip_prefix(line)).context("no such line")?;
    number.trim().trim_end_matches(" kB").parse().context("not a number")
}

/// 5 is the kernel's word for the peak, see proc_pid_clear_refs(5).
fn forget_peak(agent: &Agent) -> Result<()> {
    fs::write(format!("/proc/{}/clear_refs", agent.pid()), "5").context("could not forget the peak")
}
