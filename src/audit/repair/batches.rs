//! Which batches are damaged, and computing exactly those again.

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::Repair;
use crate::audit::batches::WINDOW_BATCHES;
use crate::audit::tree::Tree;
use crate::error::{Reason, Result};
use crate::history::{RunCommand, RunEnd};
use crate::keydir::KeyState;
use crate::keygen::{BatchComputer, Checked, DoneSet, Event, History, NoProgress, Progress, Rounds, disk_unreliable};
use crate::plan::Batches;
use crate::state::{BatchRecord, Store};
use crate::units::BatchIndex;
use keymill_xmss::arena::ArenaOverflow;

/// What is to be done about a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It agrees with its record and with itself.
    Sound,
    /// It has to be computed again.
    Damaged,
    /// It agrees with itself but has no record: whether it is this key's is for the root to say.
    Unproven,
    /// It has not been made yet.
    Left,
}

/// What all batches of a key are like.
pub(super) struct Survey {
    /// Batches that are kept as they are: all but the damaged ones.
    pub(super) kept: DoneSet,
    /// Batches that have a record, or get one when they are computed: all but those that agree with themselves and have none.
    pub(super) recorded: DoneSet,
    /// Batches that keygen has to make.
    pub(super) left: u64,
    /// Batches that have a record and agree with it.
    pub(super) sound: u64,
}

