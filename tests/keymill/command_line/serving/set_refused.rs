//! What keeps a set from being served: a disk that is full, and a ledger that is not the newest one of this set.

use std::fs;
use std::path::Path;
use std::time::Instant;

use rustix::process::Signal;

use super::client::{Client, Service, fresh_key, message};
use crate::command_line::disk_room::SmallDisk;
use crate::command_line::fixtures::{OTHER_TINY, TINY};
use crate::command_line::program::{PATIENCE, Place};

/// A set of two keys that sign by one ledger, in a directory of this name. Gives the public keys.
fn make_set(place: &Place, set: &str) -> [String; 2] {
    fs::create_dir_all(place.path(set)).unwrap();
    [("one", TINY), ("other", OTHER_TINY)].map(|(name, scheme)| {
        let key = fresh_key(place, &format!("{set}/{name}"), scheme, "256");
        place.run(&format!("ledger move {set}/{name} --into {set}")).exits(0);
        key
    })
}

fn copy(from: &Path, to: &Path) {
    let mut command = std::process::Command::new("cp");
    assert!(command.arg("-a").args([from, to]).status().unwrap().success());
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

/// Waits until so many reloads are done, and gives what the last one could not do.
fn reloaded(client: &Client, done: u64) -> String {
    let begun = Instant::now();
    loop {
        let answer = client.get("/reload").json();
        if answer["done"].as_str().is_some_and(|found| found.parse() == Ok(done)) {
            return answer["failures"].to_string();
        }
        assert!(begun.elapsed() < PATIENCE, "{answer}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn a_set_whose_disk_is_full_signs_nothing_more_and_goes_on_when_there_is_room() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mounted(&place.path("disk"), "32M") else {
        return;
    };
    let keys = make_set(&place, "disk/set");
    let beside = fresh_key(&place, "beside", TINY, "256");
    let mut service = Service::start(&place, "disk/set beside");
    let client = service.client();
    let first = client.signature(&keys[0], 0, &message(1));
    let filler = disk.fill("filler");
    // What the log of the store has allocated may take some more.
    let refused = (1..256).find(|&slot| client.sign(&keys[0], slot, &message(1)).status != 200);
    let refused = refused.expect("a full disk takes every entry");
    for key in &keys {
        let answer = client.sign(key, refused, &message(1));
        assert_eq!((answer.status, answer.reason().as_str()), (503, "ledger"), "{answer:?}");
    }
    client.signature(&beside, 1, &message(1));
    // A reload in vain says why.
    assert_eq!(client.post("/reload", "").status, 202);
    let failures = reloaded(&client, 1);
    if client.sign(&keys[0], refused, &message(1)).status != 200 {
        assert!(failures.contains("disk/set"), "{failures}");
    }
    fs::remove_file(filler).unwrap();
    service.running.signal(Signal::HUP);
    assert_eq!(reloaded(&client, 2), "[]");
    // Whatever became of the entry: of the two messages one signs, and of what was signed before nothing else.
    let one = client.sign(&keys[0], refused, &message(1)).status;
    let other = client.sign(&keys[0], refused, &message(2)).status;
    assert!([(200, 412), (412, 200)].contains(&(one, other)), "{one} {other}");
    assert_eq!(client.signature(&keys[0], 0, &message(1)), first);
    assert_eq!(client.sign(&keys[0], 0, &message(2)).status, 412);
    client.signature(&keys[1], refused, &message(3));
    service.running.signal(Signal::TERM);
    service.running.end().0.exits(0);
}

/// What somebody does to a set, by its name; where the newest set, an older copy of it, and another set are.
type Change = fn(&Path, &Path, &Path);

/// Puts a part of a ledger from elsewhere in the place of that of a set.
fn put(set: &Path, from: &Path, part: &str) {
    remove(&set.join(part));
    copy(&from.join(part), &set.join(part));
}

/// Each with what the refusal names.
const CHANGES: [(&str, Change, &[&str]); 9] = [
    (
        "an older store",
        |set, old, _| put(set, old, "ledger/state"),
        &["older than its mark", "ledger"],
    ),
    (
        "an older mark",
        |set, old, _| put(set, old, "ledger/set.mark"),
        &["older than its mark", "ledger"],
    ),
    (
        "no mark",
        |set, _, _| remove(&set.join("ledger/set.mark")),
        &["set.mark", "missing"],
    ),
    (
        "no store",
        |set, _, _| remove(&set.join("ledger/state")),
        &["ledger/state"],
    ),
    ("no ledger", |set, _, _| remove(&set.join("ledger")), &["moved to"]),
    (
        "an older key directory",
        |set, old, _| put(set, &old.with_file_name("before"), "one"),
        &["old copy", "one"],
    ),
    (
        "the ledger of another set",
        |set, _, other| put(set, other, "ledger"),
        &["is that of the set"],
    ),
    (
        "the store of another set",
        |set, _, other| put(set, other, "ledger/state"),
        &["another"],
    ),
    (
        "the mark of another set",
        |set, _, other| put(set, other, "ledger/set.mark"),
        &["another"],
    ),
];

#[test]
fn a_set_whose_ledger_is_not_its_newest_one_is_not_served_and_signs_nothing() {
    let place = Place::in_memory();
    make_set(&place, "elsewhere/set");
    fs::create_dir_all(place.path("set")).unwrap();
    for (name, scheme) in [("one", TINY), ("other", OTHER_TINY)] {
        fresh_key(&place, &format!("set/{name}"), scheme, "256");
    }
    copy(&place.path("set"), &place.path("before"));
    for name in ["one", "other"] {
        place.run(&format!("ledger move set/{name} --into set")).exits(0);
    }
    let sign =
        |epoch: u64, number: u64| place.run(&format!("sign set/one --epoch {epoch} --message {}", message(number)));
    sign(1, 1).exits(0);
    copy(&place.path("set"), &place.path("old"));
    // Two steps: a mark that is one step behind its store is what a kill leaves.
    let signed = sign(2, 1).exits(0).line();
    sign(3, 1).exits(0);
    copy(&place.path("set"), &place.path("newest"));
    for (case, change, words) in CHANGES {
        change(&place.path("set"), &place.path("old"), &place.path("elsewhere/set"));
        let (outcome, _) = place.start(&[], "serve set --listen unix:socket").end();
        assert_eq!(outcome.code, Some(3), "{case}: {}", outcome.all());
        if case != "no ledger" {
            outcome.says(words);
        }
        let outcome = sign(2, 2);
        assert!(matches!(outcome.code, Some(1 | 3)), "{case}: {}", outcome.all());
        let outcome = sign(9, 1);
        assert_eq!(outcome.code, Some(3), "{case}: {}", outcome.all());
        assert!(outcome.stderr.contains("; "), "{case}: no way out: {}", outcome.all());
        remove(&place.path("set"));
        copy(&place.path("newest"), &place.path("set"));
        assert_eq!(sign(2, 1).exits(0).line(), signed, "{case}");
    }
    let service = Service::start(&place, "set");
    assert_eq!(service.client().get("/healthcheck").status, 200);
}
