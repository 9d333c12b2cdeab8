//! `verify`: what is not valid and why, and what is not a question at all.

use keymill::{PublicKey, Scheme, Verifier};

use super::fixtures::{MESSAGE, OTHER_TINY, TINY, changing_nothing, recorded_tiny_key};
use super::program::{Outcome, Place};
use keymill_reference::params;

/// A question to `verify`; each part can be changed.
#[derive(Clone)]
struct Question {
    scheme: &'static str,
    public_key: String,
    epoch: String,
    message: String,
    signature: String,
}

impl Question {
    /// One that is answered with yes.
    fn valid() -> Self {
        let key = recorded_tiny_key();
        let known = &key.signatures[2];
        Self {
            scheme: TINY,
            public_key: hex::encode(&key.public_key_ssz),
            epoch: known.epoch.to_string(),
            message: hex::encode(known.message),
            signature: hex::encode(&known.signature_ssz),
        }
    }

    fn ask_in(&self, place: &Place, more: &str) -> Outcome {
        let flags = [
            ("--scheme", self.scheme),
            ("--public-key", &self.public_key),
            ("--epoch", &self.epoch),
            ("--message", &self.message),
            ("--signature", &self.signature),
        ];
        let line = flags.map(|(flag, value)| format!("{flag}={value}")).join(" ");
        place.run(&format!("verify {line} {more}"))
    }

    fn ask(&self) -> Outcome {
        self.ask_in(&Place::new(), "")
    }
}

/// A valid question with one change.
fn with(change: impl FnOnce(&mut Question)) -> Question {
    let mut question = Question::valid();
    change(&mut question);
    question
}

/// The answer is no, and the reason holds each of these, in text and in JSON.
#[track_caller]
fn invalid(question: &Question, reason: &[&str]) {
    let outcome = question.ask().exits(1).prints(&["invalid: "]).prints(reason);
    let line = outcome.line();
    let answer = question.ask_in(&Place::new(), "--json").exits(1).json();
    assert_eq!(answer["valid"], false);
    assert_eq!(format!("invalid: {}", answer["reason"].as_str().unwrap()), line);
}

/// There is no answer, and the message holds each of these.
#[track_caller]
fn no_question(question: &Question, message: &[&str]) {
    question.ask().exits(2).prints_nothing().says(message);
}

/// Replaces four bytes of hex at a byte offset.
fn put(hex: &mut String, byte: usize, word: &str) {
    hex.replace_range(2 * byte..2 * byte + 8, word);
}

/// Byte offsets of path and hashes in a signature of the tiny scheme.
fn offsets() -> (usize, usize) {
    let params = params(TINY);
    let path = 4 + 4 * params.r + 4;
    (path, path + 4 + usize::from(params.h) * params.digest_len())
}

#[test]
fn what_was_signed_is_valid_and_asking_writes_nothing() {
    let place = Place::new();
    let outcome = changing_nothing(&place, || Question::valid().ask_in(&place, ""));
    assert_eq!(outcome.exits(0).line(), "valid");
}

#[test]
fn key_and_signature_can_come_from_files_in_bytes_and_in_hex() {
    let place = Place::new();
    let valid = Question::valid();
    for (name, content) in [("pk", &valid.public_key), ("sig", &valid.signature)] {
        place.file(&format!("{name}.ssz"), hex::decode(content).unwrap());
        place.file(&format!("{name}.hex"), format!("{content}\n"));
        place.file(&format!("{name}.0x"), format!("0x{content}"));
    }
    for form in ["ssz", "hex", "0x"] {
        let question = with(|q| {
            q.public_key = format!("pk.{form}");
            q.signature = format!("sig.{form}");
        });
        assert_eq!(question.ask_in(&place, "").exits(0).line(), "valid", "{form}");
    }
    place.file("short", &hex::decode(&valid.signature).unwrap()[1..]);
    let short = with(|q| q.signature = "short".to_owned());
    short.ask_in(&place, "").exits(1).prints(&["423 bytes", "424"]);
}

#[test]
fn another_message_epoch_or_key_is_invalid() {
    invalid(&with(|q| q.message = MESSAGE.to_owned()), &["codeword"]);
    invalid(&with(|q| q.epoch = "18".to_owned()), &["codeword"]);
    let mut other_root = Question::valid();
    put(&mut other_root.public_key, 0, "01000000");
    invalid(&other_root, &["another root"]);
}

