//! Sets of which any call fails, and manifests that are changed.

mod mended;
mod merged;
mod moved;
mod planned;
mod power_cut;
mod recorded;
mod replaced;
mod sealed;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use zeroize::Zeroizing;

use super::finished::{Finished, read_finished};
use super::manifest::SetManifest;
use super::names::SetPaths;
use super::prepare::planned;
use super::survey::Survey;
use super::{NoSetProgress, Role, SetJob, SetRequest, merge_sets, verify_set};
use crate::error::{Error, Reason, Result};
use crate::faults::{Fate, Faults, Seen};
use crate::files::directory_tests::copy_directory as copy;
use crate::keygen::{CancelHandle, JobOptions};
use crate::plan::MemoryRequest::{self, NoLimit};
use crate::units::Level;
use keymill_xmss::scheme::Scheme;

const EIO: i32 = 5;
const OPTIONS: JobOptions = JobOptions::DEFAULT
    .threads(1)
    .group_batches(1)
    .memory(MemoryRequest::NoLimit);

fn request() -> SetRequest {
    SetRequest {
        scheme: Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap(),
        log_epochs: 8,
        start_index: 0,
        validators: 1,
        roles: vec![Role::Proposer],
        is_distributed: true,
        forms: None,
        with_manifest: true,
        leanvm_rev: None,
        keeps_directories: false,
        keys_only: false,
        trim: Level(0),
        seed: Some(Zeroizing::new([7; 32])),
        passphrase: None,
        restores_secrets: true,
        overwrites: false,
        public_mode: 0o644,
    }
}

fn open(directory: &Path) -> Result<SetJob> {
    SetJob::open(directory, request(), OPTIONS, 1, CancelHandle::default())
}

fn make(directory: &Path) -> Result<()> {
    run(directory, request())
}

fn run(directory: &Path, request: SetRequest) -> Result<()> {
    let job = SetJob::open(directory, request, OPTIONS, 1, CancelHandle::default())?;
    job.run(&NoSetProgress).map(drop)
}

/// Whether it failed for this reason, and names this path.
fn is_for<T>(outcome: &Result<T>, reason: Reason, path: &Path) -> bool {
    let is_it = |error: &Error| error.reason() == reason && error.path() == Some(path);
    outcome.as_ref().is_err_and(is_it)
}

/// Runs until the first nodes of a key are to be made durable.
fn dies_while_it_computes(directory: &Path, request: SetRequest) {
    let faults = Faults::below(directory, |call, _| match call {
        "msync" => Fate::Fail(EIO),
        _ => Fate::Pass,
    });
    run(directory, request).unwrap_err();
    drop(faults);
}

/// The files of a set, without what is noted about it.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file());
    files
        .map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap()))
        .collect()
}

/// Lets one call after the other fail, each in a directory of its own, before or after it is made, until there are no more:
/// each failure is told, with what the machine said. Gives the number of calls.
fn at_every_call(
    root: &Path,
    prepare: &dyn Fn(&Path),
    run: &dyn Fn(&Path) -> Result<()>,
    look: &dyn Fn(&Path, &str),
) -> usize {
    for number in 0.. {
        let mut is_reached = false;
        for fate in [Fate::Fail(EIO), Fate::FailAfterwards(EIO)] {
            let directory = root.join("set");
            prepare(&directory);
            let mut made = 0;
            let faults = Faults::below(&directory, move |_, _| {
                made += 1;
                if made == number + 1 { fate } else { Fate::Pass }
            });
            let outcome = run(&directory);
            let seen = faults.seen();
            drop(faults);
            is_reached = seen.len() > number;
            let is_told = |seen: &Seen| seen.is_injected && !seen.is_of_history();
            // One that fails by itself, as for a file that is not there, does not fail once more.
            let failed = seen.into_iter().find(is_told);
            let told = outcome.err().map(|error| error.to_string());
            let case = format!("call {number}, {fate:?}, {failed:?}: {told:?}");
            assert_eq!(told.is_some(), failed.is_some(), "{case}");
            assert!(told.is_none_or(|told| told.contains("nput/output error")), "{case}");
            look(&directory, &case);
            fs::remove_dir_all(&directory).unwrap();
        }
        if !is_reached {
            return number;
        }
    }
    unreachable!("the calls end");
}

