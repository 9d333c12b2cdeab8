//! Parts of a key are lost and damaged, and the advice of the errors is followed: it leads to a whole key, or to a sentence
//! that says what cannot be had back.

mod damaged_keys;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use damaged_keys::{Fate, Fates, Kind, PARTS, SECRET, STATE, Template, all_fates, remove, sorted};

use super::backup::Backup;
use crate::audit::fixture_tests::{OPTIONS, open_request};
use crate::audit::{check, repair};
use crate::error::{Error, Reason};
use crate::files::Entry;
use crate::keydir::{KeyDir, KeyState};
use crate::keygen::{CancelHandle, KeyRequest, NoProgress};
use crate::ledger::init;
use crate::migrations::migrate;
use crate::remedy::{Remedy, advised};
use crate::signing::Signer;
use crate::state::Store;
use crate::units::Epoch;

/// Spent before anything happens to the key, on [`MESSAGE`].
const SPENT: Epoch = Epoch(3);
const MESSAGE: [u8; 32] = [7; 32];
const OTHER_MESSAGE: [u8; 32] = [8; 32];
/// An epoch that has signed nothing, and one from which on none has.
const UNUSED: Epoch = Epoch(200);
const SURELY_UNUSED: u64 = 100;
const STEPS_MAX: usize = 12;

/// What an error says, and what it advises.
struct Advice {
    message: String,
    remedies: Vec<Remedy>,
}

impl<E: Into<Error>> From<E> for Advice {
    fn from(error: E) -> Self {
        let error = error.into();
        Self {
            message: error.advised(),
            remedies: error.remedies().to_vec(),
        }
    }
}

/// Somebody with a key, who does what the errors advise.
struct Walk<'a> {
    template: &'a Template,
    fates: Fates,
    place: TempDir,
    has_backup: bool,
    names: usize,
    steps: Vec<String>,
}

