//! Too little disk, on a small file system of its own. Mounting one needs root; without it these tests only say so.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::process::Signal;

use super::fixtures::{LONG, MESSAGE, SEED, SMALL_GROUPS, TINY, finished_key, stopped_key};
use super::program::Place;
use crate::layers_on_disk::layer_files;
use crate::skip::skip;
use keymill_reference::Numbers;

/// A file system in memory, unmounted at the end.
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    pub fn mounted(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "keymill-test"])
            .arg(at)
            .output();
        let done = mounted.is_ok_and(|output| output.status.success());
        if !done {
            skip("a file system of its own cannot be mounted here, which needs root");
        }
        done.then(|| Self { at: at.to_owned() })
    }
}

impl SmallDisk {
    /// Takes all the space that is left, with one call.
    pub fn fill(&self, name: &str) -> PathBuf {
        let path = self.at.join(name);
        let file = File::create(&path).unwrap();
        let stat = statvfs(&self.at).unwrap();
        let free = stat.f_bavail * stat.f_frsize;
        if free > 0 {
            // Another process may have taken some of it meanwhile.
            let _ = fallocate(&file, FallocateFlags::empty(), 0, free);
        }
        path
    }
}

/// The layer files of a key that nothing disturbed, and its public key.
fn undisturbed(place: &Place, line: &str) -> (String, BTreeMap<String, Vec<u8>>) {
    let elsewhere = line.replace("disk/key", "undisturbed");
    let public_key = place.run(&elsewhere).exits(0).line();
    (public_key, layer_files(&place.path("undisturbed")))
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Nothing to be done about it if it fails.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

#[test]
fn too_little_disk_is_refused_before_anything_is_written_with_both_figures() {
    let place = Place::new();
    let Some(_disk) = SmallDisk::mounted(&place.path("disk"), "20M") else {
        return;
    };
    let flags = format!("--scheme {LONG} --epochs 2^18");
    let plan = place.run(&format!("plan {flags} --json")).exits(0).json();
    for name in ["disk/key", "disk/empty"] {
        if name == "disk/empty" {
            std::fs::create_dir(place.path(name)).unwrap();
        }
        let outcome = place
            .run(&format!("keygen {name} {flags}"))
            .exits(4)
            .prints_nothing()
            .says(&["too little disk", name, "needed", "free"]);
        let [needed, free] = outcome.figures()[..] else {
            panic!("not two figures\n{}", outcome.all());
        };
        assert!(needed >= plan["disk_bytes"].as_u64().unwrap(), "{}", outcome.all());
        assert!((1 << 20..=20 << 20).contains(&free), "{}", outcome.all());
    }
    assert!(!place.path("disk/key").exists());
    assert_eq!(std::fs::read_dir(place.path("disk/empty")).unwrap().count(), 0);
}

#[test]
fn a_file_system_that_has_room_and_no_inodes_is_called_that() {
    let place = Place::new();
    // The root of the file system takes one.
    for inodes in [2, 4, 8, 16] {
        let at = place.path(&format!("disk-{inodes}"));
        let Some(_disk) = SmallDisk::mounted(&at, &format!("48M,nr_inodes={inodes}")) else {
            return;
        };
        place
            .run(&format!("keygen disk-{inodes}/key --scheme {TINY}"))
            .exits(4)
            .prints_nothing()
            .says(&["no inodes left"]);
    }
    let at = place.path("full");
    let Some(_disk) = SmallDisk::mounted(&at, "48M,nr_inodes=2") else {
        return;
    };
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
    File::create(at.join("last")).unwrap();
    for line in ["public-key key --out full/out", "backup key --out full/out"] {
        place.run(line).exits(4).says(&["'full/out'", "no inodes left"]);
    }
}

/// At so many moments the space vanishes while a key is made.
const MOMENTS: u64 = 14;

#[test]
fn space_that_vanishes_at_any_moment_ends_the_job_with_a_word_and_the_same_command_goes_on() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mounted(&place.path("disk"), "48M") else {
        return;
    };
    place.file("seed", SEED);
    let line = format!("keygen disk/key --scheme {LONG} --epochs 2^12 --seed-file seed --threads 1");
    let whole = undisturbed(&place, &line);
    let mut ended_early = 0;
    for seed in 0..MOMENTS {
        let running = place.start(&SMALL_GROUPS, &line);
        // Every other time during creation, which takes the first milliseconds.
        let longest_us = if seed % 2 == 0 { 20_000 } else { 250_000 };
        std::thread::sleep(Duration::from_micros(Numbers(seed).below(longest_us)));
        let first = disk.fill("filler");
        let (outcome, _) = running.end();
        let all = format!("seed {seed}\n{}", outcome.all());
        assert!(matches!(outcome.code, Some(0 | 4)), "{all}");
        if outcome.code == Some(4) {
            ended_early += 1;
            assert!(
                outcome.stderr.contains("disk/key") && outcome.stderr.contains("free some"),
                "{all}"
            );
        }
        // What is left of the space now goes as well: the next run does not get far.
        let second = disk.fill("second-filler");
        let again = place.start(&SMALL_GROUPS, &line).end().0;
        assert!(matches!(again.code, Some(0 | 4)), "seed {seed}\n{}", again.all());
        for filler in [first, second] {
            std::fs::remove_file(filler).unwrap();
        }
        let finished = place.run(&line);
        assert_eq!(finished.code, Some(0), "{all}\n-- and afterwards\n{}", finished.all());
        assert_eq!(finished.line(), whole.0, "{all}");
        assert!(layer_files(&place.path("disk/key")) == whole.1, "{all}");
        std::fs::remove_dir_all(place.path("disk/key")).unwrap();
    }
    assert!(ended_early > 0);
}

