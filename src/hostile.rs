//! What hostile input meets: one entry for each form that the library reads. The fuzz targets under `tests/fuzz` and the
//! property tests go through the same ones. Compiled for them only.
//!
//! An entry takes any bytes. It must not panic, must not hang, and must not allocate more than the input warrants; what it
//! returns as an error is a promise about that form that was broken. Else it says whether the bytes were read as one, so that
//! a corpus of which nothing is read, and which so tries no promise, is seen.

mod parts;
mod services;
mod sets;
mod signatures;

use std::path::Path;

use crate::exchange::Backup;
use crate::interop::Role;
use crate::interop::ledger_json;
use crate::interop::secret_key::{SecretKeyFile, SecretKeyForm};
use crate::keydir::{LedgerMark, with_checksum};
use crate::keydir::{Manifest, Secret};
use crate::keystore::{Keystore, Passphrase};
use crate::layers::Header;
use crate::resources::report::{Count, MemoryReport};
use crate::state::{
    ArenaRecord, BatchRecord, CrownRecord, LedgerHead, LedgerRecord, ProgressRecord, SetHead, SetKeyRecord, reencoded,
};
use crate::units::{KeyId, Level};
use keymill_xmss::hash::PrfKey;
use keymill_xmss::scheme::Scheme;
use keymill_xmss::{PublicKey, Signature};

/// Takes any bytes, and says whether they were read as the form; an error says which promise was broken.
pub type Entry = fn(&[u8]) -> Result<bool, String>;

/// Every form, by the name of its fuzz target and its corpus.
pub const ENTRIES: &[(&str, Entry)] = &[
    ("manifest", manifest),
    ("manifest_body", manifest_body),
    ("secret", secret),
    ("keystore", keystore),
    ("passphrase", passphrase),
    ("layer_header", layer_header),
    ("batch_record", |bytes| record(reencoded::<BatchRecord>(bytes), bytes)),
    ("crown_record", |bytes| record(reencoded::<CrownRecord>(bytes), bytes)),
    ("progress_record", |bytes| {
        record(reencoded::<ProgressRecord>(bytes), bytes)
    }),
    ("arena_record", |bytes| record(reencoded::<ArenaRecord>(bytes), bytes)),
    ("ledger_record", |bytes| record(reencoded::<LedgerRecord>(bytes), bytes)),
    ("ledger_head", |bytes| record(reencoded::<LedgerHead>(bytes), bytes)),
    ("history", crate::history::reread),
    ("ledger_mark", ledger_mark),
    ("ledger_mark_body", ledger_mark_body),
    ("set_manifest", sets::manifest),
    ("set_record", sets::record),
    ("set_finished", sets::finished),
    ("set_mark", sets::mark),
    ("set_mark_body", sets::mark_body),
    ("set_key_record", |bytes| {
        record(reencoded::<SetKeyRecord>(bytes), bytes)
    }),
    ("set_head", |bytes| record(reencoded::<SetHead>(bytes), bytes)),
    ("ledger_json", ledger),
    ("backup_text", backup),
    ("public_key", public_key),
    ("signature", signature),
    ("verify", signatures::verifying),
    ("memory_trace", memory_trace),
    ("service_address", services::address),
    ("service_answer", services::answer),
    ("ticket", parts::ticket),
    ("ticket_body", parts::ticket_body),
    ("part_page", parts::page),
    #[cfg(feature = "serve")]
    ("known_clients", services::known_clients),
    ("secret_key_ssz", |bytes| secret_key(bytes, SecretKeyForm::LeansigSsz)),
    ("secret_key_json", |bytes| secret_key(bytes, SecretKeyForm::LeansigJson)),
    ("secret_key_pair", |bytes| {
        secret_key(bytes, SecretKeyForm::LeanspecJson)
    }),
    ("secret_key_postcard", |bytes| {
        leanvm_key(bytes, SecretKeyForm::LeanvmPostcard)
    }),
    ("secret_key_bincode", |bytes| {
        leanvm_key(bytes, SecretKeyForm::LeanvmBincode)
    }),
];

fn manifest(bytes: &[u8]) -> Result<bool, String> {
    let path = Path::new("manifest.toml");
    let Ok(manifest) = Manifest::parse(bytes, path) else {
        return Ok(false);
    };
    let text = manifest.to_text()?;
    match Manifest::parse(text.as_bytes(), path) {
        Ok(again) if again == manifest => Ok(true),
        other => Err(format!("a manifest became another when it was written: {other:?}")),
    }
}

/// The manifest's fields behind a checksum that is right, which random changes never hit.
fn manifest_body(body: &[u8]) -> Result<bool, String> {
    match std::str::from_utf8(body) {
        Ok(body) => manifest(Manifest::with_checksum(body).as_bytes()),
        Err(_) => Ok(false),
    }
}

