//! Trims that end early, and keys that are not finished.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::{batch_records, flip, from_level, is_whole, paths};
use crate::audit::check;
use crate::audit::fixture_tests::{LONG, OPTIONS, TINY, TestKey, open_request, seeded};
use crate::audit::replaced_tests::is_replaced_at_every_call;
use crate::error::Reason;
use crate::faults::{Fate, Faults};
use crate::keydir::KeyDir;
use crate::keygen::{CancelHandle, Event, KeyRequest, NoProgress, Progress};
use crate::signing::AuthenticationPath;
use crate::trim::{TrimReport, trim};
use crate::units::Level;
use keymill_xmss::scheme::Scheme;

/// Trims copies of a key, of which the n-th call and all after it fail, as when the process ends there; with `made`, the
/// n-th is made before. Then the key is used, and trimmed undisturbed. Gives the number of calls.
fn every_call_ends_it(untrimmed: &TestKey, truth: &[AuthenticationPath], made: bool) -> usize {
    let layers = untrimmed.layers();
    for number in 0.. {
        let key = untrimmed.copy_in_memory();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&calls);
        let faults = Faults::below(&key.path(), move |call, path| {
            let mut calls = noted.lock().unwrap();
            calls.push(format!("{call} on {}", path.display()));
            match calls.len() - 1 {
                now if now < number => Fate::Pass,
                now if now == number && made => Fate::FailAfterwards(5),
                _ => Fate::Fail(5),
            }
        });
        let outcome = trim(&key.path(), Level(3));
        drop(faults);
        let calls = calls.lock().unwrap().clone();
        if calls.len() <= number {
            outcome.unwrap();
            let compacts = calls.iter().any(|call| call.starts_with("compaction on"));
            assert!(compacts, "{calls:?}");
            return number;
        }
        let case = format!("call {number}, made: {made}: {}", calls[number]);
        match outcome {
            Err(error) => assert!(error.to_string().contains("nput/output"), "{case}: {error}"),
            Ok(_) => panic!("{case}: it was not noticed"),
        }
        assert!(paths(&key.path(), truth.len()) == truth, "{case}: a path differs");
        let report = key.check();
        assert!(report.damage.is_empty(), "{case}: {:?}", report.damage);
        let again = trim(&key.path(), Level(3)).unwrap_or_else(|error| panic!("{case}: {error}"));
        for file in &report.left_over {
            assert!(again.files_removed.contains(file), "{case}");
        }
        assert!(key.layers() == from_level(&layers, 3), "{case}: layer files differ");
        assert!(
            batch_records(&key.path()).iter().all(|r| r.slice_crc32.len() == 6),
            "{case}"
        );
        let report = key.check();
        assert_eq!(
            (&report.damage[..], &report.left_over[..]),
            (&[][..], &[][..]),
            "{case}"
        );
    }
    0
}

#[test]
fn a_trim_that_ends_at_any_call_leaves_a_key_that_can_be_used_and_is_finished_by_the_next() {
    let key = TestKey::trimmed(TINY, 0, 256, 23, 0);
    let truth = paths(&key.path(), 32);
    std::thread::scope(|scope| {
        for made in [false, true] {
            let (key, truth) = (&key, &truth);
            scope.spawn(move || {
                let calls = every_call_ends_it(key, truth, made);
                assert!(calls > 60, "{calls}");
            });
        }
    });
}

#[test]
fn files_that_a_trim_left_are_named_and_in_nobodys_way() {
    let key = TestKey::trimmed(TINY, 0, 256, 24, 0);
    let (layers, truth) = (key.layers(), paths(&key.path(), 64));
    let faults = Faults::below(&key.path(), |call, path| match call {
        "unlink" if path.ends_with("01.nodes") => Fate::Fail(5),
        _ => Fate::Pass,
    });
    let failed = trim(&key.path(), Level(4)).unwrap_err();
    assert_eq!(failed.reason(), Reason::Call, "{failed}");
    drop(faults);
    let left = [key.layer(1), key.layer(2), key.layer(3)];
    // What they hold does not matter any more.
    flip(&key, 2, 1);
    assert!(paths(&key.path(), 64) == truth);
    let report = check(&key.path(), true, OPTIONS).unwrap();
    assert_eq!((&report.left_over[..], &report.damage[..]), (&left[..], &[][..]));
    let again = trim(&key.path(), Level(4)).unwrap();
    let expected = TrimReport {
        before: Level(4),
        level: Level(4),
        blocks_compared: Vec::new(),
        files_removed: left.to_vec(),
    };
    assert_eq!(again, expected);
    is_whole(&key, &layers, &truth, 4, "finished");
}

/// Stops the job when its first group is committed.
struct StopAfterOneGroup(CancelHandle);

impl Progress for StopAfterOneGroup {
    fn event(&self, event: Event) {
        if let Event::Committed { .. } = event {
            self.0.cancel();
        }
    }
}

