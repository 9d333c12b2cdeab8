//! The files of one key: written from its directory, and known again by what stands at a few places in them.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::manifest::{ManifestError, SetKind, SetManifest};
use super::names::{Form, Half, KeyFile, KeyFiles, SetPaths};
use crate::error::{Error, Reason, Result};
use crate::failure::{IoFailure, attempt};
use crate::files::{not_regular, open_to_read};
use crate::interop::leansig_json;
use crate::interop::secret_key::{
    KeyShape, SecretKeyError, SecretKeyFile, SecretKeyForm, leanvm_scheme, reading_bytes_max,
};
use crate::plan::Plan;
use keymill_xmss::PublicKey;
use keymill_xmss::hash::{OneTimeKeys, PrfKey};
use keymill_xmss::scheme::{Parameter, Scheme};

/// JSON spends a line on each element, indented by up to 14 spaces, where SSZ spends four bytes.
const JSON_TO_SSZ: u64 = 8;

/// Why a file of a set is of no use.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not what it has to be.
    Wrong { path: PathBuf, what: String },
    /// It is missing, or the machine failed.
    Io(IoFailure),
}

impl Fault {
    pub(super) fn wrong(path: &Path, what: impl Into<String>) -> Self {
        let (path, what) = (path.to_owned(), what.into());
        Self::Wrong { path, what }
    }

    /// Of what is noted about a set.
    pub(super) fn damaged(path: &Path, what: &str) -> Self {
        Self::wrong(path, format!("it is damaged: {what}"))
    }

    /// The error of a file that could not be read.
    pub(super) fn unread(path: &Path, source: std::io::Error) -> Self {
        Self::Io(IoFailure {
            call: "read",
            path: path.to_owned(),
            source,
        })
    }
}

impl From<IoFailure> for Fault {
    fn from(failure: IoFailure) -> Self {
        match not_regular(&failure) {
            Some(found) => Self::wrong(&failure.path, found.words()),
            None => Self::Io(failure),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Wrong { path, what } => {
                let what = format!("'{}' does not belong to this set: {what}", path.display());
                Self::directory(what).because(Reason::Damaged).at(path)
            }
            Fault::Io(failure) => failure.into(),
        }
    }
}

/// Writes one file of a key, whose secret `write_secret` knows.
pub(super) fn write(
    public_key: &PublicKey,
    file: KeyFile,
    to: &mut dyn Write,
    write_secret: &dyn Fn(SecretKeyForm, &mut dyn Write) -> Result<()>,
) -> Result<()> {
    match file {
        // The writer names what fails.
        (Half::Public, form) => {
            let written = to.write_all(&public_bytes(public_key, form));
            written.map_err(Error::unwritten)
        }
        (Half::Secret, form) => write_secret(form.of_secret(public_key.scheme()), to),
    }
}

/// A public key as its file of this form has it.
pub(super) fn public_bytes(public_key: &PublicKey, form: Form) -> Vec<u8> {
    match form {
        Form::Ssz => public_key.to_ssz(),
        // Numbers in memory have a form in JSON.
        Form::Json => serde_json::to_vec_pretty(&leansig_json::public_key(public_key)).unwrap_or_default(),
    }
}

/// Bytes of these files of a key, JSON rounded up.
pub(super) fn bytes(plan: &Plan, files: KeyFiles) -> u64 {
    let bytes_of = |(half, form)| {
        let ssz = match half {
            Half::Public => plan.scheme().public_key_bytes() as u64,
            Half::Secret => shape_of(plan).places().end,
        };
        match form {
            Form::Ssz => ssz,
            Form::Json => JSON_TO_SSZ * ssz,
        }
    };
    files.iter().map(bytes_of).sum()
}

/// The shape of a key of a set.
pub(super) fn shape_of(plan: &Plan) -> KeyShape {
    KeyShape::of_key(plan.scheme(), plan.stored(), plan.stored().start)
}

/// What reading a secret key file takes in one of these forms, by its size. If it is missing or not a file, its reader says so.
pub(super) fn reading_bytes(path: &Path, forms: &[SecretKeyForm]) -> Result<u64, IoFailure> {
    let found = attempt("stat", path, || std::fs::metadata(path));
    let bytes = match found {
        Err(failure) if failure.is_missing() => 0,
        found => Some(found?)
            .filter(std::fs::Metadata::is_file)
            .map_or(0, |file| file.len()),
    };
    Ok(most_reading_bytes(forms, bytes))
}

