//! Detects the scheme of a secret key: its shape leaves a few, and its first leaves fewer.

use super::{Level, NodeIndex, SecretKeyFile};
use crate::error::{Error, Result};
use crate::remedy::{Argument, Remedy};
use crate::units::Epoch;
use keymill_xmss::arena::Arena;

use keymill_xmss::scheme::{KeyForms, Scheme};

/// The schemes of which other programs keep secret keys in a form that is known here.
pub(super) fn schemes() -> impl Iterator<Item = &'static Scheme> + Clone {
    Scheme::all().iter().filter(|scheme| has_form(scheme))
}

fn has_form(scheme: &Scheme) -> bool {
    match scheme.family().key_forms() {
        KeyForms::Leansig => true,
        KeyForms::Unknown => false,
    }
}

/// Refuses a scheme that [`schemes`] has not.
///
/// # Errors
/// [`Error`] names it.
pub(crate) fn check_has_form(scheme: &Scheme) -> Result<()> {
    if has_form(scheme) {
        return Ok(());
    }
    let what = format!("no form of secret keys of other programs is known for {}", scheme.id());
    Err(Error::usage(what))
}

impl SecretKeyFile {
    /// The scheme of the key. `asked` decides where several fit, and is refused if it does not fit itself.
    ///
    /// # Errors
    /// [`Error`] if none fits, or more than one.
    pub fn scheme(&self, asked: Option<&'static Scheme>) -> Result<&'static Scheme> {
        asked.map_or(Ok(()), check_has_form)?;
        let shape = &self.head.shape;
        let fits = |scheme: &&'static Scheme| {
            scheme.log_lifetime() == shape.log_lifetime() && scheme.digest_bytes() == shape.digest_bytes()
        };
        let possible: Vec<&'static Scheme> = schemes().filter(fits).collect();
        let tried = match asked {
            Some(scheme) if !fits(&scheme) => {
                return Err(Error::usage(format!(
                    "it is not a key of {}: its lifetime is 2^{} and its digests have {} bytes, which are those of {}",
                    scheme.id(),
                    shape.log_lifetime(),
                    shape.digest_bytes(),
                    ids(&possible)
                )));
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
            [] => Err(other_leaf(first, &tried)),
            [scheme] => self.with_right_tree(scheme),
            _ => {
                let what = format!(
                    "keys of {} have the same trees, and the file does not say of which it is",
                    ids(&fitting)
                );
                Err(Error::usage(what).mend([Remedy::Give(Argument::Scheme)]))
            }
        }
    }

    /// The scheme, if the right bottom tree begins as it should too.
    fn with_right_tree(&self, scheme: &'static Scheme) -> Result<&'static Scheme> {
        let window = self.head.shape.window();
        let node = NodeIndex((window.start + window.end) / 2);
        if self.is_leaf_under(scheme, node)? {
            Ok(scheme)
        } else {
            Err(other_leaf(node, &[scheme]))
        }
    }

    fn is_leaf_under(&self, scheme: &'static Scheme, node: NodeIndex) -> Result<bool> {
        let kernel = scheme.kernel(&self.head.parameter);
        let arena = Arena::new(scheme.scratch_bytes());
        let mut leaf = vec![0; scheme.digest_bytes()];
        kernel
            .leaves(&self.head.prf_key, Epoch(node.0 as u32), &mut leaf, &arena)
            .map_err(|error| Error::machine(error.to_string()))?;
        Ok(self.node(Level(0), node) == Some(&leaf[..]))
    }
}

/// The leaf is not what the PRF key and the parameter lead to.
fn other_leaf(node: NodeIndex, tried: &[&'static Scheme]) -> Error {
    Error::usage(format!(
        "node {node} of level 0 is not the leaf that its PRF key and parameter make under {}; the file is damaged, or put \
         together from two keys, or of another scheme",
        ids(tried)
    ))
}

fn ids(schemes: &[&'static Scheme]) -> String {
    let ids: Vec<_> = schemes.iter().map(|scheme| scheme.id()).collect();
    ids.join(", ")
}
