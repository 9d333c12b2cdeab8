//! What stands in the place of a file of a key directory and is not one: found, named, never waited for, and mended where
//! it can be.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, makedev, mkfifoat, mknodat};

use super::fixtures::{MESSAGE, TINY, changes, finished_key, snapshot};
use super::program::{Outcome, Place};
use crate::layers_on_disk::layer_files;

const LEVEL_3: &str = "key/layers/03.nodes";
const KINDS: [&str; 4] = ["directory", "FIFO", "socket", "device"];

/// Puts something in the place of a file or directory. Only root may make a device: without one, the case is left out.
fn replace(place: &Place, name: &str, kind: &str) -> bool {
    let path = place.path(name);
    if path.is_dir() {
        fs::remove_dir_all(&path).unwrap();
    } else {
        fs::remove_file(&path).unwrap();
    }
    match kind {
        "directory" => {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("something"), "of somebody").unwrap();
        }
        "FIFO" => mkfifoat(CWD, &path, Mode::RWXU).unwrap(),
        "socket" => mknodat(CWD, &path, FileType::Socket, Mode::RWXU, 0).unwrap(),
        "device" => {
            return is_made(mknodat(
                CWD,
                &path,
                FileType::CharacterDevice,
                Mode::RWXU,
                makedev(1, 3),
            ));
        }
        _ => unreachable!("{kind}"),
    }
    true
}

fn is_made(made: rustix::io::Result<()>) -> bool {
    if made.is_err() {
        crate::skip::skip("a device in the place of a file needs root");
    }
    made.is_ok()
}

fn is_of_kind(path: &Path, kind: &str) -> bool {
    let found = fs::symlink_metadata(path).unwrap().file_type();
    match kind {
        "directory" => found.is_dir(),
        "FIFO" => found.is_fifo(),
        "socket" => found.is_socket(),
        _ => found.is_char_device(),
    }
}

/// Runs a command that must not wait for anybody, whatever it meets.
fn run(place: &Place, line: &str) -> Outcome {
    place.start(&[], line).end().0
}

/// As [`run`], and fails if anything else was changed than the lock and what RocksDB does whenever it is opened.
#[track_caller]
fn run_in_vain(place: &Place, line: &str) -> Outcome {
    let before = snapshot(&place.path("."));
    let outcome = run(place, line);
    let mut changed = changes(&before, &snapshot(&place.path(".")));
    changed.retain(|path| !path.ends_with("key/LOCK") && !path.to_string_lossy().contains("/key/state"));
    assert!(changed.is_empty(), "{changed:?} changed: {}", outcome.all());
    outcome
}

fn sign() -> String {
    format!("sign key --epoch 3 --message {MESSAGE}")
}

#[test]
fn what_stands_in_the_place_of_a_layer_file_is_damage_that_a_repair_moves_aside() {
    for kind in KINDS {
        let place = Place::new();
        finished_key(&place, TINY);
        let layers = layer_files(&place.path("key"));
        if !replace(&place, LEVEL_3, kind) {
            continue;
        }
        let checked = run(&place, "check key").exits(1);
        let damage = format!("damaged: '{LEVEL_3}' is damaged: it is a {kind}");
        assert!(checked.text().contains(&damage), "{}", checked.all());
        for line in ["path key --epoch 3", &sign()] {
            run(&place, line)
                .exits(3)
                .says(&[LEVEL_3, kind, "'keymill repair key'"]);
        }
        let report = run(&place, "repair key --json").exits(0).json();
        let restored = &report["files_restored"];
        assert_eq!(restored.as_array().unwrap().len(), 1, "{report}");
        assert_eq!(restored[0]["file"], LEVEL_3, "{report}");
        assert_eq!(restored[0]["moved_to"], "key/layers/03.nodes.damaged", "{report}");
        let aside = place.path("key/layers/03.nodes.damaged");
        assert!(is_of_kind(&aside, kind), "{kind}: it was not kept as it was");
        fs::rename(aside, place.path("aside")).unwrap();
        assert!(layer_files(&place.path("key")) == layers, "{kind}");
        place.run("check key").exits(0);
        run(&place, "repair key").exits(0);
    }
}

