//! A ledger beside a plain model of it, through random operations on two copies of a key that tell each other what they have
//! signed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Signer;
use super::tests::key;
use crate::error::{Reason, Result};
use crate::files::directory_tests::copy_directory as copy;
use crate::keydir::KeyDir;
use crate::ledger::{Export, LedgerCondition, import, init, show};
use crate::units::Epoch;

const EPOCHS: u64 = 256;
const STEPS: usize = 220;

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What a ledger is to say.
#[derive(Clone, Debug, Default)]
struct Model {
    is_begun: bool,
    first_epoch: u64,
    /// Epochs, and the byte that their message is made of.
    spent: BTreeMap<u32, u8>,
    is_mark_lost: bool,
}

/// How an operation ends.
#[derive(Debug, PartialEq)]
enum End {
    Done,
    Spent,
    NoHistory,
    BeforeHistory,
    UsedUp,
    PastKey,
    TooLow(u64),
    MarkLost,
}

impl Model {
    fn doubt(&mut self) {
        if std::mem::take(&mut self.is_mark_lost) {
            let above = self
                .spent
                .last_key_value()
                .map_or(0, |(&epoch, _)| u64::from(epoch) + 1);
            self.first_epoch = self.first_epoch.max(above);
            self.is_begun = false;
        }
    }

    fn init(&mut self, asked: u64) -> End {
        let mut settled = self.clone();
        settled.doubt();
        if settled.first_epoch >= EPOCHS {
            return End::UsedUp;
        }
        if asked >= EPOCHS {
            return End::PastKey;
        }
        if asked < settled.first_epoch {
            return End::TooLow(settled.first_epoch);
        }
        settled.first_epoch = asked;
        settled.is_begun = true;
        *self = settled;
        End::Done
    }

    fn sign(&mut self, epoch: u32, message: u8) -> End {
        match self.spent.get(&epoch) {
            _ if self.is_mark_lost => End::MarkLost,
            Some(&known) if known == message => End::Done,
            Some(_) => End::Spent,
            None if self.first_epoch >= EPOCHS => End::UsedUp,
            None if !self.is_begun => End::NoHistory,
            None if u64::from(epoch) < self.first_epoch => End::BeforeHistory,
            None => {
                self.spent.insert(epoch, message);
                End::Done
            }
        }
    }

    fn import(&mut self, first_epoch: Option<u64>, spent: &BTreeMap<u32, u8>) {
        self.doubt();
        self.first_epoch = self.first_epoch.max(first_epoch.unwrap_or_default().min(EPOCHS));
        for (&epoch, &message) in spent {
            self.spent.entry(epoch).or_insert(message);
        }
    }

    fn condition(&self) -> LedgerCondition {
        let is_left = |epoch: &u64| !self.spent.contains_key(&(*epoch as u32));
        match () {
            () if self.is_mark_lost => LedgerCondition::MarkMissing,
            () if !(self.first_epoch..EPOCHS).any(|epoch| is_left(&epoch)) => LedgerCondition::UsedUp,
            () if !self.is_begun => LedgerCondition::NoHistory,
            () => LedgerCondition::Sound,
        }
    }
}

fn ended(outcome: Result<()>) -> End {
    let Err(error) = outcome else {
        return End::Done;
    };
    match error.reason() {
        Reason::NoHistory => End::NoHistory,
        Reason::BeforeHistory => End::BeforeHistory,
        Reason::UsedUp => End::UsedUp,
        Reason::PastKey => End::PastKey,
        Reason::TooLow { least } => End::TooLow(least),
        Reason::MarkMissing => End::MarkLost,
        Reason::Spent => End::Spent,
        _ => panic!("{error}"),
    }
}

fn signed(directory: &Path, epoch: u32, message: u8) -> End {
    let signed = Signer::open(directory).and_then(|mut signer| signer.sign(Epoch(epoch), &[message; 32]));
    ended(signed.map(drop))
}

fn exported(directory: &Path) -> Result<String> {
    Export::open(directory)?.lines()?.collect()
}

/// One random operation on one of the two, which ends as the model says.
fn step(numbers: &mut Numbers, keys: &[PathBuf; 2], models: &mut [Model; 2], case: &str) {
    let own = numbers.below(2) as usize;
    let (key, epoch) = (&keys[own], numbers.below(EPOCHS) as u32);
    match numbers.below(16) {
        // Rarely high, so that the key is not used up at once.
        0..=1 => {
            let highest = [16, 300][usize::from(numbers.below(12) == 0)];
            let asked = models[own].first_epoch.saturating_sub(2) + numbers.below(highest);
            assert_eq!(
                ended(init(key, asked).map(drop)),
                models[own].init(asked),
                "{case}: init {asked}"
            );
        }
        2..=9 => {
            let message = numbers.below(3) as u8;
            let expected = models[own].sign(epoch, message);
            assert_eq!(signed(key, epoch, message), expected, "{case}: sign {epoch} {message}");
        }
        10..=12 => {
            let other = 1 - own;
            let text = match exported(&keys[other]) {
                Err(error) => return assert_eq!(ended(Err(error)), End::MarkLost, "{case}: export"),
                Ok(text) => text,
            };
            assert!(!models[other].is_mark_lost, "{case}: export");
            let from = models[other].clone();
            import(key, Path::new("ledger"), text.as_bytes()).unwrap();
            let known = Some(from.first_epoch).filter(|&first| from.is_begun || first > 0);
            models[own].import(known, &from.spent);
        }
        13..=14 => {
            let noted = KeyDir::open_sealed(key).unwrap().note_elsewhere();
            let expected = (!models[own].is_mark_lost).then_some(models[own].is_begun);
            assert_eq!(noted.ok(), expected, "{case}: leaves");
            models[own].is_begun &= models[own].is_mark_lost;
        }
        _ => {
            // Without either, there is nothing that could be lost.
            if models[own].first_epoch > 0 || !models[own].spent.is_empty() {
                let _ = std::fs::remove_file(key.join("ledger.mark"));
                models[own].is_mark_lost = true;
            }
        }
    }
}

#[test]
fn beginnings_imports_and_signatures_in_any_order_are_what_a_plain_model_says() {
    let made = key();
    for seed in 0..4 {
        let place = tempfile::tempdir().unwrap();
        let keys = ["one", "other"].map(|name| place.path().join(name));
        keys.iter().for_each(|key| copy(made.path(), key));
        let begun = Model {
            is_begun: true,
            ..Model::default()
        };
        let mut models = [begun.clone(), begun];
        let mut numbers = Numbers(seed);
        for number in 0..STEPS / 4 {
            let case = format!("seed {seed}, step {number}");
            step(&mut numbers, &keys, &mut models, &case);
            for (key, model) in keys.iter().zip(&models) {
                let status = show(key).unwrap();
                assert_eq!(status.condition, model.condition(), "{case}: {model:?}");
                assert_eq!(status.spent, model.spent.len() as u64, "{case}: {model:?}");
            }
        }
    }
}
