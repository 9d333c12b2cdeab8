//! What a person can do about an error, as data, and in words that name no flag and no command: those are the command line's,
//! and the interface to C has none. Tests do what it says.

mod argument;

use std::fmt::{Display, Formatter};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::units::Level;

pub use argument::Argument;

/// Something that a person can do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// A repair of the key in this directory.
    Repair(PathBuf),
    /// Restoring the key into this directory, from the text of its backup.
    Restore(PathBuf),
    /// Making the key in this directory, or going on with that.
    Keygen(PathBuf),
    /// Putting the parts together of the key in this directory, which was divided.
    Join(PathBuf),
    /// Bringing the key in this directory to the present format.
    Migrate(PathBuf),
    /// A beginning of the ledger of the key in this directory.
    LedgerInit(PathBuf),
    /// This file, from a copy of it.
    PutBack(PathBuf),
    /// This manifest, from a directory that is restored elsewhere from the text of the backup.
    RestoreElsewhere(PathBuf),
    /// This manifest, from a directory that is made elsewhere of the secret beside it.
    MakeAgain(PathBuf),
    /// What has this name is in the way, or of no use.
    MoveAway(PathBuf),
    /// What a trim deleted: with a copy of the manifest from before it, or by making the key again elsewhere.
    Untrim {
        /// The key directory.
        directory: PathBuf,
        /// The lowest level that is to be stored.
        level: Level,
    },
    /// Putting the secret of the key in this directory under a passphrase, or finishing that.
    SealSecret(PathBuf),
    /// This file, from the eyes of others.
    Protect(PathBuf),
    /// Another directory for what is to be made.
    OtherDirectory,
    /// This directory, if the key in it is not to be used any more.
    Delete(PathBuf),
    /// What is in the way may be overwritten.
    Overwrite,
    /// The same request with another value of this argument, or without it.
    Change(Argument),
    /// Another key.
    AnotherKey,
    /// Secrets that are lost and sign nowhere may be made again.
    RestoreSecrets,
    /// Further validators as a set of their own, to be merged with this one.
    SetOfItsOwn,
    /// The same request that made the set.
    Generate,
    /// The same request for fewer validators or epochs.
    AskForLess,
    /// The file system is full.
    FreeSpace,
    /// The file system has room for bytes, and for no further file.
    FreeInodes,
    /// The quota is used up.
    FreeQuota,
    /// The limit on file sizes is too low.
    RaiseFileSize,
    /// The limit on open files is too low.
    RaiseOpenFiles,
    /// There is too little memory.
    RaiseMemory,
    /// The memory that was asked for is too little.
    RaiseBudget,
    /// The limit of the cgroup is too low.
    RaiseCgroup,
    /// The machine has too little memory.
    LargerMachine,
    /// The limit on address space is too low.
    RaiseAddressSpace,
    /// The limit on threads is too low.
    RaiseThreads,
    /// The file system is read-only.
    MakeWritable,
    /// The disk failed.
    AwaitDisk,
    /// Nothing is in the way of the same command any more.
    Again,
    /// This argument, which is missing.
    Give(Argument),
    /// The request without this argument.
    LeaveOut(Argument),
    /// The request with less of this.
    Fewer(Argument),
    /// A service of the set in this directory, whose ledger lets its keys sign.
    ServeSet(PathBuf),
    /// Moving the ledger of the key in this directory out of that of its set, or finishing that.
    MoveLedgerOut(PathBuf),
    /// Moving the ledger of a key into that of the set around it, or finishing that.
    MoveLedgerIn(PathBuf),
    /// Another epoch of the key in this directory, whose ledger knows those that are spent.
    OtherEpoch(PathBuf),
    /// The SHA-256 fingerprints of clients' certificates in this file.
    FingerprintClients(PathBuf),
}

impl Remedy {
    /// What can be done about a call that the system refused, if that is known.
    pub fn of(error: &io::Error) -> Option<Self> {
        match error.kind() {
            ErrorKind::StorageFull => Some(Self::FreeSpace),
            ErrorKind::QuotaExceeded => Some(Self::FreeQuota),
            ErrorKind::FileTooLarge => Some(Self::RaiseFileSize),
            ErrorKind::ReadOnlyFilesystem => Some(Self::MakeWritable),
            ErrorKind::OutOfMemory => Some(Self::RaiseMemory),
            ErrorKind::Interrupted => Some(Self::Again),
            _ => match Errno::from_io_error(error) {
                Some(Errno::MFILE | Errno::NFILE) => Some(Self::RaiseOpenFiles),
                Some(Errno::IO) => Some(Self::AwaitDisk),
                _ => None,
            },
        }
    }

