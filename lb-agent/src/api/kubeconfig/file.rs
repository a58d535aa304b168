//! The fields of a kubeconfig that are read, by their names. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// An entry with a name.
pub(super) trait Named {
    fn name(&self) -> &str;
}

/// A list in which null is an empty item, as Go reads it.
#[derive(Default)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let items = Vec::<Option<T>>::deserialize(from)?;
        Ok(Self(items.into_iter().map(Option::unwrap_or_default).collect()))
    }
}

/// Fields by their names. serde takes them from a list as well, one after the other, and Go does not.
#[derive(Default)]
pub(super) struct Fields<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Fields<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(FieldsVisitor(PhantomData))
    }
}

struct FieldsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FieldsVisitor<T> {
    type Value = Fields<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fields by their names")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Fields<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Fields)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct File {
    pub(super) kind: String,
    #[serde(rename = "apiVersion")]
    pub(super) api_version: String,
    pub(super) clusters: List<Fields<NamedCluster>>,
    pub(super) users: List<Fields<NamedUser>>,
    pub(super) contexts: List<Fields<NamedContext>>,
    pub(super) current_context: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NamedCluster {
    name: String,
    pub(super) cluster: Fields<ClusterFile>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct ClusterFile {
    pub(super) server: String,
    pub(super) tls_server_name: String,
    pub(super) insecure_skip_tls_verify: ServerCheck,
    pub(super) certificate_authority: String,
    pub(super) certificate_authority_data: String,
    pub(super) proxy_url: String,
    pub(super) disable_compression: bool,
    pub(super) extensions: List<Fields<Extension>>,
}

/// Whether the server's certificate matters: `insecure-skip-tls-verify`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "bool", into = "bool")]
pub(crate) enum ServerCheck {
    #[default]
    Certificate,
    Skipped,
}

impl From<bool> for ServerCheck {
    fn from(is_skipped: bool) -> Self {
        if is_skipped { Self::Skipped } else { Self::Certificate }
    }
}

impl From<ServerCheck> for bool {
    fn from(check: ServerCheck) -> Self {
        check == ServerCheck::Skipped
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Extension {
    pub(super) name: String,
    pub(super) extension: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NamedContext {
    name: String,
    pub(super) context: Fields<ContextFile>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ContextFile {
    pub(super) cluster: String,
    pub(super) user: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NamedUser {
    name: String,
    pub(super) user: Fields<UserFile>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct UserFile {
    pub(super) client_certificate: String,
    pub(super) client_certificate_data: String,
    pub(super) client_key: String,
    pub(super) client_key_data: String,
    pub(super) token: String,
    #[serde(rename = "tokenFile")]
    pub(super) token_file: String,
    pub(super) username: String,
    pub(super) password: String,
    #[serde(rename = "as")]
    pub(super) impersonate: String,
    pub(super) as_uid: String,
    pub(super) as_groups: List<String>,
    pub(super) as_user_extra: BTreeMap<String, List<String>>,
    pub(super) auth_provider: Option<Fields<AuthProvider>>,
    pub(super) exec: Option<Fields<ExecFile>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AuthProvider {
    pub(super) name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ExecFile {
    pub(super) command: String,
    pub(super) args: List<String>,
    pub(super) env: List<Fields<Pair>>,
    pub(super) api_version: String,
    pub(super) install_hint: String,
    pub(super) provide_cluster_info: bool,
    pub(super) interactive_mode: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) value: String,
}

macro_rules! named {
    ($($entry:ty),*) => {
        $(impl Named for $entry {
            fn name(&self) -> &str {
                &self.name
            }
        })*
    };
}

named!(NamedCluster, NamedUser, NamedContext);
