//! Keys that keep the files of their parts, against the keys that have layer files alone.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::{Division, JoinRequest, Joining, PartFiles};
use super::{LEANVM, LEANVM_TRIMMED, OPTIONS, POSEIDON, Place, TestedKey, files_of};
use crate::audit::{CheckReport, check, repair};
use crate::error::Reason;
use crate::failure::FailureKind;
use crate::faults::{Fate, Faults};
use crate::keygen::tests::in_memory;
use crate::keygen::{CancelHandle, NoProgress};
use crate::plan::Plan;
use crate::remedy::Remedy;
use crate::signing::{AuthenticationPath, PathReader};
use crate::trim::trim;
use crate::units::{Epoch, Level};
use keymill_xmss::scheme::Scheme;

const EIO: i32 = 5;
/// Of so many calls one is tried; a prime, so that in the end each of several that take turns is.
const ONE_IN: usize = 23;

/// A finished key that has adopted its parts.
pub(super) fn adopted(key: TestedKey, division: Division) -> Place {
    let place = Place::new(key, division);
    make_parts(&place, division, key);
    let report = place.adopt().unwrap();
    assert!(report.summary.is_some() && report.bad.is_empty(), "{report:?}");
    place
}

fn plan_of(key: TestedKey) -> Plan {
    Plan::new(Scheme::by_id(key.scheme).unwrap(), key.first, key.epochs).unwrap()
}

fn make_parts(place: &Place, division: Division, key: TestedKey) {
    for index in 0..division.count(&plan_of(key)) {
        place.part(index).unwrap();
    }
}

pub(super) fn parts_of(place: &Place, key: TestedKey) -> PathBuf {
    place.key.join(format!("layers/parts-t{}", key.trim))
}

/// Paths of epochs at the ends of the key, and on both sides of every border of batches.
pub(super) fn paths_of(key: &Path, tested: TestedKey) -> Vec<AuthenticationPath> {
    let reader = PathReader::open(key).unwrap();
    let stored = reader.manifest().plan().stored();
    let borders = (stored.start..stored.end)
        .filter(|epoch| epoch % 1024 == 0)
        .flat_map(|border| [border - 1, border]);
    let epochs = borders
        .chain([stored.start, stored.end - 1])
        .filter(|epoch| *epoch >= stored.start);
    let paths = epochs.map(|epoch| reader.path(Epoch(epoch as u32)));
    paths
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{tested:?}: {error}"))
}

#[test]
fn a_key_that_adopts_its_parts_gives_what_the_key_of_one_machine_gives() {
    let sealed = in_memory();
    for (number, (key, division)) in [
        (LEANVM, Division::Parts(1)),
        (LEANVM, Division::Parts(7)),
        (LEANVM, Division::Epochs(1024)),
        (LEANVM_TRIMMED, Division::Parts(3)),
        (POSEIDON, Division::Epochs(2048)),
    ]
    .into_iter()
    .enumerate()
    {
        let told = format!("{key:?}, {division:?}");
        let place = adopted(key, division);
        let whole = sealed.path().join(number.to_string());
        key.asked(&whole).open().unwrap().run(&NoProgress).unwrap();
        assert_eq!(paths_of(&place.key, key), paths_of(&whole, key), "{told}");
        // Above the batches everything is as it always is; below there are the parts alone.
        let (found, expected) = (files_of(&place.key), files_of(&whole));
        let is_part = |name: &str| name.ends_with(".part");
        assert_eq!(
            found.keys().filter(|name| is_part(name)).count() as u64,
            division.count(&plan_of(key))
        );
        for (name, content) in found.iter().filter(|(name, _)| !is_part(name)) {
            assert!(Some(content) == expected.get(name), "{told}: {name}");
            assert!(name.starts_with("manifest") || name.as_str() >= "10", "{told}: {name}");
        }
        assert_eq!(place.published(), Vec::<PathBuf>::new(), "{told}");
        let report = check(&place.key, true, OPTIONS).unwrap();
        assert_eq!(report.damage_count() + report.batches_missing, 0, "{told}: {report:?}");
        // Once more, it is there.
        assert!(place.adopt().unwrap().summary.unwrap().was_sealed, "{told}");
    }
}

