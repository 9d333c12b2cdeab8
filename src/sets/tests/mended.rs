//! Sets whose finished key lost files.

use std::fs;
use std::path::{Path, PathBuf};

use super::{
    EIO, Reason, SetRequest, at_every_call, copy, dies_while_it_computes, files, is_for, make, planned, request, run,
    with_a_sealed_key,
};
use crate::faults::{Fate, Faults};
use crate::remedy::Remedy;

const ENDINGS: [&str; 4] = ["_pk.ssz", "_pk.json", "_sk.ssz", "_sk.json"];

fn unseeded() -> SetRequest {
    SetRequest {
        seed: None,
        ..request()
    }
}

fn keeping() -> SetRequest {
    SetRequest {
        keeps_directories: true,
        ..unseeded()
    }
}

fn file(directory: &Path, ending: &str) -> PathBuf {
    let names = files(directory).into_keys();
    let name = names.into_iter().find(|name| name.to_string_lossy().ends_with(ending));
    directory.join(name.unwrap())
}

/// What is noted beside the files, and the directories of keys.
fn beside(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = [directory.to_owned(), directory.join(".keymill-set")]
        .iter()
        .flat_map(|directory| fs::read_dir(directory).unwrap())
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir() || entry.path().parent().unwrap() != directory)
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn whatever_files_a_finished_key_lost_are_made_again_of_what_is_left() {
    let place = tempfile::tempdir().unwrap();
    for (kind, request) in [("seed", request()), ("fresh", unseeded()), ("kept", keeping())] {
        let whole = place.path().join(kind);
        run(&whole, request.clone()).unwrap();
        for lost in 1..16 {
            let set = place.path().join("set");
            copy(&whole, &set);
            let is_lost = |place: usize| lost & (1 << place) != 0;
            for place in (0..4).filter(|&place| is_lost(place)) {
                fs::remove_file(file(&set, ENDINGS[place])).unwrap();
            }
            let before = files(&set);
            let outcome = run(&set, request.clone());
            let case = format!("{kind}, lost {lost:04b}");
            if kind == "fresh" && is_lost(2) && is_lost(3) {
                let lost = outcome.as_ref().is_err_and(|error| error.reason() == Reason::Lost);
                assert!(lost, "{case}: {outcome:?}");
                assert!(files(&set) == before, "{case}");
            } else {
                outcome.unwrap_or_else(|error| panic!("{case}: {error}"));
                assert!(files(&set) == files(&whole), "{case}");
            }
            assert_eq!(beside(&set), beside(&whole), "{case}");
            fs::remove_dir_all(&set).unwrap();
        }
    }
}

/// The whole set, and one like it that lost files, whose directory is still where it was made.
fn with_a_directory_left(place: &Path) -> (PathBuf, PathBuf) {
    let (whole, broken) = (place.join("whole"), place.join("broken"));
    make(&whole).unwrap();
    with_a_sealed_key(&broken);
    let finished = ".keymill-set/finished";
    fs::copy(whole.join(finished), broken.join(finished)).unwrap();
    fs::copy(file(&whole, "yaml"), broken.join("validator-keys-manifest.yaml")).unwrap();
    (whole, broken)
}

#[test]
fn mending_of_which_any_call_fails_is_finished_by_the_same_request() {
    let place = tempfile::tempdir().unwrap();
    let (whole, of_directory) = with_a_directory_left(place.path());
    let of_secret = |lost: &'static [&'static str]| {
        let whole = whole.clone();
        move |directory: &Path| {
            copy(&whole, directory);
            for ending in lost {
                fs::remove_file(file(directory, ending)).unwrap();
            }
        }
    };
    let finished = |directory: &Path, case: &str| {
        for (name, content) in &files(directory) {
            let expected = &files(&whole)[name];
            assert!(expected == content, "{case}: {} is not whole", name.display());
        }
        make(directory).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(files(directory) == files(&whole), "{case}");
        assert_eq!(beside(directory), beside(&whole), "{case}");
    };
    let prepared: [&dyn Fn(&Path); 3] = [
        &of_secret(&["_pk.ssz", "_pk.json", "_sk.json"]),
        &of_secret(&["_pk.ssz", "_sk.ssz"]),
        &|directory| copy(&of_directory, directory),
    ];
    for prepare in prepared {
        let calls = at_every_call(place.path(), prepare, &make, &finished);
        assert!(calls > 60, "{calls}");
    }
}

