//! A key in a service, through the functions that open directories.

#![expect(
    unsafe_code,
    reason = "the border is crossed as from C; all pointers lead to values of the test, or are meant to be refused"
)]

use std::path::Path;

use super::exports::*;
use super::outcome::Status;
use super::tests::{EPOCH, MESSAGE, OTHER_MESSAGE, c_text, made_key, open, path, public_key, refused, sign, verified};
use crate::client::service_tests::{Running, address};

#[test]
fn a_key_in_a_service_is_used_as_one_in_a_directory_is() {
    let (directory, place) = (made_key(), tempfile::tempdir().unwrap());
    let socket = place.path().join("s");
    let reader = open(keymill_open, directory.path());
    let address = address(directory.path(), &socket);
    let running = Running::start(directory.path(), &socket, None);
    let key = open(keymill_open_to_sign, Path::new(&address));
    let mut facts = std::mem::MaybeUninit::<KeyFacts>::uninit();
    // SAFETY: it leads to room for the facts.
    assert_eq!(unsafe { keymill_describe_key(key, facts.as_mut_ptr()) }, Status::Done);
    // SAFETY: the call that was done has written them.
    let facts = unsafe { facts.assume_init() };
    assert_eq!((facts.first_epoch, facts.epochs, facts.scheme.lifetime), (0, 256, 256));
    assert_eq!(public_key(key), public_key(reader));
    assert_eq!(path(key, EPOCH), path(reader, EPOCH));
    let (status, signature) = sign(key, EPOCH, &MESSAGE);
    assert_eq!(status, Status::Done);
    assert_eq!(verified(&public_key(key), EPOCH, &MESSAGE, &signature), Status::Done);
    refused(sign(key, EPOCH, &OTHER_MESSAGE).0, Status::No, "signed another message");
    refused(
        sign(key, 256, &MESSAGE).0,
        Status::Usage,
        "epoch 256 is outside this key",
    );
    let for_paths = open(keymill_open, Path::new(&address));
    assert_eq!(path(for_paths, EPOCH), path(reader, EPOCH));
    refused(sign(for_paths, EPOCH, &MESSAGE).0, Status::Usage, "opened for reading");
    drop(running);
    refused(sign(key, EPOCH, &MESSAGE).0, Status::Machine, "start it and try again");
    let mut none = Key { id: 0 };
    for (text, status, words) in [
        (address.as_str(), Status::Machine, "no service listens"),
        ("unix:s", Status::Usage, "key=0x..."),
    ] {
        // SAFETY: the text has its zero byte, and the key is room for a key.
        let opened = unsafe { keymill_open_to_sign(c_text(Path::new(text)).as_ptr(), &raw mut none) };
        refused(opened, status, words);
    }
    for key in [key, for_paths, reader] {
        assert_eq!(keymill_close(key), Status::Done);
    }
}
