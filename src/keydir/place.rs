//! Where a key is, and what opens its secret there.

use std::path::Path;

use crate::keystore::Passphrase;

/// A key directory, and the passphrase of its secret if that is under one. Whatever opens a key takes it, and a path alone as
/// well.
///
/// # Examples
/// ```
/// use keymill::{KeyPlace, Passphrase, Signer};
/// let passphrase = Passphrase::new("correct horse battery staple")?;
/// let signer = Signer::open(KeyPlace::new("no-such-key").passphrase(&passphrase));
/// assert!(signer.is_err());
/// # Ok::<(), keymill::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct KeyPlace<'a> {
    path: &'a Path,
    passphrase: Option<&'a Passphrase>,
}

impl<'a> KeyPlace<'a> {
    /// The key in this directory.
    pub fn new(path: &'a (impl AsRef<Path> + ?Sized)) -> Self {
        Self {
            path: path.as_ref(),
            passphrase: None,
        }
    }

    /// The same with this passphrase, if there is one.
    #[must_use]
    pub fn passphrase(self, passphrase: impl Into<Option<&'a Passphrase>>) -> Self {
        let passphrase = passphrase.into();
        Self { passphrase, ..self }
    }

    /// The directory.
    pub fn path(&self) -> &'a Path {
        self.path
    }

    pub(crate) fn known_passphrase(&self) -> Option<&'a Passphrase> {
        self.passphrase
    }
}

impl<'a, P: AsRef<Path> + ?Sized> From<&'a P> for KeyPlace<'a> {
    fn from(path: &'a P) -> Self {
        Self::new(path)
    }
}
