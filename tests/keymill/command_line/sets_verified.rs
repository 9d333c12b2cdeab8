//! What verify-set finds.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{CWD, Mode, mkfifoat};

use super::fixtures::{TINY, changing_nothing, copy, edit, finished_key, flip_byte};
use super::program::Place;
use super::sets::{made, names};
use keymill_reference::Numbers;

/// Makes a set once, and gives a copy of it to each fault.
struct Sets {
    place: Place,
}

impl Sets {
    fn of_two() -> Self {
        let place = Place::new();
        made(&place, "sound", 2, "");
        place
            .run("verify-set sound")
            .exits(0)
            .prints(&["sound: 2 validators, 4 keys checked"]);
        Self { place }
    }

    /// Plants a fault, and fails unless it is found where it is.
    #[track_caller]
    fn finds(&self, plant: impl FnOnce(&dyn Fn(&str) -> std::path::PathBuf), fragments: &[&str]) {
        let place = &self.place;
        copy(&place.path("sound"), &place.path("set"));
        plant(&|name| place.path("set").join(name));
        let outcome = changing_nothing(place, || place.run("verify-set set"));
        outcome.exits(1).prints(&["wrong: "]).prints(fragments);
        let report = place.run("verify-set set --json").exits(1).json();
        assert_eq!(report["sound"], false);
        fs::remove_dir_all(place.path("set")).unwrap();
    }
}

#[test]
fn a_flipped_byte_of_any_file_is_found() {
    let sets = Sets::of_two();
    let mut numbers = Numbers(0x5e7);
    for name in names(&sets.place, "sound")
        .into_iter()
        .filter(|name| name.contains("_1_") || name.ends_with("yaml"))
    {
        let bytes = fs::metadata(sets.place.path("sound").join(&name)).unwrap().len();
        // Comments of the manifest say nothing.
        let first = if name.ends_with("yaml") { 70 } else { 0 };
        for _ in 0..4 {
            let at = first + numbers.below(bytes - first);
            sets.finds(|file| flip_byte(&file(&name), at), &[]);
        }
    }
}

/// Where each part of a secret key in SSZ begins, and one place within every layer.
#[test]
fn a_flipped_byte_anywhere_in_a_secret_key_is_found() {
    let sets = Sets::of_two();
    let name = "validator_0_attester_key_sk.ssz";
    let bytes = fs::metadata(sets.place.path("sound").join(name)).unwrap().len();
    let fixed = [0, 31, 32, 51, 52, 60, 68, 72, 80, 84, 88, 96, 104, 108];
    for at in fixed.into_iter().chain((120..bytes).step_by(61)) {
        let fragment = format!("set/{name}");
        sets.finds(|file| flip_byte(&file(name), at), &[&fragment]);
    }
}

#[test]
fn files_that_are_missing_swapped_foreign_or_cut_are_found() {
    let sets = Sets::of_two();
    for name in names(&sets.place, "sound")
        .into_iter()
        .filter(|name| name != ".keymill-set")
    {
        let found = format!("set/{name}: it is missing");
        sets.finds(|file| fs::remove_file(file(&name)).unwrap(), &[&found]);
    }
    for ending in ["pk.ssz", "sk.ssz", "pk.json", "sk.json"] {
        let [one, other] = ["0_proposer", "1_proposer"].map(|key| format!("validator_{key}_key_{ending}"));
        let swap = |file: &dyn Fn(&str) -> std::path::PathBuf| {
            fs::rename(file(&one), file("aside")).unwrap();
            fs::rename(file(&other), file(&one)).unwrap();
            fs::rename(file("aside"), file(&other)).unwrap();
        };
        sets.finds(swap, &[&format!("set/{one}"), &format!("set/{other}")]);
        let cut = |file: &dyn Fn(&str) -> std::path::PathBuf| {
            let bytes = fs::read(file(&one)).unwrap();
            fs::write(file(&one), &bytes[..bytes.len() - 1]).unwrap();
        };
        sets.finds(cut, &[&format!("set/{one}")]);
        let lengthen = |file: &dyn Fn(&str) -> std::path::PathBuf| {
            let bytes = fs::read(file(&one)).unwrap();
            fs::write(file(&one), [&bytes[..], b" "].concat()).unwrap();
        };
        sets.finds(lengthen, &[&format!("set/{one}")]);
    }
    for name in [
        "notes.txt",
        "validator_2_proposer_key_pk.ssz",
        "validator_0_proposer_key_pk.txt",
    ] {
        let found = format!("set/{name}: it belongs to no key");
        sets.finds(|file| fs::write(file(name), "").unwrap(), &[&found]);
    }
    // A name does not make a line of its own.
    let found = "set/a\\nsound: 2 validators: it belongs to no key";
    sets.finds(|file| fs::write(file("a\nsound: 2 validators"), "").unwrap(), &[found]);
}

