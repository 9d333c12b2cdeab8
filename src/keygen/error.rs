//! Why a job does not begin, or ends before its key is sealed.

use std::path::{Path, PathBuf};

use crate::error::{Error, Reason};
use crate::keydir::KeyState;
use crate::memory::Limit;
use crate::remedy::{Argument, Remedy};
use crate::units::Level;

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

/// The batches of an unfinished key are to come from parts, whose files it keeps.
pub(super) fn adopts_parts(directory: &Path) -> Error {
    let what = format!(
        "the key in '{}' keeps the files of its parts, so what is missing has to come as a part",
        directory.display()
    );
    Error::directory(what)
        .because(Reason::Contradiction)
        .at(directory)
        .mend([Remedy::Join(directory.to_owned())])
}

/// A key was begun with another answer to what becomes of the files of its parts.
pub(super) fn other_part_files(directory: &Path, asked: Argument) -> Error {
    let begun = match asked {
        Argument::Adopt => "has layer files already, into which parts are copied",
        _ => "has begun to keep the files of its parts",
    };
    let what = format!("the key in '{}' {begun}", directory.display());
    Error::directory(what)
        .because(Reason::Contradiction)
        .at(directory)
        .mend([Remedy::LeaveOut(asked)])
}

/// All that such a key stores is above the batches.
pub(super) fn nothing_to_adopt(trim: Level) -> Error {
    let what = format!(
        "a key with trim {trim} stores no level below its batches' roots, so it takes nothing from the files of parts"
    );
    Error::usage(what).mend([Remedy::LeaveOut(Argument::Adopt)])
}
