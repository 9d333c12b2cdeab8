//! The one error of the library: what kind of failure it is, what happened, where, and what can be done about it.
//!
//! The text says what happened and names no command and no flag. What can be done about it is data ([`Remedy`]), which the
//! command line turns into a command, and other callers into what suits them.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::{Path, PathBuf};

use keymill_xmss::SszError;
use keymill_xmss::arena::ArenaOverflow;
use keymill_xmss::tree::PlanError;

use crate::failure::{FailureKind, IoFailure};
use crate::remedy::{Argument, Remedy, advised};

/// What a caller may want to tell apart, beyond the kind of failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing that a program would treat in a way of its own; the text says it.
    #[default]
    Other,
    /// The job was asked to stop.
    Interrupted,
    /// A call to the operating system failed.
    Call,
    /// The key is not finished.
    NotFinished,
    /// Another process is writing.
    Locked,
    /// What is stored is not as it was written.
    Damaged,
    /// Something else stands in the place of a file.
    NotAFile,
    /// A layer file is missing.
    LayerMissing,
    /// There is no manifest, so it is not known of which key a directory is, if of any.
    NoManifest,
    /// The checkpoint store failed in a way that says nothing about what is stored.
    StoreFailed,
    /// Something is there that would have to be overwritten, or a name is taken.
    InTheWay,
    /// It is not what was begun there.
    Contradiction,
    /// Something that cannot be made again is missing.
    Lost,
    /// The key is trimmed, and the levels that were asked for are deleted.
    LevelsAreGone,
    /// The directory holds another key than was asked for.
    OtherKey,
    /// The tree leads to another root than the key has to have.
    OtherRoot,
    /// The key has no secret.
    SecretMissing,
    /// The secret is damaged, or that of another key.
    SecretDamaged,
    /// Others can read the secret.
    SecretExposed,
    /// The secret is under a passphrase, and none was given.
    PassphraseMissing,
    /// The passphrase does not open the secret.
    WrongPassphrase,
    /// There is too little memory for the least that works.
    TooLittleMemory {
        /// What has to be allowed.
        needed_bytes: u64,
    },
    /// Nearly all memory is held.
    OutOfMemory,
    /// The key has no such epoch.
    OutsideKey,
    /// The epoch has signed another message, or one that is not known.
    Spent,
    /// It is not known which epochs have signed.
    NoHistory,
    /// It is not known whether this epoch has signed.
    BeforeHistory,
    /// No epoch is left that may sign.
    UsedUp,
    /// The first epoch that was named is past the key.
    PastKey,
    /// The first epoch that was named may have signed.
    TooLow {
        /// The least that can be named.
        least: u64,
    },
    /// The mark beside the ledger is missing.
    MarkMissing,
    /// The mark beside the ledger is damaged.
    MarkDamaged,
    /// The ledger says less than it did, or is another one.
    WentBackwards,
    /// A write failed, and it is not known whether it arrived.
    Unknown,
    /// The ledger of the key is that of a set, or on its way there or back.
    LedgerMoved,
}

/// Why something was not done.
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: FailureKind,
    reason: Reason,
    what: String,
    /// So many bytes at the end of the text say what is wrong, without the name of what it is wrong with.
    detail_bytes: usize,
    path: Option<PathBuf>,
    remedies: Vec<Remedy>,
    /// The call that failed, and what the system answered.
    source: Option<(&'static str, io::Error)>,
}

