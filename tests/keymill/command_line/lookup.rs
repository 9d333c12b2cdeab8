//! `tools/lookup.py`, which was written from docs/FORMAT.md alone, beside `keymill path`: what the page says is enough.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::{Command, Stdio};

use super::fixtures::{LONG, OTHER_TINY, TINY, edit_manifest, finished_key, flip_byte, unfinished_key};
use super::program::{Outcome, Place};
use crate::skip::skip;

const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/lookup.py");
const HEADER_BYTES: u64 = 4096;

/// Whether there is a Python that the tool can run with.
pub fn has_python() -> bool {
    let python = Command::new("python3")
        .args(["-c", "import tomllib"])
        .stderr(Stdio::null())
        .status();
    let found = python.is_ok_and(|status| status.success());
    if !found {
        skip("there is no python3 of version 3.11 or later");
    }
    found
}

/// Runs the tool. Whatever it meets, it says what is wrong in words of its own.
#[track_caller]
pub fn look_up(place: &Place, line: &str) -> Outcome {
    let mut command = Command::new("python3");
    command.arg("-I").arg(TOOL).args(line.split_whitespace());
    let output = command
        .current_dir(place.path("."))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let outcome = Outcome::new(&format!("(tools/lookup.py) {line}"), output);
    assert!(!outcome.stderr.contains("Traceback"), "{}", outcome.all());
    outcome
}

#[test]
fn lookup_prints_every_path_that_keymill_prints_for_digests_of_every_length() {
    if !has_python() {
        return;
    }
    // Scheme, epochs asked for, and the epochs that are stored. 16, 28 and 32 bytes, with fillers and without.
    for (scheme, asked, first, count) in [
        (TINY, "--epochs 256", 0, 256),
        (OTHER_TINY, "--epochs 20 --activation-epoch 100", 96, 32),
        (LONG, "--epochs 1000 --activation-epoch 5000", 4608, 1536),
        (
            "leanvm-blake2s-l32-ts-v42-w8",
            "--epochs 77 --activation-epoch 4999",
            4999,
            77,
        ),
        ("leanvm-blake2s-l32-ts-v42-w8-b0", "--epochs 9", 0, 9),
        (
            "hashsig-p2-l18-wots-v163-w2",
            "--epochs 1 --activation-epoch 262143",
            261_120,
            1024,
        ),
    ] {
        let place = Place::new();
        place.run(&format!("keygen key --scheme {scheme} {asked}")).exits(0);
        let range = format!("key --epoch {first} --count {count}");
        let right = place.run(&format!("path {range} --format json")).exits(0);
        let found = look_up(&place, &format!("{range} --json --check")).exits(0);
        assert!(found.stdout == right.stdout, "{scheme}: other paths");
        for outside in [format!("{}", first + count), format!("{first} --count {}", count + 1)] {
            let line = format!("key --epoch {outside} --json");
            look_up(&place, &line)
                .exits(2)
                .prints_nothing()
                .says(&["the key stores the epochs"]);
        }
    }
}

#[test]
fn lookup_prints_leaf_and_siblings_as_text() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    finished_key(&place, TINY);
    let path = place.run("path key --epoch 77").exits(0).json();
    let mut lines = format!("epoch 77\nleaf {}\n", path["leaf"].as_str().unwrap());
    for (level, sibling) in path["siblings"].as_array().unwrap().iter().enumerate() {
        let index = (77 >> level) ^ 1;
        lines += &format!("sibling ({level}, {index}) {}\n", sibling.as_str().unwrap());
    }
    assert_eq!(look_up(&place, "key --epoch 77").exits(0).text(), lines);
}

#[test]
fn lookup_says_what_a_trimmed_or_unfinished_key_does_not_have() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    finished_key(&place, TINY);
    place.run("trim key --level 3").exits(0);
    look_up(&place, "key --check").exits(0).prints_nothing();
    let said = ["manifest.toml", "levels 0 to 2 are not stored", "keymill path"];
    look_up(&place, "key --epoch 7").exits(3).prints_nothing().says(&said);

    let place = Place::new();
    unfinished_key(&place, "8192");
    look_up(&place, "key --epoch 7")
        .exits(3)
        .prints_nothing()
        .says(&["manifest.toml, offset", "not finished"]);
    look_up(&place, "key --check").exits(0).says(&["not finished"]);
}

