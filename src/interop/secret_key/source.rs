//! The bytes of a secret key file as they come: counted, bounded, and wiped behind the reader.

use std::io::{self, ErrorKind, Read};

use zeroize::{Zeroize, Zeroizing};

use super::SecretKeyError;
use crate::text::bytes_without_mark;

const BUFFER_BYTES: usize = 8 << 10;

/// No secret key of any scheme takes more, in any form and however it is indented.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Reads a file once, from its beginning to its end.
pub(super) struct Source<'a> {
    reader: &'a mut dyn Read,
    buffer: Zeroizing<Vec<u8>>,
    at: usize,
    /// Offset in the file of the first byte of the buffer.
    buffer_offset: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(reader: &'a mut dyn Read) -> Self {
        Self {
            reader,
            buffer: Zeroizing::new(Vec::with_capacity(BUFFER_BYTES)),
            at: 0,
            buffer_offset: 0,
        }
    }

    /// Offset in the file of the byte that is read next.
    pub(super) fn offset(&self) -> u64 {
        self.buffer_offset + self.at as u64
    }

    /// The byte that is read next, none at the end of the file.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, SecretKeyError> {
        Ok(self.ahead()?.first().copied())
    }

    pub(super) fn skip(&mut self) {
        self.at = (self.at + 1).min(self.buffer.len());
    }

    /// Passes over a byte-order mark, which some editors put before a text.
    pub(super) fn skip_mark(&mut self) -> Result<(), SecretKeyError> {
        let ahead = self.ahead()?;
        self.at += ahead.len() - bytes_without_mark(ahead).len();
        Ok(())
    }

    /// The bytes that come next, as many as have been read ahead; none at the end of the file. At the beginning of the
    /// file they are as many as the buffer holds, or all.
    pub(super) fn ahead(&mut self) -> Result<&[u8], SecretKeyError> {
        if self.at == self.buffer.len() {
            self.refill()?;
        }
        Ok(&self.buffer[self.at..])
    }

    fn refill(&mut self) -> Result<(), SecretKeyError> {
        self.buffer_offset += self.buffer.len() as u64;
        if self.buffer_offset >= FILE_BYTES_MAX {
            return Err(SecretKeyError::malformed(
                self.buffer_offset,
                "the file goes on, but no secret key is as long as this",
            ));
        }
        self.at = 0;
        self.buffer.zeroize();
        let mut reader = self.reader.take(BUFFER_BYTES as u64);
        // The buffer has room for all of it, so no copy is left behind by growing.
        reader.read_to_end(&mut self.buffer)?;
        Ok(())
    }

    /// Refuses anything that follows.
    pub(super) fn end(&mut self) -> Result<(), SecretKeyError> {
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(SecretKeyError::malformed(
                self.offset(),
                "the secret key ends here, but the file goes on",
            )),
        }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let ahead = self.ahead().map_err(|error| match error {
            SecretKeyError::Read(error) => error,
            other => io::Error::new(ErrorKind::InvalidData, other.to_string()),
        })?;
        let count = ahead.len().min(place.len());
        place[..count].copy_from_slice(&ahead[..count]);
        self.at += count;
        Ok(count)
    }
}

/// The bytes of a file, counted.
pub(super) struct Counted<'a> {
    pub(super) reader: &'a mut dyn Read,
    pub(super) at: u64,
}

impl Counted<'_> {
    /// Fills `place`.
    pub(super) fn fill(&mut self, place: &mut [u8], what: &str) -> Result<(), SecretKeyError> {
        let mut filled = 0;
        while filled < place.len() {
            match self.reader.read(&mut place[filled..])? {
                0 => return Err(cut_short(self.at + filled as u64, what)),
                count => filled += count,
            }
        }
        self.at += place.len() as u64;
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], SecretKeyError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }
}

pub(super) fn cut_short(at: u64, what: &str) -> SecretKeyError {
    SecretKeyError::malformed(at, format!("the file ends within the {what}; it was cut short"))
}
