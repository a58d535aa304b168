//! The tree without a line of the programs' log and trace: what is compiled from it the ordinary object has to equal.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell;

/// The only file that names aya-log, and that of the records.
const LOG: [&str; 2] = ["log.rs", "trace.rs"];

/// A copy of what the kernel object is made of, below `target`. It has another version: cargo would take a package of
/// the same name and version for the one that it built last, and build both again and again.
pub(super) fn source() -> Result<PathBuf> {
    let root = shell::root();
    let into = root.join("target/without-log");
    let manifest = read(&root.join("Cargo.toml"))?;
    put(&into.join("Cargo.toml"), &manifest)?;
    for package in ["lb-common", "lb-ebpf"] {
        let (from, to) = (root.join(package), into.join(package));
        let manifest = read(&from.join("Cargo.toml"))?;
        put(
            &to.join("Cargo.toml"),
            &manifest.replacen("version = \"0.1.0\"", "version = \"0.1.0-without-log\"", 1),
        )?;
        copy(&from.join("src"), &to.join("src"))?;
    }
    let lock = read(&root.join("lb-ebpf/Cargo.lock"))?;
    let ours = "name = \"lb-ebpf\"\nversion = \"0.1.0";
    put(&into.join("lb-ebpf/Cargo.lock"), &lock.replacen(ours, &format!("{ours}-without-log"), 1))?;
    Ok(into)
}

fn copy(from: &Path, into: &Path) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("could not read {}", from.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("could not read {}", from.display()))?;
        let (path, to) = (entry.path(), into.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to)?;
        } else if !LOG.iter().any(|log| path.ends_with(Path::new("lb-ebpf/src").join(log))) {
            put(&to, &without(&read(&path)?))?;
        }
    }
    Ok(())
}

/// The text without its lines of log and trace: statements of one line, and where they are named.
fn without(text: &str) -> String {
    let is_of_log = |line: &&str| {
        let line = line.trim();
        let names = ["mod log;", "use log::log;", "use crate::log::log;"];
        let names_trace = ["mod trace;", "use trace::trace;", "use crate::trace::trace;"];
        names.contains(&line)
            || names_trace.contains(&line)
            || (line.starts_with("log!(") || line.starts_with("trace!(")) && line.ends_with(");")
    };
    text.split_inclusive('\n').filter(|line| !is_of_log(line)).collect()
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))
}

/// A file that would not change is not touched, so that nothing is built again.
fn put(file: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|there| there == text) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    }
    fs::write(file, text).with_context(|| format!("could not write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_the_log_is_left_in_the_programs() {
        let text = "mod forward;\nmod log;\n\nfn f() {\n    log!(ended(outcome));\n    g();\n}\n";
        assert_eq!(without(text), "mod forward;\n\nfn f() {\n    g();\n}\n");
        let programs = shell::root().join("lb-ebpf/src");
        for file in ["main.rs", "forward.rs"] {
            let text = fs::read_to_string(programs.join(file)).unwrap();
            assert!(text.contains("log!(") && text.contains("trace!("), "{file}");
            assert!(!without(&text).contains("log") && !without(&text).contains("trace"), "{file}");
        }
    }
}
