//! The ledger of a set that is damaged or lost: what a check says of its keys, and how each of them begins again.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Damage, check};
use crate::error::{Error, Reason, Result};
use crate::files::directory_tests::copy_directory as copy;
use crate::keygen::JobOptions;
use crate::ledger::{LedgerCondition, init, move_in, move_out, show};
use crate::remedy::Remedy;
use crate::signing::Signer;
use crate::signing::tests::make_key;
use crate::units::Epoch;
use keymill_xmss::Signature;

const A: [u8; 32] = [1; 32];
const B: [u8; 32] = [2; 32];

struct Set {
    _place: TempDir,
    path: PathBuf,
    one: PathBuf,
    other: PathBuf,
    /// Its ledger before the last epochs signed.
    old: PathBuf,
    /// Its newest ledger.
    newest: PathBuf,
}

/// A set of two keys. Each signed with epoch 1 by itself, with 5 by the set, and with 9 by the set after its ledger was copied.
fn set() -> Set {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("set");
    let (one, other) = (path.join("one"), path.join("other"));
    for (key, seed) in [(&one, 7), (&other, 8)] {
        std::fs::create_dir_all(key).unwrap();
        make_key(key, seed);
        sign(key, 1, A).unwrap();
        move_in(key, &path).unwrap();
        sign(key, 5, A).unwrap();
    }
    let (old, newest) = (place.path().join("old"), place.path().join("newest"));
    copy(&path.join("ledger"), &old);
    for key in [&one, &other] {
        sign(key, 9, A).unwrap();
    }
    copy(&path.join("ledger"), &newest);
    Set {
        _place: place,
        path,
        one,
        other,
        old,
        newest,
    }
}

fn sign(key: &Path, epoch: u32, message: [u8; 32]) -> Result<Signature> {
    Signer::open(key)?.sign(Epoch(epoch), &message)
}

fn reason(outcome: &Result<Signature>) -> Reason {
    outcome.as_ref().map_or_else(Error::reason, |_| Reason::Other)
}

fn replace(from: &Path, to: &Path) {
    std::fs::remove_dir_all(to).unwrap();
    copy(from, to);
}

/// Spoils every file of a store whose name ends so.
fn spoil(state: &Path, ending: &str) {
    let mut spoiled = 0;
    for entry in std::fs::read_dir(state).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(ending) {
            let length = std::fs::metadata(&path).unwrap().len() as usize;
            std::fs::write(&path, vec![0x5a; length]).unwrap();
            spoiled += 1;
        }
    }
    assert!(spoiled > 0, "{ending}");
}

/// What becomes of the ledger of a set, and the lowest epoch above all that is then still known of a key.
type Loss = (&'static str, fn(&Set), u64);

const LOSSES: [Loss; 7] = [
    (
        "it is gone",
        |set| std::fs::remove_dir_all(set.path.join("ledger")).unwrap(),
        2,
    ),
    (
        "no mark",
        |set| std::fs::remove_file(set.path.join("ledger/set.mark")).unwrap(),
        10,
    ),
    (
        "a mark that is none",
        |set| std::fs::write(set.path.join("ledger/set.mark"), "x").unwrap(),
        10,
    ),
    (
        "no store",
        |set| std::fs::remove_dir_all(set.path.join("ledger/state")).unwrap(),
        2,
    ),
    (
        "an older store",
        |set| replace(&set.old.join("state"), &set.path.join("ledger/state")),
        6,
    ),
    (
        "no list of files",
        |set| std::fs::remove_file(set.path.join("ledger/state/CURRENT")).unwrap(),
        2,
    ),
    (
        "tables of nonsense",
        |set| spoil(&set.path.join("ledger/state"), ".sst"),
        2,
    ),
];

#[test]
fn a_ledger_of_a_set_that_is_damaged_is_told_by_each_of_its_keys_and_each_begins_above_all_that_can_be_read() {
    for (case, lose, least) in LOSSES {
        let set = set();
        lose(&set);
        for key in [&set.one, &set.other] {
            let refused = sign(key, 20, A).unwrap_err();
            let begin = Remedy::LedgerInit(key.clone());
            assert!(refused.remedies().contains(&begin), "{case}: {refused}");
            assert!(
                refused
                    .remedies()
                    .iter()
                    .any(|remedy| matches!(remedy, Remedy::PutBack(_))),
                "{case}: {refused}"
            );
            let status = show(key).unwrap();
            assert_eq!(status.condition, LedgerCondition::Moved, "{case}");
            assert!(status.remedies.contains(&begin), "{case}");
            let report = check(key.as_path(), false, JobOptions::default()).unwrap();
            let is_told = |damage: &Damage| damage.remedies.contains(&begin);
            assert!(report.damage.iter().any(is_told), "{case}: {:?}", report.damage);
            // Nothing signs below what is still known, whatever is asked for.
            match init(key, 0).unwrap_err().reason() {
                Reason::TooLow { least: found } => assert!(found >= least, "{case}: {found}"),
                reason => panic!("{case}: {reason:?}"),
            }
            init(key, 12).unwrap();
            for epoch in [1, 5, 9] {
                let reason = reason(&sign(key, epoch, B));
                assert!(
                    matches!(reason, Reason::Spent | Reason::BeforeHistory),
                    "{case}: epoch {epoch}: {reason:?}"
                );
            }
            sign(key, 1, A).unwrap();
            if least > 5 {
                sign(key, 5, A).unwrap();
            }
            sign(key, 12, A).unwrap();
        }
        // The newest ledger, found again, lets neither of them sign: they have ledgers of their own.
        let _ = std::fs::remove_dir_all(set.path.join("ledger"));
        copy(&set.newest, &set.path.join("ledger"));
        for key in [&set.one, &set.other] {
            assert_eq!(reason(&sign(key, 12, B)), Reason::Spent, "{case}");
            assert!(show(key).unwrap().set.is_none(), "{case}");
        }
    }
}

#[test]
fn keys_whose_set_has_lost_its_ledger_move_into_a_new_one_when_they_have_begun_again() {
    let set = set();
    spoil(&set.path.join("ledger/state"), ".sst");
    for key in [&set.one, &set.other] {
        init(key, 12).unwrap();
    }
    std::fs::rename(set.path.join("ledger"), set.path.with_file_name("damaged")).unwrap();
    for key in [&set.one, &set.other] {
        move_in(key, &set.path).unwrap();
        assert_eq!(show(key).unwrap().set.unwrap(), set.path);
        assert_eq!(reason(&sign(key, 9, B)), Reason::BeforeHistory);
        assert_eq!(reason(&sign(key, 1, B)), Reason::Spent);
        sign(key, 12, A).unwrap();
    }
}

#[test]
fn an_old_copy_of_a_key_is_not_advised_to_begin_again_where_its_set_knows_better() {
    let set = set();
    let old = set.path.with_file_name("old-copy");
    copy(&set.one, &old);
    move_out(&set.one).unwrap();
    move_in(&set.one, &set.path).unwrap();
    replace(&old, &set.one);
    let refused = sign(&set.one, 20, A).unwrap_err();
    assert_eq!(refused.reason(), Reason::WentBackwards);
    let begin = Remedy::LedgerInit(set.one.clone());
    assert!(!refused.remedies().contains(&begin), "{refused}");
    assert!(!show(&set.one).unwrap().remedies.contains(&begin));
    assert!(init(&set.one, 100).is_err());
}
