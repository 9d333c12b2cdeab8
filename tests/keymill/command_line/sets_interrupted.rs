//! Key sets that are killed, stopped, run twice at once, or short of disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::fixtures::{edit, seed};
use super::program::{Outcome, Place};
use super::sets::{assert_same_sets, changing_nothing_but_the_lock, made, names, small};
use keymill_reference::Numbers;

/// Starts a command that makes keys in a set, and sends it a signal as soon as it `has_begun`. On a busy machine it can be done
/// before that is seen; then what `prepare` makes ready is made ready again. Gives how it ended, and how long that took.
fn signalled(
    place: &Place,
    line: &str,
    signal: Signal,
    prepare: impl Fn(),
    has_begun: impl Fn() -> bool,
) -> (Outcome, Duration) {
    for _ in 0..5 {
        prepare();
        let mut running = place.start(&[], line);
        while running.is_running() && !has_begun() {
            std::thread::sleep(Duration::from_millis(1));
        }
        running.signal(signal);
        let (outcome, took) = running.end();
        if outcome.code != Some(0) {
            return (outcome, took);
        }
    }
    panic!("'{line}' was done each time before it could be stopped");
}

/// Removes what is in a place by this name.
fn without(place: &Place, directory: &str) {
    if place.path(directory).exists() {
        fs::remove_dir_all(place.path(directory)).unwrap();
    }
}

/// Kills a command that makes keys in a set which `prepare` makes ready: once for certain while it makes the first, then at
/// random moments of the first half of an undisturbed run, if it has not ended by then.
pub fn kill_at_many_moments(
    place: &Place,
    line: &str,
    directory: &str,
    prepare: impl Fn(),
    seed: u64,
    undisturbed: Duration,
) {
    let first = place.path(&format!("{directory}/.keymill-set/validator_0_proposer_key"));
    let (outcome, _) = signalled(place, line, Signal::KILL, prepare, || first.exists());
    assert_eq!(outcome.code, None, "seed {seed}: {}", outcome.all());
    let mut numbers = Numbers(seed);
    for _ in 0..8 {
        let mut running = place.start(&[], line);
        std::thread::sleep(undisturbed.mul_f64(0.5 * numbers.below(1000) as f64 / 1000.0));
        running.signal(Signal::KILL);
        running.end();
    }
}

#[test]
fn a_set_killed_at_many_moments_is_in_the_end_that_of_an_undisturbed_run() {
    let place = Place::new();
    let begun = Instant::now();
    made(&place, "undisturbed", 2, "");
    let undisturbed = begun.elapsed();
    for (seed, more) in [(1, ""), (2, "--jobs 2"), (3, "--distributed"), (4, "--keep-dirs")] {
        let directory = format!("set-{seed}");
        let line = small(&place, &directory, 2, more);
        kill_at_many_moments(
            &place,
            &line,
            &directory,
            || without(&place, &directory),
            seed,
            undisturbed,
        );
        place.run(&line).exits(0);
        let report = place.run(&format!("verify-set {directory}"));
        assert_eq!(report.code, Some(0), "seed {seed}: {}", report.all());
        let left: Vec<_> = names(&place, &format!("{directory}/.keymill-set"))
            .into_iter()
            .collect();
        assert_eq!(left, ["LOCK", "finished", "set.toml"], "seed {seed}");
        if more != "--distributed" && more != "--keep-dirs" {
            assert_same_sets(&place, &directory, "undisturbed");
        }
    }
    made(&place, "distributed", 2, "--distributed");
    assert_same_sets(&place, "set-3", "distributed");
}

#[test]
fn a_set_that_is_stopped_says_so_and_goes_on() {
    let place = Place::new();
    made(&place, "undisturbed", 6, "--export-format ssz");
    let line = small(&place, "set", 6, "--export-format ssz --jobs 2");
    let first = place.path("set/validator_0_proposer_key_pk.ssz");
    let (outcome, took) = signalled(
        &place,
        &line,
        Signal::TERM,
        || without(&place, "set"),
        || first.exists(),
    );
    outcome
        .exits(130)
        .prints_nothing()
        .says(&["interrupted; run the same command again"]);
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(!place.path("set/validator-keys-manifest.yaml").exists());
    place
        .run("verify-set set")
        .exits(1)
        .prints(&["validator-keys-manifest.yaml: it is missing"]);
    let outcome = place.run(&format!("{line} --json")).exits(0).json();
    assert!(outcome["keys_found"].as_u64().unwrap() >= 1, "{outcome}");
    assert_same_sets(&place, "set", "undisturbed");
}

#[test]
fn of_two_at_once_one_makes_the_set_and_the_other_is_refused() {
    let place = Place::new();
    let line = small(&place, "set", 6, "--export-format ssz");
    let mut first = place.start(&[], &line);
    while first.is_running() && !place.path("set/.keymill-set/set.toml").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let holder = format!("process {}", first.id());
    // It has not ended before the other one has asked.
    first.signal(Signal::STOP);
    let second = place.run(&line);
    first.signal(Signal::CONT);
    second
        .exits(3)
        .prints_nothing()
        .says(&["'set/.keymill-set/LOCK'", &holder]);
    first.end().0.exits(0);
    place.run("verify-set set").exits(0);
}

