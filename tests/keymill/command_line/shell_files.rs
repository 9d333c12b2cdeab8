//! Manual pages and completions, as `tools/install` puts them into a prefix.

use std::path::Path;
use std::process::Command;

use super::help::commands;
use super::program::Place;
use crate::skip::skip;

const BASH: &str = "share/bash-completion/completions/keymill";
const ZSH: &str = "share/zsh/site-functions/_keymill";
const FISH: &str = "share/fish/vendor_completions.d/keymill.fish";

fn written() -> Place {
    let place = Place::new();
    place
        .run("shell-files .")
        .exits(0)
        .prints(&[BASH, ZSH, FISH, "keymill.1"]);
    place
}

/// What a program prints on both outputs, or nothing if there is no such program.
fn answer(program: &str, arguments: &[&str], file: &Path) -> Option<(bool, String)> {
    let output = Command::new(program)
        .args(arguments)
        .arg(file)
        .env("MANPAGER", "cat")
        .env("LC_ALL", "C")
        .output();
    let Ok(output) = output else {
        skip(&format!("there is no {program}"));
        return None;
    };
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8(text).unwrap()))
}

#[test]
fn every_command_has_a_manual_page_with_all_sections_and_without_a_warning() {
    let place = written();
    for (command, help) in commands(&place) {
        let name = format!("keymill {command}").trim().replace(' ', "-");
        let path = place.path(&format!("share/man/man1/{name}.1"));
        let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut sections = vec![
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "EXIT STATUS",
            "ENVIRONMENT",
            "FILES",
            "SEE ALSO",
        ];
        if help.contains("\nExamples:\n") {
            sections.push("EXAMPLES");
        }
        for section in sections {
            let is_there = page
                .lines()
                .any(|line| line == format!(".SH {section}") || line == format!(".SH \"{section}\""));
            assert!(is_there, "{name}: no {section}");
        }
        assert!(page.contains("KEYMILL_THREADS") && page.contains("NO_COLOR"), "{name}");
        if let Some((_, complaints)) = answer("groff", &["-man", "-ww", "-z", "-Tutf8"], &path) {
            assert_eq!(complaints, "", "{name}");
        }
        if let Some((_, complaints)) = answer("mandoc", &["-T", "lint", "-W", "warning"], &path) {
            // A date would be that of the build; the other one is a break beside a break, of clap_mangen's.
            let known = ["missing date", "skipping paragraph macro: br"];
            let complaints = complaints
                .lines()
                .filter(|line| !known.iter().any(|words| line.contains(words)));
            assert_eq!(complaints.collect::<Vec<_>>(), [""; 0], "{name}");
        }
    }
}

#[test]
fn no_page_is_left_over_and_nothing_hidden_is_shown() {
    let place = written();
    let pages = std::fs::read_dir(place.path("share/man/man1")).unwrap().count();
    assert_eq!(pages, commands(&place).len());
    for file in [BASH, ZSH, FISH] {
        let text = std::fs::read_to_string(place.path(file)).unwrap();
        assert!(!text.contains("shell-files"), "{file}");
    }
}

#[test]
fn zsh_and_fish_can_read_their_completions() {
    let place = written();
    for (shell, file) in [("zsh", ZSH), ("fish", FISH), ("bash", BASH)] {
        if let Some((is_good, said)) = answer(shell, &["-n"], &place.path(file)) {
            assert!(is_good && said.is_empty(), "{shell}: {said}");
        }
    }
}

/// What bash offers for the last word of a line, and what else it is told to offer.
fn offers(place: &Place, words: &[&str]) -> Vec<String> {
    const DRIVER: &str = r#"
        compopt() { printf 'compopt %s\n' "$*"; }
        source share/bash-completion/completions/keymill
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*"
        _keymill_words keymill "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        [ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash")
        .args(["--norc", "-uc", DRIVER, "driver"])
        .args(words)
        .current_dir(place.path("."))
        // It warns of a locale that is not there.
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(
        output.stderr.is_empty(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn bash_completes_commands_flags_values_and_directories() {
    let place = written();
    let all = offers(&place, &["keymill", ""]);
    for (command, _) in commands(&place) {
        let (above, name) = command.rsplit_once(' ').unwrap_or(("", &command));
        let mut words = vec!["keymill"];
        words.extend(above.split_whitespace());
        words.push(name);
        assert!(
            name.is_empty() || offers(&place, &words).contains(&name.to_owned()),
            "{command}"
        );
    }
    assert!(
        all.contains(&"keygen".to_owned()) && !all.iter().any(|word| word.starts_with('-')),
        "{all:?}"
    );
    let one = |words: &[&str], expected: &[&str]| assert_eq!(offers(&place, words), expected, "{words:?}");
    one(&["keymill", "pub"], &["public-key"]);
    one(&["keymill", "keygen", "--sch"], &["--scheme"]);
    one(
        &["keymill", "keygen", "--scheme", "leansig-p1-l8"],
        &["leansig-p1-l8-abort-v4-w8"],
    );
    one(
        &["keymill", "keygen", "--progress", ""],
        &["auto", "bar", "plain", "json", "none"],
    );
    one(&["keymill", "path", "key", "--format", ""], &["hex", "ssz", "json"]);
    let directories = ["compopt -o dirnames +o default +o bashdefault"];
    one(&["keymill", "status", ""], &directories);
    one(&["keymill", "ledger", "show", "k"], &directories);
    // There bash goes on with the names of files.
    one(&["keymill", "memory-report", "tr"], &[]);
    one(&["keymill", "ledger", "import", "key", "le"], &[]);
    assert!(offers(&place, &["keymill", "keygen", "--seed-file", "sh"]).contains(&"share".to_owned()));
}
