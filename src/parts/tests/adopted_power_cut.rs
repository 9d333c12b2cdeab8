//! Keys that adopt their parts, when the power goes.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::super::{Division, JoinReport, JoinRequest, Joining, PartFiles, PartIndex, PartJob, PartRequest, split};
use super::adopted::paths_of;
use super::{LEANVM, OPTIONS, TestedKey, files_of};
use crate::error::Result;
use crate::faults::{Fate, Faults};
use crate::keydir::TICKET;
use crate::keygen::tests::cut_short::Work;
use crate::keygen::tests::in_memory;
use crate::keygen::{CancelHandle, NoProgress};
use crate::trim::trim;
use crate::units::Level;

const CUTS: u64 = 80;
/// Two whole batches, and the ends of two more.
const KEY: TestedKey = TestedKey {
    epochs: 3000,
    trim: 3,
    ..LEANVM
};
const PARTS: u64 = 2;

/// A key that is divided, with its parts in `made`.
fn divided(root: &Path) {
    let key = root.join("key");
    split(&KEY.asked(&key), Some(Division::Parts(PARTS))).unwrap();
    for index in 0..PARTS {
        let request = PartRequest::new(key.join(TICKET), PartIndex(index), key.join("secret"));
        let request = request.through(root.join("work"), root.join("made"));
        let job = PartJob::open(request, OPTIONS, CancelHandle::default()).unwrap();
        job.run(&NoProgress).unwrap();
    }
    fs::create_dir(root.join("out")).unwrap();
}

/// Copies the parts to `out` as a person does, who syncs nothing.
fn copy_parts(root: &Path) {
    fs::create_dir_all(root.join("out")).unwrap();
    for entry in fs::read_dir(root.join("made")).unwrap() {
        let made = entry.unwrap().path();
        fs::copy(&made, root.join("out").join(made.file_name().unwrap())).unwrap();
    }
}

fn adopt(root: &Path) -> Result<JoinReport> {
    let request = JoinRequest {
        files: Some(PartFiles::Adopted),
        ..JoinRequest::new(root.join("key"), root.join("out"))
    };
    Joining::open(request, OPTIONS, CancelHandle::default())?.run(&NoProgress)
}

fn adopted(root: &Path) {
    divided(root);
    copy_parts(root);
    assert!(adopt(root).unwrap().summary.is_some());
}

#[test]
fn a_join_that_adopts_loses_nothing_when_the_power_goes() {
    let right = in_memory();
    adopted(right.path());
    let right = files_of(&right.path().join("key"));
    let work = Work {
        before: &divided,
        done: &|root| {
            copy_parts(root);
            let joined = adopt(root).map_err(|error| error.to_string());
            ((), joined.map(|report| assert!(report.summary.is_some())))
        },
        holds: &|root, (), is_done, case| {
            let key = root.join("key");
            if is_done {
                paths_of(&key, KEY);
            }
            copy_parts(root);
            let report = adopt(root).unwrap_or_else(|error| panic!("{case}: going on: {error}"));
            assert!(report.summary.is_some(), "{case}: {report:?}");
            let mut found = files_of(&key);
            found.retain(|name, _| !name.contains(".damaged"));
            assert!(found == right, "{case}");
        },
    };
    work.is_cut(CUTS);
}

#[test]
fn a_trim_of_adopted_parts_loses_nothing_when_the_power_goes() {
    const TRIM: u8 = 6;
    let place = in_memory();
    adopted(place.path());
    let paths = paths_of(&place.path().join("key"), KEY);
    let right = TestedKey { trim: TRIM, ..KEY }.whole();
    let work = Work {
        before: &adopted,
        done: &|root| {
            let trimmed = trim(&root.join("key"), Level(TRIM));
            ((), trimmed.map(drop).map_err(|error| error.to_string()))
        },
        holds: &|root, (), _, case| {
            let key = root.join("key");
            assert_eq!(paths_of(&key, KEY), paths, "{case}");
            trim(&key, Level(TRIM)).unwrap_or_else(|error| panic!("{case}: going on: {error}"));
            assert!(files_of(&key) == right, "{case}");
        },
    };
    work.is_cut(CUTS);
}

#[test]
fn a_part_is_on_the_disk_and_in_its_place_before_anything_of_it_is_committed() {
    let place = in_memory();
    divided(place.path());
    copy_parts(place.path());
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    let faults = Faults::below(place.path(), move |call, path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_of_part = name.ends_with(".part");
        if is_of_part || name.starts_with("parts-t") || name == "10.nodes" {
            let what = if is_of_part { "part".to_owned() } else { name };
            noted.lock().unwrap().push(format!("{call} {what}"));
        }
        Fate::Pass
    });
    adopt(place.path()).unwrap();
    drop(faults);
    let calls = calls.lock().unwrap();
    let place_of = |call: &str| {
        calls
            .iter()
            .position(|made| made == call)
            .unwrap_or_else(|| panic!("{call}: {calls:?}"))
    };
    let first_rename = place_of("rename part");
    let before = &calls[..first_rename];
    let reads = |from: &[String]| from.iter().filter(|call| *call == "pread part").count();
    // The header is read when parts are looked for, and when this one is opened.
    let dropped = place_of("posix_fadvise part");
    assert!(
        place_of("fsync part") < dropped && reads(&before[..dropped]) <= PARTS as usize + 1,
        "{calls:?}"
    );
    assert!(reads(&before[dropped..]) > 10, "{calls:?}");
    let behind = &calls[first_rename..];
    let place_behind = |call: &str| behind.iter().position(|made| made == call);
    assert!(
        place_behind("fsync parts-t3").unwrap() < place_behind("write to mapping 10.nodes").unwrap(),
        "{calls:?}"
    );
}
