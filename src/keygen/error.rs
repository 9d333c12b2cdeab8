//! Why a job does not begin, or ends before its key is sealed.

use std::path::{Path, PathBuf};

use crate::error::{Error, Reason};
use crate::keydir::KeyState;
use crate::memory::Limit;
use crate::remedy::{Argument, Remedy};

/// The request is for another key, or set, than the one that `path` says was begun.
pub(crate) fn contradiction(begun: &str, path: PathBuf, [asked, found]: [String; 2], change: Remedy) -> Error {
    let what = format!(
        "the request asks for {asked}, but the {begun} of '{}' has {found}",
        path.display()
    );
    Error::directory(what)
        .because(Reason::Contradiction)
        .at(path)
        .mend([change, Remedy::OtherDirectory])
}

/// The secret that was given is not the key's.
pub(super) fn other_secret(argument: Argument, manifest: PathBuf) -> Error {
    let what = format!(
        "{argument} is another secret than the one that '{}' was begun with (its secret_commitment differs), and only the \
         original one can continue this key",
        manifest.display()
    );
    Error::directory(what)
        .because(Reason::OtherKey)
        .at(manifest)
        .mend([Remedy::LeaveOut(argument)])
}

/// The fillers that were given are not the key's.
pub(super) fn other_fillers(manifest: PathBuf) -> Error {
    let what = format!(
        "the fillers are not those that '{}' was begun with, and only the original ones can continue this key",
        manifest.display()
    );
    Error::directory(what)
        .because(Reason::OtherKey)
        .at(manifest)
        .mend([Remedy::OtherDirectory])
}

pub(super) fn parameter_missing() -> Error {
    Error::usage("a PRF key needs its public parameter, which cannot be drawn from it")
        .mend([Remedy::Give(Argument::Parameter)])
}

/// The directory says that the key has not signed, and it may have signed elsewhere.
pub(super) fn vouched_for(directory: &Path) -> Error {
    let what = format!(
        "'{}' holds this key as it was begun there, and says that the key has not signed, which is not known of a key that \
         comes from elsewhere: make it in another directory; or, if no other copy was ever finished",
        directory.display()
    );
    Error::directory(what)
        .at(directory)
        .mend([Remedy::Keygen(directory.to_owned())])
}

/// The tree of a key, sealed before or not, has another root than it has to have.
pub(super) fn other_root(directory: &Path, state: KeyState, asked: &[u8], found: &[u8]) -> Error {
    let left = match state {
        KeyState::Sealed => "the directory is as it was",
        KeyState::Generating => "the directory is not finished, and can be deleted",
    };
    let what = format!(
        "the root of '{}' is {} instead of {}: the source mixes two keys, or this machine computes \
         wrongly. Compare it with its source, or try another machine; {left}",
        directory.display(),
        hex::encode(found),
        hex::encode(asked)
    );
    Error::directory(what).because(Reason::OtherRoot).at(directory)
}

/// The key was begun with another root than it has to have.
pub(super) fn other_expected_root(directory: &Path, asked: &[u8], expected: &[u8]) -> Error {
    let what = format!(
        "'{}' was begun as a key that has to have the root {}, and now it would be {}: one of the two sources is damaged. Find \
         out which one; the directory is not finished: go on with the other source in another directory, or delete this one \
         and begin again",
        directory.display(),
        hex::encode(expected),
        hex::encode(asked)
    );
    Error::directory(what).at(directory)
}

/// Nearly all memory is held, by the job or by others that share a limit with it.
pub(super) fn memory_short(held_bytes: u64, limit: &Limit) -> Error {
    let what = format!(
        "memory ran short: {held_bytes} of {} bytes ({}) are held, which is more than 95 %; the batches that were complete are \
         committed, and the key goes on from them when that limit is higher or what else takes from it has ended",
        limit.bytes, limit.source
    );
    Error::machine(what)
        .because(Reason::OutOfMemory)
        .mend([Remedy::Again, Remedy::Fewer(Argument::Threads)])
}

/// Batches do not stay as they are written.
pub(crate) fn disk_unreliable(directory: &Path, rounds: u32) -> Error {
    let what = format!(
        "batches in '{}' do not match their checksums although they were written again {rounds} times; the disk cannot be \
         trusted",
        directory.display()
    );
    Error::machine(what).at(directory)
}
