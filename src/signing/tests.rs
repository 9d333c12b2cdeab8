//! An epoch signs once: whichever call fails, and whatever becomes of the ledger's bytes.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::{PathReader, Signer};
use crate::error::{Reason, Result};
use crate::faults::{Fate, Faults};
use crate::keydir::{KeyDir, KeyPaths, LedgerMark, Manifest, Origin, Secret, commitment};
use crate::layers::Disk;
use crate::ledger::{LedgerCondition, init, show};
use crate::migrations;
use crate::plan::Plan;
use crate::state::Store;
use crate::units::{Epoch, Level, NodeIndex};
use keymill_xmss::Signature;
use keymill_xmss::arena::Arena;
use keymill_xmss::hash::PrfKey;
use keymill_xmss::scheme::Parameter;
use keymill_xmss::scheme::{MESSAGE_BYTES, Scheme};

const A: [u8; MESSAGE_BYTES] = [0xaa; MESSAGE_BYTES];
const B: [u8; MESSAGE_BYTES] = [0xbb; MESSAGE_BYTES];
const EPOCH: Epoch = Epoch(5);
const HEADER_BYTES: usize = 4096;

/// A sealed key of 256 epochs that was made from fresh randomness, as far as its manifest says.
pub(crate) fn key() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    make_key(directory.path(), 3);
    directory
}

/// Makes such a key in an empty directory, from the seed of which each byte is this.
pub(crate) fn make_key(directory: &Path, seed: u8) {
    let paths = KeyPaths::open(directory).unwrap().lock().unwrap();
    let plan = Plan::new(Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap(), 0, 256).unwrap();
    let secret = Secret::Seed([seed; 32]);
    let drawn = secret.draw(&plan, &Parameter::of(&[0; 20]));
    let bound = commitment(&drawn.prf_key);
    let manifest = Manifest::begin(plan, drawn.parameter, bound, Origin::Fresh, drawn.fillers);
    LedgerMark::of_creation(manifest.key_id()).write(&paths).unwrap();
    paths.write_plain(&secret, Origin::Fresh).unwrap();
    manifest.write(&paths).unwrap();
    let manifest = migrations::run(&paths, manifest, &Disk::default(), &migrations::steps(), |_| true).unwrap();
    let kernel = manifest.scheme().kernel(manifest.parameter());
    let digest_bytes = manifest.scheme().digest_bytes();
    let mut nodes = vec![0; 256 * digest_bytes];
    let arena = Arena::new(manifest.scheme().scratch_bytes());
    kernel.leaves(&drawn.prf_key, Epoch(0), &mut nodes, &arena).unwrap();
    for level in 0..=8 {
        if level > 0 {
            let mut parents = vec![0; nodes.len() / 2];
            kernel.parents(Level(level), NodeIndex(0), &nodes, &mut parents);
            nodes = parents;
        }
        let path = paths.layer(Level(level));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[HEADER_BYTES..HEADER_BYTES + nodes.len()].copy_from_slice(&nodes);
        std::fs::write(&path, bytes).unwrap();
    }
    manifest.sealed(nodes).write(&paths).unwrap();
}

fn sign(directory: &Path, epoch: Epoch, message: &[u8; MESSAGE_BYTES]) -> Result<Signature> {
    Signer::open(directory)?.sign(epoch, message)
}

fn spent(directory: &Path) -> u64 {
    show(directory).unwrap().spent
}

fn store(directory: &Path) -> Store {
    let key = KeyDir::open(directory).unwrap();
    Store::open(&key.paths().state(), &key.manifest().binding()).unwrap()
}

fn is_spent(outcome: &Result<Signature>) -> bool {
    outcome
        .as_ref()
        .is_err_and(|error| error.reason() == Reason::Spent && error.to_string().contains("another message at 20"))
}

#[test]
fn the_same_message_gives_the_same_signature_and_no_second_entry() {
    let directory = key();
    let first = sign(directory.path(), EPOCH, &A).unwrap();
    let mut signer = Signer::open(directory.path()).unwrap();
    assert_eq!(signer.sign(EPOCH, &A).unwrap(), first);
    assert!(is_spent(&signer.sign(EPOCH, &B)));
    assert_eq!(signer.sign(EPOCH, &A).unwrap(), first);
    signer.sign(Epoch(6), &A).unwrap();
    drop(signer);
    assert_eq!(spent(directory.path()), 2);
}

/// The calls that signing makes, by name and file.
fn calls_of_signing() -> Vec<(&'static str, String)> {
    let directory = key();
    let mut signer = Signer::open(directory.path()).unwrap();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    let _faults = Faults::below(directory.path(), move |call, path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        noted.lock().unwrap().push((call, name));
        Fate::Pass
    });
    signer.sign(EPOCH, &A).unwrap();
    calls.lock().unwrap().clone()
}

