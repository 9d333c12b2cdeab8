//! What is planned for a set, without a disk.

use std::path::{Path, PathBuf};

use super::super::begun::{Begun, Noted, Place, Unfinished};
use super::super::finished::{FinishedKeys, Key};
use super::super::names::{Form, Half, KeyFiles, KeyName, Prefix, key_files};
use super::super::plan::{Mending, SetPlan, Source};
use super::{Error, Reason, Result, Role, SetRequest, Survey, request};

const SET: &str = "set";
const FIRST: Key = (0, Role::Proposer);
const SECOND: Key = (1, Role::Proposer);

fn two_validators() -> SetRequest {
    SetRequest {
        validators: 2,
        is_distributed: false,
        ..request()
    }
}

fn name((index, role): Key) -> KeyName {
    let prefix = Prefix::Index(index);
    KeyName { prefix, role }
}

/// A directory with all files of these keys.
fn survey(keys: &[Key]) -> Survey {
    let mut survey = Survey::empty(Path::new(SET));
    for &key in keys {
        key_files(true)
            .iter()
            .for_each(|&file| survey.note(name(key).file(file), false));
    }
    survey
}

/// A set of which these keys are finished.
fn begun(finished: &[Key]) -> Begun {
    let finished: FinishedKeys = finished.iter().map(|&key| (key, vec![7; 52])).collect();
    Begun {
        noted: Noted::This(finished),
        ..Begun::nothing()
    }
}

#[track_caller]
fn refused(plan: Result<SetPlan>, reason: Reason, name: &str) {
    let error = plan.unwrap_err();
    assert_eq!(error.reason(), reason, "{error}");
    assert_eq!(error.path(), Some(&*PathBuf::from(SET).join(name)), "{error}");
}

#[test]
fn a_key_is_made_unless_it_is_finished_and_mended_where_it_lacks_files() {
    let mut survey = survey(&[FIRST]);
    let whole = SetPlan::new(&survey, begun(&[FIRST]), &two_validators()).unwrap();
    assert!(whole.finished.contains_key(&FIRST) && whole.mend.is_empty() && !whole.discards);
    for lost in 1..16_usize {
        let all = key_files(true).iter().enumerate();
        let (missing, there): (Vec<_>, Vec<_>) = all.partition(|(place, _)| lost & (1 << place) != 0);
        let files = |found: Vec<(usize, &(Half, Form))>| found.into_iter().map(|(_, &file)| file).collect::<KeyFiles>();
        let (missing, there) = (files(missing), files(there));
        survey.keys.get_mut(&name(FIRST)).unwrap().files = there;
        let plan = SetPlan::new(&survey, begun(&[FIRST]), &two_validators()).unwrap();
        let source = match there.iter().find(|(half, _)| *half == Half::Secret) {
            Some((_, form)) => Source::Secret(form),
            None => Source::Seed,
        };
        assert_eq!(plan.mend.get(&FIRST), Some(&Mending { missing, source }), "{lost:04b}");
    }
}

#[test]
fn a_key_is_mended_of_the_least_that_is_there_and_of_its_seed_last() {
    let mut survey = survey(&[]);
    survey.note(name(FIRST).to_string(), true);
    let planned = |places, request: &SetRequest| {
        let mut begun = begun(&[FIRST]);
        begun.directories.insert(FIRST, places);
        SetPlan::new(&survey, begun, request).map(|plan| plan.mend[&FIRST].source)
    };
    let keeping = SetRequest {
        keeps_directories: true,
        ..two_validators()
    };
    let fresh = SetRequest {
        seed: None,
        ..keeping.clone()
    };
    let unusable = || Place::Unusable(Error::directory("damaged"));
    for (places, expected) in [
        ([Place::Usable, Place::Usable], Source::Kept),
        ([unusable(), Place::Usable], Source::Unfinished),
        ([Place::Other, Place::Usable], Source::Unfinished),
        ([unusable(), Place::Nothing], Source::Seed),
        ([Place::Nothing, Place::Other], Source::Seed),
    ] {
        assert_eq!(planned(places, &keeping).unwrap(), expected);
    }
    let kept = "validator_0_proposer_key";
    assert_eq!(
        planned([Place::Other, Place::Nothing], &two_validators()).unwrap(),
        Source::Seed
    );
    let in_the_way = planned([Place::Other, Place::Nothing], &keeping).unwrap_err();
    assert_eq!(
        (in_the_way.reason(), in_the_way.path()),
        (Reason::InTheWay, Some(&*Path::new(SET).join(kept)))
    );
    // What can be repaired is named.
    assert_eq!(
        planned([unusable(), Place::Nothing], &fresh).unwrap_err().to_string(),
        "damaged"
    );
    assert_eq!(
        planned([Place::Other, Place::Nothing], &fresh).unwrap_err().reason(),
        Reason::Lost
    );
}