/// The same of a file of this size.
pub(super) fn most_reading_bytes(forms: &[SecretKeyForm], file_bytes: u64) -> u64 {
    let bytes = forms.iter().map(|&form| reading_bytes_max(Some(form), file_bytes));
    bytes.max().unwrap_or_default()
}

/// Whether a file holds these bytes and no more.
pub(super) fn holds(path: &Path, expected: &[u8]) -> Result<bool, Fault> {
    let file = open_to_read(path)?;
    let mut found = Vec::new();
    // One more than there may be.
    let most = expected.len() as u64 + 1;
    attempt("read", path, || file.take(most).read_to_end(&mut found))?;
    Ok(found == expected)
}

/// Refuses a public key file that does not hold the key in its form.
pub(super) fn check_public(path: &Path, public_key: &PublicKey, form: Form) -> Result<(), Fault> {
    if holds(path, &public_bytes(public_key, form))? {
        return Ok(());
    }
    Err(Fault::wrong(path, "it does not hold the public key that it has to"))
}

/// What a secret key is known by, without the secret.
#[derive(Clone, Copy)]
pub(super) struct KnownBy {
    pub(super) one_time_keys: OneTimeKeys,
    /// Found from the secret itself where the manifest does not decide it.
    pub(super) scheme: &'static Scheme,
    /// Whether it makes the public key that the manifest names, as far as was looked.
    pub(super) fits: bool,
}

impl KnownBy {
    fn of(kind: &SetKind, prf_key: &PrfKey, parameter: &Parameter) -> Result<Self, String> {
        let scheme = if kind.is_of_leanvm() {
            leanvm_scheme(prf_key, parameter)?
        } else {
            kind.scheme
        };
        let one_time_keys = OneTimeKeys::of(prf_key, parameter);
        Ok(Self {
            one_time_keys,
            scheme,
            fits: true,
        })
    }

    /// Of a key that was read as a whole.
    pub(super) fn of_file(kind: &SetKind, secret: &SecretKeyFile) -> Result<Self, String> {
        Self::of(kind, &secret.head().prf_key, &secret.head().parameter)
    }
}

/// Refuses a secret key file whose parameter or root is another key's. Reads these, and the PRF key, and nothing else of it.
pub(super) fn check_secret_head(
    path: &Path,
    kind: &SetKind,
    shape: &KeyShape,
    public_key: &PublicKey,
) -> Result<KnownBy, Fault> {
    let file = open_to_read(path)?;
    let length = attempt("stat", path, || file.metadata())?.len();
    let places = shape.places();
    if length != places.end {
        let what = format!("it has {length} bytes, a secret key of the set has {}", places.end);
        return Err(Fault::wrong(path, what));
    }
    let read = |place: &mut [u8], at| attempt("pread", path, || file.read_exact_at(place, at));
    let mut parameter = vec![0; public_key.parameter().len()];
    read(&mut parameter, places.parameter)?;
    let mut root = vec![0; shape.digest_bytes()];
    read(&mut root, places.root)?;
    let mut prf_key = Zeroizing::new([0; 32]);
    read(&mut *prf_key, places.prf_key)?;
    if parameter != public_key.parameter()[..] || root != public_key.root() {
        return Err(Fault::wrong(path, "it holds another key than the public key beside it"));
    }
    KnownBy::of(kind, &PrfKey::new(*prf_key), &Parameter::of(&parameter)).map_err(|what| Fault::wrong(path, what))
}

/// Reads the manifest of a set; none if there is none.
pub(super) fn read_manifest(paths: &SetPaths) -> Result<Option<SetManifest>, Fault> {
    let path = paths.manifest();
    let file = match open_to_read(&path) {
        Err(failure) if failure.is_missing() => return Ok(None),
        file => file?,
    };
    SetManifest::read(BufReader::new(file))
        .map(Some)
        .map_err(|error| match error {
            ManifestError::Io(source) => Fault::unread(&path, source),
            error => Fault::wrong(&path, error.to_string()),
        })
}

/// Reads a secret key, which has the form that keys of this scheme have.
pub(super) fn read_secret(path: &Path, form: Form, scheme: &Scheme) -> Result<SecretKeyFile, Fault> {
    let mut file: File = open_to_read(path)?;
    SecretKeyFile::read(&mut file, Some(form.of_secret(scheme)), None).map_err(|error| match error {
        SecretKeyError::Read(source) => Fault::unread(path, source),
        error => Fault::wrong(path, error.to_string()),
    })
}
