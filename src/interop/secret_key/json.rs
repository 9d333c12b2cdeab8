//! A strict pull parser for JSON of a known shape. Nothing is kept of what was read, nothing nests deeper
//! than its reader goes, and whatever is not what has to come is refused with its place.

use super::SecretKeyError;
use super::source::Source;

/// Longer than every name of a field.
const NAME_BYTES_MAX: usize = 32;

/// A reader of JSON text.
pub(super) struct Json<'a> {
    pub(super) source: Source<'a>,
}

impl Json<'_> {
    /// Where the next byte stands, spaces skipped.
    pub(super) fn place(&mut self) -> Result<u64, SecretKeyError> {
        self.next()?;
        Ok(self.source.offset())
    }

    /// The next byte that is not a space; it is not taken.
    fn next(&mut self) -> Result<Option<u8>, SecretKeyError> {
        loop {
            match self.source.peek()? {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.source.skip(),
                byte => return Ok(byte),
            }
        }
    }

    fn refuse<T>(&mut self, found: Option<u8>, expected: &str) -> Result<T, SecretKeyError> {
        let found = match found {
            None => "the file ends".to_owned(),
            // Which character it is could be a secret's.
            Some(b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"') => {
                format!("there is '{}'", found.map(char::from).unwrap_or_default())
            }
            Some(_) => "there is something else".to_owned(),
        };
        Err(SecretKeyError::malformed(
            self.source.offset(),
            format!("{found} where there has to be {expected}"),
        ))
    }

    /// Takes this character.
    pub(super) fn take(&mut self, byte: u8) -> Result<(), SecretKeyError> {
        let found = self.next()?;
        if found == Some(byte) {
            self.source.skip();
            return Ok(());
        }
        self.refuse(found, &format!("'{}'", char::from(byte)))
    }

    /// Takes a comma, or the character that closes a list or an object, and says whether there was a comma.
    fn goes_on(&mut self, closing: u8) -> Result<bool, SecretKeyError> {
        match self.next()? {
            Some(b',') => {
                self.source.skip();
                Ok(true)
            }
            _ => self.take(closing).map(|()| false),
        }
    }

    /// A number of digits alone.
    pub(super) fn number(&mut self) -> Result<u64, SecretKeyError> {
        let first = self.next()?;
        let at = self.source.offset();
        let too_large = || SecretKeyError::malformed(at, "the number is larger than any that can stand here");
        let mut number: Option<u64> = None;
        while let Some(digit @ b'0'..=b'9') = self.source.peek()? {
            if number == Some(0) {
                return Err(SecretKeyError::malformed(at, "a number begins with 0"));
            }
            let shifted = number.unwrap_or(0).checked_mul(10);
            let sum = shifted.and_then(|shifted| shifted.checked_add(u64::from(digit - b'0')));
            number = Some(sum.ok_or_else(too_large)?);
            self.source.skip();
        }
        match number {
            Some(number) => Ok(number),
            None => self.refuse(first, "a number, of digits alone"),
        }
    }

    pub(super) fn null(&mut self) -> Result<(), SecretKeyError> {
        self.next()?;
        for expected in b"null" {
            let found = self.source.peek()?;
            if found != Some(*expected) {
                return self.refuse(found, "null");
            }
            self.source.skip();
        }
        Ok(())
    }

    /// A list of at least one item; `item` reads each, given its position.
    pub(super) fn list(
        &mut self,
        mut item: impl FnMut(&mut Self, usize) -> Result<(), SecretKeyError>,
    ) -> Result<usize, SecretKeyError> {
        self.take(b'[')?;
        let mut count = 0;
        loop {
            item(self, count)?;
            count += 1;
            if !self.goes_on(b']')? {
                return Ok(count);
            }
        }
    }

    /// An object of these fields, each once at most, in any order; `field` reads the value of each. Says which there were.
    pub(super) fn object<const N: usize>(
        &mut self,
        names: [&'static str; N],
        mut field: impl FnMut(&mut Self, &'static str) -> Result<(), SecretKeyError>,
    ) -> Result<[bool; N], SecretKeyError> {
        self.take(b'{')?;
        let mut found = [false; N];
        loop {
            let at = self.place()?;
            let index = self.name(&names)?;
            if std::mem::replace(&mut found[index], true) {
                return Err(SecretKeyError::malformed(
                    at,
                    format!("the field \"{}\" stands there twice", names[index]),
                ));
            }
            self.take(b':')?;
            field(self, names[index])?;
            if !self.goes_on(b'}')? {
                return Ok(found);
            }
        }
    }

    /// An object of all these fields.
    pub(super) fn whole_object<const N: usize>(
        &mut self,
        names: [&'static str; N],
        field: impl FnMut(&mut Self, &'static str) -> Result<(), SecretKeyError>,
    ) -> Result<(), SecretKeyError> {
        let at = self.place()?;
        let found = self.object(names, field)?;
        match names.iter().zip(found).find(|(_, found)| !found) {
            Some((name, _)) => Err(SecretKeyError::malformed(
                at,
                format!("the field \"{name}\" is missing"),
            )),
            None => Ok(()),
        }
    }

    /// The name of a field, as its place among `names`.
    fn name(&mut self, names: &[&'static str]) -> Result<usize, SecretKeyError> {
        let at = self.place()?;
        self.take(b'"')?;
        let mut name = Vec::with_capacity(NAME_BYTES_MAX);
        while name.len() < NAME_BYTES_MAX {
            match self.source.peek()? {
                Some(b'"') => break,
                Some(byte) => name.push(byte),
                None => return self.refuse(None, "the rest of a name"),
            }
            self.source.skip();
        }
        let index = names.iter().position(|known| known.as_bytes() == name);
        let index = index.ok_or_else(|| {
            let expected = names.join("\", \"");
            SecretKeyError::malformed(at, format!("there is a field that is not one of \"{expected}\""))
        })?;
        self.take(b'"')?;
        Ok(index)
    }

    /// Refuses anything but spaces behind the text.
    pub(super) fn end(&mut self) -> Result<(), SecretKeyError> {
        self.next()?;
        self.source.end()
    }
}