fn secret(bytes: &[u8]) -> Result<bool, String> {
    let parsed = std::str::from_utf8(bytes).ok().and_then(Secret::parse);
    let Some((secret, origin)) = parsed else {
        return Ok(false);
    };
    let again = Secret::parse(&secret.to_text(origin));
    match again {
        Some((again, found)) if again.is_same_as(&secret) && found == origin => {}
        _ => return Err("a secret became another when it was written".to_owned()),
    }
    let blank = match secret {
        Secret::Seed(_) => Secret::Seed([0; 32]),
        Secret::PrfKey(_) => Secret::PrfKey([0; 32]),
    };
    let shown = |secret: &Secret| format!("{secret:?}{:?}", PrfKey::new(*secret.bytes()));
    if shown(&secret) == shown(&blank) {
        Ok(true)
    } else {
        Err("a secret was shown".to_owned())
    }
}

/// A keystore that is read is written as the same one. No key is derived for it: how long that takes is bounded when it is read.
fn keystore(bytes: &[u8]) -> Result<bool, String> {
    let Ok(keystore) = Keystore::parse(bytes) else {
        return Ok(false);
    };
    match Keystore::parse(keystore.to_text()?.as_bytes()) {
        Ok(again) if again == keystore => Ok(true),
        other => Err(format!("a keystore became another when it was written: {other:?}")),
    }
}

/// Whatever is typed, it is decomposed in the room that was made for it, and never shown.
fn passphrase(bytes: &[u8]) -> Result<bool, String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(false);
    };
    match Passphrase::new(text) {
        Ok(passphrase) if format!("{passphrase:?}") != "Passphrase(secret)" => Err("a passphrase was shown".to_owned()),
        read => Ok(read.is_ok()),
    }
}

fn layer_header(bytes: &[u8]) -> Result<bool, String> {
    let header = Header {
        key_id: KeyId([0x5a; 16]),
        level: Level(3),
        first_index: 640,
        count: 192,
        digest_bytes: 28,
    };
    let accepted = header.check_page(bytes, Path::new("layers/03.nodes")).is_ok();
    if accepted == (bytes == header.to_page()) {
        Ok(accepted)
    } else {
        Err(format!("accepted: {accepted}"))
    }
}

fn record(again: Option<Vec<u8>>, bytes: &[u8]) -> Result<bool, String> {
    match again {
        Some(again) if again != bytes => Err(format!("a record was read that would be written as {again:02x?}")),
        again => Ok(again.is_some()),
    }
}

fn ledger_mark(bytes: &[u8]) -> Result<bool, String> {
    let Ok(mark) = LedgerMark::parse_bytes(bytes) else {
        return Ok(false);
    };
    match LedgerMark::parse_bytes(mark.to_text().as_bytes()) {
        Ok(again) if again == mark => Ok(true),
        other => Err(format!("a mark became another when it was written: {other:?}")),
    }
}

/// The mark's fields behind a checksum that is right, which random changes never hit.
fn ledger_mark_body(body: &[u8]) -> Result<bool, String> {
    match std::str::from_utf8(body) {
        Ok(body) => ledger_mark(with_checksum(body).as_bytes()),
        Err(_) => Ok(false),
    }
}

/// The digits of the secret in each backup of the corpus, which most of what is made of those has too.
const BACKUP_DIGITS: &str = "a7a2ada8b3beb9848f8a95909be6e1ecf7f2fdf8c3cec9d4dfda25202b36313c";

/// Whatever is typed: what is taken for a backup is the one that would be printed. Digits in an error would be secret.
fn backup(bytes: &[u8]) -> Result<bool, String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(false);
    };
    let backup = match Backup::parse(text) {
        Ok(backup) => backup,
        Err(error) if shows_a_group(&error.to_string()) => return Err("a secret was shown".to_owned()),
        Err(_) => return Ok(false),
    };
    let printed = backup.to_text();
    match Backup::parse(&printed) {
        Ok(again) if *again.to_text() == *printed => Ok(true),
        _ => Err("a backup became another when it was printed".to_owned()),
    }
}

/// Whether four digits of the secret in a row stand in a text. Without a letter among them they may be a number.
fn shows_a_group(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let groups = (4..=BACKUP_DIGITS.len()).map(|end| &BACKUP_DIGITS[end - 4..end]);
    let mut telling = groups.filter(|group| group.contains(|digit: char| digit.is_ascii_alphabetic()));
    telling.any(|group| text.contains(group))
}

/// Each history of a ledger, written as `ledger export` writes it, is the same history.
fn ledger(bytes: &[u8]) -> Result<bool, String> {
    let Ok(histories) = ledger_json::parse(bytes) else {
        return Ok(false);
    };
    for history in histories {
        let mut text = ledger_json::head_text(&history.owner);
        for (index, entry) in history.signed_epochs.iter().enumerate() {
            text += if index == 0 { "" } else { "," };
            text += &ledger_json::entry_text(entry);
        }
        text += ledger_json::TAIL_TEXT;
        match ledger_json::parse(text.as_bytes()) {
            Ok(again) if again == [history] => {}
            other => return Err(format!("a history became another when it was written: {other:?}")),
        }
    }
    Ok(true)
}

