//! Keys that do not store their lowest levels, from the beginning or since a trim.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::fixtures::{
    LONG, MESSAGE, SEED, TINY, changes, changing_nothing, finished_key, flip_byte, snapshot, unfinished_key,
};
use super::program::Place;
use crate::layers_on_disk::layer_files;

const HEADER_BYTES: u64 = 4096;

/// A key of 256 epochs that stores its levels from `trim` on, in the directory `name`, from the usual seed.
fn trimmed_key(place: &Place, name: &str, trim: u8) -> String {
    place.file("seed", SEED);
    let line = format!("keygen {name} --scheme {TINY} --epochs 256 --trim {trim} --seed-file seed");
    place.run(&line).exits(0).line()
}

/// All paths of a key.
fn paths(place: &Place, name: &str) -> String {
    let line = format!("path {name} --epoch 0 --count 256");
    place.run(&line).exits(0).text().to_owned()
}

fn names(directory: &Path) -> Vec<String> {
    layer_files(directory).into_keys().collect()
}

#[test]
fn keygen_writes_what_plan_says_of_a_trimmed_key_and_status_names_the_trim() {
    let place = Place::new();
    let public_key = trimmed_key(&place, "key", 3);
    assert_eq!(trimmed_key(&place, "whole", 0), public_key);
    let (kept, whole) = (layer_files(&place.path("key")), layer_files(&place.path("whole")));
    assert_eq!(kept.keys().next().map(String::as_str), Some("03.nodes"));
    assert_eq!(kept.len(), 6);
    assert!(kept.iter().all(|(name, bytes)| whole[name] == *bytes));
    assert_eq!(paths(&place, "key"), paths(&place, "whole"));
    let plan = format!("plan --scheme {TINY} --epochs 256 --trim 3");
    let figures = place.run(&format!("{plan} --json")).exits(0).json();
    let total: usize = kept.values().map(Vec::len).sum();
    assert_eq!((&figures["trim"], &figures["layer_bytes"]), (&3.into(), &total.into()));
    for level in figures["levels"].as_array().unwrap() {
        let name = format!("{:02}.nodes", level["level"].as_u64().unwrap());
        assert_eq!(level["file_bytes"], kept.get(&name).map_or(0, Vec::len), "{level}");
    }
    let said = "3, levels 0 to 2 are not stored; a path computes 8 leaves";
    place.run(&plan).exits(0).prints(&["6 files", said]);
    place.run("status key").exits(0).prints(&[said]);
    place.run("status whole").exits(0).prints(&["0, every level is stored"]);
    assert_eq!(place.status("key").unwrap()["trim"], 3);
    place.run("check key --deep").exits(0).prints(&["clean"]);
    place.run("repair key").exits(0).prints(&["nothing to repair"]);
    place.run("migrate key").exits(0).prints(&["nothing to do"]);
    assert_eq!(place.run("public-key key").exits(0).line(), public_key);
}

#[test]
fn a_trim_that_contradicts_the_directory_is_refused_and_one_that_does_not_is_nothing_new() {
    let place = Place::new();
    let public_key = trimmed_key(&place, "key", 2);
    changing_nothing(&place, || {
        let said = [
            "the request asks for the trim 0",
            "but the key of 'key/manifest.toml' has the trim 2",
            "--trim",
        ];
        place.run("keygen key --trim 0").exits(3).says(&said);
        place.run("keygen key --trim 9").exits(2).says(&["at most 8"]);
        for line in ["keygen key --trim 2", "keygen key"] {
            let again = place.run(line).exits(0).says(&["already finished"]);
            assert_eq!(again.line(), public_key);
        }
        // A setting is for new keys.
        place.run_with(&[("KEYMILL_TRIM", "5")], "keygen key").exits(0);
    });
}