#[test]
fn a_second_one_that_is_moved_aside_gets_a_name_of_its_own() {
    let place = Place::new();
    finished_key(&place, TINY);
    for name in ["03.nodes.damaged", "03.nodes.damaged.2", "03.nodes.damaged.3"] {
        replace(&place, LEVEL_3, "FIFO");
        run(&place, "repair key").exits(0).prints(&[&format!("/{name}' now")]);
    }
}

#[test]
fn what_stands_in_the_place_of_the_layers_is_moved_aside_with_its_name_told() {
    for kind in ["FIFO", "socket"] {
        let place = Place::new();
        finished_key(&place, TINY);
        let layers = layer_files(&place.path("key"));
        replace(&place, "key/layers", kind);
        run(&place, "check key").exits(1);
        run(&place, &sign()).exits(3).says(&["key/layers/00.nodes"]);
        run(&place, "repair key").exits(0).prints(&["key/layers.damaged"]);
        assert!(layer_files(&place.path("key")) == layers, "{kind}");
        assert!(is_of_kind(&place.path("key/layers.damaged"), kind));
        place.run("check key").exits(0);
    }
}

#[test]
fn what_cannot_be_made_again_is_refused_by_name() {
    let all = ["check key", "repair key", "status key", "path key --epoch 3", &sign()];
    let cases = [
        ("key/manifest.toml", &all[..], 3),
        ("key/secret", &["repair key", &sign(), "check key --deep"], 3),
        ("key/secret", &["check key"], 1),
        (
            "key/LOCK",
            &["repair key", &sign(), "ledger init key --first-epoch 9"],
            3,
        ),
        ("key/LOCK", &["check key"], 1),
        ("key/ledger.mark", &["check key"], 1),
        ("key/ledger.mark", &[&sign()], 3),
    ];
    for kind in KINDS {
        for (name, lines, code) in cases {
            let place = Place::new();
            finished_key(&place, TINY);
            if !replace(&place, name, kind) {
                continue;
            }
            for line in lines {
                let outcome = run_in_vain(&place, line).exits(code);
                let said = outcome.all();
                assert!(
                    said.contains(name) && said.contains(&format!("it is a {kind}")),
                    "{said}"
                );
            }
        }
    }
}

#[test]
fn a_new_beginning_replaces_a_mark_that_is_no_file_but_not_a_directory_of_somebody() {
    for kind in KINDS {
        let place = Place::new();
        finished_key(&place, TINY);
        if !replace(&place, "key/ledger.mark", kind) {
            continue;
        }
        let init = "ledger init key --first-epoch 9";
        if kind == "directory" {
            run_in_vain(&place, init)
                .exits(3)
                .says(&["key/ledger.mark", "move 'key/ledger.mark' away"]);
            fs::rename(place.path("key/ledger.mark"), place.path("away")).unwrap();
        }
        run(&place, init).exits(0);
        place.run(&format!("sign key --epoch 9 --message {MESSAGE}")).exits(0);
    }
}

#[test]
fn what_stands_in_the_place_of_a_file_of_the_store_makes_it_a_damaged_one() {
    for kind in KINDS {
        let place = Place::new();
        finished_key(&place, TINY);
        if !replace(&place, "key/state/CURRENT", kind) {
            continue;
        }
        run(&place, "check key").exits(1);
        for line in ["status key", &sign()] {
            run(&place, line)
                .exits(3)
                .says(&["key/state/CURRENT", "'keymill repair key'"]);
        }
        run(&place, "repair key").exits(0).prints(&["key/state.damaged"]);
        place.run("check key").exits(0);
    }
}

#[test]
fn what_rocksdb_does_not_read_in_its_directory_damages_no_store() {
    let place = Place::new();
    finished_key(&place, TINY);
    symlink("/dev/null", place.path("key/state/LOG.x")).unwrap();
    mkfifoat(CWD, place.path("key/state/notes"), Mode::RWXU).unwrap();
    run(&place, &sign()).exits(0);
    run(&place, "check key").exits(0);
    run(&place, "repair key").exits(0);
    assert!(!place.path("key/state.damaged").exists());
}

