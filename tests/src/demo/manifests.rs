//! A copy of the tutorial's folder, changed as a careful tool does: a new file is renamed over the old one.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::harness::checkout;
use crate::now;

const TUTORIAL: &str = "examples/tutorial";

/// Every file that says which pods there are.
const SLICES: [&str; 2] = ["endpointslices-hangzhou.yaml", "endpointslices-shanghai.yaml"];

pub(super) struct Manifests(PathBuf);

/// A pod that EndpointSlices name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Server {
    pub(super) node: String,
    pub(super) name: String,
    pub(super) at: SocketAddr,
}

impl Manifests {
    pub(super) fn copy_to(folder: &Path) -> Result<Self> {
        fs::create_dir(folder).with_context(|| format!("could not make {}", folder.display()))?;
        let from = checkout::folder()?.join(TUTORIAL);
        let entries = fs::read_dir(&from).with_context(|| format!("could not list {}", from.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("could not list {}", from.display()))?.path();
            let name = path.file_name().with_context(|| format!("{} has no name", path.display()))?;
            fs::copy(&path, folder.join(name))
                .with_context(|| format!("could not copy {}", path.display()))?;
        }
        Ok(Self(folder.to_owned()))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// The pods behind the Services, each once.
    pub(super) fn servers(&self) -> Result<Vec<Server>> {
        let mut servers = Vec::new();
        for file in SLICES {
            let slices: Vec<Slice> = serde_saphyr::from_multiple(&self.read(file)?)
                .with_context(|| format!("could not read the EndpointSlices in {file}"))?;
            for slice in slices {
                servers
                    .extend(slice.servers().with_context(|| format!("{file} is not as the demo needs it"))?);
            }
        }
        servers.sort();
        servers.dedup();
        Ok(servers)
    }

    /// Replaces a text in a file, wherever it stands, and returns the time just before the rename.
    pub(super) fn change(&self, file: &str, old: &str, new: &str) -> Result<Duration> {
        let text = self.read(file)?;
        ensure!(text.contains(old), "{file} does not contain `{old}`, which the demo changes");
        let text = text.replace(old, new);
        let at = self.0.join(file);
        let written = self.0.join(format!(".{file}.new"));
        fs::write(&written, text).with_context(|| format!("could not write {}", written.display()))?;
        let renamed = now();
        fs::rename(&written, &at).with_context(|| format!("could not replace {}", at.display()))?;
        Ok(renamed)
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = self.0.join(file);
        fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
    }
}

#[derive(Deserialize)]
struct Slice {
    endpoints: Vec<Endpoint>,
    ports: Vec<Port>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    addresses: Vec<String>,
    node_name: String,
    target_ref: Target,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Port {
    port: u16,
}

impl Slice {
    fn servers(self) -> Result<Vec<Server>> {
        let port = self.ports.first().context("an EndpointSlice has no port")?.port;
        let servers = self.endpoints.into_iter().map(|endpoint| {
            let Endpoint { addresses, node_name, target_ref } = endpoint;
            let address = addresses.first().context("an endpoint has no address")?;
            let address = address.parse().with_context(|| format!("not an address: {address}"))?;
            Ok(Server { node: node_name, name: target_ref.name, at: SocketAddr::new(address, port) })
        });
        servers.collect()
    }
}
