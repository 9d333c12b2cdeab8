//! `tools/lookup.py` and keys with adopted parts: the paths are those of the ordinary key, from a directory and from a server.

use std::fs;
use std::path::{Path, PathBuf};

use sha3::{Digest, Sha3_256};

use super::fixtures::{LONG, SEED, TINY, flip_byte};
use super::lookup::{has_python, look_up};
use super::lookup_served::nginx;
use super::program::Place;

const LEANVM: &str = "leanvm-blake2s-l32-ts-v42-w8";
/// Three parts: [4999, 6144), [6144, 8192) and [8192, 9999).
const ASKED: &str = "--epochs 5000 --activation-epoch 4999";
/// Where the first page of a part has the binding, and the checksum of all before it.
const BINDING: usize = 16;
const CRC_32: usize = 80;

/// A key in `key` that adopted its parts.
fn adopted_key(place: &Place, scheme: &str, asked: &str, parts: u64) {
    place.file("seed", SEED);
    place
        .run(&format!(
            "split key --scheme {scheme} {asked} --seed-file seed --parts {parts}"
        ))
        .exits(0);
    for index in 0..parts {
        let line = "--secret-file key/secret --work scratch --out parts --threads 1";
        place
            .run(&format!("part key/ticket.toml --index {index} {line}"))
            .exits(0);
    }
    place.run("join key parts --adopt").exits(0);
}

/// The ordinary key of the same secret, in `whole`.
fn whole_key(place: &Place, scheme: &str, asked: &str) {
    place.file("seed", SEED);
    place
        .run(&format!("keygen whole --scheme {scheme} {asked} --seed-file seed"))
        .exits(0);
}

