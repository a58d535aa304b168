//! Which pods the programs skip: the labels say who, the cgroups where, and the map is brought to both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::datapath::maps::bpf::Bpf;
use crate::datapath::pod_cgroups::{PodCgroup, PodCgroups};
use crate::model::ObjectName;
use crate::plan::skips::{Cgroups, SkipSteps, Unwanted};
use crate::shown::chain;
use crate::store::Store;
use crate::view::skips::{SkippedPod, Skips as View};

/// How often the cgroups are looked at, and the map is read back.
const LOOK: Duration = Duration::from_secs(1);
/// The same while no pod is labelled: the map is only read back.
const RARELY: Duration = Duration::from_secs(20);
/// While a pod has no cgroup, which its kubelet makes before all else of it: at first, and later.
const SOON: Duration = Duration::from_millis(20);
const LATER: Duration = Duration::from_millis(250);
/// From when on it is later.
const FRESH: Duration = Duration::from_secs(10);
/// How often it is looked for where no pods are known to lie, at first; twice as long each time.
const EVERYWHERE: Duration = Duration::from_secs(1);
const EVERYWHERE_AT_MOST: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Skips {
    cgroups: PodCgroups,
    /// By uid.
    pods: BTreeMap<Arc<str>, Labelled>,
    /// `None` until it was done once.
    look_at: Option<Instant>,
    /// When the labels changed last.
    news_at: Instant,
    /// When the whole hierarchy is searched next, and how long that wait is in all.
    everywhere: (Instant, Duration),
    view: Arc<View>,
}

#[derive(Debug)]
struct Labelled {
    name: ObjectName,
    cgroup: Option<PodCgroup>,
}

impl Skips {
    pub(super) fn new(cgroups: PodCgroups, now: Instant) -> Self {
        let (look_at, news_at, everywhere) = (None, now, (now, EVERYWHERE));
        Self { cgroups, pods: BTreeMap::new(), look_at, news_at, everywhere, view: Arc::default() }
    }

    /// How long the writer may sleep.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        self.look_at.map_or(Duration::MAX, |at| at.saturating_duration_since(now))
    }

    pub(super) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Brings the map to what the labels say, when anything of it has changed or it is time to look.
    pub(super) fn bring(&mut self, store: &mut Store, kernel: &mut Bpf, now: Instant) {
        if store.take_skip_news() {
            self.take(store.skipped_pods());
            (self.news_at, self.look_at, self.everywhere) = (now, None, (now, EVERYWHERE));
        }
        if self.look_at.is_some_and(|at| now < at) {
            return;
        }
        self.find(now);
        let wanted: Cgroups = self.found().map(|(_, cgroup)| (cgroup.id, cgroup.level)).collect();
        let unwanted = if store.knows_skipped_pods() { Unwanted::Go } else { Unwanted::Stay };
        let done = kernel.skip(&wanted, unwanted).map_err(|error| chain(&error));
        let is_quiet = done.is_ok() && self.pods.is_empty();
        self.say(done);
        self.look_at = Some(now + if is_quiet { RARELY } else { self.wait(now) });
    }

    /// These are labelled now. What is known of the cgroups of those that were before stays. The agent's own pod is never
    /// skipped: its own sockets are let pass anyhow, and its self-test is for every other pod.
    fn take(&mut self, labelled: BTreeMap<Arc<str>, ObjectName>) {
        let mut before = std::mem::take(&mut self.pods);
        let others = labelled.into_iter().filter(|(uid, _)| !self.cgroups.is_own(uid));
        let all = others.map(|(uid, name)| {
            let cgroup = before.remove(&uid).and_then(|pod| pod.cgroup);
            (uid, Labelled { name, cgroup })
        });
        self.pods = all.collect();
    }

    fn find(&mut self, now: Instant) {
        let Self { cgroups, pods, .. } = self;
        let look = |cgroups: &PodCgroups, uid: &str, known: Option<&PodCgroup>| {
            known.and_then(|known| cgroups.again(known)).or_else(|| cgroups.find(uid))
        };
        pods.iter_mut().for_each(|(uid, pod)| pod.cgroup = look(cgroups, uid, pod.cgroup.as_ref()));
        let lacks = pods.values().any(|pod| pod.cgroup.is_none());
        if !lacks || now < self.everywhere.0 {
            return;
        }
        let wait = self.everywhere.1;
        self.everywhere = (now + wait, (wait * 2).min(EVERYWHERE_AT_MOST));
        cgroups.look_everywhere();
        pods.iter_mut().for_each(|(uid, pod)| pod.cgroup = look(cgroups, uid, pod.cgroup.as_ref()));
    }

    fn found(&self) -> impl Iterator<Item = (&ObjectName, &PodCgroup)> {
        self.pods.values().filter_map(|pod| Some((&pod.name, pod.cgroup.as_ref()?)))
    }

    fn wait(&self, now: Instant) -> Duration {
        let lacks = self.pods.values().any(|pod| pod.cgroup.is_none());
        match lacks && self.cgroups.knows_levels() {
            true if now.saturating_duration_since(self.news_at) < FRESH => SOON,
            true => LATER,
            false => LOOK,
        }
    }

    /// Keeps what status shows, and writes to the log what is new in it.
    fn say(&mut self, done: Result<SkipSteps, String>) {
        let trouble = match &done {
            Err(error) => Some(format!("could not say to the programs which pods to skip: {error}")),
            Ok(_) if !self.pods.is_empty() && !self.cgroups.knows_levels() => Some(
                "no labelled pod is skipped: the root of the cgroup2 hierarchy is not seen from here; leave --cgroup out"
                    .to_owned(),
            ),
            Ok(steps) if !steps.left_out.is_empty() => Some(format!(
                "{} labelled pods are not skipped: their cgroups are too many, or lie at too many depths",
                steps.left_out.len()
            )),
            Ok(_) => None,
        };
        let left_out = done.map(|steps| steps.left_out).unwrap_or_default();
        let pods = self.pods.values().map(|pod| {
            let id = pod.cgroup.as_ref().map(|cgroup| cgroup.id);
            SkippedPod { pod: pod.name.to_string(), cgroup: id.filter(|id| !left_out.contains(id)) }
        });
        let now = View { pods: pods.collect(), trouble };
        if *self.view == now {
            return;
        }
        if let Some(trouble) = now.trouble.as_ref().filter(|_| now.trouble != self.view.trouble) {
            tracing::warn!("{trouble}");
        }
        let names = |view: &View| -> Vec<String> {
            let skipped = view.pods.iter().filter(|pod| pod.cgroup.is_some());
            skipped.map(|pod| pod.pod.clone()).collect()
        };
        if names(&now) != names(&self.view) {
            tracing::info!(pods = names(&now).join(", "), "the pods that are skipped have changed");
        }
        self.view = Arc::new(now);
    }
}
