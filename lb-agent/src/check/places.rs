//! Where programs are attached, and where they are pinned.

use std::io;
use std::path::{Path, PathBuf};

use crate::datapath::cgroup::{self, CgroupError};
use crate::datapath::probe::is_bpffs;

use super::finding::Finding;

const CGROUP: &str = "cgroup2";
const BPFFS: &str = "bpf file system";

pub(super) fn findings(asked: Option<&Path>, pin_root: &Path) -> Vec<Finding> {
    vec![cgroup(asked), bpffs(pin_root)]
}

fn cgroup(asked: Option<&Path>) -> Finding {
    let follows = "without it no connection is rewritten";
    match cgroup::find(asked) {
        Ok(found) if found.is_root() => {
            Finding::ok(CGROUP, format!("{} is the root: every socket of this machine", found.path.display()))
        }
        Ok(found) => Finding::degraded(
            CGROUP,
            format!("{} is a part of the hierarchy", found.path.display()),
            "sockets elsewhere on this machine are not covered",
            "leave --cgroup out, so that the root is used",
        ),
        Err(error @ CgroupError::NotTheRoot { .. }) => Finding::missing(
            CGROUP,
            error.to_string(),
            follows,
            "mount the host's /sys/fs/cgroup into the container, or run `lb-agent init`, and name it with --cgroup",
        ),
        Err(error @ (CgroupError::NotCgroup2 { .. } | CgroupError::Open { .. })) => Finding::missing(
            CGROUP,
            error.to_string(),
            follows,
            "create it, name another with --cgroup, or leave --cgroup out, so that the root is used",
        ),
        Err(error @ CgroupError::NoCgroup2) => {
            Finding::missing(CGROUP, error.to_string(), follows, "run `lb-agent init`, which mounts it")
        }
    }
}

fn bpffs(pin_root: &Path) -> Finding {
    let folder = existing(pin_root);
    match is_bpffs(&folder) {
        Ok(true) => Finding::ok(BPFFS, format!("{} lies on one", pin_root.display())),
        Ok(false) => Finding::missing(
            BPFFS,
            format!("{} does not lie on one", pin_root.display()),
            "maps and programs cannot be pinned, so that the agent does not start",
            "run `lb-agent init`, or `mount -t bpf bpf /sys/fs/bpf`",
        ),
        Err(error) => unreadable(&folder, &error),
    }
}

fn unreadable(folder: &Path, error: &io::Error) -> Finding {
    Finding::missing(
        BPFFS,
        format!("{} cannot be read: {error}", folder.display()),
        "maps and programs cannot be pinned, so that the agent does not start",
        "run as root, or with read access to it",
    )
}

/// The nearest folder above that is there: the pin root itself is made by the agent.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn a_pin_root_on_another_file_system_is_missing_wherever_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("a/b")] {
            let found = bpffs(&path);
            assert_eq!(found.state, State::Missing, "{found:?}");
            assert!(found.todo.unwrap().contains("lb-agent init"));
        }
    }

    #[test]
    fn a_folder_that_is_no_cgroup_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(cgroup(Some(folder.path())).state, State::Missing);
    }
}
