//! Kubernetes objects as they are written, as far as anything of them is read here.
//!
//! A tenth of an object matters; the rest is passed over while it is read, so that no source
//! ever holds it. Absent and `null` are the same everywhere, and `null` as the item of a list or as a
//! label's value is the zero of its type, as it is to Go.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Labels, annotations, or the like: few of them are read, so each is looked at when it is.
pub type Labels = BTreeMap<String, Text>;

/// A value that should be a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    Read(String),
    /// A number, a boolean or something larger.
    Odd,
}

/// Of a slice.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct Metadata {
    pub name: Option<String>,
    pub namespace: Option<String>,
    pub labels: Option<Labels>,
    /// The annotation [`LAST_CHANGE`]. Nothing is decided by annotations of slices, so that none can be wrong.
    #[serde(rename = "annotations", deserialize_with = "last_change")]
    pub last_change: Option<String>,
}

/// When a change came about that led to this slice: what Kubernetes' `network_programming_duration_seconds` counts from.
const LAST_CHANGE: &str = "endpoints.kubernetes.io/last-change-trigger-time";

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an object")]
pub struct ServiceMetadata {
    pub name: Option<String>,
    pub namespace: Option<String>,
    pub uid: Option<Text>,
    pub creation_timestamp: Option<Time>,
    pub labels: Option<Labels>,
    pub annotations: Option<Labels>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct NodeMetadata {
    pub name: Option<String>,
    pub labels: Option<Labels>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct NamespaceMetadata {
    pub name: Option<String>,
    pub labels: Option<Labels>,
    pub annotations: Option<Labels>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct PodMetadata {
    pub name: Option<String>,
    pub namespace: Option<String>,
    pub uid: Option<Text>,
    pub labels: Option<Labels>,
    pub annotations: Option<Labels>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct Service {
    #[serde(deserialize_with = "null_is_absent")]
    pub metadata: ServiceMetadata,
    pub spec: Option<ServiceSpec>,
    pub status: Option<ServiceStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an object")]
pub struct ServiceSpec {
    #[serde(rename = "type")]
    pub type_: Option<String>,
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs", deserialize_with = "items")]
    pub cluster_ips: Option<Vec<String>>,
    #[serde(deserialize_with = "items")]
    pub ports: Option<Vec<ServicePort>>,
    pub internal_traffic_policy: Option<String>,
    pub session_affinity: Option<String>,
    pub session_affinity_config: Option<SessionAffinityConfig>,
    #[serde(rename = "externalIPs", deserialize_with = "items")]
    pub external_ips: Option<Vec<String>>,
    #[serde(deserialize_with = "items")]
    pub load_balancer_source_ranges: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an object")]
pub struct ServicePort {
    pub name: Option<String>,
    pub protocol: Option<String>,
    #[serde(deserialize_with = "null_is_absent")]
    pub port: i32,
    pub node_port: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct SessionAffinityConfig {
    #[serde(rename = "clientIP")]
    pub client_ip: Option<ClientIp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an object")]
pub struct ClientIp {
    pub timeout_seconds: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an object")]
pub struct ServiceStatus {
    pub load_balancer: Option<LoadBalancer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct LoadBalancer {
    #[serde(deserialize_with = "items")]
    pub ingress: Option<Vec<Ingress>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an object")]
pub struct Ingress {
    pub ip: Option<String>,
    pub ip_mode: Option<String>,
}

/// The metadata alone, or the whole object.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct Pod {
    #[serde(deserialize_with = "null_is_absent")]
    pub metadata: PodMetadata,
    pub spec: Option<PodSpec>,
    pub status: Option<PodStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an object")]
pub struct PodSpec {
    pub node_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct PodStatus {
    pub phase: Option<String>,
}

/// The metadata alone, or the whole object.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct Namespace {
    #[serde(deserialize_with = "null_is_absent")]
    pub metadata: NamespaceMetadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an object")]
pub struct EndpointSlice {
    #[serde(deserialize_with = "null_is_absent")]
    pub metadata: Metadata,
    #[serde(deserialize_with = "null_is_absent")]
    pub address_type: String,
    #[serde(deserialize_with = "items")]
    pub endpoints: Option<Vec<Endpoint>>,
    #[serde(deserialize_with = "items")]
    pub ports: Option<Vec<EndpointPort>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct EndpointPort {
    pub name: Option<String>,
    pub protocol: Option<String>,
    pub port: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an object")]
pub struct Endpoint {
    #[serde(deserialize_with = "items")]
    pub addresses: Option<Vec<String>>,
    pub conditions: Option<EndpointConditions>,
    pub node_name: Option<String>,
    /// Of `v1beta1` alone.
    pub topology: Option<Labels>,
    pub hints: Option<EndpointHints>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct EndpointConditions {
    pub ready: Option<bool>,
    pub serving: Option<bool>,
    pub terminating: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an object")]
pub struct EndpointHints {
    #[serde(deserialize_with = "items")]
    pub for_zones: Option<Vec<Hint>>,
    #[serde(deserialize_with = "items")]
    pub for_nodes: Option<Vec<Hint>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct Hint {
    #[serde(deserialize_with = "null_is_absent")]
    pub name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub struct Node {
    #[serde(deserialize_with = "null_is_absent")]
    pub metadata: NodeMetadata,
}

fn null_is_absent<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn last_change<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let annotations = serde_json::Value::deserialize(from)?;
    Ok(annotations.get(LAST_CHANGE).and_then(serde_json::Value::as_str).map(str::to_owned))
}

/// `null` in a list is the zero of what it is a list of.
fn items<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let written: Option<Vec<Option<T>>> = Option::deserialize(from)?;
    Ok(written.map(|items| items.into_iter().map(Option::unwrap_or_default).collect()))
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text::Read(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Text, E> {
        Ok(Text::Read(text))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text::Read(String::new()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text::Odd)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
        Ok(Text::Odd)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
        Ok(Text::Odd)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
        Ok(Text::Odd)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text::Odd)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Text, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::Odd)
    }
}
