//! Key sets that lost files of finished keys.

use std::fs;
use std::time::Instant;

use super::fixtures::edit;
use super::program::Place;
use super::sets::{assert_same_sets, changing_nothing_but_the_lock, made, names, small};
use super::sets_interrupted::kill_at_many_moments;

/// Removes the files whose names end so.
fn lose(place: &Place, directory: &str, endings: &[&str]) {
    for name in names(place, directory) {
        if endings.iter().any(|ending| name.ends_with(ending)) {
            fs::remove_file(place.path(directory).join(name)).unwrap();
        }
    }
}

#[test]
fn a_set_of_a_seed_that_lost_every_key_file_is_made_again_by_the_same_command() {
    let place = Place::new();
    for more in ["", "--distributed", "--export-format ssz --keep-dirs"] {
        made(&place, "whole", 2, more);
        made(&place, "set", 2, more);
        lose(&place, "set", &[".ssz", ".json"]);
        let outcome = made(&place, "set", 2, &format!("{more} --restore-secrets --json")).json();
        assert_eq!((&outcome["keys_made"], &outcome["keys_found"]), (&4.into(), &0.into()));
        if more.contains("keep-dirs") {
            // Checkpoints differ.
            place.run("verify-set set").exits(0);
        } else {
            assert_same_sets(&place, "set", "whole");
        }
        for set in ["set", "whole"] {
            fs::remove_dir_all(place.path(set)).unwrap();
        }
    }
}

#[test]
fn mending_that_is_killed_goes_on_to_the_same_set() {
    let place = Place::new();
    let begun = Instant::now();
    made(&place, "undisturbed", 2, "");
    let undisturbed = begun.elapsed();
    for (seed, more) in [(1, ""), (2, "--jobs 2")] {
        let directory = format!("set-{seed}");
        let prepare = || {
            made(&place, &directory, 2, more);
            lose(&place, &directory, &["_pk.json", "_sk.ssz", "_sk.json"]);
        };
        let line = small(&place, &directory, 2, &format!("{more} --restore-secrets"));
        kill_at_many_moments(&place, &line, &directory, prepare, seed, undisturbed);
        place.run(&line).exits(0);
        assert_same_sets(&place, &directory, "undisturbed");
        let left: Vec<_> = names(&place, &format!("{directory}/.keymill-set"))
            .into_iter()
            .collect();
        assert_eq!(left, ["LOCK", "finished", "set.toml"], "seed {seed}");
    }
}

#[test]
fn a_secret_of_which_nothing_is_left_is_refused_and_nothing_is_changed() {
    let place = Place::new();
    let line = small(&place, "set", 1, "").replace("--seed-file seed", "");
    place.run(&line).exits(0);
    let lost = "validator_0_proposer_key_sk";
    lose(&place, "set", &["proposer_key_sk.ssz", "attester_key_sk.json"]);
    place.run(&line).exits(0);
    place.run("verify-set set").exits(0);
    lose(&place, "set", &["proposer_key_sk.ssz", "proposer_key_sk.json"]);
    for line in [line.clone(), format!("{line} --restore-secrets --force")] {
        let outcome = changing_nothing_but_the_lock(&place, || place.run(&line))
            .exits(3)
            .prints_nothing();
        outcome.says(&[&format!(
            "'set/{lost}.ssz' is missing, and nothing is there to rebuild it from"
        )]);
    }
}

#[test]
fn what_is_there_is_never_overwritten_by_what_is_mended() {
    let place = Place::new();
    made(&place, "set", 1, "");
    lose(&place, "set", &["proposer_key_sk.ssz", "proposer_key_sk.json"]);
    let public = place.path("set/validator_0_proposer_key_pk.json");
    edit(&public, "[", "[ ");
    let before = fs::read(&public).unwrap();
    place
        .run(&small(&place, "set", 1, "--restore-secrets"))
        .exits(3)
        .says(&["'set/validator_0_proposer_key_pk.json' is there already"]);
    assert!(fs::read(&public).unwrap() == before);
}

#[test]
fn secrets_that_were_moved_away_do_not_come_back_when_the_set_grows() {
    let place = Place::new();
    let flags = "--export-format ssz";
    made(&place, "set", 9, flags);
    lose(&place, "set", &["_sk.ssz"]);
    let line = |more: &str| small(&place, "set", 10, &format!("{flags} {more}"));
    for line in [line(""), line("--force")] {
        changing_nothing_but_the_lock(&place, || place.run(&line))
            .exits(3)
            .prints_nothing()
            .says(&[
                "'set/validator_0_proposer_key_sk.ssz' is missing",
                "18 of the finished keys",
                "--restore-secrets",
            ]);
    }
    let outcome = place.run(&line("--restore-secrets")).exits(0);
    let warned: Vec<_> = outcome
        .stderr
        .lines()
        .filter(|line| line.contains("one place only"))
        .collect();
    assert_eq!(warned.len(), 17, "{}", outcome.all());
    assert!(warned[0].contains("warning: 'set/validator_0_proposer_key_sk.ssz' is made again"));
    assert!(warned[16].contains("2 more secret keys"));
    place.run("verify-set set").exits(0);
    made(&place, "set", 10, flags);
}
