//! The forms in which programs keep secret keys: a row each.

use std::io::{self, ErrorKind, Write};

use super::leanvm::{self, Encoding};
use super::source::Source;
use super::{GiveNodes, LAYER_BYTES_MAX, SecretKeyError, SecretKeyFile, SecretKeyHead};
use super::{leansig_json, leanspec_json, ssz};
use crate::interop::Role;
use crate::remedy::{Argument, Remedy};
use keymill_xmss::scheme::KeyForms;

/// A form in which a program keeps secret keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKeyForm {
    /// SSZ, as leanSig writes it.
    LeansigSsz,
    /// JSON on one line, as serde writes leanSig's types.
    LeansigJson,
    /// The same JSON with a line for every element, as hash-sig-cli writes it.
    HashSigCliJson,
    /// The key file of leanSpec's test validators: two pairs of keys, each in SSZ, in hex.
    LeanspecJson,
    /// postcard, as clients of leanVM write it.
    LeanvmPostcard,
    /// bincode 1, as other users of leanVM write it.
    LeanvmBincode,
}

type WriteKey = fn(&mut dyn Write, &SecretKeyHead, &mut GiveNodes<'_, io::Error>) -> io::Result<()>;

/// All that differs between forms.
struct Row {
    form: SecretKeyForm,
    /// Whose keys it is for.
    keys: KeyForms,
    /// What a person calls it; `None` if nobody has to name it.
    name: Option<&'static str>,
    about: &'static str,
    encoding: &'static str,
    is_text: bool,
    /// Whether a file holds keys by their roles.
    has_roles: bool,
    memory: Memory,
    read: fn(Source<'_>, Option<Role>) -> Result<SecretKeyFile, SecretKeyError>,
    /// Writes one key; `None` if a file is more than a key.
    write: Option<WriteKey>,
}

/// What reading a file takes.
struct Memory {
    /// Bytes of nodes, for so many bytes of the file.
    nodes_bytes: u64,
    file_bytes: u64,
    /// Keys that are held at a time.
    keys: u64,
    /// Most bytes that the nodes of one take.
    key_bytes_max: u64,
    /// Most bytes that a growing layer may take beside them.
    growing_bytes_max: u64,
}

/// Most bytes that the nodes of a secret key of leanSig take, of whatever scheme: three trees of half the levels of the largest
/// lifetime, and fillers.
const LEANSIG_BYTES_MAX: u64 = 3 * super::NODES_MAX as u64 * 32;
/// The same of leanVM: one tree, of smaller nodes.
const LEANVM_BYTES_MAX: u64 = super::NODES_MAX as u64 * 16;

/// In SSZ it is known how much comes, and memory is taken for just that.
const OF_SSZ: Memory = Memory {
    nodes_bytes: 1,
    file_bytes: 1,
    keys: 1,
    key_bytes_max: LEANSIG_BYTES_MAX,
    growing_bytes_max: 0,
};
/// The shortest text of an element of four bytes is a digit and a comma.
const OF_JSON: Memory = Memory {
    nodes_bytes: 4,
    file_bytes: 2,
    keys: 1,
    key_bytes_max: LEANSIG_BYTES_MAX,
    growing_bytes_max: LAYER_BYTES_MAX,
};
/// The key that is meant is kept while the other one is read.
const OF_PAIRS: Memory = Memory {
    nodes_bytes: 1,
    file_bytes: 2,
    keys: 2,
    key_bytes_max: LEANSIG_BYTES_MAX,
    growing_bytes_max: 0,
};

/// Nothing is taken for what a number says: the layer that is being read, which is half of all nodes at most, grows as its nodes
/// come, and is copied once.
const OF_LEANVM: Memory = Memory {
    nodes_bytes: 1,
    file_bytes: 1,
    keys: 1,
    key_bytes_max: LEANVM_BYTES_MAX,
    growing_bytes_max: LEANVM_BYTES_MAX,
};

const FORMS: [Row; 6] = [
    Row {
        form: SecretKeyForm::LeansigSsz,
        keys: KeyForms::Leansig,
        name: Some("leansig-ssz"),
        about: "SSZ, as leanSig writes it",
        encoding: "SSZ",
        is_text: false,
        has_roles: false,
        memory: OF_SSZ,
        read: |source, _| ssz::read_file(source),
        write: Some(ssz::write),
    },
    Row {
        form: SecretKeyForm::LeansigJson,
        keys: KeyForms::Leansig,
        name: Some("leansig-json"),
        about: "JSON of leanSig, with field elements in Montgomery form",
        encoding: "JSON",
        is_text: true,
        has_roles: false,
        memory: OF_JSON,
        read: |source, _| leansig_json::read(source),
        write: Some(leansig_json::write),
    },
    Row {
        form: SecretKeyForm::HashSigCliJson,
        keys: KeyForms::Leansig,
        name: None,
        about: "JSON of leanSig, a line an element",
        encoding: "JSON",
        is_text: true,
        has_roles: false,
        memory: OF_JSON,
        read: |source, _| leansig_json::read(source),
        write: Some(leansig_json::write_indented),
    },
    Row {
        form: SecretKeyForm::LeanspecJson,
        keys: KeyForms::Leansig,
        name: Some("leanspec-json"),
        about: "The key file of leanSpec's test validators: an attestation key and a proposal key",
        encoding: "JSON",
        is_text: true,
        has_roles: true,
        memory: OF_PAIRS,
        read: leanspec_json::read,
        write: None,
    },
    Row {
        form: SecretKeyForm::LeanvmPostcard,
        keys: KeyForms::Leanvm,
        name: Some("leanvm-postcard"),
        about: "The key file of leanVM in postcard, as its clients write it",
        encoding: "postcard",
        is_text: false,
        has_roles: false,
        memory: OF_LEANVM,
        read: |source, _| leanvm::read(source, Encoding::Postcard),
        write: Some(|writer, head, nodes| leanvm::write(writer, head, nodes, Encoding::Postcard)),
    },
    Row {
        form: SecretKeyForm::LeanvmBincode,
        keys: KeyForms::Leanvm,
        name: Some("leanvm-bincode"),
        about: "The key file of leanVM in bincode 1",
        encoding: "bincode",
        is_text: false,
        has_roles: false,
        memory: OF_LEANVM,
        read: |source, _| leanvm::read(source, Encoding::Bincode),
        write: Some(|writer, head, nodes| leanvm::write(writer, head, nodes, Encoding::Bincode)),
    },
];

impl SecretKeyForm {
    /// The forms that a person can name: form, name, and what it is.
    pub fn named() -> impl Iterator<Item = (Self, &'static str, &'static str)> {
        FORMS.iter().filter_map(|row| Some((row.form, row.name?, row.about)))
    }

    /// The encoding of its files.
    pub fn encoding(self) -> &'static str {
        self.row().encoding
    }

    /// Whether a file holds keys by their roles, and not one key alone.
    pub fn has_roles(self) -> bool {
        self.row().has_roles
    }

    /// Whether a file can sign with a window of epochs at once.
    pub fn has_window(self) -> bool {
        self.keys() == KeyForms::Leansig
    }

    /// Whose keys it is for.
    pub fn keys(self) -> KeyForms {
        self.row().keys
    }

    fn row(self) -> &'static Row {
        FORMS.iter().find(|row| row.form == self).unwrap_or(&FORMS[0])
    }

    pub(super) fn read(self, mut source: Source<'_>, role: Option<Role>) -> Result<SecretKeyFile, SecretKeyError> {
        let row = self.row();
        if row.is_text {
            source.skip_mark()?;
        }
        if role.is_some() && !row.has_roles {
            return Err(SecretKeyError::Refused {
                what: "a role goes with leanSpec's key files only: this file holds one key".to_owned(),
                remedy: Some(Remedy::LeaveOut(Argument::Role)),
            });
        }
        (row.read)(source, role)
    }

    pub(super) fn write(
        self,
        writer: &mut dyn Write,
        head: &SecretKeyHead,
        nodes: &mut GiveNodes<'_, io::Error>,
    ) -> io::Result<()> {
        if head.shape.key_forms() != self.keys() {
            return Err(io::Error::new(
                ErrorKind::Unsupported,
                "a file of this form holds other keys",
            ));
        }
        match self.row().write {
            Some(write) => write(writer, head, nodes),
            None => Err(io::Error::new(
                ErrorKind::Unsupported,
                "a file of this form holds keys by their roles",
            )),
        }
    }
}

/// Most bytes that reading a secret key file of this length takes, in this form, or in any.
pub fn reading_bytes_max(form: Option<SecretKeyForm>, file_bytes: u64) -> u64 {
    let rows = FORMS.iter().filter(|row| form.is_none_or(|form| row.form == form));
    let bytes = rows.map(|Row { memory, .. }| {
        let nodes = file_bytes.saturating_mul(memory.nodes_bytes) / memory.file_bytes;
        nodes.min(memory.keys * memory.key_bytes_max) + nodes.min(memory.growing_bytes_max)
    });
    bytes.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_a_row() {
        use SecretKeyForm::*;
        for form in [
            LeansigSsz,
            LeansigJson,
            HashSigCliJson,
            LeanspecJson,
            LeanvmPostcard,
            LeanvmBincode,
        ] {
            assert_eq!(form.row().form, form);
        }
    }
}
