//! Keys that were damaged as disks and people damage them: found, never served, and repaired to the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use keymill::{AuthenticationPath, Epoch, PathReader};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::fixtures::{
    LONG, MESSAGE, SEED, SMALL_GROUPS, TINY, edit, finished_key, flip_byte, seed, snapshot, unfinished_key,
};
use super::program::Place;
use crate::layers_on_disk::layer_files;

const HEADER_BYTES: usize = 4096;
const DIGEST_BYTES: usize = 28;
const EPOCHS: u32 = 3072;

/// A key of three batches in `key`, and what is true of it.
struct Damaged {
    place: Place,
    layers: BTreeMap<String, Vec<u8>>,
    paths: Vec<AuthenticationPath>,
}

impl Damaged {
    fn new() -> Self {
        let place = Place::new();
        place.file("seed", SEED);
        let line = format!("keygen key --scheme {LONG} --epochs 3000 --seed-file seed");
        place.run(&line).exits(0);
        let reader = PathReader::open(&place.path("key")).unwrap();
        let paths = (0..EPOCHS).map(|epoch| reader.path(Epoch(epoch)).unwrap()).collect();
        let layers = layer_files(&place.path("key"));
        Self { place, layers, paths }
    }

    fn edit(&self, level: u8, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.place.path(&layer(level));
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// `check` finds damage, in exactly these levels and batches.
    #[track_caller]
    fn shows(&self, places: &[(Value, Value)]) {
        let report = self.place.run("check key --json").exits(1).json();
        let damage = report["damage"].as_array().unwrap().iter();
        let found: Vec<_> = damage
            .map(|damage| (damage["level"].clone(), damage["batch"].clone()))
            .collect();
        assert_eq!(found, places, "{report}");
        self.place.run("check key").exits(1).says(&["'keymill repair key'"]);
    }

    /// Whatever paths are given are the true ones, and whatever is signed verifies.
    #[track_caller]
    fn serves_nothing_wrong(&self) {
        if let Ok(reader) = PathReader::open(&self.place.path("key")) {
            for (epoch, truth) in self.paths.iter().enumerate() {
                if let Ok(path) = reader.path(Epoch(epoch as u32)) {
                    assert_eq!(path, *truth);
                }
            }
        }
        let path = self.place.run("path key --epoch 1500");
        assert!(
            path.code == Some(0) || path.code == Some(3) && path.stdout.is_empty(),
            "{}",
            path.all()
        );
    }

    /// `repair` says that it computed exactly these batches, and leaves the key as it was made.
    #[track_caller]
    fn is_repaired(&self, batches: &[u64]) -> Value {
        let report = self.place.run("repair key --json").exits(0).json();
        assert_eq!(report["repaired"], true);
        assert_eq!(report["batches_recomputed"], json!(batches), "{report}");
        let layers = layer_files(&self.place.path("key"));
        for (name, content) in &self.layers {
            assert!(layers[name] == *content, "{name} differs after {report}");
        }
        self.place.run("check key").exits(0).prints(&["clean: 3 batches"]);
        self.place.run("repair key").exits(0).prints(&["nothing to repair"]);
        report
    }
}

fn layer(level: u8) -> String {
    format!("key/layers/{level:02}.nodes")
}

/// The bytes of a run of nodes in a layer file.
fn nodes(range: std::ops::Range<usize>) -> std::ops::Range<usize> {
    HEADER_BYTES + range.start * DIGEST_BYTES..HEADER_BYTES + range.end * DIGEST_BYTES
}

#[test]
fn a_zeroed_page_costs_the_batches_that_it_touches() {
    let key = Damaged::new();
    // Of level 1, batch 1 begins in the middle of the page.
    assert!((16384..20480).contains(&nodes(512..513).start));
    key.edit(1, |bytes| bytes[16384..20480].fill(0));
    key.shows(&[(json!(1), json!(0)), (json!(1), json!(1))]);
    key.serves_nothing_wrong();
    key.is_repaired(&[0, 1]);
}

#[test]
fn a_file_that_was_truncated_costs_what_was_cut_off() {
    let key = Damaged::new();
    key.edit(1, |bytes| bytes.truncate(nodes(0..1100).end));
    key.shows(&[(json!(1), json!(null))]);
    key.serves_nothing_wrong();
    let report = key.is_repaired(&[2]);
    assert_eq!(report["files_restored"][0]["file"], layer(1));
    assert_eq!(report["files_restored"][0]["level"], 1);
}

#[test]
fn a_file_that_has_grown_is_cut_and_nothing_is_computed() {
    let key = Damaged::new();
    key.edit(1, |bytes| bytes.extend([7; 5000]));
    key.shows(&[(json!(1), json!(null))]);
    key.serves_nothing_wrong();
    key.is_repaired(&[]);
}

#[test]
fn the_files_of_two_levels_that_were_swapped_are_both_named() {
    let key = Damaged::new();
    fs::rename(key.place.path(&layer(0)), key.place.path("other")).unwrap();
    fs::rename(key.place.path(&layer(1)), key.place.path(&layer(0))).unwrap();
    fs::rename(key.place.path("other"), key.place.path(&layer(1))).unwrap();
    key.shows(&[(json!(0), json!(null)), (json!(1), json!(null))]);
    key.serves_nothing_wrong();
    key.is_repaired(&[0, 1, 2]);
}

#[test]
fn two_batches_that_were_swapped_within_a_file_are_both_named() {
    for level in [0, 4] {
        let key = Damaged::new();
        let batch = 1024 >> level;
        key.edit(level, |bytes| {
            let first = bytes[nodes(0..batch)].to_vec();
            bytes.copy_within(nodes(2 * batch..3 * batch), HEADER_BYTES);
            bytes[nodes(2 * batch..3 * batch)].copy_from_slice(&first);
        });
        key.shows(&[(json!(level), json!(0)), (json!(level), json!(2))]);
        key.serves_nothing_wrong();
        key.is_repaired(&[0, 2]);
    }
}

#[test]
fn a_file_of_another_key_of_the_same_scheme_is_named() {
    let key = Damaged::new();
    key.place.file("seed", seed(0x11));
    let line = format!("keygen other --scheme {LONG} --epochs 3000 --seed-file seed");
    key.place.run(&line).exits(0);
    fs::copy(key.place.path("other/layers/05.nodes"), key.place.path(&layer(5))).unwrap();
    key.shows(&[(json!(5), json!(null))]);
    key.serves_nothing_wrong();
    key.is_repaired(&[0, 1, 2]);
    // Also if its header is made to look right.
    let foreign = fs::read(key.place.path("other/layers/05.nodes")).unwrap();
    key.edit(5, |bytes| {
        bytes[HEADER_BYTES..].copy_from_slice(&foreign[HEADER_BYTES..]);
    });
    key.shows(&[0, 1, 2].map(|batch| (json!(5), json!(batch))));
    key.serves_nothing_wrong();
    key.is_repaired(&[0, 1, 2]);
}

#[test]
fn a_missing_file_or_all_of_them_are_made_again() {
    let key = Damaged::new();
    fs::remove_file(key.place.path(&layer(7))).unwrap();
    key.shows(&[(json!(7), json!(null))]);
    key.serves_nothing_wrong();
    key.is_repaired(&[0, 1, 2]);
    // Above the batches there is nothing to compute from the secret.
    fs::remove_file(key.place.path(&layer(14))).unwrap();
    key.shows(&[(json!(14), json!(null))]);
    key.serves_nothing_wrong();
    let report = key.is_repaired(&[]);
    assert_eq!(report["crown_rewritten"][0]["level"], 14);
    fs::remove_dir_all(key.place.path("key/layers")).unwrap();
    key.is_repaired(&[0, 1, 2]);
}

#[test]
fn a_missing_store_is_made_again_without_a_ledger_and_says_so() {
    for damage_too in [false, true] {
        let key = Damaged::new();
        fs::remove_dir_all(key.place.path("key/state")).unwrap();
        key.shows(&[(json!(null), json!(null))]);
        if damage_too {
            flip_byte(&key.place.path(&layer(3)), nodes(200..201).start as u64);
        }
        key.serves_nothing_wrong();
        let outcome = key.place.run("repair key --json").exits(0);
        let outcome = outcome.says(&["warning: ", "ledger import", "ledger init key --first-epoch N"]);
        let report = outcome.json();
        let recomputed = if damage_too { json!([1]) } else { json!([]) };
        assert_eq!(report["batches_recomputed"], recomputed);
        assert_eq!(report["batch_records_renewed"], if damage_too { 2 } else { 3 });
        assert_eq!(report["store_replaced"]["moved_to"], json!(null));
        assert!(layer_files(&key.place.path("key")) == key.layers);
        key.place.run("check key --deep").exits(0);
    }
}

#[test]
fn a_store_of_another_key_is_named_and_repaired_only_when_it_is_out_of_the_way() {
    let key = Damaged::new();
    let line = format!("keygen other --scheme {LONG} --epochs 3000");
    key.place.run(&line).exits(0);
    fs::rename(key.place.path("key/state"), key.place.path("own")).unwrap();
    fs::rename(key.place.path("other/state"), key.place.path("key/state")).unwrap();
    let report = key.place.run("check key --json").exits(1).json();
    let actions: Vec<_> = report["damage"][0]["remedy"].as_array().unwrap().iter().collect();
    let actions: Vec<_> = actions.iter().map(|remedy| remedy["action"].clone()).collect();
    assert_eq!(actions, ["put-back", "move-away"], "{report}");
    key.serves_nothing_wrong();
    let before = layer_files(&key.place.path("key"));
    let message = ["'key/state'", "another key", "move 'key/state' away"];
    key.place.run("repair key").exits(3).prints_nothing().says(&message);
    assert!(layer_files(&key.place.path("key")) == before);
    fs::remove_dir_all(key.place.path("key/state")).unwrap();
    key.place.run("repair key").exits(0);
    key.place.run("check key").exits(0);
}

#[test]
fn what_was_repaired_is_said_in_words() {
    let key = Damaged::new();
    flip_byte(&key.place.path(&layer(0)), nodes(2000..2001).start as u64);
    flip_byte(&key.place.path(&layer(16)), HEADER_BYTES as u64);
    fs::remove_file(key.place.path(&layer(18))).unwrap();
    let said = [
        "restored: key/layers/18.nodes, level 18: it was missing",
        "computed again: batches 1\n",
        "written again: key/layers/16.nodes, level 16: 1 node above",
        "\nrepaired\n",
    ];
    key.place.run("repair key").exits(0).prints(&said);
    let layers = key.place.path("key/layers");
    let files = fs::read_dir(layers).unwrap();
    for file in files {
        let mode = file.unwrap().metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o400);
    }
}

