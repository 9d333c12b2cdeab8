//! How a key came to be: what is remembered of the runs, and what has become of each batch.

use std::ops::Range;
use std::path::Path;

use crate::error::Result;
use crate::files::allocated_bytes_of_directory;
use crate::history::{KeyHistory, RunCommand, of_key};
use crate::keydir::{KeyDir, KeyState};
use crate::plan::Plan;
use crate::state::Store;
use crate::time::time_of_day_ms;
use crate::units::BatchIndex;

/// Most cells of a map: as many as can be told apart in a drawing that a page has room for.
const CELLS_MAX: u64 = 2048;

/// What has become of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BatchState {
    /// It is on disk with its checkpoint.
    Done,
    /// So it is, and it was begun once before: it was in flight when a run ended without order.
    Redone,
    /// So it is, and it was found damaged before.
    Repaired,
    /// It has no checkpoint.
    NotDone,
    /// It has none, and the job that is running has begun it.
    InProgress,
    /// It has none, since it was found damaged.
    Damaged,
}

impl BatchState {
    /// All of them, the worst last.
    pub const ALL: [Self; 6] = [
        Self::Done,
        Self::Redone,
        Self::Repaired,
        Self::NotDone,
        Self::InProgress,
        Self::Damaged,
    ];
}

/// How many batches are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts([u64; BatchState::ALL.len()]);

impl StateCounts {
    /// Those in this state.
    pub fn of(&self, state: BatchState) -> u64 {
        self.0[state as usize]
    }

    /// The states that occur, the worst first, and how often.
    pub fn worst_first(&self) -> impl Iterator<Item = (BatchState, u64)> {
        let counted = BatchState::ALL.into_iter().rev().map(|state| (state, self.of(state)));
        counted.filter(|(_, count)| *count > 0)
    }
}

/// Every batch of a key, a number of neighbours to a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchMap {
    /// All batches.
    pub batches: Range<u64>,
    /// Batches in a cell; a power of two. The last cell can have fewer.
    pub cell_batches: u64,
    /// What is in each cell.
    pub cells: Vec<StateCounts>,
    /// What is in all of them.
    pub total: StateCounts,
}

impl BatchMap {
    /// Draws the map of these batches. `recorded` gives those with a checkpoint in order; those up to `begun` that have none
    /// are in progress.
    ///
    /// # Errors
    /// The first one that `recorded` gives.
    pub fn draw<E>(
        batches: Range<u64>,
        recorded: impl Iterator<Item = Result<u64, E>>,
        history: &KeyHistory,
        begun: Option<u64>,
    ) -> Result<Self, E> {
        let count = batches.end - batches.start;
        let cell_batches = count.div_ceil(CELLS_MAX).next_power_of_two();
        let mut map = Self {
            cells: vec![StateCounts::default(); count.div_ceil(cell_batches) as usize],
            total: StateCounts::default(),
            cell_batches,
            batches,
        };
        let mut recorded = recorded.peekable();
        for batch in map.batches.clone() {
            while recorded
                .next_if(|found| found.as_ref().is_ok_and(|found| *found < batch))
                .is_some()
            {}
            let is_recorded = recorded.next_if(|found| !found.as_ref().is_ok_and(|found| *found > batch));
            let is_damaged = history.damaged.contains(BatchIndex(batch));
            let state = match is_recorded.transpose()? {
                Some(_) if is_damaged => BatchState::Repaired,
                Some(_) if history.redone.contains(BatchIndex(batch)) => BatchState::Redone,
                Some(_) => BatchState::Done,
                None if is_damaged => BatchState::Damaged,
                None if begun.is_some_and(|begun| batch <= begun) => BatchState::InProgress,
                None => BatchState::NotDone,
            };
            let cell = (batch - map.batches.start) / cell_batches;
            map.cells[cell as usize].0[state as usize] += 1;
            map.total.0[state as usize] += 1;
        }
        Ok(map)
    }

    /// The batches of a cell.
    pub fn range(&self, cell: usize) -> Range<u64> {
        let first = self.batches.start + cell as u64 * self.cell_batches;
        first..(first + self.cell_batches).min(self.batches.end)
    }
}

/// A key and how it came to be.
#[derive(Clone, Debug)]
pub struct KeyReport {
    /// When this was told, in milliseconds since 1970.
    pub drawn_unix_ms: u64,
    /// What the key is.
    pub plan: Plan,
    /// Its identifier.
    pub key_id: String,
    /// Whether it is finished.
    pub state: KeyState,
    /// The public key, once there is one.
    pub public_key: Option<Vec<u8>>,
    /// The process that is writing, if one is.
    pub writer: Option<String>,
    /// Bytes that the directory's files occupy on disk.
    pub disk_bytes: u64,
    /// What is remembered; without samples and runs if nothing ever was.
    pub history: KeyHistory,
    /// Why what is remembered cannot be read, if it cannot.
    pub history_damage: Option<String>,
    /// Its batches.
    pub map: BatchMap,
}

impl KeyReport {
    /// Whether a job is making the key right now.
    pub fn is_running(&self) -> bool {
        self.writer.is_some() && self.history.runs.last().is_some_and(|run| run.end.is_none())
    }
}

/// Tells how a key came to be. Takes no lock and writes nothing; works beside a running job.
///
/// # Errors
/// [`Error`](crate::Error) if it is not a key directory, or its checkpoints cannot be read.
pub fn report(directory: &Path) -> Result<KeyReport> {
    let key = KeyDir::open(directory)?;
    let writer = key.writer();
    let manifest = key.manifest();
    let batches = manifest.plan().batches();
    let (history, history_damage) = of_key(&key.paths().history());
    let last = history.runs.last();
    let job = last.filter(|run| run.command == RunCommand::Keygen && run.end.is_none());
    let begun = job.and_then(|run| run.begun).filter(|_| writer.is_some());
    let map = Store::read_beside_a_writer(&key.paths().state(), &manifest.binding(), |store| {
        BatchMap::draw(batches.indices(), store.recorded_batches()?, &history, begun)
    })?;
    Ok(KeyReport {
        drawn_unix_ms: time_of_day_ms(),
        plan: manifest.plan().clone(),
        key_id: manifest.key_id().to_string(),
        state: manifest.state(),
        public_key: manifest.public_key(),
        writer,
        disk_bytes: allocated_bytes_of_directory(key.paths().directory().absolute())?,
        history,
        history_damage,
        map,
    })
}
