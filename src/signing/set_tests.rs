//! A ledger that moves: whichever call fails on the way, no entry is lost, at most one side signs, and the same call finishes it.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;

use super::Signer;
use super::tests::make_key;
use crate::error::{Error, Reason, Result};
use crate::faults::{Fate, Faults};
use crate::files::directory_tests::copy_directory as copy;
use crate::keydir::KeyDir;
use crate::ledger::{Export, LedgerCondition, SetLedger, import, init, move_in, move_out, show};
use crate::units::Epoch;
use keymill_xmss::Signature;

const A: [u8; 32] = [1; 32];
const B: [u8; 32] = [2; 32];
/// Calls that change something. Whether another one fails, or the one before it was the last, is the same.
const CHANGES: [&str; 13] = [
    "a synced write",
    "creation",
    "removal",
    "rename",
    "link",
    "linkat",
    "unlink",
    "mkdir",
    "write",
    "ftruncate",
    "fsync",
    "fdatasync",
    "fchmod",
];

/// Two keys in a directory, of which each has signed with its epochs 1 and 2.
static MADE: LazyLock<TempDir> = LazyLock::new(|| {
    let place = tempfile::tempdir().unwrap();
    for (name, seed) in [("one", 3), ("other", 4)] {
        let key = place.path().join(name);
        std::fs::create_dir(&key).unwrap();
        make_key(&key, seed);
        let mut signer = Signer::open(&key).unwrap();
        signer.sign(Epoch(1), &A).unwrap();
        signer.sign(Epoch(2), &B).unwrap();
    }
    place
});

/// A set of two keys with ledgers of their own.
struct Set {
    _place: TempDir,
    path: PathBuf,
    one: PathBuf,
    other: PathBuf,
}

fn set() -> Set {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("set");
    copy(MADE.path(), &path);
    Set {
        one: path.join("one"),
        other: path.join("other"),
        path,
        _place: place,
    }
}

/// The same with both ledgers in that of the set.
fn moved() -> Set {
    let set = set();
    for key in [&set.one, &set.other] {
        move_in(key, &set.path).unwrap();
    }
    set
}

fn sign(key: &Path, epoch: u32, message: [u8; 32]) -> Result<Signature> {
    Signer::open(key)?.sign(Epoch(epoch), &message)
}

fn reason(outcome: &Result<Signature>) -> Reason {
    outcome.as_ref().map_or_else(Error::reason, |_| Reason::Other)
}

/// Whether a key signs from its directory alone, as where no set is around it.
fn signs_alone(key: &Path) -> bool {
    let place = tempfile::tempdir().unwrap();
    let alone = place.path().join("alone");
    copy(key, &alone);
    sign(&alone, 100, A).is_ok()
}

/// Whether a key signs by the ledger of the set, looked at in a copy.
fn signs_in_set(set: &Path, name: &str) -> bool {
    let place = tempfile::tempdir().unwrap();
    let copied = place.path().join("set");
    copy(set, &copied);
    let admitted = SetLedger::open(&copied).and_then(|mut ledger| {
        let key = KeyDir::open_sealed(&copied.join(name))?;
        ledger.admit(&key)
    });
    admitted.is_ok() && sign(&copied.join(name), 101, A).is_ok()
}

/// What was signed stays signed, and nothing else is.
fn knows_what_it_signed(key: &Path, case: &str) {
    let status = show(key).unwrap();
    assert_eq!((status.condition, status.spent), (LedgerCondition::Sound, 2), "{case}");
    assert_eq!(reason(&sign(key, 1, B)), Reason::Spent, "{case}");
    assert_eq!(reason(&sign(key, 2, A)), Reason::Spent, "{case}");
    sign(key, 2, B).unwrap();
}