#[test]
fn a_secret_that_is_another_keys_or_damaged_is_nothing_to_mend_with() {
    let place = tempfile::tempdir().unwrap();
    let (set, other) = (place.path().join("set"), place.path().join("other"));
    run(&other, unseeded()).unwrap();
    make(&set).unwrap();
    let whole = fs::read(file(&set, "_sk.json")).unwrap();
    let others = fs::read(file(&other, "_sk.json")).unwrap();
    let damaged = String::from_utf8(whole).unwrap().replacen('1', "2", 1).into_bytes();
    let json = file(&set, "_sk.json");
    fs::remove_file(file(&set, "_sk.ssz")).unwrap();
    for content in [others, damaged] {
        fs::write(&json, content).unwrap();
        let before = files(&set);
        let outcome = make(&set);
        assert!(is_for(&outcome, Reason::Damaged, &json), "{outcome:?}");
        assert!(files(&set) == before);
    }
    // The seed is left.
    fs::remove_file(&json).unwrap();
    make(&set).unwrap();
}

#[test]
fn lost_files_ask_for_their_own_room_and_for_that_of_a_key_where_it_is_made_again() {
    let place = tempfile::tempdir().unwrap();
    let set = place.path().join("set");
    make(&set).unwrap();
    let plan = request().plan().unwrap();
    let needed = || {
        planned(&set, &request(), &plan)
            .unwrap()
            .needed_bytes(&request(), &plan, 1)
    };
    let lose = |ending| {
        let path = file(&set, ending);
        let bytes = fs::metadata(&path).unwrap().len();
        fs::remove_file(path).unwrap();
        bytes
    };
    let public = lose("_pk.ssz");
    assert_eq!(needed(), public);
    let ssz = public + lose("_sk.ssz");
    assert_eq!(needed(), ssz);
    let both = ssz + lose("_sk.json") + plan.disk_bytes();
    // The size of JSON is rounded up.
    assert!((both..2 * both).contains(&needed()), "{both} for {}", needed());
    let before = needed();
    let json = lose("_pk.json");
    assert!((json..json + 1024).contains(&(needed() - before)));
}

#[test]
fn a_key_that_was_begun_again_of_the_seed_is_charged_for_what_it_has_not_taken_yet() {
    let place = tempfile::tempdir().unwrap();
    let set = place.path().join("set");
    make(&set).unwrap();
    let plan = request().plan().unwrap();
    let needed = || {
        planned(&set, &request(), &plan)
            .unwrap()
            .needed_bytes(&request(), &plan, 1)
    };
    for ending in ["_sk.ssz", "_sk.json"] {
        fs::remove_file(file(&set, ending)).unwrap();
    }
    let whole = needed();
    dies_while_it_computes(&set, request());
    let taken = crate::files::allocated_bytes(&made(&set))
        .unwrap()
        .min(plan.disk_bytes());
    assert!(taken > 0);
    assert_eq!(needed(), whole - taken);
}

#[test]
fn directories_that_are_kept_are_asked_room_for_without_what_only_their_making_takes() {
    let place = tempfile::tempdir().unwrap();
    let set = place.path().join("set");
    let plan = keeping().plan().unwrap();
    let needed = |validators| {
        let request = SetRequest {
            validators,
            ..keeping()
        };
        planned(&set, &request, &plan).unwrap().needed_bytes(&request, &plan, 1)
    };
    let each = needed(101) - needed(100);
    run(&set, keeping()).unwrap();
    let taken = crate::files::allocated_bytes(&set).unwrap();
    assert!((taken..taken + (2 << 20)).contains(&each), "{each} for {taken}");
}

#[test]
fn a_directory_that_cannot_be_read_keeps_no_key_from_being_made_of_the_seed() {
    let place = tempfile::tempdir().unwrap();
    let (whole, half_deleted) = with_a_directory_left(place.path());
    fs::remove_file(made(&half_deleted).join("secret")).unwrap();
    make(&half_deleted).unwrap();
    assert!(files(&half_deleted) == files(&whole));
    assert_eq!(beside(&half_deleted), beside(&whole));
    for (case, request) in [("seed", keeping_of_seed()), ("fresh", keeping())] {
        let set = place.path().join(case);
        run(&set, request.clone()).unwrap();
        let before = files(&set);
        fs::remove_dir_all(places(&set)[0].join("layers")).unwrap();
        for ending in ["_sk.ssz", "_sk.json"] {
            fs::remove_file(file(&set, ending)).unwrap();
        }
        let outcome = run(&set, request);
        if case == "seed" {
            outcome.unwrap();
            assert!(files(&set) == before);
        } else {
            // What can be repaired is named.
            let path = places(&set)[0].display().to_string();
            let error = outcome.unwrap_err();
            assert!(error.to_string().contains(&path), "{error}");
            assert!(matches!(error.remedies(), [Remedy::Repair(_)]), "{error:?}");
        }
    }
}

#[test]
fn no_half_of_a_removed_directory_passes_for_the_key() {
    let place = tempfile::tempdir().unwrap();
    let set = place.path().join("set");
    let faults = Faults::below(&set, |call, path| {
        let is_of_a_key = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().ends_with("_key"));
        if call == "rmdir" && is_of_a_key {
            Fate::Fail(EIO)
        } else {
            Fate::Pass
        }
    });
    make(&set).unwrap_err();
    drop(faults);
    assert!(!made(&set).exists());
    assert!(beside(&set).contains(&"removed-validator_0_proposer_key".to_owned()));
    make(&set).unwrap();
    assert_eq!(beside(&set), [".keymill-set", "LOCK", "finished", "set.toml"]);
}