/// The first byte chooses the scheme.
fn with_scheme(bytes: &[u8]) -> Option<(&'static Scheme, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let schemes = Scheme::all();
    Some((&schemes[usize::from(first) % schemes.len()], rest))
}

fn public_key(bytes: &[u8]) -> Result<bool, String> {
    let Some((scheme, bytes)) = with_scheme(bytes) else {
        return Ok(false);
    };
    match PublicKey::from_ssz(scheme, bytes) {
        Ok(key) if key.to_ssz() != bytes => Err("a public key became another when it was written".to_owned()),
        read => Ok(read.is_ok()),
    }
}

fn signature(bytes: &[u8]) -> Result<bool, String> {
    let Some((scheme, bytes)) = with_scheme(bytes) else {
        return Ok(false);
    };
    match Signature::from_ssz(scheme, bytes) {
        Ok(signature) if signature.to_ssz() != bytes => {
            Err("a signature became another when it was written".to_owned())
        }
        read => Ok(read.is_ok()),
    }
}

/// A secret key that is read is written as the same one in every form, and each of its fillers is there.
fn secret_key(bytes: &[u8], form: SecretKeyForm) -> Result<bool, String> {
    let role = (form == SecretKeyForm::LeanspecJson).then_some(Role::Proposer);
    let Ok(key) = SecretKeyFile::read(&mut &bytes[..], Some(form), role) else {
        return Ok(false);
    };
    let ssz = written(&key, SecretKeyForm::LeansigSsz)?;
    if form == SecretKeyForm::LeansigSsz && ssz != bytes {
        return Err("a secret key became another when it was written".to_owned());
    }
    let json = written(&key, SecretKeyForm::LeansigJson)?;
    let again = SecretKeyFile::read(&mut &json[..], None, None).map_err(|error| error.to_string())?;
    let fillers = key.head().shape.geometry().fillers().count() * key.head().shape.digest_bytes();
    if written(&again, SecretKeyForm::LeansigSsz)? == ssz && key.fillers().len() == fillers {
        Ok(true)
    } else {
        Err("a secret key became another in JSON".to_owned())
    }
}

/// A key of leanVM that is read is recognised, and written as the same one in both encodings.
fn leanvm_key(bytes: &[u8], form: SecretKeyForm) -> Result<bool, String> {
    let Ok(key) = SecretKeyFile::read(&mut &bytes[..], Some(form), None) else {
        return Ok(false);
    };
    for other in [SecretKeyForm::LeanvmPostcard, SecretKeyForm::LeanvmBincode] {
        let file = written(&key, other)?;
        let again = SecretKeyFile::read(&mut &file[..], None, None).map_err(|error| error.to_string())?;
        if written(&again, form)? != bytes {
            return Err("a secret key of leanVM became another when it was written".to_owned());
        }
    }
    Ok(true)
}

fn written(key: &SecretKeyFile, form: SecretKeyForm) -> Result<Vec<u8>, String> {
    let mut file = Vec::new();
    let outcome = key.write(form, &mut file);
    outcome.map(|()| file).map_err(|error| error.to_string())
}

/// Whatever a trace tells, its sums agree with each other.
fn memory_trace(bytes: &[u8]) -> Result<bool, String> {
    let Ok(report) = MemoryReport::of(bytes, Path::new("trace"), u64::MAX) else {
        return Ok(false);
    };
    let left: u64 = report.left.values().map(|left| left.count).sum();
    let counts = report.kinds.values();
    let agree = counts
        .clone()
        .all(|count| count.dropped <= count.allocated && count.bytes_left <= count.peak_bytes)
        && counts.map(Count::left).sum::<u64>() == left
        && report.flags.len() as u64 <= report.flag_count
        && report.flag_count <= report.events;
    if agree {
        Ok(true)
    } else {
        Err(format!("sums that do not agree: {report:?}"))
    }
}

#[cfg(test)]
#[path = "../tests/fuzz/property.rs"]
mod property;

#[cfg(test)]
mod tests {
    use super::ENTRIES;
    use super::property::{Allowance, withstands};

    #[test]
    fn whatever_is_read_is_read_without_a_panic_and_without_more_memory_than_it_warrants() {
        for &entry in ENTRIES {
            // Verifying sets up the permutations of the scheme first.
            let (base_bytes, cases) = match entry.0 {
                "verify" => (256 << 10, 300),
                // The plan of the key that it names, and the room for its text.
                "backup_text" | "keystore" => (128 << 10, 20_000),
                // The buffer that the file is read through; and what is read is written again.
                name if name.starts_with("secret_key") => (32 << 10, 3_000),
                _ => (4 << 10, 20_000),
            };
            let per_byte = 32;
            withstands(entry, Allowance { base_bytes, per_byte }, cases);
        }
    }
}
