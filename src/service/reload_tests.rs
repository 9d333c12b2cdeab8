//! Reloads that take long, that are asked for again meanwhile, and that fail.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::limits::Limits;
use super::limits_tests::{Running, is_refused};
use crate::faults::{Fate, Faults};

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until so many reloads are done, and gives what the service then says of them.
fn reloaded(running: &Running, done: u64) -> String {
    let begun = Instant::now();
    loop {
        let answer = running.call("GET", "/reload");
        if answer.contains(&format!(r#""done":"{done}""#)) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{answer}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Lets one write of the ledger fail, after which nothing signs before a reload.
fn fail_once(running: &Running) {
    let faults = Faults::below(running.key.path(), |call, _| match call {
        "a synced write" => Fate::Fail(28),
        _ => Fate::Pass,
    });
    is_refused(&running.ask(1, 1), "503", "ledger");
    drop(faults);
    is_refused(&running.ask(2, 1), "503", "ledger");
}

#[test]
fn a_reload_that_is_asked_for_during_another_one_follows_it_once_and_sees_what_has_changed() {
    let running = Running::start(Limits::default());
    fail_once(&running);
    // The first one meets a disk that answers late, and with an error.
    let (reached, is_reached) = channel();
    let (release, is_released) = channel::<()>();
    let mut is_first = true;
    let faults = Faults::below(running.key.path(), move |_, path| {
        if !path.ends_with("ledger.mark") || !std::mem::take(&mut is_first) {
            return Fate::Pass;
        }
        reached.send(()).unwrap();
        // The other end is dropped.
        let _ = is_released.recv();
        Fate::Fail(5)
    });
    running.handle.reload();
    is_reached.recv_timeout(PATIENCE).unwrap();
    is_refused(&running.call("POST", "/reload"), "409", "reloading");
    assert!(running.call("GET", "/upcheck").starts_with("HTTP/1.1 200 "));
    // As SIGHUP does; however often, one more is enough.
    for asked in 0..3 {
        running.handle.reload();
        std::thread::sleep(Duration::from_millis(5));
        let answer = running.call("GET", "/reload");
        assert!(answer.contains(r#""begun":"1","done":"0""#), "{asked}: {answer}");
    }
    drop(release);
    let answer = reloaded(&running, 2);
    assert!(
        answer.contains(r#""begun":"2""#) && answer.contains(r#""failures":[]"#),
        "{answer}"
    );
    drop(faults);
    assert!(running.ask(2, 1).starts_with("HTTP/1.1 200 "));
    std::thread::sleep(Duration::from_millis(20));
    assert!(reloaded(&running, 2).contains(r#""begun":"2""#));
}

#[test]
fn a_reload_that_fails_says_why_and_changes_nothing_for_what_is_sound() {
    let running = Running::start(Limits::default());
    let first = running.ask(0, 1);
    assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
    // A ledger that can be written is not opened again, whatever its files are.
    let mark = running.key.path().join("ledger.mark");
    let kept = std::fs::read(&mark).unwrap();
    std::fs::write(&mark, "nonsense").unwrap();
    assert!(running.call("POST", "/reload").starts_with("HTTP/1.1 202 "));
    assert!(reloaded(&running, 1).contains(r#""failures":[]"#));
    assert_eq!(body(&running.ask(0, 1)), body(&first));
    std::fs::write(&mark, kept).unwrap();
    fail_once(&running);
    let kept = std::fs::read(&mark).unwrap();
    std::fs::write(&mark, "nonsense").unwrap();
    assert!(running.call("POST", "/reload").starts_with("HTTP/1.1 202 "));
    let answer = reloaded(&running, 2);
    assert!(
        answer.contains("ledger.mark") && answer.contains(r#""of":"#),
        "{answer}"
    );
    is_refused(&running.ask(2, 1), "503", "ledger");
    let health = running.call("GET", "/healthcheck");
    assert!(health.contains(r#""state":"failed""#), "{health}");
    // Paths do not need the ledger.
    let paths = running.call("GET", &running.paths(7));
    assert!(paths.starts_with("HTTP/1.1 200 "), "{paths}");
    std::fs::write(&mark, kept).unwrap();
    assert!(running.call("POST", "/reload").starts_with("HTTP/1.1 202 "));
    assert!(reloaded(&running, 3).contains(r#""failures":[]"#));
    assert!(running.ask(2, 1).starts_with("HTTP/1.1 200 "));
    assert_eq!(body(&running.ask(0, 1)), body(&first));
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}