/// Where the directory of the key is made.
fn made(set: &Path) -> PathBuf {
    set.join(".keymill-set/validator_0_proposer_key")
}

/// The directory of the key, where it is kept and where it was made.
fn places(set: &Path) -> [PathBuf; 2] {
    let public = file(set, "_pk.ssz").display().to_string();
    let kept = PathBuf::from(public.strip_suffix("_pk.ssz").unwrap());
    [kept, made(set)]
}

fn keeping_of_seed() -> SetRequest {
    SetRequest {
        keeps_directories: true,
        ..request()
    }
}

#[test]
fn a_secret_that_is_in_no_file_of_the_set_comes_back_on_request_only() {
    let place = tempfile::tempdir().unwrap();
    for (kind, asked) in [("seed", request()), ("kept", keeping())] {
        let whole = place.path().join(kind);
        run(&whole, asked.clone()).unwrap();
        let unasked = SetRequest {
            restores_secrets: false,
            ..asked.clone()
        };
        for (lost, is_refused) in [
            (&["_pk.ssz", "_sk.json"][..], false),
            (&["_pk.json", "_sk.ssz"], false),
            (&["_sk.ssz", "_sk.json"], true),
        ] {
            let set = place.path().join("set");
            copy(&whole, &set);
            let lost = lost.iter().map(|ending| file(&set, ending)).collect::<Vec<_>>();
            lost.iter().for_each(|path| fs::remove_file(path).unwrap());
            let before = files(&set);
            let outcome = run(&set, unasked.clone());
            if is_refused {
                assert!(is_for(&outcome, Reason::Lost, &lost[0]), "{kind}: {outcome:?}");
                let words = outcome.unwrap_err().to_string();
                assert!(words.contains("1 of the finished keys"), "{words}");
                assert!(files(&set) == before, "{kind}");
                run(&set, asked.clone()).unwrap();
            } else {
                outcome.unwrap();
            }
            assert!(files(&set) == files(&whole), "{kind}");
            fs::remove_dir_all(&set).unwrap();
        }
    }
}

#[test]
fn a_key_directory_stays_while_something_else_stands_where_it_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let set = place.path().join("set");
    run(&set, keeping()).unwrap();
    let [kept, made] = places(&set);
    fs::rename(&kept, &made).unwrap();
    fs::create_dir(&kept).unwrap();
    fs::write(kept.join("mine"), "").unwrap();
    let secret = fs::read(made.join("secret")).unwrap();
    let outcome = run(&set, keeping());
    assert!(is_for(&outcome, Reason::InTheWay, &kept), "{outcome:?}");
    assert!(fs::read(made.join("secret")).unwrap() == secret);
    fs::remove_dir_all(&kept).unwrap();
    run(&set, keeping()).unwrap();
    assert!(fs::read(kept.join("secret")).unwrap() == secret);
}

#[test]
fn no_directory_is_kept_that_is_not_the_keys() {
    let place = tempfile::tempdir().unwrap();
    let set = place.path().join("set");
    run(&set, keeping_of_seed()).unwrap();
    let [kept, made] = places(&set);
    let (secrets, away) = (
        ["_sk.ssz", "_sk.json"].map(|ending| file(&set, ending)),
        place.path().join("away"),
    );
    fs::rename(&secrets[0], &away).unwrap();
    fs::remove_file(&secrets[1]).unwrap();
    fs::remove_dir_all(&kept).unwrap();
    dies_while_it_computes(&set, keeping_of_seed());
    assert!(made.join("secret").exists());
    fs::rename(&away, &secrets[0]).unwrap();
    run(&set, keeping_of_seed()).unwrap();
    assert!(!kept.exists() && !made.exists());
}

#[test]
fn a_key_is_not_made_again_where_what_was_kept_of_it_cannot_be_known() {
    let place = tempfile::tempdir().unwrap();
    let set = place.path().join("set");
    run(&set, keeping_of_seed()).unwrap();
    let [kept, made] = places(&set);
    let secrets = ["_sk.ssz", "_sk.json"].map(|ending| file(&set, ending));
    secrets.iter().for_each(|secret| fs::remove_file(secret).unwrap());
    fs::remove_file(kept.join("manifest.toml")).unwrap();
    let outcome = run(&set, keeping_of_seed());
    assert!(is_for(&outcome, Reason::InTheWay, &kept), "{outcome:?}");
    assert!(!made.exists() && secrets.iter().all(|secret| !secret.exists()));
    fs::remove_dir_all(&kept).unwrap();
    run(&set, keeping_of_seed()).unwrap();
    assert!(secrets.iter().all(|secret| secret.exists()));
    assert!(kept.join("manifest.toml").exists());
}