/// A set whose only key is sealed, and of whose files none is written.
fn with_a_sealed_key(directory: &Path) {
    let drafts = directory.join(".keymill-set");
    let faults = Faults::below(directory, move |call, path| {
        let is_draft = call == "open" && path.extension().is_some_and(|extension| extension == "ssz");
        if is_draft && !path.starts_with(&drafts) {
            Fate::Fail(EIO)
        } else {
            Fate::Pass
        }
    });
    make(directory).unwrap_err();
    drop(faults);
    assert_eq!(files(directory).len(), 0);
}

#[test]
fn a_set_of_which_any_call_fails_is_finished_by_the_same_request() {
    let place = tempfile::tempdir().unwrap();
    let (undisturbed, sealed) = (place.path().join("undisturbed"), place.path().join("sealed"));
    make(&undisturbed).unwrap();
    with_a_sealed_key(&sealed);
    let finished = |directory: &Path, case: &str| {
        let found = files(directory);
        for (name, content) in &found {
            let whole = files(&undisturbed);
            assert!(
                whole.get(name) == Some(content),
                "{case}: {} is not whole",
                name.display()
            );
        }
        make(directory).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(files(directory) == files(&undisturbed), "{case}");
    };
    let calls = at_every_call(place.path(), &|directory| copy(&sealed, directory), &make, &finished);
    assert!(calls > 60, "{calls}");
}

#[test]
fn a_directory_whose_making_fails_at_any_call_is_made_by_the_same_request() {
    let place = tempfile::tempdir().unwrap();
    let prepare = |directory: &Path| fs::create_dir(directory).unwrap();
    let open_once = |directory: &Path| open(directory).map(drop);
    let opens = |directory: &Path, case: &str| open_once(directory).unwrap_or_else(|error| panic!("{case}: {error}"));
    let calls = at_every_call(place.path(), &prepare, &open_once, &opens);
    assert!(calls > 20, "{calls}");
}

#[test]
fn a_merge_of_which_any_call_fails_is_finished_by_the_same_request() {
    let place = tempfile::tempdir().unwrap();
    let part = place.path().join("part");
    make(&part).unwrap();
    let prepare = |directory: &Path| fs::create_dir(directory).unwrap();
    let merge = |directory: &Path| merge_sets(std::slice::from_ref(&part), directory, 0o644, NoLimit).map(drop);
    let finished = |directory: &Path, case: &str| {
        merge(directory).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(files(directory) == files(&part), "{case}");
    };
    let calls = at_every_call(place.path(), &prepare, &merge, &finished);
    assert!(calls > 40, "{calls}");
}

#[test]
fn a_call_that_fails_is_no_fault_of_the_set() {
    let place = tempfile::tempdir().unwrap();
    let set = place.path().join("part");
    make(&set).unwrap();
    let verify = |directory: &Path| {
        let report = verify_set(directory, None, 1, NoLimit)?;
        assert_eq!(report.faults.listed, []);
        match &report.unread.listed[..] {
            [] => Ok(()),
            [finding] => Err(Error::machine(finding.what.clone())),
            more => panic!("one call failed, and {more:?} are told"),
        }
    };
    let calls = at_every_call(place.path(), &|directory| copy(&set, directory), &verify, &|_, _| {});
    assert!(calls > 20, "{calls}");
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn a_manifest_that_is_read_is_written_as_it_was_and_no_other_is_read() {
    let place = tempfile::tempdir().unwrap();
    let set = place.path().join("set");
    make(&set).unwrap();
    let text = fs::read(set.join("validator-keys-manifest.yaml")).unwrap();
    let written = |manifest: &SetManifest| {
        let mut written = Vec::new();
        manifest.write(&mut written).unwrap();
        written
    };
    assert_eq!(written(&SetManifest::read(&text[..]).unwrap()), text);
    let meaning = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).into_owned();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for seed in 0..20_000 {
        let mut state = seed;
        let mut changed = text.clone();
        let at = next(&mut state) as usize % changed.len();
        match next(&mut state) % 4 {
            0 => changed[at] = next(&mut state) as u8,
            1 => drop(changed.remove(at)),
            2 => changed.insert(at, next(&mut state) as u8),
            _ => changed.truncate(at),
        }
        if let Ok(manifest) = SetManifest::read(&changed[..]) {
            assert_eq!(meaning(&written(&manifest)), meaning(&changed), "seed {seed}");
        }
    }
}

#[test]
fn room_is_asked_for_as_many_bytes_as_a_secret_key_takes() {
    let place = tempfile::tempdir().unwrap();
    let set = place.path().join("set");
    make(&set).unwrap();
    let found = files(&set)
        .into_iter()
        .find(|(name, _)| name.to_string_lossy().ends_with("_sk.ssz"));
    let shape = super::key_files::shape_of(&request().plan().unwrap());
    assert_eq!(found.unwrap().1.len() as u64, shape.places().end);
}