#[test]
fn nothing_is_repaired_without_a_manifest_or_with_another_secret() {
    let place = Place::new();
    finished_key(&place, TINY);
    flip_byte(&place.path(&layer(0)), 5000);
    let before = snapshot(&place.path("key/layers"));
    let manifest = fs::read_to_string(place.path("key/manifest.toml")).unwrap();
    edit(&place.path("key/manifest.toml"), "trim = 0", "trim = 1");
    let message = [
        "'key/manifest.toml' is damaged",
        "put a copy of 'key/manifest.toml' back",
    ];
    place.run("repair key").exits(3).prints_nothing().says(&message);
    place.file("key/manifest.toml", manifest);
    let secret = fs::read_to_string(place.path("key/secret")).unwrap();
    edit(&place.path("key/secret"), "a7a7", "a7a8");
    let message = ["'key/secret'", "does not belong to this key"];
    place.run("repair key").exits(3).prints_nothing().says(&message);
    fs::remove_file(place.path("key/secret")).unwrap();
    place
        .run("repair key")
        .exits(3)
        .prints_nothing()
        .says(&["'key/secret'", "missing"]);
    assert!(snapshot(&place.path("key/layers")) == before);
    place.file("key/secret", secret);
    fs::set_permissions(place.path("key/secret"), fs::Permissions::from_mode(0o600)).unwrap();
    place.run("repair key").exits(0);
    place.run(&format!("sign key --epoch 0 --message {MESSAGE}")).exits(0);
}