#[test]
fn a_trim_of_a_key_that_has_adopted_its_parts_gives_the_trimmed_key_of_one_machine() {
    for (key, to) in [
        (LEANVM, 1),
        (LEANVM, 6),
        (LEANVM, 10),
        (LEANVM_TRIMMED, 7),
        (POSEIDON, 3),
    ] {
        let place = adopted(key, Division::Epochs(4096));
        let report = trim(&place.key, Level(to)).unwrap();
        assert!(
            report
                .files_removed
                .iter()
                .all(|file| file.extension().unwrap() == "part"),
            "{report:?}"
        );
        let expected = TestedKey { trim: to, ..key }.whole();
        assert!(files_of(&place.key) == expected, "{key:?} to {to}");
        assert!(!parts_of(&place, key).exists());
        assert!(check(&place.key, true, OPTIONS).unwrap().damage.is_empty());
    }
}

#[test]
fn a_join_that_adopts_of_which_any_call_fails_is_finished_by_the_same_request_with_the_same_key() {
    let division = Division::Parts(3);
    let undisturbed = adopted(LEANVM_TRIMMED, division);
    let right = files_of(&undisturbed.key);
    let made = Place::new(LEANVM_TRIMMED, division);
    make_parts(&made, division, LEANVM_TRIMMED);
    for n in (1..).step_by(ONE_IN) {
        let place = Place::new(LEANVM_TRIMMED, division);
        copy_parts(&made, &place);
        let outcome = failing_from(&place.root, n, || place.adopt());
        let Some((outcome, case)) = outcome else {
            assert!(n > 200, "only {n} calls were seen");
            return;
        };
        if let Err(error) = outcome {
            assert_eq!(error.kind(), FailureKind::Machine, "{case}: {error}");
        }
        let report = place
            .adopt()
            .unwrap_or_else(|error| panic!("{case}: going on: {error}"));
        assert!(report.summary.is_some(), "{case}: {report:?}");
        assert!(files_of(&place.key) == right, "{case}");
        assert_eq!(place.published(), Vec::<PathBuf>::new(), "{case}");
    }
}

#[test]
fn a_trim_of_which_any_call_fails_leaves_a_key_that_gives_its_paths_and_is_finished_by_another() {
    let division = Division::Parts(2);
    let right = TestedKey { trim: 5, ..LEANVM }.whole();
    let paths = paths_of(&adopted(LEANVM, division).key, LEANVM);
    for n in (1..).step_by(ONE_IN) {
        let place = adopted(LEANVM, division);
        let Some((outcome, case)) = failing_from(&place.root, n, || trim(&place.key, Level(5))) else {
            assert!(n > 60, "only {n} calls were seen");
            return;
        };
        if let Err(error) = outcome {
            assert_eq!(error.kind(), FailureKind::Machine, "{case}: {error}");
        }
        assert_eq!(paths_of(&place.key, LEANVM), paths, "{case}");
        trim(&place.key, Level(5)).unwrap_or_else(|error| panic!("{case}: going on: {error}"));
        assert!(files_of(&place.key) == right, "{case}");
        assert!(
            check(&place.key, false, OPTIONS).unwrap().left_over.is_empty(),
            "{case}"
        );
    }
}

/// Lets the call of this number, and all that come after it, fail. None if there are not as many.
fn failing_from<T>(root: &Path, n: usize, run: impl FnOnce() -> T) -> Option<(T, String)> {
    let mut made = 0;
    let faults = Faults::below(root, move |_, _| {
        made += 1;
        if made < n { Fate::Pass } else { Fate::Fail(EIO) }
    });
    let outcome = run();
    let seen = faults.seen();
    drop(faults);
    (seen.len() >= n).then(|| (outcome, format!("call {n}, {:?}", seen[n - 1])))
}

fn copy_parts(from: &Place, to: &Place) {
    fs::create_dir_all(&to.out).unwrap();
    for file in from.published() {
        fs::copy(&file, to.out.join(file.file_name().unwrap())).unwrap();
    }
}