#[test]
fn every_line_of_the_manifest_counts() {
    let sets = Sets::of_two();
    let manifest = "validator-keys-manifest.yaml";
    let text = fs::read_to_string(sets.place.path("sound").join(manifest)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let says_something = |line: &&str| !line.is_empty() && !line.starts_with('#');
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| says_something(line)) {
        let found = format!("set/{manifest}");
        let without: Vec<&str> = lines
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != number)
            .map(|(_, line)| *line)
            .collect();
        sets.finds(
            |file| fs::write(file(manifest), without.join("\n") + "\n").unwrap(),
            &[&found],
        );
        let twice = text.replacen(line, &format!("{line}\n{line}"), 1);
        sets.finds(|file| fs::write(file(manifest), &twice).unwrap(), &[&found]);
    }
    for (from, to) in [
        ("Lifetime8Dim46", "Lifetime8Dim64"),
        ("hash_function: Poseidon1", "hash_function: Poseidon2"),
        ("encoding: TargetSum", "encoding: Winternitz"),
        ("lifetime: 256", "lifetime: 512"),
        ("log_num_active_epochs: 8", "log_num_active_epochs: 7"),
        ("num_active_epochs: 256", "num_active_epochs: 255"),
        ("num_validators: 2", "num_validators: 3"),
        ("index: 1", "index: 0"),
        ("index: 1", "index: 01"),
        ("index: 1", "index:  1"),
        ("0_proposer_key_sk", "1_proposer_key_sk"),
        ("0_attester_key_sk.ssz", "0_attester_key_sk.ssz "),
        ("_hex: 0x", "_hex: \"0x"),
        ("_hex: 0x", "_hex: 0x0"),
        ("\n    attester_key_pubkey_hex", "\n\tattester_key_pubkey_hex"),
    ] {
        sets.finds(
            |file| edit(&file(manifest), from, to),
            &["set/validator-keys-manifest.yaml: line"],
        );
    }
}

