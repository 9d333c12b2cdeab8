//! A ledger that says less than it did: restored, cut, deleted or damaged, it never lets an epoch sign again.

use std::fs;
use std::path::PathBuf;

use keymill::{Epoch, Reason, Signer};

use super::fixtures::{changing_nothing, copy, flip_byte};
use super::ledger::{fresh_key, message, sign, status};
use super::program::Place;

/// A fresh key whose epochs 3 and 4 are spent on message 1, and copies of state/ and ledger.mark from in between.
fn twice_signed() -> Place {
    let place = Place::new();
    fresh_key(&place);
    sign(&place, 3, 1).exits(0);
    copy(&place.path("key/state"), &place.path("old-state"));
    copy(&place.path("key/ledger.mark"), &place.path("old-mark"));
    sign(&place, 4, 1).exits(0);
    place
}

/// Nothing is signed, everybody says why, and a beginning above all that is known is the way on.
fn refused_until_begun_anew(place: &Place, state: &str, message: &[&str], damaged_file: &str) {
    for epoch in [3, 4, 5] {
        for number in [1, 2] {
            sign(place, epoch, number).exits(3).prints_nothing().says(message);
        }
    }
    changing_nothing(place, || {
        let shown = place.run("ledger show key --json").exits(1).json();
        assert_eq!(shown["state"], state);
        let shown_as_text = place.run("ledger show key").exits(1).prints(&[state]).prints(message);
        shown_as_text.prints(&["unused from     not known"]);
        let report = place.run("check key --json").exits(1).json();
        assert_eq!(report["damage"].as_array().unwrap().len(), 1, "{report}");
        assert_eq!(report["damage"][0]["file"], format!("key/{damaged_file}"));
    });
    let left = ["layer files and checkpoints are whole; but"];
    place.run("repair key").exits(0).prints(&left).prints(message);
    place.run("ledger export key").exits(3).prints_nothing().says(message);
    place.run("ledger init key --first-epoch 5").exits(0);
    place.run("check key").exits(0);
    // A store that was put back has lost the entry of epoch 4; any other still knows the message.
    let code = if damaged_file == "state" { 3 } else { 1 };
    sign(place, 4, 2).exits(code).prints_nothing();
    sign(place, 3, 2).exits(1);
    sign(place, 5, 2).exits(0);
}

#[test]
fn an_old_store_that_is_put_back_is_refused() {
    let place = twice_signed();
    copy(&place.path("old-state"), &place.path("key/state"));
    place
        .run("ledger init key --first-epoch 4")
        .exits(3)
        .says(&["use 5 or more"]);
    refused_until_begun_anew(
        &place,
        "went-backwards",
        &["older than its mark", "1 entry, 2 expected"],
        "state",
    );
}

#[test]
fn an_old_mark_beside_a_new_store_is_brought_up() {
    let place = twice_signed();
    let mark = fs::read(place.path("key/ledger.mark")).unwrap();
    copy(&place.path("old-mark"), &place.path("key/ledger.mark"));
    assert_eq!(status(&place)["state"], "sound");
    place.run("check key").exits(0);
    sign(&place, 4, 2).exits(1);
    assert_eq!(fs::read(place.path("key/ledger.mark")).unwrap(), mark);
}

#[test]
fn the_longer_ledger_of_a_copy_that_signed_on_its_own_is_refused() {
    let place = twice_signed();
    copy(&place.path("key"), &place.path("copy"));
    copy(&place.path("old-state"), &place.path("copy/state"));
    copy(&place.path("old-mark"), &place.path("copy/ledger.mark"));
    // Epoch 4 of the key has signed message 1; what the copy says of it must never count there.
    for epoch in [4, 5] {
        let line = format!("sign copy --epoch {epoch} --message {}", message(2));
        place.run(&line).exits(0);
    }
    copy(&place.path("copy/state"), &place.path("key/state"));
    let told = [
        "belongs to another copy",
        "3 entries, but ledger.mark is of another ledger with 2",
    ];
    place
        .run("ledger init key --first-epoch 5")
        .exits(3)
        .says(&["use 6 or more"]);
    sign(&place, 4, 2).exits(3).prints_nothing().says(&told);
    assert_eq!(status(&place)["state"], "went-backwards");
}

#[test]
fn a_mark_that_is_missing_is_refused() {
    let place = twice_signed();
    fs::remove_file(place.path("key/ledger.mark")).unwrap();
    refused_until_begun_anew(&place, "mark-missing", &["'key/ledger.mark' is missing"], "ledger.mark");
}

#[test]
fn a_mark_that_is_damaged_is_refused() {
    let place = twice_signed();
    flip_byte(&place.path("key/ledger.mark"), 70);
    refused_until_begun_anew(&place, "mark-damaged", &["'key/ledger.mark' is damaged"], "ledger.mark");
}

/// The files of the store whose names end so.
fn store_files(place: &Place, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.path("key/state")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(suffix) && fs::metadata(path).unwrap().len() > 0);
    files.sort();
    files
}

/// Epoch 4, which is spent on message 1, does not sign message 2.
#[track_caller]
fn does_not_sign_twice(place: &Place, case: &str) {
    let mut other = [0; 32];
    other[31] = 2;
    let signed = Signer::open(&place.path("key")).and_then(|mut signer| signer.sign(Epoch(4), &other));
    let Err(refusal) = signed else {
        panic!("{case}: a second message was signed");
    };
    assert_ne!(refusal.reason(), Reason::Locked, "{case}: {refusal}");
}

