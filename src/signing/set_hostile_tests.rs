//! Marks and records of the ledger of a set that are not what keymill has written: whatever they are, nothing signs twice.

use std::path::{Path, PathBuf};

use sha3::{Digest, Sha3_256};
use tempfile::TempDir;

use super::Signer;
use super::tests::make_key;
use crate::error::Reason;
use crate::failure::FailureKind;
use crate::files::Entry;
use crate::files::directory_tests::copy_directory as copy;
use crate::keydir::KeyDir;
use crate::ledger::{LedgerCondition, SetLedger, move_in, show};
use crate::state::Store;
use crate::units::Epoch;

const A: [u8; 32] = [1; 32];
const B: [u8; 32] = [2; 32];

/// A set of one key, which has signed with its epoch 3.
struct Set {
    _place: TempDir,
    path: PathBuf,
    key: PathBuf,
}

fn set() -> Set {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("set");
    let key = path.join("key");
    std::fs::create_dir_all(&key).unwrap();
    make_key(&key, 5);
    move_in(&key, &path).unwrap();
    Signer::open(&key).unwrap().sign(Epoch(3), &A).unwrap();
    Set {
        _place: place,
        path,
        key,
    }
}

/// The store of the ledger of a set, bound as docs/FORMAT.md says.
fn store(set: &Set) -> Store {
    let mark = std::fs::read_to_string(set.path.join("ledger/set.mark")).unwrap();
    let id = mark.lines().find_map(|line| line.strip_prefix("set ")).unwrap();
    let binding = Sha3_256::new()
        .chain_update(b"keymill/1 set ledger")
        .chain_update(hex::decode(id).unwrap());
    let state = Entry::of(&set.path.join("ledger/state")).unwrap();
    Store::open(&state, &binding.finalize().into()).unwrap()
}

/// What bytes can become: each of them another one, cut at each place, nothing, and far more than there were.
fn changed(bytes: &[u8]) -> Vec<Vec<u8>> {
    let flipped = (0..bytes.len()).map(|at| {
        let mut other = bytes.to_vec();
        other[at] ^= 1 << (at % 8);
        other
    });
    let cut = (0..bytes.len()).step_by(5).map(|length| bytes[..length].to_vec());
    let huge = [vec![0xff; 1 << 20], [bytes, &[0; 1 << 16]].concat()];
    flipped.chain(cut).chain(huge).collect()
}

/// The set takes no signer, and says what can be done.
#[track_caller]
fn is_refused(set: &Set, case: &str) {
    let Err(error) = Signer::open(&set.key).and_then(|mut signer| signer.sign(Epoch(3), &B)) else {
        panic!("{case}: a second message was signed");
    };
    assert_eq!(error.kind(), FailureKind::Directory, "{case}: {error}");
    assert_ne!(error.reason(), Reason::Locked, "{case}: {error}");
    assert!(!error.remedies().is_empty(), "{case}: {error}");
}

/// Puts each of these in the place of a record, and the record back.
fn each_record(set: &Set, family: &'static str, key: &[u8], check: impl Fn(&Set, &str)) {
    let written = store(set).bytes(family, key).unwrap().unwrap();
    for (number, bytes) in changed(&written).into_iter().enumerate() {
        store(set).put_bytes(family, key, &bytes).unwrap();
        check(set, &format!("{family}, change {number}"));
    }
    store(set).put_bytes(family, key, &written).unwrap();
}

fn key_id(key: &Path) -> [u8; 16] {
    KeyDir::open_sealed(key).unwrap().manifest().key_id().0
}

#[test]
fn a_changed_record_of_the_ledger_of_a_set_signs_nothing() {
    let set = set();
    let key = key_id(&set.key);
    // Of the head, what it says of the mark before may be anything while the mark is that of today.
    each_record(&set, "meta", b"set", |set, case| {
        let signed = Signer::open(&set.key).and_then(|mut signer| signer.sign(Epoch(3), &B));
        assert!(signed.is_err(), "{case}");
    });
    each_record(&set, "keys", &key, |set, case| is_refused(set, case));
    let signed = Signer::open(&set.key).unwrap().sign(Epoch(3), &A);
    assert!(signed.is_ok(), "the records that were written are there again");
}

