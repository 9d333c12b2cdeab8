//! Rewriting the store in few small files.

use super::StateError;
use super::store::{HISTORY, Store, attempt};

const FLUSH: &str = "flushing";
const COMPACTION: &str = "compaction";
const FLUSH_OF_HISTORY: &str = "flushing the history";
const COMPACTION_OF_HISTORY: &str = "compaction of the history";
/// RocksDB's count of what failed in the background since the store was opened. It keeps one for all column families, with
/// one of them.
const ERROR_COUNT: &str = "rocksdb.background-errors";

impl Store {
    /// Writes what the log and several small files hold into few files: what is on disk of a store that has had thousands of
    /// commits is several times its records.
    ///
    /// RocksDB's call for it gives no outcome, so it has failed if anything has failed in the background.
    pub(crate) fn compact(&self) -> Result<(), StateError> {
        let families = self.families()?;
        for &family in &families {
            attempt(FLUSH, &self.path, || self.db.flush_cf(family))?;
        }
        for &family in &families {
            attempt(COMPACTION, &self.path, || {
                self.db.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
                Ok(())
            })?;
        }
        for &family in &families {
            let count = || self.db.property_int_value_cf(family, ERROR_COUNT);
            if attempt(COMPACTION, &self.path, count)? != Some(0) {
                let message = "RocksDB's words are in the file LOG there".to_owned();
                return Err(StateError::failed(COMPACTION, self.path.clone(), message));
            }
        }
        // Last: what fails here ends all writing, and is no reason to call what is whole by now a failure.
        if self.has_history()
            && let Err(error) = self.compact_history()
        {
            tracing::warn!("the history of this key is not compacted: {error}");
        }
        Ok(())
    }

    fn compact_history(&self) -> Result<(), StateError> {
        let family = self.family(HISTORY)?;
        attempt(FLUSH_OF_HISTORY, &self.path, || self.db.flush_cf(family))?;
        attempt(COMPACTION_OF_HISTORY, &self.path, || {
            self.db.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
            Ok(())
        })
    }
}