#[test]
fn the_trim_of_a_new_key_can_be_a_setting() {
    let place = Place::new();
    place.file("seed", SEED);
    place.file("some.toml", "trim = 7");
    let line = format!("keygen key --scheme {TINY} --seed-file seed --config some.toml");
    place.run(&line).exits(0);
    assert_eq!(names(&place.path("key")), ["07.nodes", "08.nodes"]);
    let plan = format!("plan --scheme {TINY} --config some.toml --json");
    assert_eq!(place.run(&plan).exits(0).json()["trim"], 7);
    let wrong = place.run_with(&[("KEYMILL_TRIM", "many")], &format!("plan --scheme {TINY}"));
    wrong.exits(2).says(&["KEYMILL_TRIM", "'many'", "0 to 10"]);
}

#[test]
fn a_finished_key_is_trimmed_says_what_was_compared_and_keeps_its_paths_and_signatures() {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    let sign = format!("sign key --epoch 77 --message {MESSAGE}");
    let (before, signature) = (paths(&place, "key"), place.run(&sign).exits(0).line());
    let layers = layer_files(&place.path("key"));
    let said = [
        "[0, 8), [128, 136), [248, 256)",
        "3 layer files",
        "02.nodes",
        "trimmed to level 3",
    ];
    place.run("trim key --level 3").exits(0).prints(&said);
    let kept = layer_files(&place.path("key"));
    assert_eq!(kept.len(), 6);
    assert!(kept.iter().all(|(name, bytes)| layers[name] == *bytes));
    assert_eq!(paths(&place, "key"), before);
    assert_eq!(place.run(&sign).exits(0).line(), signature);
    let verify = format!("verify --scheme {TINY} --public-key {public_key} --epoch 78 --message {MESSAGE} --signature");
    let other = format!("sign key --epoch 78 --message {MESSAGE}");
    let other = place.run(&other).exits(0).line();
    place.run(&format!("{verify} {other}")).exits(0).prints(&["valid"]);
    place.run("check key").exits(0).prints(&["clean"]);
    let again = place.run("trim key --level 3").exits(0);
    again.prints(&["was trimmed to level 3 already"]);
    place.run("trim key --level 8").exits(0).prints(&["trimmed to level 8"]);
    assert_eq!(names(&place.path("key")), ["08.nodes"]);
    assert_eq!(paths(&place, "key"), before);
}

#[test]
fn a_trim_that_cannot_be_is_refused_with_what_can_be_done() {
    let place = Place::new();
    trimmed_key(&place, "key", 4);
    changing_nothing(&place, || {
        let lower = place.run("trim key --level 3").exits(3).prints_nothing();
        lower.says(&[
            "is trimmed to level 4",
            "manifest.toml from before the trim: put it back and run 'keymill repair key', which keeps the ledger",
            "'keymill ledger export key --out FILE' and never sign with this directory again",
            "in another directory with 'keymill keygen --trim 3' and the same secret",
            "'keymill ledger import' and 'keymill ledger init'",
        ]);
        place.run("trim key --level 9").exits(2).says(&["9", "at most 8", TINY]);
        place.run("trim key --level x").exits(2).says(&["--level", "0 to 10"]);
        place.run("trim key").exits(2).says(&["--level"]);
    });
    let place = Place::new();
    unfinished_key(&place, "2^14");
    changing_nothing(&place, || {
        let refused = place.run("trim key --level 3").exits(3).prints_nothing();
        refused.says(&["is not finished", "keymill keygen"]);
    });
}

