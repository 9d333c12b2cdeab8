//! Readers that go away before everything is written.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::fixtures::{LONG, MESSAGE, TINY, finished_key, flip_byte};
use super::program::{Outcome, Place};

/// A pipe that nobody reads from.
fn nobody() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_reader_that_stops_after_the_first_line_has_what_it_wanted() {
    let place = Place::new();
    finished_key(&place, LONG);
    let mut child = place.command("path key --epoch 0 --count 1000").spawn().unwrap();
    let mut first = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut first).unwrap();
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(first["epoch"], 0);
    let outcome = Outcome::new("path", child.wait_with_output().unwrap()).exits(0);
    assert!(outcome.stderr.is_empty(), "{}", outcome.all());
}

#[test]
fn an_output_that_nobody_reads_is_not_a_failure_but_for_a_signature() {
    let place = Place::new();
    finished_key(&place, TINY);
    let sign = format!("sign key --epoch 0 --message {MESSAGE}");
    let lines = [
        "schemes",
        "plan",
        "plan --json",
        "status key",
        "public-key key",
        "path key --epoch 0",
        &sign,
        "ledger show key",
        "ledger export key",
        "check key",
        "keygen key",
        "migrate key",
        "--help",
    ];
    for line in lines {
        let output = place.command(line).stdout(nobody()).output().unwrap();
        // Its epoch is spent, so that it is not as if nobody had asked.
        let is_lost = line == sign;
        let outcome = Outcome::new(line, output).exits(if is_lost { 4 } else { 0 });
        let complains = outcome.stderr.contains("output cannot be written");
        assert!(is_lost || !complains, "{}", outcome.all());
    }
}

/// Behind a closed pipe the exit code is all that is left of the answer.
#[test]
fn a_no_that_nobody_reads_is_still_a_no() {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    let code = |line: &str| place.command(line).stdout(nobody()).output().unwrap().status.code();
    assert_eq!(code("check key"), Some(0));
    flip_byte(&place.path("key/layers/03.nodes"), 4096 + 5);
    assert_eq!(code("check key"), Some(1));
    assert_eq!(code("check key --json"), Some(1));
    let verify =
        format!("verify --scheme {TINY} --public-key {public_key} --epoch 0 --message {MESSAGE} --signature 00");
    assert_eq!(code(&verify), Some(1));
}

#[test]
fn a_keygen_whose_messages_nobody_reads_makes_its_key_all_the_same() {
    for style in ["none", "plain", "json", "bar"] {
        let place = Place::new();
        let line = format!("keygen key --scheme {TINY} --progress {style}");
        let output = place.command(&line).stderr(nobody()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{style}");
        let public_key = place.run("public-key key").exits(0).stdout;
        assert_eq!(output.stdout, public_key, "{style}");
    }
}

#[test]
fn a_message_that_nobody_reads_does_not_change_the_exit_code() {
    let place = Place::new();
    for (line, code) in [
        ("status nothing", 3),
        ("path nothing --epoch 0", 3),
        ("plan --epochs 0", 2),
    ] {
        let output = place.command(line).stderr(nobody()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}");
    }
}

#[test]
fn a_full_disk_under_the_output_is_reported() {
    let place = Place::new();
    finished_key(&place, TINY);
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let told = [
        "--help",
        "help keygen",
        "sign --help",
        "help",
        "--version",
        "--version --verbose",
        "keygen --version",
    ];
    for line in ["public-key key", "schemes", "path key --epoch 0"]
        .into_iter()
        .chain(told)
    {
        let output = place.command(line).stdout(full()).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{line}: {message}");
        assert!(message.contains("cannot be written"), "{line}: {message}");
    }
    let line = "path key --epoch 0 --out /dev/full";
    place.run(line).exits(4).says(&["'/dev/full'", "cannot be written"]);
}

#[test]
fn a_signature_that_has_no_place_to_go_to_spends_no_epoch() {
    let place = Place::new();
    finished_key(&place, TINY);
    let sign = |epoch: u64, out: &str| place.run(&format!("sign key --epoch {epoch} --message {MESSAGE} --out {out}"));
    sign(7, "nowhere/signature").exits(2).says(&["'nowhere/signature'"]);
    sign(7, ".").exits(2).says(&["'.' is a directory"]);
    sign(7, "-").exits(2).says(&["without --out"]);
    sign(7, "/proc/signature").exits(2);
    let spent = |place: &Place| place.run("ledger show key --json").exits(0).json()["highest"].clone();
    assert_eq!(spent(&place), serde_json::Value::Null);
    sign(7, "signature").exits(0);
    assert_eq!(spent(&place), 7);
}

#[test]
fn a_limit_on_the_size_of_files_is_a_failure_and_no_death() {
    let place = Place::new();
    for line in ["--help", "--version --verbose", "schemes"] {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -f 0; exec \"$@\" > out", "sh"]);
        let outcome = place.run_under(shell, &[], line).unwrap();
        outcome.exits(4).says(&["cannot be written"]);
    }
}

#[test]
fn a_help_that_nobody_reads_is_not_a_failure_and_a_wrong_flag_is_one() {
    let place = Place::new();
    for line in ["--help", "help sign", "--version"] {
        let output = place.command(line).stdout(nobody()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}");
        assert!(
            output.stderr.is_empty(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for stderr in [Stdio::piped(), nobody()] {
        let output = place.command("sign --nothing").stderr(stderr).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
}
