//! Flipped bytes in RocksDB's files: what can still be read of the store is right, and the rest is an error.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{BatchRecord, CrownRecord, ProgressRecord, Store};
use crate::error::{Reason, Result};
use crate::files::Entry;
use crate::remedy::Remedy;
use crate::units::{BatchIndex, Level};

const FAMILIES: [&str; 4] = ["meta", "batches", "crown", "ledger"];
const BINDING: [u8; 32] = [0xb1; 32];
const BATCHES: u64 = 64;
/// So many are committed at a time,
const GROUP: u64 = 4;
/// and so many between two openings: the last of them are in the log alone.
const LOGGED: u64 = 16;
/// Flips in each file, at most.
const FLIPS: u64 = 48;
const SEED: u64 = 0x6b65_796d;

fn batch_record(batch: u64) -> BatchRecord {
    let slice_crc32 = (0..11).map(|level| (batch as u32 + 1) * 0x0101_0101 + level).collect();
    BatchRecord { slice_crc32 }
}

fn crown_record(level: u8) -> CrownRecord {
    CrownRecord {
        piece_crc32: vec![u32::from(level) * 0x1234_5678; 3],
    }
}

fn progress() -> ProgressRecord {
    ProgressRecord {
        batches_done: BATCHES,
        ..ProgressRecord::default()
    }
}

fn store_at(path: &Path) -> Entry {
    Entry::of(path).unwrap()
}

/// A store with all its records, some in tables and some in the log.
fn make(path: &Path) {
    let path = &store_at(path);
    Store::create(path, &FAMILIES, &BINDING).unwrap();
    for first in (0..BATCHES).step_by(LOGGED as usize) {
        // Opening it again writes the log of the time before into tables.
        let store = Store::open(path, &BINDING).unwrap();
        for group in (first..first + LOGGED).step_by(GROUP as usize) {
            let group: Vec<_> = (group..group + GROUP)
                .map(|b| (BatchIndex(b), batch_record(b)))
                .collect();
            store.commit_batches(&group, &progress()).unwrap();
        }
        let levels: Vec<_> = (10..19).map(|level| (Level(level), crown_record(level))).collect();
        store.commit_crown(&levels).unwrap();
    }
}

/// Reads everything. What there is, is what was written; gives the batches that there are, or the error that ended it.
fn read(store: &Store, place: &str) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for batch in (0..BATCHES).map(BatchIndex) {
        if let Some(record) = store.batch(batch)? {
            assert_eq!(record, batch_record(batch.0), "{place}: batch {batch}");
            found.push(batch.0);
        }
    }
    let mut listed = Vec::new();
    for entry in store.batches()? {
        let (batch, record) = entry?;
        assert_eq!(record, batch_record(batch.0), "{place}: batch {batch}");
        listed.push(batch.0);
    }
    assert_eq!(listed, found, "{place}");
    for level in 10..19 {
        if let Some(record) = store.crown(Level(level))? {
            assert_eq!(record, crown_record(level), "{place}: level {level}");
        }
    }
    store.read_through()?;
    Ok(found)
}

fn copy(files: &BTreeMap<String, Vec<u8>>, to: &Path) {
    // RocksDB adds files, and they must not meet those of the next copy.
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    fs::create_dir(to).unwrap();
    for (name, bytes) in files {
        fs::write(to.join(name), bytes).unwrap();
    }
}

#[test]
fn a_flipped_byte_of_the_store_is_an_error_or_a_missing_record_never_another_one() {
    let place = tempfile::tempdir().unwrap();
    let whole = place.path().join("whole");
    make(&whole);
    let entries = fs::read_dir(&whole).unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeMap<String, Vec<u8>> = entries
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into(),
                fs::read(&path).unwrap(),
            )
        })
        .collect();
    let (mut errors, mut flips) = (0, 0);
    for (name, bytes) in &files {
        let matters =
            name == "CURRENT" || name.starts_with("MANIFEST-") || name.ends_with(".log") || name.ends_with(".sst");
        if !matters || bytes.is_empty() {
            continue;
        }
        // Built again for each: tables hold the name of the machine, and are as long as it makes them.
        let mut random = ChaCha12Rng::seed_from_u64(SEED);
        let stride = (bytes.len() as u64).div_ceil(FLIPS);
        for start in (0..bytes.len() as u64).step_by(stride as usize) {
            let offset = (start + random.next_u64() % stride).min(bytes.len() as u64 - 1) as usize;
            let mask = (random.next_u32() % 255 + 1) as u8;
            let at = format!("seed {SEED:#x}: {name}, byte {offset} xor {mask:#04x}");
            let mut flipped = files.clone();
            flipped.get_mut(name).unwrap()[offset] ^= mask;
            let damaged = place.path().join("damaged");
            copy(&flipped, &damaged);
            for opened in [
                Store::open_read_only(&store_at(&damaged), &BINDING),
                Store::open(&store_at(&damaged), &BINDING),
            ] {
                let outcome = opened.and_then(|store| read(&store, &at));
                match outcome {
                    // What can be repaired, and is never taken for a failure of the machine.
                    Err(error) if error.reason() == Reason::Damaged => errors += 1,
                    Err(error) => panic!("{at}: {error}"),
                    // The end of the list of files can be lost, and with it whole tables.
                    Ok(found) if name.starts_with("MANIFEST-") => {
                        let lacks_part = |run: &[u64]| run.len() as u64 != LOGGED || !run[0].is_multiple_of(LOGGED);
                        let runs = found.chunk_by(|a, b| a / LOGGED == b / LOGGED);
                        assert!(!runs.clone().any(lacks_part), "{at}: {found:?}");
                    }
                    // Of the log the end, from a group on: never a batch from among others.
                    Ok(found) => {
                        let whole = found.len() as u64;
                        assert_eq!(found, (0..whole).collect::<Vec<_>>(), "{at}");
                        assert!(
                            whole >= BATCHES - LOGGED && whole.is_multiple_of(GROUP),
                            "{at}: {whole}"
                        );
                    }
                }
            }
            flips += 1;
        }
    }
    assert!(flips > 200 && errors > flips, "{errors} errors of {flips} flips");
}