/// Of the program a bit of every word, another one each time; the library is asked about all of them.
#[test]
fn no_changed_bit_of_a_signature_goes_unnoticed() {
    let key = recorded_tiny_key();
    let known = &key.signatures[2];
    let scheme = Scheme::by_id(TINY).unwrap();
    let verifier = Verifier::new(&PublicKey::from_ssz(scheme, &key.public_key_ssz).unwrap());
    let verifies = |bytes: &[u8]| {
        verifier
            .verify_ssz(keymill::Epoch(known.epoch), &known.message, bytes)
            .is_ok()
    };
    let valid = &known.signature_ssz;
    assert!(verifies(valid));
    for bit in 0..8 * valid.len() {
        let mut bytes = valid.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(!verifies(&bytes), "bit {} of byte {}", bit % 8, bit / 8);
        // 33 bits on, so that each of the 32 has its turn.
        if bit % 33 == 0 {
            let changed = with(|q| q.signature = hex::encode(&bytes));
            changed.ask().exits(1).prints(&["invalid: "]);
        }
    }
}

#[test]
fn an_epoch_past_the_lifetime_is_invalid_for_that_reason() {
    for epoch in ["256", "2^32", "2^40", "18446744073709551615"] {
        invalid(
            &with(|q| q.epoch = epoch.to_owned()),
            &["past the lifetime", TINY, "256"],
        );
    }
}

#[test]
fn a_signature_of_another_length_is_invalid_for_that_reason() {
    let longer = with(|q| q.signature.push_str("00"));
    invalid(&longer, &["malformed", "425 bytes", "424"]);
    invalid(&with(|q| q.signature.truncate(846)), &["423 bytes", "424"]);
    invalid(&with(|q| q.signature.clear()), &["0 bytes", "424"]);
}

#[test]
fn an_element_that_is_not_reduced_is_invalid_for_that_reason() {
    let (path, hashes) = offsets();
    for (byte, part) in [(4, "rho"), (path + 4, "path"), (hashes, "chain values")] {
        // The smallest and the largest four bytes that are not an element.
        for word in ["0100007f", "ffffffff"] {
            let question = with(|q| put(&mut q.signature, byte, word));
            invalid(&question, &["malformed", part, "element 0", "2130706433"]);
        }
    }
}

#[test]
fn a_wrong_offset_is_invalid_for_that_reason() {
    let (path, _) = offsets();
    for byte in [0, path - 4, path] {
        let question = with(|q| put(&mut q.signature, byte, "ffffff00"));
        invalid(&question, &["malformed", "offset", &format!("byte {byte}"), "16777215"]);
    }
}

#[test]
fn what_is_neither_hex_nor_a_file_is_no_question() {
    for wrong in ["zz", "0x123", "no-such-file"] {
        no_question(
            &with(|q| q.public_key = wrong.to_owned()),
            &["--public-key", wrong, "hex"],
        );
        no_question(
            &with(|q| q.signature = wrong.to_owned()),
            &["--signature", wrong, "hex"],
        );
    }
    let directory = with(|q| q.signature = ".".to_owned());
    no_question(&directory, &["--signature", "'.'", "directory"]);
}

#[test]
fn a_message_that_is_not_32_bytes_is_no_question() {
    for (message, length) in [("", "0 bytes"), ("00", "1 byte"), (&format!("{MESSAGE}00"), "33 bytes")] {
        let question = with(|q| q.message = message.to_owned());
        no_question(&question, &["--message", length, "32 bytes"]);
    }
    let typing_error = with(|q| q.message.replace_range(3..4, "g"));
    no_question(&typing_error, &["--message", "not hex"]);
}

#[test]
fn a_public_key_that_is_none_is_no_question() {
    let longer = with(|q| q.public_key.push_str("00"));
    no_question(&longer, &["--public-key", "53 bytes", "52", TINY]);
    let shorter = with(|q| q.public_key.truncate(102));
    no_question(&shorter, &["--public-key", "51 bytes", "52"]);
    let root = with(|q| put(&mut q.public_key, 28, "0100007f"));
    no_question(&root, &["--public-key", "root", "element 7", "2130706433"]);
    let parameter = with(|q| put(&mut q.public_key, 32, "ffffffff"));
    no_question(&parameter, &["--public-key", "parameter", "element 0", "4294967295"]);
}

#[test]
fn numbers_and_schemes_that_are_none_are_no_question() {
    no_question(&with(|q| q.epoch = "2^64".to_owned()), &["--epoch", "2^64"]);
    no_question(&with(|q| q.epoch = "three".to_owned()), &["--epoch", "three"]);
    no_question(
        &with(|q| q.scheme = "leansig-p1-l8"),
        &["--scheme", "did you mean", TINY],
    );
    Place::new().run(&format!("verify --scheme {TINY}")).exits(2).says(&[
        "--public-key",
        "--epoch",
        "--message",
        "--signature",
    ]);
}

#[test]
fn the_scheme_decides_what_is_valid() {
    // Its public keys have the same length.
    invalid(&with(|q| q.scheme = OTHER_TINY), &[OTHER_TINY, "424 bytes"]);
}
