//! Whatever is wrong with the file of an adopted part, a check says so and a repair makes it right again.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::Division;
use super::adopted::{adopted, parts_of, paths_of};
use super::{LEANVM, LEANVM_TRIMMED, OPTIONS, Place, TestedKey, files_of};
use crate::audit::{CheckReport, Damage, RepairReport, check, repair};
use crate::error::Reason;
use crate::faults::{Fate, Faults};
use crate::keygen::CancelHandle;
use crate::remedy::Remedy;
use crate::signing::PathReader;

const EIO: i32 = 5;
const ONE_IN: usize = 23;

fn checked(place: &Place, deep: bool) -> CheckReport {
    check(&place.key, deep, OPTIONS).unwrap()
}

fn repaired(place: &Place) -> RepairReport {
    repair(&place.key, OPTIONS, &CancelHandle::default()).unwrap()
}

fn part_files(place: &Place, key: TestedKey) -> Vec<PathBuf> {
    let files = fs::read_dir(parts_of(place, key)).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Sealed files are read-only, but not for root.
fn write(file: &Path, bytes: &[u8]) {
    fs::remove_file(file).unwrap();
    fs::write(file, bytes).unwrap();
}

#[test]
fn every_kind_of_byte_of_an_adopted_part_is_checked_and_repaired() {
    let place = adopted(LEANVM_TRIMMED, Division::Parts(3));
    let right = files_of(&place.key);
    let file = part_files(&place, LEANVM_TRIMMED).swap_remove(1);
    let bytes = fs::read(&file).unwrap();
    let end = bytes.len();
    // The header, its padding, each level and what stands behind it, and the table of checksums.
    let closing = end - 64;
    let places = [0, 20, 60, 4000]
        .into_iter()
        .chain((4096..closing).step_by(701))
        .chain([closing - 1]);
    for at in places {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1 << (at % 8);
        write(&file, &wrong);
        let report = checked(&place, false);
        assert!(!report.damage.is_empty(), "byte {at} of {end}");
        assert!(
            report.damage.iter().all(|damage| damage.file == file),
            "byte {at}: {report:?}"
        );
        let report = repaired(&place);
        assert!(report.did_something(), "byte {at}: {report:?}");
        assert!(files_of(&place.key) == right, "byte {at}: {report:?}");
        assert!(checked(&place, false).damage.is_empty(), "byte {at}");
    }
    // The digest takes longer than all else together, and only who has the secret can tell a wrong tag.
    for at in [closing, end - 33, end - 32, end - 1] {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        write(&file, &wrong);
        assert!(checked(&place, false).damage.is_empty());
        assert_eq!(checked(&place, true).damage.len(), 1);
        assert_eq!(repaired(&place).parts_rewritten, std::slice::from_ref(&file));
        assert!(files_of(&place.key) == right && checked(&place, true).damage.is_empty());
    }
}

#[test]
fn a_part_that_is_missing_cut_or_too_long_is_made_again_from_the_secret() {
    let place = adopted(LEANVM, Division::Parts(4));
    let (right, paths) = (files_of(&place.key), paths_of(&place.key, LEANVM));
    let files = part_files(&place, LEANVM);
    let bytes = fs::read(&files[2]).unwrap();
    for changed in [
        None,
        Some(&bytes[..0]),
        Some(&bytes[..5000]),
        Some(&[&bytes[..], &[7]].concat()[..]),
    ] {
        fs::remove_file(&files[2]).unwrap();
        if let Some(changed) = changed {
            fs::write(&files[2], changed).unwrap();
        }
        let error = PathReader::open(&place.key).err().unwrap();
        assert!(
            matches!(error.reason(), Reason::LayerMissing | Reason::Damaged),
            "{error}"
        );
        assert_eq!(error.remedies(), [Remedy::Repair(place.key.clone())], "{error}");
        let damage = checked(&place, false).damage;
        assert!(
            damage
                .iter()
                .any(|damage| damage.remedies == [Remedy::Repair(place.key.clone())]),
            "{damage:?}"
        );
        let report = repaired(&place);
        assert_eq!(report.files_restored.len(), 1, "{report:?}");
        assert!(files_of(&place.key) == right, "{report:?}");
        assert_eq!(paths_of(&place.key, LEANVM), paths);
    }
    // What was two parts comes back as one: its content follows from its epochs.
    fs::remove_file(&files[1]).unwrap();
    fs::remove_file(&files[2]).unwrap();
    repaired(&place);
    assert_eq!(part_files(&place, LEANVM).len(), 3);
    assert_eq!(paths_of(&place.key, LEANVM), paths);
    // As do all of them.
    fs::remove_dir_all(parts_of(&place, LEANVM)).unwrap();
    fs::create_dir(parts_of(&place, LEANVM)).unwrap();
    repaired(&place);
    assert_eq!(paths_of(&place.key, LEANVM), paths);
    assert!(checked(&place, true).damage.is_empty());
    // And without their directory the key has layer files.
    fs::remove_dir_all(parts_of(&place, LEANVM)).unwrap();
    repaired(&place);
    assert!(files_of(&place.key) == LEANVM.whole());
}

#[test]
fn two_parts_with_the_same_epochs_are_for_a_person_to_tell_apart() {
    let (place, other) = (adopted(LEANVM, Division::Parts(3)), adopted(LEANVM, Division::Parts(2)));
    // Both were made from one seed, so they are parts of one key.
    let extra = part_files(&other, LEANVM).swap_remove(0);
    let name = extra.file_name().unwrap().to_owned();
    let inside = parts_of(&place, LEANVM).join(name);
    fs::copy(&extra, &inside).unwrap();
    let error = PathReader::open(&place.key).err().unwrap();
    assert_eq!(error.reason(), Reason::Damaged, "{error}");
    let report = checked(&place, false);
    let is_overlap = |damage: &Damage| damage.what.contains("one of them has to go");
    assert!(
        !report.damage.is_empty() && report.damage.iter().all(is_overlap),
        "{report:?}"
    );
    assert!(repair(&place.key, OPTIONS, &CancelHandle::default()).is_err());
    fs::remove_file(&inside).unwrap();
    assert!(checked(&place, true).damage.is_empty());
}

#[test]
fn a_repair_of_adopted_parts_of_which_any_call_fails_is_finished_by_another() {
    let place = adopted(LEANVM_TRIMMED, Division::Parts(3));
    let right = files_of(&place.key);
    let files = part_files(&place, LEANVM_TRIMMED);
    for n in (1..).step_by(ONE_IN) {
        fs::remove_file(&files[0]).unwrap();
        let mut wrong = fs::read(&files[1]).unwrap();
        let middle = wrong.len() / 2;
        wrong[middle] ^= 1;
        write(&files[1], &wrong);
        let mut made = 0;
        let faults = Faults::below(&place.root, move |_, _| {
            made += 1;
            if made < n { Fate::Pass } else { Fate::Fail(EIO) }
        });
        let outcome = repair(&place.key, OPTIONS, &CancelHandle::default());
        let seen = faults.seen();
        drop(faults);
        let is_through = seen.len() < n;
        assert!(!is_through || outcome.is_ok(), "{outcome:?}");
        repaired(&place);
        let case = seen.get(n - 1).map(|call| format!("call {n}, {call:?}"));
        assert!(files_of(&place.key) == right, "{case:?}");
        if is_through {
            assert!(n > 150, "only {n} calls were seen");
            return;
        }
    }
}
