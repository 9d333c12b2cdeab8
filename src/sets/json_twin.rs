//! Whether a JSON file is the SSZ file beside it in JSON, byte for byte.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use zeroize::{Zeroize, Zeroizing};

use super::key_files::Fault;
use super::publish::fill;
use crate::failure::attempt;
use crate::files::open_to_read;
use crate::interop::secret_key::{SecretKeyFile, SecretKeyForm};

/// Refuses a file that is not this key in the JSON form that hash-sig-cli writes.
pub(super) fn check_json(secret: &SecretKeyFile, path: &Path) -> Result<(), Fault> {
    match first_difference(secret, path)? {
        None => Ok(()),
        Some(at) => {
            let what = format!("from byte {at} on it is not what the key in the SSZ file is in JSON");
            Err(Fault::wrong(path, what))
        }
    }
}

/// The first byte at which it differs.
fn first_difference(secret: &SecretKeyFile, path: &Path) -> Result<Option<u64>, Fault> {
    let mut comparing = Comparing {
        file: open_to_read(path)?,
        at: 0,
        differs: None,
    };
    let mut writer = BufWriter::with_capacity(64 << 10, &mut comparing);
    let form = SecretKeyForm::HashSigCliJson;
    let written = secret.write(form, &mut writer).and_then(|()| writer.flush());
    if let (_, Ok(mut buffer)) = writer.into_parts() {
        // The PRF key was in it.
        buffer.zeroize();
    }
    match (comparing.differs, written) {
        (Some(at), _) => Ok(Some(at)),
        (None, Err(error)) => Err(Fault::unread(path, error)),
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