#[test]
fn without_its_secret_a_key_is_not_trimmed_and_a_trimmed_one_says_what_it_needs() {
    let place = Place::new();
    trimmed_key(&place, "whole", 0);
    trimmed_key(&place, "key", 5);
    for name in ["whole", "key"] {
        fs::rename(
            place.path(&format!("{name}/secret")),
            place.path(&format!("{name}-secret")),
        )
        .unwrap();
    }
    let before = snapshot(&place.path("whole"));
    let refused = place.run("trim whole --level 2").exits(3).prints_nothing();
    refused.says(&["needs its secret", "nothing was trimmed", "'whole/secret' is missing"]);
    let changed = changes(&before, &snapshot(&place.path("whole")));
    assert_eq!(changed, [place.path("whole/LOCK")]);
    place.run("path whole --epoch 3").exits(0);
    let needs = ["'key' is trimmed", "below 5 are not stored", "'key/secret' is missing"];
    changing_nothing(&place, || {
        place.run("path key --epoch 3").exits(3).prints_nothing().says(&needs);
        place.run("check key").exits(1).prints(&["'key/secret' is missing"]);
        place.run("public-key key").exits(0);
        place.run("status key").exits(0);
    });
    let sign = format!("sign key --epoch 3 --message {MESSAGE}");
    place.run(&sign).exits(3).prints_nothing().says(&needs);
    fs::copy(place.path("key-secret"), place.path("key/secret")).unwrap();
    place.run("path key --epoch 3").exits(0);
    fs::set_permissions(place.path("key/secret"), fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = ["can be read by others", "644"];
    place.run("path key --epoch 3").exits(3).prints_nothing().says(&exposed);
}

#[test]
fn a_damaged_node_above_the_trim_is_never_served_and_is_repaired() {
    let place = Place::new();
    place.file("seed", SEED);
    let line = format!("keygen key --scheme {LONG} --epochs 3000 --trim 6 --seed-file seed");
    place.run(&line).exits(0);
    let (layers, path) = (layer_files(&place.path("key")), "path key --epoch 1500");
    let truth = place.run(path).exits(0).line();
    // The last epoch below node 21; the next one's path has node 23 in it.
    let last = place.run("path key --epoch 1407 --count 1").exits(0).text().to_owned();
    // Node 23 of level 6 has the epochs from 1472 on.
    flip_byte(&place.path("key/layers/06.nodes"), HEADER_BYTES + 23 * 28 + 5);
    let said = [
        "node 23 of level 6",
        "[1472, 1536)",
        "layers/06.nodes",
        "'keymill repair key'",
    ];
    place.run(path).exits(3).prints_nothing().says(&said);
    // Whatever is printed before the damage is right.
    let streamed = place.run("path key --epoch 1407 --count 100").exits(3);
    assert_eq!(streamed.text(), last, "{}", streamed.all());
    place.run("trim key --level 6").exits(0);
    let sign = format!("sign key --epoch 1500 --message {MESSAGE}");
    place.run("ledger init key --first-epoch 0").exits(0);
    place.run(&sign).exits(3).prints_nothing().says(&said);
    for deep in ["", " --deep"] {
        let found = place.run(&format!("check key{deep}")).exits(1);
        found.prints(&["06.nodes, level 6, batch 1"]);
    }
    place.run("repair key").exits(0).prints(&["computed again: batches 1"]);
    assert!(layer_files(&place.path("key")) == layers);
    assert_eq!(place.run(path).exits(0).line(), truth);
    place.run(&sign).exits(0);
}

#[test]
fn layer_files_left_over_are_named_and_removed_by_the_next_trim() {
    let place = Place::new();
    trimmed_key(&place, "whole", 0);
    trimmed_key(&place, "key", 4);
    let before = paths(&place, "key");
    for name in ["01.nodes", "02.nodes"] {
        let from = place.path(&format!("whole/layers/{name}"));
        fs::copy(from, place.path(&format!("key/layers/{name}"))).unwrap();
    }
    assert_eq!(paths(&place, "key"), before);
    let check = place.run("check key").exits(0).prints(&["clean"]);
    check.says(&["2 layer files are left over", "'key/layers/01.nodes'", "keymill trim"]);
    let report = place.run("check key --json").exits(0).json();
    assert_eq!(report["left_over"].as_array().unwrap().len(), 2, "{report}");
    place.run("repair key").exits(0).prints(&["nothing to repair"]);
    let again = place.run("trim key --level 4").exits(0);
    again.prints(&["deleted: 2 layer files", "trimmed to level 4 already"]);
    assert_eq!(names(&place.path("key")).len(), 5);
    assert_eq!(paths(&place, "key"), before);
    let report = place.run("check key --json").exits(0).json();
    assert!(report["left_over"].as_array().unwrap().is_empty(), "{report}");
}
