//! The life of a key through power cuts at any call that is made on its small files: manifest, secret, mark and lock, and
//! what is written of it elsewhere.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Exporter;
use super::backup::Backup;
use super::restore::tests::{files, make};
use crate::audit::fixture_tests::{OPTIONS, TestKey, open_request, seeded};
use crate::audit::{check, repair};
use crate::error::Reason;
use crate::files::directory_tests::copy_directory;
use crate::files::publish::{Draft, Existing, Mode, replace_at};
use crate::interop::secret_key::SecretKeyForm;
use crate::keydir::{KeyDir, Origin};
use crate::keygen::tests::cut_short::Work;
use crate::keygen::{CancelHandle, KeyRequest, NoProgress};
use crate::ledger::{Export, LedgerCondition, import, init, show};
use crate::signing::{PathReader, Signer};
use crate::trim::trim;
use crate::units::{Epoch, EpochRange, Level};
use keymill_xmss::scheme::Scheme;

const SECRET_MODE: Mode = Mode::Exact(0o600);
const LATER: Level = Level(3);
const MESSAGES: [[u8; 32]; 2] = [[1; 32], [2; 32]];

fn key(place: &Path) -> PathBuf {
    place.join("key")
}

fn words<T, E: ToString>(outcome: Result<T, E>) -> Result<T, String> {
    outcome.map_err(|error| error.to_string())
}

fn nothing_before(_: &Path) {}

/// The same request for a tiny key, and for one of leanVM over three batches, the first and the last of them not whole, with
/// fillers from level 0 on.
fn in_both_families(request: &KeyRequest) -> [KeyRequest; 2] {
    let of_leanvm = KeyRequest {
        scheme: Some(Scheme::by_id("leanvm-blake2s-l32-ts-v42-w8").unwrap()),
        activation_epoch: Some((1 << 31) - 701),
        epochs: Some(2000),
        ..request.clone()
    };
    [request.clone(), of_leanvm]
}

/// The epoch so many behind the first one of a key.
fn nth(request: &KeyRequest, n: u32) -> Epoch {
    Epoch(request.activation_epoch.unwrap_or_default() as u32 + n)
}

fn made(request: &KeyRequest) -> TestKey {
    let made = TestKey::empty();
    make(&made.path(), request).unwrap();
    made
}

/// A key from fresh randomness, that nobody has signed with.
fn fresh() -> TestKey {
    made(&KeyRequest::default())
}

/// Nothing is wrong with a key.
#[track_caller]
fn is_sound(directory: &Path, case: &str) {
    let report = check(directory, false, OPTIONS).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(report.damage, [], "{case}");
}

#[test]
fn a_key_whose_making_a_power_cut_ends_is_finished_with_the_same_bytes() {
    for request in in_both_families(&seeded(31)) {
        let whole = made(&request);
        let run = |place: &Path| words(make(&key(place), &request));
        Work {
            before: &nothing_before,
            done: &|place| ((), run(place)),
            holds: &|shown, (), is_finished, case| {
                if is_finished {
                    KeyDir::open_sealed(&key(shown)).unwrap_or_else(|error| panic!("{case}: {error}"));
                }
                run(shown).unwrap_or_else(|error| panic!("{case}: {error}"));
                assert!(files(&key(shown)) == files(&whole.path()), "{case}");
                is_sound(&key(shown), case);
                let condition = show(&key(shown)).unwrap().condition;
                assert_eq!(condition, LedgerCondition::NoHistory, "{case}");
            },
        }
        .is_cut(60);
    }
}

#[test]
fn a_fresh_key_whose_making_a_power_cut_ends_has_no_past_and_loses_no_secret_of_a_public_key_that_was_told() {
    let run = |place: &Path| {
        let job = open_request(&key(place), &KeyRequest::default(), CancelHandle::default());
        match job.and_then(|job| job.run(&NoProgress)) {
            Ok(summary) => (Some(summary.public_key), Ok(())),
            Err(error) => (None, Err(error.to_string())),
        }
    };
    Work {
        before: &nothing_before,
        done: &run,
        holds: &|shown, told, _, case| {
            let (found, ended) = run(shown);
            ended.unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(told.is_none() || *told == found, "{case}: it is another key");
            let status = show(&key(shown)).unwrap();
            assert_eq!(status.manifest.origin(), Origin::Fresh, "{case}");
            assert_eq!(status.condition, LedgerCondition::Sound, "{case}: {:?}", status.problem);
            is_sound(&key(shown), case);
        },
    }
    .is_cut(60);
}

/// Signatures that left, each with its epoch.
type Signatures = Vec<(Epoch, Vec<u8>)>;

/// Signs a message with each epoch. Gives the signatures that left.
fn sign(directory: &Path, message: &[u8; 32], epochs: &[Epoch]) -> (Signatures, Result<(), String>) {
    let mut left = Vec::new();
    let ended = Signer::open(directory).and_then(|mut signer| {
        epochs.iter().try_for_each(|&epoch| {
            let signature = signer.sign(epoch, message)?;
            left.push((epoch, signature.to_ssz()));
            Ok(())
        })
    });
    (left, words(ended))
}

