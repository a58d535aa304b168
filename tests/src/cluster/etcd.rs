//! What is asked of etcd itself.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::parts::ETCD_PORT;
use super::{Api, Cluster};

impl Cluster {
    /// Makes etcd forget every version but the last.
    pub fn compact(&self) -> Result<()> {
        let server = format!("http://127.0.0.1:{ETCD_PORT}");
        let etcd = Api::new(&self.netns, &server, self.authority.der(), "")?;
        // Keys are in base64; no object has this one, and the answer says how far etcd is.
        let now = etcd.post("/v3/kv/range", &json!({"key": "AA=="}))?;
        let revision = now.pointer("/header/revision").and_then(Value::as_str).context("no revision")?;
        etcd.post("/v3/kv/compaction", &json!({"revision": revision, "physical": true}))?;
        Ok(())
    }
}
