//! Requests for keys that cannot be had: the exit code, the reason, and nothing written.

use super::fixtures::{LONG, OTHER_TINY, TINY, changing_nothing, nothing_was_made};
use super::program::{Outcome, Place};

/// A keygen of the tiny scheme that is refused before it writes anything.
#[track_caller]
fn refused(flags: &str, code: i32) -> Outcome {
    let place = Place::new();
    let outcome = changing_nothing(&place, || place.run(&format!("keygen key {flags}")));
    nothing_was_made(&place);
    outcome.exits(code).prints_nothing()
}

#[track_caller]
fn refused_tiny(flags: &str, code: i32) -> Outcome {
    refused(&format!("--scheme {TINY} {flags}"), code)
}

#[test]
fn an_unknown_scheme_is_refused_with_the_nearest_one() {
    refused("--scheme leansig-p1-l8-abort-v4-w9", 2).says(&["--scheme", "'leansig-p1-l8-abort-v4-w9'", TINY]);
    refused("--scheme xyz", 2).says(&["--scheme", "'xyz'", "keymill schemes"]);
}

#[test]
fn a_name_that_no_file_can_have_is_wrong_usage() {
    let place = Place::new();
    let line = format!("keygen {} --scheme {TINY}", "a".repeat(300));
    place.run(&line).exits(2).says(&["File name too long"]);
    nothing_was_made(&place);
}

#[test]
fn a_key_without_epochs_is_refused() {
    refused_tiny("--epochs 0", 2).says(&["the number of epochs is 0", "at least 1", "--epochs"]);
}

#[test]
fn epochs_past_the_lifetime_are_refused_with_the_lifetime() {
    for flags in [
        "--epochs 257",
        "--epochs 2^32",
        "--activation-epoch 1 --epochs 256",
        "--activation-epoch 256",
        "--activation-epoch 300 --epochs 3",
        "--activation-epoch 256 --epochs 1",
    ] {
        refused_tiny(flags, 2).says(&["lifetime", TINY, "256"]);
    }
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let most = u64::MAX;
    refused_tiny(&format!("--epochs {most} --activation-epoch {most}"), 2).says(&["lifetime", "256"]);
    refused_tiny(&format!("--epochs 1 --activation-epoch {most}"), 2).says(&["lifetime", "256"]);
    refused_tiny("--epochs 2^63 --activation-epoch 2^63", 2).says(&["lifetime", "256"]);
}

#[test]
fn epochs_that_are_no_number_are_refused_with_an_example() {
    for wrong in ["many", "2^64", "2^x", "1e3", "18446744073709551616", "1.5", "0x10"] {
        refused_tiny(&format!("--epochs {wrong}"), 2).says(&["--epochs", wrong, "2^20"]);
        refused_tiny(&format!("--activation-epoch {wrong}"), 2).says(&["--activation-epoch", wrong, "2^20"]);
    }
    refused_tiny("--epochs -1", 2).says(&["-1"]);
}

#[test]
fn a_trim_above_the_roots_of_the_batches_is_refused_with_the_limit() {
    for (trim, limit) in [
        ("9", "at most 8"),
        ("255", "at most 8"),
        ("256", "0 to 10"),
        ("x", "0 to 10"),
    ] {
        refused_tiny(&format!("--trim {trim}"), 2).says(&["trim", trim, limit]);
    }
    let place = Place::new();
    let refused = place.run(&format!("plan --scheme {LONG} --trim 11"));
    refused.exits(2).says(&["11", "at most 10", LONG]);
}

#[test]
fn a_memory_budget_that_is_too_small_is_refused_with_both_figures() {
    let place = Place::new();
    let line = format!("keygen key --scheme {TINY} --threads 1 --memory");
    let outcome = changing_nothing(&place, || place.run(&format!("{line} 1K")))
        .exits(4)
        .says(&["1024 bytes", "--memory"]);
    let least = outcome.figures()[1];
    changing_nothing(&place, || place.run(&format!("{line} {}", least - 1))).exits(4);
    // The figure is the truth.
    place.run(&format!("{line} {least}")).exits(0);
}

#[test]
fn a_memory_budget_that_is_no_size_is_refused_with_an_example() {
    for wrong in ["nonsense", "1.5G", "12X", "99999999999T", "G"] {
        refused_tiny(&format!("--memory {wrong}"), 2).says(&["--memory", wrong, "64M"]);
    }
}

#[test]
fn threads_and_progress_that_do_not_exist_are_refused() {
    refused_tiny("--threads some", 2).says(&["--threads", "'some'", "0 to 1024"]);
    refused_tiny("--threads 1025", 2).says(&["--threads", "'1025'", "0 to 1024"]);
    refused_tiny("--progress loud", 2).says(&["--progress", "'loud'", "plain"]);
}