/// The result of everything in the library that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(kind: FailureKind, what: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            reason: Reason::Other,
            what: what.into(),
            detail_bytes: 0,
            path: None,
            remedies: Vec::new(),
            source: None,
        }))
    }

    /// Nothing failed: the answer is no.
    pub(crate) fn no(what: impl Into<String>) -> Self {
        Self::new(FailureKind::No, what)
    }

    /// The caller asked for something that cannot be, or handed in a wrong value.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, what)
    }

    /// A file that the caller named cannot be read: the name of another one mends it, or the machine failed.
    pub(crate) fn unreadable(failure: IoFailure) -> Self {
        let is_misnamed = is_misnamed(&failure.source);
        let mut error = Self::from(failure);
        if is_misnamed {
            error.0.kind = FailureKind::Usage;
        }
        error
    }

    /// What is written goes to a writer of the caller's, which failed.
    pub(crate) fn unwritten(source: io::Error) -> Self {
        let mut error = Self::machine(format!("writing failed: {source}")).because(Reason::Call);
        error.0.remedies.extend(Remedy::of(&source));
        error.0.source = Some(("write", source));
        error
    }

    /// A directory is damaged, locked, or not what was asked for.
    pub(crate) fn directory(what: impl Into<String>) -> Self {
        Self::new(FailureKind::Directory, what)
    }

    /// What is stored in a place is not as it was written; `of` says what that is, where its name does not.
    pub(crate) fn damaged(of: &str, path: &Path, what: &str) -> Self {
        let mut error = Self::directory(format!("{of}'{}' is damaged: {what}", path.display()))
            .because(Reason::Damaged)
            .at(path);
        error.0.detail_bytes = what.len();
        error
    }

    /// The machine failed.
    pub(crate) fn machine(what: impl Into<String>) -> Self {
        Self::new(FailureKind::Machine, what)
    }

    /// The work was asked to stop.
    pub(crate) fn interrupted(what: impl Into<String>) -> Self {
        Self::new(FailureKind::Interrupted, what)
            .because(Reason::Interrupted)
            .mend([Remedy::Again])
    }

    pub(crate) fn because(mut self, reason: Reason) -> Self {
        self.0.reason = reason;
        self
    }

    pub(crate) fn at(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.path = Some(path.into());
        self
    }

    /// What can be done about it, the best first; each of them alone.
    pub(crate) fn mend(mut self, remedies: impl IntoIterator<Item = Remedy>) -> Self {
        self.0.remedies.extend(remedies);
        self
    }

    /// The same error with other things that can be done about it.
    pub(crate) fn mended_by(mut self, remedies: impl IntoIterator<Item = Remedy>) -> Self {
        self.0.remedies = remedies.into_iter().collect();
        self
    }

    /// The same error with words before its text, as of one key among many.
    pub fn within(mut self, context: impl Display) -> Self {
        self.0.what = format!("{context}: {}", self.0.what);
        self
    }

    /// What is wrong, without the name of what it is wrong with, which whoever asks will say.
    pub(crate) fn detail(&self) -> &str {
        match self.0.detail_bytes {
            0 => &self.0.what,
            bytes => &self.0.what[self.0.what.len() - bytes..],
        }
    }

    /// The call that failed, if that is all there is to say.
    pub(crate) fn into_call(self) -> Result<IoFailure, Self> {
        match *self.0 {
            Parts {
                reason: Reason::Call,
                path: Some(path),
                source: Some((call, source)),
                ..
            } => Ok(IoFailure { call, path, source }),
            parts => Err(Self(Box::new(parts))),
        }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// What it is, for those who treat it in a way of their own.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The file or directory that it is about, if it is about one.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// What the operating system answered, if a call failed.
    pub fn io(&self) -> Option<&io::Error> {
        self.0.source.as_ref().map(|(_, source)| source)
    }

    /// What can be done about it, the best first; each of them alone.
    pub fn remedies(&self) -> &[Remedy] {
        &self.0.remedies
    }

    /// The text, and what can be done about it.
    pub(crate) fn advised(&self) -> String {
        format!("{self}{}", advised(&self.0.remedies, Remedy::to_string))
    }
}

/// Whether the name of another file mends what the system answered.
pub(crate) fn is_misnamed(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
    [NotFound, NotADirectory, IsADirectory, PermissionDenied].contains(&error.kind())
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)
    }
}

impl std::error::Error for Error {}

impl From<IoFailure> for Error {
    fn from(failure: IoFailure) -> Self {
        let IoFailure { call, path, source } = failure;
        let what = format!("{call} on '{}' failed: {source}", path.display());
        let mut error = Self::machine(what)
            .because(Reason::Call)
            .mend(Remedy::at(&source, &path))
            .at(path);
        // No machine has a file of such a name: another one mends it.
        if source.kind() == io::ErrorKind::InvalidFilename {
            error.0.kind = FailureKind::Usage;
        }
        error.0.source = Some((call, source));
        error
    }
}

impl From<ArenaOverflow> for Error {
    fn from(error: ArenaOverflow) -> Self {
        Self::machine(error.to_string())
    }
}

impl From<SszError> for Error {
    fn from(error: SszError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        let wrong: &[Argument] = match error {
            PlanError::NoEpochs => &[Argument::Epochs],
            PlanError::PastLifetime { .. } => &[Argument::ActivationEpoch, Argument::Epochs],
            // Whoever asked for a trim that is too high knows with which argument, of several.
            _ => &[],
        };
        Self::usage(error.to_string()).mend(wrong.iter().map(|&argument| Remedy::Change(argument)))
    }
}
