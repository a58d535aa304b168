//! Creating and changing objects by the thousand.

use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use serde_json::Value;
use tokio::task::JoinSet;

use super::api::{Api, request};
use super::objects::{self, Patch};

impl Api {
    /// Creates all of them, so many at a time.
    pub fn create_all(
        &self,
        objects: impl Iterator<Item = Value> + Send + 'static,
        at_once: usize,
        within: Duration,
    ) -> Result<()> {
        let client = self.client();
        self.run_within(within, async move {
            let mut running = JoinSet::new();
            for object in objects {
                if running.len() >= at_once
                    && let Some(done) = running.join_next().await
                {
                    done??;
                }
                let path = objects::collection(&object)?;
                let request = request(Method::POST, &path, None, Some(&object))?;
                let client = client.clone();
                running.spawn(async move {
                    let answer = client.request_text(request).await;
                    answer.map(drop).with_context(|| format!("could not create {object}"))
                });
            }
            while let Some(done) = running.join_next().await {
                done??;
            }
            Ok(())
        })?
    }

    /// Changes parts of an object, in a future of [`run`](Self::run).
    pub async fn change(&self, path: &str, how: Patch, patch: &Value) -> Result<()> {
        let request = request(Method::PATCH, path, Some(how), Some(patch))?;
        let answer = self.client().request_text(request).await;
        answer.map(drop).with_context(|| format!("could not change {path}"))
    }
}
