//! One allocation for each name, however many objects repeat it.

use std::collections::HashSet;
use std::sync::Arc;

/// Hands out shared strings. A node is named by each of its endpoints, a namespace by each of
/// its objects.
#[derive(Debug, Default)]
pub struct Interner {
    known: HashSet<Arc<str>>,
    /// Names that are not used any more are dropped when there are this many.
    tidy_at: usize,
}

impl Interner {
    pub fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.tidy_at {
            self.known.retain(|name| Arc::strong_count(name) > 1);
            self.tidy_at = 2 * self.known.len().max(512);
        }
        let new: Arc<str> = text.into();
        self.known.insert(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_stored_once() {
        let mut names = Interner::default();
        let first = names.share("edge-node2");
        assert!(Arc::ptr_eq(&first, &names.share("edge-node2")));
        assert!(!Arc::ptr_eq(&first, &names.share("edge-node3")));
    }

    #[test]
    fn names_out_of_use_do_not_pile_up() {
        let mut names = Interner::default();
        let kept = names.share("kept");
        for number in 0..10_000 {
            names.share(&format!("pod-{number}"));
        }
        assert!(names.known.len() <= 1024, "{} names are held", names.known.len());
        assert!(Arc::ptr_eq(&kept, &names.share("kept")));
    }
}
