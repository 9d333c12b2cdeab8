//! kill -9 at random moments, then the same command again: in the end the same bytes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::layers_on_disk::layer_files;
use crate::support::Numbers;

/// 16 batches of an l18 key: about half a second of work on two cores, in groups of one batch.
fn keygen(directory: &Path, seed_file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keymill"));
    command
        .args([
            "keygen",
            "--scheme",
            "leansig-p2-l18-top-v64-w8",
            "--epochs",
            "2^14",
            "--progress",
            "none",
        ])
        .arg(directory)
        .arg("--seed-file")
        .arg(seed_file)
        .env("KEYMILL_GROUP_BATCHES", "1")
        .env("HOME", directory.parent().unwrap())
        .env_remove("XDG_CONFIG_HOME")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn a_job_killed_at_any_moment_ends_with_the_bytes_of_one_that_was_not() {
    const KEYS: u64 = 4;
    const KILLS: u64 = 10;
    let parent = tempfile::tempdir().unwrap();
    let seed_file = parent.path().join("seed");
    std::fs::write(&seed_file, [0x4b; 32]).unwrap();
    let whole = parent.path().join("whole");
    let finished = keygen(&whole, &seed_file).output().unwrap();
    assert!(finished.status.success(), "{finished:?}");
    let expected = layer_files(&whole);

    for seed in 0..KEYS {
        let mut numbers = Numbers(seed);
        let directory = parent.path().join(format!("killed-{seed}"));
        let mut killed = 0;
        for _ in 0..KILLS {
            let mut child = keygen(&directory, &seed_file).spawn().unwrap();
            // The first milliseconds hold the creation of the directory, the rest a few batches.
            let longest_us = if numbers.below(2) == 0 { 30_000 } else { 160_000 };
            std::thread::sleep(Duration::from_micros(numbers.below(longest_us)));
            child.kill().unwrap();
            let status = child.wait().unwrap();
            killed += u64::from(status.code().is_none());
        }
        assert!(
            killed > KILLS / 2,
            "seed {seed}: only {killed} of {KILLS} kills met a running job"
        );
        let resumed = keygen(&directory, &seed_file).output().unwrap();
        assert!(resumed.status.success(), "seed {seed}: {resumed:?}");
        assert_eq!(resumed.stdout, finished.stdout, "seed {seed}");
        assert!(
            layer_files(&directory) == expected,
            "seed {seed}: the layer files differ"
        );
        let check = Command::new(env!("CARGO_BIN_EXE_keymill"))
            .arg("check")
            .arg(&directory)
            .output()
            .unwrap();
        assert!(check.status.success(), "seed {seed}: {check:?}");
    }
}
