//! Clients that are known by the fingerprints of their certificates.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

use ring::digest::{SHA256, digest};

use crate::text::without_mark;

/// The SHA-256 digest of the DER form of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a certificate in DER.
    pub(super) fn of(certificate: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, certificate).as_ref());
        Self(bytes)
    }

    /// Hex digits in capitals or small letters, all in a row, or in pairs with colons between them.
    fn parse(text: &str) -> Result<Self, Fault> {
        let is_paired = text.contains(':') && text.split(':').all(|pair| pair.len() == 2);
        let digits = if is_paired {
            text.replace(':', "")
        } else {
            text.to_owned()
        };
        let mut bytes = [0; 32];
        match hex::decode_to_slice(&digits, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(_) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => Err(Fault::Digits(digits.len())),
            Err(_) => Err(Fault::NotHex),
        }
    }
}

impl Display for Fingerprint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// What is wrong with a list of fingerprints.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadList {
    NotText,
    /// No line has a fingerprint: nobody could connect.
    Empty,
    /// A line, counted from 1.
    Line {
        number: usize,
        fault: Fault,
    },
}

/// What is wrong with a fingerprint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NotHex,
    /// It has so many hex digits instead of 64.
    Digits(usize),
}

impl Display for BadList {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("it is not text in UTF-8"),
            Self::Empty => f.write_str("there is no fingerprint in it, so no client could connect"),
            // The line is not shown: whoever names the wrong file may have named one that holds a secret.
            Self::Line { number, fault } => {
                write!(
                    f,
                    "line {number} does not end with the SHA-256 fingerprint of a certificate: "
                )?;
                match fault {
                    Fault::NotHex => f.write_str("that is 64 hex digits, or 32 pairs of them with colons between"),
                    Fault::Digits(40) => f.write_str("it has 40 hex digits, as one by SHA-1, and not 64"),
                    Fault::Digits(count) => write!(f, "it has {count} hex digits, and not 64"),
                }
            }
        }
    }
}

/// The fingerprints in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownClients(BTreeSet<Fingerprint>);

impl KnownClients {
    /// Reads a list as Web3Signer has it in its file of known clients: in a line a name, which is for people alone, and a
    /// fingerprint. The name may be missing, or have spaces; it may also be what openssl(1) writes before a fingerprint, up to an
    /// equals sign. Lines that are empty, and what stands behind `#`, say nothing.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BadList> {
        let text = std::str::from_utf8(bytes).map_err(|_| BadList::NotText)?;
        let mut known = BTreeSet::new();
        for (index, line) in without_mark(text).lines().enumerate() {
            let Some(word) = without_comment(line).split_whitespace().last() else {
                continue;
            };
            let word = word.rsplit('=').next().unwrap_or(word);
            let parsed = Fingerprint::parse(word);
            let number = index + 1;
            known.insert(parsed.map_err(|fault| BadList::Line { number, fault })?);
        }
        if known.is_empty() {
            return Err(BadList::Empty);
        }
        Ok(Self(known))
    }

    /// Whether a certificate in DER is that of a client in the list.
    pub(super) fn have(&self, certificate: &[u8]) -> bool {
        self.0.contains(&Fingerprint::of(certificate))
    }

    /// The list with the least that is needed in a line.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn to_text(&self) -> String {
        self.0.iter().map(|fingerprint| format!("{fingerprint}\n")).collect()
    }
}

/// A name may have the sign in it, but does not begin with it.
fn without_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    match line.match_indices('#').find(begins) {
        Some((at, _)) => &line[..at],
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::{BadList, Fault, Fingerprint, KnownClients};

    const DIGITS: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn in_pairs() -> String {
        let capitals = DIGITS.to_ascii_uppercase();
        let pairs: Vec<_> = (0..32).map(|at| &capitals[2 * at..2 * at + 2]).collect();
        pairs.join(":")
    }

    #[test]
    fn a_fingerprint_is_the_sha_256_digest_of_the_certificate() {
        // FIPS 180-4's first example.
        assert_eq!(Fingerprint::of(b"abc").to_string(), DIGITS);
        let known = KnownClients::parse(DIGITS.as_bytes()).unwrap();
        assert!(known.have(b"abc") && !known.have(b"abd"));
    }

    #[test]
    fn a_list_is_read_as_web3signer_and_openssl_write_it() {
        let pairs = in_pairs();
        for list in [
            format!("client1 {pairs}\n"),
            pairs.clone(),
            format!("# of the two nodes\r\n\r\nnode one\t{pairs}\r\n"),
            format!("sha256 Fingerprint={pairs}\n"),
            format!("  {DIGITS}  # the first one\n"),
            format!("client#1 {DIGITS}\nclient#2 {pairs}\n#{DIGITS}0\n"),
            format!("\u{feff}client1 {pairs}\n"),
        ] {
            let known = KnownClients::parse(list.as_bytes());
            assert_eq!(known.unwrap().to_text(), format!("{DIGITS}\n"), "{list:?}");
        }
    }

    #[test]
    fn a_line_without_a_fingerprint_is_refused_by_its_number() {
        let refused = |line: &str| {
            let list = format!("# clients\nclient1 {DIGITS}\n{line}\n");
            match KnownClients::parse(list.as_bytes()) {
                Err(BadList::Line { number: 3, fault }) => fault,
                other => panic!("{line}: {other:?}"),
            }
        };
        assert_eq!(refused("client2"), Fault::NotHex);
        assert_eq!(refused(&format!("{DIGITS} client2")), Fault::NotHex);
        assert_eq!(refused(&DIGITS[1..]), Fault::Digits(63));
        assert_eq!(refused(&format!("{DIGITS}00")), Fault::Digits(66));
        assert_eq!(refused(&DIGITS[24..]), Fault::Digits(40));
        assert_eq!(refused(&in_pairs().replacen(':', "", 1)), Fault::NotHex);
        assert_eq!(refused(&in_pairs()[3..]), Fault::Digits(62));
        assert_eq!(KnownClients::parse(b"# nobody yet\n\n"), Err(BadList::Empty));
        assert_eq!(KnownClients::parse(b""), Err(BadList::Empty));
        assert_eq!(KnownClients::parse(&[0xff, 0xfe]), Err(BadList::NotText));
    }
}
