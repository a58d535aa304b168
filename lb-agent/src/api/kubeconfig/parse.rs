//! One file's text into its entries, with the types that Go's JSON takes. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::file::{ExecFile, Fields, File, List, Named, NamedCluster, NamedUser};
use super::{Cluster, Context, Exec, Fault, Impersonate, Kubeconfig, Source, User};
use crate::api::secret::Secret;

/// Where a cluster's extension stands that is meant for exec plugins.
const FOR_PLUGINS: &str = "client.authentication.k8s.io/exec";

/// Reads one file. `folder` is where it stands: relative paths are relative to it.
///
/// 1. It is YAML, or JSON, and the first document counts. Of two equal keys the last counts.
/// 2. Null is nothing, wherever it stands. Unknown fields do not matter.
/// 3. A text where a number, or a number where a text belongs, makes the file unusable; and so do two
///    entries of one name.
pub(crate) fn parse(text: &str, folder: &Path) -> Result<Kubeconfig, Fault> {
    let Fields(File { kind, api_version, clusters, users, contexts, current_context }) =
        typed(crate::yaml::first(text).map_err(Fault::Yaml)?)?;
    if !matches!(kind.as_str(), "" | "Config") || !matches!(api_version.as_str(), "" | "v1") {
        return Err(Fault::Kind { kind, version: api_version });
    }
    Ok(Kubeconfig {
        current_context,
        clusters: named("clusters", clusters, |file, at| cluster(file, folder, at))?,
        users: named("users", users, |file, at| user(file, folder, at))?,
        contexts: named("contexts", contexts, |file, _at| {
            Ok(Context { cluster: file.context.0.cluster, user: file.context.0.user })
        })?,
    })
}

fn typed<T: DeserializeOwned + Default>(mut tree: Value) -> Result<T, Fault> {
    drop_nulls(&mut tree);
    let read: Result<Option<T>, _> = serde_path_to_error::deserialize(tree);
    // The cause quotes the value, which may be secret.
    read.map(Option::unwrap_or_default).map_err(|error| Fault::Type { field: field(error.path()) })
}

fn field(path: &serde_path_to_error::Path) -> String {
    match path.to_string().as_str() {
        "." => "the whole of it".to_owned(),
        path => path.replace(".?", ""),
    }
}

/// A field that is null is as one that is absent. What stands in an extension is not ours to change.
fn drop_nulls(tree: &mut Value) {
    match tree {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            for (_, value) in fields.iter_mut().filter(|(name, _)| *name != "extension") {
                drop_nulls(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn named<F: Named, T>(
    what: &'static str,
    List(files): List<Fields<F>>,
    read: impl Fn(F, &str) -> Result<T, Fault>,
) -> Result<BTreeMap<String, T>, Fault> {
    let mut entries = BTreeMap::new();
    for (index, Fields(file)) in files.into_iter().enumerate() {
        let name = file.name().to_owned();
        let entry = read(file, &format!("{what}[{index}]"))?;
        if entries.insert(name.clone(), entry).is_some() {
            return Err(Fault::Twice { what, name });
        }
    }
    Ok(entries)
}

fn cluster(file: NamedCluster, folder: &Path, at: &str) -> Result<Cluster, Fault> {
    let Fields(file) = file.cluster;
    let data =
        base64(&file.certificate_authority_data, || format!("{at}.cluster.certificate-authority-data"))?;
    let extensions = file.extensions.0.into_iter().filter(|Fields(one)| one.name == FOR_PLUGINS);
    Ok(Cluster {
        server: file.server,
        tls_server_name: file.tls_server_name,
        check: file.insecure_skip_tls_verify,
        authority: Source { file: resolved(&file.certificate_authority, folder), data },
        proxy_url: file.proxy_url,
        has_no_compression: file.disable_compression,
        for_plugins: extensions.map(|Fields(one)| one.extension).next(),
    })
}

fn user(file: NamedUser, folder: &Path, at: &str) -> Result<User, Fault> {
    let Fields(file) = file.user;
    let certificate = base64(&file.client_certificate_data, || format!("{at}.user.client-certificate-data"))?;
    let key = base64(&file.client_key_data, || format!("{at}.user.client-key-data"))?;
    Ok(User {
        certificate: Source { file: resolved(&file.client_certificate, folder), data: certificate },
        key: Source { file: resolved(&file.client_key, folder), data: key },
        token: Secret::new(file.token),
        token_file: resolved(&file.token_file, folder),
        username: file.username,
        password: Secret::new(file.password),
        impersonate: Impersonate {
            user: file.impersonate,
            uid: file.as_uid,
            groups: file.as_groups.0,
            extra: file.as_user_extra.into_iter().map(|(key, List(values))| (key, values)).collect(),
        },
        auth_provider: file.auth_provider.map(|Fields(provider)| provider.name),
        exec: file.exec.map(|Fields(exec)| plugin(exec, folder)),
    })
}

/// A command without a `/` is looked for in `$PATH`.
fn plugin(file: ExecFile, folder: &Path) -> Exec {
    let command =
        if file.command.contains('/') { resolved(&file.command, folder) } else { file.command.into() };
    Exec {
        command,
        args: Secret::new(file.args.0),
        env: Secret::new(file.env.0.into_iter().map(|Fields(pair)| (pair.name, pair.value)).collect()),
        api_version: file.api_version,
        install_hint: file.install_hint,
        provide_cluster_info: file.provide_cluster_info,
        interactive_mode: file.interactive_mode,
    }
}

fn resolved(path: &str, folder: &Path) -> PathBuf {
    if path.is_empty() { PathBuf::new() } else { folder.join(path) }
}

/// As Go decodes it: line breaks anywhere do not count, and the padding has to be there.
fn base64(text: &str, field: impl Fn() -> String) -> Result<Secret<Vec<u8>>, Fault> {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
    let text = text.replace(['\r', '\n'], "");
    let data = GeneralPurpose::new(&STANDARD, config).decode(text);
    data.map(Secret::new).map_err(|_not_base64| Fault::Base64 { field: field() })
}
