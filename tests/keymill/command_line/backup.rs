//! Backup and restore as a person uses them.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::process::Signal;

use super::fixtures::{
    LONG, MESSAGE, PARAMETER, SEED, TINY, changing_nothing, finished_key, flip_byte, stop_after_first_batch,
};
use super::program::{Outcome, Place};

/// Fails unless manifest, secret and layer files of two keys are the same, byte for byte.
#[track_caller]
fn same_key(place: &Place, first: &str, second: &str) {
    let mut names = vec!["manifest.toml".to_owned(), "secret".to_owned()];
    for directory in [first, second] {
        let layers = fs::read_dir(place.path(directory).join("layers")).unwrap();
        names.extend(layers.map(|entry| format!("layers/{}", entry.unwrap().file_name().display())));
    }
    for name in names {
        let [first, second] = [first, second].map(|directory| fs::read(place.path(directory).join(&name)).ok());
        assert!(first.is_some() && first == second, "{name} differs");
    }
}

fn sign(place: &Place, directory: &str, epoch: u32) -> Outcome {
    place.run(&format!("sign {directory} --epoch {epoch} --message {MESSAGE}"))
}

#[test]
fn a_key_is_made_again_from_what_backup_printed() {
    for asked in [
        format!("--scheme {TINY}"),
        format!("--scheme {TINY} --epochs 20 --activation-epoch 100 --seed-file seed"),
        format!("--scheme {TINY} --trim 5 --prf-key-file seed --parameter {PARAMETER}"),
        format!("--scheme {LONG} --epochs 1000 --activation-epoch 5000"),
    ] {
        let place = Place::new();
        place.file("seed", SEED);
        let public_key = place.run(&format!("keygen key {asked}")).exits(0).line();
        let text = place.run("backup key").exits(0);
        place.run("backup key --out text").exits(0).prints_nothing();
        assert_eq!(fs::read(place.path("text")).unwrap(), text.stdout, "{asked}");
        let restored = place
            .run("restore again --from text")
            .exits(0)
            .says(&["ledger init again"])
            .line();
        assert_eq!(restored, public_key, "{asked}");
        same_key(&place, "key", "again");
        let json = place.run("restore again --from text --json").exits(0).json();
        assert_eq!(
            (&json["public_key"], &json["was_sealed"]),
            (&public_key.into(), &true.into())
        );
    }
}

#[test]
fn a_restored_key_signs_nothing_before_its_ledger_is_imported_and_begun() {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
    sign(&place, "key", 7).exits(0);
    place.run("ledger export key --out ledger").exits(0);
    place.run("backup key --out text").exits(0);
    place.run("restore again --from text").exits(0);
    for epoch in [7, 8] {
        sign(&place, "again", epoch)
            .exits(3)
            .prints_nothing()
            .says(&["ledger init", "ledger import"]);
    }
    place.run("check again").exits(0);
    place.run("ledger import again ledger").exits(0);
    sign(&place, "again", 8).exits(3).prints_nothing();
    // Epoch 7 is listed, and stays spent.
    place.run("ledger init again --first-epoch 7").exits(0);
    sign(&place, "again", 8).exits(0);
    sign(&place, "again", 7).exits(0);
    let other = "1".repeat(64);
    place
        .run(&format!("sign again --epoch 7 --message {other}"))
        .exits(1)
        .prints_nothing();
    place.run("check again").exits(0);
}

/// As in a copy that has served paths, while the original went on signing.
#[test]
fn a_secret_that_is_put_back_signs_nothing_before_a_beginning() {
    let place = Place::new();
    finished_key(&place, TINY);
    place.run("backup key --out text").exits(0);
    place.run("export key --format leansig-ssz --out key.ssz").exits(0);
    place.run("ledger init key --first-epoch 0").exits(0);
    place
        .run(&format!("import imported --from key.ssz --scheme {TINY}"))
        .exits(0);
    place.run("ledger init imported --first-epoch 0").exits(0);
    for (directory, again) in [
        ("key", "restore key --from text".to_owned()),
        ("imported", format!("import imported --from key.ssz --scheme {TINY}")),
    ] {
        sign(&place, directory, 7).exits(0);
        fs::remove_file(place.path(directory).join("secret")).unwrap();
        sign(&place, directory, 7).exits(3);
        place.run(&again).exits(0).says(&["ledger init"]);
        sign(&place, directory, 8)
            .exits(3)
            .says(&["ledger init"])
            .prints_nothing();
        // What the ledger knows it still knows.
        sign(&place, directory, 7).exits(0);
        place.run(&format!("ledger init {directory} --first-epoch 7")).exits(3);
        place.run(&format!("ledger init {directory} --first-epoch 8")).exits(0);
        sign(&place, directory, 8).exits(0);
        place.run(&format!("check {directory}")).exits(0);
        // Once more it is there, and nothing is forgotten; but the file may have signed meanwhile, unlike the backup.
        let repeated = place.run(&again).exits(0);
        if directory == "imported" {
            repeated.says(&["ledger init imported", "ledger import"]);
            sign(&place, directory, 9).exits(3).prints_nothing();
            place.run("ledger init imported --first-epoch 8").exits(0);
        }
        sign(&place, directory, 9).exits(0);
    }
}

