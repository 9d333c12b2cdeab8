//! What every command's help promises, over all commands that there are.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fixtures::{MESSAGE, TINY, finished_key};
use super::program::{Outcome, Place};

/// Every command as it is typed behind `keymill`, with its help; the program itself is the empty one.
pub fn commands(place: &Place) -> Vec<(String, String)> {
    let mut found = vec![String::new()];
    let mut helps = Vec::new();
    while let Some(command) = found.pop() {
        let help = place.run(&format!("{command} --help")).exits(0).text().to_owned();
        // Those of the program stand in several groups. What goes on from the line before stands further to the right.
        let listed = help.lines().take_while(|line| !line.starts_with("Options"));
        let names = listed
            .filter_map(|line| {
                line.strip_prefix("  ")
                    .filter(|rest| rest.starts_with(char::is_alphabetic))
            })
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help");
        found.extend(names.map(|name| format!("{command} {name}").trim().to_owned()));
        helps.push((command, help));
    }
    assert!(helps.len() > 18, "{helps:?}");
    helps
}

/// The examples of a help, each as a script.
fn examples(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    let mut scripts: Vec<String> = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        match line.strip_prefix("    ") {
            Some(line) => {
                let script = scripts.last_mut().unwrap();
                *script += line;
                script.push('\n');
            }
            None => scripts.push(String::new()),
        }
    }
    scripts
}

/// A script with another value behind a flag, so that a key is made in a moment.
fn with_value(script: &str, flag: &str, value: &str) -> String {
    let before = format!("{flag} ");
    let mut parts = script.split(&before);
    let mut changed = parts.next().unwrap().to_owned();
    for part in parts {
        let rest = part.find(char::is_whitespace).map_or("", |end| &part[end..]);
        changed += &format!("{flag} {value}{rest}");
    }
    changed
}

/// What the examples of all commands begin with. A new example that needs something else finds it here too.
fn prepared() -> Place {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    place.file("public-key", public_key);
    place.file("block", "anything");
    place
        .run(&format!("sign key --epoch 7 --message {MESSAGE} --out 7.sig"))
        .exits(0);
    place.run("ledger export key --out ledger.json").exits(0);
    for (index, part) in ["part-a", "part-b"].into_iter().enumerate() {
        super::sets::made(&place, part, 1, &format!("--export-format ssz --start-index {index}"));
    }
    place
        .run("export key --format leansig-ssz --out validator.ssz")
        .exits(0);
    place
        .run("keygen leanvm-key --scheme leanvm-blake2s-l32-ts-v42-w8 --epochs 3")
        .exits(0);
    place
        .run("export leanvm-key --format leanvm-postcard --out validator_0_sk.ssz")
        .exits(0);
    place.file("passphrase", "open sesame");
    std::fs::set_permissions(place.path("passphrase"), Permissions::from_mode(0o600)).unwrap();
    place
        .run("keystore export key --out keystore.json --passphrase-file passphrase")
        .exits(0);
    place.run("ledger init key --first-epoch 0").exits(0);
    place.run("backup key --out backup.txt").exits(0);
    place
        .run(&format!("split big-key --scheme {TINY} --epochs 256 --parts 1"))
        .exits(0);
    std::fs::create_dir(place.path("shared")).unwrap();
    for name in ["ticket.toml", "secret"] {
        std::fs::copy(place.path("big-key").join(name), place.path("shared").join(name)).unwrap();
    }
    place
        .run("part shared/ticket.toml --index 0 --secret-file shared/secret --work scratch --out parts")
        .exits(0);
    std::fs::create_dir(place.path("set")).unwrap();
    place.run(&format!("keygen set/key --scheme {TINY}")).exits(0);
    place
}

