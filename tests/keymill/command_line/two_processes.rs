//! Two processes and one directory.

use std::fs::{self, File};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::fixtures::{
    LONG, MESSAGE, OTHER_TINY, SMALL_GROUPS, TINY, finished_key, snapshot, stopped_key, unfinished_key,
};
use super::program::{Outcome, PATIENCE, Place, Running};

/// A keygen in `key` that will take many seconds, and has committed a batch.
fn long_keygen(place: &Place) -> Running {
    begun_keygen(place, "2^18")
}

/// A keygen of so many epochs in `key` that has committed a batch.
fn begun_keygen(place: &Place, epochs: &str) -> Running {
    let line = format!("keygen key --scheme {LONG} --epochs {epochs} --threads 1");
    let running = place.start(&SMALL_GROUPS, &line);
    place.wait_for_batches("key", 1);
    running
}

#[test]
fn a_second_keygen_is_refused_and_names_the_holder() {
    let place = Place::new();
    let mut first = long_keygen(&place);
    let holder = format!("process {}", first.id());
    let (second, took) = place.start(&[], "keygen key").end();
    second.exits(3).prints_nothing().says(&["'key/LOCK'", &holder]);
    assert!(took < Duration::from_secs(1), "{took:?}");
    // The first goes on.
    assert!(first.is_running());
    assert_eq!(place.status("key").unwrap()["state"], "generating");
}

#[test]
fn status_works_while_a_key_is_made_and_names_the_writer() {
    let place = Place::new();
    let running = long_keygen(&place);
    let writer = format!("process {} (keymill)", running.id());
    let mut last = 0;
    for _ in 0..20 {
        let status = place.run("status key --json").exits(0).json();
        assert_eq!(status["state"], "generating");
        assert_eq!(status["writer"], writer);
        let done = status["batches_done"].as_u64().unwrap();
        assert!(done >= last, "{done} after {last}");
        last = done;
    }
    let text = place.run("status key").exits(0);
    text.prints(&["state           generating", &format!("writer          {writer}")]);
}

#[test]
fn a_key_that_is_being_made_is_not_read() {
    let place = Place::new();
    let mut running = long_keygen(&place);
    place
        .run("path key --epoch 0")
        .exits(3)
        .prints_nothing()
        .says(&["'key' is not finished"]);
    place.run("public-key key").exits(3).says(&["'key' is not finished"]);
    let holder = format!("process {}", running.id());
    place.run("check key").exits(3).says(&["'key/LOCK'", &holder]);
    assert!(running.is_running());
}

#[test]
fn a_lock_file_that_a_dead_process_left_does_not_block() {
    let place = Place::new();
    stopped_key(&place, "2^13", Signal::KILL);
    let left = fs::read_to_string(place.path("key/LOCK")).unwrap();
    assert!(left.starts_with("process "), "{left}");
    assert_eq!(place.status("key").unwrap()["state"], "interrupted");
    place.run("keygen key").exits(0);
}

#[test]
fn a_lock_file_alone_is_as_good_as_an_empty_directory() {
    let place = Place::new();
    fs::create_dir(place.path("key")).unwrap();
    place.file("key/LOCK", "process 1 (keymill)\n");
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
}

#[test]
fn a_lock_that_a_kill_has_freed_is_taken_at_once_and_names_its_new_holder() {
    let place = Place::new();
    let mut first = long_keygen(&place);
    first.signal(Signal::KILL);
    first.end();
    let second = place.start(&SMALL_GROUPS, "keygen key --threads 1");
    let holder = format!("process {} (keymill)", second.id());
    let begun = Instant::now();
    while place.status("key").unwrap()["writer"] != holder.as_str() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the second keygen has not taken the lock"
        );
    }
}

/// A number that belongs to another process by now, as after a restart of the machine.
#[test]
fn a_lock_file_that_names_a_living_process_does_not_block_unless_that_holds_it() {
    let place = Place::new();
    unfinished_key(&place, "2^13");
    place.file("key/LOCK", format!("process {} (keymill)\n", std::process::id()));
    assert_eq!(place.status("key").unwrap()["writer"], serde_json::Value::Null);
    place.run("keygen key").exits(0);
}

#[test]
fn a_writer_of_one_key_keeps_nobody_from_another() {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    fs::rename(place.path("key"), place.path("other")).unwrap();
    let mut running = long_keygen(&place);
    let sign = format!("sign other --epoch 0 --message {MESSAGE}");
    for line in ["path other --epoch 0", "check other --deep", "status other", &sign] {
        place.run(line).exits(0);
    }
    assert_eq!(place.run("public-key other").exits(0).line(), public_key);
    assert!(running.is_running());
}