impl Walk<'_> {
    fn key(&self) -> PathBuf {
        self.place.path().join("key")
    }

    fn new_name(&mut self, name: &str) -> PathBuf {
        self.names += 1;
        self.place.path().join(format!("{name}-{}", self.names))
    }

    fn shown(&self) -> String {
        let Self {
            template,
            fates,
            has_backup,
            ..
        } = self;
        let parts: Vec<_> = PARTS
            .iter()
            .zip(fates)
            .filter(|(_, fate)| **fate != Fate::Whole)
            .collect();
        format!(
            "{:?}, backup: {has_backup}, {parts:?}\n{}",
            template.kind,
            self.steps.join("\n")
        )
    }

    /// Uses the key, and gives the first error that is met.
    fn use_key(&self) -> Result<(), Advice> {
        let report = check(&self.key(), false, OPTIONS)?;
        if let Some(damage) = report.damage.into_iter().next() {
            return Err(Advice {
                message: damage.what + &advised(&damage.remedies, Remedy::to_string),
                remedies: damage.remedies,
            });
        }
        if KeyDir::open(&self.key())?.manifest().state() == KeyState::Generating {
            self.keygen(&self.key(), &KeyRequest::default())?;
        }
        Signer::open(&self.key())?.sign(UNUSED, &MESSAGE)?;
        let report = check(&self.key(), true, OPTIONS)?;
        assert_eq!(report.damage, [], "{}", self.shown());
        Ok(())
    }

    fn keygen(&self, directory: &Path, request: &KeyRequest) -> Result<(), Advice> {
        open_request(directory, request, CancelHandle::default())?.run(&NoProgress)?;
        Ok(())
    }

    fn restore(&self, directory: &Path) -> Result<(), Advice> {
        let backup = Backup::parse(&self.template.backup).unwrap();
        let request = backup.request(directory)?;
        self.keygen(directory, &request)
    }

    /// Whether the one who walks has what it takes.
    fn is_possible(&self, remedy: &Remedy) -> bool {
        match remedy {
            // Nobody has a copy of anything but the backup.
            Remedy::PutBack(_) => false,
            Remedy::Restore(_) | Remedy::RestoreElsewhere(_) => self.has_backup,
            Remedy::MakeAgain(_) => self.fates[SECRET] == Fate::Whole,
            // Where nothing of the key is left, it makes another one.
            Remedy::Keygen(directory) => {
                directory.join("secret").is_file() || directory.join("manifest.toml").is_file()
            }
            _ => true,
        }
    }

    fn do_it(&mut self, remedy: &Remedy) -> Result<(), Advice> {
        match remedy {
            Remedy::Repair(directory) => drop(repair(directory, OPTIONS, &CancelHandle::default())?),
            Remedy::Restore(directory) => self.restore(directory)?,
            Remedy::Keygen(directory) => self.keygen(directory, &self.template.kind.request())?,
            Remedy::Migrate(directory) => drop(migrate(directory, false)?),
            Remedy::LedgerInit(directory) => init(directory, SURELY_UNUSED)
                .or_else(|error| match error.reason() {
                    Reason::TooLow { least } => init(directory, least),
                    _ => Err(error),
                })
                .map(drop)?,
            Remedy::RestoreElsewhere(manifest) => {
                let other = self.new_name("restored");
                self.restore(&other)?;
                self.put_manifest(&other, manifest);
            }
            Remedy::MakeAgain(manifest) => {
                let other = self.new_name("made");
                fs::create_dir(&other).unwrap();
                fs::copy(manifest.with_file_name("secret"), other.join("secret")).unwrap();
                self.keygen(&other, &self.template.kind.request())?;
                self.put_manifest(&other, manifest);
            }
            Remedy::MoveAway(path) => {
                let away = self.new_name("away");
                fs::rename(path, away).unwrap();
            }
            Remedy::Protect(path) => fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap(),
            other => panic!("{other:?}\n{}", self.shown()),
        }
        Ok(())
    }

    fn put_manifest(&self, from: &Path, to: &Path) {
        remove(to);
        fs::copy(from.join("manifest.toml"), to).unwrap();
    }

    /// Nothing that was there to be read is lost.
    fn holds(&self) {
        let mut pending = vec![self.place.path().to_owned()];
        let (mut has_secret, mut has_ledger) = (false, false);
        while let Some(path) = pending.pop() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                has_ledger |= name.starts_with("state") && has_entry(&path, &self.template.binding);
                pending.extend(sorted(&path));
            } else {
                has_secret |= fs::read(&path).is_ok_and(|bytes| bytes == self.template.secret.as_bytes());
            }
        }
        let had_secret = self.fates[SECRET] == Fate::Whole;
        assert!(has_secret || !had_secret, "the secret is gone\n{}", self.shown());
        assert!(has_ledger || !self.had_ledger(), "the ledger is gone\n{}", self.shown());
    }

    fn had_ledger(&self) -> bool {
        self.template.kind.is_finished() && matches!(self.fates[STATE], Fate::Whole | Fate::BatchesFlipped)
    }

    /// Follows the advice to its end.
    fn walk(&mut self) {
        // What was done, and how the key was then.
        let mut tried = BTreeSet::new();
        let mut advice = match self.use_key() {
            Ok(()) => return self.is_whole(),
            Err(advice) => advice,
        };
        loop {
            self.steps.push(format!("  {}", advice.message));
            let remedy = advice.remedies.iter().find(|remedy| self.is_possible(remedy)).cloned();
            let Some(remedy) = remedy else {
                return self.is_lost(&advice);
            };
            self.steps.push(format!("> {remedy}"));
            assert!(
                tried.insert((remedy.to_string(), self.state())),
                "a circle\n{}",
                self.shown()
            );
            assert!(self.steps.len() < 2 * STEPS_MAX, "no end\n{}", self.shown());
            let outcome = self.do_it(&remedy);
            self.holds();
            advice = match outcome {
                Err(advice) => advice,
                Ok(()) => match self.use_key() {
                    Ok(()) => return self.is_whole(),
                    Err(advice) => advice,
                },
            };
        }
    }

    /// What there is of the key: its small files with what they hold, and the names of the rest. What is in the store changes
    /// each time that it is opened.
    fn state(&self) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let mut found = Vec::new();
        for path in sorted(&self.key()) {
            match path.is_dir() {
                true if path.ends_with("layers") => {
                    found.extend(
                        sorted(&path)
                            .into_iter()
                            .map(|layer| (layer.clone(), fs::read(layer).ok())),
                    );
                }
                true => found.push((path, None)),
                false if path.ends_with("LOCK") => {}
                false => found.push((path.clone(), fs::read(path).ok())),
            }
        }
        found
    }

    /// The epoch that signed before does not sign another message, and is known to have if its ledger could be read.
    fn is_whole(&self) {
        if !self.template.kind.is_finished() {
            return;
        }
        let refused = Signer::open(&self.key()).unwrap().sign(SPENT, &OTHER_MESSAGE).err();
        let is_known = refused.as_ref().is_some_and(|error| error.reason() == Reason::Spent);
        assert!(refused.is_some(), "an epoch signs twice\n{}", self.shown());
        assert!(is_known || !self.had_ledger(), "{refused:?}\n{}", self.shown());
    }

    /// Nobody could make the key again of what there is, and the last sentence names what is not there.
    fn is_lost(&self, advice: &Advice) {
        let shown = self.shown();
        assert!(!self.has_backup, "a backup is at hand\n{shown}");
        assert_ne!(self.fates[SECRET], Fate::Whole, "the secret is at hand\n{shown}");
        let names = ["/secret'", "manifest.toml"];
        assert!(names.iter().any(|name| advice.message.contains(name)), "{shown}");
        assert!(!advice.remedies.is_empty(), "{shown}");
    }
}

