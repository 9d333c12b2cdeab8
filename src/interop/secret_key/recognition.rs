//! Detects the scheme of a secret key. In forms of leanSig its shape leaves a few, and its first leaves fewer; a seed of leanVM
//! makes its public parameter in one version alone.

use super::{Level, NodeIndex, SecretKeyFile, SecretKeyForm};
use crate::error::{Error, Result};
use crate::remedy::{Argument, Remedy};
use crate::units::Epoch;
use keymill_xmss::arena::Arena;
use keymill_xmss::hash::PrfKey;
use keymill_xmss::scheme::{KeyForms, Parameter, Scheme};

/// The schemes whose secret keys are kept in these forms.
pub(super) fn schemes(forms: KeyForms) -> impl Iterator<Item = &'static Scheme> + Clone {
    let is_of = move |scheme: &&'static Scheme| scheme.family().key_forms() == forms;
    Scheme::all().iter().filter(is_of)
}

/// Refuses a scheme whose secret keys are kept in no form that is known here.
///
/// # Errors
/// [`Error`] names it.
pub(crate) fn check_has_form(scheme: &Scheme) -> Result<()> {
    if scheme.family().key_forms() != KeyForms::Unknown {
        return Ok(());
    }
    let what = format!("no form of secret keys of other programs is known for {}", scheme.id());
    Err(Error::usage(what))
}

/// Refuses a scheme whose secret keys are kept in other forms than these.
///
/// # Errors
/// [`Error`] names it, and its forms.
pub(crate) fn check_forms(scheme: &Scheme, forms: KeyForms) -> Result<()> {
    check_has_form(scheme)?;
    let own = scheme.family().key_forms();
    if own == forms {
        return Ok(());
    }
    let names = SecretKeyForm::named().filter(|(form, ..)| form.keys() == own);
    let names: Vec<_> = names.map(|(_, name, _)| name).collect();
    let (id, names) = (scheme.id(), names.join(", "));
    Err(Error::usage(format!(
        "secret keys of {id} are kept in other forms: {names}"
    )))
}

/// The version of leanVM's XMSS in which a seed makes this public parameter.
///
/// # Errors
/// A sentence: there is none.
pub(crate) fn leanvm_scheme(seed: &PrfKey, parameter: &Parameter) -> Result<&'static Scheme, String> {
    let makes = |scheme: &&'static Scheme| scheme.family().draw(scheme, seed.expose(), &[]).parameter == *parameter;
    schemes(KeyForms::Leanvm).find(makes).ok_or_else(other_parameter)
}

impl SecretKeyFile {
    /// The scheme of the key. `asked` decides where several fit, and is refused if it does not fit itself.
    ///
    /// # Errors
    /// [`Error`] if none fits, or more than one.
    pub fn scheme(&self, asked: Option<&'static Scheme>) -> Result<&'static Scheme> {
        let shape = &self.head.shape;
        asked.map_or(Ok(()), |scheme| check_forms(scheme, shape.key_forms()))?;
        let Some(window) = shape.window() else {
            return self.scheme_of_seed(asked);
        };
        let fits = |scheme: &&'static Scheme| {
            scheme.log_lifetime() == shape.log_lifetime() && scheme.digest_bytes() == shape.digest_bytes()
        };
        let possible: Vec<&'static Scheme> = schemes(KeyForms::Leansig).filter(fits).collect();
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
        let first = NodeIndex(window.start);
        let mut fitting = Vec::new();
        for scheme in &tried {
            if self.is_leaf_under(scheme, first)? {
                fitting.push(*scheme);
            }
        }
        match fitting[..] {
            [] => Err(other_leaf(first, &tried)),
            [scheme] => self.with_right_tree(scheme, NodeIndex((window.start + window.end) / 2)),
            _ => {
                let what = format!(
                    "keys of {} have the same trees, and the file does not say of which it is",
                    ids(&fitting)
                );
                Err(Error::usage(what).mend([Remedy::Give(Argument::Scheme)]))
            }
        }
    }

    /// The version of leanVM's XMSS that a key is of.
    fn scheme_of_seed(&self, asked: Option<&'static Scheme>) -> Result<&'static Scheme> {
        let found = leanvm_scheme(&self.head.prf_key, &self.head.parameter).map_err(Error::usage)?;
        match asked {
            Some(asked) if asked != found => {
                let (asked, found) = (asked.id(), found.id());
                Err(Error::usage(format!(
                    "it is not a key of {asked}: its public parameter is what its seed makes under {found}"
                )))
            }
            _ => Ok(found),
        }
    }

    /// The scheme, if the right bottom tree begins as it should too, which is with this leaf.
    fn with_right_tree(&self, scheme: &'static Scheme, node: NodeIndex) -> Result<&'static Scheme> {
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

/// What is wrong with a key of leanVM's that is of no version.
fn other_parameter() -> String {
    let known: Vec<_> = schemes(KeyForms::Leanvm).collect();
    format!(
        "its public parameter is not what its seed makes under {}; the file is damaged, or put together from two keys, or of \
         another version of leanVM",
        ids(&known)
    )
}

fn ids(schemes: &[&'static Scheme]) -> String {
    let ids: Vec<_> = schemes.iter().map(|scheme| scheme.id()).collect();
    ids.join(", ")
}
