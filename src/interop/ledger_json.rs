//! Ledgers of signed epochs as JSON, in the manner of EIP-3076 (docs/FORMAT.md, "The ledger as JSON").

use serde::Deserialize;
use serde_json::json;

use crate::text::{Foreign, bytes_without_mark, json_fault};
use crate::units::{Epoch, Fingerprint, KeyId};

const FORMAT: &str = "keymill-ledger";
const VERSION: &str = "1";

/// An epoch that is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEpoch {
    /// The epoch.
    pub epoch: Epoch,
    /// SHA3-256 of the message, if it is known.
    pub message_digest: Option<[u8; 32]>,
    /// When it was spent, in milliseconds since 1970; 0 if that is not known.
    pub signed_unix_ms: u64,
}

/// Whose history it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryOwner {
    /// SSZ of the public key.
    pub public_key: Vec<u8>,
    /// Identifier of the scheme.
    pub scheme: String,
    /// The key's identifier.
    pub key_id: KeyId,
    /// The fingerprint of its one-time keys, if it is known.
    pub fingerprint: Option<Fingerprint>,
    /// Epochs below it that are not listed are not known to be unused; none if that is known of no epoch.
    pub first_epoch: Option<u64>,
}

/// The history of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHistory {
    /// Whose it is.
    pub owner: HistoryOwner,
    /// The epochs that are spent.
    pub signed_epochs: Vec<SignedEpoch>,
}

/// The text before the first entry, without the end of the line.
pub fn head_text(owner: &HistoryOwner) -> String {
    let metadata = json!({ "format": FORMAT, "interchange_format_version": VERSION });
    let first_epoch = json!(owner.first_epoch.map(|epoch| epoch.to_string()));
    format!(
        "{{\"metadata\":{metadata},\"data\":[{{\"pubkey\":{},\"scheme\":{},\"key_id\":{},\"fingerprint\":{},\
         \"first_epoch\":{first_epoch},\"signed_epochs\":[",
        json!(hex::encode(&owner.public_key)),
        json!(owner.scheme),
        json!(owner.key_id.to_string()),
        json!(owner.fingerprint.map(|fingerprint| fingerprint.to_string())),
    )
}

/// One entry; every entry but the first has to have a comma before it.
pub fn entry_text(entry: &SignedEpoch) -> String {
    let known = entry.signed_unix_ms > 0;
    json!({
        "epoch": entry.epoch.to_string(),
        "message_digest": entry.message_digest.map(hex::encode),
        "signed_at_unix_ms": known.then(|| entry.signed_unix_ms.to_string()),
    })
    .to_string()
}

/// The text behind the last entry.
pub const TAIL_TEXT: &str = "]}]}";

/// Reads the histories in a text.
///
/// # Errors
/// What is not as this version writes it; the place is named by its index.
pub fn parse(text: &[u8]) -> Result<Vec<KeyHistory>, String> {
    let text = bytes_without_mark(text);
    let text: LedgerText = serde_json::from_slice(text).map_err(|error| {
        // A later version may have other fields: then that is what is wrong.
        let any = serde_json::from_slice::<AnyVersion>(text);
        let known = any.map(|any| check_version(&any.metadata.format, &any.metadata.interchange_format_version));
        match known {
            Ok(Err(other)) => other,
            _ => format!("it is not a ledger as keymill writes it: {}", json_fault(&error)),
        }
    })?;
    check_version(&text.metadata.format, &text.metadata.interchange_format_version)?;
    let histories = text.data.into_iter().enumerate();
    histories
        .map(|(index, history)| history.read(&format!("data[{index}]")))
        .collect()
}

fn check_version(format: &str, version: &str) -> Result<(), String> {
    match (format, version) {
        (FORMAT, VERSION) => Ok(()),
        (FORMAT, _) => Err(format!(
            "its interchange_format_version is '{}'; this program knows '{VERSION}' only",
            Foreign(version)
        )),
        _ => Err(format!("its format is '{}', not '{FORMAT}'", Foreign(format))),
    }
}

#[derive(Deserialize)]
struct AnyVersion {
    metadata: AnyMetadata,
}

#[derive(Deserialize)]
struct AnyMetadata {
    format: String,
    interchange_format_version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct LedgerText {
    metadata: MetadataText,
    data: Vec<HistoryText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct MetadataText {
    format: String,
    interchange_format_version: String,
}

/// `null` is a value too: without `deserialize_with`, a field that is left out would be taken for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct HistoryText {
    pubkey: String,
    scheme: String,
    key_id: String,
    /// Earlier programs did not write it.
    #[serde(default)]
    fingerprint: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    first_epoch: Option<String>,
    signed_epochs: Vec<EntryText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct EntryText {
    epoch: String,
    #[serde(deserialize_with = "Option::deserialize")]
    message_digest: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    signed_at_unix_ms: Option<String>,
}

const NUMBER: &str = "a number in decimal digits, as a string";

impl HistoryText {
    fn read(self, place: &str) -> Result<KeyHistory, String> {
        let public_key = decoded(&self.pubkey).ok_or_else(|| value(place, "pubkey", "hex"))?;
        let key_id = bytes::<16>(&self.key_id).ok_or_else(|| value(place, "key_id", "16 bytes in hex"))?;
        let fingerprint = self.fingerprint.as_deref().map(bytes::<32>);
        let fingerprint =
            fingerprint.map(|bytes| bytes.ok_or_else(|| value(place, "fingerprint", "32 bytes in hex, or null")));
        let first_epoch = self.first_epoch.as_deref().map(number);
        let first_epoch = first_epoch.map(|number| number.ok_or_else(|| value(place, "first_epoch", NUMBER)));
        let owner = HistoryOwner {
            public_key,
            scheme: self.scheme,
            key_id: KeyId(key_id),
            fingerprint: fingerprint.transpose()?.map(Fingerprint),
            first_epoch: first_epoch.transpose()?,
        };
        let entries = self.signed_epochs.iter().enumerate();
        let signed_epochs = entries.map(|(index, entry)| {
            entry
                .read()
                .map_err(|(field, expected)| value(&format!("{place}.signed_epochs[{index}]"), field, expected))
        });
        Ok(KeyHistory {
            signed_epochs: signed_epochs.collect::<Result<_, _>>()?,
            owner,
        })
    }
}

impl EntryText {
    /// The error is the field that is wrong, and what it has to be.
    fn read(&self) -> Result<SignedEpoch, (&'static str, &'static str)> {
        let epoch = number(&self.epoch).and_then(|epoch| u32::try_from(epoch).ok());
        let digest = self.message_digest.as_deref().map(bytes::<32>);
        let digest = digest.map(|digest| digest.ok_or(("message_digest", "32 bytes in hex, or null")));
        let signed = self.signed_at_unix_ms.as_deref().map(number);
        let signed = signed.map(|signed| signed.ok_or(("signed_at_unix_ms", NUMBER)));
        Ok(SignedEpoch {
            epoch: Epoch(epoch.ok_or(("epoch", "an epoch in decimal digits, as a string"))?),
            message_digest: digest.transpose()?,
            signed_unix_ms: signed.transpose()?.unwrap_or_default(),
        })
    }
}

fn value(place: &str, field: &str, expected: &str) -> String {
    format!("{place}.{field} is not {expected}")
}

/// A number in the one form that it has: digits alone, no zero before them.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn decoded(digits: &str) -> Option<Vec<u8>> {
    hex::decode(digits.strip_prefix("0x").unwrap_or(digits)).ok()
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}
