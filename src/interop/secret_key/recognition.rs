//! Of which scheme a secret key is: its shape leaves a few, and its first leaves fewer.

use super::{Level, NodeIndex, SecretKeyFile};
use crate::units::Epoch;
use keymill_xmss::arena::{Arena, ArenaOverflow};

use keymill_xmss::scheme::Scheme;

/// A secret key is not of the scheme that was asked for, or it cannot be told of which it is.
#[derive(Debug, thiserror::Error)]
pub enum UnfitScheme {
    /// The schemes' trees are the same; they differ in how they encode messages.
    #[error(
        "keys of {} have the same trees, and the file does not say of which it is; --scheme says it",
        list(.0)
    )]
    Ambiguous(Vec<&'static str>),
    /// The shape is another one.
    #[error(
        "it is no key of {scheme}: its lifetime is 2^{log_lifetime} and its digests have {digest_bytes} bytes, which are \
         those of {}",
        list(.possible)
    )]
    OtherShape {
        /// The scheme that was asked for.
        scheme: &'static str,
        /// The lifetime is 2 to this power.
        log_lifetime: u8,
        /// Bytes of a digest.
        digest_bytes: usize,
        /// The schemes that it can be of.
        possible: Vec<&'static str>,
    },
    /// The leaf is not what the PRF key and the parameter lead to.
    #[error(
        "node {node} of level 0 is not the leaf that its PRF key and parameter make under {}; the file is damaged, or put \
         together from two keys, or of another scheme",
        list(.tried)
    )]
    OtherLeaf {
        /// Index of the leaf.
        node: NodeIndex,
        /// The schemes under which it was computed.
        tried: Vec<&'static str>,
    },
    /// A worker's scratch memory is too small.
    #[error(transparent)]
    Arena(#[from] ArenaOverflow),
}

fn list(names: &[&str]) -> String {
    names.join(", ")
}

impl SecretKeyFile {
    /// The scheme of the key. `asked` decides where several fit, and is refused if it does not fit itself.
    ///
    /// # Errors
    /// [`UnfitScheme`] if none fits, or more than one.
    pub fn scheme(&self, asked: Option<&'static Scheme>) -> Result<&'static Scheme, UnfitScheme> {
        let shape = &self.head.shape;
        let fits = |scheme: &&Scheme| {
            scheme.log_lifetime() == shape.log_lifetime() && scheme.digest_bytes() == shape.digest_bytes()
        };
        let possible: Vec<&'static Scheme> = Scheme::all().iter().filter(fits).collect();
        let tried = match asked {
            Some(scheme) if !fits(&scheme) => {
                return Err(UnfitScheme::OtherShape {
                    scheme: scheme.id(),
                    log_lifetime: shape.log_lifetime(),
                    digest_bytes: shape.digest_bytes(),
                    possible: ids(&possible),
                });
            }
            Some(scheme) => vec![scheme],
            None => possible,
        };
        let first = NodeIndex(shape.window().start);
        let mut fitting = Vec::new();
        for scheme in &tried {
            if self.is_leaf_under(scheme, first)? {
                fitting.push(*scheme);
            }
        }
        match fitting[..] {
            [] => Err(UnfitScheme::OtherLeaf {
                node: first,
                tried: ids(&tried),
            }),
            [scheme] => self.with_right_tree(scheme),
            _ => Err(UnfitScheme::Ambiguous(ids(&fitting))),
        }
    }

    /// The scheme, if the right bottom tree begins as it should too.
    fn with_right_tree(&self, scheme: &'static Scheme) -> Result<&'static Scheme, UnfitScheme> {
        let window = self.head.shape.window();
        let node = NodeIndex((window.start + window.end) / 2);
        match self.is_leaf_under(scheme, node)? {
            true => Ok(scheme),
            false => Err(UnfitScheme::OtherLeaf {
                node,
                tried: vec![scheme.id()],
            }),
        }
    }

    fn is_leaf_under(&self, scheme: &'static Scheme, node: NodeIndex) -> Result<bool, ArenaOverflow> {
        let kernel = scheme.kernel(&self.head.parameter);
        let arena = Arena::new(scheme.scratch_bytes());
        let mut leaf = vec![0; scheme.digest_bytes()];
        kernel.leaves(&self.head.prf_key, Epoch(node.0 as u32), &mut leaf, &arena)?;
        Ok(self.node(Level(0), node) == Some(&leaf[..]))
    }
}

fn ids(schemes: &[&'static Scheme]) -> Vec<&'static str> {
    schemes.iter().map(|scheme| scheme.id()).collect()
}