#[test]
fn what_becomes_of_the_files_of_parts_is_decided_once() {
    let division = Division::Parts(3);
    let place = Place::new(LEANVM, division);
    place.part(1).unwrap();
    let report = place.adopt().unwrap();
    assert_eq!((report.taken.len(), report.missing.len()), (1, 2), "{report:?}");
    assert!(report.taken[0].file.starts_with(&place.key) && report.taken[0].file.exists());
    let refused = place.join_keeping(Some(PartFiles::Copied)).unwrap_err();
    assert_eq!(refused.reason(), Reason::Contradiction, "{refused}");
    let refused = LEANVM.asked(&place.key).open().err().unwrap();
    assert_eq!(refused.reason(), Reason::Contradiction, "{refused}");
    // Without a word it goes on as it was begun.
    place.part(0).unwrap();
    place.part(2).unwrap();
    let report = place.join().unwrap();
    assert!(report.summary.is_some() && report.taken.len() == 3, "{report:?}");
    assert_eq!(fs::read_dir(parts_of(&place, LEANVM)).unwrap().count(), 3);

    let place = Place::new(LEANVM, division);
    place.part(1).unwrap();
    place.join().unwrap();
    let refused = place.adopt().unwrap_err();
    assert_eq!(refused.reason(), Reason::Contradiction, "{refused}");
    let place = Place::new(TestedKey { trim: 10, ..LEANVM }, division);
    place.part(1).unwrap();
    let refused = place.adopt().unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Usage, "{refused}");
}

#[test]
fn a_part_that_overlaps_an_adopted_one_is_left_out_and_one_that_is_gone_is_missing_again() {
    let division = Division::Parts(2);
    let (place, other) = (Place::new(LEANVM, division), Place::new(LEANVM, Division::Parts(3)));
    place.part(0).unwrap();
    place.adopt().unwrap();
    // The same key, divided in another way.
    fs::copy(other.key.join("secret"), place.key.join("secret")).unwrap();
    other.part(1).unwrap();
    copy_parts(&other, &place);
    let report = place.adopt().unwrap();
    assert_eq!(report.bad.len(), 1, "{report:?}");
    assert!(report.bad[0].what.contains("in the key already"), "{report:?}");
    for file in place.published() {
        fs::remove_file(file).unwrap();
    }
    fs::remove_file(&report.taken[0].file).unwrap();
    assert_eq!(place.adopt().unwrap().missing.len(), 2);
    make_parts(&place, division, LEANVM);
    assert!(place.adopt().unwrap().summary.is_some());
}

#[test]
fn a_part_of_which_one_byte_changes_while_the_key_is_unfinished_goes_back_and_is_named() {
    let place = Place::new(LEANVM, Division::Parts(3));
    place.part(1).unwrap();
    let file = place.adopt().unwrap().taken[0].file.clone();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let named = |report: &CheckReport| {
        let remedies = report.damage.iter().flat_map(|damage| &damage.remedies);
        let of_join = remedies.filter(|remedy| matches!(remedy, Remedy::Join(_))).count();
        of_join > 0 && of_join == report.damage.len()
    };
    assert!(named(&check(&place.key, false, OPTIONS).unwrap()));
    let aside = place.root.join("aside");
    fs::rename(&file, &aside).unwrap();
    assert!(named(&check(&place.key, false, OPTIONS).unwrap()));
    fs::rename(&aside, &file).unwrap();
    let report = place.adopt().unwrap();
    assert_eq!((report.bad.len(), report.missing.len()), (1, 3), "{report:?}");
    // It is kept, under another name.
    assert!(report.bad[0].file.extension().unwrap() == "damaged" && report.bad[0].file.exists());
    assert!(!file.exists());
    make_parts(&place, Division::Parts(3), LEANVM);
    assert!(place.adopt().unwrap().summary.is_some());
    let mut found = files_of(&place.key);
    found.retain(|name, _| !name.ends_with(".damaged"));
    assert!(found == files_of(&adopted(LEANVM, Division::Parts(3)).key));
}

#[test]
fn an_unfinished_key_whose_layers_or_checkpoints_are_damaged_is_repaired_and_joined() {
    let place = Place::new(LEANVM, Division::Parts(3));
    place.part(0).unwrap();
    place.part(1).unwrap();
    place.adopt().unwrap();
    fs::write(place.key.join("layers/10.nodes"), b"cut").unwrap();
    fs::remove_dir_all(place.key.join("state")).unwrap();
    assert!(place.adopt().is_err());
    let report = repair(&place.key, OPTIONS, &CancelHandle::default()).unwrap();
    assert!(
        report.store_replaced.is_some() && report.files_restored.len() == 1,
        "{report:?}"
    );
    place.part(2).unwrap();
    let report = place.adopt().unwrap();
    assert!(report.summary.is_some() && report.taken.len() == 3, "{report:?}");
    assert!(files_of(&place.key) == files_of(&adopted(LEANVM, Division::Parts(3)).key));
}