/// The offsets of the records in a log that is shorter than a block.
fn records_of(log: &[u8]) -> Vec<usize> {
    let mut offsets = vec![0];
    loop {
        let at = offsets[offsets.len() - 1];
        let length = usize::from(u16::from_le_bytes([log[at + 4], log[at + 5]]));
        match at + 7 + length {
            next if next < log.len() => offsets.push(next),
            _ => return offsets,
        }
    }
}

#[test]
fn a_record_that_rocksdb_would_read_for_ever_or_end_at_is_damage_with_its_offset() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("state");
    make(&path);
    let mut tried = 0;
    let names = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let is_log = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
    let is_list = |path: &PathBuf| path.to_string_lossy().contains("/MANIFEST-");
    for file in names.filter(|path| is_log(path) || is_list(path)) {
        let whole = fs::read(&file).unwrap();
        for at in records_of(&whole) {
            for kind in [5, 6, 7, 8, 11, 131] {
                let mut bytes = whole.clone();
                bytes[at + 6] = kind;
                fs::write(&file, bytes).unwrap();
                for opened in [
                    Store::open_read_only(&store_at(&path), &BINDING),
                    Store::open(&store_at(&path), &BINDING),
                ] {
                    let message = opened.err().map(|error| error.to_string()).unwrap_or_default();
                    let words = format!("'{}', offset {at}: the record's type is wrong", file.display());
                    assert!(message.contains(&words), "type {kind}: {message}");
                }
                tried += 1;
            }
        }
        fs::write(&file, whole).unwrap();
    }
    assert!(tried > 60, "{tried}");
    // RocksDB does not read what has no number.
    fs::write(path.join("notes.log"), [5; 64]).unwrap();
    fs::create_dir(path.join("old.log")).unwrap();
    Store::open_read_only(&store_at(&path), &BINDING).unwrap();
    Store::open(&store_at(&path), &BINDING).unwrap().read_through().unwrap();
}

/// Flips a bit of the first record in each table of a column family, in a store that no process has open.
pub(crate) fn flip_in_tables(path: &Path, family: &str) {
    let mut flipped = 0;
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sst") {
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        // Each table says to which it belongs.
        if bytes.windows(family.len()).any(|found| found == family.as_bytes()) {
            bytes[4] ^= 1;
            fs::write(&path, bytes).unwrap();
            flipped += 1;
        }
    }
    assert!(flipped > 0, "{family}");
}

#[test]
fn a_compaction_that_fails_in_the_background_is_an_error_with_the_words_of_rocksdb() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("state");
    Store::create(&store_at(&path), &FAMILIES, &BINDING).unwrap();
    let group: Vec<_> = (0..BATCHES).map(|b| (BatchIndex(b), batch_record(b))).collect();
    let store = Store::open(&store_at(&path), &BINDING).unwrap();
    store.commit_batches(&group, &progress()).unwrap();
    store.compact().unwrap();
    drop(store);
    flip_in_tables(&path, "batches");
    let store = Store::open(&store_at(&path), &BINDING).unwrap();
    // The same batches once more: otherwise there is nothing to be merged, and the table is left alone.
    store.commit_batches(&group, &progress()).unwrap();
    let failed = store.compact().unwrap_err();
    assert_eq!(
        (failed.reason(), failed.path()),
        (Reason::Damaged, Some(&*path)),
        "{failed}"
    );
    assert!(matches!(failed.remedies(), [Remedy::Repair(_)]), "{failed:?}");
    let message = failed.to_string();
    let words = [&*path.to_string_lossy(), "Corruption", "checksum"];
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
}

#[test]
fn a_store_that_lost_its_binding_is_damaged_and_not_another_keys() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("state");
    Store::create(&store_at(&path), &FAMILIES, &BINDING).unwrap();
    for entry in fs::read_dir(&path).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            fs::write(path, "").unwrap();
        }
    }
    let damaged = Store::open(&store_at(&path), &BINDING).err();
    assert_eq!(damaged.map(|error| error.reason()), Some(Reason::Damaged));
}
