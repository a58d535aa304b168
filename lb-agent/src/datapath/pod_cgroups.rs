//! Where the kubelet put the cgroups of pods: found by their uids, below the folder that the programs are attached to.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::cgroup::{Cgroup, ROOT_INODE};

/// The kubelet's own folders lie no deeper below where it puts them, and those of containers that run a
/// whole node are among them.
const DEEPEST: usize = 8;

/// A pod's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodCgroup {
    /// As the kernel counts: the folder's inode. Never used for another within a boot.
    pub id: u64,
    /// How many folders lie between it and the root of the hierarchy.
    pub level: u32,
    pub path: PathBuf,
}

/// Looks for cgroups of pods.
#[derive(Debug)]
pub struct PodCgroups {
    top: PathBuf,
    /// How deep that lies; `None` where the root of the hierarchy cannot be seen.
    level: Option<u32>,
    /// The folders that hold cgroups of pods.
    parents: BTreeSet<PathBuf>,
    /// Where this process lies.
    own: Option<PathBuf>,
}

impl PodCgroups {
    /// Those below `top`.
    #[must_use]
    pub fn below(top: &Cgroup) -> Self {
        let (level, own) = (level_of(&top.path), top.of_this_process());
        Self { level, top: top.path.clone(), parents: BTreeSet::new(), own }
    }

    /// Whether this process lies in the pod with this uid.
    #[must_use]
    pub fn is_own(&self, uid: &str) -> bool {
        let mut folders = self.own.iter().flat_map(|own| own.ancestors());
        folders.any(|folder| {
            let named = folder.parent().and_then(|parent| folder_of(uid, parent));
            named.is_some_and(|named| folder.ends_with(named))
        })
    }

    /// Whether a cgroup can be named to the programs: they count its level from the root of the hierarchy.
    #[must_use]
    pub const fn knows_levels(&self) -> bool {
        self.level.is_some()
    }

    /// Looks through the whole hierarchy for folders that hold cgroups of pods.
    pub fn look_everywhere(&mut self) {
        self.parents.clear();
        gather(&self.top, DEEPEST, &mut self.parents);
    }

    /// The cgroup of the pod with this uid, if it lies in a folder that is known. It costs a few system calls.
    #[must_use]
    pub fn find(&self, uid: &str) -> Option<PodCgroup> {
        let mut paths = self.parents.iter().filter_map(|parent| Some(parent.join(folder_of(uid, parent)?)));
        paths.find_map(|path| self.at(path))
    }

    /// The cgroup that lies where this one lay: it itself, another one, or none.
    #[must_use]
    pub fn again(&self, cgroup: &PodCgroup) -> Option<PodCgroup> {
        self.at(cgroup.path.clone())
    }

    fn at(&self, path: PathBuf) -> Option<PodCgroup> {
        let id = fs::metadata(&path).ok().filter(fs::Metadata::is_dir)?.ino();
        let below = path.strip_prefix(&self.top).ok()?.components().count();
        let level = self.level?.checked_add(u32::try_from(below).ok()?)?;
        Some(PodCgroup { id, level, path })
    }
}

/// The uid of the pod that a cgroup belongs to, if it is one's or lies in it.
pub(super) fn uid_of(cgroup: &Path) -> Option<String> {
    // What a container makes within it may look like another pod's: the outermost one counts.
    let folders: Vec<&Path> = cgroup.ancestors().collect();
    let pod = folders
        .iter()
        .rev()
        .find(|folder| name(folder).is_some_and(is_pod) && folder.parent().is_some_and(holds_pods))?;
    let pod = name(pod)?;
    let last = pod.strip_suffix(SLICE).and_then(|slice| slice.rsplit('-').next()).unwrap_or(pod);
    Some(last.strip_prefix("pod")?.replace('_', "-"))
}

/// How many folders lie between `cgroup` and the root of its hierarchy, if that is seen from here.
fn level_of(cgroup: &Path) -> Option<u32> {
    let cgroup = fs::canonicalize(cgroup).ok()?;
    let device = fs::metadata(&cgroup).ok()?.dev();
    for (level, folder) in cgroup.ancestors().enumerate() {
        let of = fs::metadata(folder).ok().filter(|of| of.dev() == device)?;
        if of.ino() == ROOT_INODE {
            return u32::try_from(level).ok();
        }
    }
    None
}

fn gather(folder: &Path, deeper: usize, parents: &mut BTreeSet<PathBuf>) {
    if holds_pods(folder) {
        parents.insert(folder.to_owned());
    }
    let Some(deeper) = deeper.checked_sub(1) else { return };
    // What cannot be read holds no pod that could be found.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name();
        if is_folder && name.to_str().is_some_and(|name| !is_pod(name)) {
            gather(&entry.path(), deeper, parents);
        }
    }
}

/// Whether the kubelet puts pods into this folder: by either of its two drivers, `kubepods` or a QoS class in it.
fn holds_pods(folder: &Path) -> bool {
    let Some(name) = name(folder) else { return false };
    match name.strip_suffix(SLICE) {
        Some(slice) => {
            let class = CLASSES.iter().find_map(|class| slice.strip_suffix(class)?.strip_suffix('-'));
            let top = class.unwrap_or(slice);
            top == KUBEPODS || top.ends_with("-kubepods")
        }
        None if CLASSES.contains(&name) => {
            folder.parent().and_then(self::name).is_some_and(|above| above == KUBEPODS)
        }
        None => name == KUBEPODS,
    }
}

const KUBEPODS: &str = "kubepods";
const CLASSES: [&str; 2] = ["burstable", "besteffort"];
const SLICE: &str = ".slice";