#[test]
fn layer_files_with_holes_are_an_error_on_a_full_disk_and_never_a_crash() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mounted(&place.path("disk"), "48M") else {
        return;
    };
    // So much has to be missing that the holes are larger than what will be free.
    let has_enough_holes = || {
        let _ = std::fs::remove_dir_all(place.path("key"));
        stopped_key(&place, "2^15", Signal::KILL);
        place.batches_done("key") <= 8
    };
    assert!((0..5).any(|_| has_enough_holes()), "too much was made each time");
    let line = "keygen disk/key --threads 1";
    let whole = format!("keygen disk/key --scheme {LONG} --epochs 2^15 --seed-file seed");
    let whole = undisturbed(&place, &whole);
    for way in ["copied", "punched"] {
        let sparse = if way == "copied" {
            "--sparse=always"
        } else {
            "--sparse=never"
        };
        let mut copy = Command::new("cp");
        copy.args(["-a", sparse])
            .arg(place.path("key"))
            .arg(place.path("disk/key"));
        assert!(copy.status().unwrap().success());
        if way == "punched" {
            for name in whole.1.keys() {
                let path = place.path("disk/key/layers").join(name);
                let file = File::options().write(true).open(&path).unwrap();
                let bytes = file.metadata().unwrap().len();
                let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                fallocate(&file, punch, 4096, bytes - 4096).unwrap();
            }
        }
        let filler = disk.fill("filler");
        // Enough for the checkpoint store, and too little for the holes: if the job did not allocate them again before
        // it maps the files, it would get far enough to be killed by SIGBUS.
        let bytes = std::fs::metadata(&filler).unwrap().len();
        let shortened = File::options().write(true).open(&filler).unwrap();
        shortened.set_len(bytes - (896 << 10)).unwrap();
        drop(shortened);
        let refused = place.run_with(&SMALL_GROUPS, line).exits(4).prints_nothing();
        refused.says(&["fallocate on 'disk/key/layers/", "free some space"]);
        std::fs::remove_file(filler).unwrap();
        assert_eq!(place.run(line).exits(0).line(), whole.0, "{way}");
        assert!(layer_files(&place.path("disk/key")) == whole.1, "{way}");
        std::fs::remove_dir_all(place.path("disk/key")).unwrap();
    }
}

#[test]
fn an_output_that_finds_the_disk_full_is_an_error_that_names_its_file() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mounted(&place.path("disk"), "1M") else {
        return;
    };
    let public_key = finished_key(&place, TINY);
    disk.fill("filler");
    for line in [
        format!("sign key --epoch 3 --message {MESSAGE} --out disk/out"),
        "path key --epoch 3 --out disk/out".to_owned(),
        "public-key key --out disk/out".to_owned(),
    ] {
        let outcome = place.run(&line).exits(4).prints_nothing();
        outcome.says(&["'disk/out' cannot be written", "No space left", "free some space"]);
    }
    assert_eq!(place.run("public-key key").exits(0).line(), public_key);
}

/// A limit on file sizes makes writes short, and needs no privilege: what fits is written, and the rest is refused.
#[test]
fn writes_cut_short_at_any_length_end_the_job_with_a_word_and_the_same_command_goes_on() {
    let place = Place::new();
    place.file("seed", SEED);
    let line = format!("keygen key --scheme {TINY} --seed-file seed");
    let whole = undisturbed(&place, &line.replace("keygen key", "keygen disk/key"));
    let limits = [
        0, 1, 16, 24, 60, 83, 100, 300, 700, 1000, 1500, 2000, 4095, 4096, 4097, 5000, 9000, 12_000, 14_000, 40_000,
    ];
    let mut ended_early = 0;
    for limit in limits {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(format!("--fsize={limit}"));
        let Some(outcome) = place.run_under(prlimit, &[], &line) else {
            skip("prlimit is not installed (Debian: util-linux)");
            return;
        };
        let all = format!("limit {limit}\n{}", outcome.all());
        assert!(matches!(outcome.code, Some(0 | 4)), "{all}");
        if outcome.code == Some(4) {
            ended_early += 1;
            assert!(outcome.stderr.contains("'key/"), "{all}");
            assert!(outcome.stderr.contains("ulimit -f"), "{all}");
        }
        let finished = place.run(&line);
        assert_eq!(finished.code, Some(0), "{all}\n-- and afterwards\n{}", finished.all());
        assert_eq!(finished.line(), whole.0, "{all}");
        assert!(layer_files(&place.path("key")) == whole.1, "{all}");
        std::fs::remove_dir_all(place.path("key")).unwrap();
    }
    assert!(ended_early > limits.len() / 2, "{ended_early}");
}
