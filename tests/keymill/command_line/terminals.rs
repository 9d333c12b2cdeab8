//! Standard error and output on a terminal and elsewhere: colours, the bar, and how much is said.

use std::process::Command;

use super::fixtures::{LONG, TINY, flip_byte, unfinished_key};
use super::program::{Outcome, Place};
use crate::skip::skip;

/// What appears on a terminal, or nothing where none can be made.
fn on_terminal(place: &Place, environment: &[(&str, &str)], line: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_keymill");
    let mut script = Command::new("script");
    script.args(["-qec", &format!("'{program}' {line}"), "/dev/null"]);
    place.prepare(&mut script);
    script.env("TERM", "xterm").envs(environment.iter().copied());
    let Ok(output) = script.output() else {
        skip("there is no script, of util-linux, that makes a terminal");
        return None;
    };
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// As [`on_terminal`], of a terminal of which TERM says little or nothing.
fn on_terminal_without(place: &Place, term: &str, line: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_keymill");
    let mut script = Command::new("script");
    script.args(["-qec", &format!("env {term} '{program}' {line}"), "/dev/null"]);
    place.prepare(&mut script);
    let Ok(output) = script.output() else {
        skip("there is no script, of util-linux, that makes a terminal");
        return None;
    };
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Select Graphic Rendition of ECMA-48, which colours are.
fn is_coloured(text: &str) -> bool {
    let mut sequences = text.split("\x1b[").skip(1);
    sequences.any(|rest| {
        rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
            .starts_with('m')
    })
}

fn in_pipe(place: &Place, environment: &[(&str, &str)], line: &str) -> Outcome {
    let mut command = place.command(line);
    let output = command.env("TERM", "xterm").envs(environment.iter().copied()).output();
    Outcome::new(line, output.unwrap())
}

#[test]
fn colours_are_on_terminals_alone_and_where_they_are_wanted() {
    let place = Place::new();
    // Help, wrong usage, and an error of a command.
    for line in ["--help", "status", "status nowhere"] {
        if let Some(shown) = on_terminal(&place, &[], line) {
            assert!(is_coloured(&shown), "{line}: {shown:?}");
            for unwanted in [("NO_COLOR", "1"), ("TERM", "dumb")] {
                let shown = on_terminal(&place, &[unwanted], line).unwrap();
                assert!(!shown.contains('\x1b'), "{line}, {unwanted:?}: {shown:?}");
            }
        }
        let plain = in_pipe(&place, &[], line).all();
        assert!(!plain.contains('\x1b'), "{plain:?}");
        let forced = in_pipe(&place, &[("CLICOLOR_FORCE", "1")], line).all();
        assert!(is_coloured(&forced), "{forced:?}");
    }
}

#[test]
fn warnings_are_coloured_and_stand_between_the_frames_of_the_bar() {
    let place = Place::new();
    unfinished_key(&place, "8192");
    flip_byte(&place.path("key/layers/00.nodes"), 4096);
    let Some(shown) = on_terminal(&place, &[], "keygen key") else {
        return;
    };
    assert!(is_coloured(&shown), "{shown:?}");
    // The bar is cleared, the whole line follows, and the bar is drawn again below it.
    let warning = shown
        .split("\r\n")
        .find(|line| line.contains("does not match its checksums"));
    let warning = warning.unwrap_or_else(|| panic!("{shown:?}"));
    let text = warning.rsplit("\x1b[2K").next().unwrap().trim_start_matches('\r');
    let text = text.rsplit("keymill:").next().unwrap();
    assert!(
        text.contains("warning: batch 0 does") && !text.contains("epochs  "),
        "{warning:?}"
    );
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_and_a_pipe_show_plain_lines() {
    let line = format!("keygen key --scheme {LONG} --epochs 4096");
    // Or of which nobody says what it can: not set, empty.
    for unset in ["TERM=dumb", "TERM=", "-u TERM"] {
        let place = Place::new();
        let Some(shown) = on_terminal_without(&place, unset, &line) else {
            break;
        };
        // Neither back to the beginning of a line nor up: what ends a line on a terminal is both of its characters.
        let is_drawn = shown.contains("\x1b[2K") || shown.replace("\r\n", "").contains('\r');
        assert!(!is_drawn && shown.contains("keymill: "), "{unset}: {shown:?}");
        assert!(!shown.contains('\x1b') || unset == "TERM=", "{unset}: {shown:?}");
    }
    let other = Place::new();
    let shown = in_pipe(&other, &[], &line).exits(0);
    assert!(
        !shown.all().contains('\x1b') && !shown.stderr.contains('\r'),
        "{}",
        shown.all()
    );
}

#[test]
fn as_much_is_said_as_was_asked_for() {
    let said = |environment: &[(&str, &str)], flags: &str| {
        let place = Place::new();
        let line = format!("keygen key --scheme {TINY} --progress none {flags}");
        let outcome = in_pipe(&place, environment, &line).exits(0);
        // What it makes goes to standard output in any case.
        assert_eq!(outcome.line().len(), 104, "{}", outcome.all());
        let has = |words: &str| outcome.stderr.contains(words);
        (
            has("is finished"),
            has("keymill: generating"),
            has("committed: "),
            has("computed: "),
        )
    };
    assert_eq!(said(&[], ""), (true, false, false, false));
    assert_eq!(said(&[], "-q"), (false, false, false, false));
    assert_eq!(said(&[], "-v"), (true, true, false, false));
    assert_eq!(said(&[], "-vv"), (true, true, true, false));
    assert_eq!(said(&[], "-vvv"), (true, true, true, true));
    assert_eq!(said(&[("KEYMILL_LOG", "info")], ""), (true, true, false, false));
    assert_eq!(said(&[("KEYMILL_LOG", "trace")], "-v"), (true, true, false, false));
    assert_eq!(said(&[("KEYMILL_LOG", "error")], ""), (false, false, false, false));
    // Of others' programs.
    assert_eq!(said(&[("RUST_LOG", "trace")], ""), (true, false, false, false));
}

#[test]
fn a_quiet_command_still_says_why_it_fails() {
    let place = Place::new();
    place
        .run("-q status nowhere")
        .exits(3)
        .prints_nothing()
        .says(&["keymill: ", "nowhere"]);
    place
        .run("-q -v status nowhere")
        .exits(2)
        .says(&["--quiet", "--verbose"]);
    place.run_with(&[("KEYMILL_LOG", "loud")], "schemes").exits(2).says(&[
        "KEYMILL_LOG",
        "'loud'",
        "error, warn, info, debug, trace",
    ]);
}

#[test]
fn a_quiet_command_shows_no_progress_whatever_else_it_is_told() {
    for style in ["bar", "plain", "json"] {
        for (before, behind) in [("-q ", ""), ("", " -q")] {
            let place = Place::new();
            let line = format!("{before}keygen key --scheme {TINY} --progress {style}{behind}");
            let outcome = place.run_with(&[("KEYMILL_PROGRESS", style)], &line).exits(0);
            assert!(outcome.stderr.is_empty(), "{}", outcome.all());
            // An error is text, as of any quiet command.
            let failed = place.run(&line.replace(TINY, LONG)).exits(3);
            assert!(failed.stderr.starts_with("keymill: "), "{}", failed.all());
        }
    }
}
