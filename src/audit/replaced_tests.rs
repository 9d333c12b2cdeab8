//! Directories that are replaced while something works in them: by a copy of another key, before any of its calls.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::fixture_tests::{OPTIONS, TINY, TestKey, job, open_request, seeded};
use super::{check, repair};
use crate::faults::{Fate, Faults};
use crate::files::directory_tests::copy_directory;
use crate::keydir::{KeyDir, Manifest, Origin};
use crate::keygen::tests::in_memory;
use crate::keygen::{CancelHandle, KeyRequest, NoProgress};
use crate::ledger::{Export, import, init, show};
use crate::migrations::migrate;
use crate::signing::Signer;
use crate::units::Epoch;

const MESSAGE: [u8; 32] = [0xaa; 32];
const OTHER_MESSAGE: [u8; 32] = [0xbb; 32];

type Content = BTreeMap<PathBuf, (u32, Option<Vec<u8>>)>;

/// Everything in a directory: names, modes, bytes.
fn content(directory: &Path) -> Content {
    let mut found = Content::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let bytes = metadata.is_file().then(|| fs::read(&path).unwrap());
        if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let name = path.strip_prefix(directory).unwrap().to_owned();
        found.insert(name, (metadata.permissions().mode(), bytes));
    }
    found
}

/// What happened to a directory while something worked in it.
#[derive(Default)]
struct Course {
    is_open: bool,
    calls: usize,
    /// The call before which it was replaced, and the file that it is made on.
    replaced: Option<(&'static str, PathBuf)>,
    /// Whether its name was looked at since.
    is_noticed: bool,
    /// A write of RocksDB's since, before which nobody looked.
    blind_write: Option<&'static str>,
}

/// What makes RocksDB write.
const WRITES: [&str; 5] = ["removal", "creation", "a synced write", "a write", "flushing"];

/// Does `work` in a directory that begins as `prepared` does, once for every `step`-th of its calls, before which another key
/// takes the name of the directory. Nothing of that key may change. RocksDB writes nothing without a look at the name before, and
/// whoever looks has to end with an error that says so. To be missed altogether, the directory has to be replaced before a call
/// on one of `last`, which are written behind the last look. `finish` is then given the directory itself, under another name.
pub(crate) fn is_replaced_at_every_call(
    prepared: Option<&Path>,
    step: usize,
    last: &[&str],
    work: impl Fn(&Path) -> Result<(), String>,
    finish: impl Fn(&Path),
) {
    let other = TestKey::new(TINY, 256, 77);
    init(&other.path(), 0).unwrap();
    for at in (0..).step_by(step) {
        let place = in_memory();
        let [key, beside, moved] = ["key", "beside", "moved"].map(|name| place.path().join(name));
        if let Some(prepared) = prepared {
            copy_directory(prepared, &key);
        }
        copy_directory(&other.path(), &beside);
        let untouched = content(&beside);
        let course = Arc::new(Mutex::new(Course::default()));
        let rule = {
            let (course, key, moved) = (Arc::clone(&course), key.clone(), moved.clone());
            move |call: &'static str, path: &Path| {
                let mut course = course.lock().unwrap();
                let is_of_store = [key.join("state"), key.join("state.draft")].contains(&path.to_owned());
                if course.is_open {
                    let is_lost = course.replaced.is_some();
                    if course.calls == at {
                        fs::rename(&key, &moved).unwrap();
                        fs::rename(&beside, &key).unwrap();
                        course.replaced = Some((call, path.to_owned()));
                    }
                    course.calls += 1;
                    course.is_noticed |= course.replaced.is_some() && call == "stat" && (path == key || is_of_store);
                    if is_lost && is_of_store && WRITES.contains(&call) && !course.is_noticed {
                        course.blind_write = Some(call);
                    }
                }
                course.is_open |= call == "fstat" && path == key;
                Fate::Pass
            }
        };
        let faults = Faults::below(&key, rule);
        let outcome = work(&key);
        drop(faults);
        let course = std::mem::take(&mut *course.lock().unwrap());
        let Some((call, path)) = course.replaced else {
            outcome.unwrap();
            let calls = course.calls;
            assert!(
                at > 10 && (at - step..=at).contains(&calls),
                "{calls} calls, and {at} were tried"
            );
            return;
        };
        let case = format!("call {at}, {call} on {}: {outcome:?}", path.display());
        assert!(content(&key) == untouched, "{case}: the other key was touched");
        assert_eq!(course.blind_write, None, "{case}");
        let name = path.strip_prefix(&key).unwrap();
        let is_last = last
            .iter()
            .any(|last| name == Path::new(last) || (!last.is_empty() && name.starts_with(last)));
        match outcome {
            Err(words) if course.is_noticed => assert!(words.contains("was moved or replaced"), "{case}"),
            Ok(()) if !course.is_noticed && is_last => {}
            _ => panic!("{case}, noticed: {}", course.is_noticed),
        }
        finish(&moved);
    }
}

fn words<T, E: std::fmt::Display>(outcome: Result<T, E>) -> Result<(), String> {
    outcome.map(drop).map_err(|error| error.to_string())
}

