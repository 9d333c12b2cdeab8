//! Keys and directories that several tests begin with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use sha3::{Digest, Sha3_256};

use super::program::Place;
use keymill_reference::vectors::{self, Key};

/// A key of 256 epochs in one batch: made in a moment.
pub const TINY: &str = "leansig-p1-l8-abort-v4-w8";
/// Another such scheme.
pub const OTHER_TINY: &str = "leansig-p2-l8-top-v64-w8";
/// 256 epochs of it are stored as 1024; all 2^18 take many seconds on one thread.
pub const LONG: &str = "leansig-p2-l18-top-v64-w8";

pub const MESSAGE: &str = "0f0e0d0c0b0a09080706050403020100f0e0d0c0b0a090807060504030201000";
pub const SEED: [u8; 32] = seed(0xa7);

/// A seed that is taken, as one of the same byte 32 times is not.
pub const fn seed(byte: u8) -> [u8; 32] {
    let mut seed = [byte; 32];
    seed[31] = !byte;
    seed
}

pub const PARAMETER: &str = "0100000002000000030000000400000005000000";

/// Makes groups so small that a keygen can be stopped between any two batches.
pub const SMALL_GROUPS: [(&str, &str); 1] = [("KEYMILL_GROUP_BATCHES", "1")];

/// The recorded key for all 256 epochs of the tiny scheme.
pub fn recorded_tiny_key() -> Key {
    let whole = |key: &Key| key.scheme == TINY && (key.activation_epoch, key.num_active_epochs) == (0, 256);
    vectors::keys().into_iter().find(whole).unwrap()
}

/// A finished key in `key` that may sign, from the seed [`SEED`], which stays in the file `seed`. Gives its public key in
/// hex.
pub fn finished_key(place: &Place, scheme: &str) -> String {
    place.file("seed", SEED);
    let line = format!("keygen key --scheme {scheme} --epochs 256 --seed-file seed");
    let public_key = place.run(&line).exits(0).line();
    place.run("ledger init key --first-epoch 0").exits(0);
    public_key
}

/// A key in `key`, begun with [`SEED`] for `epochs` epochs of the long scheme, and stopped after the first batches.
pub fn unfinished_key(place: &Place, epochs: &str) {
    stopped_key(place, epochs, Signal::TERM);
}

/// As [`unfinished_key`], stopped by this signal.
pub fn stopped_key(place: &Place, epochs: &str, signal: Signal) {
    place.file("seed", SEED);
    let line = format!("keygen key --scheme {LONG} --epochs {epochs} --seed-file seed --threads 1");
    stop_after_first_batch(place, "key", &line, signal);
}

/// Stops a command that makes a key in a directory as soon as it has committed a batch. On a busy machine a key of few epochs
/// can be finished before the signal comes; then it is begun again.
#[track_caller]
pub fn stop_after_first_batch(place: &Place, directory: &str, line: &str, signal: Signal) {
    for _ in 0..5 {
        let mut running = place.start(&SMALL_GROUPS, line);
        place.wait_for_batches(directory, 1);
        running.signal(signal);
        let (outcome, _) = running.end();
        if place.status(directory).unwrap()["state"] == "interrupted" {
            let expected = (signal == Signal::TERM).then_some(130);
            assert_eq!(outcome.code, expected, "{}", outcome.all());
            return;
        }
        fs::remove_dir_all(place.path(directory)).unwrap();
    }
    panic!("the key was finished each time before it could be stopped");
}

/// Every file and directory below a directory: its mode, and its content if it is a file.
pub type Snapshot = BTreeMap<PathBuf, (u32, Option<Vec<u8>>)>;

pub fn snapshot(directory: &Path) -> Snapshot {
    let mut entries = Snapshot::new();
    collect(directory, &mut entries);
    entries
}

fn collect(path: &Path, entries: &mut Snapshot) {
    let metadata = fs::symlink_metadata(path).unwrap();
    let content = metadata.is_file().then(|| fs::read(path).unwrap());
    entries.insert(path.to_owned(), (metadata.permissions().mode(), content));
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), entries);
        }
    }
}

/// The names that differ between two snapshots.
pub fn changes(before: &Snapshot, after: &Snapshot) -> Vec<PathBuf> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let differing = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    differing.cloned().collect()
}

/// Runs `action` and fails unless everything in the place is afterwards as it was.
#[track_caller]
pub fn changing_nothing<T>(place: &Place, action: impl FnOnce() -> T) -> T {
    let before = snapshot(&place.path("."));
    let result = action();
    let changed = changes(&before, &snapshot(&place.path(".")));
    assert!(changed.is_empty(), "these were changed: {changed:?}");
    result
}

/// Flips every bit of one byte of a file.
pub fn flip_byte(path: &Path, offset: u64) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[!byte[0]], offset).unwrap();
}

/// Replaces text in a file, which has to hold it.
pub fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "no '{from}' in {}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Fails if a key directory came into being.
#[track_caller]
pub fn nothing_was_made(place: &Place) {
    assert!(!place.path("key").exists(), "the key directory was made");
}

/// The manifest as it is while the directory is being created.
pub fn set_back_to_version_0(place: &Place, directory: &str) {
    edit_manifest(place, directory, "format_version = 3", "format_version = 0");
    let path = place.path(directory).join("manifest.toml");
    let text = fs::read_to_string(path).unwrap();
    let fingerprint = text.lines().find(|line| line.starts_with("fingerprint = ")).unwrap();
    edit_manifest(place, directory, &format!("{fingerprint}\n"), "");
}

/// Replaces text in a manifest, which has to hold it, and makes its checksum fit.
pub fn edit_manifest(place: &Place, directory: &str, from: &str, to: &str) {
    let path = place.path(directory).join("manifest.toml");
    let text = fs::read_to_string(&path).unwrap();
    let body = text.split("checksum = ").next().unwrap();
    assert!(body.contains(from), "no '{from}' in {}", path.display());
    let body = body.replacen(from, to, 1);
    let checksum = hex::encode(Sha3_256::digest(&body));
    fs::write(&path, format!("{body}checksum = \"{checksum}\"\n")).unwrap();
}

/// Copies a file, or a directory with all below it in the place of what has its name.
pub fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}