#[test]
fn a_ledger_moves_in_and_out_and_knows_at_each_place_what_it_has_signed() {
    let set = set();
    let first = sign(&set.one, 1, A).unwrap();
    let report = move_in(&set.one, &set.path).unwrap();
    assert_eq!((report.moves, report.spent, report.was_there), (1, 2, false));
    assert!(move_in(&set.one, &set.path).unwrap().was_there);
    assert!(!signs_alone(&set.one));
    assert_eq!(show(&set.one).unwrap().set.unwrap(), set.path);
    knows_what_it_signed(&set.one, "in");
    assert_eq!(sign(&set.one, 1, A).unwrap(), first);
    sign(&set.one, 3, A).unwrap();
    let report = move_out(&set.one).unwrap();
    assert_eq!((report.moves, report.spent, report.was_there), (2, 3, false));
    assert!(move_out(&set.one).unwrap().was_there);
    assert_eq!(reason(&sign(&set.one, 3, B)), Reason::Spent);
    sign(&set.one, 4, A).unwrap();
    assert_eq!(move_in(&set.one, &set.path).unwrap().moves, 3);
    let status = show(&set.one).unwrap();
    assert_eq!((status.spent, status.highest), (4, Some(4)));
    assert_eq!(reason(&sign(&set.one, 4, B)), Reason::Spent);
    // The other one was never asked.
    assert!(show(&set.other).unwrap().set.is_none());
    knows_what_it_signed(&set.other, "beside");
}

/// Lets each call of a move that changes something fail, before it is made and after.
fn each_call(begin: fn() -> Set, step: fn(&Set) -> Result<()>, check: impl Fn(&Set, &str)) {
    let calls = {
        let set = begin();
        let faults = Faults::below(&set.path, |_, _| Fate::Pass);
        step(&set).unwrap();
        faults.seen()
    };
    let mut injected = 0;
    let changes = calls
        .iter()
        .enumerate()
        .filter(|(_, call)| CHANGES.contains(&call.call));
    for (number, call) in changes {
        for fate in [Fate::Fail(5), Fate::FailAfterwards(28)] {
            let case = format!("call {number}, {} of '{}', {fate:?}", call.call, call.path.display());
            let set = begin();
            let mut made = 0;
            let faults = Faults::below(&set.path, move |_, _| {
                made += 1;
                if made == number + 1 { fate } else { Fate::Pass }
            });
            let ended = step(&set);
            injected += u32::from(faults.seen().iter().any(|seen| seen.is_injected));
            drop(faults);
            assert!(
                !(signs_alone(&set.one) && signs_in_set(&set.path, "one")),
                "{case}: both sides sign"
            );
            if ended.is_err() {
                step(&set).unwrap_or_else(|error| panic!("{case}: {error}"));
            }
            check(&set, &case);
        }
    }
    assert!(injected > 20, "{injected}");
}

#[test]
fn whichever_call_of_a_move_into_a_set_fails_at_most_one_side_signs_and_the_same_call_finishes_it() {
    let step = |set: &Set| move_in(&set.one, &set.path).map(drop);
    each_call(set, step, |set, case| {
        assert!(!signs_alone(&set.one), "{case}");
        assert!(show(&set.one).unwrap().set.is_some(), "{case}");
        knows_what_it_signed(&set.one, case);
    });
}

#[test]
fn whichever_call_of_a_move_out_of_a_set_fails_at_most_one_side_signs_and_the_same_call_finishes_it() {
    let step = |set: &Set| move_out(&set.one).map(drop);
    each_call(moved, step, |set, case| {
        assert!(!signs_in_set(&set.path, "one"), "{case}");
        assert!(show(&set.one).unwrap().set.is_none(), "{case}");
        knows_what_it_signed(&set.one, case);
        knows_what_it_signed(&set.other, case);
    });
}

