//! A folder of manifests, and the command over it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// Gone when dropped.
pub(crate) struct Folder {
    place: TempDir,
}

impl Folder {
    /// Each file by its name and text.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self { place: TempDir::new().unwrap() };
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn plan(&self, flags: &[&str]) -> Answer {
        plan(&[self.path()], flags, &[])
    }
}

pub(crate) fn tutorial() -> PathBuf {
    // From the folder of the package, where tests run.
    PathBuf::from("../examples/tutorial")
}

pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stderr))
    }
}

/// The program that cargo built one folder up from this test. Not the path that it had when the test
/// was compiled: in a copied checkout that is the old one's.
fn agent() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("lb-agent")
}

/// Runs the command with these variables and no others of ours.
pub(crate) fn plan(folders: &[&Path], flags: &[&str], variables: &[(&str, &str)]) -> Answer {
    let mut command = Command::new(agent());
    command.arg("plan").env_clear().envs(variables.iter().copied());
    for folder in folders {
        command.arg("--manifests").arg(folder);
    }
    let output = command.args(flags).output().unwrap();
    Answer {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