fn key_id(place: &Place) -> String {
    let text = fs::read_to_string(place.path("key/manifest.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    manifest["key_id"].as_str().unwrap().to_owned()
}

/// Where the part of these epochs is, or would be, of a key that is not trimmed.
fn adopted_part(place: &Place, start: u64, end: u64) -> PathBuf {
    let name = format!("{}-{start}-{end}-t0.part", key_id(place));
    place.path("key/layers/parts-t0").join(name)
}

/// Puts another file in the place of one, which may not be writable.
fn put(path: &Path, content: &[u8]) {
    if path.exists() {
        fs::remove_file(path).unwrap();
    }
    fs::write(path, content).unwrap();
}

/// Where a part has a node, as the tool says of the part alone.
fn place_of_node(place: &Place, part: &Path, level: u64, index: u64) -> u64 {
    let line = format!("key --part {} --json", part.display());
    let told = look_up(place, &line).exits(0).json();
    let levels = told["levels"].as_array().unwrap();
    let of_level = levels
        .iter()
        .find(|entry| entry["level"].as_u64() == Some(level))
        .unwrap();
    let number = |name: &str| of_level[name].as_u64().unwrap();
    number("offset") + (index - number("first")) * told["digest_bytes"].as_u64().unwrap()
}

#[test]
fn lookup_prints_the_same_paths_of_a_key_with_adopted_parts_as_keymill_of_the_ordinary_one() {
    if !has_python() {
        return;
    }
    // Scheme, epochs asked for, parts, the epochs that are stored, and the lowest level that has a layer file.
    for (scheme, asked, parts, first, count, lowest) in [
        (LEANVM, ASKED, 3, 4999, 5000, 10),
        (LEANVM, "--epochs 77 --activation-epoch 4999", 1, 4999, 77, 10),
        (LONG, "--epochs 1000 --activation-epoch 5000", 2, 4608, 1536, 10),
        (TINY, "--epochs 256", 1, 0, 256, 8),
    ] {
        let place = Place::new();
        whole_key(&place, scheme, asked);
        adopted_key(&place, scheme, asked, parts);
        for level in 0..=lowest {
            let is_there = place.path(&format!("key/layers/{level:02}.nodes")).exists();
            assert_eq!(is_there, level == lowest, "{scheme} {asked}: level {level}");
        }
        let epochs = format!("--epoch {first} --count {count}");
        let right = place.run(&format!("path whole {epochs} --format json")).exits(0);
        let found = look_up(&place, &format!("key {epochs} --json --check")).exits(0);
        let found = found.says(&["no damage found", "only a holder of the secret can check"]);
        assert!(found.stdout == right.stdout, "{scheme} {asked}: other paths");
    }
}

#[test]
fn lookup_checks_the_adopted_parts_of_a_trimmed_key_and_ignores_those_of_another_trim() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    adopted_key(&place, LEANVM, &format!("{ASKED} --trim 4"), 3);
    let lowest = ["layers/parts-t4", "layers/10.nodes", "layers/04.nodes"];
    let is_there = lowest.map(|name| place.path("key").join(name).exists());
    assert_eq!(is_there, [true, true, false]);
    look_up(&place, "key --check").exits(0).says(&["only a holder"]);
    look_up(&place, "key --epoch 7000")
        .exits(3)
        .prints_nothing()
        .says(&["levels 0 to 3 are not stored"]);
    let name = format!("key/layers/parts-t4/{}-6144-8192-t4.part", key_id(&place));
    let part = place.path(&name);
    let node = place_of_node(&place, &part, 4, 6144 >> 4);
    flip_byte(&part, node);
    look_up(&place, "key --check")
        .exits(1)
        .says(&[&name, "of level 4 do not have the CRC-32"]);

    let place = Place::new();
    whole_key(&place, TINY, "--epochs 256");
    fs::create_dir(place.path("whole/layers/parts-t3")).unwrap();
    look_up(&place, "whole --epoch 7 --check").exits(0);
}

#[test]
fn lookup_names_adopted_parts_that_are_missing_twice_there_or_not_what_they_should_be() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    adopted_key(&place, LEANVM, ASKED, 3);
    let part = adopted_part(&place, 6144, 8192);
    let sound = fs::read(&part).unwrap();
    let refused = |said: &[&str]| {
        look_up(&place, "key --epoch 7000").exits(3).prints_nothing().says(said);
        look_up(&place, "key --check").exits(1).prints_nothing().says(said);
        // The other parts are not concerned.
        look_up(&place, "key --epoch 6143").exits(0);
        look_up(&place, "key --epoch 8192").exits(0);
    };
    fs::remove_file(&part).unwrap();
    refused(&["layers/parts-t0: no part there has the epochs [6144, 8192)"]);
    let name = part.file_name().unwrap().to_str().unwrap();
    put(&part, &fs::read(adopted_part(&place, 4999, 6144)).unwrap());
    refused(&[name, "offset 48: the epochs are [4999, 6144), and the name says others"]);
    for length in [0, 100, 4096, sound.len() - 1] {
        put(&part, &sound[..length]);
        refused(&[name, &format!("the file has {length} bytes")]);
    }
    let mut changed = sound.clone();
    changed[BINDING] ^= 1;
    put(&part, &changed);
    refused(&[name, "offset 80: CRC-32"]);
    let checksum = crc32fast::hash(&changed[..CRC_32]);
    changed[CRC_32..CRC_32 + 4].copy_from_slice(&checksum.to_le_bytes());
    put(&part, &changed);
    refused(&[name, "offset 16: it is a part of the key"]);

    put(&part, &sound);
    let more = adopted_part(&place, 6144, 9216);
    put(&more, &sound);
    look_up(&place, "key --epoch 7000")
        .exits(3)
        .prints_nothing()
        .says(&[name, "both have the epochs [6144, 8192)"]);
    look_up(&place, "key --check")
        .exits(1)
        .says(&[name, "both have the epochs [6144, 8192)"]);
    fs::remove_file(more).unwrap();

    // Files that have no name of a part of this key are nobody's concern.
    for other in [
        "notes.txt".to_owned(),
        name.replace("-t0", "-t1"),
        name.replace("-6144", "-06144"),
        name.replace(&key_id(&place), &"0".repeat(32)),
    ] {
        put(&part.with_file_name(other), &sound[..5000]);
    }
    look_up(&place, "key --epoch 7000 --check").exits(0);
    fs::remove_dir_all(place.path("key/layers/parts-t0")).unwrap();
    look_up(&place, "key --epoch 7000")
        .exits(3)
        .says(&["layers/00.nodes: No such file"]);
    fs::write(place.path("key/layers/parts-t0"), "").unwrap();
    look_up(&place, "key --epoch 7000")
        .exits(3)
        .says(&["layers/parts-t0: Not a directory"]);
}

