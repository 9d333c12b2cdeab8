//! Rewriting the store in few small files.

use super::error::failed;
use super::store::{Store, WaitForCompactOptions, attempt};
use crate::error::Result;
use crate::remedy::Remedy;

const FLUSH: &str = "flushing";
const COMPACTION: &str = "compaction";
/// RocksDB's count of what failed in the background since the store was opened. It keeps one for all column families, with
/// one of them.
const ERROR_COUNT: &str = "rocksdb.background-errors";

impl Store {
    /// Writes what the log and several small files hold into few files: what is on disk of a store that has had thousands of
    /// commits is several times its records.
    ///
    /// RocksDB's call for it gives no outcome, so it has failed if anything has failed in the background. The call that
    /// waits for compactions, of which there are none left by then, gives back the error that stands. One that RocksDB
    /// believes to have recovered from is in its count alone: so it takes a full disk, without looking whether it still is.
    pub(crate) fn compact(&self) -> Result<()> {
        let families = self.families()?;
        for &family in &families {
            self.place.check()?;
            attempt(FLUSH, &self.place, || self.db.flush_cf(family))?;
        }
        for &family in &families {
            self.place.check()?;
            attempt(COMPACTION, &self.place, || {
                self.db.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
                Ok(())
            })?;
        }
        let wait = || self.db.wait_for_compact(&WaitForCompactOptions::default());
        attempt(COMPACTION, &self.place, wait)?;
        for &family in &families {
            let count = || self.db.property_int_value_cf(family, ERROR_COUNT);
            if attempt(COMPACTION, &self.place, count)? != Some(0) {
                let words = "RocksDB found the disk full, or another error that it takes for passing, which its file LOG \
                             there tells";
                return Err(failed(COMPACTION, &self.path, words).mend([Remedy::FreeSpace]));
            }
        }
        Ok(self.place.check()?)
    }
}