/// A key with fillers at several levels; (9, 8) is one of them, in a layer file of four nodes.
fn key_with_fillers(place: &Place) {
    place
        .run(&format!(
            "keygen key --scheme {LONG} --epochs 1000 --activation-epoch 5000"
        ))
        .exits(0);
    for level in 0..=18 {
        let file = place.path(&format!("key/layers/{level:02}.nodes"));
        fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn lookup_finds_damage_by_file_and_offset() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    key_with_fillers(&place);
    let root = HEADER_BYTES;
    // A byte that is flipped, and what is said of it. The highest byte of an element is made larger than the prime has it.
    let cases = [
        ("manifest.toml", 0, "manifest.toml, offset 0: the first line"),
        ("manifest.toml", 300, "the checksum is not that"),
        ("ledger.mark", 40, "ledger.mark, offset 0:"),
        ("layers/00.nodes", 0, "00.nodes, offset 0: magic"),
        ("layers/00.nodes", 9, "offset 8: layer format"),
        ("layers/03.nodes", 12, "03.nodes, offset 12: level"),
        ("layers/03.nodes", 31, "offset 16: key id"),
        ("layers/03.nodes", 32, "offset 32: index of the first node"),
        ("layers/03.nodes", 40, "offset 40: number of nodes"),
        ("layers/03.nodes", 48, "offset 48: bytes of a digest"),
        ("layers/18.nodes", 55, "offset 52: CRC-32"),
        ("layers/18.nodes", 4095, "offset 56: zeros"),
        (
            "layers/00.nodes",
            HEADER_BYTES + 1000 * 28 + 7,
            "offset 32100: node (0, 5608) has an element",
        ),
        (
            "layers/09.nodes",
            HEADER_BYTES,
            "09.nodes, offset 4096: node (9, 8) is not the filler",
        ),
        (
            "layers/18.nodes",
            root,
            "18.nodes, offset 4096: node (18, 0) is not the root",
        ),
    ];
    for (file, offset, said) in cases {
        let path = place.path("key").join(file);
        let sound = fs::read(&path).unwrap();
        if file == "layers/00.nodes" && offset > HEADER_BYTES {
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.write_all_at(&[0xff], offset).unwrap();
        } else {
            flip_byte(&path, offset);
        }
        let code = if file == "manifest.toml" { 3 } else { 1 };
        look_up(&place, "key --check --epoch 5608")
            .exits(code)
            .prints_nothing()
            .says(&[said]);
        if file != "ledger.mark" {
            look_up(&place, "key --epoch 5000").exits(if said.contains("5608") { 0 } else { 3 });
        }
        fs::write(&path, sound).unwrap();
    }
    look_up(&place, "key --check").exits(0);
}

#[test]
fn lookup_refuses_files_that_are_missing_cut_or_of_another_key() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    key_with_fillers(&place);
    let layer = place.path("key/layers/07.nodes");
    let sound = fs::read(&layer).unwrap();
    let refused = |said: &str| {
        look_up(&place, "key --check").exits(1).says(&["07.nodes", said]);
        look_up(&place, "key --epoch 5000")
            .exits(3)
            .prints_nothing()
            .says(&["07.nodes", said]);
    };
    for length in [0, 100, 4096, sound.len() - 1] {
        fs::write(&layer, &sound[..length]).unwrap();
        refused(&format!("offset {length}: the file has {length} bytes"));
    }
    fs::write(&layer, [&sound[..], b"x"].concat()).unwrap();
    refused(&format!("offset {}: the file has", sound.len()));
    fs::remove_file(&layer).unwrap();
    refused("No such file");
    fs::create_dir(&layer).unwrap();
    refused("not a regular file");
    fs::remove_dir(&layer).unwrap();
    fs::copy(place.path("key/layers/08.nodes"), &layer).unwrap();
    refused("offset");
    fs::write(&layer, sound).unwrap();
    place
        .run(&format!(
            "keygen other --scheme {LONG} --epochs 1000 --activation-epoch 5000"
        ))
        .exits(0);
    fs::copy(place.path("other/manifest.toml"), place.path("key/manifest.toml")).unwrap();
    look_up(&place, "key --epoch 5000")
        .exits(3)
        .prints_nothing()
        .says(&["00.nodes, offset 16: key id"]);
}

