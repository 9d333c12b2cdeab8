//! Files with a secret, as `export` and `backup` write them: whole and durable, or nowhere.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use rustix::fs::OFlags;

use super::fixtures::{TINY, changing_nothing, finished_key};
use super::program::{Outcome, Place};
use crate::skip::skip;

const LINES: [&str; 2] = ["export key --format leansig-ssz --out out", "backup key --out out"];

/// A key, where files can be without a name and strace can trace.
fn traceable_key() -> Option<Place> {
    let place = Place::new();
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(OFlags::TMPFILE.bits() as i32);
    if options.open(place.path("")).is_err() {
        skip("the file system of the temporary directory has no O_TMPFILE");
        return None;
    }
    finished_key(&place, TINY);
    if traced(&place, &[], "status key").is_none() {
        skip("strace is not installed, or may not trace here (Debian: strace)");
        return None;
    }
    Some(place)
}

/// Runs keymill under strace. Gives what strace wrote as well, which is gone from the place then.
fn traced(place: &Place, flags: &[&str], line: &str) -> Option<(Outcome, String)> {
    let log = place.path("log");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-o"]).arg(&log).args(flags);
    let outcome = place.run_under(strace, &[], line)?;
    let text = fs::read_to_string(&log).ok().filter(|text| !text.is_empty())?;
    fs::remove_file(log).unwrap();
    Some((outcome, text))
}

#[test]
fn an_export_or_a_backup_that_is_killed_leaves_nothing_of_the_secret() {
    let Some(place) = traceable_key() else { return };
    for line in LINES {
        // Not SIGINT: whoever runs the tests in the background of a shell has it ignored.
        for signal in ["KILL", "TERM"] {
            for call in ["write", "fsync"] {
                // The first of each is on the file.
                let inject = format!("inject={call}:signal={signal}:when=1");
                let flags = ["-e", "trace=write,fsync", "-e", &inject];
                let (outcome, log) = changing_nothing(&place, || traced(&place, &flags, line).unwrap());
                assert_eq!(outcome.code, None, "{signal} at {call}: {}", outcome.all());
                assert!(log.contains("(deleted)"), "{signal} at {call}: {log}");
            }
        }
        place.run(line).exits(0);
        fs::remove_file(place.path("out")).unwrap();
    }
}

#[test]
fn a_file_with_a_secret_is_durable_before_it_has_its_name_and_its_name_is_then() {
    let Some(place) = traceable_key() else { return };
    for line in LINES {
        for (force, calls) in [
            ("", &["write", "fsync", "linkat", "fsync"][..]),
            ("--force", &["write", "fsync", "linkat", "linkat", "rename", "fsync"]),
        ] {
            let flags = ["-e", "trace=write,fsync,linkat,/rename"];
            let (outcome, log) = traced(&place, &flags, &format!("{line} {force}")).unwrap();
            outcome.exits(0);
            let root = place.path("").display().to_string();
            let root = root.trim_end_matches('/');
            let of_output = log.lines().filter(|line| line.contains(root));
            let mut made: Vec<&str> = of_output
                .filter_map(|line| line.split_whitespace().nth(1)?.split_once('(').map(|(call, _)| call))
                .collect();
            // Which of them a rename is depends on the machine.
            for call in made.iter_mut().filter(|call| call.starts_with("rename")) {
                *call = "rename";
            }
            made.dedup_by(|next, first| next == first && *first == "write");
            assert_eq!(made, calls, "{line} {force}: {log}");
            let directory = log.lines().rfind(|line| line.contains("fsync(")).unwrap();
            assert!(directory.contains(&format!("<{root}>")), "{line} {force}: {directory}");
        }
        fs::remove_file(place.path("out")).unwrap();
    }
}

#[test]
fn a_place_that_is_not_there_is_a_wrong_name_and_no_draft_is_named() {
    let place = Place::new();
    finished_key(&place, TINY);
    place.file("file", "");
    for line in ["export key --format leansig-ssz", "backup key", "public-key key"] {
        for out in ["no/such/file", "file/out"] {
            let refused = place.run(&format!("{line} --out {out}")).exits(2).prints_nothing();
            let refused = refused.says(&[&format!("'{out}'")]);
            assert!(!refused.stderr.contains(".keymill"), "{}", refused.all());
        }
    }
}
