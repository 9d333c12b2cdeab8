//! What every command that writes a file owes for it: it is on the disk, whole, under its name, when the command has ended
//! well.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::fixtures::{MESSAGE, TINY};
use super::help::commands;
use super::program::Place;
use super::secret_outputs::{traceable_key, traced};

/// A line for each command that has a file to write, behind `keymill`, and the file's name.
const LINES: [(&str, &str); 13] = [
    ("sign key --epoch 3 --message MESSAGE --out out", "out"),
    ("path key --epoch 0 --count 256 --format json --out out", "out"),
    ("public-key key --out out", "out"),
    ("ledger export key --out out", "out"),
    ("report key --out out", "out"),
    ("export key --format leansig-ssz --out out", "out"),
    ("export key --format leansig-ssz --out out --force", "out"),
    ("backup key --out out", "out"),
    ("keystore export key --passphrase-file passphrase --out out", "out"),
    ("shell-files out", "keymill.1"),
    (
        "part divided/ticket.toml --index 0 --secret-file divided/secret --work work --out out",
        "-0-256-t0.part",
    ),
    ("merge-sets part --out out", "validator-keys-manifest.yaml"),
    ("status key --trace-memory out", "out"),
];

fn line(line: &str) -> String {
    line.replace("MESSAGE", MESSAGE)
}

/// A key and a set, and nothing under the name of the output.
fn place() -> Option<Place> {
    let place = traceable_key()?;
    let part = format!(
        "generate --num-validators 1 --log-num-active-epochs 8 --scheme {TINY} --output-dir part --export-format ssz"
    );
    place.run(&part).exits(0);
    place
        .run(&format!("split divided --scheme {TINY} --epochs 256 --parts 1"))
        .exits(0);
    place.file("passphrase", "a passphrase of tests");
    fs::set_permissions(place.path("passphrase"), fs::Permissions::from_mode(0o600)).unwrap();
    Some(place)
}

fn forget(place: &Place) {
    let out = place.path("out");
    let _ = fs::remove_file(&out);
    let _ = fs::remove_dir_all(&out);
    // A key whose secret has left signs after a new beginning.
    place.run("ledger init key --first-epoch 0").exits(0);
}

#[test]
fn the_lines_are_those_of_all_commands_that_have_an_output() {
    let place = Place::new();
    let with_output = commands(&place);
    let with_output = with_output.iter().filter(|(_, help)| help.contains("--out <"));
    let with_output: BTreeSet<&str> = with_output.map(|(command, _)| command.as_str()).collect();
    let tried: BTreeSet<String> = LINES
        .iter()
        .filter(|(line, _)| line.contains("--out "))
        .map(|(line, _)| {
            let (command, rest) = line.split_once(' ').unwrap();
            let words = rest
                .split(' ')
                .take_while(|word| !["key", "part", "divided/ticket.toml"].contains(word));
            [command].into_iter().chain(words).collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert_eq!(tried.iter().map(String::as_str).collect::<BTreeSet<_>>(), with_output);
}

/// The name of a call in a line of strace's log.
fn call(line: &str) -> &str {
    let rest = line.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
    rest.split_once('(').map_or("", |(call, _)| call)
}

#[test]
fn every_file_that_a_command_writes_is_durable_before_it_has_its_name_and_its_name_is_afterwards() {
    let Some(place) = place() else { return };
    for (words, name) in LINES.into_iter().filter(|(line, _)| !line.contains("--trace")) {
        forget(&place);
        let flags = ["-e", "trace=write,fsync,linkat,/rename"];
        let (outcome, log) = traced(&place, &flags, &line(words)).unwrap();
        outcome.exits(0);
        let calls: Vec<&str> = log.lines().filter(|line| line.contains('/')).collect();
        let is_naming = |line: &str| call(line).contains("link") || call(line).contains("rename");
        let named = calls
            .iter()
            .position(|line| is_naming(line) && line.contains(&format!("{name}\"")))
            .unwrap_or_else(|| panic!("{words}: {name} is not named: {log}"));
        // A file that lies in a directory of drafts has its number for a name, and one that has a name has that.
        let file = calls[..named].iter().rfind(|line| call(line) == "write").unwrap();
        let file = file.split(['<', '>']).nth(1).unwrap();
        let later = calls[..named].iter().rposition(|line| call(line) == "write").unwrap();
        let synced = calls[later..named]
            .iter()
            .any(|line| call(line) == "fsync" && line.contains(file));
        assert!(synced, "{words}: {file} is not synced before it is {name}: {log}");
        let directory = calls[named].split(['<', '>']).nth_back(1).unwrap();
        let synced = calls[named..]
            .iter()
            .any(|line| call(line) == "fsync" && line.contains(&format!("<{directory}>")));
        assert!(
            synced,
            "{words}: {directory} is not synced after {name} has its name: {log}"
        );
    }
}

#[test]
fn a_sync_that_fails_is_told_by_every_command_that_writes_a_file() {
    let Some(place) = place() else { return };
    for (words, _) in LINES {
        // All of the first ones; of many files, some.
        let mut number = 1;
        loop {
            forget(&place);
            let inject = format!("inject=fsync:error=EIO:when={number}");
            let (outcome, log) = traced(&place, &["-e", "trace=fsync", "-e", &inject], &line(words)).unwrap();
            let case = format!("{words}, sync {number}: {}", outcome.all());
            if !log.contains("INJECTED") {
                assert!(number > 2, "{case}: {log}");
                outcome.exits(0);
                break;
            }
            assert_eq!(outcome.code, Some(4), "{case}");
            assert!(outcome.stderr.contains("nput/output error"), "{case}");
            let names = fs::read_dir(place.path(""))
                .unwrap()
                .map(|entry| entry.unwrap().file_name());
            let drafts = names.filter(|name| name.to_string_lossy().ends_with(".tmp")).count();
            assert_eq!(drafts, 0, "{case}");
            number += 1 + number / 8;
        }
    }
}
