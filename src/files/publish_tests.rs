//! Published files: what is called in which order, and what is there when a call fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::{Draft, Existing, Mode, replace_at};
use crate::failure::IoFailure;
use crate::faults::{Fate, Faults};

const OLD: &[u8] = b"what was there before";
const NEW: &[u8] = b"what is written now";

/// The calls that were made, each with the name of its file.
type Calls = Arc<Mutex<Vec<(&'static str, String)>>>;

/// Whether a file can be without a name, as a file system says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Names {
    Later,
    AtOnce,
}

/// Follows the calls in a directory, and lets the n-th fail, counted from 1.
fn failing_at(directory: &Path, names: Names, number: usize) -> (Faults, Calls) {
    let calls = Calls::default();
    let noted = Arc::clone(&calls);
    let mut is_refused = names == Names::Later;
    let faults = Faults::below(directory, move |call, path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_draft = call == "open" && name == "out";
        if is_draft && !is_refused {
            is_refused = true;
            return Fate::Fail(Errno::OPNOTSUPP.raw_os_error());
        }
        let mut noted = noted.lock().unwrap();
        noted.push((call, name));
        if noted.len() == number {
            Fate::Fail(Errno::IO.raw_os_error())
        } else {
            Fate::Pass
        }
    });
    (faults, calls)
}

fn publish(path: &Path, existing: Existing) -> Result<(), IoFailure> {
    let draft = Draft::new(path, Mode::Exact(0o640))?;
    draft.write(|to| to.write_all(NEW))?.map_err(|source| IoFailure {
        call: "write",
        path: path.to_owned(),
        source,
    })?;
    draft.publish(existing)
}

/// The content of each file in a directory, by its name.
fn content(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    entries.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

fn before(with_old: bool) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    if with_old {
        fs::write(directory.path().join("out"), OLD).unwrap();
    }
    directory
}

#[test]
fn a_file_is_durable_before_it_has_its_name_and_its_name_is_afterwards() {
    use Existing::{InTheWay, Replaced};
    use Names::{AtOnce, Later};
    let named: &[_] = &["open", "fchmod", "write", "fsync", "rename"];
    let linked: &[_] = &["open", "fchmod", "write", "fsync", "linkat"];
    let linked_and_renamed: &[_] = &["open", "fchmod", "write", "fsync", "linkat", "linkat", "rename"];
    for (names, existing, with_old, expected) in [
        (Later, InTheWay, false, linked),
        (Later, Replaced, false, linked),
        (Later, Replaced, true, linked_and_renamed),
        (AtOnce, InTheWay, false, named),
        (AtOnce, Replaced, false, named),
        (AtOnce, Replaced, true, named),
    ] {
        let directory = before(with_old);
        let (faults, calls) = failing_at(directory.path(), names, usize::MAX);
        let path = directory.path().join("out");
        publish(&path, existing).unwrap();
        drop(faults);
        let calls = calls.lock().unwrap().clone();
        let of_file: Vec<_> = calls
            .iter()
            .filter(|(_, name)| name == "out")
            .map(|(call, _)| *call)
            .collect();
        assert_eq!(of_file, expected, "{names:?} {existing:?} {with_old}");
        let of_directory: Vec<_> = calls
            .iter()
            .filter(|(_, name)| name != "out")
            .map(|(call, _)| *call)
            .collect();
        let expected = ["open", "fstat", "open", "fsync"];
        assert_eq!(of_directory, expected, "{names:?} {existing:?} {with_old}");
        assert_eq!(calls.last().unwrap().0, "fsync", "{names:?} {existing:?} {with_old}");
        assert_eq!(content(directory.path()), [("out".to_owned(), NEW.to_vec())]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }
}

#[test]
fn what_is_in_the_way_stays_and_no_draft_is_left() {
    for names in [Names::Later, Names::AtOnce] {
        let directory = before(true);
        let (faults, _) = failing_at(directory.path(), names, usize::MAX);
        let failure = publish(&directory.path().join("out"), Existing::InTheWay).unwrap_err();
        drop(faults);
        assert_eq!(failure.source.kind(), std::io::ErrorKind::AlreadyExists, "{names:?}");
        assert_eq!(
            content(directory.path()),
            [("out".to_owned(), OLD.to_vec())],
            "{names:?}"
        );
    }
}

/// How something is published.
type Publishing = fn(&Path) -> Result<(), IoFailure>;

#[test]
fn any_call_that_fails_leaves_the_old_file_or_the_new_one_and_no_draft_and_no_sync_is_repeated() {
    let ways: [Publishing; 3] = [
        |path| publish(path, Existing::Replaced),
        |path| publish(path, Existing::InTheWay),
        |path| replace_at(path, NEW, Mode::Umasked(0o600)),
    ];
    for (way, publish) in ways.into_iter().enumerate() {
        let with_old = way != 1;
        for names in [Names::Later, Names::AtOnce] {
            for number in 1.. {
                let directory = before(with_old);
                let (faults, calls) = failing_at(directory.path(), names, number);
                let path = directory.path().join("out");
                let outcome = publish(&path);
                drop(faults);
                let calls = calls.lock().unwrap().clone();
                let Some((call, name)) = calls.get(number - 1).cloned() else {
                    outcome.unwrap();
                    break;
                };
                let case = format!("way {way}, {names:?}, call {number}, {call} on {name}");
                let failure = outcome.expect_err(&case);
                let failed_on = failure.path.file_name().unwrap().to_string_lossy();
                assert_eq!((failure.call, &*failed_on), (call, &*name), "{case}");
                let is_new = call == "fsync" && name != "out";
                let expected = match (is_new, with_old) {
                    (true, _) => vec![("out".to_owned(), NEW.to_vec())],
                    (false, true) => vec![("out".to_owned(), OLD.to_vec())],
                    (false, false) => Vec::new(),
                };
                assert_eq!(content(directory.path()), expected, "{case}");
                assert_eq!(calls.len(), number, "{case}: something follows: {calls:?}");
            }
        }
    }
}