#[test]
fn unknown_flags_and_commands_are_refused_with_the_nearest_one() {
    refused_tiny("--thread 2", 2).says(&["--thread", "--threads"]);
    refused_tiny("and-something-else", 2).says(&["and-something-else"]);
    let place = Place::new();
    place.run("keygem key").exits(2).says(&["keygem", "keygen"]);
    place.run("keygen").exits(2).says(&["DIR"]);
    place.run("").exits(2).says(&["Usage", "keygen"]);
    nothing_was_made(&place);
}

#[test]
fn a_directory_with_something_else_in_it_is_left_alone() {
    let place = Place::new();
    std::fs::create_dir(place.path("key")).unwrap();
    place.file("key/letter.txt", "dear friend");
    let line = format!("keygen key --scheme {TINY}");
    changing_nothing(&place, || place.run(&line))
        .exits(3)
        .prints_nothing()
        .says(&["'key/letter.txt'", "empty or absent"]);
}

#[test]
fn a_directory_that_lost_its_manifest_is_left_alone() {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
    std::fs::remove_file(place.path("key/manifest.toml")).unwrap();
    let line = format!("keygen key --scheme {OTHER_TINY}");
    changing_nothing(&place, || place.run(&line))
        .exits(3)
        .prints_nothing()
        .says(&["'key/", "manifest.toml"]);
}

#[test]
fn a_file_that_only_resembles_a_temporary_of_ours_is_left_alone() {
    for name in ["key/.keymill-notes", "key/.keymill-abc123.tmpx", "key/.keymill-abc.tmp"] {
        let place = Place::new();
        std::fs::create_dir(place.path("key")).unwrap();
        place.file(name, "mine");
        changing_nothing(&place, || place.run(&format!("keygen key --scheme {TINY}")))
            .exits(3)
            .says(&[name, "in the way"]);
    }
}

#[test]
fn a_budget_does_not_matter_to_a_key_that_is_finished() {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
    changing_nothing(&place, || place.run("keygen key --memory 1K")).exits(0);
}

#[test]
fn a_path_that_is_a_file_is_refused() {
    let place = Place::new();
    place.file("key", "not a directory");
    changing_nothing(&place, || place.run(&format!("keygen key --scheme {TINY}")))
        .exits(3)
        .says(&["'key'", "not a directory"]);
}

#[test]
fn a_parent_directory_that_is_missing_is_named() {
    let place = Place::new();
    let line = format!("keygen no-such-parent/key --scheme {TINY}");
    let outcome = changing_nothing(&place, || place.run(&line)).says(&["'no-such-parent'"]);
    // Wrong input: there is no directory that could be damaged or something else, and the machine did not fail.
    outcome.exits(2);
}

#[test]
fn an_empty_directory_and_a_name_with_a_slash_are_good_places() {
    for (made, name) in [(true, "key"), (false, "key/"), (true, "./key/")] {
        let place = Place::new();
        if made {
            std::fs::create_dir(place.path("key")).unwrap();
        }
        place.run(&format!("keygen {name} --scheme {TINY}")).exits(0);
        place.run("check key").exits(0);
        let mut names: Vec<_> = std::fs::read_dir(place.path("key"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "LOCK",
                "history.jsonl",
                "layers",
                "ledger.mark",
                "manifest.toml",
                "secret",
                "state"
            ]
        );
    }
}

#[test]
fn plan_refuses_what_keygen_refuses() {
    let place = Place::new();
    let line = format!("plan --scheme {TINY}");
    place
        .run(&format!("{line} --epochs 0"))
        .exits(2)
        .says(&["the number of epochs is 0", "--epochs"]);
    place.run(&format!("{line} --epochs 257")).exits(2).says(&["lifetime"]);
    place.run(&format!("{line} --memory 1K")).exits(4).says(&["1024 bytes"]);
    place.run(&format!("{line} --trim 9")).exits(2).says(&["at most 8"]);
    place
        .run(&format!("plan --scheme {LONG} --epochs 2^19"))
        .exits(2)
        .says(&["524288", "262144"]);
}

#[test]
fn an_import_from_standard_input_is_refused_in_words_also_if_there_is_a_file_of_that_name() {
    let place = Place::new();
    for _ in 0..2 {
        let outcome = changing_nothing(&place, || place.run("import key --from -"));
        outcome
            .exits(2)
            .prints_nothing()
            .says(&["--from", "standard input", "'./-'"]);
        place.file("-", "no key");
    }
}
