//! The files of one key: written from its directory, and known again by what stands at a few places in them.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::SetError;
use super::names::{Form, Half};
use crate::exchange::ExportError;
use crate::failure::{IoFailure, attempt};
use crate::files::{not_regular, open_to_read};
use crate::interop::leansig_json;
use crate::interop::secret_key::WrittenForm;
use crate::plan::{LevelSpan, Plan};
use crate::units::Level;
use keymill_xmss::PublicKey;
use keymill_xmss::hash::{OneTimeKeys, PrfKey};
use keymill_xmss::poseidon::PARAMETER_BYTES;
use keymill_xmss::scheme::{Parameter, Scheme};

/// Where things stand in a secret key in SSZ (docs/FORMAT.md).
const PRF_KEY_AT: u64 = 0;
const PARAMETER_AT: u64 = 32;
const LEFT_TREE_OFFSET_AT: u64 = 80;
const FIXED_BYTES: u64 = 88;
/// A tree's depth, its lowest level, and the offset of its layers.
const TREE_BYTES: u64 = 20;
/// A layer's place in the list of offsets, its first index, and the offset of its digests.
const LAYER_BYTES: u64 = 16;
/// JSON spends a line on each element, indented by up to 14 spaces, where SSZ spends four bytes.
const JSON_TO_SSZ: u64 = 8;

/// Writes one file of a finished key, whose secret `write_secret` knows.
pub(super) fn write(
    public_key: &PublicKey,
    half: Half,
    form: Form,
    to: &mut dyn Write,
    write_secret: impl FnOnce(WrittenForm, &mut dyn Write) -> Result<(), ExportError>,
) -> Result<(), SetError> {
    match (half, form) {
        // The writer names what fails.
        (Half::Public, Form::Ssz) => to.write_all(&public_key.to_ssz()).map_err(ExportError::Write)?,
        (Half::Public, Form::Json) => to.write_all(&public_json(public_key)).map_err(ExportError::Write)?,
        (Half::Secret, Form::Ssz) => write_secret(WrittenForm::LeansigSsz, to)?,
        (Half::Secret, Form::Json) => write_secret(WrittenForm::LeansigJson { indented: true }, to)?,
    }
    Ok(())
}

/// Bytes of these files of a key, JSON rounded up.
pub(super) fn bytes(plan: &Plan, files: &[(Half, Form)]) -> u64 {
    let bytes_of = |&(half, form)| {
        let ssz = match half {
            Half::Public => plan.scheme().public_key_bytes() as u64,
            Half::Secret => secret_bytes(plan),
        };
        match form {
            Form::Ssz => ssz,
            Form::Json => JSON_TO_SSZ * ssz,
        }
    };
    files.iter().map(bytes_of).sum()
}

/// Bytes of a secret key in SSZ.
pub(super) fn secret_bytes(plan: &Plan) -> u64 {
    let (height, digest_bytes) = (plan.scheme().log_lifetime(), plan.scheme().digest_bytes() as u64);
    let middle = height / 2;
    let layers = |levels: u64, digests: u64| TREE_BYTES + levels * LAYER_BYTES + digests * digest_bytes;
    let top = plan
        .geometry()
        .levels()
        .iter()
        .filter(|span| span.level >= Level(middle));
    let top = top.map(LevelSpan::stored_count).sum();
    let bottom = (2u64 << middle) - 1;
    FIXED_BYTES + layers(u64::from(height - middle) + 1, top) + 2 * layers(u64::from(middle) + 1, bottom)
}

/// Refuses a public key file that holds something else than the key in its form.
pub(super) fn check_public(path: &Path, expected: &[u8]) -> Result<(), SetError> {
    match holds(open_own(path)?, expected, path)? {
        true => Ok(()),
        false => Err(SetError::Foreign {
            path: path.to_owned(),
            what: "it holds another public key than the one that was finished".to_owned(),
        }),
    }
}

/// Opens a file that has to be one of the set.
pub(super) fn open_own(path: &Path) -> Result<File, SetError> {
    open_to_read(path).map_err(|failure| match not_regular(&failure) {
        Some(found) => SetError::Foreign {
            path: path.to_owned(),
            what: found.words().to_owned(),
        },
        None => failure.into(),
    })
}

/// Whether a file holds these bytes and no more.
pub(super) fn holds(file: File, expected: &[u8], path: &Path) -> Result<bool, IoFailure> {
    let mut found = Vec::new();
    // One more than there may be.
    let most = expected.len() as u64 + 1;
    attempt("read", path, || file.take(most).read_to_end(&mut found))?;
    Ok(found == expected)
}

/// A public key as its JSON file has it.
pub(super) fn public_json(public_key: &PublicKey) -> Vec<u8> {
    // Numbers in memory have a form in JSON.
    serde_json::to_vec_pretty(&leansig_json::public_key(public_key)).unwrap_or_default()
}

/// Refuses a secret key file whose parameter or root is another key's. Reads these, and the PRF key, and nothing else of it.
/// Tells by what others are seen to have its one-time keys.
pub(super) fn check_secret_head(path: &Path, scheme: &Scheme, public_key: &[u8]) -> Result<OneTimeKeys, SetError> {
    let foreign = |what: &str| SetError::Foreign {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    let file = open_own(path)?;
    let length = attempt("stat", path, || file.metadata())?.len();
    let digest_bytes = scheme.digest_bytes();
    let (root, expected) = public_key.split_at(digest_bytes);
    let mut parameter = [0; PARAMETER_BYTES];
    let mut offset = [0; 4];
    if length < FIXED_BYTES {
        return Err(foreign("it is too short for a secret key"));
    }
    attempt("pread", path, || file.read_exact_at(&mut parameter, PARAMETER_AT))?;
    attempt("pread", path, || file.read_exact_at(&mut offset, LEFT_TREE_OFFSET_AT))?;
    // The top tree ends where the left one begins, and its last layer is the root with its filler.
    let top_end = u64::from(u32::from_le_bytes(offset));
    let root_at = top_end.checked_sub(2 * digest_bytes as u64);
    let Some(root_at) = root_at.filter(|_| top_end <= length) else {
        return Err(foreign("it is cut short, or no secret key of this scheme"));
    };
    let mut found = vec![0; digest_bytes];
    attempt("pread", path, || file.read_exact_at(&mut found, root_at))?;
    let mut prf_key = Zeroizing::new([0; 32]);
    attempt("pread", path, || file.read_exact_at(&mut *prf_key, PRF_KEY_AT))?;
    match parameter == *expected && found == root {
        true => Ok(OneTimeKeys::of(&PrfKey::new(*prf_key), &Parameter::of(&parameter))),
        false => Err(foreign("it holds another key than the public key beside it")),
    }
}
