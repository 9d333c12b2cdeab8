//! SIGINT and SIGTERM: the job commits what it has and ends with 130 within two seconds, whatever it is doing.

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::Signal;

use super::fixtures::{LONG, SEED, TINY};
use super::program::{Place, Running, SOON};
use crate::layers_on_disk::layer_files;

/// The most hashing an epoch: a batch takes many times the others' time.
const SLOW: &str = "hashsig-p2-l18-wots-v22-w256";

#[test]
fn a_slow_scheme_in_whole_groups_stops_as_soon() {
    let place = Place::in_memory();
    for (threads, signal) in [(1, Signal::INT), (2, Signal::TERM)] {
        let line = format!("keygen key{threads} --scheme {SLOW} --epochs 2^18 --threads {threads} --progress none");
        let mut running = place.start(&[], &line);
        // Two groups of eight batches take tens of seconds.
        let begun = Instant::now();
        let state = || place.run(&format!("status key{threads} --json")).code;
        while state() != Some(0) {
            assert!(begun.elapsed() < Duration::from_secs(30), "it was not created");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(300));
        running.signal(signal);
        let (outcome, took) = running.end();
        let outcome = outcome.exits(130).says(&["interrupted", "again"]).prints_nothing();
        assert!(took < SOON, "{took:?}\n{}", outcome.all());
    }
}

#[test]
fn a_signal_at_any_moment_is_answered_and_the_key_can_be_finished() {
    let place = Place::in_memory();
    place.file("seed", SEED);
    let line = format!("keygen key --scheme {LONG} --epochs 2^14 --seed-file seed --threads 1");
    let mut interrupted = 0;
    for delay_ms in [0, 1, 2, 4, 6, 8, 10, 12, 14, 16, 20, 30, 40, 60, 80, 120, 130, 210, 300] {
        let mut running = place.start(&[], &line);
        std::thread::sleep(Duration::from_millis(delay_ms));
        let signal = if delay_ms % 4 == 0 || delay_ms < 100 {
            Signal::TERM
        } else {
            // In the background of a shell it is ignored until the program listens.
            running.wait_until_it_listens();
            Signal::INT
        };
        if !running.is_running() {
            continue;
        }
        running.signal(signal);
        let (outcome, took) = running.end();
        assert!(took < SOON, "after {delay_ms} ms: {took:?}\n{}", outcome.all());
        match outcome.code {
            Some(130) => interrupted += 1,
            // It was finished just then, or the program had not come as far as to listen, and was ended by the signal.
            Some(0) | None => {}
            _ => panic!("after {delay_ms} ms: {}", outcome.all()),
        }
    }
    assert!(interrupted > 0, "no signal came in time");
    let public_key = place.run(&line).exits(0).line();
    let whole = line.replace("keygen key", "keygen whole");
    assert_eq!(place.run(&whole).exits(0).line(), public_key);
    assert!(layer_files(&place.path("key")) == layer_files(&place.path("whole")));
}

#[test]
fn a_second_signal_ends_a_job_that_cannot_end_by_itself() {
    // Standard error is a pipe that is full and that nobody reads, so the job hangs at its first word.
    let place = Place::new();
    let (_reader, mut writer) = std::io::pipe().unwrap();
    fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'.'; 4096]).is_ok() {}
    while writer.write(b".").is_ok() {}
    fcntl_setfl(&writer, OFlags::empty()).unwrap();
    place.file("seed", SEED);
    place
        .run(&format!("keygen key --scheme {TINY} --seed-file seed"))
        .exits(0);
    let mut command = place.command("keygen key");
    command.stderr(writer);
    let mut running = Running::of(command, "keygen key");
    running.wait_until_it_listens();
    running.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    let hangs = running.is_running();
    running.signal(Signal::INT);
    let (outcome, took) = running.end();
    assert!(hangs, "it ended by itself, so this shows nothing");
    let outcome = outcome.exits(130);
    assert!(took < SOON, "{took:?}\n{}", outcome.all());
}
