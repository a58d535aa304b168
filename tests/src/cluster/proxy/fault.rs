//! What can go wrong on the way.

use super::Upstream;

/// What a [`Proxy`](super::Proxy) does with what passes it. All but the first three need its
/// [`Front::Http`](super::Front::Http).
#[derive(Clone, Debug)]
pub enum Fault {
    Pass,
    /// Connections stay and new ones are taken, and not a byte comes through: no FIN, no RST. What was held
    /// back goes on when this is followed by [`Fault::Pass`].
    Freeze,
    /// Connections are cut, and new ones refused.
    Drop,
    /// Every request is answered with this code.
    Answer {
        code: u16,
        /// Seconds.
        retry_after: Option<u32>,
    },
    /// The API server's answer ends after so many bytes of its body.
    HalfBody(usize),
    /// Every request is answered with 200 and what is no JSON.
    Garbage,
    /// Another API server answers.
    Other(Upstream),
    /// Wherever the first text stands in an answer, the second, of the same length, does.
    Rewrite {
        from: &'static str,
        to: &'static str,
    },
}

impl Fault {
    /// Whether connections end when this fault is followed by `next`.
    pub(super) fn is_cut_by(&self, next: &Self) -> bool {
        match (self, next) {
            (_, Self::Freeze) | (Self::Freeze | Self::Pass, Self::Pass) => false,
            (_, _) => true,
        }
    }
}
