//! Secret keys as other programs keep them: the PRF key, the top of the tree, and with leanSig two bottom trees that can sign
//! at once (docs/FORMAT.md, "Secret keys of other programs").

mod agreement;
mod form;
mod forms;
mod json;
mod leansig_json;
mod leanspec_json;
mod leanvm;
mod recognition;
mod shape;
mod source;
mod ssz;

use std::io::{self, Read, Write};

pub use form::ForeignShape;
pub use forms::{SecretKeyForm, reading_bytes_max};
pub use leanspec_json::PairWriter;
pub use shape::{KeyShape, Tree};

pub(crate) use agreement::first_wrong_node;
pub(crate) use form::form_of;
pub(crate) use recognition::{check_forms, check_has_form, leanvm_scheme};

use crate::interop::Role;
use crate::remedy::Remedy;
use crate::units::{Epoch, Level, NodeIndex, Slice};
use keymill_xmss::hash::{OneTimeKeys, PrfKey};
use keymill_xmss::scheme::Parameter;
use keymill_xmss::tree::Nodes as Layer;
use source::Source;

/// More nodes than a tree of any secret key has.
const NODES_MAX: usize = (2 << 16) + 80;
/// In JSON, the layer that is being read may have as much room again as it needs, and be copied once.
const LAYER_BYTES_MAX: u64 = 4 << 20;
/// A secret key cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretKeyError {
    /// A read failed.
    #[error("reading it failed: {0}")]
    Read(#[from] io::Error),
    /// It is not in the form that it has to be in.
    #[error("at byte {at}, {what}")]
    Malformed {
        /// Offset of the first byte that is wrong.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// It is in its form, or in none, and is not taken.
    #[error("{what}")]
    Refused {
        /// Why not.
        what: String,
        /// What can be done about it, where that is known.
        remedy: Option<Remedy>,
    },
}

impl SecretKeyError {
    fn malformed(at: u64, what: impl Into<String>) -> Self {
        Self::Malformed { at, what: what.into() }
    }

    fn refused(what: impl Into<String>) -> Self {
        let (what, remedy) = (what.into(), None);
        Self::Refused { what, remedy }
    }

    fn unknown_form(shape: ForeignShape) -> Self {
        Self::refused(format!("it is not a secret key of a known form: {shape}"))
    }
}

/// Numbers of which one has to be it.
struct Digits<'a>(&'a [u32]);

impl std::fmt::Display for Digits<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&numbers.join(" or "))
    }
}

/// What a secret key is, but for the nodes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SecretKeyHead {
    /// The secret.
    pub prf_key: PrfKey,
    /// Public parameter, canonical bytes.
    pub parameter: Parameter,
    /// Which nodes there are.
    pub shape: KeyShape,
}

/// Puts the digests of a slice into a vector, in place of what was there.
pub type GiveNodes<'a, E> = dyn FnMut(&Slice, &mut Vec<u8>) -> Result<(), E> + 'a;

impl SecretKeyHead {
    /// By what it is seen whether another key has its one-time keys.
    pub(crate) fn one_time_keys(&self) -> OneTimeKeys {
        OneTimeKeys::of(&self.prf_key, &self.parameter)
    }

    /// Writes a secret key whose nodes are asked for a few at a time, in the order of the form.
    ///
    /// # Errors
    /// What `nodes` or a write says, or that a file of this form is more than a key.
    pub fn write<E: From<io::Error>>(
        &self,
        form: SecretKeyForm,
        writer: &mut dyn Write,
        nodes: &mut GiveNodes<'_, E>,
    ) -> Result<(), E> {
        let mut failure = None;
        let written = form.write(writer, self, &mut |slice, digests| {
            nodes(slice, digests).map_err(|error| {
                failure = Some(error);
                io::Error::other("the nodes could not be had")
            })
        });
        match failure {
            Some(failure) => Err(failure),
            None => Ok(written?),
        }
    }
}

/// A secret key that another program wrote: its numbers agree with each other, its elements are canonical. Whether its
/// trees grow from its PRF key is another question: [`scheme`](Self::scheme), [`first_wrong_node`](Self::first_wrong_node).
#[derive(Clone, Debug)]
pub struct SecretKeyFile {
    head: SecretKeyHead,
    /// Those of the top tree, of the left and of the right bottom tree, each from its lowest level upward.
    layers: Vec<Layer>,
}

