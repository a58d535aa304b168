//! Values that are wrong are refused before anything is installed, with their name.

use super::*;

#[test]
#[ignore = "needs the programs of a control plane"]
fn wrong_values_are_refused_by_name() {
    for (flag, says) in [
        ("maxService=5", "maxService"),
        ("http.adress=127.0.0.1", "adress"),
        ("distro=k3", "/distro"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("image.digest=sha256:123", "/image/digest"),
        ("maxServices=many", "/maxServices"),
        ("maxServices=-1", "/maxServices"),
        ("maxBackends=16777217", "/maxBackends"),
        ("http.port=0", "/http/port"),
        ("http.port=65536", "/http/port"),
        ("http.address=localhost", "/http/address"),
        ("auditInterval=0", "/auditInterval"),
        ("apiServer=10.0.0.1:6443", "/apiServer"),
        ("excludeServices={web}", "/excludeServices/0"),
        ("dialects={openyurt}", "/dialects/0"),
        ("dialects={kubeedge,kubeedge}", "/dialects"),
        ("namespaceTopology=on", "/namespaceTopology"),
        ("topologyLabels={a b}", "/topologyLabels/0"),
        ("poolLabel=a/b/c", "/poolLabel"),
        ("onInvalidTopology=ignore", "/onInvalidTopology"),
        ("mode=instead", "/mode"),
        ("maxStale=never", "/maxStale"),
        ("tcpPeername=1", "/tcpPeername"),
        ("nodeCondition=true", "/nodeCondition"),
        ("startupTaint.key=edgeloop.io/a:NoSchedule", "/startupTaint/key"),
        ("endUdpSockets.by=on", "/endUdpSockets/by"),
        ("endUdpSockets.networkNamespaces=/", "/endUdpSockets/networkNamespaces"),
        ("topology.web=*", "/topology"),
        ("topology.default/web=", "/topology/default~1web"),
        ("topology.default/web=a b", "/topology/default~1web"),
        ("topology.default/web=openyurt.io/nodepool;*", "/topology/default~1web"),
        ("dns.keepLocal={kube-dns}", "/dns/keepLocal/0"),
        ("dns.keepLocal=kube-system/kube-dns", "/dns/keepLocal"),
        ("cgroup.path=kubepods", "/cgroup/path"),
        ("bpf.pinRoot=edgeloop", "/bpf/pinRoot"),
        ("securityContext.sysResource=1", "/securityContext/sysResource"),
        ("securityContext.seccomp=runtime/default", "/securityContext/seccomp"),
        ("updateStrategy.maxUnavailable=0", "/updateStrategy/maxUnavailable"),
        ("updateStrategy.maxUnavailable=0%", "/updateStrategy/maxUnavailable"),
        ("uninstall.timeoutSeconds=0", "/uninstall/timeoutSeconds"),
        ("nodeSelector.edge=true", "/nodeSelector/edge"),
    ] {
        let output = template("1.36.0", &["--set", flag]).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{flag} is taken");
        assert!(said.contains(says) && said.contains("don't meet the specifications"), "{flag}: {said}");
    }
}

#[test]
#[ignore = "needs the programs of a control plane"]
fn what_does_not_go_together_is_refused_with_the_reason() {
    for (version, flag, says) in [
        ("1.17.0", "distro=", "incompatible with Kubernetes"),
        ("1.18.0", "flowSchema.enabled=true", "needs Kubernetes 1.20"),
        ("1.36.0", "dns.keepLocal={a/b},excludeServices={c/d,a/b}", "excludeServices leaves a/b alone"),
        ("1.36.0", "mode=replace", "mode: replace needs a real address of the API server"),
        (
            "1.36.0",
            "securityContext.perfmon=false,endUdpSockets.by=iterator",
            "takes securityContext.perfmon",
        ),
        ("1.36.0", "endUdpSockets.by=off,endUdpSockets.inPods=true", "ends no sockets"),
        (
            "1.36.0",
            "startupTaint.enabled=true,tolerations[0].key=a,tolerations[0].operator=Exists",
            "add {key: edgeloop.io/not-covered, operator: Exists} to tolerations",
        ),
        ("1.36.0", "metrics.enabled=true,http.address=0.0.0.0", "give metrics another port"),
    ] {
        let output = template(version, &["--set", flag]).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(says), "{version}: {said}");
    }
}
