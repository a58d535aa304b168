//! Who may ask the API server, and the files that say so.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A user with a token of its own.
pub(super) struct User {
    name: &'static str,
    groups: &'static str,
    pub(super) token: String,
}

/// Everything is theirs to do.
pub(super) const ADMIN: &str = "admin";
pub(super) const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
pub(super) const SCHEDULER: &str = "system:kube-scheduler";
/// May ask for a node's certificate, and nothing else.
pub(super) const BOOTSTRAP: &str = "system:bootstrap:abcdef";

/// Makes tokens for all of them, and the file that the API server reads.
pub(super) fn make(folder: &Path) -> Result<Vec<User>> {
    let users = [
        (ADMIN, "system:masters"),
        (CONTROLLER_MANAGER, ""),
        (SCHEDULER, ""),
        (BOOTSTRAP, "system:bootstrappers"),
    ];
    let users = users.map(|(name, groups)| Ok(User { name, groups, token: token()? }));
    let users = users.into_iter().collect::<Result<Vec<_>>>()?;
    let lines: String = users
        .iter()
        .map(|User { name, groups, token }| format!("{token},{name},{name},\"{groups}\"\n"))
        .collect();
    fs::write(folder.join("tokens.csv"), lines).context("could not write tokens.csv")?;
    Ok(users)
}

pub(super) fn token_of<'a>(users: &'a [User], name: &str) -> Result<&'a str> {
    let user = users.iter().find(|user| user.name == name);
    user.map(|user| user.token.as_str()).with_context(|| format!("no user {name}"))
}

/// A kubeconfig as JSON, which is YAML; `authority` in PEM is inline, since some readers take no file.
pub(super) fn write_kubeconfig(file: &Path, server: &str, authority: &str, token: &str) -> Result<()> {
    let authority = json!({"server": server, "certificate-authority-data": STANDARD.encode(authority)});
    write(file, &authority, &json!({"token": token}))
}

/// The same that names files, for what is replaced while it is read.
pub(super) fn write_kubeconfig_of_files(
    file: &Path,
    server: &str,
    authority: &Path,
    token: &Path,
) -> Result<()> {
    let authority = json!({"server": server, "certificate-authority": authority});
    write(file, &authority, &json!({"tokenFile": token}))
}

fn write(file: &Path, cluster: &Value, user: &Value) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "edgeloop", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "edgeloop", "context": {"cluster": "edgeloop", "user": "user"}}],
        "current-context": "edgeloop",
    });
    fs::write(file, format!("{config:#}\n")).with_context(|| format!("could not write {}", file.display()))
}

/// Not to be guessed by others on this machine.
fn token() -> Result<String> {
    let mut bytes = [0; 16];
    let mut random = fs::File::open("/dev/urandom").context("could not open /dev/urandom")?;
    random.read_exact(&mut bytes).context("could not read random numbers")?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