    /// As [`of`](Self::of), for a call on this file. A file system that has room for bytes and for no further file says the same
    /// as one that has no room (ENOSPC), and a look at the room shows enough of it.
    pub fn at(error: &io::Error, path: &Path) -> Option<Self> {
        match Self::of(error) {
            Some(Self::FreeSpace) if has_no_inodes(path) => Some(Self::FreeInodes),
            remedy => remedy,
        }
    }

    /// Its name, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Repair(_) => "repair",
            Self::Restore(_) => "restore",
            Self::Keygen(_) => "keygen",
            Self::Join(_) => "join",
            Self::Migrate(_) => "migrate",
            Self::LedgerInit(_) => "ledger-init",
            Self::PutBack(_) => "put-back",
            Self::RestoreElsewhere(_) => "restore-elsewhere",
            Self::MakeAgain(_) => "make-again",
            Self::MoveAway(_) => "move-away",
            Self::Untrim { .. } => "untrim",
            Self::SealSecret(_) => "seal-secret",
            Self::Protect(_) => "protect",
            Self::OtherDirectory => "other-directory",
            Self::Delete(_) => "delete",
            Self::Overwrite => "overwrite",
            Self::Change(_) => "change",
            Self::AnotherKey => "another-key",
            Self::RestoreSecrets => "restore-secrets",
            Self::SetOfItsOwn => "set-of-its-own",
            Self::Generate => "generate",
            Self::AskForLess => "ask-for-less",
            Self::FreeSpace => "free-space",
            Self::FreeInodes => "free-inodes",
            Self::FreeQuota => "free-quota",
            Self::RaiseFileSize => "raise-file-size",
            Self::RaiseOpenFiles => "raise-open-files",
            Self::RaiseMemory => "raise-memory",
            Self::RaiseBudget => "raise-budget",
            Self::RaiseCgroup => "raise-cgroup",
            Self::LargerMachine => "larger-machine",
            Self::RaiseAddressSpace => "raise-address-space",
            Self::RaiseThreads => "raise-threads",
            Self::MakeWritable => "make-writable",
            Self::AwaitDisk => "await-disk",
            Self::Again => "again",
            Self::Give(_) => "give",
            Self::LeaveOut(_) => "leave-out",
            Self::Fewer(_) => "fewer",
            Self::OtherEpoch(_) => "other-epoch",
            Self::ServeSet(_) => "serve-set",
            Self::MoveLedgerOut(_) => "move-ledger-out",
            Self::MoveLedgerIn(_) => "move-ledger-in",
            Self::FingerprintClients(_) => "fingerprint-clients",
        }
    }

    /// The file or key directory that it is about, if it is about one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Repair(path)
            | Self::Restore(path)
            | Self::Keygen(path)
            | Self::Join(path)
            | Self::Migrate(path)
            | Self::LedgerInit(path)
            | Self::PutBack(path)
            | Self::RestoreElsewhere(path)
            | Self::MakeAgain(path)
            | Self::MoveAway(path)
            | Self::Untrim { directory: path, .. }
            | Self::OtherEpoch(path)
            | Self::ServeSet(path)
            | Self::MoveLedgerOut(path)
            | Self::MoveLedgerIn(path)
            | Self::SealSecret(path)
            | Self::Protect(path)
            | Self::FingerprintClients(path)
            | Self::Delete(path) => Some(path),
            Self::OtherDirectory
            | Self::Overwrite
            | Self::Change(_)
            | Self::AnotherKey
            | Self::RestoreSecrets
            | Self::SetOfItsOwn
            | Self::Generate
            | Self::AskForLess
            | Self::FreeSpace
            | Self::FreeInodes
            | Self::FreeQuota
            | Self::RaiseFileSize
            | Self::RaiseOpenFiles
            | Self::RaiseMemory
            | Self::RaiseBudget
            | Self::RaiseCgroup
            | Self::LargerMachine
            | Self::RaiseAddressSpace
            | Self::RaiseThreads
            | Self::MakeWritable
            | Self::AwaitDisk
            | Self::Again
            | Self::Give(_)
            | Self::LeaveOut(_)
            | Self::Fewer(_) => None,
        }
    }
}

