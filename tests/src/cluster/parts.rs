//! The programs of the control plane: how each is started.

use std::ffi::OsString;
use std::path::Path;

/// Ports on 127.0.0.1 of the control plane's own network namespace: nothing else listens there.
pub(super) const ETCD_PORT: u16 = 2379;
pub const API_SERVER_PORT: u16 = 6443;
const ETCD_PEER_PORT: u16 = 2380;

/// Where `SERVICE`s get their cluster IPs from.
const CLUSTER_IPS: &str = "10.96.0.0/16,fd00:10:96::/112";

/// All but the node life cycle: no kubelet renews a lease.
const CONTROLLERS: [&str; 15] = [
    "certificatesigningrequest-signing-controller",
    "certificatesigningrequest-approving-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "daemonset-controller",
    "job-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "garbage-collector-controller",
    "clusterrole-aggregation-controller",
];

/// One program of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Etcd,
    ApiServer,
    ControllerManager,
    Scheduler,
}

/// Which API server a cluster has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Release {
    /// That of the other programs.
    #[default]
    Current,
    /// 1.24: it refuses streamed lists, and serves EndpointSlices of v1 and of v1beta1.
    Old,
    /// The same with EndpointSlices of v1beta1 alone, as Kubernetes 1.18 to 1.20 have them.
    OldV1beta1,
}

impl Release {
    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Current => "kube-apiserver",
            Self::Old | Self::OldV1beta1 => "kube-apiserver-1.24",
        }
    }

    pub(super) fn arguments(self) -> Vec<OsString> {
        match self {
            Self::Current | Self::Old => Vec::new(),
            Self::OldV1beta1 => vec!["--runtime-config=discovery.k8s.io/v1=false".into()],
        }
    }

    /// The `apiVersion` of the newest EndpointSlices that it serves.
    #[must_use]
    pub const fn slices(self) -> &'static str {
        match self {
            Self::Current | Self::Old => "discovery.k8s.io/v1",
            Self::OldV1beta1 => "discovery.k8s.io/v1beta1",
        }
    }
}

impl Part {
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
        }
    }

    /// `folder` has the certificates, keys, tokens and kubeconfigs.
    pub(super) fn arguments(self, folder: &Path) -> Vec<OsString> {
        match self {
            Self::Etcd => etcd(folder),
            Self::ApiServer => api_server(folder),
            Self::ControllerManager => controller_manager(folder),
            Self::Scheduler => vec![
                file("--kubeconfig", folder, "scheduler.conf"),
                "--leader-elect=false".into(),
                "--bind-address=127.0.0.1".into(),
                "--secure-port=10259".into(),
            ],
        }
    }
}

fn etcd(folder: &Path) -> Vec<OsString> {
    vec![
        file("--data-dir", folder, "etcd"),
        "--unsafe-no-fsync".into(),
        format!("--listen-client-urls=http://127.0.0.1:{ETCD_PORT}").into(),
        format!("--advertise-client-urls=http://127.0.0.1:{ETCD_PORT}").into(),
        format!("--listen-peer-urls=http://127.0.0.1:{ETCD_PEER_PORT}").into(),
        format!("--initial-advertise-peer-urls=http://127.0.0.1:{ETCD_PEER_PORT}").into(),
        format!("--initial-cluster=default=http://127.0.0.1:{ETCD_PEER_PORT}").into(),
    ]
}

fn api_server(folder: &Path) -> Vec<OsString> {
    vec![
        format!("--etcd-servers=http://127.0.0.1:{ETCD_PORT}").into(),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        format!("--secure-port={API_SERVER_PORT}").into(),
        file("--tls-cert-file", folder, "api.crt"),
        file("--tls-private-key-file", folder, "api.key"),
        file("--client-ca-file", folder, "ca.crt"),
        file("--token-auth-file", folder, "tokens.csv"),
        format!("--service-cluster-ip-range={CLUSTER_IPS}").into(),
        "--endpoint-reconciler-type=none".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        file("--service-account-key-file", folder, "sa.pub"),
        file("--service-account-signing-key-file", folder, "sa.key"),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        // As installers have it: CNI plugins and kube-proxy need it.
        "--allow-privileged=true".into(),
        "--profiling=false".into(),
    ]
}

fn controller_manager(folder: &Path) -> Vec<OsString> {
    vec![
        file("--kubeconfig", folder, "controller-manager.conf"),
        "--use-service-account-credentials=true".into(),
        "--leader-elect=false".into(),
        file("--root-ca-file", folder, "ca.crt"),
        file("--service-account-private-key-file", folder, "sa.key"),
        file("--cluster-signing-cert-file", folder, "ca.crt"),
        file("--cluster-signing-key-file", folder, "ca.key"),
        "--bind-address=127.0.0.1".into(),
        "--secure-port=10257".into(),
        format!("--controllers={}", CONTROLLERS.join(",")).into(),
    ]
}

fn file(flag: &str, folder: &Path, name: &str) -> OsString {
    let mut argument = OsString::from(flag);
    argument.push("=");
    argument.push(folder.join(name));
    argument
}
