//! Which batches are done: a bit each, so that memory hardly depends on the lifetime.

use crate::plan::Batches;
use crate::units::BatchIndex;

#[derive(Debug)]
pub(super) struct DoneSet {
    words: Vec<u64>,
    done: u64,
}

impl DoneSet {
    pub(super) fn none(batches: &Batches) -> Self {
        Self {
            words: vec![0; batches.count().div_ceil(64) as usize],
            done: 0,
        }
    }

    /// Notes the batch at this position, which must not have been noted before.
    pub(super) fn insert(&mut self, position: usize) {
        self.words[position / 64] |= 1 << (position % 64);
        self.done += 1;
    }

    pub(super) fn count(&self) -> u64 {
        self.done
    }

    pub(super) fn pending<'a>(&'a self, batches: &Batches) -> impl Iterator<Item = BatchIndex> + use<'a> {
        let all = batches.all().enumerate();
        all.filter(|(position, _)| self.words[position / 64] >> (position % 64) & 1 == 0)
            .map(|(_, batch)| batch)
    }
}