#[test]
fn a_repair_beside_a_keygen_is_refused_by_the_name_of_its_process() {
    let place = Place::new();
    let line = format!("keygen key --scheme {LONG} --epochs 2^18 --threads 1");
    let mut keygen = place.start(&SMALL_GROUPS, &line);
    place.wait_for_batches("key", 1);
    let holder = format!("process {}", keygen.id());
    place
        .run("repair key")
        .exits(3)
        .prints_nothing()
        .says(&["'key/LOCK'", &holder]);
    assert!(keygen.is_running());
}

#[test]
fn an_unfinished_key_is_left_to_keygen_but_for_what_was_done() {
    let place = Place::new();
    unfinished_key(&place, "2^13");
    let done = place.status("key").unwrap()["batches_done"].as_u64().unwrap();
    place
        .run("repair key")
        .exits(0)
        .prints(&["left for 'keymill keygen'", "nothing to repair"]);
    fs::write(place.path("key/state/CURRENT"), "").unwrap();
    place
        .run("keygen key")
        .exits(3)
        .says(&["'key/state' is damaged", "'keymill repair key'"]);
    let report = place.run("repair key --json").exits(0).json();
    assert_eq!(report["batches_left"], 8, "{done} were done");
    assert_eq!(report["store_replaced"]["moved_to"], "key/state.damaged");
    place.run("keygen key").exits(0);
    place.run("check key --deep").exits(0).prints(&["clean"]);
}