impl Display for Remedy {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let path = self.path().unwrap_or(Path::new("")).display();
        match self {
            Self::Repair(_) => write!(f, "repair the key in '{path}'"),
            Self::Restore(_) => write!(f, "restore the key in '{path}' from the text of its backup"),
            Self::Keygen(_) => write!(f, "make the key in '{path}'"),
            Self::Join(_) => write!(f, "join the parts of the key in '{path}'"),
            Self::Migrate(_) => write!(f, "migrate the key in '{path}'"),
            Self::LedgerInit(_) => write!(
                f,
                "begin the ledger of the key in '{path}' with a first epoch above every epoch that may have signed (if the \
                 key has signed elsewhere, import that history first)"
            ),
            Self::PutBack(_) => write!(f, "put a copy of '{path}' back"),
            Self::RestoreElsewhere(_) => write!(
                f,
                "restore the key in another directory from the text of its backup and copy the manifest that is made there \
                 to '{path}'"
            ),
            Self::MakeAgain(_) => write!(
                f,
                "make the key again in another directory from a copy of the secret (same scheme, same epochs) and copy its \
                 manifest to '{path}'"
            ),
            Self::MoveAway(_) => write!(f, "move '{path}' away"),
            Self::Untrim { level, .. } => write!(
                f,
                "there are two ways to have them again. With a copy of manifest.toml from before the trim: put it back and \
                 repair '{path}', which keeps the ledger. Without one: export its ledger and never sign with this directory \
                 again. Make the key in another directory, trimmed to level {level}, with the same secret, scheme and \
                 epochs. There import the ledger and begin it"
            ),
            Self::SealSecret(_) => write!(f, "put the secret of the key in '{path}' under its passphrase"),
            Self::Protect(_) => write!(f, "if it was not read, 'chmod 600 {path}' and try again"),
            Self::Delete(_) => write!(f, "delete '{path}' if the key in it is not to be used any more"),
            Self::Change(argument) => write!(f, "change {argument}"),
            Self::Give(argument) => write!(f, "give {argument}"),
            Self::LeaveOut(argument) => write!(f, "leave {argument} out"),
            Self::Fewer(argument) => write!(f, "lower {argument}"),
            Self::OtherEpoch(_) => write!(f, "take an epoch that the ledger of '{path}' does not list"),
            Self::ServeSet(_) => write!(f, "serve the set in '{path}'"),
            Self::MoveLedgerOut(_) => write!(f, "move the ledger of the key in '{path}' out of that of its set"),
            Self::MoveLedgerIn(_) => write!(f, "move the ledger of the key in '{path}' into that of the set around it"),
            Self::FingerprintClients(_) => write!(
                f,
                "write into '{path}' the SHA-256 fingerprint of each client's certificate, in a line of its own"
            ),
            Self::OtherDirectory => f.write_str("choose another directory"),
            Self::Overwrite => f.write_str("let it be overwritten"),
            Self::AnotherKey => f.write_str("make another key"),
            Self::RestoreSecrets => f.write_str("allow new secrets, only if the old copies are lost and can never sign"),
            Self::SetOfItsOwn => f.write_str(
                "make further validators in another directory with a first index of their own, and merge the sets",
            ),
            Self::Generate => f.write_str("make the set again by the same request"),
            Self::AskForLess => f.write_str("ask for fewer validators or epochs"),
            Self::FreeSpace => f.write_str("free some space there and try again"),
            Self::FreeInodes => f.write_str(
                "the file system has no inodes left, though it has room for bytes: delete files there that are not needed and \
                 try again",
            ),
            Self::FreeQuota => f.write_str("free some of the quota and try again"),
            Self::RaiseFileSize => f.write_str("raise the limit on file sizes (ulimit -f) and try again"),
            Self::RaiseOpenFiles => f.write_str("raise the limit on open files (ulimit -n) and try again"),
            Self::RaiseMemory => f.write_str(
                "raise the limit on memory (ulimit -v, or the container's), or take fewer threads or less memory",
            ),
            Self::RaiseBudget => f.write_str("give more memory"),
            Self::RaiseCgroup => f.write_str("raise the limit of the cgroup"),
            Self::LargerMachine => f.write_str("use a machine with more memory"),
            Self::RaiseAddressSpace => f.write_str("raise the limit on address space (ulimit -v)"),
            Self::RaiseThreads => f.write_str("raise the limit on threads (ulimit -u, or pids.max of the cgroup)"),
            Self::MakeWritable => f.write_str(
                "a disk that fails is often made read-only: see the kernel's log, and try again when it can be \
                 written",
            ),
            Self::AwaitDisk => f.write_str("see the kernel's log, and try again when the disk answers"),
            Self::Again => f.write_str("try again"),
        }
    }
}

fn has_no_inodes(path: &Path) -> bool {
    // The file may not be there.
    let found = path.ancestors().find_map(|part| {
        let part = if part == Path::new("") { Path::new(".") } else { part };
        rustix::fs::statvfs(part).ok()
    });
    // Some file systems make inodes as they need them, and count none.
    found.is_some_and(|found| found.f_files > 0 && found.f_favail == 0 && found.f_bavail > 0)
}

/// The end of a message that says what can be done, in words of whoever shows it; empty where nothing can.
pub fn advised<'a>(remedies: impl IntoIterator<Item = &'a Remedy>, words: impl Fn(&Remedy) -> String) -> String {
    let ways: Vec<String> = remedies.into_iter().map(words).collect();
    if ways.is_empty() {
        return String::new();
    }
    format!("; {}", ways.join(", or "))
}
