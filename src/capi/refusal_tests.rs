//! What is refused at the border, and with which status.

#![expect(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "the border is crossed as from C; all pointers lead to values of the test, or are meant to be refused"
)]

use std::ffi::{CStr, c_char};
use std::path::Path;
use std::ptr::{null, null_mut};

use super::exports::*;
use super::outcome::Status;
use super::pointers::TEXT_BYTES_MAX;
use super::tests::{EPOCH, MESSAGE, OTHER_MESSAGE, c_text, made_key, open, path, refused, scheme, sign};
use crate::exchange::Exporter;
use crate::interop::secret_key::SecretKeyForm;

#[test]
fn pointers_and_lengths_that_are_wrong_are_refused_before_an_epoch_is_spent() {
    let directory = made_key();
    let key = open(keymill_open_to_sign, directory.path());
    let mut room = vec![0; 4096];
    let (bytes, out) = (MESSAGE.as_ptr(), room.as_mut_ptr());
    let size = scheme().signature_bytes();
    let sign_with = |message, message_bytes, out, out_bytes| unsafe {
        keymill_sign(key, EPOCH, message, message_bytes, out, out_bytes)
    };
    refused(
        sign_with(null(), 32, out, size),
        Status::Usage,
        "pointer to the message is null",
    );
    refused(
        sign_with(bytes, 31, out, size),
        Status::Usage,
        "a message has 32 bytes, and 31 are given",
    );
    refused(sign_with(bytes, usize::MAX, out, size), Status::Usage, "cannot have");
    refused(
        sign_with(bytes, 32, null_mut(), size),
        Status::Usage,
        "pointer to the signature is null",
    );
    for wrong in [0, size - 1, size + 1, usize::MAX] {
        refused(sign_with(bytes, 32, out, wrong), Status::Usage, "signature");
    }
    refused(
        unsafe { keymill_public_key(key, out, 51) },
        Status::Usage,
        "has 51 bytes, it has to have 52",
    );
    refused(
        unsafe { keymill_path(key, EPOCH, out, 31, out, 256) },
        Status::Usage,
        "leaf",
    );
    refused(
        unsafe { keymill_path(key, EPOCH, out, 32, out, 255) },
        Status::Usage,
        "siblings",
    );
    refused(
        unsafe { keymill_path(key, 256, out, 32, out, 256) },
        Status::Usage,
        "epoch 256 is outside",
    );
    refused(
        unsafe { keymill_describe_key(key, null_mut()) },
        Status::Usage,
        "facts is null",
    );
    let unaligned = room.as_mut_ptr().wrapping_add(room.as_ptr().align_offset(8) + 1);
    refused(
        unsafe { keymill_describe_key(key, unaligned.cast()) },
        Status::Usage,
        "not aligned",
    );
    assert!(room.iter().all(|&byte| byte == 0));
    // None of it has spent the epoch.
    assert_eq!(sign(key, EPOCH, &OTHER_MESSAGE).0, Status::Done);
    assert_eq!(keymill_close(key), Status::Done);
}

#[test]
fn texts_that_are_none_are_refused() {
    let mut key = Key { id: 0 };
    let mut open = |text: *const c_char| unsafe { keymill_open(text, &raw mut key) };
    refused(open(null()), Status::Usage, "pointer to the place is null");
    refused(open(c"/tmp/\xff".as_ptr()), Status::Usage, "not UTF-8");
    let endless = vec![b'a'; TEXT_BYTES_MAX];
    refused(
        open(endless.as_ptr().cast()),
        Status::Usage,
        "no zero byte within 4096 bytes",
    );
    refused(open(c"".as_ptr()), Status::Directory, "no key directory");
    refused(
        unsafe { keymill_open(c"/".as_ptr(), null_mut()) },
        Status::Usage,
        "key is null",
    );
    let mut facts = std::mem::MaybeUninit::uninit();
    let facts_of = |name: &CStr, facts: *mut SchemeFacts| unsafe { keymill_describe_scheme(name.as_ptr(), facts) };
    refused(
        facts_of(c"leansig", facts.as_mut_ptr()),
        Status::Usage,
        "unknown scheme 'leansig'",
    );
    refused(
        facts_of(c"leansig-p1-l8-abort-v4-w8", null_mut()),
        Status::Usage,
        "facts is null",
    );
    assert_eq!(key, Key { id: 0 });
}

#[test]
fn a_key_that_is_not_open_is_refused_by_its_number() {
    let directory = made_key();
    let key = open(keymill_open, directory.path());
    refused(sign(key, EPOCH, &MESSAGE).0, Status::Usage, "opened for reading");
    assert_eq!(keymill_close(key), Status::Done);
    refused(
        keymill_close(key),
        Status::Usage,
        &format!("key {} is not open", key.id),
    );
    refused(path(key, EPOCH).0, Status::Usage, "is not open");
    refused(sign(key, EPOCH, &MESSAGE).0, Status::Usage, "is not open");
    refused(keymill_close(Key { id: 0 }), Status::Usage, "never opened");
    refused(keymill_close(Key { id: u64::MAX }), Status::Usage, "is not open");
    assert_ne!(open(keymill_open, directory.path()), key);
}

#[test]
fn a_status_means_what_the_exit_code_means() {
    let directory = made_key();
    let mut key = Key { id: 0 };
    let mut try_to_sign = |path: &Path| unsafe { keymill_open_to_sign(c_text(path).as_ptr(), &raw mut key) };
    refused(
        try_to_sign(&directory.path().join("none")),
        Status::Directory,
        "no key directory",
    );
    let holder = open(keymill_open_to_sign, directory.path());
    refused(
        try_to_sign(directory.path()),
        Status::Directory,
        "only one process may write",
    );
    assert_eq!(keymill_close(holder), Status::Done);
    let _faults = crate::faults::Faults::below(&directory.path().join("secret"), |_, _| {
        crate::faults::Fate::Fail(rustix::io::Errno::IO.raw_os_error())
    });
    refused(try_to_sign(directory.path()), Status::Machine, "secret' failed");
    assert_eq!(key, Key { id: 0 });
}

#[test]
fn a_key_that_is_open_to_sign_keeps_its_secret_in_and_one_whose_secret_has_left_signs_nothing() {
    let directory = made_key();
    let export = || {
        let exporter = Exporter::open(directory.path()).unwrap();
        let window = exporter.window(None).unwrap();
        window.write(SecretKeyForm::LeansigSsz, &mut std::io::sink())
    };
    let key = open(keymill_open_to_sign, directory.path());
    assert!(export().unwrap_err().to_string().contains("nothing was exported"));
    assert_eq!(sign(key, EPOCH, &MESSAGE).0, Status::Done);
    assert_eq!(keymill_close(key), Status::Done);
    export().unwrap();
    let key = open(keymill_open_to_sign, directory.path());
    refused(sign(key, EPOCH + 1, &MESSAGE).0, Status::Directory, "exported");
    // What it has signed it signs again, with the same bytes.
    assert_eq!(sign(key, EPOCH, &MESSAGE).0, Status::Done);
    assert_eq!(keymill_close(key), Status::Done);
}
