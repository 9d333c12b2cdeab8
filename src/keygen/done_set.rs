//! Which batches are done, or are something else: a bit each, so that memory hardly depends on the lifetime.

use crate::plan::Batches;
use crate::units::BatchIndex;

/// A set of batches, kept by their positions.
#[derive(Clone, Debug)]
pub(crate) struct DoneSet {
    words: Vec<u64>,
    done: u64,
}

impl DoneSet {
    pub(crate) fn none(batches: &Batches) -> Self {
        Self {
            words: vec![0; batches.count().div_ceil(64) as usize],
            done: 0,
        }
    }

    /// Notes the batch at this position.
    pub(crate) fn insert(&mut self, position: usize) {
        let (word, bit) = (&mut self.words[position / 64], 1 << (position % 64));
        self.done += u64::from(*word & bit == 0);
        *word |= bit;
    }

    /// Forgets the batch at this position.
    pub(super) fn remove(&mut self, position: usize) {
        let (word, bit) = (&mut self.words[position / 64], 1 << (position % 64));
        self.done -= u64::from(*word & bit != 0);
        *word &= !bit;
    }

    pub(crate) fn count(&self) -> u64 {
        self.done
    }

    pub(crate) fn noted<'a>(&'a self, batches: &Batches) -> impl Iterator<Item = BatchIndex> + use<'a> {
        let all = batches.all().enumerate();
        all.filter(|(position, _)| self.has(*position)).map(|(_, batch)| batch)
    }

    pub(crate) fn pending<'a>(&'a self, batches: &Batches) -> impl Iterator<Item = BatchIndex> + use<'a> {
        let all = batches.all().enumerate();
        all.filter(|(position, _)| !self.has(*position)).map(|(_, batch)| batch)
    }

    pub(super) fn has(&self, position: usize) -> bool {
        self.words[position / 64] >> (position % 64) & 1 == 1
    }
}
