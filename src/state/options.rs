//! RocksDB's options.

use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBRecoveryMode, LogLevel, Options};

use crate::plan::StoreBuffers;

/// One is filled while another one is written to disk.
const WRITE_BUFFERS: i32 = 2;
const LOG_FILE_BYTES_MAX: usize = 256 << 10;
const WAL_BYTES_MAX: u64 = 2 << 20;
const OPEN_FILES_MAX: i32 = 64;
/// RocksDB's own default of 4 MiB is taken from the disk, and given back, at each opening.
const MANIFEST_PREALLOCATION_BYTES: usize = 64 << 10;

/// How a store is created and opened.
pub(super) fn options(buffers: StoreBuffers) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(buffers.cache_bytes));
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    // A record that is there but damaged must be an error, never a silent roll-back to what precedes it, as the default
    // (point in time) would have it. Only an incomplete record at the end, the write in flight at a crash, is dropped.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_paranoid_checks(true);
    options.set_write_buffer_size(buffers.write_bytes / WRITE_BUFFERS as usize);
    options.set_db_write_buffer_size(buffers.write_bytes);
    options.set_max_write_buffer_number(WRITE_BUFFERS);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_manifest_preallocation_size(MANIFEST_PREALLOCATION_BYTES);
    options.set_max_background_jobs(2);
    // By default fifteen threads a column family begin and end at each opening, for a handful of files.
    options.set_max_file_opening_threads(1);
    options.set_keep_log_file_num(1);
    options.set_max_log_file_size(LOG_FILE_BYTES_MAX);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options
}

/// All column families with the same options, and so with one block cache.
pub(super) fn descriptors<N: AsRef<str>>(families: &[N], options: &Options) -> Vec<ColumnFamilyDescriptor> {
    let descriptor = |name: &N| ColumnFamilyDescriptor::new(name.as_ref(), options.clone());
    families.iter().map(descriptor).collect()
}
