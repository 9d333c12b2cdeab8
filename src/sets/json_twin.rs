//! Whether a JSON file is the SSZ file beside it in JSON, byte for byte.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use zeroize::{Zeroize, Zeroizing};

use super::error::SetError;
use super::publish::fill;
use crate::failure::{IoFailure, attempt};
use crate::files::open_to_read;
use crate::interop::secret_key::{SecretKeyFile, WrittenForm};
use crate::units::NodeIndex;

pub(super) fn read_failed(path: &Path, source: std::io::Error) -> IoFailure {
    IoFailure {
        call: "read",
        path: path.to_owned(),
        source,
    }
}

/// The first byte at which a file differs from the key in the JSON form that hash-sig-cli writes.
pub(super) fn first_difference(secret: &SecretKeyFile, path: &Path) -> Result<Option<u64>, SetError> {
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
        (None, Err(error)) => Err(read_failed(path, error).into()),
        (None, Ok(())) => match attempt("read", path, || comparing.file.read(&mut [0]))? {
            0 => Ok(None),
            _ => Ok(Some(comparing.at)),
        },
    }
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
        let count = fill(&mut self.file, &mut found)?;
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