#[test]
fn an_epoch_that_signed_before_a_power_cut_signs_no_other_message_and_the_key_signs_on() {
    for request in in_both_families(&KeyRequest::default()) {
        let made = made(&request);
        let [message, other] = MESSAGES;
        let epochs = [3, 9, 4].map(|n| nth(&request, n));
        Work {
            before: &|place| copy_directory(&made.path(), &key(place)),
            done: &|place| sign(&key(place), &message, &epochs),
            holds: &|shown, signed, _, case| {
                let mut signer = Signer::open(&key(shown)).unwrap_or_else(|error| panic!("{case}: {error}"));
                for (epoch, signature) in signed {
                    let refused = signer.sign(*epoch, &other);
                    let refused = refused.map(drop).map_err(|error| error.reason());
                    assert_eq!(refused, Err(Reason::Spent), "{case}: {epoch:?}");
                    let again = signer.sign(*epoch, &message).unwrap().to_ssz();
                    assert!(again == *signature, "{case}: {epoch:?}");
                }
                signer
                    .sign(nth(&request, 200), &other)
                    .unwrap_or_else(|error| panic!("{case}: {error}"));
            },
        }
        .is_cut(100);
    }
}

#[test]
fn what_was_imported_or_begun_before_a_power_cut_is_known_afterwards() {
    let made = made(&seeded(32));
    let other = made.copy();
    init(&other.path(), 5).unwrap();
    sign(&other.path(), &MESSAGES[0], &[Epoch(5), Epoch(6)]).1.unwrap();
    let text = ledger_text(&other.path());
    let carry = |place: &Path| {
        let mut done = 0;
        let ended = words(import(&key(place), Path::new("ledger"), text.as_bytes())).and_then(|_| {
            done += 1;
            words(init(&key(place), 7).map(drop))
        });
        (done + usize::from(ended.is_ok()), ended)
    };
    Work {
        before: &|place| copy_directory(&made.path(), &key(place)),
        done: &carry,
        holds: &|shown, done, _, case| {
            let status = show(&key(shown)).unwrap();
            let expected = if *done == 2 {
                LedgerCondition::Sound
            } else {
                status.condition
            };
            assert_eq!(status.condition, expected, "{case}");
            assert!(*done == 0 || status.spent == 2, "{case}: {}", status.spent);
            carry(shown).1.unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(sign(&key(shown), &MESSAGES[1], &[Epoch(5)]).1.is_err(), "{case}");
            let (signed, ended) = sign(&key(shown), &MESSAGES[1], &[Epoch(7)]);
            assert_eq!((signed.len(), ended), (1, Ok(())), "{case}");
        },
    }
    .is_cut(60);
}

/// Paths from all over a key.
fn paths(directory: &Path) -> Vec<Vec<u8>> {
    let reader = PathReader::open(directory).unwrap();
    let EpochRange { start, end } = KeyDir::open(directory).unwrap().manifest().plan().stored();
    let path = |epoch| reader.path(Epoch(epoch as u32)).unwrap().siblings;
    (start..end).step_by(17).map(path).collect()
}

#[test]
fn a_trim_that_a_power_cut_ends_leaves_all_paths_and_is_finished_by_the_next() {
    for request in in_both_families(&seeded(33)) {
        let made = made(&request);
        let truth = paths(&made.path());
        let run = |place: &Path| words(trim(&key(place), LATER)).map(drop);
        Work {
            before: &|place| copy_directory(&made.path(), &key(place)),
            done: &|place| ((), run(place)),
            holds: &|shown, (), is_finished, case| {
                assert!(paths(&key(shown)) == truth, "{case}");
                if is_finished {
                    let report = check(&key(shown), false, OPTIONS).unwrap();
                    let trim = KeyDir::open(&key(shown)).unwrap().manifest().plan().trim();
                    assert_eq!((report.left_over, trim), (Vec::new(), LATER), "{case}");
                }
                run(shown).unwrap_or_else(|error| panic!("{case}: {error}"));
                assert!(paths(&key(shown)) == truth, "{case}");
                is_sound(&key(shown), case);
            },
        }
        .is_cut(40);
    }
}

/// Whether the checkpoint store that was found damaged is there, whatever it is called.
fn keeps_store(directory: &Path, identity: &[u8]) -> bool {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut stores = entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("state"));
    stores.any(|store| fs::read(store.join("IDENTITY")).is_ok_and(|found| found == identity))
}