#[test]
fn a_ledger_of_a_set_that_was_taken_back_signs_nothing() {
    let set = moved();
    let ledger = set.path.join("ledger");
    let place = tempfile::tempdir().unwrap();
    let before = place.path().join("before");
    copy(&ledger, &before);
    sign(&set.one, 10, A).unwrap();
    sign(&set.other, 10, A).unwrap();
    let now = place.path().join("now");
    copy(&ledger, &now);
    let put_back = |part: &str, from: &Path| {
        let to = ledger.join(part);
        if to.is_dir() {
            std::fs::remove_dir_all(&to).unwrap();
            copy(&from.join(part), &to);
        } else {
            std::fs::copy(from.join(part), &to).unwrap();
        }
    };
    for part in ["state", "set.mark"] {
        put_back(part, &before);
        for key in [&set.one, &set.other] {
            assert_eq!(reason(&sign(key, 11, A)), Reason::WentBackwards, "{part}");
            assert_eq!(show(key).unwrap().condition, LedgerCondition::Moved, "{part}");
            assert_eq!(move_out(key).unwrap_err().reason(), Reason::WentBackwards, "{part}");
            assert!(Export::open(key).is_err(), "{part}");
        }
        put_back(part, &now);
        knows_and_goes_on(&set);
    }
    std::fs::remove_file(ledger.join("set.mark")).unwrap();
    assert_eq!(reason(&sign(&set.one, 11, A)), Reason::MarkMissing);
    put_back("set.mark", &now);
    knows_and_goes_on(&set);
}

fn knows_and_goes_on(set: &Set) {
    for key in [&set.one, &set.other] {
        assert_eq!(show(key).unwrap().condition, LedgerCondition::Sound);
        assert_eq!(reason(&sign(key, 10, B)), Reason::Spent);
    }
}

#[test]
fn a_set_whose_ledger_is_older_than_the_arrival_of_a_key_does_not_take_the_key_as_it_is() {
    let set = set();
    move_in(&set.other, &set.path).unwrap();
    let place = tempfile::tempdir().unwrap();
    let before = place.path().join("before");
    copy(&set.path.join("ledger"), &before);
    move_in(&set.one, &set.path).unwrap();
    sign(&set.one, 10, A).unwrap();
    std::fs::remove_dir_all(set.path.join("ledger")).unwrap();
    copy(&before, &set.path.join("ledger"));
    // Ledger and mark fit each other, and only the key knows that it was there.
    assert_eq!(reason(&sign(&set.one, 10, B)), Reason::WentBackwards);
    assert_eq!(
        move_in(&set.one, &set.path).unwrap_err().reason(),
        Reason::WentBackwards
    );
    assert_eq!(move_out(&set.one).unwrap_err().reason(), Reason::WentBackwards);
    knows_what_it_signed(&set.other, "the other one");
}

#[test]
fn an_old_copy_of_a_key_directory_that_is_put_back_is_refused() {
    let set = set();
    let place = tempfile::tempdir().unwrap();
    let old = place.path().join("old");
    copy(&set.one, &old);
    let put_back = |from: &Path| {
        std::fs::remove_dir_all(&set.one).unwrap();
        copy(from, &set.one);
    };
    move_in(&set.one, &set.path).unwrap();
    let within = place.path().join("within");
    copy(&set.one, &within);
    sign(&set.one, 10, A).unwrap();
    // From before its ledger moved: neither by itself nor by the set, before the set has taken it for its own again.
    put_back(&old);
    assert_eq!(reason(&sign(&set.one, 10, B)), Reason::WentBackwards);
    assert_eq!(show(&set.one).unwrap().condition, LedgerCondition::WentBackwards);
    let mut ledger = SetLedger::open(&set.path).unwrap();
    let refused = ledger.admit(&KeyDir::open_sealed(&set.one).unwrap()).unwrap_err();
    assert_eq!(refused.reason(), Reason::WentBackwards);
    drop(ledger);
    assert!(init(&set.one, 200).is_err());
    move_in(&set.one, &set.path).unwrap();
    assert_eq!(reason(&sign(&set.one, 10, B)), Reason::Spent);
    // From while it was there, after it has left.
    move_out(&set.one).unwrap();
    let out = place.path().join("out");
    copy(&set.one, &out);
    put_back(&within);
    assert!(sign(&set.one, 11, A).is_err());
    put_back(&old);
    assert_eq!(reason(&sign(&set.one, 10, B)), Reason::WentBackwards);
    put_back(&out);
    assert_eq!(reason(&sign(&set.one, 10, B)), Reason::Spent);
    sign(&set.one, 12, A).unwrap();
}

