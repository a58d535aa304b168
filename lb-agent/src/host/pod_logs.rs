//! What pods are called, by the folders of their logs: the kubelet names each `NAMESPACE_NAME_UID`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// More pods are not looked at.
const MOST: usize = 65_536;
/// The folder is read again this often at most.
const EVERY: Duration = Duration::from_secs(1);

/// The names of this node's pods.
#[derive(Debug)]
pub struct PodLogs {
    folder: PathBuf,
    /// Namespace and name, by uid.
    names: BTreeMap<String, (String, String)>,
    read: Option<Instant>,
}

impl PodLogs {
    /// Those whose logs are in `folder`. It need not exist.
    #[must_use]
    pub const fn in_folder(folder: PathBuf) -> Self {
        Self { folder, names: BTreeMap::new(), read: None }
    }

    /// Namespace and name of the pod with this uid, where the folder says it.
    pub fn name(&mut self, uid: &str) -> Option<&(String, String)> {
        if !self.names.contains_key(uid) && self.read.is_none_or(|read| read.elapsed() >= EVERY) {
            let entries = fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
            let names = entries.take(MOST).filter_map(|entry| parts(entry.file_name().to_str()?));
            self.names = names.collect();
            self.read = Some(Instant::now());
        }
        self.names.get(uid)
    }
}

/// No name and no namespace has an underscore in it.
fn parts(folder: &str) -> Option<(String, (String, String))> {
    let mut parts = folder.split('_').map(str::to_owned);
    let [namespace, name, uid] = [parts.next()?, parts.next()?, parts.next()?];
    (parts.next().is_none() && !uid.is_empty()).then_some((uid, (namespace, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_name_is_in_the_name_of_the_folder_of_its_logs() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["default_web-7d4b_0f5a1b2c-1111", "kube-system_dns_7c8d", "a_b", "a_b_c_d", "__", "x_y_"]
        {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut logs = PodLogs::in_folder(folder.path().to_owned());
        let named = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        assert_eq!(logs.name("0f5a1b2c-1111"), Some(&named("default", "web-7d4b")));
        assert_eq!(logs.name("7c8d"), Some(&named("kube-system", "dns")));
        assert!(["c", "", "d"].iter().all(|none| logs.name(none).is_none()));
        assert_eq!(PodLogs::in_folder(folder.path().join("none")).name("7c8d"), None);
    }
}
