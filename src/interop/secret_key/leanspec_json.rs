//! The key files of leanSpec's test validators: two pairs of keys, all in SSZ, in hex (docs/FORMAT.md, "Secret keys of other
//! programs").

use std::io::{self, ErrorKind, Read, Write};

use super::json::Json;
use super::source::Source;
use super::{GiveNodes, SecretKeyError, SecretKeyFile, SecretKeyForm, SecretKeyHead, ssz};
use crate::interop::Role;
use crate::remedy::{Argument, Remedy};
use keymill_xmss::hash::OneTimeKeys;
use keymill_xmss::scheme::Scheme;

/// The fields of the pairs: the attestation key comes first, where there are both.
pub(super) const PAIRS: [&str; 2] = ["attestation_keypair", "proposal_keypair"];

fn field_of(role: Role) -> &'static str {
    match role {
        Role::Attester => PAIRS[0],
        Role::Proposer => PAIRS[1],
    }
}

/// Bytes whose hex digits stand between quotation marks.
struct Hex<'a, 'b> {
    source: &'a mut Source<'b>,
    /// Why no more came.
    refused: Option<SecretKeyError>,
}

impl Hex<'_, '_> {
    fn nibble(&mut self) -> Result<Option<u8>, SecretKeyError> {
        let nibble = match self.source.peek()? {
            Some(b'"') => return Ok(None),
            Some(digit @ b'0'..=b'9') => digit - b'0',
            Some(digit @ b'a'..=b'f') => digit - b'a' + 10,
            Some(digit @ b'A'..=b'F') => digit - b'A' + 10,
            _ => {
                let at = self.source.offset();
                return Err(SecretKeyError::malformed(at, "there has to be a hex digit"));
            }
        };
        self.source.skip();
        Ok(Some(nibble))
    }

    fn byte(&mut self) -> Result<Option<u8>, SecretKeyError> {
        let Some(high) = self.nibble()? else {
            return Ok(None);
        };
        match self.nibble()? {
            Some(low) => Ok(Some(high << 4 | low)),
            None => Err(SecretKeyError::malformed(
                self.source.offset(),
                "the number of hex digits is odd",
            )),
        }
    }
}

impl Read for Hex<'_, '_> {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        for (count, byte) in place.iter_mut().enumerate() {
            match self.byte() {
                Ok(Some(value)) => *byte = value,
                Ok(None) => return Ok(count),
                Err(error) => {
                    self.refused = Some(error);
                    return Err(io::Error::from(ErrorKind::InvalidData));
                }
            }
        }
        Ok(place.len())
    }
}

/// Reads a string of hex digits with `read`; places within the bytes become places in the text.
fn hex<T>(
    json: &mut Json<'_>,
    read: impl FnOnce(&mut dyn Read) -> Result<T, SecretKeyError>,
) -> Result<T, SecretKeyError> {
    json.take(b'"')?;
    let begin = json.source.offset();
    let mut hex = Hex {
        source: &mut json.source,
        refused: None,
    };
    let outcome = read(&mut hex);
    if let Some(refused) = hex.refused {
        return Err(refused);
    }
    let value = outcome.map_err(|error| match error {
        SecretKeyError::Malformed { at, what } => SecretKeyError::malformed(begin + 2 * at, what),
        other => other,
    })?;
    json.take(b'"')?;
    Ok(value)
}

