//! A secret that leaves: whichever call fails, nothing signs beside the file.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::{Exporter, write_leanspec};
use crate::error::Result;
use crate::exchange::restore::tests::make;
use crate::faults::{Fate, Faults};
use crate::interop::Role;
use crate::interop::secret_key::SecretKeyForm;
use crate::keygen::KeyRequest;
use crate::keygen::tests::in_memory;
use crate::ledger::{LedgerCondition, init, show};
use crate::signing::Signer;
use crate::units::Epoch;

const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

fn export(directory: &Path) -> (Result<()>, Vec<u8>) {
    let mut written = Vec::new();
    let exporter = Exporter::open(directory).unwrap();
    let window = exporter.window(None).unwrap();
    let outcome = window.write(SecretKeyForm::LeansigSsz, &mut written);
    (outcome, written)
}

fn signs(directory: &Path) -> bool {
    let mut signer = Signer::open(directory).unwrap();
    signer.sign(Epoch(7), &[7; 32]).is_ok()
}

#[test]
fn an_export_of_which_any_call_fails_leaves_nothing_that_signs_beside_the_file() {
    let mut failures = 0;
    for n in 1.. {
        for fate in [Fate::Fail(EIO), Fate::FailAfterwards(EIO)] {
            let place = in_memory();
            let key = place.path().join("key");
            make(&key, &KeyRequest::default()).unwrap();
            let mut made = 0;
            let faults = Faults::below(&key, move |_, _| {
                made += 1;
                if made == n { fate } else { Fate::Pass }
            });
            // Whatever fails while the directory is opened fails before anything leaves.
            let exporter = Exporter::open(&key);
            let mut written = Vec::new();
            let outcome = exporter.and_then(|exporter| {
                let window = exporter.window(None)?;
                window.write(SecretKeyForm::LeansigSsz, &mut written)
            });
            drop(faults);
            let case = format!("call {n}, {fate:?}: {outcome:?}");
            assert_eq!(outcome.is_ok(), !written.is_empty(), "{case}");
            assert!(written.is_empty() || !signs(&key), "{case}");
            if outcome.is_ok() {
                assert!(failures > 8, "only {failures} calls failed");
                return;
            }
            failures += 1;
        }
    }
}

#[test]
fn the_ledger_is_told_before_the_first_byte_and_a_caller_cannot_go_round_it() {
    /// Notes whether the key still vouches whenever something is written.
    struct Watching<'a>(&'a Path, Arc<Mutex<Vec<LedgerCondition>>>);
    impl std::io::Write for Watching<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.1.lock().unwrap().push(show(self.0).unwrap().condition);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let place = in_memory();
    let key = place.path().join("key");
    make(&key, &KeyRequest::default()).unwrap();
    for is_leanspec in [false, true] {
        init(&key, 0).unwrap();
        let exporter = Exporter::open(&key).unwrap();
        let window = exporter.window(None).unwrap();
        assert_eq!(show(&key).unwrap().condition, LedgerCondition::Sound);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut writer = Watching(&key, Arc::clone(&seen));
        if is_leanspec {
            write_leanspec(&[(Role::Attester, &window)], &mut writer).unwrap();
        } else {
            window.write(SecretKeyForm::LeansigSsz, &mut writer).unwrap();
        }
        let seen = seen.lock().unwrap();
        assert!(!seen.is_empty() && seen.iter().all(|seen| *seen == LedgerCondition::NoHistory));
    }
}

#[test]
fn a_signer_that_is_open_keeps_the_secret_in() {
    let place = in_memory();
    let key = place.path().join("key");
    make(&key, &KeyRequest::default()).unwrap();
    let signer = Signer::open(&key).unwrap();
    let (outcome, written) = export(&key);
    let refused = outcome.unwrap_err().to_string();
    assert!(
        refused.contains("nothing was exported") && written.is_empty(),
        "{refused}"
    );
    drop(signer);
    export(&key).0.unwrap();
    assert!(!signs(&key));
}
