//! Public keys and signatures as text.

use keymill_reference::vectors;
use keymill_xmss::units::Epoch;
use keymill_xmss::{PublicKey, Rejection, Scheme, Signature, Verifier};

#[test]
fn public_keys_and_signatures_are_read_as_they_are_shown() {
    for key in vectors::keys() {
        let scheme = Scheme::by_id(&key.scheme).unwrap();
        let public_key = PublicKey::from_ssz(scheme, &key.public_key_ssz).unwrap();
        let shown = public_key.to_string();
        assert_eq!(shown, format!("{}:{}", key.scheme, hex::encode(&key.public_key_ssz)));
        assert_eq!(shown.parse::<PublicKey>().unwrap(), public_key);
        let signature = Signature::from_ssz(scheme, &key.signatures[0].signature_ssz).unwrap();
        assert_eq!(signature.to_string().parse::<Signature>().unwrap(), signature);
    }
}

#[test]
fn a_text_that_is_none_says_why() {
    let said = |text: &str| text.parse::<PublicKey>().unwrap_err().to_string();
    assert!(said("").contains("no scheme before a colon"));
    assert!(said("5e1f").contains("no scheme before a colon"));
    assert!(said("leansig-p1-l8-abort-v4-w9:00").contains("did you mean 'leansig-p1-l8-abort-v4-w8'"));
    assert!(said("leansig-p1-l8-abort-v4-w8:0g").contains("not hex"));
    assert!(said("leansig-p1-l8-abort-v4-w8:00").contains("it is 1 bytes"));
    assert!(said(&format!("leansig-p1-l8-abort-v4-w8:{}", "ff".repeat(52))).contains("in its root"));
}

/// Two schemes can have keys and signatures of the same lengths.
#[test]
fn a_signature_of_another_scheme_is_rejected_by_name() {
    let of = |id: &str| {
        let scheme = Scheme::by_id(id).unwrap();
        let public_key = PublicKey::from_ssz(scheme, &vec![0; scheme.public_key_bytes()]).unwrap();
        let parts = [
            scheme.rho_bytes(),
            32 * usize::from(scheme.log_lifetime()),
            32 * scheme.chains(),
        ];
        let [rho, siblings, hashes] = parts.map(|bytes| vec![0; bytes]);
        (public_key, Signature::new(scheme, rho, siblings, hashes).unwrap())
    };
    let (public_key, _) = of("leansig-p1-l32-abort-v46-w8");
    let (_, signature) = of("leansig-p1-l8-abort-v4-w8");
    let rejected = Verifier::new(&public_key).verify(Epoch(0), &[0; 32], &signature);
    assert!(matches!(rejected, Err(Rejection::OtherScheme { .. })), "{rejected:?}");
}