#[test]
fn a_changed_entry_of_the_ledger_of_a_set_signs_no_second_message_and_is_found_by_whoever_looks() {
    let set = set();
    let entry = [&key_id(&set.key)[..], &3u32.to_be_bytes()].concat();
    each_record(&set, "ledger", &entry, |set, case| {
        let signed = Signer::open(&set.key).and_then(|mut signer| signer.sign(Epoch(3), &B));
        assert!(signed.is_err(), "{case}");
        assert_eq!(show(&set.key).unwrap().condition, LedgerCondition::Moved, "{case}");
    });
    assert_eq!(show(&set.key).unwrap().condition, LedgerCondition::Sound);
}

#[test]
fn a_changed_mark_of_the_ledger_of_a_set_signs_nothing() {
    let set = set();
    let mark = set.path.join("ledger/set.mark");
    let written = std::fs::read(&mark).unwrap();
    for (number, bytes) in changed(&written).into_iter().enumerate() {
        std::fs::write(&mark, bytes).unwrap();
        is_refused(&set, &format!("change {number}"));
    }
    std::fs::remove_file(&mark).unwrap();
    std::fs::create_dir(&mark).unwrap();
    is_refused(&set, "a directory");
    std::fs::remove_dir(&mark).unwrap();
    std::fs::write(&mark, written).unwrap();
    Signer::open(&set.key).unwrap().sign(Epoch(3), &A).unwrap();
}

#[test]
fn the_ledger_of_another_set_lets_no_key_sign() {
    let (one, other) = (set(), set());
    let ledger = one.path.join("ledger");
    let kept = one.path.with_file_name("kept");
    std::fs::rename(&ledger, &kept).unwrap();
    // That of a set with an older copy of the very key, which has signed nothing else, and knows it by its number of moves.
    copy(&other.path.join("ledger"), &ledger);
    let refused = Signer::open(&one.key).map(drop).unwrap_err();
    assert_eq!(refused.reason(), Reason::LedgerMoved, "{refused}");
    is_refused(&one, "the ledger of another set");
    // Its store alone, and its mark alone.
    for part in ["state", "set.mark"] {
        let _ = std::fs::remove_dir_all(&ledger);
        copy(&kept, &ledger);
        let (from, to) = (other.path.join("ledger").join(part), ledger.join(part));
        if to.is_dir() {
            std::fs::remove_dir_all(&to).unwrap();
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
        is_refused(&one, part);
    }
    std::fs::remove_dir_all(&ledger).unwrap();
    std::fs::rename(&kept, &ledger).unwrap();
    Signer::open(&one.key).unwrap().sign(Epoch(3), &A).unwrap();
}

#[test]
fn opening_the_ledger_of_a_set_reads_none_of_its_entries_unless_some_are_missing() {
    use crate::faults::{Fate, Faults};

    let set = set();
    let reads = || {
        let faults = Faults::below(&set.path, |_, _| Fate::Pass);
        let opened = SetLedger::open(&set.path).map(drop);
        let reads = faults.seen().iter().filter(|seen| seen.call == "reading").count();
        (reads, opened)
    };
    let (few, opened) = reads();
    opened.unwrap();
    let mut signer = Signer::open(&set.key).unwrap();
    for epoch in 100..200 {
        signer.sign(Epoch(epoch), &A).unwrap();
    }
    drop(signer);
    let (many, opened) = reads();
    opened.unwrap();
    assert_eq!(many, few);
    // One is gone, and what counts it is there.
    let entry = [&key_id(&set.key)[..], &150u32.to_be_bytes()].concat();
    store(&set).remove_bytes("ledger", &entry).unwrap();
    let (all, opened) = reads();
    assert!(all > few + 90, "{all}");
    assert_eq!(opened.unwrap_err().reason(), Reason::WentBackwards);
}
