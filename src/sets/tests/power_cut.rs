//! Sets through power cuts at any call on what is published and noted of them.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::{copy, files, request, run};
use crate::error::Result;
use crate::keygen::tests::cut_short::Work;
use crate::plan::MemoryRequest::NoLimit;
use crate::sets::begun::is_of_key;
use crate::sets::manifest::SetManifest;
use crate::sets::names::{KeyName, MANIFEST, Named, PUBLIC_SSZ, Role, SECRET_SSZ, SetPaths, key_files};
use crate::sets::{SetForms, SetRequest, merge_sets, verify_set};

fn set(place: &Path) -> PathBuf {
    place.join("set")
}

fn words(outcome: Result<()>) -> Result<(), String> {
    outcome.map_err(|error| error.to_string())
}

/// Files of a set that a disk shows, none if there is no set.
fn shown_files(directory: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    if directory.exists() {
        files(directory)
    } else {
        <_>::default()
    }
}

/// A file that is there is whole, and a manifest names none that is not there.
#[track_caller]
fn is_whole_or_absent(directory: &Path, undisturbed: &Path, case: &str) {
    let (found, whole) = (shown_files(directory), files(undisturbed));
    for (name, content) in &found {
        assert!(
            whole.get(name) == Some(content),
            "{case}: {} is not whole",
            name.display()
        );
    }
    let has_manifest = found.contains_key(Path::new(MANIFEST));
    assert!(
        !has_manifest || found == whole,
        "{case}: the manifest names what is not there"
    );
}

fn two_validators() -> SetRequest {
    SetRequest {
        validators: 2,
        is_distributed: false,
        roles: vec![Role::Proposer],
        ..request()
    }
}

#[test]
fn a_set_whose_making_a_power_cut_ends_has_whole_files_and_is_finished_with_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    let undisturbed = set(place.path());
    run(&undisturbed, two_validators()).unwrap();
    Work {
        before: &|_| {},
        done: &|place| ((), words(run(&set(place), two_validators()))),
        holds: &|shown, (), is_finished, case| {
            is_whole_or_absent(&set(shown), &undisturbed, case);
            assert!(
                !is_finished || set(shown).join(MANIFEST).exists(),
                "{case}: there is no manifest"
            );
            run(&set(shown), two_validators()).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(files(&set(shown)) == files(&undisturbed), "{case}");
        },
    }
    .is_cut(80);
}

/// The secret of each public key that is published is there: in its file, or in the directory of its key.
#[track_caller]
fn has_every_secret(directory: &Path, case: &str) {
    let paths = SetPaths::new(directory);
    for (name, content) in shown_files(directory) {
        let name = name.to_string_lossy();
        let Some(Named::File(key, PUBLIC_SSZ)) = Named::parse(&name) else {
            continue;
        };
        let unfinished = (0..2).map(|index| paths.unfinished(index, key.role));
        let mut directories = unfinished.chain([paths.kept(key)]);
        let is_there =
            paths.file(key, SECRET_SSZ).exists() || directories.any(|key| is_of_key(&key, &content).unwrap());
        assert!(is_there, "{case}: the secret of {name} is lost");
    }
}

#[test]
fn a_set_from_fresh_secrets_loses_none_of_a_published_key_in_a_power_cut() {
    for keeps_directories in [false, true] {
        let fresh = || SetRequest {
            seed: None,
            keeps_directories,
            forms: Some(SetForms::Ssz),
            ..two_validators()
        };
        Work {
            before: &|_| {},
            done: &|place| ((), words(run(&set(place), fresh()))),
            holds: &|shown, (), is_finished, case| {
                let published = shown_files(&set(shown));
                has_every_secret(&set(shown), case);
                run(&set(shown), fresh()).unwrap_or_else(|error| panic!("{case}: {error}"));
                let finished = files(&set(shown));
                let is_kept = |(name, content): (&PathBuf, &Vec<u8>)| finished.get(name) == Some(content);
                assert!(published.iter().all(is_kept), "{case}: a published file has changed");
                assert!(!is_finished || published == finished, "{case}");
                let faults = verify_set(&set(shown), None, 1, NoLimit).unwrap().faults;
                assert!(faults.is_empty(), "{case}: {faults:?}");
            },
        }
        .is_cut(60);
    }
}

#[test]
fn a_merge_that_a_power_cut_ends_has_whole_files_and_is_finished_by_the_next() {
    let place = tempfile::tempdir().unwrap();
    let parts = [0, 1].map(|start_index| {
        let part = place.path().join(format!("part{start_index}"));
        let request = SetRequest {
            start_index,
            validators: 1,
            ..two_validators()
        };
        run(&part, request).unwrap();
        part
    });
    let merge = |to: &Path| merge_sets(&parts, &set(to), 0o644, NoLimit).map(drop);
    merge(place.path()).unwrap();
    let undisturbed = set(place.path());
    Work {
        before: &|_| {},
        done: &|place| ((), words(merge(place))),
        holds: &|shown, (), is_finished, case| {
            is_whole_or_absent(&set(shown), &undisturbed, case);
            assert!(
                !is_finished || set(shown).join(MANIFEST).exists(),
                "{case}: there is no manifest"
            );
            merge(shown).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(files(&set(shown)) == files(&undisturbed), "{case}");
        },
    }
    .is_cut(60);
}

#[test]
fn a_set_put_over_another_one_is_never_shown_under_the_manifest_of_either_with_files_missing() {
    let place = tempfile::tempdir().unwrap();
    let (old, new) = (place.path().join("old"), place.path().join("new"));
    let forced = || SetRequest {
        overwrites: true,
        ..two_validators()
    };
    let other = SetRequest {
        seed: Some(zeroize::Zeroizing::new([8; 32])),
        ..two_validators()
    };
    run(&old, other).unwrap();
    run(&new, forced()).unwrap();
    let named = |directory: &Path| {
        let manifest = fs::File::open(directory.join(MANIFEST)).ok()?;
        let manifest = SetManifest::read(BufReader::new(manifest)).unwrap();
        let names: Vec<KeyName> = manifest.keys().map(|key| key.name).collect();
        let files = names
            .iter()
            .flat_map(|name| key_files(true).iter().map(|&file| name.file(file)));
        Some(files.collect::<Vec<_>>())
    };
    Work {
        before: &|place| copy(&old, &set(place)),
        done: &|place| ((), words(run(&set(place), forced()))),
        holds: &|shown, (), is_finished, case| {
            let whole = [files(&old), files(&new)];
            for (name, content) in shown_files(&set(shown)) {
                let is_one = whole.iter().any(|files| files.get(&name) == Some(&content));
                assert!(is_one, "{case}: {} is not whole", name.display());
            }
            for name in named(&set(shown)).into_iter().flatten() {
                assert!(set(shown).join(&name).exists(), "{case}: there is no {name}");
            }
            assert!(!is_finished || files(&set(shown)) == files(&new), "{case}");
            let before: Vec<_> = files(&set(shown)).into_keys().collect();
            run(&set(shown), forced()).unwrap_or_else(|error| panic!("{case}: {error}"));
            let (found, expected) = (files(&set(shown)), files(&new));
            let names = found.keys().chain(expected.keys());
            let differ: Vec<_> = names.filter(|name| found.get(*name) != expected.get(*name)).collect();
            assert!(differ.is_empty(), "{case}: {differ:?} differ; before: {before:?}");
        },
    }
    .is_cut(60);
}
