//! What a file is, as its beginning shows: a secret key of a form that is read here, or what else it seems to be.

use super::leanvm::{self, Encoding};
use super::{SecretKeyForm, leansig_json, leanspec_json, ssz};
use crate::text::bytes_without_mark;

/// What a file is that holds no secret key of a known form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignShape {
    /// It is empty.
    Nothing,
    /// An array of JSON.
    Array,
    /// `{}`.
    EmptyObject,
    /// A key file of an earlier leanSpec, with fields for two pairs of keys side by side.
    FlatLeanspec,
    /// A key file of a still earlier leanSpec, of one pair of keys.
    PublicAndSecret,
    /// A keystore of EIP-2335, which a password opens and which holds another kind of key.
    Keystore,
    /// A key file of leanVM from the time when its XMSS was over KoalaBear.
    LeanvmKoalaBear,
    /// An object of JSON with other fields.
    OtherObject,
    /// Something else.
    Unknown,
}

impl std::fmt::Display for ForeignShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "it is empty",
            Self::Array => "it is a JSON array, and a secret key is an object: take one of its items out into a file of its own",
            Self::EmptyObject => "it is an empty JSON object",
            Self::FlatLeanspec => {
                "it is a key file of an earlier leanSpec, with the fields attestation_public, attestation_secret, \
                 proposal_public and proposal_secret; put each pair into an object, \"attestation_keypair\" or \
                 \"proposal_keypair\", with the fields \"public_key\" and \"secret_key\""
            }
            Self::PublicAndSecret => {
                "it is a key file of an earlier leanSpec, with the fields public and secret; put them into an object \
                 \"attestation_keypair\", as \"public_key\" and \"secret_key\""
            }
            Self::Keystore => {
                "it is a keystore of EIP-2335, which holds a BLS key under a password and not a key of hash-based signatures"
            }
            Self::LeanvmKoalaBear => {
                "it is a key of leanVM's KoalaBear XMSS, July 2026, which is not supported: leanVM's keys of September 2026 and later, \
                 over BLAKE2s, are other keys"
            }
            Self::OtherObject => {
                "it is a JSON object with none of the fields of a secret key: neither those of leanSig nor those of leanSpec's \
                 key files"
            }
            Self::Unknown => "it is neither SSZ nor JSON of leanSig, nor a key file of leanSpec or of leanVM",
        })
    }
}

/// The form that a file has.
pub(crate) fn form_of(beginning: &[u8]) -> Result<SecretKeyForm, ForeignShape> {
    // Some of the integers of a key of leanVM follow from others of them.
    for (encoding, form) in [
        (Encoding::Postcard, SecretKeyForm::LeanvmPostcard),
        (Encoding::Bincode, SecretKeyForm::LeanvmBincode),
    ] {
        if leanvm::begins(beginning, encoding) {
            return Ok(form);
        }
    }
    // A PRF key can look like anything. The offset behind it has two zero bytes, which no JSON has.
    let offset = beginning.get(ssz::TOP_OFFSET_AT..ssz::TOP_OFFSET_AT + 4);
    if offset.is_some_and(|offset| offset.contains(&0)) {
        return Ok(SecretKeyForm::LeansigSsz);
    }
    if leanvm::is_of_koala_bear(beginning) {
        return Err(ForeignShape::LeanvmKoalaBear);
    }
    let text = bytes_without_mark(beginning).trim_ascii_start();
    match text {
        [] => Err(ForeignShape::Nothing),
        [b'[', ..] => Err(ForeignShape::Array),
        [b'{', rest @ ..] if rest.trim_ascii_start().starts_with(b"}") => Err(ForeignShape::EmptyObject),
        [b'{', ..] => form_of_object(text),
        _ => Err(ForeignShape::Unknown),
    }
}

/// The form of an object, by the first of its fields that tells.
fn form_of_object(text: &[u8]) -> Result<SecretKeyForm, ForeignShape> {
    let forms = |name: &[u8]| match name {
        b"attestation_public" | b"attestation_secret" | b"proposal_public" | b"proposal_secret" => {
            Some(Err(ForeignShape::FlatLeanspec))
        }
        b"public" | b"secret" => Some(Err(ForeignShape::PublicAndSecret)),
        b"crypto" => Some(Err(ForeignShape::Keystore)),
        name if leanspec_json::PAIRS.iter().any(|pair| pair.as_bytes() == name) => {
            Some(Ok(SecretKeyForm::LeanspecJson))
        }
        name if leansig_json::FIELDS.iter().any(|field| field.as_bytes() == name) => {
            Some(Ok(SecretKeyForm::LeansigJson))
        }
        _ => None,
    };
    match names(text).find_map(forms) {
        Some(form) => form,
        None => Err(ForeignShape::OtherObject),
    }
}

/// The names of an object's own fields, as far as the text goes. Text that is not JSON gives some names or none: the
/// reader of the file says what is wrong with it.
fn names(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    let mut depth = 0_usize;
    std::iter::from_fn(move || {
        loop {
            let (&byte, behind) = rest.split_first()?;
            rest = behind;
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                b'"' => {
                    let end = end_of_string(rest)?;
                    let string = &rest[..end];
                    rest = &rest[end + 1..];
                    if depth == 1 && rest.trim_ascii_start().starts_with(b":") {
                        return Some(string);
                    }
                }
                _ => {}
            }
        }
    })
}

/// Where the quotation mark stands that closes a string.
fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    text.iter().position(|&byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_what_it_is_in_whatever_order_its_fields_stand() {
        use ForeignShape::*;
        let cases: [(&str, Result<SecretKeyForm, ForeignShape>); 16] = [
            ("", Err(Nothing)),
            (" \r\n", Err(Nothing)),
            ("[]", Err(Array)),
            ("\u{feff}[{\"prf_key\": [1]}]", Err(Array)),
            ("{ }", Err(EmptyObject)),
            ("\u{feff}{}", Err(EmptyObject)),
            (
                "{\"attestation_public\": \"00\", \"attestation_secret\": \"00\"}",
                Err(FlatLeanspec),
            ),
            ("{\n  \"proposal_secret\": \"00\"}", Err(FlatLeanspec)),
            ("{\"public\": \"00\", \"secret\": \"00\"}", Err(PublicAndSecret)),
            ("{\"secret\": \"00\"}", Err(PublicAndSecret)),
            ("{\"crypto\": {\"kdf\": {}}}", Err(Keystore)),
            (
                "{\"description\": \"a \\\"secret\\\": x\", \"path\": \"\", \"x\": {\"secret\": [\"public\"]}, \"crypto\": {}}",
                Err(Keystore),
            ),
            ("{\"keys\": [\"public\"], \"x\": {\"secret\": 1}}", Err(OtherObject)),
            (
                "\u{feff} {\"comment\": 1, \"prf_key\": []}",
                Ok(SecretKeyForm::LeansigJson),
            ),
            (
                "{\"proposal_keypair\": {\"public_key\"",
                Ok(SecretKeyForm::LeanspecJson),
            ),
            ("something else", Err(Unknown)),
        ];
        for (text, expected) in cases {
            assert_eq!(form_of(text.as_bytes()), expected, "{text}");
        }
    }
}
