//! What a failed call of RocksDB's is: damage of the store, or a machine that failed.
//!
//! Its text has paths in it, and it says of a call that the system refused whatever it was doing. So only its status is taken
//! from it. The rest is seen on the disk: a store is damaged if a checksum says so, or a file that has to be there is not.

use std::path::Path;

use rocksdb::{DB, ErrorKind, IteratorMode};
use rustix::io::Errno;

use super::error;
use super::options::{descriptors, options};
use super::place::{Place, in_words};
use super::preflight::{look_in, read_each_file};
use crate::error::Error;
use crate::plan::StoreBuffers;
use crate::remedy::Remedy;

pub(super) const REMOVAL: &str = "removal";
pub(super) const CREATION: &str = "creation";
pub(super) const OPENING: &str = "opening";
pub(super) const READING: &str = "reading";

/// Errors of the system about which something can be done.
const KNOWN: [Errno; 8] = [
    Errno::NOSPC,
    Errno::DQUOT,
    Errno::FBIG,
    Errno::ROFS,
    Errno::NOMEM,
    Errno::MFILE,
    Errno::NFILE,
    Errno::IO,
];

/// Judges a call that failed.
pub(super) fn verdict(call: &'static str, place: &Place, error: &rocksdb::Error) -> Error {
    match (call, error.kind()) {
        // A store that is being made holds nothing yet that could be damaged.
        (REMOVAL | CREATION, _) => failed(call, place, error),
        // A checksum of what was read just now.
        (READING, ErrorKind::Corruption) => damaged(place, error),
        (_, ErrorKind::Corruption) => match read_each_file(place.directory()) {
            Err(failure) => failure.into(),
            Ok(()) if is_corrupt(place) => damaged(place, error),
            Ok(()) => failed(call, place, error),
        },
        // Whatever RocksDB made of it: what is missing is seen, and what the machine refuses is asked for once more.
        _ => match look_in(place.directory()) {
            Err(found) => found,
            Ok(()) => failed(call, place, error),
        },
    }
}

fn damaged(place: &Place, error: &rocksdb::Error) -> Error {
    error::damaged(place.name(), &in_words(error.as_ref(), place.name()))
}

/// Whether RocksDB finds damage also when it opens the store once more and only reads. Damage stays. A call that the system
/// refused, which RocksDB may call corruption too, is not there the second time; nor is what failed while it was writing.
fn is_corrupt(place: &Place) -> bool {
    let read = || -> Result<(), rocksdb::Error> {
        let (options, path) = (options(StoreBuffers::FULL), place.path());
        let families = DB::list_cf(&options, path)?;
        let db = DB::open_cf_descriptors_read_only(&options, path, descriptors(&families, &options), false)?;
        for family in families.iter().filter_map(|name| db.cf_handle(name)) {
            for entry in db.iterator_cf(family, IteratorMode::Start) {
                entry?;
            }
        }
        Ok(())
    };
    read().is_err_and(|error| error.kind() == ErrorKind::Corruption)
}

fn failed(call: &'static str, place: &Place, error: &rocksdb::Error) -> Error {
    let remedy = refused(place.path(), error.as_ref()).and_then(|error| Remedy::at(&error, place.name()));
    error::failed(call, place.name(), &in_words(error.as_ref(), place.name())).mend(remedy)
}

/// What the system refused, if that is known. RocksDB hands on the system's words and not its error number. A path can have the
/// same words in it, so it is cut out before they are looked for.
fn refused(path: &Path, message: &str) -> Option<std::io::Error> {
    let unplaced = message.replace(&*path.to_string_lossy(), "");
    KNOWN.map(std::io::Error::from).into_iter().find(|error| {
        let words = error.to_string();
        let words = words.split(" (os error").next().unwrap_or_default();
        unplaced.contains(words)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustix::io::Errno;

    use super::refused;

    #[test]
    fn advice_is_for_what_the_system_says_and_not_for_what_the_path_is_called() {
        let path = Path::new("/keys/No space left on device/Too many open files/state");
        let message = |words: &str| {
            format!(
                "IO error: While appending to file: {}/000009.log: {words}",
                path.display()
            )
        };
        for (words, errno) in [
            ("File too large", Errno::FBIG),
            ("No space left on device", Errno::NOSPC),
            ("Too many open files", Errno::MFILE),
            ("Disk quota exceeded", Errno::DQUOT),
            ("Input/output error", Errno::IO),
        ] {
            let found = refused(path, &message(words)).unwrap();
            assert_eq!(Errno::from_io_error(&found), Some(errno));
        }
        assert!(refused(path, &message("Permission denied")).is_none());
    }
}