/// Whether a store has the entry that was spent, whatever else of it is damaged.
fn has_entry(state: &Path, binding: &[u8; 32]) -> bool {
    let state = Entry::of(state).unwrap();
    let entry = Store::open_read_only(&state, binding).and_then(|store| store.ledger_entry(SPENT));
    entry.is_ok_and(|entry| entry.is_some())
}

fn follow_all(kind: Kind) {
    let template = Template::new(kind);
    // What is particular to a kind shows in few of them.
    let all = all_fates(if kind == Kind::Sealed { 1 } else { 3 });
    let mut walked = 0;
    for fates in &all {
        // An unfinished key has no batches to lose.
        if !kind.is_finished() && fates[STATE] == Fate::BatchesFlipped {
            continue;
        }
        for has_backup in [true, false] {
            let place = template.damaged(fates);
            let mut walk = Walk {
                template: &template,
                fates: *fates,
                place,
                has_backup,
                names: 0,
                steps: Vec::new(),
            };
            walk.walk();
            walked += 1;
        }
    }
    assert!(walked > if kind == Kind::Sealed { 250 } else { 100 }, "{walked}");
}

#[test]
fn whatever_is_lost_of_a_finished_key_the_advice_leads_to_a_whole_one_or_says_what_is_gone() {
    follow_all(Kind::Sealed);
}

#[test]
fn whatever_is_lost_of_a_trimmed_key_the_advice_leads_to_a_whole_one_or_says_what_is_gone() {
    follow_all(Kind::Trimmed);
}

#[test]
fn whatever_is_lost_of_an_unfinished_key_the_advice_leads_to_a_whole_one_or_says_what_is_gone() {
    follow_all(Kind::Unfinished);
}

#[test]
fn whatever_is_lost_of_an_unfinished_fresh_key_the_advice_leads_to_a_whole_one_or_says_what_is_gone() {
    follow_all(Kind::UnfinishedFresh);
}