#[test]
fn lookup_finds_a_node_of_an_adopted_part_that_was_changed() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    adopted_key(&place, LEANVM, ASKED, 3);
    let part = adopted_part(&place, 6144, 8192);
    let name = part.file_name().unwrap().to_str().unwrap();
    let sound = fs::read(&part).unwrap();
    for level in [0, 9] {
        let node = place_of_node(&place, &part, level, (7000 >> level) ^ 1);
        flip_byte(&part, node);
        look_up(&place, "key --epoch 7000")
            .exits(3)
            .prints_nothing()
            .says(&[name, "the path of epoch 7000 does not lead to the root"]);
        let said = format!("of level {level} do not have the CRC-32");
        look_up(&place, "key --check")
            .exits(1)
            .prints_nothing()
            .says(&[name, &said]);
        put(&part, &sound);
    }
    look_up(&place, "key --epoch 7000 --check").exits(0);
}

/// Changes the ticket of the key, with a checksum that fits.
fn change_ticket(place: &Place, from: &str, to: &str) {
    let path = place.path("key/ticket.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    let end = text.rfind("checksum = ").unwrap();
    let body = text[..end].replacen(from, to, 1);
    let checksum = hex::encode(Sha3_256::digest(&body));
    put(&path, format!("{body}checksum = \"{checksum}\"\n").as_bytes());
}

#[test]
fn lookup_reads_adopted_parts_from_a_server_whose_ticket_gives_their_names() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    adopted_key(&place, LEANVM, ASKED, 3);
    whole_key(&place, LEANVM, ASKED);
    fs::copy(place.path("key/ticket.toml"), place.path("whole/ticket.toml")).unwrap();
    let Some(server) = nginx(&place) else {
        return;
    };
    let url = format!("--url http://127.0.0.1:{}", server.port);
    let requests = |of: &str| {
        let log = fs::read_to_string(place.path("nginx/access.log")).unwrap();
        log.lines().filter(|line| line.contains(of)).count()
    };
    // The second range goes from one part to the next.
    for epochs in ["4999", "6142 --count 4", "9998"] {
        let right = look_up(&place, &format!("whole --epoch {epochs} --json")).exits(0);
        let served = look_up(&place, &format!("{url}/key --epoch {epochs} --json")).exits(0);
        let served = served.says(&["verified: each of these paths leads to the root"]);
        assert_eq!(served.text(), right.text(), "{epochs}");
    }
    assert_eq!(requests("/key/ticket.toml"), 3);
    assert_eq!(requests("/key/layers/00.nodes"), 3);
    look_up(&place, &format!("{url}/whole --epoch 7000")).exits(0);
    assert_eq!(
        (requests("/whole/ticket.toml"), requests("/whole/layers/parts-")),
        (0, 0)
    );
    look_up(&place, &format!("{url}/key --check"))
        .exits(0)
        .says(&["only a holder of the secret can check"]);

    let line = format!("{url}/key --epoch 7000");
    let refused = |said: &[&str]| {
        look_up(&place, &line).exits(3).prints_nothing().says(said);
    };
    let ticket = fs::read(place.path("key/ticket.toml")).unwrap();
    for (from, to, said) in [
        ("parts = 3", "parts = 0", "ticket.toml, offset"),
        ("parts = 3", "parts = 7", "parts is 7, and should be from 0 to 6"),
        ("parts = 3", "part_epochs = 1000", "a power of two from 1024 on"),
        ("trim = 0", "trim = 1", "trim is not that of the manifest"),
        // What the key was joined from cannot be known from this one.
        (
            "parts = 3",
            "part_epochs = 4096",
            "-4999-8192-t0.part: the server has no such file (404), and no layers/00.nodes either",
        ),
    ] {
        change_ticket(&place, from, to);
        refused(&[said]);
        put(&place.path("key/ticket.toml"), &ticket);
    }
    // Another division that has this part too.
    change_ticket(&place, "parts = 3", "part_epochs = 2048");
    look_up(&place, &line).exits(0);
    fs::remove_file(place.path("key/ticket.toml")).unwrap();
    refused(&[
        "layers/00.nodes: the server has no such file (404)",
        "ticket.toml is needed",
    ]);
    put(&place.path("key/ticket.toml"), &ticket);
    let part = adopted_part(&place, 6144, 8192);
    let sound = fs::read(&part).unwrap();
    put(&part, &sound[..sound.len() - 1]);
    refused(&["http://127.0.0.1", "-6144-8192-t0.part, offset 72: the file has"]);
    put(&part, &sound);
    flip_byte(&part, place_of_node(&place, &part, 0, 7001));
    refused(&["-6144-8192-t0.part", "does not lead to the root"]);
}
