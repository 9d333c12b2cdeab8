//! Seeds, PRF keys and parameters that are not valid: the exit code, the reason, and nothing written.

use super::fixtures::{PARAMETER, SEED, TINY, changing_nothing, nothing_was_made};
use super::program::{Outcome, Place};

/// A keygen of the tiny scheme beside the file `seed`, which is refused before it writes anything.
#[track_caller]
fn refused(content: &[u8], flags: &str) -> Outcome {
    let place = Place::new();
    place.file("seed", content);
    let line = format!("keygen key --scheme {TINY} {flags}");
    let outcome = changing_nothing(&place, || place.run(&line));
    nothing_was_made(&place);
    outcome.exits(2).prints_nothing()
}

#[test]
fn a_seed_file_of_the_wrong_length_is_refused_with_its_length() {
    for length in [0, 1, 31, 33, 63, 65, 1 << 20] {
        let content = vec![0x5a; length];
        refused(&content, "--seed-file seed").says(&["--seed-file 'seed'", &length.to_string(), "32 bytes", "64 hex"]);
        refused(&content, &format!("--prf-key-file seed --parameter {PARAMETER}")).says(&[
            "--prf-key-file 'seed'",
            &length.to_string(),
            "32 bytes",
            "64 hex",
        ]);
    }
}

#[test]
fn a_huge_seed_file_is_refused_without_a_wrong_length() {
    let outcome = refused(&vec![0; 3 << 20], "--seed-file seed").says(&["--seed-file 'seed'", "32 bytes", "64 hex"]);
    // Only the first mebibyte is read, so its length is not what the file holds.
    assert!(!outcome.stderr.contains("1048576 bytes,"), "{}", outcome.all());
}

#[test]
fn a_seed_file_without_end_is_refused_too() {
    refused(&[], "--seed-file /dev/zero").says(&["--seed-file '/dev/zero'", "32 bytes"]);
}

#[test]
fn a_seed_file_that_is_not_hex_is_refused_and_not_shown() {
    let mut digits = hex::encode(SEED);
    digits.replace_range(10..11, "g");
    let outcome = refused(digits.as_bytes(), "--seed-file seed").says(&["--seed-file 'seed'", "64 hex digits"]);
    // It may well be the secret with a typing error.
    assert!(!outcome.stderr.contains("a7a7"), "{}", outcome.all());
}

#[test]
fn a_seed_file_that_cannot_be_read_is_named() {
    refused(&[], "--seed-file nothing").says(&["--seed-file 'nothing'", "No such file"]);
    refused(&[], "--seed-file .").says(&["--seed-file '.'", "directory"]);
    let prf = format!("--prf-key-file nothing --parameter {PARAMETER}");
    refused(&[], &prf).says(&["--prf-key-file 'nothing'", "No such file"]);
}

#[test]
fn a_prf_key_needs_its_parameter_and_a_parameter_its_prf_key() {
    refused(&SEED, "--prf-key-file seed").says(&["--parameter"]);
    refused(&SEED, &format!("--parameter {PARAMETER}")).says(&["--prf-key-file"]);
    let both = format!("--seed-file seed --prf-key-file seed --parameter {PARAMETER}");
    refused(&SEED, &both).says(&["--seed-file", "--prf-key-file"]);
}

#[test]
fn a_parameter_beside_a_seed_is_refused_before_anything_is_written() {
    let place = Place::new();
    place.file("seed", SEED);
    let line = format!("keygen key --scheme {TINY} --seed-file seed --parameter {PARAMETER}");
    place
        .run(&line)
        .exits(2)
        .prints_nothing()
        .says(&["--parameter", "seed"]);
    nothing_was_made(&place);
}

#[test]
fn a_parameter_of_the_wrong_length_is_refused_with_its_length() {
    for length in [0, 19, 21, 40] {
        let digits = "00".repeat(length);
        let place = Place::new();
        place.file("seed", SEED);
        let mut command = place.command(&format!("keygen key --scheme {TINY} --prf-key-file seed --parameter"));
        let output = command.arg(&digits).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(
            message.contains(&length.to_string()) && message.contains("20 bytes"),
            "{message}"
        );
        nothing_was_made(&place);
    }
}

#[test]
fn a_parameter_that_is_not_hex_or_not_canonical_is_refused() {
    let prf = "--prf-key-file seed --parameter";
    refused(&SEED, &format!("{prf} {}", "zz".repeat(20))).says(&["--parameter", "not hex"]);
    // 2^31 - 2^24 + 1 itself, in the second place.
    let prime = format!("00000000{}{}", "0100007f", "00".repeat(12));
    refused(&SEED, &format!("{prf} {prime}")).says(&["--parameter", "element 1", "2130706433"]);
}

#[test]
fn the_largest_canonical_parameter_is_taken() {
    let place = Place::new();
    place.file("seed", SEED);
    let largest = "0000007f".repeat(5);
    let line = format!("keygen key --scheme {TINY} --prf-key-file seed --parameter {largest}");
    assert!(place.run(&line).exits(0).line().ends_with(&largest));
}