#[test]
fn one_display_counts_the_keys_of_the_whole_set() {
    let place = Place::new();
    let line = small(&place, "set", 2, "--export-format ssz").replace("--progress none", "--progress json");
    let outcome = place.run(&line).exits(0);
    let last = outcome.stderr.lines().rfind(|line| line.contains("\"keys\"")).unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    for (field, expected) in [
        ("keys", 4),
        ("keys_finished", 4),
        ("epochs", 1024),
        ("epochs_done", 1024),
    ] {
        assert_eq!(last[field], expected, "{field} in {last}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let place = Place::new().with_own_program();
    fs::create_dir(place.path("locked")).unwrap();
    fs::set_permissions(place.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    let line = small(&place, "locked/set", 1, "");
    // Root may write anywhere.
    let mut command = place.command(&line);
    if !place.as_nobody(&mut command) {
        return;
    }
    Outcome::new(&line, command.output().unwrap())
        .exits(4)
        .prints_nothing()
        .says(&["mkdir on 'locked/set'"]);
}

#[test]
fn a_file_in_the_place_of_the_directory_is_named() {
    let place = Place::new();
    place.file("set", "mine");
    place
        .run(&small(&place, "set", 1, ""))
        .exits(3)
        .prints_nothing()
        .says(&["'set' is not a directory"]);
}

#[test]
fn too_little_disk_is_refused_before_the_first_key_with_both_figures() {
    let place = Place::new();
    // More than a usual disk has room for, and so few that memory holds what is said of them.
    let line = small(&place, "set", 4_000_000, "");
    let outcome = place.run(&line).exits(4).prints_nothing();
    let outcome = outcome.says(&["too little disk for 'set'", "bytes are needed", "are free"]);
    assert!(outcome.figures().len() >= 2);
    assert!(!place.path("set").exists());
}

#[test]
fn force_keeps_what_is_finished_of_the_same_set() {
    let place = Place::new();
    // Fresh seeds: a key that is made again is another one.
    let line =
        |validators| small(&place, "set", validators, "--export-format ssz --json").replace("--seed-file seed", "");
    place.run(&line(1)).exits(0);
    let secret = || fs::read(place.path("set/validator_0_proposer_key_sk.ssz")).unwrap();
    let before = secret();
    edit(
        &place.path("set/validator-keys-manifest.yaml"),
        "num_validators: 1",
        "num_validators: 2",
    );
    place.run(&line(1)).exits(3).says(&["--force"]);
    let again = place.run(&format!("{} --force", line(1))).exits(0).json();
    assert_eq!((&again["keys_made"], &again["keys_found"]), (&0.into(), &2.into()));
    // A file in the way of a new key is overwritten, and nothing else.
    place.file("set/validator_1_attester_key_pk.ssz", "mine");
    place.run(&line(2)).exits(3).says(&["--force"]);
    let more = place.run(&format!("{} --force", line(2))).exits(0).json();
    assert_eq!((&more["keys_made"], &more["keys_found"]), (&2.into(), &2.into()));
    assert!(secret() == before, "a finished key was made again");
    place.run("verify-set set").exits(0);
}

#[test]
fn a_set_made_with_force_goes_on_where_it_was_killed() {
    let place = Place::new();
    let flags = "--export-format ssz";
    fs::write(place.path("old-seed"), seed(1)).unwrap();
    let old = small(&place, "set", 4, flags).replace("seed-file seed", "seed-file old-seed");
    made(&place, "undisturbed", 4, flags);
    let line = small(&place, "set", 4, &format!("{flags} --force"));
    let prepare = || {
        without(&place, "set");
        place.run(&old).exits(0);
    };
    let new_secret = fs::read(place.path("undisturbed/validator_0_attester_key_sk.ssz")).unwrap();
    let secret = || fs::read(place.path("set/validator_0_attester_key_sk.ssz")).unwrap_or_default();
    signalled(&place, &line, Signal::KILL, prepare, || secret() == new_secret);
    let finished = fs::read_to_string(place.path("set/.keymill-set/finished")).unwrap_or_default();
    let finished = finished.lines().count() as u64;
    assert!((1..8).contains(&finished), "{finished}");
    let outcome = place.run(&format!("{line} --json")).exits(0).json();
    assert_eq!(outcome["keys_found"], finished);
    assert_same_sets(&place, "set", "undisturbed");
}

#[test]
fn a_directory_in_the_way_is_refused_before_the_first_key_also_with_force() {
    let place = Place::new();
    let flags = "--export-format ssz --keep-dirs";
    made(&place, "set", 1, flags);
    fs::write(place.path("other-seed"), seed(1)).unwrap();
    let other = small(&place, "set", 1, flags).replace("seed-file seed", "seed-file other-seed");
    let refused = |line: &str, directory: &str| {
        let outcome = changing_nothing_but_the_lock(&place, || place.run(line))
            .exits(3)
            .prints_nothing();
        outcome.says(&[
            &format!("'set/{directory}"),
            "is in the way of this set",
            &format!("move 'set/{directory}"),
        ]);
    };
    // The other set's.
    refused(&format!("{other} --force"), "validator_0_");
    made(&place, "set", 1, &format!("{flags} --force"));
    // Those of keys that are not finished, and what no file can replace.
    for name in ["validator_1_attester_key", "validator_1_proposer_key_sk.ssz"] {
        fs::create_dir(place.path("set").join(name)).unwrap();
        refused(&small(&place, "set", 2, &format!("{flags} --force")), name);
        fs::remove_dir(place.path("set").join(name)).unwrap();
    }
    made(&place, "set", 2, &format!("{flags} --force"));
    place.run("verify-set set").exits(0);
}
