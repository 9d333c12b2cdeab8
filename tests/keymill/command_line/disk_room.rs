//! Too little disk, on a small file system of its own. Mounting one needs root; without it these tests only say so.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::fixtures::{LONG, SEED, SMALL_GROUPS};
use super::program::Place;

/// A file system in memory, unmounted at the end.
struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    fn mounted(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "keymill-test"])
            .arg(at)
            .output();
        let done = mounted.is_ok_and(|output| output.status.success());
        if !done {
            eprintln!("skipped: a file system of its own cannot be mounted here");
        }
        done.then(|| Self { at: at.to_owned() })
    }
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
    let Some(_disk) = SmallDisk::mounted(&place.path("disk"), "24M") else {
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
        assert!((1 << 20..=24 << 20).contains(&free), "{}", outcome.all());
    }
    assert!(!place.path("disk/key").exists());
    assert_eq!(std::fs::read_dir(place.path("disk/empty")).unwrap().count(), 0);
}

#[test]
fn a_disk_that_others_fill_meanwhile_ends_the_job_and_it_can_be_resumed() {
    let place = Place::new();
    let Some(_disk) = SmallDisk::mounted(&place.path("disk"), "64M") else {
        return;
    };
    place.file("seed", SEED);
    let line = format!("keygen disk/key --scheme {LONG} --epochs 2^14 --seed-file seed --threads 1");
    let running = place.start(&SMALL_GROUPS, &line);
    place.wait_for_batches("disk/key", 1);
    // The layer files are allocated, so what can run out of room is the checkpoint store.
    let mut filler = vec![0_u8; 1 << 20];
    filler[0] = 1;
    let fill = |name: &str, bytes: &[u8]| std::fs::write(place.path("disk").join(name), bytes);
    let mut number = 0;
    while fill(&format!("filler-{number}"), &filler).is_ok() && number < 64 {
        number += 1;
    }
    let (outcome, _) = running.end();
    // It may have had all the room it needs; what must not happen is a crash or a wrong key.
    assert!(matches!(outcome.code, Some(0 | 4)), "{}", outcome.all());
    for number in 0..=number {
        let _ = std::fs::remove_file(place.path("disk").join(format!("filler-{number}")));
    }
    let public_key = place.run(&line).exits(0).line();
    let elsewhere = line.replace("disk/key", "key");
    assert_eq!(place.run(&elsewhere).exits(0).line(), public_key);
}
