//! Pure. What a container of a pod is to an OCI runtime.
//!
//! Where the API says nothing, it is as containerd has it: <https://github.com/containerd/containerd>, `internal/cri`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::image::Image;

/// What a root's container holds unless the API takes it away.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Everything that Linux knows, by number.
pub(super) const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A container, and what is known of where it will run.
pub(super) struct Wanted<'a> {
    pub(super) container: &'a Value,
    pub(super) image: &'a Image,
    /// Where each volume lies on this machine.
    pub(super) volumes: &'a BTreeMap<String, PathBuf>,
    /// What fields of the pod say, by their paths.
    pub(super) fields: &'a BTreeMap<&'static str, String>,
    /// The host's network.
    pub(super) netns: PathBuf,
    /// The capabilities that a privileged container gets: those that the runtime itself has.
    pub(super) all: &'a [&'static str],
    /// Below the root of each hierarchy.
    pub(super) cgroup: String,
}

impl Wanted<'_> {
    /// `base` is what the runtime itself begins with. The seccomp profile is not in it: see [`is_confined`].
    pub(super) fn configuration(&self, base: &Value) -> Result<Value> {
        let mut config = base.clone();
        let environment = self.environment()?;
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(self.arguments(&environment)?);
        let environment = environment.iter().map(|(name, value)| format!("{name}={value}"));
        config["process"]["env"] = environment.chain(self.image.environment.iter().cloned()).collect();
        let capabilities = self.capabilities();
        config["process"]["capabilities"] =
            json!({"bounding": capabilities, "effective": capabilities, "permitted": capabilities});
        let id = |field: &str| {
            self.container.pointer(&format!("/securityContext/{field}")).and_then(Value::as_u64)
        };
        config["process"]["user"] =
            json!({"uid": id("runAsUser").unwrap_or(0), "gid": id("runAsGroup").unwrap_or(0)});
        config["process"]["noNewPrivileges"] = json!(self.says("allowPrivilegeEscalation") == Some(false));
        config["root"] =
            json!({"path": "root", "readonly": self.says("readOnlyRootFilesystem") == Some(true)});
        config["hostname"] = json!(self.fields.get("spec.nodeName"));
        let (mounts, propagation) = self.mounts()?;
        config["mounts"].as_array_mut().context("a configuration without mounts")?.extend(mounts);
        config["linux"]["rootfsPropagation"] = json!(propagation);
        let namespaces = config["linux"]["namespaces"].as_array_mut().context("no namespaces")?;
        namespaces.retain(|one| one["type"] != "network");
        namespaces.push(json!({"type": "network", "path": self.netns}));
        config["linux"]["cgroupsPath"] = json!(self.cgroup);
        if let Some(limit) = self.container.pointer("/resources/limits/memory").and_then(Value::as_str) {
            config["linux"]["resources"]["memory"] = json!({"limit": bytes(limit)?});
        }
        if is_privileged(self.container) {
            config["linux"]["maskedPaths"] = json!([]);
            config["linux"]["readonlyPaths"] = json!([]);
        }
        Ok(config)
    }

    fn says(&self, field: &str) -> Option<bool> {
        self.container.get("securityContext")?.get(field)?.as_bool()
    }

    fn capabilities(&self) -> Vec<String> {
        let listed = |what: &str| -> Vec<&str> {
            let list = self.container.pointer(&format!("/securityContext/capabilities/{what}"));
            list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let (add, drop) = (listed("add"), listed("drop"));
        let all = is_privileged(self.container) || add.contains(&"ALL");
        let mut held: Vec<&str> = if all { self.all.to_vec() } else { DEFAULT.to_vec() };
        held.retain(|name| is_privileged(self.container) || !(drop.contains(&"ALL") || drop.contains(name)));
        held.extend(add.iter().filter(|name| **name != "ALL"));
        held.iter().map(|name| format!("CAP_{name}")).collect()
    }

    fn environment(&self) -> Result<Vec<(String, String)>> {
        let mut known: Vec<(String, String)> = Vec::new();
        for one in items(self.container, "env") {
            let name = one.get("name").and_then(Value::as_str).context("a variable without a name")?;
            let value = match (one.get("value").and_then(Value::as_str), one.get("valueFrom")) {
                (Some(value), _) => expanded(value, &known),
                (None, None) => String::new(),
                (None, Some(from)) => self.field(from)?,
            };
            known.push((name.to_owned(), value));
        }
        // Without service links a pod is given these two all the same.
        for (name, value) in [("KUBERNETES_SERVICE_HOST", "10.96.0.1"), ("KUBERNETES_SERVICE_PORT", "443")] {
            if !known.iter().any(|(known, _)| known == name) {
                known.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(known)
    }

    fn field(&self, from: &Value) -> Result<String> {
        let path = from.pointer("/fieldRef/fieldPath").and_then(Value::as_str);
        let path = path.with_context(|| format!("not a field: {from}"))?;
        self.fields.get(path).cloned().with_context(|| format!("the field {path} is not known here"))
    }

    fn arguments(&self, environment: &[(String, String)]) -> Result<Vec<String>> {
        let texts = |field: &str| -> Option<Vec<String>> {
            let texts = self.container.get(field)?.as_array()?.iter().filter_map(Value::as_str);
            Some(texts.map(|text| expanded(text, environment)).collect())
        };
        let (command, arguments) = (texts("command"), texts("args"));
        // An image's command counts only where neither is said.
        let default = if command.is_none() { self.image.command.clone() } else { Vec::new() };
        let mut all = command.unwrap_or_else(|| self.image.entrypoint.clone());
        all.extend(arguments.unwrap_or(default));
        anyhow::ensure!(!all.is_empty(), "a container without a command");
        Ok(all)
    }

    /// The volumes, and how mounts pass between the container and the host.
    fn mounts(&self) -> Result<(Vec<Value>, &'static str)> {
        let mut mounts = Vec::new();
        let mut passes = "rprivate";
        for one in items(self.container, "volumeMounts") {
            let text = |field: &str| one.get(field).and_then(Value::as_str);
            let (name, at) = (text("name").context("no name")?, text("mountPath").context("no path")?);
            let source = self.volumes.get(name).with_context(|| format!("there is no volume {name}"))?;
            let source = text("subPath").map_or_else(|| source.clone(), |part| source.join(part));
            let propagation = match text("mountPropagation") {
                None | Some("None") => "rprivate",
                Some("HostToContainer") => "rslave",
                Some("Bidirectional") if is_privileged(self.container) => "rshared",
                Some("Bidirectional") => bail!("Bidirectional takes a privileged container"),
                Some(other) => bail!("no such propagation: {other}"),
            };
            if propagation == "rshared" || passes == "rprivate" {
                passes = propagation;
            }
            let access = if one.get("readOnly") == Some(&json!(true)) { "ro" } else { "rw" };
            mounts.push(bind(&source, at, &["rbind", propagation, access]));
        }
        Ok((mounts, passes))
    }
}

fn bind(source: &Path, at: &str, options: &[&str]) -> Value {
    json!({"destination": at, "type": "bind", "source": source, "options": options})
}

/// Whether the runtime's seccomp profile holds for it.
pub(super) fn is_confined(pod: &Value, container: &Value) -> bool {
    let profile = |of: &Value| of.pointer("/securityContext/seccompProfile/type").cloned();
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    !is_privileged(container) && profile(container).or_else(|| profile(spec)) == Some(json!("RuntimeDefault"))
}

pub(super) fn is_privileged(container: &Value) -> bool {
    container.pointer("/securityContext/privileged") == Some(&json!(true))
}

/// `$(NAME)` with what is known of `NAME`; what is not known stays.
fn expanded(text: &str, known: &[(String, String)]) -> String {
    known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("$({name})"), value))
}