#[test]
fn a_secret_that_is_gone_is_rebuilt_on_request_only() {
    let unasked = SetRequest {
        restores_secrets: false,
        ..two_validators()
    };
    let plan = |request: &SetRequest| SetPlan::new(&survey(&[]), begun(&[FIRST, SECOND]), request);
    let error = plan(&unasked).unwrap_err();
    assert!(error.to_string().contains("2 of the finished keys"), "{error}");
    refused(Err(error), Reason::Lost, "validator_0_proposer_key_sk.ssz");
    assert!(
        plan(&two_validators())
            .unwrap()
            .mend
            .values()
            .all(|mending| mending.restores_secret())
    );
}

#[test]
fn what_is_in_the_way_is_refused_or_overwritten_and_a_directory_never_is() {
    let forced = SetRequest {
        overwrites: true,
        ..two_validators()
    };
    for (found, begun_keys) in [
        ("validator_7_proposer_key_pk.ssz", &[][..]),
        ("validator_1_proposer_key_sk.json", &[FIRST]),
    ] {
        let mut survey = survey(begun_keys);
        survey.note(found.to_owned(), false);
        let begun = || match begun_keys {
            [] => Begun::nothing(),
            keys => begun(keys),
        };
        refused(
            SetPlan::new(&survey, begun(), &two_validators()),
            Reason::InTheWay,
            found,
        );
        // What this set has finished stays.
        let plan = SetPlan::new(&survey, begun(), &forced).unwrap();
        assert_eq!(
            (plan.discards, plan.finished.len()),
            (begun_keys.is_empty(), begun_keys.len())
        );
    }
    for directory in [
        "validator_1_proposer_key",
        "validator_1_proposer_key_pk.ssz",
        "validator-keys-manifest.yaml",
    ] {
        let mut survey = survey(&[FIRST]);
        survey.note(directory.to_owned(), true);
        for request in [&two_validators(), &forced] {
            refused(
                SetPlan::new(&survey, begun(&[FIRST]), request),
                Reason::InTheWay,
                directory,
            );
        }
    }
    let another = || Begun {
        noted: Noted::Another(Error::directory("another").because(Reason::Contradiction).at(SET)),
        ..Begun::nothing()
    };
    let survey = survey(&[SECOND]);
    refused(
        SetPlan::new(&survey, another(), &two_validators()),
        Reason::Contradiction,
        "",
    );
    let plan = SetPlan::new(&survey, another(), &forced).unwrap();
    assert!(plan.discards && plan.finished.is_empty());
}

#[test]
fn files_of_a_sealed_key_that_is_not_finished_are_not_in_the_way_and_its_directory_counts_for_its_room() {
    let request = two_validators();
    let plan = request.plan().unwrap();
    let mut begun = begun(&[FIRST]);
    let sealed = |bytes| Unfinished {
        public_key: Some(vec![9; 52]),
        bytes,
    };
    begun.unfinished.insert(FIRST, sealed(1));
    begun.unfinished.insert(SECOND, sealed(1000));
    begun.loose_bytes = 10;
    let set = SetPlan::new(&survey(&[FIRST, SECOND]), begun, &request).unwrap();
    assert_eq!((set.settle.clone(), set.mend.len()), (vec![FIRST], 0));
    let without = SetPlan::new(&survey(&[FIRST]), self::begun(&[FIRST]), &request).unwrap();
    assert_eq!(
        set.needed_bytes(&request, &plan, 1) + 1010,
        without.needed_bytes(&request, &plan, 1)
    );
}