/// What the cgroup of the pod with this uid is called in `parent`: systemd wants the names of all slices above in it, and
/// has another meaning for dashes. `None` for what is no uid.
fn folder_of(uid: &str, parent: &Path) -> Option<String> {
    if uid.is_empty() || !uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return None;
    }
    Some(match name(parent)?.strip_suffix(SLICE) {
        Some(slice) => format!("{slice}-pod{}{SLICE}", uid.replace('-', "_")),
        None => format!("pod{uid}"),
    })
}

/// Whether a folder of this name is a pod's cgroup, in which no other pod's lies.
fn is_pod(folder: &str) -> bool {
    let last = match folder.strip_suffix(SLICE) {
        Some(slice) => slice.rsplit('-').next(),
        None => Some(folder),
    };
    let uid = last.and_then(|last| last.strip_prefix("pod"));
    uid.is_some_and(|uid| {
        uid.len() >= 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_'))
    })
}

fn name(folder: &Path) -> Option<&str> {
    folder.file_name()?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f5a1b2c-1111-2222-3333-444455556666";
    const UID_OF_STATIC: &str = "7c8d9e0f7c8d9e0f7c8d9e0f7c8d9e0f";

    /// As kubelets name them: the systemd driver, cgroupfs, and kind's kubelets, which begin elsewhere.
    #[test]
    fn both_drivers_name_the_cgroup_of_a_pod_after_its_class_and_uid() {
        for (parent, uid, folder) in [
            ("kubepods.slice", UID, Some("kubepods-pod0f5a1b2c_1111_2222_3333_444455556666.slice")),
            (
                "kubepods.slice/kubepods-burstable.slice",
                UID,
                Some("kubepods-burstable-pod0f5a1b2c_1111_2222_3333_444455556666.slice"),
            ),
            (
                "kubepods.slice/kubepods-besteffort.slice",
                UID_OF_STATIC,
                Some("kubepods-besteffort-pod7c8d9e0f7c8d9e0f7c8d9e0f7c8d9e0f.slice"),
            ),
            (
                "system.slice/docker-1.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice",
                UID,
                Some("kubelet-kubepods-burstable-pod0f5a1b2c_1111_2222_3333_444455556666.slice"),
            ),
            ("kubepods", UID, Some("pod0f5a1b2c-1111-2222-3333-444455556666")),
            ("kubepods/burstable", UID, Some("pod0f5a1b2c-1111-2222-3333-444455556666")),
            ("kubelet/kubepods/besteffort", UID_OF_STATIC, Some("pod7c8d9e0f7c8d9e0f7c8d9e0f7c8d9e0f")),
            ("kubepods", "../system.slice", None),
            ("kubepods", "", None),
        ] {
            let parent = Path::new(parent);
            assert!(holds_pods(parent), "{parent:?}");
            let found = folder_of(uid, parent);
            assert_eq!(found.as_deref(), folder, "{parent:?} {uid}");
            assert!(found.is_none_or(|found| is_pod(&found)), "{parent:?} {uid}");
        }
    }

    #[test]
    fn a_cgroup_says_which_pod_it_belongs_to() {
        for (path, uid) in [
            ("kubepods.slice/kubepods-pod0f5a1b2c_1111_2222_3333_444455556666.slice/cri-1.scope", Some(UID)),
            ("kubepods/burstable/pod0f5a1b2c-1111-2222-3333-444455556666", Some(UID)),
            ("kubepods/besteffort/pod7c8d9e0f7c8d9e0f7c8d9e0f7c8d9e0f/container", Some(UID_OF_STATIC)),
            (
                "kubepods/pod0f5a1b2c-1111-2222-3333-444455556666/kubepods/pod7c8d9e0f7c8d9e0f7c8d9e0f7c8d9e0f",
                Some(UID),
            ),
            ("system.slice/kubelet.service", None),
            ("system.slice/pod0f5a1b2c-1111-2222-3333-444455556666", None),
            ("kubepods/burstable", None),
            ("", None),
        ] {
            assert_eq!(uid_of(Path::new(path)).as_deref(), uid, "{path}");
        }
    }

    #[test]
    fn what_only_looks_like_it_holds_no_pods_and_is_none() {
        for folder in
            ["/", "system.slice", "burstable", "mykubepods", "kubepods-x.slice", "kubepods/guaranteed"]
        {
            assert!(!holds_pods(Path::new(folder)), "{folder}");
        }
        for name in ["pods", "pod", "podman.slice", "kubepods.slice", "kubepods-burstable.slice", "podcafe"] {
            assert!(!is_pod(name), "{name}");
        }
    }

    #[test]
    fn a_pod_is_found_wherever_its_kubelet_put_it_and_followed_to_another_cgroup() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        let burstable = top.join("kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice");
        let pod = burstable.join(folder_of(UID, &burstable).unwrap());
        let container = pod.join("kubepods/pod0f5a1b2c-1111-2222-3333-000000000000");
        fs::create_dir_all(&container).unwrap();
        let own = Some(pod.join("container"));
        let mut pods = PodCgroups { top, level: Some(2), parents: BTreeSet::new(), own };
        assert!(pods.is_own(UID) && !pods.is_own(UID_OF_STATIC));
        assert_eq!(pods.find(UID), None, "where they lie is not known yet");
        pods.look_everywhere();

        let found = pods.find(UID).unwrap();
        assert_eq!((found.level, &found.path), (6, &pod));
        assert_eq!(found.id, fs::metadata(&pod).unwrap().ino());
        assert_eq!(
            pods.find("0f5a1b2c-1111-2222-3333-000000000000"),
            None,
            "what a container makes is no pod"
        );
        assert_eq!(pods.again(&found), Some(found.clone()));
        fs::remove_dir_all(&pod).unwrap();
        assert_eq!((pods.again(&found), pods.find(UID)), (None, None));
    }
}
