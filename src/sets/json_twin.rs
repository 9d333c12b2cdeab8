//! Whether a JSON file is the SSZ file beside it in JSON, byte for byte.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use zeroize::{Zeroize, Zeroizing};

use super::error::SetError;
use super::publish::fill;
use crate::failure::{IoFailure, attempt};
use crate::files::{not_regular, open_to_read};
use crate::interop::secret_key::{SecretKeyError, SecretKeyFile, SecretKeyForm, WrittenForm};
use crate::units::NodeIndex;

pub(super) fn read_failed(path: &Path, source: std::io::Error) -> IoFailure {
    IoFailure {
        call: "read",
        path: path.to_owned(),
        source,
    }
}

/// The first byte at which a file differs from the key in the JSON form that hash-sig-cli writes.
pub(super) fn first_difference(secret: &SecretKeyFile, path: &Path) -> Result<Option<u64>, IoFailure> {
    let mut comparing = Comparing {
        file: open_to_read(path)?,
        at: 0,
        differs: None,
    };
    let mut writer = BufWriter::with_capacity(64 << 10, &mut comparing);
    let form = WrittenForm::LeansigJson { indented: true };
    let written = secret
        .head()
        .write::<std::io::Error>(form, &mut writer, &mut |slice, digests| {
            digests.clear();
            for node in slice.nodes.clone() {
                digests.extend(secret.node(slice.level, NodeIndex(node)).unwrap_or_default());
            }
            Ok(())
        });
    let written = written.and_then(|()| writer.flush());
    if let (_, Ok(mut buffer)) = writer.into_parts() {
        // The PRF key was in it.
        buffer.zeroize();
    }
    match (comparing.differs, written) {
        (Some(at), _) => Ok(Some(at)),
        (None, Err(error)) => Err(read_failed(path, error)),
        (None, Ok(())) => match attempt("read", path, || comparing.file.read(&mut [0]))? {
            0 => Ok(None),
            _ => Ok(Some(comparing.at)),
        },
    }
}

/// Refuses a JSON file that is not the secret key in the SSZ file beside it.
pub(super) fn check_secret_json(path: &Path) -> Result<(), SetError> {
    let foreign = |path: &Path, what: String| SetError::Foreign {
        path: path.to_owned(),
        what,
    };
    let ssz = path.with_extension("ssz");
    let read = SecretKeyFile::read(&mut open_to_read(&ssz)?, Some(SecretKeyForm::LeansigSsz), None);
    let secret = read.map_err(|error| match error {
        SecretKeyError::Read(source) => read_failed(&ssz, source).into(),
        error => foreign(&ssz, error.to_string()),
    })?;
    match first_difference(&secret, path) {
        Ok(None) => Ok(()),
        Ok(Some(at)) => Err(foreign(path, differs(at))),
        Err(failure) => Err(match not_regular(&failure) {
            Some(found) => foreign(path, found.words().to_owned()),
            None => failure.into(),
        }),
    }
}

/// What is to be said of a JSON file that differs.
pub(super) fn differs(at: u64) -> String {
    format!("from byte {at} on it is not what the key in the SSZ file is in JSON")
}

/// Takes what a file should hold.
struct Comparing {
    file: File,
    at: u64,
    differs: Option<u64>,
}

impl Write for Comparing {
    fn write(&mut self, expected: &[u8]) -> std::io::Result<usize> {
        let mut found = Zeroizing::new(vec![0; expected.len()]);
        let count = fill(&self.file, &mut found)?;
        let same = expected
            .iter()
            .zip(&found[..count])
            .take_while(|(one, other)| one == other);
        let same = same.count();
        self.at += same as u64;
        if same == expected.len() {
            return Ok(same);
        }
        self.differs = Some(self.at);
        Err(ErrorKind::InvalidData.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