#[test]
fn no_file_of_a_part_is_ever_deleted_and_what_is_not_one_of_the_users_own_is_not_adopted() {
    let division = Division::Parts(3);
    let place = Place::new(LEANVM, division);
    make_parts(&place, division, LEANVM);
    let parts = parts_of(&place, LEANVM);
    let files = place.published();
    // A link, and a file with two names.
    let elsewhere = place.root.join("elsewhere");
    fs::rename(&files[0], &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &files[0]).unwrap();
    fs::hard_link(&files[1], place.root.join("second name")).unwrap();
    let report = place.adopt().unwrap();
    let what: Vec<&str> = report.bad.iter().map(|bad| &*bad.what).collect();
    assert!(
        what.len() == 2 && what[0].contains("a link") && what[1].contains("hard link"),
        "{report:?}"
    );
    fs::remove_file(&files[0]).unwrap();
    fs::rename(&elsewhere, &files[0]).unwrap();
    fs::remove_file(place.root.join("second name")).unwrap();
    // The directory of the key itself, by any name.
    let alias = place.root.join("alias");
    std::os::unix::fs::symlink(&parts, &alias).unwrap();
    for source in [&parts, &alias] {
        let request = JoinRequest::new(&place.key, source);
        let refused = Joining::open(request, OPTIONS, CancelHandle::default())
            .unwrap()
            .run(&NoProgress);
        assert_eq!(refused.unwrap_err().kind(), FailureKind::Usage);
    }
    // An unfinished part in the key stays, whatever has its name where parts come from.
    fs::rename(&files[1], parts.join(files[1].file_name().unwrap())).unwrap();
    fs::write(&files[1], b"half").unwrap();
    let report = place.adopt().unwrap();
    assert!(report.summary.is_some(), "{report:?}");
    assert_eq!(place.published(), [files[1].clone()]);
    assert!(files_of(&place.key) == files_of(&adopted(LEANVM, division).key));
}

#[test]
fn a_part_that_cannot_be_moved_from_its_file_system_stays_where_it_is() {
    const EXDEV: i32 = 18;
    let division = Division::Parts(2);
    let place = Place::new(LEANVM, division);
    make_parts(&place, division, LEANVM);
    let files = place.published();
    let faults = Faults::below(&place.root, |call, path| match call {
        "rename" if path.extension().is_some_and(|ending| ending == "part") => Fate::Fail(EXDEV),
        _ => Fate::Pass,
    });
    let refused = place.adopt().unwrap_err();
    drop(faults);
    assert_eq!(refused.kind(), FailureKind::Usage, "{refused}");
    assert!(refused.to_string().contains("another file system"), "{refused}");
    assert_eq!(place.published(), files);
    assert!(place.adopt().unwrap().summary.is_some());
}

#[test]
fn more_parts_than_a_key_can_adopt_are_refused_before_anything_is_moved() {
    let key = TestedKey {
        epochs: 300 << 10,
        trim: 9,
        ..LEANVM
    };
    let place = Place::new(key, Division::Epochs(1024));
    fs::create_dir(&place.out).unwrap();
    let refused = place.adopt().unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Usage, "{refused}");
    assert!(!place.key.join("layers").exists());
    assert!(place.join().unwrap().missing.len() > 256);
}

#[test]
fn a_trim_that_ended_before_its_manifest_leaves_nothing_for_long() {
    let place = adopted(LEANVM, Division::Parts(2));
    let right = files_of(&place.key);
    for level in ["05", "09"] {
        fs::write(place.key.join(format!("layers/{level}.nodes")), b"half").unwrap();
    }
    paths_of(&place.key, LEANVM);
    assert_eq!(check(&place.key, false, OPTIONS).unwrap().left_over.len(), 2);
    assert_eq!(trim(&place.key, Level(0)).unwrap().files_removed.len(), 2);
    assert!(files_of(&place.key) == right);
    assert!(check(&place.key, false, OPTIONS).unwrap().left_over.is_empty());
}
