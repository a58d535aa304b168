//! Bugs that are planted in a build of its own, with the feature `plants`: the soak must catch each. Never shipped.
//!
//! One build has them all, and a variable says which of them is there: to build the agent once for each takes minutes.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// An element is published before its region is filled.
    PublishBeforeFill,
    /// The bits of the Bloom filter are written some milliseconds after the element.
    FilterAfterElement,
    /// Programs that rewrite what a client sends are attached before those that rewrite what it receives.
    ReadersLast,
    /// An agent that goes on with maps gives out service ids from the first one on.
    IdsRestart,
    /// Larger maps and other layout versions begin without the clients of Services with session affinity.
    AffinityNotCarried,
}

impl Plant {
    pub const ALL: [Self; 5] = [
        Self::PublishBeforeFill,
        Self::FilterAfterElement,
        Self::ReadersLast,
        Self::IdsRestart,
        Self::AffinityNotCarried,
    ];

    /// As the variable names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PublishBeforeFill => "publish-before-fill",
            Self::FilterAfterElement => "filter-after-element",
            Self::ReadersLast => "readers-last",
            Self::IdsRestart => "ids-restart",
            Self::AffinityNotCarried => "affinity-not-carried",
        }
    }
}

/// Names the bug that is there.
pub const VARIABLE: &str = "EDGELOOP_PLANT";

/// Whether this bug is there.
#[cfg(feature = "plants")]
pub(crate) fn has(plant: Plant) -> bool {
    static PLANTED: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var(VARIABLE).ok());
    PLANTED.as_deref() == Some(plant.name())
}

/// Never in what is shipped.
#[cfg(not(feature = "plants"))]
pub(crate) const fn has(_plant: Plant) -> bool {
    false
}

/// So that what the bug leads to lasts: a client is to meet it within seconds.
pub(crate) fn linger_if(plant: Plant) {
    if has(plant) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
