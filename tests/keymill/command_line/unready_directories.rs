//! Questions to what is not a key, or not yet one, and for epochs that it does not have.

use super::fixtures::{LONG, MESSAGE, TINY, changing_nothing, finished_key, snapshot, unfinished_key};
use super::program::Place;

/// Every command that asks something of `key`.
fn questions() -> Vec<String> {
    let sign = format!("sign key --epoch 0 --message {MESSAGE}");
    let more = [
        "path key --epoch 0",
        "public-key key",
        "ledger init key --first-epoch 0",
        "ledger show key",
        "ledger export key",
        "check key",
        "status key",
        "migrate key",
        "migrate key --dry-run",
        "trim key --level 1",
    ];
    std::iter::once(sign).chain(more.map(str::to_owned)).collect()
}

#[test]
fn a_directory_that_is_not_there_is_named_and_keygen_is_recommended() {
    let place = Place::new();
    changing_nothing(&place, || {
        for line in questions() {
            let message = ["no key directory at 'key'", "keymill keygen"];
            place.run(&line).exits(3).prints_nothing().says(&message);
        }
    });
}

#[test]
fn an_empty_directory_is_no_key_directory() {
    let place = Place::new();
    std::fs::create_dir(place.path("key")).unwrap();
    changing_nothing(&place, || {
        for line in questions() {
            let message = ["'key' is not a key directory", "manifest.toml"];
            place.run(&line).exits(3).prints_nothing().says(&message);
        }
    });
}

#[test]
fn a_file_is_no_key_directory() {
    let place = Place::new();
    place.file("key", "something");
    changing_nothing(&place, || {
        for line in questions() {
            place
                .run(&line)
                .exits(3)
                .prints_nothing()
                .says(&["'key' is not a directory"]);
        }
    });
}

#[test]
fn a_link_that_leads_nowhere_is_called_that_by_every_command() {
    let place = Place::new();
    std::os::unix::fs::symlink("disk/key", place.path("key")).unwrap();
    let making = [
        format!("keygen key --scheme {TINY}"),
        format!("generate --scheme {TINY} --num-validators 1 --log-num-active-epochs 8 --output-dir key"),
        "verify-set key".to_owned(),
        "merge-sets key key --out new".to_owned(),
        "repair key".to_owned(),
        "backup key".to_owned(),
        "export key --format leansig-ssz".to_owned(),
        "report key".to_owned(),
    ];
    changing_nothing(&place, || {
        for line in questions().into_iter().chain(making) {
            let message = ["'key' is a symbolic link to 'disk/key', where nothing is"];
            place.run(&line).exits(3).prints_nothing().says(&message);
        }
    });
}

#[test]
fn what_is_nobodys_does_not_keep_a_key_or_a_set_from_its_directory() {
    let place = Place::new();
    for directory in ["key", "set"] {
        std::fs::create_dir_all(place.path(directory).join("lost+found")).unwrap();
        for name in ["README", "README.md", "README.txt"] {
            place.file("note", "what this is");
            std::fs::rename(place.path("note"), place.path(directory).join(name)).unwrap();
        }
    }
    finished_key(&place, TINY);
    for line in [
        "check key",
        "status key",
        "repair key",
        "report key",
        "trim key --level 1",
    ] {
        place.run(line).exits(0);
    }
    super::sets::made(&place, "set", 1, "--export-format ssz");
    place.run("verify-set set").exits(0).prints(&["sound"]);
    super::sets::made(&place, "other", 1, "--export-format ssz --start-index 1");
    std::fs::create_dir_all(place.path("merged/lost+found")).unwrap();
    place.run("merge-sets set other --out merged").exits(0);
    place.run("verify-set merged").exits(0);
    // Anything else is still somebody's.
    std::fs::create_dir(place.path("else")).unwrap();
    std::fs::write(place.path("else/readme.pdf"), "").unwrap();
    place
        .run(&format!("keygen else --scheme {TINY}"))
        .exits(3)
        .says(&["readme.pdf", "in the way"]);
    std::fs::write(place.path("set/notes"), "").unwrap();
    place.run("verify-set set").exits(1).prints(&["set/notes"]);
}

