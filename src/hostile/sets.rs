//! Sets of keys: their manifests, their notes, and the marks of their ledgers.

use super::with_scheme;
use crate::interop::key_set::manifest::SetManifest;
use crate::keydir::with_checksum;
use crate::ledger::SetMark;
use crate::sets::finished::{finished_line, parse_finished};
use crate::sets::record::Record;

/// A manifest that is read is written with the same lines, but for those that say nothing.
pub(super) fn manifest(bytes: &[u8]) -> Result<bool, String> {
    let Ok(manifest) = SetManifest::read(bytes) else {
        return Ok(false);
    };
    let mut written = Vec::new();
    manifest.write(&mut written).map_err(|error| error.to_string())?;
    let lines = |text: &[u8]| -> Vec<Vec<u8>> {
        let lines = text.split(|&byte| byte == b'\n');
        let telling = lines.filter(|line| !line.is_empty() && line[0] != b'#');
        telling.map(<[u8]>::to_vec).collect()
    };
    if lines(&written) == lines(bytes) {
        Ok(true)
    } else {
        Err("the manifest of a set became another when it was written".to_owned())
    }
}

pub(super) fn record(bytes: &[u8]) -> Result<bool, String> {
    let Ok(record) = Record::parse(bytes) else {
        return Ok(false);
    };
    match Record::parse(record.to_text()?.as_bytes()) {
        Ok(again) if again == record => Ok(true),
        other => Err(format!(
            "the record of a set became another when it was written: {other:?}"
        )),
    }
}

/// The keys of a list, written as they are added to it, are the same keys.
pub(super) fn finished(bytes: &[u8]) -> Result<bool, String> {
    let Some((scheme, bytes)) = with_scheme(bytes) else {
        return Ok(false);
    };
    let Ok(keys) = parse_finished(bytes, scheme) else {
        return Ok(false);
    };
    let text: String = keys
        .iter()
        .map(|(key, public_key)| finished_line(*key, public_key))
        .collect();
    match parse_finished(text.as_bytes(), scheme) {
        Ok(again) if again == keys => Ok(true),
        other => Err(format!(
            "a list of finished keys became another when it was written: {other:?}"
        )),
    }
}

/// A mark of the ledger of a set that is read is written with the same bytes.
pub(super) fn mark(bytes: &[u8]) -> Result<bool, String> {
    match SetMark::parse_bytes(bytes) {
        Err(_) => Ok(false),
        Ok(mark) if mark.to_text().as_bytes() == bytes => Ok(true),
        Ok(mark) => Err(format!("a mark became another when it was written: {mark:?}")),
    }
}

/// The mark's fields behind a checksum that is right, which random changes never hit.
pub(super) fn mark_body(body: &[u8]) -> Result<bool, String> {
    match std::str::from_utf8(body) {
        Ok(body) => mark(with_checksum(body).as_bytes()),
        Err(_) => Ok(false),
    }
}