#[test]
fn a_repair_is_stopped_by_a_signal_and_finished_by_the_next() {
    let place = Place::in_memory();
    place.file("seed", SEED);
    let line = format!("keygen key --scheme {LONG} --epochs 2^15 --seed-file seed");
    place.run(&line).exits(0);
    let truth = layer_files(&place.path("key"));
    fs::remove_file(place.path(&layer(0))).unwrap();
    let environment = [("KEYMILL_GROUP_BATCHES", "1"), ("KEYMILL_THREADS", "1")];
    let mut repair = place.start(&environment, "repair key");
    // Batches are written as soon as the file is there.
    let zeros = vec![0; DIGEST_BYTES];
    let begun = std::time::Instant::now();
    while fs::read(place.path(&layer(0))).map_or(true, |bytes| bytes.get(nodes(0..1)).is_none_or(|n| n == zeros)) {
        assert!(begun.elapsed().as_secs() < 30);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    repair.signal(Signal::TERM);
    let (outcome, took) = repair.end();
    outcome.exits(130).prints_nothing().says(&["interrupted", "again"]);
    assert!(took.as_secs() < 2, "{took:?}");
    place.run("check key").exits(1);
    place.run("repair key").exits(0);
    assert!(layer_files(&place.path("key")) == truth);
    place.run("check key").exits(0);
}

#[test]
fn a_key_of_a_lifetime_of_2_to_the_32_is_repaired_in_every_level() {
    let place = Place::new();
    place
        .run("keygen key --scheme leansig-p2-l32-top-v64-w8 --epochs 1")
        .exits(0);
    let whole = layer_files(&place.path("key"));
    place.run("repair key").exits(0).prints(&["nothing to repair"]);
    for level in [0, 10, 12, 16, 17, 20, 31, 32] {
        flip_byte(&place.path(&format!("key/layers/{level:02}.nodes")), 4096 + 5);
    }
    place.run("check key").exits(1);
    place.run("repair key").exits(0).prints(&["repaired"]);
    assert!(layer_files(&place.path("key")) == whole);
    fs::remove_dir_all(place.path("key/layers")).unwrap();
    fs::remove_dir_all(place.path("key/state")).unwrap();
    place.run("repair key").exits(0).prints(&["repaired"]);
    assert!(layer_files(&place.path("key")) == whole);
    place.run("check key").exits(0);
}