#[test]
fn an_unfinished_trimmed_key_is_resumed_from_its_checkpoints_and_never_trimmed() {
    let whole = TestKey::trimmed(LONG, 0, 16 * 1024, 33, 8);
    let (layers, truth) = (whole.layers(), paths(&whole.path(), 16));
    let request = KeyRequest {
        scheme: Some(Scheme::by_id(LONG).unwrap()),
        epochs: Some(16 * 1024),
        trim: Some(Level(8)),
        ..seeded(33)
    };
    let key = TestKey::empty();
    let cancel = CancelHandle::default();
    let job = open_request(&key.path(), &request, cancel.clone()).unwrap();
    let stopped = job.run(&StopAfterOneGroup(cancel)).unwrap_err();
    assert_eq!(stopped.reason(), Reason::Interrupted, "{stopped}");
    let done = key.check().batches_checked;
    assert!((1..16).contains(&done), "{done}");
    let refused = trim(&key.path(), Level(9)).unwrap_err();
    assert_eq!(refused.reason(), Reason::NotFinished, "{refused}");
    let other = KeyRequest {
        trim: Some(Level(7)),
        ..request
    };
    let contradicted = open_request(&key.path(), &other, CancelHandle::default())
        .err()
        .unwrap();
    assert!(contradicted.to_string().contains("the trim"), "{contradicted}");
    // A batch that was committed and is damaged since then is found by its record.
    flip(&key, 8, 1);
    let job = open_request(&key.path(), &seeded(33), CancelHandle::default()).unwrap();
    let summary = job.run(&NoProgress).unwrap();
    assert_eq!(summary.epochs_computed, (16 - done + 1) * 1024);
    is_whole(&key, &layers, &truth, 8, "resumed");
}

/// Trims a key to level 2, and looks at the order of the calls: the manifest, its directory, the files, theirs.
fn deletes_under_a_durable_manifest(key: &TestKey, case: &str) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    let faults = Faults::below(&key.path(), move |call, path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        noted.lock().unwrap().push(format!("{call} {name}"));
        Fate::Pass
    });
    trim(&key.path(), Level(2)).unwrap();
    drop(faults);
    let calls = calls.lock().unwrap().clone();
    let renamed = calls.iter().position(|call| call == "rename manifest.toml").unwrap();
    let synced = renamed + calls[renamed..].iter().position(|call| call == "fsync key").unwrap();
    let first = calls.iter().position(|call| call.starts_with("unlink")).unwrap();
    let last = calls.iter().rposition(|call| call.starts_with("unlink")).unwrap();
    assert_eq!(&calls[first..=last], ["unlink 00.nodes", "unlink 01.nodes"], "{case}");
    assert!(synced < first, "{case}: {calls:?}");
    assert!(calls[last..].contains(&"fsync layers".to_owned()), "{case}: {calls:?}");
}

#[test]
fn files_are_deleted_only_under_a_durable_manifest_and_their_deletion_is_made_durable() {
    let untrimmed = TestKey::trimmed(TINY, 0, 256, 34, 0);
    deletes_under_a_durable_manifest(&untrimmed.copy(), "undisturbed");
    // The new manifest is there, and whether it is durable is not known.
    for (at, fate) in [
        ("rename manifest.toml", Fate::FailAfterwards(5)),
        ("fsync key", Fate::Fail(5)),
    ] {
        let key = untrimmed.copy();
        let mut is_renamed = false;
        let faults = Faults::below(&key.path(), move |call, path| {
            let made = format!("{call} {}", path.file_name().unwrap().to_string_lossy());
            is_renamed |= made == "rename manifest.toml";
            if is_renamed && made == at { fate } else { Fate::Pass }
        });
        trim(&key.path(), Level(2)).unwrap_err();
        drop(faults);
        let manifest = KeyDir::open(&key.path()).unwrap().manifest().clone();
        assert_eq!(manifest.plan().trim(), Level(2), "{at}");
        assert!(key.layers() == untrimmed.layers(), "{at}");
        deletes_under_a_durable_manifest(&key, &format!("after a failing {at}"));
    }
}

/// Lets `look` at a key, and puts the files of a trimmed copy in the place of its own when it opens the lowest of them.
fn meets_a_trim<T>(look: impl FnOnce(&Path) -> T) -> (T, Vec<AuthenticationPath>) {
    let key = TestKey::trimmed(TINY, 0, 256, 35, 0);
    let truth = paths(&key.path(), 16);
    let trimmed = key.copy();
    trim(&trimmed.path(), Level(3)).unwrap();
    let (at, lowest) = (key.path(), key.layer(0));
    let mut is_done = false;
    let _faults = Faults::below(&key.path(), move |call, path| {
        if call == "open" && path == lowest && !is_done {
            is_done = true;
            // Not through calls that this rule would be asked for.
            std::fs::copy(trimmed.path().join("manifest.toml"), at.join("manifest.toml")).unwrap();
            for level in 0..3 {
                std::fs::remove_file(at.join(format!("layers/{level:02}.nodes"))).unwrap();
            }
        }
        Fate::Pass
    });
    (look(&key.path()), truth)
}

#[test]
fn who_opens_a_key_while_it_is_trimmed_sees_it_trimmed() {
    let (seen, truth) = meets_a_trim(|directory| paths(directory, 16));
    assert!(seen == truth);
    let (report, _) = meets_a_trim(|directory| check(directory, true, OPTIONS).unwrap());
    assert_eq!((&report.damage[..], report.batches_checked), (&[][..], 1));
}

#[test]
fn a_trim_whose_directory_is_replaced_deletes_its_own() {
    let key = TestKey::new(TINY, 256, 21);
    let truth = paths(&key.path(), 16);
    let cut = |directory: &Path| {
        let trimmed = trim(directory, Level(4));
        trimmed.map(drop).map_err(|error| error.to_string())
    };
    is_replaced_at_every_call(Some(&key.path()), 1, &["state"], cut, |directory| {
        cut(directory).unwrap();
        assert!(paths(directory, 16) == truth);
    });
}