impl SecretKeyFile {
    /// Reads a secret key; without a form, in the one that its beginning shows. `role` says which key of a file of two is
    /// meant. What is kept is at most 13 MB, whatever the file claims.
    ///
    /// # Errors
    /// [`SecretKeyError`] says what is wrong, and where.
    pub fn read(
        reader: &mut dyn Read,
        form: Option<SecretKeyForm>,
        role: Option<Role>,
    ) -> Result<Self, SecretKeyError> {
        let mut source = Source::new(reader);
        use ForeignShape::{FlatLeanspec, Keystore, LeanvmKoalaBear, PublicAndSecret};
        let form = match (form, form_of(source.ahead()?)) {
            // Whatever it was called: what is wrong with it is more than a field.
            (Some(_), Err(shape @ (FlatLeanspec | PublicAndSecret | Keystore | LeanvmKoalaBear))) => {
                return Err(SecretKeyError::unknown_form(shape));
            }
            (Some(form), _) | (None, Ok(form)) => form,
            (None, Err(shape)) => return Err(SecretKeyError::unknown_form(shape)),
        };
        form.read(source, role)
    }

    /// The secret key of these layers, if the roots of its bottom trees are the same ones in its top tree.
    fn of(head: SecretKeyHead, layers: Vec<Layer>) -> Result<Self, SecretKeyError> {
        let key = Self { head, layers };
        let roots = [Tree::Left, Tree::Right].into_iter();
        for root in roots.filter_map(|tree| key.layers_of(tree).last()) {
            let (level, node) = (root.slice.level, NodeIndex(root.slice.nodes.start));
            if key.node(level, node) != Some(&root.digests[..]) {
                return Err(SecretKeyError::refused(format!(
                    "node {node} of level {level} is another one in its top tree than as the root of a bottom tree; it is damaged"
                )));
            }
        }
        Ok(key)
    }

    /// PRF key, parameter and shape.
    pub fn head(&self) -> &SecretKeyHead {
        &self.head
    }

    /// The root digest.
    pub fn root(&self) -> &[u8] {
        let root = Level(self.head.shape.log_lifetime());
        self.node(root, NodeIndex(0)).unwrap_or_default()
    }

    /// The public key: root, then parameter.
    pub fn public_key(&self) -> Vec<u8> {
        [self.root(), &self.head.parameter].concat()
    }

    /// The digests that stand in for missing siblings in its trees, in drawing order. Those of a key of leanSig are all in the
    /// top tree, since the interval is whole bottom trees.
    pub fn fillers(&self) -> Vec<u8> {
        let geometry = self.head.shape.geometry();
        let digests = geometry.fillers().filter_map(|(level, node)| self.node(level, node));
        digests.flatten().copied().collect()
    }

    /// Bytes of memory that its nodes take.
    pub fn held_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.digests.capacity() as u64).sum()
    }

    /// The digest of a node; `None` if the file does not hold it.
    pub fn node(&self, level: Level, node: NodeIndex) -> Option<&[u8]> {
        let tree = self.head.shape.tree_of(level, node)?;
        let layers = self.layers_of(tree);
        layers.iter().find(|layer| layer.slice.level == level)?.get(node)
    }

    /// Writes the same secret key.
    ///
    /// # Errors
    /// That of a write, or that a file of this form is more than a key.
    pub fn write(&self, form: SecretKeyForm, writer: &mut dyn Write) -> io::Result<()> {
        self.head.write(form, writer, &mut |slice, digests| {
            self.nodes(slice, digests);
            Ok(())
        })
    }

    /// Every run of nodes that it holds, tree by tree, each from its lowest level upward.
    pub(crate) fn slices(&self) -> impl Iterator<Item = (&Slice, &[u8])> {
        self.layers.iter().map(|layer| (&layer.slice, &layer.digests[..]))
    }

    /// The leaf of an epoch in the window, and the siblings that lead from it to the root, from level 0 upward.
    pub fn path(&self, epoch: Epoch) -> Option<(&[u8], Vec<u8>)> {
        let leaf = self.node(Level(0), NodeIndex(epoch.0.into()))?;
        let mut siblings = Vec::new();
        for (level, sibling) in self.head.shape.geometry().path(epoch) {
            siblings.extend(self.node(level, sibling)?);
        }
        Some((leaf, siblings))
    }

    /// The digests of a slice of one of its trees, which one layer holds.
    fn nodes(&self, slice: &Slice, digests: &mut Vec<u8>) {
        let held = self.layers.iter().find_map(|layer| layer.part(slice));
        digests.clear();
        digests.extend_from_slice(held.unwrap_or_default());
    }

    fn layers_of(&self, tree: Tree) -> &[Layer] {
        let bottom = match self.head.shape.window() {
            Some(_) => usize::from(self.head.shape.bottom_level().0) + 1,
            None => 0,
        };
        let top = self.layers.len() - 2 * bottom;
        match tree {
            Tree::Top => &self.layers[..top],
            Tree::Left => &self.layers[top..top + bottom],
            Tree::Right => &self.layers[top + bottom..],
        }
    }
}
