//! More keys than may be mapped at a time.

use std::path::{Path, PathBuf};

use super::engine_tests::{A, engine_of, of_each_key, set, sign};
use super::keys::Keys;
use crate::error::{Error, Reason, Result};
use crate::faults::{Fate, Faults};

/// Layer files below a directory that this process has mapped.
fn mapped_below(directory: &Path) -> usize {
    let name = directory.to_str().unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .filter(|line| line.contains(name) && line.contains(".nodes"))
        .count()
}

#[test]
fn more_keys_sign_than_may_be_mapped_at_a_time_and_no_more_of_them_are_mapped() {
    // Of each of two keys, nine levels.
    const MAPPINGS_MAX: usize = 20;
    let set = set();
    let engine = engine_of(Keys::open(&[PathBuf::from(set.path())], None, MAPPINGS_MAX).unwrap());
    let layers = engine.keys().layers();
    assert_eq!((layers.mappings(), mapped_below(set.path())), (18, 18));
    let faults = Faults::below(set.path(), |_, _| Fate::Pass);
    for epoch in 1..5 {
        assert!(sign(&engine, of_each_key(epoch, A)).iter().all(Result::is_ok));
        assert_eq!((layers.mappings(), mapped_below(set.path())), (18, 18));
    }
    // Three keys of five, at least, are mapped again for each list.
    let mapped = faults.seen().iter().filter(|seen| seen.call == "mmap").count();
    assert!(mapped >= 4 * 3 * 9, "{mapped}");
    drop(faults);
    // What cannot be mapped again is a fault of that key alone, for as long as it lasts.
    let of_key = |key: usize, epoch: u32| vec![of_each_key(epoch, A)[key]];
    let (layer, away) = (set.path().join("key-0/layers/03.nodes"), set.path().join("away"));
    assert!(sign(&engine, of_key(3, 5)).iter().all(Result::is_ok));
    assert!(sign(&engine, of_key(4, 5)).iter().all(Result::is_ok));
    std::fs::rename(&layer, &away).unwrap();
    let outcomes = sign(&engine, of_each_key(6, A));
    let is_missing = |error: &Error| error.reason() == Reason::LayerMissing;
    for (key, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(_) => assert_ne!(key, 0),
            Err(error) => assert!(key == 0 && is_missing(error), "{key}: {error}"),
        }
    }
    std::fs::rename(&away, &layer).unwrap();
    assert!(sign(&engine, of_each_key(6, A)).iter().all(Result::is_ok));
}