/// That each attempt may meet a reader is a unit test's (src/keydir/lock.rs). Here readers come one after the other, from
/// before the keygen takes its lock until it has given it back.
#[test]
fn many_readers_do_not_keep_a_keygen_from_its_lock() {
    let place = Place::new();
    unfinished_key(&place, "2^13");
    let writers = Mutex::new(Vec::new());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut is_sealed = false;
                while !is_sealed && begun.elapsed() < PATIENCE {
                    let status = place.run("status key --json").exits(0).json();
                    is_sealed = status["state"] == "sealed";
                    writers.lock().unwrap().push(status["writer"].clone());
                }
            });
        }
        while writers.lock().unwrap().len() < 3 && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        let keygen = place.start(&[], "keygen key --threads 1");
        let holder = format!("process {} (keymill)", keygen.id());
        keygen.end().0.exits(0);
        let writers = writers.lock().unwrap();
        assert!(writers.contains(&holder.into()), "nobody read beside it: {writers:?}");
    });
}

/// While the test itself holds the lock, a keygen starts that finds no key; then a finished one appears, as if the
/// holder had made it, and the lock is given back `delay` later than the start.
fn key_that_appears(delay: Duration) {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    fs::rename(place.path("key"), place.path("made")).unwrap();
    fs::create_dir(place.path("key")).unwrap();
    let lock = File::create(place.path("key/LOCK")).unwrap();
    lock.lock().unwrap();
    let late = place.start(&[], &format!("keygen key --scheme {OTHER_TINY}"));
    std::thread::sleep(delay);
    for name in ["secret", "state", "layers", "ledger.mark", "manifest.toml"] {
        fs::rename(place.path("made").join(name), place.path("key").join(name)).unwrap();
    }
    let before = snapshot(&place.path("key/layers"));
    drop(lock);
    let (outcome, _) = late.end();
    let shown = outcome.all();
    let after = place.run("public-key key");
    assert_eq!(after.code, Some(0), "the finished key is gone after {delay:?}\n{shown}");
    assert_eq!(after.line(), public_key, "after {delay:?}\n{shown}");
    assert!(
        snapshot(&place.path("key/layers")) == before,
        "after {delay:?}\n{shown}"
    );
    outcome.exits(3);
}

#[test]
fn a_key_that_is_finished_while_another_keygen_waits_is_not_overwritten() {
    for delay_ms in [5, 10, 20, 30, 40, 50, 60] {
        key_that_appears(Duration::from_millis(delay_ms));
    }
}

#[test]
fn of_two_keygens_at_once_one_makes_the_key_and_the_other_is_refused() {
    for _ in 0..10 {
        let place = Place::new();
        let both = [TINY, OTHER_TINY].map(|scheme| place.start(&[], &format!("keygen key --scheme {scheme}")));
        let outcomes = both.map(|running| running.end().0);
        let codes = outcomes.each_ref().map(|outcome| outcome.code);
        let shown = outcomes.each_ref().map(Outcome::all).join("\n");
        assert!(codes == [Some(0), Some(3)] || codes == [Some(3), Some(0)], "{shown}");
        let made = outcomes.iter().find(|outcome| outcome.code == Some(0)).unwrap();
        assert_eq!(place.run("public-key key").exits(0).line(), made.line(), "{shown}");
        place.run("check key --deep").exits(0);
    }
}

#[test]
fn a_lock_held_by_a_program_that_left_no_name_still_blocks() {
    let place = Place::new();
    unfinished_key(&place, "2^18");
    let lock = File::create(place.path("key/LOCK")).unwrap();
    lock.lock().unwrap();
    place
        .run("keygen key")
        .exits(3)
        .prints_nothing()
        .says(&["'key/LOCK'", "another process"]);
}

#[test]
fn a_finished_key_is_read_whoever_holds_the_lock() {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    let lock = File::open(place.path("key/LOCK")).unwrap();
    lock.lock().unwrap();
    let sign = format!("sign key --epoch 0 --message {MESSAGE}");
    for line in ["path key --epoch 0", "check key", "status key", "ledger show key"] {
        place.run(line).exits(0);
    }
    // Signing writes.
    place.run(&sign).exits(3).prints_nothing().says(&["'key/LOCK'"]);
    assert_eq!(place.run("public-key key").exits(0).line(), public_key);
}

#[test]
fn a_keygen_whose_directory_is_moved_and_replaced_ends_with_4_and_is_finished_where_it_is() {
    let place = Place::in_memory();
    finished_key(&place, TINY);
    let untouched = snapshot(&place.path("key"));
    fs::rename(place.path("key"), place.path("other")).unwrap();
    // It is finished afterwards, so it is not longer than it has to be.
    let running = begun_keygen(&place, "2^15");
    fs::rename(place.path("key"), place.path("moved")).unwrap();
    fs::rename(place.path("other"), place.path("key")).unwrap();
    let (outcome, _) = running.end();
    outcome
        .exits(4)
        .prints_nothing()
        .says(&["moved or replaced", &place.path("key").to_string_lossy()]);
    assert!(snapshot(&place.path("key")) == untouched, "the other key was touched");
    place.run("keygen moved").exits(0);
    place.run("check moved").exits(0);
}