#[test]
fn a_repair_that_is_refused_has_moved_nothing_aside_and_one_that_is_not_says_at_once_what_it_has() {
    for link in ["key/layers", LEVEL_3] {
        let place = Place::new();
        finished_key(&place, TINY);
        replace(&place, "key/state/CURRENT", "FIFO");
        fs::rename(place.path(link), place.path("elsewhere")).unwrap();
        symlink("nowhere", place.path(link)).unwrap();
        run(&place, "repair key").exits(3).says(&["symbolic link"]);
        assert!(place.path("key/state/CURRENT").symlink_metadata().is_ok());
        assert!(!place.path("key/state.damaged").exists());
        fs::remove_file(place.path(link)).unwrap();
        let message = "'key/state' was moved aside and is 'key/state.damaged' now";
        run(&place, "repair key").exits(0).says(&[message]);
    }
}

#[test]
fn a_trim_deletes_no_directory_and_changes_nothing_behind_a_link() {
    let place = Place::new();
    finished_key(&place, TINY);
    replace(&place, LEVEL_3, "directory");
    for line in ["trim key --level 4", "trim key --level 4 --json"] {
        run_in_vain(&place, line)
            .exits(3)
            .says(&[LEVEL_3, "not a layer file", "' away"]);
    }
    run(&place, "repair key").exits(0);
    fs::rename(place.path("key/layers"), place.path("elsewhere")).unwrap();
    symlink("../elsewhere", place.path("key/layers")).unwrap();
    run_in_vain(&place, "trim key --level 4")
        .exits(3)
        .says(&["key/layers", "symbolic link"]);
    fs::remove_file(place.path("key/layers")).unwrap();
    fs::rename(place.path("elsewhere"), place.path("key/layers")).unwrap();
    run(&place, "trim key --level 4").exits(0);
    // Left over of a trim that was interrupted, say, and nothing that a repair looks at.
    fs::create_dir(place.path(LEVEL_3)).unwrap();
    run_in_vain(&place, "trim key --level 4")
        .exits(3)
        .says(&[LEVEL_3, "not a layer file", "' away"]);
    fs::remove_dir(place.path(LEVEL_3)).unwrap();
    run(&place, "trim key --level 4").exits(0);
    place.run("check key").exits(0);
}

#[test]
fn a_link_to_what_is_no_file_is_called_a_link() {
    let place = Place::new();
    finished_key(&place, TINY);
    fs::remove_file(place.path(LEVEL_3)).unwrap();
    symlink(place.path("."), place.path(LEVEL_3)).unwrap();
    let checked = run(&place, "check key").exits(1);
    assert!(checked.text().contains("is a symbolic link"), "{}", checked.all());
    run_in_vain(&place, "repair key")
        .exits(3)
        .says(&[LEVEL_3, "is a symbolic link"]);
}

#[test]
fn layer_files_are_read_through_links_and_never_mended_behind_one() {
    for name in [LEVEL_3, "key/layers"] {
        let place = Place::new();
        finished_key(&place, TINY);
        fs::rename(place.path(name), place.path("elsewhere")).unwrap();
        symlink(place.path("elsewhere"), place.path(name)).unwrap();
        for line in ["check key", "status key", "path key --epoch 3", &sign()] {
            run(&place, line).exits(0);
        }
        let refused = run_in_vain(&place, "repair key").exits(3);
        refused.says(&[name, "symbolic link", &format!("move '{name}' away")]);
        // To a disk that is not mounted, say; then in a circle.
        for target in ["nowhere", "."] {
            fs::remove_file(place.path(name)).unwrap();
            let circle = place.path(name);
            symlink(
                if target == "." { &*circle } else { Path::new(target) },
                place.path(name),
            )
            .unwrap();
            let checked = run(&place, "check key").exits(1);
            assert!(checked.text().contains(name), "{}", checked.all());
            run(&place, &sign()).exits(3).says(&[name]);
            run_in_vain(&place, "repair key")
                .exits(3)
                .says(&[name, "symbolic link"]);
        }
        fs::remove_file(place.path(name)).unwrap();
        run(&place, "repair key").exits(0);
        place.run("check key").exits(0);
    }
}
