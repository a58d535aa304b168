//! `cargo xtask tidy`: the rules of the house that no compiler knows.

mod arrows;
mod files;
mod layouts;
mod limits;
mod links;
mod promises;
mod pure;
mod recipes;
mod rooms;
mod source;
mod testing;
mod words;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell;
use source::Source;

/// A rule that is broken, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

impl Source {
    fn finding(&self, line: usize, rule: String) -> Finding {
        Finding { path: self.path.clone(), line, rule }
    }
}

pub(crate) fn run() -> Result<()> {
    let root = shell::root();
    let mut paths = Vec::new();
    walk(&root, &root, &mut paths)?;
    let read = |path: &String| -> Result<Source> {
        let text = fs::read_to_string(root.join(path)).with_context(|| format!("could not read {path}"))?;
        Ok(Source::new(path, &text))
    };
    let rust = paths.iter().filter(|path| path.ends_with(".rs"));
    let sources = rust.map(read).collect::<Result<Vec<Source>>>()?;

    let of_tests = testing::files(&sources);
    let mut findings: Vec<Finding> =
        sources.iter().flat_map(|source| [files::check(source), rooms::check(source)].concat()).collect();
    findings.extend(files::unreached(&sources, &roots(&root, &paths)?));
    findings.extend(arrows::check(&sources, &of_tests));
    findings.extend(pure::check(&sources, &of_tests));
    findings.extend(limits::check(&sources, &of_tests));
    findings.extend(layouts::check(&root, &paths));
    let read_page = |path: &String| -> Result<(String, String)> {
        let text = fs::read_to_string(root.join(path)).with_context(|| format!("could not read {path}"))?;
        Ok((path.clone(), text))
    };
    let pages = paths.iter().filter(|path| path.ends_with(".md"));
    let pages = pages.map(read_page).collect::<Result<Vec<_>>>()?;
    findings.extend(words::check(&sources, &pages));
    findings.extend(links::check(&pages, |path| root.join(path).exists()));
    let page = pages.iter().find(|(path, _)| path == promises::PAGE);
    let (_, page) = page.with_context(|| format!("there is no {}", promises::PAGE))?;
    findings.extend(promises::check(page, &sources));
    findings.extend(arrows::check_page(page));
    findings.extend(recipes::check(page, recipes::is_there(&root)));
    findings.sort();
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} rules of the house are broken", findings.len());
    }
    Ok(())
}

/// Every file below `folder`, from `root`, in order; not what cargo built, nor what is hidden.
fn walk(root: &Path, folder: &Path, paths: &mut Vec<String>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(root, &path, paths)?;
        } else {
            paths.push(path.strip_prefix(root)?.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// The files that cargo compiles, of the workspace and of the crates that stand outside of it.
fn roots(root: &Path, paths: &[String]) -> Result<Vec<String>> {
    let mut roots = Vec::new();
    for manifest in paths.iter().filter(|path| *path == "Cargo.toml" || path.ends_with("/Cargo.toml")) {
        let manifest = root.join(manifest);
        let is_workspace = fs::read_to_string(&manifest)?.lines().any(|line| line.trim() == "[workspace]");
        if !is_workspace {
            continue;
        }
        let mut cargo = shell::cargo();
        cargo.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(&manifest);
        let metadata: serde_json::Value = serde_json::from_str(&shell::output(&mut cargo)?)?;
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let targets = packages.filter_map(|package| package["targets"].as_array()).flatten();
        let files = targets.filter_map(|target| target["src_path"].as_str());
        roots.extend(
            files.filter_map(|file| Some(Path::new(file).strip_prefix(root).ok()?.to_str()?.to_string())),
        );
    }
    Ok(roots)
}