#[test]
fn a_repair_that_a_power_cut_ends_is_finished_by_the_next_and_loses_no_store() {
    for request in in_both_families(&seeded(34)) {
        let damaged = made(&request);
        let whole = damaged.layers();
        let identity = fs::read(damaged.path().join("state/IDENTITY")).unwrap();
        fs::write(damaged.path().join("state/CURRENT"), "MANIFEST-of another store\n").unwrap();
        fs::remove_dir_all(damaged.path().join("layers")).unwrap();
        let run = |place: &Path| words(repair(&key(place), OPTIONS, &CancelHandle::default())).map(drop);
        let is_whole = |directory: &Path| {
            let read = |name: &String| fs::read(directory.join("layers").join(name)).unwrap();
            whole.iter().all(|(name, bytes)| read(name) == *bytes)
        };
        Work {
            before: &|place| copy_directory(&damaged.path(), &key(place)),
            done: &|place| ((), run(place)),
            holds: &|shown, (), is_finished, case| {
                assert!(keeps_store(&key(shown), &identity), "{case}");
                if is_finished {
                    is_sound(&key(shown), case);
                }
                run(shown).unwrap_or_else(|error| panic!("{case}: {error}"));
                is_sound(&key(shown), case);
                assert!(is_whole(&key(shown)), "{case}: layer files differ");
                assert!(keeps_store(&key(shown), &identity), "{case}");
            },
        }
        .is_cut(40);
    }
}

#[test]
fn a_restoration_that_a_power_cut_ends_is_finished_by_the_next_and_vouches_for_nothing() {
    for request in in_both_families(&KeyRequest::default()) {
        let whole = made(&request);
        let backup = Backup::of(&whole.path()).unwrap();
        let run = |place: &Path| {
            let request = words(backup.request(&key(place)))?;
            words(make(&key(place), &request))
        };
        Work {
            before: &nothing_before,
            done: &|place| ((), run(place)),
            holds: &|shown, (), is_finished, case| {
                if is_finished {
                    KeyDir::open_sealed(&key(shown)).unwrap_or_else(|error| panic!("{case}: {error}"));
                }
                run(shown).unwrap_or_else(|error| panic!("{case}: {error}"));
                assert!(files(&key(shown)) == files(&whole.path()), "{case}");
                let condition = show(&key(shown)).unwrap().condition;
                assert_eq!(condition, LedgerCondition::NoHistory, "{case}");
            },
        }
        .is_cut(40);
    }
}

fn ledger_text(directory: &Path) -> String {
    let export = Export::open(directory).unwrap();
    export.lines().unwrap().collect::<Result<_, _>>().unwrap()
}

/// What leaves a key as a file, and how.
struct Leaving {
    content: Vec<u8>,
    mode: Mode,
    existing: Existing,
    is_streamed: bool,
}

impl Leaving {
    fn run(&self, file: &Path) -> Result<(), String> {
        if !self.is_streamed {
            return words(replace_at(file, &self.content, self.mode));
        }
        let draft = words(Draft::new(file, self.mode))?;
        let write = |to: &mut dyn Write| self.content.chunks(50_000).try_for_each(|part| to.write_all(part));
        words(draft.write(write).map(words))??;
        words(draft.publish(self.existing))
    }

    /// An output that is there before stays or is replaced as a whole.
    fn is_cut(&self, before: Option<&[u8]>) {
        let old = before.map(<[u8]>::to_vec);
        Work {
            before: &|place| {
                if let Some(old) = &old {
                    fs::write(place.join("out"), old).unwrap();
                }
            },
            done: &|place| ((), self.run(&place.join("out"))),
            holds: &|shown, (), is_finished, case| {
                let found = fs::read(shown.join("out")).ok();
                let is_new = found.as_ref() == Some(&self.content);
                assert!(
                    is_new || (!is_finished && found == old),
                    "{case}: {:?}",
                    found.map(|found| found.len())
                );
            },
        }
        .is_cut(60);
    }
}

#[test]
fn what_was_written_of_a_key_before_a_power_cut_is_whole_under_its_name_and_nothing_else_ever_is() {
    let made = fresh();
    sign(&made.path(), &MESSAGES[0], &[Epoch(3)]).1.unwrap();
    let exporter = Exporter::open(&made.path()).unwrap();
    let mut secret = Vec::new();
    let window = exporter.window(None).unwrap();
    window.write(SecretKeyForm::HashSigCliJson, &mut secret).unwrap();
    // It is written in several calls.
    secret = secret.repeat(200_000 / secret.len() + 1);
    let ledger = ledger_text(&made.path()).into_bytes();
    let leaving = |content: &[u8], mode, existing, is_streamed| Leaving {
        content: content.to_vec(),
        mode,
        existing,
        is_streamed,
    };
    let open = Mode::Umasked(0o644);
    leaving(&secret, SECRET_MODE, Existing::InTheWay, true).is_cut(None);
    leaving(&secret, SECRET_MODE, Existing::Replaced, true).is_cut(None);
    leaving(&secret, SECRET_MODE, Existing::Replaced, true).is_cut(Some(b"what was there"));
    leaving(&ledger, open, Existing::Replaced, true).is_cut(Some(b"what was there"));
    leaving(&ledger, open, Existing::Replaced, false).is_cut(Some(b"what was there"));
    leaving(&ledger, open, Existing::Replaced, false).is_cut(None);
}
