//! An image as `cargo xtask image` packs it, unpacked.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use serde_json::Value;
use tar::Archive;

/// What a container is made from.
pub(super) struct Image {
    /// Copied for each container.
    root: PathBuf,
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
    pub(super) environment: Vec<String>,
}

impl Image {
    /// Unpacks an OCI archive of one layer into `folder`, which is made.
    pub(super) fn unpack(archive: &Path, folder: &Path) -> Result<Self> {
        let failed = || format!("could not unpack {}", archive.display());
        let packed = folder.join("packed");
        fs::create_dir_all(&packed).with_context(failed)?;
        Archive::new(File::open(archive).with_context(failed)?).unpack(&packed).with_context(failed)?;
        let index = json(&packed.join("index.json"))?;
        let manifest = json(&blob(&packed, &index, "/manifests/0/digest")?)?;
        let config = json(&blob(&packed, &manifest, "/config/digest")?)?;
        let layer = blob(&packed, &manifest, "/layers/0/digest")?;
        let root = folder.join("root");
        let layer = GzDecoder::new(File::open(layer).with_context(failed)?);
        Archive::new(layer).unpack(&root).with_context(failed)?;
        let texts = |at: &str| {
            let texts = config.pointer(at).and_then(Value::as_array).into_iter().flatten();
            texts.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Ok(Self {
            root,
            entrypoint: texts("/config/Entrypoint"),
            command: texts("/config/Cmd"),
            environment: texts("/config/Env"),
        })
    }

    /// A root file system of its own for a container. The image has files, and no folders in folders.
    pub(super) fn copy_to(&self, root: &Path) -> Result<()> {
        fs::create_dir_all(root).with_context(|| format!("could not make {}", root.display()))?;
        for entry in fs::read_dir(&self.root).context("could not list an image")? {
            let entry = entry.context("could not list an image")?;
            fs::copy(entry.path(), root.join(entry.file_name()))
                .with_context(|| format!("could not copy {}", entry.path().display()))?;
        }
        Ok(())
    }
}

fn blob(packed: &Path, of: &Value, at: &str) -> Result<PathBuf> {
    let digest = of.pointer(at).and_then(Value::as_str).and_then(|digest| digest.strip_prefix("sha256:"));
    Ok(packed.join("blobs/sha256").join(digest.with_context(|| format!("an image without {at}"))?))
}

fn json(file: &Path) -> Result<Value> {
    let mut text = String::new();
    File::open(file)
        .and_then(|mut file| file.read_to_string(&mut text))
        .with_context(|| format!("could not read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))
}

#[cfg(test)]
impl Image {
    pub(super) fn of_tests(entrypoint: &[&str], command: &[&str]) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            root: PathBuf::new(),
            entrypoint: owned(entrypoint),
            command: owned(command),
            environment: Vec::new(),
        }
    }
}
