//! The parts of a request, as an error names the one that is to change.

use std::fmt::{Display, Formatter};

/// A part of what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Argument {
    /// The scheme.
    Scheme,
    /// The first epoch.
    ActivationEpoch,
    /// The number of epochs.
    Epochs,
    /// The public parameter.
    Parameter,
    /// The lowest level that is stored.
    Trim,
    /// The seed.
    Seed,
    /// The PRF key.
    PrfKey,
    /// The number of worker threads.
    Threads,
    /// The number of validators of a set.
    NumValidators,
    /// The number of epochs of each key of a set, as a power of two.
    LogNumActiveEpochs,
    /// The index of the first validator of a set.
    StartIndex,
    /// The role of a key.
    Role,
    /// The roles for which a set has keys.
    Roles,
    /// Whether a set has a directory for each validator.
    Distributed,
    /// The form of the files of a set.
    ExportFormat,
    /// The revision of leanVM that the manifest of a set names.
    LeanvmRev,
    /// Whether the key directories of a set stay.
    KeepDirs,
    /// Whether the key directories are all there is of the keys of a set.
    KeysOnly,
    /// How many keys are made at a time.
    Jobs,
    /// The passphrase.
    Passphrase,
    /// The number of parts of a key.
    Parts,
    /// The number of epochs of each part of a key.
    PartEpochs,
    /// The number of a part of a key.
    Index,
    /// Whether secrets are under a passphrase.
    Seal,
    /// Whether a key keeps the files of its parts.
    Adopt,
    /// Whether the files of parts are copied into the key.
    Copy,
}

impl Display for Argument {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the scheme",
            Self::ActivationEpoch => "the first epoch",
            Self::Epochs => "the number of epochs",
            Self::Parameter => "the public parameter",
            Self::Trim => "the trim",
            Self::Seed => "the seed",
            Self::PrfKey => "the PRF key",
            Self::Threads => "the number of threads",
            Self::NumValidators => "the number of validators",
            Self::LogNumActiveEpochs => "the number of epochs of each key",
            Self::StartIndex => "the first index",
            Self::Role => "the role",
            Self::Roles => "the roles",
            Self::Distributed => "a directory for each validator",
            Self::ExportFormat => "the form of the files",
            Self::LeanvmRev => "the revision of leanVM",
            Self::KeepDirs => "key directories that stay",
            Self::KeysOnly => "key directories alone",
            Self::Jobs => "the number of keys at a time",
            Self::Parts => "the number of parts",
            Self::PartEpochs => "the number of epochs of each part",
            Self::Index => "the number of the part",
            Self::Passphrase => "the passphrase",
            Self::Seal => "secrets under a passphrase",
            Self::Adopt => "the adopting of parts",
            Self::Copy => "the copying of parts",
        })
    }
}