/// A public key, as long as that of any scheme at most.
fn public_key(reader: &mut dyn Read) -> Result<Vec<u8>, SecretKeyError> {
    let longest = Scheme::all().iter().map(Scheme::public_key_bytes).max();
    let mut bytes = Vec::new();
    reader
        .take(longest.unwrap_or_default() as u64)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn pair(json: &mut Json<'_>) -> Result<SecretKeyFile, SecretKeyError> {
    let at = json.place()?;
    let (mut public, mut secret) = (None, None);
    json.whole_object(["public_key", "secret_key"], |json, field| {
        match field {
            "public_key" => public = Some(hex(json, public_key)?),
            _ => secret = Some(hex(json, ssz::read)?),
        }
        Ok(())
    })?;
    let (Some(public), Some(secret)) = (public, secret) else {
        return Err(SecretKeyError::malformed(at, "a key is missing"));
    };
    let expected = secret.public_key();
    if public == expected {
        Ok(secret)
    } else {
        Err(SecretKeyError::refused(format!(
            "its public key {} is not that of its secret key, {}",
            hex::encode(public),
            hex::encode(expected)
        )))
    }
}

/// Reads the key of this role. The other one is read as well, and has to be as sound.
pub(super) fn read(source: Source<'_>, role: Option<Role>) -> Result<SecretKeyFile, SecretKeyError> {
    let mut json = Json { source };
    let mut chosen = None;
    // What keys are told apart by: the nodes of one that is not chosen are not kept.
    let mut first = None;
    let found = json.object(PAIRS, |json, field| {
        let key = pair(json)?;
        let own = (key.head().one_time_keys(), key.public_key());
        let shares = |first: &(OneTimeKeys, Vec<u8>)| own.0.shared_with(&first.0).is_some() || own.1 == first.1;
        if first.as_ref().is_some_and(shares) {
            // A validator that takes one key for two signs two messages with one epoch.
            let what = "its attestation key and its proposal key are the same: with both roles, it would sign two messages with one \
                        epoch, which gives the key away";
            return Err(SecretKeyError::refused(what));
        }
        first = Some(own);
        if role.is_none_or(|role| field_of(role) == field) {
            chosen = Some(key);
        }
        Ok(())
    })?;
    json.end()?;
    match (role, chosen) {
        (None, _) if found == [true; 2] => Err(SecretKeyError::Refused {
            what: "it holds an attestation key and a proposal key, and one of them is meant".to_owned(),
            remedy: Some(Remedy::Give(Argument::Role)),
        }),
        (_, Some(key)) => Ok(key),
        (role, None) => {
            let duty = role.unwrap_or(Role::Attester).duty();
            Err(SecretKeyError::refused(format!("it holds no {duty} key")))
        }
    }
}

/// Writes one pair of keys after the other.
pub struct PairWriter<'a> {
    writer: &'a mut dyn Write,
    pairs: usize,
}

impl<'a> PairWriter<'a> {
    /// A file that is to be written here.
    pub fn new(writer: &'a mut dyn Write) -> Self {
        Self { writer, pairs: 0 }
    }

    /// Writes a pair. The attestation key comes first, where there are both.
    ///
    /// # Errors
    /// What `nodes` or a write says.
    pub fn pair<E: From<io::Error>>(
        &mut self,
        role: Role,
        public_key: &[u8],
        head: &SecretKeyHead,
        nodes: &mut GiveNodes<'_, E>,
    ) -> Result<(), E> {
        let begin = if self.pairs == 0 { "{\n" } else { ",\n" };
        self.pairs += 1;
        let public_key = hex::encode(public_key);
        let name = field_of(role);
        write!(
            self.writer,
            "{begin}  \"{name}\": {{\n    \"public_key\": \"{public_key}\",\n    \"secret_key\": \""
        )?;
        head.write(SecretKeyForm::LeansigSsz, &mut InHex(self.writer), nodes)?;
        Ok(write!(self.writer, "\"\n  }}")?)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// That of a write.
    pub fn finish(self) -> io::Result<()> {
        self.writer.write_all(b"\n}")
    }
}

/// Writes the hex digits of what is written to it.
struct InHex<'a>(&'a mut dyn Write);

impl Write for InHex<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut digits = zeroize::Zeroizing::new([0; 512]);
        let bytes = &bytes[..bytes.len().min(digits.len() / 2)];
        let digits = &mut digits[..2 * bytes.len()];
        // They have room for them.
        let _ = hex::encode_to_slice(bytes, digits);
        self.0.write_all(digits)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
