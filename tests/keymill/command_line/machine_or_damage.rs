//! A machine that fails is not a damaged key, and a damaged key not a machine that fails, whatever the directories are called.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fixtures::{MESSAGE, TINY, finished_key, flip_byte};
use super::program::{Outcome, Place};
use crate::skip::skip;

/// Words of RocksDB, of the system, and of ours.
const PHRASES: [&str; 14] = [
    "Is a directory",
    "No such file or directory",
    "No space left on device",
    "File too large",
    "Too many open files",
    "Input/output error",
    "Corruption: block checksum mismatch",
    "IO error: ",
    "NotFound: ",
    "Invalid argument: ",
    "incompatible with filesystem",
    "Direct I/O is not supported",
    "it is missing",
    "Not a directory",
];

/// A finished key in a directory of this name.
struct NamedKey {
    place: Place,
    key: PathBuf,
}

impl NamedKey {
    fn new(name: &str) -> Self {
        let place = Place::in_memory();
        finished_key(&place, TINY);
        // In both places in which a path can have a name.
        let parent = place.path(&name.replace('/', "|"));
        fs::create_dir(&parent).unwrap();
        let key = parent.join(name.replace('/', "|"));
        fs::rename(place.path("key"), &key).unwrap();
        Self { place, key }
    }

    fn run(&self, line: &str) -> Outcome {
        let output = self.place.command(line).arg(&self.key).output();
        Outcome::new(line, output.unwrap())
    }

    /// Under another program, if that is there.
    fn run_under(&self, outer: Command, line: &str) -> Option<Outcome> {
        let output = self.place.under(outer, line).arg(&self.key).output().ok()?;
        Some(Outcome::new(line, output))
    }

    /// Neither a store nor layer files were moved aside.
    #[track_caller]
    fn nothing_was_moved(&self, all: &str) {
        let names = fs::read_dir(&self.key).unwrap();
        let names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(!names.iter().any(|name| name.contains("damaged")), "{names:?}\n{all}");
    }
}

fn sign() -> String {
    format!("sign --epoch 3 --message {MESSAGE}")
}

fn list_of_files(key: &Path) -> PathBuf {
    let files = fs::read_dir(key.join("state")).unwrap();
    let mut lists: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    lists.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("MANIFEST-"));
    lists.pop().unwrap()
}

#[test]
fn a_sound_key_is_one_and_real_damage_is_found_and_mended_whatever_its_directory_is_called() {
    for phrase in PHRASES {
        let key = NamedKey::new(phrase);
        key.run("check").exits(0);
        key.run("repair").exits(0).prints(&["nothing to repair"]);
        key.run(&sign()).exits(0);
        key.nothing_was_moved(phrase);
        flip_byte(&list_of_files(&key.key), 20);
        let report = key.run("check --json").exits(1).json();
        assert_eq!(
            report["damage"][0]["remedy"][0]["action"], "repair",
            "{phrase}: {report}"
        );
        key.run(&sign()).exits(3).says(&["damaged", "keymill repair"]);
        let report = key.run("repair --json").exits(0).json();
        assert!(report["store_replaced"]["moved_to"].is_string(), "{phrase}: {report}");
        // What its ledger knew is lost with the store.
        key.run("check").exits(1).says(&["keymill ledger init"]);
        key.run("ledger init --first-epoch 100").exits(0);
        key.run("check").exits(0);
    }
}

/// Runs commands under prlimit with each of these limits; they end with 4, or do what they do without.
fn limited(key: &NamedKey, limit: &str, values: std::ops::Range<usize>, step: usize) -> Option<usize> {
    let mut failed = 0;
    for value in values.step_by(step) {
        for line in ["repair", "check", "status", &sign()] {
            let mut prlimit = Command::new("prlimit");
            prlimit.arg(format!("--{limit}={value}"));
            let outcome = key.run_under(prlimit, line)?;
            // Too few descriptors to start the program is not a failure of the program.
            let is_started = !outcome.stderr.contains("error while loading shared libraries");
            assert!(
                !is_started || matches!(outcome.code, Some(0 | 4)),
                "{limit} {value}: {}",
                outcome.all()
            );
            key.nothing_was_moved(&outcome.all());
            failed += usize::from(outcome.code == Some(4));
        }
    }
    key.run("check").exits(0);
    key.run(&sign()).exits(0);
    Some(failed)
}

#[test]
fn a_limit_on_file_sizes_or_open_files_damages_no_key_and_moves_nothing_aside() {
    for phrase in ["Is a directory", "incompatible with filesystem", "a name"] {
        let key = NamedKey::new(phrase);
        let sizes = limited(&key, "fsize", 0..3000, 233);
        let files = limited(&key, "nofile", 4..40, 1);
        let (Some(sizes), Some(files)) = (sizes, files) else {
            return skip("prlimit is not installed (Debian: util-linux)");
        };
        assert!(sizes > 3 && files > 10, "{sizes} and {files}");
    }
}

#[test]
fn a_working_directory_that_was_deleted_damages_no_key_and_moves_nothing_aside() {
    let place = Place::new();
    finished_key(&place, TINY);
    for line in ["repair", "check", "status", &sign(), "ledger show"] {
        let script = "mkdir gone && cd gone && rmdir ../gone && exec \"$@\" ../key";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]);
        let outcome = place.run_under(shell, &[], line).unwrap();
        assert!(matches!(outcome.code, Some(0 | 4)), "{}", outcome.all());
        assert!(!place.path("key/state.damaged").exists(), "{}", outcome.all());
    }
    place.run("check key").exits(0);
}
