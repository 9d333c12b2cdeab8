//! Sets that are merged.

use std::fs;

use super::super::merge::bytes_left;
use super::super::parts::Part;
use super::{Reason, SetPaths, Survey, files, is_for, make, merge_sets};
use crate::faults::{Fate, Faults};
use crate::plan::MemoryRequest::NoLimit;

#[test]
fn a_set_that_changes_while_it_is_merged_gets_no_manifest() {
    let place = tempfile::tempdir().unwrap();
    let (part, out) = (place.path().join("part"), place.path().join("out"));
    make(&part).unwrap();
    for ending in ["_pk.ssz", "_sk.ssz", "_pk.json", "_sk.json"] {
        let name = files(&part)
            .into_keys()
            .find(|name| name.to_string_lossy().ends_with(ending))
            .unwrap();
        let whole = fs::read(part.join(&name)).unwrap();
        let changed = part.join(&name);
        let faults = Faults::below(&out, move |call, path| {
            // All files of the part were looked at by then.
            if call == "mkdir" && path.ends_with(".keymill-set") {
                fs::write(&changed, "mine").unwrap();
            }
            Fate::Pass
        });
        let outcome = merge_sets(std::slice::from_ref(&part), &out, 0o644, NoLimit);
        drop(faults);
        assert!(
            is_for(&outcome, Reason::Damaged, &part.join(&name)) || is_for(&outcome, Reason::Damaged, &out.join(&name)),
            "{ending}: {outcome:?}"
        );
        assert!(!out.join("validator-keys-manifest.yaml").exists(), "{ending}");
        fs::write(part.join(&name), whole).unwrap();
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn room_for_a_merge_is_asked_for_what_is_not_copied_yet() {
    let place = tempfile::tempdir().unwrap();
    let (part, out) = (place.path().join("part"), place.path().join("out"));
    make(&part).unwrap();
    let left = || {
        let part = Part::open(Survey::of(&part).unwrap()).unwrap();
        let members = part.members();
        members
            .map(|member| bytes_left(member, &SetPaths::new(&out)).unwrap())
            .sum::<u64>()
    };
    let found = files(&part)
        .into_iter()
        .filter(|(name, _)| name.extension().unwrap() != "yaml");
    let bytes: usize = found.map(|(_, content)| content.len()).sum();
    assert_eq!(left(), bytes as u64);
    merge_sets(std::slice::from_ref(&part), &out, 0o644, NoLimit).unwrap();
    assert_eq!(left(), 0);
}
