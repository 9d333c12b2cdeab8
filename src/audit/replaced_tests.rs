//! Directories that are replaced while something works in them: by a copy of another key, before any of its calls.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::fixture_tests::{OPTIONS, TINY, TestKey, copy_directory, job, open_request, seeded};
use super::{check, repair};
use crate::faults::{Fate, Faults};
use crate::keydir::{KeyDir, Origin};
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
    is_replaced: bool,
    /// Whether its name was looked at since.
    is_noticed: bool,
}

/// Does `work` in a directory that begins as `prepared` does, once for every `step`-th of its calls, before which another key
/// takes the name of the directory. Nothing of that key may change. Whoever looks at the name afterwards has to end with an error of the
/// machine that says so. `finish` is then given the directory itself, under a name of its own.
pub(crate) fn is_replaced_at_every_call(
    prepared: Option<&Path>,
    step: usize,
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
                if course.is_open {
                    if course.calls == at {
                        fs::rename(&key, &moved).unwrap();
                        fs::rename(&beside, &key).unwrap();
                        course.is_replaced = true;
                    }
                    course.calls += 1;
                    let is_looked_for =
                        [&key, &key.join("state"), &key.join("state.draft")].contains(&&path.to_owned());
                    course.is_noticed |= course.is_replaced && call == "stat" && is_looked_for;
                }
                course.is_open |= call == "fstat" && path == key;
                Fate::Pass
            }
        };
        let faults = Faults::below(&key, rule);
        let outcome = work(&key);
        drop(faults);
        let Course {
            calls,
            is_replaced,
            is_noticed,
            ..
        } = *course.lock().unwrap();
        if !is_replaced {
            outcome.unwrap();
            assert!(
                at > 10 && (at - step..=at).contains(&calls),
                "{calls} calls, and {at} were tried"
            );
            return;
        }
        assert!(
            content(&key) == untouched,
            "call {at}: the other key was touched: {outcome:?}"
        );
        match (is_noticed, outcome) {
            (true, Err(words)) => assert!(words.contains("was moved or replaced"), "call {at}: {words}"),
            (false, Ok(())) => {}
            (_, outcome) => panic!("call {at}: {outcome:?}, noticed: {is_noticed}"),
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
    is_replaced_at_every_call(None, 1, make, finish);
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
    is_replaced_at_every_call(None, 7, make, |directory| make(directory).unwrap());
}

#[test]
fn a_signer_whose_directory_is_replaced_signs_with_its_own_ledger_or_not_at_all() {
    let key = signing_key();
    let finish = |directory: &Path| {
        // Whether or not the signature left, the epoch signs no other message if it is spent.
        sign(directory, 17, &MESSAGE).unwrap();
        assert!(sign(directory, 17, &OTHER_MESSAGE).unwrap_err().contains("was spent"));
    };
    is_replaced_at_every_call(Some(&key.path()), 1, |directory| sign(directory, 17, &MESSAGE), finish);
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
    is_replaced_at_every_call(Some(&new.path()), 1, begin, |directory| {
        begin(directory).unwrap();
        assert_eq!(show(directory).unwrap().first_epoch, Some(40));
    });
    let add = |directory: &Path| words(import(directory, Path::new("exported"), text.as_bytes()));
    is_replaced_at_every_call(Some(&new.path()), 1, add, |directory| {
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
    is_replaced_at_every_call(Some(&key.path()), 3, mend, |directory| {
        mend(directory).unwrap();
        assert_eq!(check(directory, true, OPTIONS).unwrap().damage, []);
    });
}

#[test]
fn a_migration_whose_directory_is_replaced_changes_its_own() {
    let key = TestKey::new(TINY, 256, 5);
    let mut manifest = KeyDir::open(&key.path()).unwrap().manifest().clone();
    manifest.format_version = 1;
    manifest.write(&key.entry("manifest.toml")).unwrap();
    let bring_up = |directory: &Path| words(migrate(directory, false));
    is_replaced_at_every_call(Some(&key.path()), 1, bring_up, |directory| {
        bring_up(directory).unwrap();
        KeyDir::open_sealed(directory).unwrap();
    });
}
