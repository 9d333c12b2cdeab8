//! What reads a key needs no write access to it. Mounting needs root; without it this only says so.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::fixtures::{MESSAGE, SEED, TINY, changing_nothing, stopped_key};
use super::ledger::{fresh_key, sign};
use super::program::Place;
use crate::skip::skip;
use rustix::process::Signal;

/// The same directory once more, read-only; unmounted at the end.
struct ReadOnly {
    at: PathBuf,
}

impl ReadOnly {
    fn mounted(directory: &Path, at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let run = |arguments: &[&str]| {
            let mut mount = Command::new("mount");
            mount
                .args(arguments)
                .arg(directory)
                .arg(at)
                .output()
                .is_ok_and(|output| output.status.success())
        };
        // A bind mount takes its flags when it is mounted again (mount(8)).
        let done = run(&["--bind"]) && run(&["-o", "remount,ro,bind"]);
        if !done {
            skip("a directory cannot be mounted read-only here, which needs root");
        }
        let mounted = Self { at: at.to_owned() };
        done.then_some(mounted)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        // Nothing to be done about it if it fails.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).output();
    }
}

#[test]
fn a_key_on_a_read_only_disk_is_read_by_every_reader_and_its_ledger_exported() {
    let place = Place::new();
    fresh_key(&place);
    sign(&place, 3, 1).exits(0);
    let ledger = place.run("ledger export key").exits(0).stdout;
    let Some(_mounted) = ReadOnly::mounted(&place.path("key"), &place.path("disk")) else {
        return;
    };
    assert!(
        std::fs::write(place.path("disk/probe"), "").is_err(),
        "it can be written to"
    );
    changing_nothing(&place, || {
        for line in [
            "ledger show disk",
            "status disk",
            "check disk",
            "check disk --deep",
            "path disk --epoch 3",
            "public-key disk",
            "report disk",
            "backup disk",
            "migrate disk --dry-run",
        ] {
            place.run(line).exits(0);
        }
        assert_eq!(place.run("ledger export disk").exits(0).stdout, ledger);
        // What has to be noted is not passed over.
        place.run(&format!("sign disk --epoch 4 --message {MESSAGE}")).exits(4);
        let refused = place.run("export disk --format leansig-ssz").exits(4);
        refused
            .prints_nothing()
            .says(&["nothing was exported", "Read-only file system"]);
    });
    // Where a signer has the lock, the ledger is not handed on.
    let lock = std::fs::File::open(place.path("key/LOCK")).unwrap();
    lock.lock().unwrap();
    place
        .run("ledger export disk")
        .exits(3)
        .prints_nothing()
        .says(&["LOCK"]);
    drop(lock);
    // And as long as readers have it, nobody signs.
    let lock = std::fs::File::open(place.path("key/LOCK")).unwrap();
    lock.lock_shared().unwrap();
    place.run("ledger export disk").exits(0);
    sign(&place, 4, 1)
        .exits(3)
        .prints_nothing()
        .says(&["a process that reads"]);
}

#[test]
fn a_key_that_signs_nothing_is_exported_from_a_read_only_disk_and_an_unfinished_one_checked() {
    let place = Place::new();
    place.file("seed", SEED);
    place
        .run(&format!("keygen key --scheme {TINY} --seed-file seed"))
        .exits(0);
    let Some(mounted) = ReadOnly::mounted(&place.path("key"), &place.path("disk")) else {
        return;
    };
    changing_nothing(&place, || place.run("export disk --format leansig-ssz").exits(0));
    drop(mounted);
    let place = Place::new();
    stopped_key(&place, "2^13", Signal::TERM);
    let Some(_mounted) = ReadOnly::mounted(&place.path("key"), &place.path("disk")) else {
        return;
    };
    changing_nothing(&place, || {
        place.run("check disk").exits(0);
        place.run("status disk").exits(0);
    });
}