#[test]
fn a_backup_needs_the_manifest_and_the_secret_and_nothing_else() {
    let place = Place::new();
    finished_key(&place, TINY);
    let text = place.run("backup key").exits(0).stdout;
    fs::remove_dir_all(place.path("key/layers")).unwrap();
    fs::remove_dir_all(place.path("key/state")).unwrap();
    fs::remove_file(place.path("key/ledger.mark")).unwrap();
    let again = changing_nothing(&place, || place.run("backup key").exits(0).stdout);
    assert_eq!(text, again);
    let [manifest, secret] =
        ["key/manifest.toml", "key/secret"].map(|name| (name, fs::read(place.path(name)).unwrap()));
    for (name, content) in [manifest, secret] {
        flip_byte(&place.path(name), 60);
        fs::set_permissions(place.path(name), Permissions::from_mode(0o600)).unwrap();
        place
            .run("backup key")
            .exits(3)
            .prints_nothing()
            .says(&[name, "damaged"]);
        fs::remove_file(place.path(name)).unwrap();
        place.run("backup key").exits(3).prints_nothing();
        fs::write(place.path(name), content).unwrap();
        fs::set_permissions(place.path(name), Permissions::from_mode(0o600)).unwrap();
    }
    assert_eq!(place.run("backup key").exits(0).stdout, text);
}

#[test]
fn a_file_with_a_backup_is_for_its_owner_and_replaces_nothing_unasked() {
    let place = Place::new();
    finished_key(&place, TINY);
    place.run("backup key --out text").exits(0);
    assert_eq!(
        fs::metadata(place.path("text")).unwrap().permissions().mode() & 0o777,
        0o600
    );
    place.file("text", "something else");
    fs::set_permissions(place.path("text"), Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink("text", place.path("link")).unwrap();
    changing_nothing(&place, || {
        place.run("backup key --out text").exits(2).says(&["text", "--force"]);
        place
            .run("backup key --out link --force")
            .exits(2)
            .says(&["link", "not a regular file"]);
        place.run("backup key --out /dev/null --force").exits(2);
        place.run("backup key --out key/text").exits(2).says(&["key directory"]);
        place.run("backup key --force").exits(2);
    });
    place.run("backup key --out text --force").exits(0);
    assert_eq!(
        fs::metadata(place.path("text")).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(fs::read(place.path("text")).unwrap(), place.run("backup key").stdout);
}

#[test]
fn a_text_that_was_typed_wrong_is_refused_by_row_and_line_before_anything_is_written() {
    let place = Place::new();
    finished_key(&place, TINY);
    let text = place.run("backup key").exits(0).text().to_owned();
    let digits = hex::encode(SEED);
    let typed = text.replacen("a7a7 a7a7", "a7a7 a7a", 1);
    assert!(typed != text);
    place.file("typed", &typed);
    let said = place.run("restore again --from typed").exits(2).prints_nothing();
    let said = said.says(&[
        "row 13, line 7 (seed)",
        "39 digits",
        "should have 40",
        "1 too few",
        "look at group",
    ]);
    assert!(!said.stderr.contains("a7a7") && !said.stderr.contains(&digits));
    assert!(!place.path("again").exists());
    for (content, part) in [
        (&b""[..], "line 1 (version): it is missing"),
        (b"\xff\xfe", "byte 0 is not UTF-8"),
        (&[b' '; 200_000], "larger than 131072 bytes"),
        (&text.as_bytes()[..text.len() / 2], "line "),
    ] {
        place.file("typed", content);
        place
            .run("restore again --from typed")
            .exits(2)
            .prints_nothing()
            .says(&[part]);
    }
    place.run("restore again --from nowhere").exits(2).says(&["nowhere"]);
    assert!(!place.path("again").exists());
    // As it may come through a pipe.
    let mut command = place.command("restore again --from -");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let messy = text.to_uppercase().replace('\n', "\r\n").replace(' ', "  ");
    child.stdin.take().unwrap().write_all(messy.as_bytes()).unwrap();
    Outcome::new("restore again --from -", child.wait_with_output().unwrap()).exits(0);
    same_key(&place, "key", "again");
}

#[test]
fn a_directory_with_something_else_in_it_is_refused() {
    let place = Place::new();
    finished_key(&place, TINY);
    place.run("backup key --out text").exits(0);
    place.run(&format!("keygen other --scheme {TINY}")).exits(0);
    fs::create_dir(place.path("foreign")).unwrap();
    place.file("foreign/notes", "mine");
    changing_nothing(&place, || {
        let key_id = place.status("key").unwrap()["key_id"].as_str().unwrap().to_owned();
        let other_id = place.status("other").unwrap()["key_id"].as_str().unwrap().to_owned();
        place
            .run("restore other --from text")
            .exits(3)
            .says(&["other", &key_id, &other_id]);
        place
            .run("restore foreign --from text")
            .exits(3)
            .says(&["foreign/notes"]);
        place
            .run("restore text --from text")
            .exits(3)
            .says(&["not a directory"]);
    });
}

#[test]
fn a_restore_that_is_killed_is_finished_by_itself_or_by_keygen() {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {LONG} --epochs 4096")).exits(0);
    place.run("backup key --out text").exits(0);
    for (directory, signal, next) in [
        ("first", Signal::KILL, "restore first --from text"),
        ("second", Signal::TERM, "keygen second"),
    ] {
        let line = format!("restore {directory} --from text --threads 1");
        stop_after_first_batch(&place, directory, &line, signal);
        place.run(next).exits(0);
        same_key(&place, "key", directory);
        sign(&place, directory, 9).exits(3).prints_nothing();
    }
}
