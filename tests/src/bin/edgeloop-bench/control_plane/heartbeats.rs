//! Nodes whose status changes all the time, of which the agent reads labels alone: what that costs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use edgeloop_tests::cluster::Patch;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::contender::Contender;
use super::ground::{AT_ONCE, Ground, PATIENCE};
use super::ours::Ours;
use super::population::{POOLS, labels};
use super::weigh::processor_time;

pub(crate) const NODES: u32 = 1_000;
/// How often the status of each changes: as kubelets that report at every change of theirs. The default is five
/// minutes.
pub(crate) const EVERY: Duration = Duration::from_secs(10);
const DAY: f64 = 86_400.0;
/// What a kubelet calls itself: who set which field is kept with the object, and comes along.
const AS_KUBELET: &str = "fieldManager=kubelet";
/// For the last answers, and for what they set off.
const REST: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Heartbeats {
    /// Megabytes (10^6 bytes) that the API server sends a node for them in a day.
    pub(crate) day: f64,
    /// Bytes for one change of one Node.
    pub(crate) each: f64,
    /// Milliseconds of the agent's processor time in a second.
    pub(crate) processor: f64,
}

/// Makes the Nodes and changes their status, every one `rounds` times.
pub(crate) fn beat(ground: &Ground, ours: &Ours, rounds: u32) -> Result<Heartbeats> {
    let api = ground.cluster.api();
    let nodes = (0..NODES).map(|number| {
        let labels = labels(&name(number), number % POOLS);
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name(number), "labels": labels}})
    });
    api.create_all(nodes, AT_ONCE, PATIENCE).context("could not create the Nodes")?;
    // The first sets all that later ones change.
    change(ground, 1)?;
    let (bytes, time) = (ours.gate().bytes(), processor_time(ours.pid())?);
    change(ground, rounds)?;
    let bytes = (ours.gate().bytes() - bytes) as f64;
    let time = processor_time(ours.pid())?.saturating_sub(time).as_secs_f64();
    let changes = f64::from(rounds * NODES);
    let a_second = f64::from(NODES) / EVERY.as_secs_f64();
    let each = bytes / changes;
    Ok(Heartbeats { day: each * a_second * DAY / 1e6, each, processor: time / changes * a_second * 1e3 })
}

/// Each Node's status `rounds` times, at a steady pace.
fn change(ground: &Ground, rounds: u32) -> Result<()> {
    let api = ground.cluster.api().clone();
    let lasts = EVERY * rounds + PATIENCE;
    ground.cluster.api().run_within(lasts, async move {
        let mut clock = interval(EVERY / NODES);
        clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut running = JoinSet::new();
        for number in (0..rounds).flat_map(|_| 0..NODES) {
            clock.tick().await;
            // An API server that lags behind this pace is not given ever more at a time.
            while running.len() >= AT_ONCE
                && let Some(done) = running.join_next().await
            {
                done??;
            }
            let api = api.clone();
            let path = format!("/api/v1/nodes/{}/status?{AS_KUBELET}", name(number));
            running
                .spawn(async move { api.change(&path, Patch::Strategic, &status(SystemTime::now())).await });
            while let Some(done) = running.try_join_next() {
                done??;
            }
        }
        while let Some(done) = running.join_next().await {
            done??;
        }
        tokio::time::sleep(REST).await;
        anyhow::Ok(())
    })?
}

fn name(number: u32) -> String {
    format!("beats-{number}")
}

/// The part of a status that a kubelet sends with each change.
fn status(now: SystemTime) -> Value {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() % 86_400);
    let time = format!("2026-11-27T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let conditions = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"];
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|kind| {
            json!({
                "type": kind, "status": if *kind == "Ready" { "True" } else { "False" },
                "reason": "KubeletHasWhatItNeeds", "message": "the kubelet has what it needs",
                "lastHeartbeatTime": time, "lastTransitionTime": "2026-11-27T00:00:00Z",
            })
        })
        .collect();
    json!({"status": {
        "conditions": conditions,
        "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "60Gi"},
        "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "60Gi"},
        "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_when_it_was_sent() {
        let status = status(UNIX_EPOCH + Duration::from_secs(86_400 + 3_723));
        assert_eq!(status["status"]["conditions"][3]["lastHeartbeatTime"], "2026-11-27T01:02:03Z");
    }
}