#[test]
fn a_signature_that_fails_at_any_call_leaves_an_epoch_that_signs_one_message() {
    let calls = calls_of_signing();
    let committed = calls.iter().position(|(call, _)| *call == "a synced write").unwrap();
    let renamed = ("rename", "ledger.mark".to_owned());
    let marked = calls.iter().position(|call| *call == renamed).unwrap();
    assert!(marked > committed && calls[marked..].iter().any(|(call, _)| *call == "fsync"));
    for (number, call) in calls.iter().enumerate() {
        for fate in [Fate::Fail(5), Fate::FailAfterwards(5)] {
            let case = format!("call {number} {call:?} {fate:?}");
            let directory = key();
            let mut signer = Signer::open(directory.path()).unwrap();
            let mut made = 0;
            let faults = Faults::below(directory.path(), move |_, _| {
                made += 1;
                if made == number + 1 { fate } else { Fate::Pass }
            });
            let outcome = signer.sign(EPOCH, &A);
            // One that fails by itself, as for a name that is taken, does not fail once more.
            let is_injected = faults.seen().iter().any(|seen| seen.is_injected);
            assert_eq!(outcome.is_err(), is_injected, "{case}");
            drop(faults);
            if is_injected && number >= committed {
                // What is on disk is not known before it is opened again.
                for (epoch, message) in [(EPOCH, &A), (EPOCH, &B), (Epoch(9), &B)] {
                    let refused = signer.sign(epoch, message);
                    let unknown = refused.is_err_and(|error| error.reason() == Reason::Unknown);
                    assert!(unknown, "{case}");
                }
            }
            drop(signer);
            let is_on_disk = number > committed || (number == committed && fate != Fate::Fail(5));
            let (first, second) = if is_on_disk { (A, B) } else { (B, A) };
            if is_on_disk {
                assert!(is_spent(&sign(directory.path(), EPOCH, &second)), "{case}");
            }
            sign(directory.path(), EPOCH, &first).unwrap();
            assert!(is_spent(&sign(directory.path(), EPOCH, &second)), "{case}");
            let status = show(directory.path()).unwrap();
            assert_eq!((status.condition, status.spent), (LedgerCondition::Sound, 1), "{case}");
            assert_eq!(status.marked, Some(1), "{case}");
        }
    }
}

#[test]
fn a_signature_that_does_not_verify_is_withheld_and_its_epoch_stays_spent_on_its_message() {
    let directory = key();
    let mut signer = Signer::open(directory.path()).unwrap();
    signer.replace_prf_key(PrfKey::new([9; 32]));
    let withheld = signer.sign(EPOCH, &A);
    let withheld = withheld.unwrap_err().to_string();
    assert!(withheld.contains("was withheld"), "{withheld}");
    drop(signer);
    assert!(is_spent(&sign(directory.path(), EPOCH, &B)));
    sign(directory.path(), EPOCH, &A).unwrap();
}

#[test]
fn what_fails_before_anything_is_revealed_spends_nothing() {
    let directory = key();
    let path = KeyPaths::open(directory.path()).unwrap().layer(Level(0));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[HEADER_BYTES + EPOCH.0 as usize * 32] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let damaged = sign(directory.path(), EPOCH, &A);
    assert_eq!(damaged.unwrap_err().reason(), Reason::Damaged);
    let outside = sign(directory.path(), Epoch(256), &A);
    assert_eq!(outside.unwrap_err().reason(), Reason::OutsideKey);
    assert_eq!(spent(directory.path()), 0);
}

#[test]
fn an_entry_with_any_byte_changed_or_cut_is_never_taken_for_an_unspent_epoch() {
    let directory = key();
    sign(directory.path(), EPOCH, &A).unwrap();
    let whole = store(directory.path()).ledger_bytes(EPOCH).unwrap().unwrap();
    let flipped = (0..whole.len()).flat_map(|at| {
        [0x01, 0x80].map(|mask| {
            let mut bytes = whole.clone();
            bytes[at] ^= mask;
            bytes
        })
    });
    let cut = (0..whole.len()).map(|length| whole[..length].to_vec());
    let mut cases: Vec<_> = flipped.chain(cut).collect();
    cases.push([&whole[..], &[0]].concat());
    for bytes in cases {
        let key = EPOCH.0.to_be_bytes();
        store(directory.path()).put_bytes("ledger", &key, &bytes).unwrap();
        assert!(sign(directory.path(), EPOCH, &B).is_err(), "{bytes:02x?}");
    }
}

#[test]
fn a_ledger_with_an_entry_that_cannot_be_read_is_not_begun_anew() {
    let directory = key();
    store(directory.path()).put_bytes("ledger", &[0, 0, 1], &[1]).unwrap();
    assert_eq!(init(directory.path(), 255).unwrap_err().reason(), Reason::Damaged);
}

#[test]
fn a_second_signer_is_refused_as_long_as_the_first_one_lives() {
    let directory = key();
    let first = Signer::open(directory.path()).unwrap();
    let refused = Signer::open(directory.path()).err().unwrap().to_string();
    assert!(
        refused.contains(&format!("process {}", std::process::id())),
        "{refused}"
    );
    drop(first);
    sign(directory.path(), EPOCH, &A).unwrap();
}

#[test]
fn a_reader_of_paths_holds_no_descriptor_of_a_layer_file() {
    let directory = key();
    let layers = directory.path().join("layers");
    let held = || {
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
        let files = descriptors.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        files.filter(|file| file.parent() == Some(&*layers)).count()
    };
    let reader = PathReader::open(directory.path()).unwrap();
    assert_eq!(held(), 0);
    assert!(reader.path(EPOCH).is_ok());
    // The test sees those that are open.
    let open = std::fs::File::open(layers.join("00.nodes")).unwrap();
    assert_eq!(held(), 1);
    drop(open);
}