impl Repair<'_> {
    pub(super) fn survey(&self) -> Result<Survey> {
        let batches = self.tree.plan().batches();
        let mut survey = Survey {
            kept: DoneSet::none(batches),
            recorded: DoneSet::none(batches),
            left: 0,
            sound: 0,
        };
        self.each_verdict(batches.all(), |position, verdict| {
            if verdict != Verdict::Damaged {
                survey.kept.insert(position);
            }
            if verdict != Verdict::Unproven {
                survey.recorded.insert(position);
            }
            survey.left += u64::from(verdict == Verdict::Left);
            survey.sound += u64::from(verdict == Verdict::Sound);
        })?;
        Ok(survey)
    }

    /// Computes the batches that are not in the set, writes them, and makes sure that they stay. This is what the key's
    /// history has of a repair.
    pub(super) fn recompute_all_but(&mut self, kept: &DoneSet, sound: u64) -> Result<()> {
        if kept.count() == self.tree.plan().batches().count() {
            return Ok(());
        }
        let file = self.tree.key.paths().history();
        let history = History::begin(file, RunCommand::Repair, self.memory, &NoProgress);
        let outcome = self.recompute(kept, sound, &history);
        history.end(outcome.as_ref().map_or_else(RunEnd::from, |()| RunEnd::Finished));
        outcome
    }

    fn recompute(&mut self, kept: &DoneSet, sound: u64, progress: &dyn Progress) -> Result<()> {
        let tree = self.tree;
        let batches = tree.plan().batches();
        self.report.batches_recomputed.extend(kept.pending(batches));
        let computer = BatchComputer {
            manifest: tree.manifest(),
            kernel: tree.kernel,
            prf_key: self.prf_key,
            cancel: self.cancel,
            progress,
        };
        let rounds = Rounds {
            computer: &computer,
            memory: self.memory,
            workers: self.workers,
            store: self.store,
        };
        let (mut kept, mut is_surveyed) = (kept.clone(), true);
        self.with_writer(|repair, writer| {
            rounds.fill(writer, |_| {
                if !std::mem::take(&mut is_surveyed) {
                    kept = repair.kept_or_sound(&kept, batches)?;
                }
                kept.pending(batches)
                    .for_each(|batch| progress.event(Event::Damaged { batch }));
                repair.withdraw_records(kept.pending(batches))?;
                Ok(Checked {
                    kept: kept.clone(),
                    batches_done: sound,
                })
            })
        })?;
        Ok(())
    }

    /// Removes the records of batches that are to be computed again: until these are synced, nothing may vouch for them.
    fn withdraw_records(&self, damaged: impl Iterator<Item = BatchIndex>) -> Result<()> {
        let known = damaged.filter_map(|batch| {
            let is_known = self.go_on().and_then(|()| match self.store.batch(batch) {
                Err(error) if error.reason() == Reason::Damaged => Ok(true),
                found => Ok(found?.is_some()),
            });
            is_known
                .map(|is_known| is_known.then(|| Store::batch_key(batch)))
                .transpose()
        });
        self.store.remove_batches(known)?;
        Ok(())
    }

    /// The trusted batches, and of all others those whose nodes are what the secret gives.
    pub(super) fn trusted_or_right(&self, trusted: &DoneSet) -> Result<DoneSet> {
        let batches = self.tree.plan().batches();
        let deep = Tree {
            prf_key: Some(self.prf_key),
            ..*self.tree
        };
        let mut right = trusted.clone();
        let mut suspects = trusted.pending(batches).peekable();
        while suspects.peek().is_some() {
            // As few as can be computed side by side, so that a signal is answered soon.
            self.go_on()?;
            let window: Vec<BatchIndex> = suspects.by_ref().take(self.workers.count()).collect();
            let found = self.workers.install(|| {
                let found = window.par_iter().map(|batch| deep.batch(*batch, None));
                found.collect::<Result<Vec<_>, _>>()
            })?;
            let found = window
                .into_iter()
                .zip(found)
                .filter(|(_, found)| found.damage.is_empty());
            let positions = found.filter_map(|(batch, _)| batches.position(batch));
            positions.for_each(|position| right.insert(position));
        }
        Ok(right)
    }

    /// The batches that were kept, and of all others those that agree with their records now.
    fn kept_or_sound(&self, kept: &DoneSet, batches: &Batches) -> Result<DoneSet> {
        let mut now = kept.clone();
        self.each_verdict(kept.pending(batches), |position, verdict| {
            if verdict == Verdict::Sound {
                now.insert(position);
            }
        })?;
        Ok(now)
    }

    /// Gives the sound batches that are not in the set a record of what is in their files.
    pub(super) fn renew_records(&mut self, recorded: &DoneSet) -> Result<()> {
        let batches = self.tree.plan().batches();
        let mut progress = self.store.progress()?;
        let mut pending = recorded.pending(batches).peekable();
        if pending.peek().is_some() {
            // Nodes that are right need not have been made durable when they were written.
            self.sync_levels(self.tree.plan().geometry().stored_levels())?;
        }
        while pending.peek().is_some() {
            self.go_on()?;
            let window: Vec<BatchIndex> = pending.by_ref().take(WINDOW_BATCHES).collect();
            let found = self.workers.install(|| {
                let found = window.par_iter();
                let found = found.map(|batch| Ok((*batch, self.tree.batch(*batch, None)?)));
                found.collect::<Result<Vec<_>, ArenaOverflow>>()
            })?;
            if found.iter().any(|(_, found)| !found.damage.is_empty()) {
                // It was sound when the root was folded.
                return Err(disk_unreliable(self.tree.key.path(), 1));
            }
            let records: Vec<_> = found.into_iter().map(|(batch, found)| (batch, found.record)).collect();
            progress.batches_done += records.len() as u64;
            self.store.commit_batches(&records, &progress)?;
            self.report.batch_records_renewed += records.len() as u64;
        }
        Ok(())
    }

    fn each_verdict(
        &self,
        batches: impl Iterator<Item = BatchIndex>,
        mut note: impl FnMut(usize, Verdict),
    ) -> Result<()> {
        let tree = self.tree;
        let mut batches = batches.peekable();
        while batches.peek().is_some() {
            self.go_on()?;
            let window = batches.by_ref().take(WINDOW_BATCHES);
            let window = window.map(|batch| Ok((batch, self.entry(batch)?)));
            let window: Vec<(BatchIndex, Entry)> = window.collect::<Result<_>>()?;
            let verdicts = self.workers.install(|| {
                let verdicts = window.par_iter();
                let verdicts = verdicts.map(|(batch, entry)| Ok((*batch, verdict(tree, *batch, entry)?)));
                verdicts.collect::<Result<Vec<_>, ArenaOverflow>>()
            })?;
            for (batch, verdict) in verdicts {
                if let Some(position) = tree.plan().batches().position(batch) {
                    note(position, verdict);
                }
            }
        }
        Ok(())
    }

    fn entry(&self, batch: BatchIndex) -> Result<Entry> {
        match self.store.batch(batch) {
            Ok(Some(record)) if self.tree.fits(&record) => Ok(Entry::Record(record)),
            // The whole store has been read, so this is not damage of the store: a program wrote what is not a record.
            Ok(Some(_)) => Ok(Entry::Unusable),
            Err(error) if error.reason() == Reason::Damaged => Ok(Entry::Unusable),
            Ok(None) => Ok(Entry::None),
            Err(error) => Err(error),
        }
    }
}

fn verdict(tree: &Tree<'_>, batch: BatchIndex, entry: &Entry) -> Result<Verdict, ArenaOverflow> {
    let (record, if_sound) = match (entry, tree.manifest().state()) {
        (Entry::Record(record), _) => (Some(record), Verdict::Sound),
        (Entry::None, KeyState::Generating) => return Ok(Verdict::Left),
        (Entry::None | Entry::Unusable, KeyState::Sealed) => (None, Verdict::Unproven),
        (Entry::Unusable, KeyState::Generating) => return Ok(Verdict::Damaged),
    };
    if tree.batch(batch, record)?.damage.is_empty() {
        Ok(if_sound)
    } else {
        Ok(Verdict::Damaged)
    }
}

/// What the checkpoint store says of a batch.
enum Entry {
    Record(BatchRecord),
    /// There is something under its key that is not a record of a batch of this key.
    Unusable,
    None,
}