/// Runs `damage` on a store as it was left, for each number that it is called with, until it says that there is no more.
fn sweep(place: &Place, mut damage: impl FnMut(usize) -> Option<String>) -> usize {
    copy(&place.path("key/state"), &place.path("left-state"));
    copy(&place.path("key/ledger.mark"), &place.path("left-mark"));
    let mut cases = 0;
    while let Some(case) = damage(cases) {
        does_not_sign_twice(place, &case);
        copy(&place.path("left-state"), &place.path("key/state"));
        copy(&place.path("left-mark"), &place.path("key/ledger.mark"));
        cases += 1;
    }
    sign(place, 4, 1).exits(0);
    cases
}

#[test]
fn a_log_that_is_deleted_or_cut_anywhere_signs_nothing_twice() {
    let place = twice_signed();
    let logs = store_files(&place, ".log");
    assert_eq!(logs.len(), 1, "{logs:?}");
    let length = fs::metadata(&logs[0]).unwrap().len() as usize;
    assert!(length > 100, "the last entry is not in the log");
    let cases = sweep(&place, |number| {
        if number == 0 {
            fs::remove_file(&logs[0]).unwrap();
            return Some("deleted".to_owned());
        }
        let file = fs::File::options().write(true).open(&logs[0]).unwrap();
        file.set_len(number as u64 - 1).unwrap();
        (number <= length).then(|| format!("cut to {} of {length} bytes", number - 1))
    });
    assert_eq!(cases, length + 1);
}

#[test]
fn a_flipped_byte_in_the_store_signs_nothing_twice() {
    let place = twice_signed();
    let files: Vec<_> = [".log", ".sst", "CURRENT"]
        .into_iter()
        .flat_map(|suffix| store_files(&place, suffix))
        .collect();
    let manifests = fs::read_dir(place.path("key/state")).unwrap();
    let manifests = manifests.map(|entry| entry.unwrap().path());
    let manifests = manifests.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("MANIFEST"));
    // Every byte of the log, where the last entry is; of the others some.
    let mut places = Vec::new();
    for path in files.into_iter().chain(manifests) {
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        let step = if is_log { 1 } else { 31 };
        let length = fs::metadata(&path).unwrap().len();
        places.extend((0..length).step_by(step).map(|offset| (path.clone(), offset)));
    }
    let cases = sweep(&place, |number| {
        let (path, offset) = places.get(number)?;
        flip_byte(path, *offset);
        Some(format!("byte {offset} of {}", path.display()))
    });
    assert!(cases > 200, "{cases} cases");
}

/// Epochs 0 to 3 are spent on message 1, and of what the store knew of them two are lost, though the mark is the newest:
/// what a copy of a directory in use can hold, files of one moment and of a later one. `other` is a copy that has signed
/// with epoch 9 alone.
fn mixed() -> Place {
    let place = Place::new();
    fresh_key(&place);
    copy(&place.path("key"), &place.path("other"));
    let line = format!("sign other --epoch 9 --message {}", message(1));
    place.run(&line).exits(0);
    for epoch in 0..2 {
        sign(&place, epoch, 1).exits(0);
    }
    copy(&place.path("key"), &place.path("mixed"));
    for epoch in 2..4 {
        sign(&place, epoch, 1).exits(0);
    }
    for log in store_files(&place, ".log") {
        copy(&log, &place.path("mixed/state").join(log.file_name().unwrap()));
    }
    copy(&place.path("key/ledger.mark"), &place.path("mixed/ledger.mark"));
    place
}

/// No epoch of `mixed` that is spent signs message 2.
#[track_caller]
fn signs_nothing_twice(place: &Place) {
    for epoch in 0..4 {
        let line = format!("sign mixed --epoch {epoch} --message {}", message(2));
        let outcome = place.run(&line);
        assert!(matches!(outcome.code, Some(1 | 3)), "{}", outcome.all());
    }
}

#[test]
fn a_store_with_an_old_list_of_files_and_the_newest_log_is_refused() {
    let place = mixed();
    signs_nothing_twice(&place);
    assert_ne!(place.run("ledger show mixed --json").exits(1).json()["state"], "sound");
    place.run("check mixed").exits(1).prints(&["ledger"]);
    place.run("ledger export mixed").exits(3).prints_nothing();
}

#[test]
fn an_import_into_a_ledger_that_lost_entries_never_makes_it_sign_before_a_beginning() {
    for whole in [false, true] {
        let place = mixed();
        let source = if whole { "key" } else { "other" };
        place.run(&format!("ledger export {source} --out ledger")).exits(0);
        place.run("ledger import mixed ledger").exits(0);
        signs_nothing_twice(&place);
        let line = format!("sign mixed --epoch 20 --message {}", message(2));
        place.run(&line).exits(3).prints_nothing();
        // What the lost entries were is still known by the highest of them.
        place.run("ledger init mixed --first-epoch 3").exits(3);
        place.run("ledger init mixed --first-epoch 20").exits(0);
        signs_nothing_twice(&place);
        place.run(&line).exits(0);
    }
}
