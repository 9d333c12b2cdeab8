//! From a passphrase to a key: Argon2id (RFC 9106).

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

use super::Fault;
use super::error::no_randomness;
use crate::error::{Error, Result};
use crate::mapping::Scratch;
use crate::memory::Limits;
use crate::plan::{MemoryRequest, Reading};
use crate::remedy::Remedy;

pub(super) const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const SALT_BYTES_MAX: usize = 64;

/// What is read, at most: a file of others must not take all memory, or hours.
const MEMORY_KIB_MAX: u32 = 256 << 10;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;

/// What is written: little enough memory for every budget that a job can have.
const WRITTEN_MEMORY_KIB: u32 = 19_456;
const WRITTEN_PASSES: u32 = 2;
const WRITTEN_LANES: u32 = 1;

/// A key that a secret is encrypted with. Wiped from memory when it is dropped.
pub(super) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// How a key follows from a passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kdf {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
    pub(super) salt: Vec<u8>,
}

impl Kdf {
    /// What is written, with a salt of its own.
    pub(super) fn fresh() -> Result<Self> {
        let mut salt = vec![0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(no_randomness)?;
        Ok(Self {
            memory_kib: WRITTEN_MEMORY_KIB,
            passes: WRITTEN_PASSES,
            lanes: WRITTEN_LANES,
            salt,
        })
    }

    /// Whether it could be one that is written, but for its salt.
    pub(super) fn is_as_written(&self) -> bool {
        let costs = (self.memory_kib, self.passes, self.lanes, self.salt.len());
        costs == (WRITTEN_MEMORY_KIB, WRITTEN_PASSES, WRITTEN_LANES, SALT_BYTES)
    }

    /// Refuses what would take too much, and what Argon2 does not know.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let bounds = [
            ("m", self.memory_kib, 8 * self.lanes.min(LANES_MAX), MEMORY_KIB_MAX),
            ("t", self.passes, 1, PASSES_MAX),
            ("p", self.lanes, 1, LANES_MAX),
            ("salt", self.salt.len() as u32, 8, SALT_BYTES_MAX as u32),
        ];
        let past = bounds
            .into_iter()
            .find(|(_, value, least, most)| !(least..=most).contains(&value));
        past.map_or(Ok(()), |(name, value, least, most)| {
            let unit = if name == "salt" { " bytes" } else { "" };
            Err(format!(
                "'{name}' of its key derivation is {value}{unit}, and what is read is {least} to {most}"
            ))
        })
    }

    /// The key. Its memory is its own and given back at once.
    pub(super) fn derive(&self, passphrase: &[u8]) -> Result<Key> {
        let impossible = |error: argon2::Error| Error::machine(format!("Argon2id refused its parameters: {error}"));
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(KEY_BYTES)).map_err(impossible)?;
        let needed_bytes = u64::from(self.memory_kib) << 10;
        let reading = Reading {
            held_bytes: needed_bytes,
            thread_bytes: 0,
            threads: 1,
            memory: MemoryRequest::Auto,
        };
        let planned = reading.plan(&Limits::detect());
        planned.map_err(|error| error.within("no key is derived from the passphrase"))?;
        let mut memory = Scratch::filled(params.block_count(), Block::new()).map_err(|error| {
            Error::machine(format!(
                "there is too little memory to derive a key from the passphrase, which takes {needed_bytes} bytes: {error}"
            ))
            .mend([Remedy::RaiseMemory])
        })?;
        let mut key = Key::default();
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase, &self.salt, &mut *key, memory.items_mut())
            .map_err(impossible)?;
        Ok(key)
    }
}