#[test]
fn a_manifest_that_swaps_the_keys_of_a_validator_is_found() {
    let sets = Sets::of_two();
    let manifest = "validator-keys-manifest.yaml";
    let text = fs::read_to_string(sets.place.path("sound").join(manifest)).unwrap();
    let key_of = |field: &str| {
        let line = text.lines().find(|line| line.contains(field)).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    let (proposer, attester) = (key_of("proposer_key_pubkey_hex"), key_of("attester_key_pubkey_hex"));
    let swapped = text
        .replace(&proposer, "P")
        .replace(&attester, &proposer)
        .replace('P', &attester);
    let swapped = swapped.replace(&format!("{attester}oseidon"), "Poseidon");
    let found = ["proposer", "attester"].map(|role| format!("set/validator_0_{role}_key_sk.ssz: its public key"));
    sets.finds(
        |file| fs::write(file(manifest), &swapped).unwrap(),
        &[&found[0], &found[1]],
    );
    let doubled = text.replace(&attester, &proposer);
    sets.finds(
        |file| fs::write(file(manifest), &doubled).unwrap(),
        &["have the same public key"],
    );
}

#[test]
fn secrets_that_others_can_read_are_a_warning() {
    let place = Place::new();
    made(&place, "set", 1, "");
    let path = place.path("set/validator_0_proposer_key_sk.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = place.run("verify-set set").exits(0);
    outcome.prints(&[
        "warning: set/validator_0_proposer_key_sk.json: it can be read by others",
        "sound: ",
    ]);
}

#[test]
fn a_set_without_the_notes_of_keymill_is_verified_as_well() {
    let place = Place::new();
    for more in ["", "--export-format ssz", "--distributed", "--roles proposer"] {
        made(&place, "set", 2, more);
        fs::remove_dir_all(place.path("set/.keymill-set")).unwrap();
        place.run("verify-set set --threads 1").exits(0);
        fs::remove_dir_all(place.path("set")).unwrap();
    }
}

#[test]
fn a_set_that_is_not_finished_or_has_another_keys_directory_is_found() {
    let place = Place::new();
    made(&place, "set", 2, "--export-format ssz --keep-dirs");
    place.run("verify-set set").exits(0);
    fs::rename(place.path("set/validator_0_proposer_key"), place.path("aside")).unwrap();
    fs::rename(
        place.path("set/validator_1_proposer_key"),
        place.path("set/validator_0_proposer_key"),
    )
    .unwrap();
    place
        .run("verify-set set")
        .exits(1)
        .prints(&["set/validator_0_proposer_key: it is the directory of another key"]);
    fs::remove_dir_all(place.path("set/validator_0_proposer_key")).unwrap();
    fs::rename(
        place.path("aside"),
        place.path("set/.keymill-set/validator_2_proposer_key"),
    )
    .unwrap();
    place
        .run("verify-set set")
        .exits(1)
        .prints(&["it is a key that was not finished"]);
    fs::remove_dir_all(place.path("set/.keymill-set/validator_2_proposer_key")).unwrap();
    edit(
        &place.path("set/.keymill-set/set.toml"),
        "num_validators = 2",
        "num_validators = 3",
    );
    place.run("verify-set set").exits(1).prints(&["the set was to have 3"]);
}

#[test]
fn what_is_no_set_is_said_to_be_none() {
    let place = Place::new();
    place
        .run("verify-set nowhere")
        .exits(3)
        .says(&["there is no key set at 'nowhere'"]);
    place.file("file", "mine");
    place
        .run("verify-set file")
        .exits(3)
        .says(&["'file' is not a directory"]);
    fs::create_dir(place.path("empty")).unwrap();
    finished_key(&place, TINY);
    for (directory, found) in [
        (
            "empty",
            "is missing, and so is every file of a key: this is not the directory of a set",
        ),
        ("key", "is missing: this is the directory of one key, and not of a set"),
    ] {
        let fault = format!("validator-keys-manifest.yaml: it {found}\n");
        place.run(&format!("verify-set {directory}")).exits(1).prints(&[&fault]);
        let outcome = place.run(&format!("merge-sets {directory} --out merged")).exits(3);
        outcome.says(&[&format!("'{directory}/validator-keys-manifest.yaml' {found}")]);
    }
    place
        .run("merge-sets nowhere --out merged")
        .exits(3)
        .says(&["there is no key set at 'nowhere'"]);
}

#[test]
fn what_cannot_be_opened_hides_no_fault() {
    let place = Sets::of_two().place;
    let (first, last) = ("validator_0_proposer_key_pk.ssz", "validator_1_attester_key_sk.ssz");
    for (kind, code, found) in [
        (
            "FIFO",
            1,
            "wrong: set/validator_0_proposer_key_pk.ssz: it is a FIFO and not a regular file",
        ),
        (
            "link to nowhere",
            1,
            "wrong: set/validator_0_proposer_key_pk.ssz: it is missing",
        ),
        (
            "link to itself",
            4,
            "not read: set/validator_0_proposer_key_pk.ssz: open failed",
        ),
    ] {
        copy(&place.path("sound"), &place.path("set"));
        let file = place.path("set").join(first);
        fs::remove_file(&file).unwrap();
        match kind {
            "FIFO" => mkfifoat(CWD, &file, Mode::from_raw_mode(0o644)).unwrap(),
            "link to nowhere" => symlink("nowhere", &file).unwrap(),
            _ => symlink(first, &file).unwrap(),
        }
        flip_byte(&place.path("set").join(last), 100);
        let outcome = place.run("verify-set set").exits(code);
        outcome.prints(&[found, &format!("wrong: set/{last}")]);
        fs::remove_dir_all(place.path("set")).unwrap();
    }
}

#[test]
fn damaged_notes_of_keymill_are_one_fault_and_hide_no_other() {
    let place = Sets::of_two().place;
    let last = "validator_1_attester_key_sk.ssz";
    for (kind, found) in [
        ("cut", "wrong: set/.keymill-set/set.toml: it is damaged: "),
        (
            "not text",
            "wrong: set/.keymill-set/set.toml: it is damaged: it is not text",
        ),
        (
            "FIFO",
            "wrong: set/.keymill-set/set.toml: it is a FIFO and not a regular file",
        ),
        ("no directory", "wrong: set/.keymill-set: it is not a directory"),
    ] {
        copy(&place.path("sound"), &place.path("set"));
        let (work, record) = (place.path("set/.keymill-set"), place.path("set/.keymill-set/set.toml"));
        match kind {
            "cut" => edit(&record, "num_validators = 2", "num_validators ="),
            "not text" => fs::write(&record, [0xff]).unwrap(),
            "FIFO" => {
                fs::remove_file(&record).unwrap();
                mkfifoat(CWD, &record, Mode::from_raw_mode(0o600)).unwrap();
            }
            _ => {
                fs::remove_dir_all(&work).unwrap();
                fs::write(&work, "").unwrap();
            }
        }
        flip_byte(&place.path("set").join(last), 100);
        let outcome = changing_nothing(&place, || place.run("verify-set set")).exits(1);
        outcome.prints(&[
            found,
            &format!("wrong: set/{last}"),
            "2 faults: 2 validators, 4 keys checked",
        ]);
        fs::remove_dir_all(place.path("set")).unwrap();
    }
}