/// A finished key that may sign.
fn signing_key() -> TestKey {
    let key = TestKey::new(TINY, 256, 5);
    init(&key.path(), 0).unwrap();
    key
}

fn sign(directory: &Path, epoch: u32, message: &[u8; 32]) -> Result<(), String> {
    words(Signer::open(directory).and_then(|mut signer| signer.sign(Epoch(epoch), message)))
}

/// The files of a key that follow from its secret.
fn files(directory: &Path) -> Content {
    let is_fixed = |name: &PathBuf| name.starts_with("layers") || name == Path::new("manifest.toml");
    content(directory)
        .into_iter()
        .filter(|(name, _)| is_fixed(name))
        .collect()
}

#[test]
fn a_job_whose_directory_is_replaced_touches_nothing_of_the_other_key_and_finishes_its_own() {
    let whole = TestKey::new(TINY, 256, 5);
    let make = |directory: &Path| words(job(directory, TINY, 256, 5).and_then(|job| job.run(&NoProgress)));
    let finish = |directory: &Path| {
        make(directory).unwrap();
        assert!(files(directory) == files(&whole.path()));
    };
    is_replaced_at_every_call(None, 1, &["manifest.toml", "", "layers", "history.jsonl"], make, finish);
}

#[test]
fn a_key_that_is_made_again_where_its_directory_is_replaced_touches_nothing_of_the_other_key() {
    let whole = TestKey::new(TINY, 256, 5);
    let root = KeyDir::open(&whole.path()).unwrap().manifest().root().unwrap().to_vec();
    let request = KeyRequest {
        root: Some(root),
        restored: Some(Origin::Fresh),
        ..seeded(5)
    };
    let make = |directory: &Path| {
        let job = open_request(directory, &request, CancelHandle::default());
        words(job.and_then(|job| job.run(&NoProgress)))
    };
    is_replaced_at_every_call(
        None,
        7,
        &["manifest.toml", "", "layers", "history.jsonl"],
        make,
        |directory| {
            make(directory).unwrap();
        },
    );
}

#[test]
fn a_signer_whose_directory_is_replaced_signs_with_its_own_ledger_or_not_at_all() {
    let key = signing_key();
    let finish = |directory: &Path| {
        // Whether or not the signature left, the epoch signs no other message if it is spent.
        sign(directory, 17, &MESSAGE).unwrap();
        assert!(
            sign(directory, 17, &OTHER_MESSAGE)
                .unwrap_err()
                .contains("already signed")
        );
    };
    is_replaced_at_every_call(
        Some(&key.path()),
        1,
        &[],
        |directory| sign(directory, 17, &MESSAGE),
        finish,
    );
}

#[test]
fn a_ledger_whose_directory_is_replaced_is_begun_and_imported_in_its_own() {
    let key = signing_key();
    sign(&key.path(), 17, &MESSAGE).unwrap();
    let export = Export::open(&key.path()).unwrap();
    let text: String = export.lines().unwrap().map(|line| line.unwrap() + "\n").collect();
    drop(export);
    let new = TestKey::new(TINY, 256, 5);
    let begin = |directory: &Path| words(init(directory, 40));
    is_replaced_at_every_call(Some(&new.path()), 1, &[], begin, |directory| {
        begin(directory).unwrap();
        assert_eq!(show(directory).unwrap().first_epoch, Some(40));
    });
    let add = |directory: &Path| words(import(directory, Path::new("exported"), text.as_bytes()));
    is_replaced_at_every_call(Some(&new.path()), 1, &[], add, |directory| {
        add(directory).unwrap();
        assert_eq!(show(directory).unwrap().spent, 1);
    });
}

#[test]
fn a_repair_whose_directory_is_replaced_mends_its_own() {
    let key = signing_key();
    fs::remove_file(key.layer(3)).unwrap();
    key.edit(0, |bytes| *bytes.last_mut().unwrap() ^= 1);
    fs::write(key.path().join("state/CURRENT"), "not a manifest").unwrap();
    let mend = |directory: &Path| words(repair(directory, OPTIONS, &CancelHandle::default()));
    is_replaced_at_every_call(
        Some(&key.path()),
        3,
        &["state", "layers", "history.jsonl"],
        mend,
        |directory| {
            mend(directory).unwrap();
            assert_eq!(check(directory, true, OPTIONS).unwrap().damage, []);
        },
    );
}

#[test]
fn a_migration_whose_directory_is_replaced_changes_its_own() {
    let key = TestKey::new(TINY, 256, 5);
    // As a program of version 1 would have written it.
    let file = key.path().join("manifest.toml");
    let text = fs::read_to_string(&file).unwrap();
    let is_of_version_1 = |line: &&str| {
        !["format_version", "fingerprint", "checksum"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    let lines: String = text
        .lines()
        .filter(is_of_version_1)
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&file, Manifest::with_checksum(&format!("format_version = 1\n{lines}"))).unwrap();
    let bring_up = |directory: &Path| words(migrate(directory, false));
    is_replaced_at_every_call(Some(&key.path()), 1, &["manifest.toml", ""], bring_up, |directory| {
        bring_up(directory).unwrap();
        KeyDir::open_sealed(directory).unwrap();
    });
}
