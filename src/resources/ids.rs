//! The ids that a trace has given out. They follow each other, so that there is one run of them, whatever their number.

use std::collections::BTreeMap;

/// A set of ids, kept as runs.
#[derive(Default)]
pub(super) struct Ids {
    /// The last id of each run, by its first.
    runs: BTreeMap<u64, u64>,
}

impl Ids {
    pub(super) fn contains(&self, id: u64) -> bool {
        let run = self.runs.range(..=id).next_back();
        run.is_some_and(|(_, &last)| id <= last)
    }

    /// How many runs it is.
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Whether it was not in the set before.
    pub(super) fn insert(&mut self, id: u64) -> bool {
        if self.contains(id) {
            return false;
        }
        let last = match id.checked_add(1).and_then(|next| self.runs.remove(&next)) {
            Some(last) => last,
            None => id,
        };
        match self.runs.range_mut(..id).next_back() {
            Some((_, end)) if end.checked_add(1) == Some(id) => *end = last,
            _ => {
                self.runs.insert(id, last);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a plain set, with ids in an order that joins and splits runs.
    #[test]
    fn a_set_of_ids_holds_what_was_put_into_it_and_is_one_run_for_ids_in_a_row() {
        let mut ids = Ids::default();
        let mut plain = std::collections::BTreeSet::new();
        for step in 0..4000_u64 {
            let id = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55;
            assert_eq!(ids.insert(id), plain.insert(id), "step {step}");
            assert!(
                (0..512).all(|id| ids.contains(id) == plain.contains(&id)),
                "step {step}"
            );
        }
        assert!(plain.len() > 500 && ids.runs.len() < 10);
        let mut in_a_row = Ids::default();
        assert!((1..100_000).all(|id| in_a_row.insert(id)));
        assert_eq!(in_a_row.runs, BTreeMap::from([(1, 99_999)]));
    }
}
