//! Sets whose directory gets another one's name taken while a key of theirs is made.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use super::super::names::SetPaths;
use super::super::{Role, SetRequest};
use super::{copy, files, make, request, run};
use crate::faults::{Fate, Faults};

/// All files of a set, those of its work too.
fn content(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else {
            found.push((path.file_name().unwrap().into(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// How far the job is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Opened,
    Over,
}

#[test]
fn a_set_whose_directory_is_replaced_at_any_call_touches_nothing_of_what_has_its_name() {
    let origin = tempfile::tempdir().unwrap();
    let [whole, another] = ["whole", "another"].map(|name| origin.path().join(name));
    make(&whole).unwrap();
    let other_seed = SetRequest {
        seed: Some(Zeroizing::new([8; 32])),
        ..request()
    };
    run(&another, other_seed).unwrap();
    for at in (0..).step_by(16) {
        let place = crate::keygen::tests::in_memory();
        let [set, beside, moved] = ["set", "beside", "moved"].map(|name| place.path().join(name));
        copy(&another, &beside);
        let untouched = content(&beside);
        // The calls of the job that makes the key, from the opening of its directory until the name of the set is looked at.
        let work = SetPaths::new(&set).work();
        let key = SetPaths::new(&set).unfinished(0, Role::Proposer);
        let course = Arc::new(Mutex::new((State::Before, 0)));
        let rule = {
            let (course, set, moved) = (Arc::clone(&course), set.clone(), moved.clone());
            move |call: &'static str, path: &Path| {
                let (state, calls) = &mut *course.lock().unwrap();
                match (call, *state) {
                    ("fstat", State::Before) if path == key => *state = State::Opened,
                    ("stat", State::Opened) if path == work => *state = State::Over,
                    _ => {}
                }
                if *state == State::Opened && path.starts_with(&key) {
                    if *calls == at {
                        fs::rename(&set, &moved).unwrap();
                        fs::rename(&beside, &set).unwrap();
                    }
                    *calls += 1;
                }
                Fate::Pass
            }
        };
        let faults = Faults::below(&set, rule);
        let outcome = make(&set);
        drop(faults);
        let (_, calls) = *course.lock().unwrap();
        if calls <= at {
            outcome.unwrap();
            assert!(at > 60, "{at}");
            return;
        }
        let words = outcome.unwrap_err().to_string();
        assert!(words.contains("was moved or replaced"), "call {at}: {words}");
        assert!(content(&set) == untouched, "call {at}: the other set was touched");
        make(&moved).unwrap();
        assert!(files(&moved) == files(&whole), "call {at}");
    }
}