/// As on the top of a file system, where it is root's and for nobody else.
#[test]
fn a_lost_and_found_that_cannot_be_read_disturbs_nobody() {
    let place = Place::new().with_own_program();
    if !place.is_given_to(65534) {
        crate::skip::skip("a directory that cannot be read needs root, and another user");
        return;
    }
    std::fs::create_dir(place.path("key")).unwrap();
    std::os::unix::fs::chown(place.path("key"), Some(65534), Some(65534)).unwrap();
    std::fs::create_dir(place.path("key/lost+found")).unwrap();
    std::fs::set_permissions(
        place.path("key/lost+found"),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    for line in [
        &format!("keygen key --scheme {TINY}"),
        "status key",
        "check key",
        "report key",
        "repair key",
        &format!("sign key --epoch 3 --message {MESSAGE}"),
    ] {
        let mut command = place.command(line);
        use std::os::unix::process::CommandExt;
        let output = command.uid(65534).gid(65534).output().unwrap();
        super::program::Outcome::new(line, output).exits(0);
    }
}

#[test]
fn an_unfinished_key_gives_nothing_away_and_says_how_to_finish_it() {
    let place = Place::new();
    unfinished_key(&place, "2^18");
    changing_nothing(&place, || {
        for line in questions().iter().take(6) {
            let message = ["'key' is not finished", "keymill keygen"];
            place.run(line).exits(3).prints_nothing().says(&message);
        }
    });
}

#[test]
fn an_unfinished_key_says_how_far_it_is_and_what_it_has_is_clean() {
    let place = Place::new();
    unfinished_key(&place, "2^18");
    let status = place.run("status key --json").exits(0).json();
    assert_eq!(status["state"], "interrupted");
    assert_eq!(status["batches"], 256);
    assert_eq!(status["writer"], serde_json::json!(null));
    assert_eq!(status["public_key"], serde_json::json!(null));
    let done = status["batches_done"].as_u64().unwrap();
    assert!((1..256).contains(&done), "{done}");
    place
        .run("status key")
        .exits(0)
        .prints(&["state           interrupted", &format!("{done} of 256")]);
    let report = place.run("check key --deep --json").exits(0).json();
    assert_eq!(report["clean"], true);
    assert_eq!(report["batches_checked"], done);
    assert_eq!(report["batches_missing"], 256 - done);
}

#[test]
fn an_epoch_outside_the_key_is_refused_with_what_the_key_has() {
    let place = Place::new();
    place
        .run(&format!(
            "keygen key --scheme {LONG} --activation-epoch 600 --epochs 10"
        ))
        .exits(0);
    // Widened to [512, 1536).
    let sign = format!("sign key --message {MESSAGE} --epoch");
    let layers = place.path("key/layers");
    let before = snapshot(&layers);
    for line in ["path key --epoch", &sign] {
        for epoch in ["0", "511", "1536", "2^18", "2^32", "2^63"] {
            let outcome = place.run(&format!("{line} {epoch}")).exits(2).prints_nothing();
            assert!(outcome.stderr.contains("epoch"), "{}", outcome.all());
        }
        let stored = ["epoch 1536", "outside this key", "[512, 1536)"];
        place.run(&format!("{line} 1536")).exits(2).says(&stored);
        let spent = place.run("ledger show key --json").exits(0).json();
        assert_eq!(spent["spent"], 0, "an epoch outside the key was spent");
        place.run(&format!("{line} 512")).exits(0);
        place.run(&format!("{line} 1535")).exits(0);
    }
    assert!(snapshot(&layers) == before);
}

#[test]
fn epochs_that_end_outside_the_key_are_refused_before_the_first_is_printed() {
    let place = Place::new();
    finished_key(&place, TINY);
    for (flags, message) in [
        ("--epoch 250 --count 7", "epoch 256"),
        ("--epoch 0 --count 2^32", "[0, 256)"),
        ("--epoch 1 --count 2^32", "4294967295"),
        (
            "--epoch 18446744073709551615 --count 18446744073709551615",
            "18446744073709551615",
        ),
        ("--epoch 0 --count 0", "--count is 0"),
    ] {
        let line = format!("path key {flags} --out out");
        place.run(&line).exits(2).prints_nothing().says(&[message]);
        assert!(!place.path("out").exists(), "{flags}");
    }
}

#[test]
fn a_message_to_sign_has_32_bytes() {
    let place = Place::new();
    finished_key(&place, TINY);
    for (message, what) in [
        ("00", "1 byte"),
        ("xyz", "not hex"),
        (&format!("{MESSAGE}00"), "33 bytes"),
    ] {
        let line = format!("sign key --epoch 0 --message {message}");
        place.run(&line).exits(2).prints_nothing().says(&["--message", what]);
    }
    place.run("sign key --epoch 0").exits(2).says(&["--message"]);
    place.run("path key").exits(2).says(&["--epoch"]);
}

#[test]
fn a_manifest_without_end_is_damaged_and_not_read_for_ever() {
    let place = Place::new();
    std::fs::create_dir(place.path("key")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", place.path("key/manifest.toml")).unwrap();
    let (outcome, _) = place.start(&[], "status key").end();
    outcome.exits(3).says(&["'key/manifest.toml'", "damaged"]);
}