#[test]
fn lookup_refuses_a_manifest_whose_fields_do_not_follow_from_each_other_behind_a_checksum_that_fits() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    key_with_fillers(&place);
    let path = place.path("key/manifest.toml");
    let sound = fs::read_to_string(&path).unwrap();
    let nested = "[".repeat(20_000);
    let cases = [
        ("format_version = 3", "format_version = 4", "version 4 is not known"),
        (
            "format_version = 3",
            "format_version = 2",
            "fingerprint is not of format version 2",
        ),
        (
            "fingerprint = \"",
            "fingerprint = \"0",
            "fingerprint should be 64 hex digits",
        ),
        ("format_version = 3", "format_version = 0", "still being created"),
        ("format_version = 3", "format_version = -2", "first line"),
        ("key_id = \"", "key_id = \"0", "key_id should be 32 hex digits"),
        (
            "activation_epoch = 5000",
            "activation_epoch = 5001",
            "key_id does not follow",
        ),
        (
            "activation_epoch = 5000",
            "activation_epoch = -1",
            "activation_epoch is -1",
        ),
        (
            "activation_epoch = 5000",
            "activation_epoch = \"5000\"",
            "activation_epoch should be an integer",
        ),
        (
            "activation_epoch = 5000",
            "activation_epoch = 9223372036854775807",
            "activation_epoch is 9",
        ),
        (
            "active_epochs = 1000",
            "active_epochs = true",
            "active_epochs should be an integer",
        ),
        (
            "active_epochs = 1000",
            "active_epochs = 1e3",
            "active_epochs should be an integer",
        ),
        ("active_epochs = 1000", "active_epochs = 0", "active_epochs is 0"),
        ("stored_start = 4608", "stored_start = 4096", "stored_start is not 4608"),
        (
            "scheme = \"leansig-p2-l18",
            "scheme = \"leansig-p2-l99",
            "scheme is not the identifier",
        ),
        ("scheme = \"leansig", "scheme = \"hashsig", "key_id does not follow"),
        (
            "parameter = \"",
            "parameter = 7 # ",
            "parameter should be 40 hex digits",
        ),
        (
            "secret_commitment = \"",
            "secret_commitment = [] # ",
            "secret_commitment should be",
        ),
        ("origin = \"fresh\"", "origin = \"found\"", "origin is not one"),
        ("trim = 0", "trim = 11", "trim is 11"),
        ("state = \"sealed\"", "state = \"open\"", "state is neither"),
        ("root = \"", "root = \"ffffffff", "root should be"),
        (
            "trim = 0",
            "trim = 0\nexpected_root = \"00\"",
            "expected_root is of a key that is not sealed",
        ),
        (
            "state = \"sealed\"",
            "state = \"generating\"",
            "root is of a key that is not generating",
        ),
        ("fillers = [", "fillers = [1, ", "fillers are 10, and should be 9"),
        ("fillers = [\"", "fillers = [7, \"", "fillers are 10"),
        ("fillers = ", "fillers = {} # ", "fillers should be an array"),
        ("trim = 0", "trim = 0\nlevels = 3", "levels is not known"),
        ("trim = 0", "", "trim is missing"),
        ("trim = 0", "trim = ", "not TOML"),
        ("trim = 0", &format!("trim = {nested}"), "not TOML"),
        ("trim = 0", &format!("trim = {}", "9".repeat(30_000)), "not TOML"),
        ("trim = 0", "trim = 0\ntrim = 0", "not TOML"),
    ];
    for (from, to, said) in cases {
        edit_manifest(&place, "key", from, to);
        look_up(&place, "key --check --epoch 5000")
            .exits(3)
            .prints_nothing()
            .says(&["manifest.toml", said]);
        fs::write(&path, &sound).unwrap();
    }
}

#[test]
fn lookup_answers_hostile_files_and_arguments_in_words() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    finished_key(&place, TINY);
    for line in [
        "",
        "key",
        "key --epoch",
        "key --epoch -1",
        "key --epoch 1.5",
        "key --epoch 0x1",
        "key --epoch 99999999999",
        "key --epoch 9999999999",
        "key --epoch 1 --count 0",
        "key --epoch 1 --count 9999999999",
        "key --epo 1",
        "key --epoch \u{661}",
    ] {
        look_up(&place, line).exits(2).prints_nothing();
    }
    look_up(&place, "nowhere --epoch 1")
        .exits(3)
        .says(&["nowhere/manifest.toml", "No such file"]);
    look_up(&place, "seed --epoch 1").exits(3).says(&["seed/manifest.toml"]);
    let manifest = place.path("key/manifest.toml");
    let huge = [&b"format_version = 2\n"[..], &vec![b'#'; 3 << 20]].concat();
    for content in [
        &huge[..],
        b"",
        b"\n",
        b"format_version = 2\n",
        b"format_version = 2\nchecksum = ",
        &[0xff; 60],
    ] {
        fs::write(&manifest, content).unwrap();
        look_up(&place, "key --epoch 1")
            .exits(3)
            .prints_nothing()
            .says(&["manifest.toml, offset"]);
    }
    fs::remove_file(&manifest).unwrap();
    // Reading it would wait for ever.
    let made = Command::new("mkfifo").arg(&manifest).status();
    assert!(made.unwrap().success());
    look_up(&place, "key --epoch 1").exits(3).says(&["not a regular file"]);
    fs::remove_file(&manifest).unwrap();
    std::os::unix::fs::symlink("manifest.toml", &manifest).unwrap();
    look_up(&place, "key --epoch 1").exits(3).says(&["manifest.toml"]);
}