#[test]
fn an_old_copy_that_has_signed_by_itself_is_not_taken_for_the_key_of_the_set() {
    let set = set();
    let place = tempfile::tempdir().unwrap();
    let old = place.path().join("old");
    copy(&set.one, &old);
    move_in(&set.one, &set.path).unwrap();
    sign(&old, 10, A).unwrap();
    std::fs::remove_dir_all(&set.one).unwrap();
    copy(&old, &set.one);
    assert_eq!(
        move_in(&set.one, &set.path).unwrap_err().reason(),
        Reason::WentBackwards
    );
    // What it has signed is of use all the same.
    let text: String = Export::open(&old)
        .unwrap()
        .lines()
        .unwrap()
        .collect::<Result<_>>()
        .unwrap();
    assert!(text.contains("\"10\""));
}

#[test]
fn a_key_of_a_set_is_exported_imported_and_begun_through_the_ledger_of_the_set() {
    let set = moved();
    let read = |key: &Path| -> String {
        let export = Export::open(key).unwrap();
        export.lines().unwrap().collect::<Result<_>>().unwrap()
    };
    let text = read(&set.one);
    let report = import(&set.one, Path::new("ledger"), text.as_bytes()).unwrap();
    assert_eq!((report.added, report.known, report.initialised), (0, 2, true));
    let more = text.replace("\"epoch\":\"2\"", "\"epoch\":\"7\"");
    let report = import(&set.one, Path::new("ledger"), more.as_bytes()).unwrap();
    assert_eq!((report.added, report.known), (1, 1), "{more}");
    assert_eq!(reason(&sign(&set.one, 7, A)), Reason::Spent);
    assert_eq!(init(&set.one, 50).unwrap(), Some(50));
    assert_eq!(reason(&sign(&set.one, 49, A)), Reason::BeforeHistory);
    sign(&set.one, 50, A).unwrap();
    assert_eq!(show(&set.one).unwrap().spent, 4);
    knows_what_it_signed(&set.other, "the other one");
    move_out(&set.one).unwrap();
    assert_eq!(show(&set.one).unwrap().first_epoch, Some(50));
    assert_eq!(reason(&sign(&set.one, 7, A)), Reason::Spent);
}

#[test]
fn a_key_whose_set_has_lost_its_ledger_begins_its_own_again_above_all_that_it_knows() {
    let set = moved();
    let place = tempfile::tempdir().unwrap();
    let kept = place.path().join("kept");
    copy(&set.path.join("ledger"), &kept);
    std::fs::remove_dir_all(set.path.join("ledger")).unwrap();
    assert_eq!(reason(&sign(&set.one, 1, A)), Reason::Lost);
    assert_eq!(show(&set.one).unwrap().condition, LedgerCondition::Moved);
    let refused = init(&set.one, 2).unwrap_err();
    assert_eq!(refused.reason(), Reason::TooLow { least: 3 });
    assert_eq!(init(&set.one, 30).unwrap(), Some(30));
    sign(&set.one, 30, A).unwrap();
    // Found again, it does not let this key sign, and the other one as before.
    copy(&kept, &set.path.join("ledger"));
    assert!(!signs_in_set(&set.path, "one"));
    assert_eq!(reason(&sign(&set.one, 30, B)), Reason::Spent);
    knows_what_it_signed(&set.other, "the other one");
}

#[test]
fn a_secret_does_not_leave_while_a_set_lets_its_key_sign() {
    let set = moved();
    let key = KeyDir::open_sealed(&set.one).unwrap();
    assert_eq!(key.note_elsewhere().unwrap_err().reason(), Reason::LedgerMoved);
    move_out(&set.one).unwrap();
    assert!(key.note_elsewhere().unwrap());
    move_in(&set.one, &set.path).unwrap();
    assert_eq!(show(&set.one).unwrap().condition, LedgerCondition::NoHistory);
    move_out(&set.one).unwrap();
    assert_eq!(show(&set.one).unwrap().condition, LedgerCondition::NoHistory);
}

#[test]
fn two_processes_do_not_sign_by_one_ledger_of_a_set() {
    let set = moved();
    let signer = Signer::open(&set.one).unwrap();
    assert_eq!(reason(&sign(&set.other, 9, A)), Reason::Locked);
    assert_eq!(move_out(&set.other).unwrap_err().reason(), Reason::Locked);
    drop(signer);
    sign(&set.other, 9, A).unwrap();
}