/// A run of an example in a copy of what is prepared.
fn example(prepared: &Place, script: &str) -> (Place, Command) {
    let place = Place::new();
    let copied = Command::new("cp")
        .arg("-a")
        .args([prepared.path("."), place.path(".")])
        .status()
        .unwrap();
    assert!(copied.success());
    let script = with_value(&with_value(script, "--scheme", TINY), "--epochs", "256");
    let script = with_value(&script, "--log-num-active-epochs", "8");
    let script = with_value(&with_value(&script, "--parts", "1"), "--part-epochs", "256");
    // A service has come to its end when it is told to.
    let script = script.replace(
        "keymill serve",
        "timeout --preserve-status --signal TERM 2 keymill serve",
    );
    let script = script.replace("127.0.0.1:9001", "127.0.0.1:0");
    let folder = Path::new(env!("CARGO_BIN_EXE_keymill")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(PathBuf::from(folder)).chain(std::env::split_paths(&path));
    let mut command = Command::new("bash");
    place.prepare(&mut command);
    command
        .args(["-euo", "pipefail", "-c", &script])
        .env("PATH", std::env::join_paths(folders).unwrap())
        .env("MESSAGE", MESSAGE);
    command.envs([("KEYMILL_SCHEME", TINY), ("KEYMILL_EPOCHS", "256")]);
    (place, command)
}

#[test]
fn every_example_of_every_help_works() {
    let prepared = prepared();
    for (command, help) in commands(&prepared) {
        let scripts = examples(&help);
        assert!(
            !scripts.is_empty() || help.contains("\nCommands:\n"),
            "'keymill {command} --help' has no examples: give it an after_help"
        );
        for script in scripts {
            let (_place, mut run) = example(&prepared, &script);
            let outcome = Outcome::new(&script, run.output().unwrap());
            assert!(
                outcome.code == Some(0) && !outcome.stderr.contains("panicked"),
                "an example of 'keymill {command}' does not work; what it needs is made by `prepared` in \
                 tests/keymill/command_line/help.rs\n{}",
                outcome.all()
            );
        }
    }
}

/// As behind `| head`, when it has seen enough.
#[test]
fn every_example_ends_quietly_if_nobody_reads_it() {
    let prepared = prepared();
    for (command, help) in commands(&prepared) {
        for script in examples(&help) {
            let (_place, mut run) = example(&prepared, &script);
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let outcome = Outcome::new(&script, run.stdout(writer).output().unwrap());
            let complains = ["panicked", "roken pipe", "output cannot be written"]
                .iter()
                .any(|words| {
                    outcome
                        .stderr
                        .lines()
                        .any(|line| line.contains(words) && line.contains("keymill"))
                });
            assert!(!complains, "{}", outcome.all());
            // A signature that nobody has is not nothing: its epoch is spent.
            let expected = if outcome.stderr.contains("the signature was not taken") {
                4
            } else {
                0
            };
            // What stands behind a pipe in an example is not ours.
            if !script.contains(" | ") && !script.contains(" && ") {
                assert_eq!(outcome.code, Some(expected), "{command}\n{}", outcome.all());
            }
        }
    }
}

#[test]
fn help_is_the_same_by_either_name_and_is_no_error() {
    let place = Place::new();
    for (command, help) in commands(&place) {
        let other = place.run(&format!("help {command}")).exits(0);
        assert_eq!(other.text(), help, "{command}");
        assert!(other.stderr.is_empty(), "{}", other.all());
        let brief = place.run(&format!("{command} -h")).exits(0);
        assert!(brief.text().contains("Usage: keymill"), "{}", brief.all());
        assert!(
            !help.contains('\r') && help.ends_with('\n') && !help.contains('\x1b'),
            "{help}"
        );
    }
}

#[test]
fn a_misspelt_command_or_flag_is_told_the_right_one() {
    let place = Place::new();
    for (wrong, right) in [
        ("keygne key", "keygen"),
        ("pubic-key key", "public-key"),
        ("ledger shwo key", "show"),
        ("status key --jsno", "--json"),
    ] {
        place
            .run(wrong)
            .exits(2)
            .prints_nothing()
            .says(&[&format!("'{right}'")]);
    }
}
