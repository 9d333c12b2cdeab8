//! Public keys and signatures as serde writes leanSig's types: field elements in Montgomery form (docs/FORMAT.md, "JSON of
//! leanSig").

use serde::Serialize;
use serde::ser::{SerializeTuple, Serializer};

use crate::error::{Error, Result};
use keymill_xmss::poseidon::to_montgomery_form;
use keymill_xmss::scheme::KeyForms;
use keymill_xmss::{PublicKey, Scheme, Signature};

/// Canonical elements, written as a list of their Montgomery forms.
pub(super) struct Elements<'a>(pub(super) &'a [u8]);

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (words, _) = self.0.as_chunks::<4>();
        let mut list = serializer.serialize_tuple(words.len())?;
        for word in words {
            list.serialize_element(&to_montgomery_form(u32::from_le_bytes(*word)))?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct PublicKeyText<'a> {
    root: Elements<'a>,
    parameter: Elements<'a>,
}

#[derive(Serialize)]
struct SignatureText<'a> {
    path: PathText<'a>,
    rho: Elements<'a>,
    hashes: Vec<Elements<'a>>,
}

#[derive(Serialize)]
struct PathText<'a> {
    co_path: Vec<Elements<'a>>,
}

/// Refuses a scheme whose digests are not field elements: their bytes would be reduced, and others come out.
///
/// # Errors
/// [`Error`](crate::Error) names the scheme.
pub fn check_has_form(scheme: &Scheme) -> Result<()> {
    if scheme.family().key_forms() == KeyForms::Leansig {
        return Ok(());
    }
    let what = format!(
        "the JSON of leanSig has field elements, and keys of {} have none",
        scheme.id()
    );
    Err(Error::usage(what))
}

/// A public key, of a scheme that [`check_has_form`] accepts.
pub fn public_key(key: &PublicKey) -> impl Serialize {
    PublicKeyText {
        root: Elements(key.root()),
        parameter: Elements(key.parameter()),
    }
}

/// A signature, of a scheme that [`check_has_form`] accepts.
pub fn signature<'a>(signature: &'a Signature) -> impl Serialize + 'a {
    let digests = |bytes: &'a [u8]| {
        bytes
            .chunks_exact(signature.scheme().digest_bytes())
            .map(Elements)
            .collect()
    };
    SignatureText {
        path: PathText {
            co_path: digests(signature.siblings()),
        },
        rho: Elements(signature.rho()),
        hashes: digests(signature.hashes()),
    }
}
