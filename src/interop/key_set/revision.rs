//! Revisions of leanVM: by what the manifest of a key set says of which version of leanVM's XMSS its keys are.

use std::fmt;

use keymill_xmss::Scheme;

/// Bytes of the hash of a commit.
const BYTES: usize = 20;

/// A revision of which it is known what keys its leanVM makes.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    scheme: &'static str,
    program: &'static str,
    /// As many of its digits as are known: eight at least, for a claim rests on them.
    digits: &'static str,
}

/// All revisions that are known, those of one scheme from the best known one on.
const KNOWN: [Known; 2] = [
    Known {
        scheme: "leanvm-blake2s-l32-ts-v42-w8-s1",
        program: "leanVM",
        digits: "4be49b80",
    },
    Known {
        scheme: "leanvm-blake2s-l32-ts-v42-w8-b0",
        program: "leanVM-b",
        digits: "5df6c373cc0d8dcdd082e213c70c001d608453f8",
    },
];

/// The commit of leanVM that a program was built with which makes keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeanvmRevision([u8; BYTES]);

impl LeanvmRevision {
    /// Reads 40 hex digits in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; BYTES];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let revision = Self(bytes);
        // Digits have one form.
        (revision.to_string() == text).then_some(revision)
    }

    /// The revision whose keys are of this scheme, where all of its digits are known.
    pub fn of(scheme: &Scheme) -> Option<Self> {
        let mut known = KNOWN.iter().filter(|known| known.scheme == scheme.id());
        known.find_map(|known| Self::parse(known.digits))
    }

    /// The scheme of its keys, if that is known.
    pub fn scheme(&self) -> Option<&'static Scheme> {
        Scheme::by_id(self.known()?.scheme).ok()
    }

    /// Program and revision, in so many words as there are for it.
    pub fn in_words(&self) -> String {
        match self.known() {
            Some(known) => format!("{} {}", known.program, &known.digits[..8]),
            None => format!("leanVM {self}"),
        }
    }

    fn known(&self) -> Option<&'static Known> {
        let digits = self.to_string();
        KNOWN.iter().find(|known| digits.starts_with(known.digits))
    }
}

impl fmt::Display for LeanvmRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_revision_that_is_known_is_of_a_scheme_and_told_from_the_others_by_eight_digits_or_more() {
        for (at, known) in KNOWN.iter().enumerate() {
            let scheme = Scheme::by_id(known.scheme).unwrap();
            assert!((8..=2 * BYTES).contains(&known.digits.len()), "{known:?}");
            let whole = format!("{:0<40}", known.digits);
            let revision = LeanvmRevision::parse(&whole).unwrap();
            assert_eq!(revision.known(), Some(&KNOWN[at]));
            assert_eq!(revision.scheme(), Some(scheme));
            let is_whole = known.digits.len() == 2 * BYTES;
            assert_eq!(LeanvmRevision::of(scheme), is_whole.then_some(revision));
        }
    }

    #[test]
    fn a_revision_is_forty_hex_digits_in_lower_case() {
        let digits = "5a4f55c1138759f43f78483a7b70fde973e4a1ee";
        let revision = LeanvmRevision::parse(digits).unwrap();
        assert_eq!((revision.to_string().as_str(), revision.scheme()), (digits, None));
        for wrong in [
            "",
            &digits[..39],
            &format!("{digits}0"),
            &digits.to_uppercase(),
            &digits.replace('5', "g"),
            &format!(" {}", &digits[..39]),
            "4be49b80",
        ] {
            assert_eq!(LeanvmRevision::parse(wrong), None, "{wrong}");
        }
    }
}
