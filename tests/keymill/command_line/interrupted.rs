//! Stopping a keygen and going on with it.

use rustix::process::Signal;

use super::fixtures::{
    LONG, OTHER_TINY, PARAMETER, SEED, SMALL_GROUPS, TINY, changing_nothing, finished_key, seed, stopped_key,
    unfinished_key,
};
use super::program::{Place, SOON};
use crate::layers_on_disk::layer_files;

fn is_stopped_by(signal: Signal) {
    let place = Place::in_memory();
    let line = format!("keygen key --scheme {LONG} --epochs 2^18 --threads 1");
    let mut running = place.start(&SMALL_GROUPS, &line);
    place.wait_for_batches("key", 1);
    running.signal(signal);
    let (outcome, took) = running.end();
    let outcome = outcome.exits(130).prints_nothing().says(&["interrupted", "again"]);
    assert!(took < SOON, "{took:?}\n{}", outcome.all());
    assert_eq!(place.status("key").unwrap()["state"], "interrupted");
}

#[test]
fn sigterm_and_sigint_stop_a_keygen_at_once_with_130() {
    is_stopped_by(Signal::TERM);
    is_stopped_by(Signal::INT);
}

#[test]
fn a_resumed_key_has_the_bytes_of_one_that_was_never_interrupted() {
    let place = Place::new();
    unfinished_key(&place, "2^15");
    let done = place.batches_done("key");
    assert!(done < 32, "it was finished before it was stopped");
    // Without flags, with other threads and groups, and after one more signal.
    let mut running = place.start(&SMALL_GROUPS, "keygen key --threads 2");
    place.wait_for_batches("key", done + 1);
    running.signal(Signal::INT);
    running.end().0.exits(130);
    let public_key = place.run("keygen key --threads 2").exits(0).line();

    let whole = format!("keygen whole --scheme {LONG} --epochs 2^15 --seed-file seed");
    assert_eq!(place.run(&whole).exits(0).line(), public_key);
    let (resumed, whole) = (layer_files(&place.path("key")), layer_files(&place.path("whole")));
    assert_eq!(resumed.len(), 19);
    for (name, content) in &whole {
        assert!(resumed[name] == *content, "{name} differs");
    }
    place.run("check key").exits(0);
}

#[test]
fn a_killed_keygen_is_finished_too() {
    let place = Place::new();
    stopped_key(&place, "2^13", Signal::KILL);
    let public_key = place.run("keygen key").exits(0).line();
    let again = format!("keygen again --scheme {LONG} --epochs 2^13 --seed-file seed");
    assert_eq!(place.run(&again).exits(0).line(), public_key);
}

#[test]
fn a_flag_that_contradicts_the_manifest_is_refused_with_both_values() {
    let place = Place::new();
    unfinished_key(&place, "2^18");
    let contradictions: [(&str, &[&str]); 4] = [
        (&format!("--scheme {TINY}"), &["--scheme", TINY, LONG]),
        (
            "--activation-epoch 1",
            &["--activation-epoch", "first epoch 1", "has the first epoch 0"],
        ),
        ("--epochs 2^17", &["--epochs", "131072 epochs", "262144 epochs"]),
        (
            &format!("--prf-key-file seed --parameter {PARAMETER}"),
            &["--parameter", PARAMETER],
        ),
    ];
    changing_nothing(&place, || {
        for (flags, message) in contradictions {
            place
                .run(&format!("keygen key {flags}"))
                .exits(3)
                .prints_nothing()
                .says(&["but the key of 'key/manifest.toml' has "])
                .says(message);
        }
    });
}

#[test]
fn another_seed_is_refused_and_the_right_one_is_not() {
    let place = Place::new();
    unfinished_key(&place, "2^13");
    place.file("other", seed(0x11));
    let message = ["--seed-file", "another secret", "'key/manifest.toml'"];
    let other = "keygen key --seed-file other";
    changing_nothing(&place, || place.run(other).exits(3).prints_nothing().says(&message));
    let public_key = place.run("keygen key --seed-file seed").exits(0).line();
    changing_nothing(&place, || place.run(other).exits(3).prints_nothing().says(&message));
    assert_eq!(place.run("public-key key").exits(0).line(), public_key);
}

#[test]
fn another_prf_key_with_the_same_parameter_is_refused() {
    let place = Place::new();
    place.file("prf", SEED);
    place.file("other", seed(0x11));
    let line = format!("keygen key --scheme {TINY} --parameter {PARAMETER} --prf-key-file");
    place.run(&format!("{line} prf")).exits(0);
    changing_nothing(&place, || {
        place
            .run(&format!("{line} other"))
            .exits(3)
            .says(&["--prf-key-file", "another secret", "'key/manifest.toml'"]);
    });
}

#[test]
fn a_finished_key_is_not_made_again_with_other_flags() {
    let place = Place::new();
    finished_key(&place, TINY);
    changing_nothing(&place, || {
        place
            .run(&format!("keygen key --scheme {OTHER_TINY}"))
            .exits(3)
            .prints_nothing()
            .says(&["--scheme", OTHER_TINY, TINY]);
        place
            .run("keygen key --epochs 255")
            .exits(3)
            .says(&["--epochs", "255", "256"]);
    });
}

#[test]
fn an_unfinished_key_without_its_secret_is_not_continued() {
    let place = Place::new();
    unfinished_key(&place, "2^18");
    std::fs::remove_file(place.path("key/secret")).unwrap();
    place
        .run("keygen key")
        .exits(3)
        .prints_nothing()
        .says(&["key/secret", "missing"]);
    // Not even with a secret of its own making.
    assert!(!place.path("key/secret").exists());
}

/// A directory as a keygen leaves it that dies between writing the secret and writing the manifest.
fn died_after_the_secret(place: &Place) -> String {
    let public_key = finished_key(place, TINY);
    std::fs::rename(place.path("key"), place.path("made")).unwrap();
    std::fs::create_dir(place.path("key")).unwrap();
    std::fs::rename(place.path("made/secret"), place.path("key/secret")).unwrap();
    std::fs::rename(place.path("made/LOCK"), place.path("key/LOCK")).unwrap();
    public_key
}

#[test]
fn a_creation_that_died_after_the_secret_is_finished_by_the_same_command() {
    let line = format!("keygen key --scheme {TINY} --seed-file seed");
    let place = Place::new();
    let public_key = died_after_the_secret(&place);
    assert_eq!(place.run(&line).exits(0).line(), public_key);
    // Without the flag it is the same secret too, so that nothing is lost.
    let place = Place::new();
    let public_key = died_after_the_secret(&place);
    assert_eq!(
        place.run(&format!("keygen key --scheme {TINY}")).exits(0).line(),
        public_key
    );
}

#[test]
fn a_secret_that_is_there_is_not_replaced_by_another() {
    let place = Place::new();
    died_after_the_secret(&place);
    place.file("other", seed(0x11));
    let before = std::fs::read(place.path("key/secret")).unwrap();
    let line = format!("keygen key --scheme {TINY} --seed-file other");
    place.run(&line).exits(3).prints_nothing().says(&["'key/secret'"]);
    assert_eq!(std::fs::read(place.path("key/secret")).unwrap(), before);
}

#[test]
fn going_on_says_from_where() {
    let place = Place::new();
    unfinished_key(&place, "2^13");
    place
        .run("keygen key")
        .exits(0)
        .says(&["resuming: ", " of 8192 epochs are done"]);
}