#[test]
fn a_file_that_cannot_be_read_hides_no_fault() {
    let place = tempfile::tempdir().unwrap();
    let set = place.path().join("set");
    make(&set).unwrap();
    let json = files(&set)
        .into_keys()
        .find(|name| name.to_string_lossy().ends_with("_pk.json"));
    fs::write(set.join(json.unwrap()), "mine").unwrap();
    let faults = Faults::below(&set, |call, path| match (call, path.extension()) {
        ("read" | "pread", Some(extension)) if extension == "ssz" => Fate::Fail(EIO),
        _ => Fate::Pass,
    });
    let report = verify_set(&set, None, 1, NoLimit).unwrap();
    drop(faults);
    assert_eq!((report.faults.count(), report.unread.count()), (1, 1), "{report:?}");
}

#[test]
fn notes_that_cannot_be_read_are_one_finding_and_hide_no_fault() {
    const EACCES: i32 = 13;
    let place = tempfile::tempdir().unwrap();
    let set = place.path().join("set");
    make(&set).unwrap();
    fs::write(set.join("notes.txt"), "mine").unwrap();
    for (failing, name) in [("readdir", ".keymill-set"), ("open", "set.toml")] {
        let faults = Faults::below(&set, move |call, path| {
            if call == failing && path.ends_with(name) {
                Fate::Fail(EACCES)
            } else {
                Fate::Pass
            }
        });
        let report = verify_set(&set, None, 1, NoLimit).unwrap_or_else(|error| panic!("{name}: {error}"));
        drop(faults);
        assert_eq!((report.faults.count(), report.keys_checked), (1, 1), "{report:?}");
        let unread: Vec<_> = report.unread.listed.iter().map(|finding| &finding.path).collect();
        assert!(unread.len() == 1 && unread[0].ends_with(name), "{report:?}");
    }
}

#[test]
fn a_key_that_was_begun_is_charged_for_what_it_has_not_taken_yet() {
    let place = tempfile::tempdir().unwrap();
    let (fresh, sealed) = (place.path().join("fresh"), place.path().join("sealed"));
    with_a_sealed_key(&sealed);
    let plan = request().plan().unwrap();
    let needed = |directory: &Path, request: &SetRequest| {
        let set = planned(directory, request, &plan).unwrap();
        set.needed_bytes(request, &plan, 1)
    };
    let directories = fs::read_dir(sealed.join(".keymill-set"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let begun = directories
        .filter(|path| path.is_dir())
        .map(|path| crate::files::allocated_bytes(&path).unwrap());
    let taken = begun.sum::<u64>().min(plan.disk_bytes());
    assert!(taken > 0);
    assert_eq!(needed(&sealed, &request()), needed(&fresh, &request()) - taken);
    // Another set's keys are none of this one's.
    let other = SetRequest {
        seed: Some(Zeroizing::new([8; 32])),
        overwrites: true,
        ..request()
    };
    assert_eq!(needed(&sealed, &other), needed(&fresh, &other));
    make(&sealed).unwrap();
    assert_eq!(needed(&sealed, &request()), 0);
    assert_eq!(needed(&sealed, &other), needed(&fresh, &other));
}

#[test]
fn nothing_is_added_behind_half_a_line() {
    let place = tempfile::tempdir().unwrap();
    let paths = SetPaths::new(place.path());
    fs::create_dir(paths.work()).unwrap();
    let scheme = request().scheme;
    let public_key = vec![7; scheme.public_key_bytes()];
    for (failing, kept) in [("write", 0), ("fsync", 1)] {
        let finished = Finished::open(&paths, read_finished(&paths, scheme).unwrap()).unwrap();
        let calls = AtomicUsize::new(0);
        // Half of a line is written before the second write.
        let number = usize::from(failing == "write");
        let faults = Faults::below(place.path(), move |call, path| {
            let is_it = call == failing && path.ends_with("finished");
            if is_it && calls.fetch_add(1, Ordering::Relaxed) == number {
                Fate::Fail(EIO)
            } else {
                Fate::Pass
            }
        });
        finished.add(&paths, (0, Role::Proposer), &public_key).unwrap_err();
        finished.add(&paths, (1, Role::Proposer), &public_key).unwrap_err();
        drop(faults);
        let found = read_finished(&paths, scheme).unwrap_or_else(|error| panic!("{failing}: {error:?}"));
        assert_eq!(found.len(), kept, "{failing}");
    }
}