/// What a quantity of memory is in bytes.
fn bytes(quantity: &str) -> Result<u64> {
    let at = quantity.find(|one: char| !one.is_ascii_digit()).unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(at);
    let unit = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => bail!("not a quantity of memory: {quantity}"),
    };
    let number: u64 = number.parse().with_context(|| format!("not a quantity: {quantity}"))?;
    Ok(number * unit)
}

pub(super) fn items<'v>(of: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    of.get(field).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(container: &Value) -> Result<Value> {
        let image = Image::of_tests(&["/lb-agent"], &["--help"]);
        let volumes = BTreeMap::from([("bpf".to_owned(), PathBuf::from("/host/bpf"))]);
        let fields = BTreeMap::from([("spec.nodeName", "n1".to_owned())]);
        let wanted = Wanted {
            container,
            image: &image,
            volumes: &volumes,
            fields: &fields,
            netns: "/net".into(),
            all: &ALL,
            cgroup: "/site/n1/c".into(),
        };
        let base = json!({"process": {}, "mounts": [], "linux": {"namespaces": [{"type": "network"}]}});
        wanted.configuration(&base)
    }

    #[test]
    fn of_all_capabilities_those_remain_that_are_added_again() {
        let only = json!({"securityContext": {"capabilities": {"drop": ["ALL"], "add": ["BPF"]}}});
        let config = configuration(&only).unwrap();
        assert_eq!(config["process"]["capabilities"]["bounding"], json!(["CAP_BPF"]));
        let privileged = configuration(&json!({"securityContext": {"privileged": true}})).unwrap();
        assert_eq!(privileged["process"]["capabilities"]["bounding"].as_array().unwrap().len(), ALL.len());
        let less = json!({"securityContext": {"capabilities": {"drop": ["KILL"]}}});
        let less = configuration(&less).unwrap()["process"]["capabilities"]["effective"].clone();
        assert_eq!(less.as_array().unwrap().len(), DEFAULT.len() - 1);
    }

    #[test]
    fn arguments_name_variables_and_take_the_place_of_the_images() {
        let container = json!({
            "args": ["run", "--cgroup=/x/$(NODE)", "$(OTHER)"],
            "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        });
        let config = configuration(&container).unwrap();
        assert_eq!(config["process"]["args"], json!(["/lb-agent", "run", "--cgroup=/x/n1", "$(OTHER)"]));
        assert_eq!(configuration(&json!({})).unwrap()["process"]["args"], json!(["/lb-agent", "--help"]));
        let unknown = json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]});
        assert!(configuration(&unknown).is_err());
    }

    #[test]
    fn only_a_privileged_container_gives_mounts_to_the_host() {
        let mount = |privileged: bool| {
            json!({
                "securityContext": {"privileged": privileged},
                "volumeMounts": [{"name": "bpf", "mountPath": "/b", "mountPropagation": "Bidirectional"}],
            })
        };
        let config = configuration(&mount(true)).unwrap();
        assert_eq!(
            config["mounts"],
            json!([bind(Path::new("/host/bpf"), "/b", &["rbind", "rshared", "rw"])])
        );
        assert!(configuration(&mount(false)).is_err());
    }

    #[test]
    fn memory_is_limited_in_bytes() {
        for (quantity, number) in [("64Mi", 67_108_864), ("1G", 1_000_000_000), ("17", 17)] {
            assert_eq!(bytes(quantity).unwrap(), number, "{quantity}");
        }
        assert!(bytes("1x").is_err());
    }
}
