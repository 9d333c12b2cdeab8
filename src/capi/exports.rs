//! The functions, by the names that C knows. The comments of what is public become those of include/keymill.h.

#![expect(
    unsafe_code,
    reason = "a name that C can link to, and arguments that are pointers; each use says what is asked of the caller"
)]

use std::ffi::c_char;

use super::keys::{self, OpenKey};
use super::outcome::{Refusal, Status, VERSION, answered, last_error};
use super::pointers::{Room, bytes, put, text};
use super::trace;
use keymill_xmss::PublicKey;
use keymill_xmss::scheme::{MESSAGE_BYTES, Scheme};
use keymill_xmss::verify;

/// Room for the identifier of a scheme and the zero byte behind it.
pub const SCHEME_ID_BYTES: usize = 64;

/// An open key. It is a number and not a pointer, so a key that is closed, or was never open, is refused. All zeros are not a key.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Never given out twice in a process.
    pub id: u64,
}

/// What a scheme demands. Every length that a function is given has to be exactly the one that stands here.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemeFacts {
    /// The identifier, with a zero byte at its end.
    pub id: [c_char; SCHEME_ID_BYTES],
    /// The number of epochs of a whole lifetime.
    pub lifetime: u64,
    /// Bytes of a message.
    pub message_bytes: usize,
    /// Bytes of a digest, and so of a leaf.
    pub digest_bytes: usize,
    /// Bytes of the siblings of a path, from the leaf's upward.
    pub siblings_bytes: usize,
    /// Bytes of a public key.
    pub public_key_bytes: usize,
    /// Bytes of a signature.
    pub signature_bytes: usize,
}

/// What is public about an open key, beside its public key.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// Its scheme.
    pub scheme: SchemeFacts,
    /// The first epoch that it has.
    pub first_epoch: u64,
    /// How many epochs it has.
    pub epochs: u64,
}

fn facts_of(scheme: &Scheme) -> SchemeFacts {
    let mut id = [0; SCHEME_ID_BYTES];
    // All identifiers are ASCII and shorter, which a test holds.
    for (place, byte) in id[..SCHEME_ID_BYTES - 1].iter_mut().zip(scheme.id().bytes()) {
        *place = byte as c_char;
    }
    SchemeFacts {
        id,
        lifetime: scheme.lifetime(),
        message_bytes: MESSAGE_BYTES,
        digest_bytes: scheme.digest_bytes(),
        siblings_bytes: usize::from(scheme.log_lifetime()) * scheme.digest_bytes(),
        public_key_bytes: scheme.public_key_bytes(),
        signature_bytes: scheme.signature_bytes(),
    }
}

fn message_of(bytes: &[u8]) -> Result<[u8; MESSAGE_BYTES], Refusal> {
    let wrong = |_| {
        Refusal::usage(format!(
            "a message has {MESSAGE_BYTES} bytes, and {} are given",
            bytes.len()
        ))
    };
    bytes.try_into().map_err(wrong)
}

fn scheme_of(name: &str) -> Result<&'static Scheme, Refusal> {
    Scheme::by_id(name).map_err(|error| Refusal::usage(error.to_string()))
}

/// The version of the library, such as "0.1.0". The text is there as long as the library is.
#[unsafe(no_mangle)]
pub extern "C" fn keymill_version() -> *const c_char {
    VERSION.as_ptr()
}

/// What was wrong with this thread's last call of any function but this one; an empty text if nothing was. It is there
/// until the thread's next call.
#[unsafe(no_mangle)]
pub extern "C" fn keymill_last_error() -> *const c_char {
    last_error()
}

/// Tells the sizes of a scheme, by its identifier or the name of its type upstream.
///
/// # Safety
/// `scheme` leads to text with a zero byte at its end, `facts` to memory for the facts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keymill_describe_scheme(scheme: *const c_char, facts: *mut SchemeFacts) -> Status {
    answered(|| {
        // SAFETY: as the caller promises.
        let scheme = scheme_of(unsafe { text("scheme", scheme) }?)?;
        // SAFETY: as the caller promises.
        unsafe { put("facts", facts, || Ok(facts_of(scheme))) }
    })
}

/// Opens the finished key in a directory for reading: for its paths and its public key. It takes no lock, and needs the secret
/// only if the key is trimmed. Instead of a directory, `place` can be the address of a key in a service, such as
/// "unix:/run/keymill.sock?key=0x..." (docs/C.md).
///
/// # Safety
/// `place` leads to text with a zero byte at its end, `key` to memory for a key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keymill_open(place: *const c_char, key: *mut Key) -> Status {
    answered(|| {
        // SAFETY: as the caller promises.
        let place = unsafe { text("place", place) }?;
        let open = || {
            Ok(Key {
                id: keys::keep(OpenKey::to_read(place)?),
            })
        };
        // SAFETY: as the caller promises.
        unsafe { put("key", key, open) }
    })
}

/// Opens the finished key in a directory for signing, and for all that `keymill_open` is for. The directory is locked until the
/// key is closed: no other process, and no other key of this process, can sign with it meanwhile. Of a key in a service, whose
/// address `place` can be as well, nothing is locked.
///
/// # Safety
/// As for `keymill_open`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keymill_open_to_sign(place: *const c_char, key: *mut Key) -> Status {
    answered(|| {
        // SAFETY: as the caller promises.
        let place = unsafe { text("place", place) }?;
        let open = || {
            Ok(Key {
                id: keys::keep(OpenKey::to_sign(place)?),
            })
        };
        // SAFETY: as the caller promises.
        unsafe { put("key", key, open) }
    })
}

/// Closes a key. Calls of other threads that are under way with it are not disturbed: what it holds, the lock too, is given
/// back when the last of them is over.
#[unsafe(no_mangle)]
pub extern "C" fn keymill_close(key: Key) -> Status {
    answered(|| keys::close(key.id))
}

/// Tells what is public about an open key, and with it the sizes of what belongs to it.
///
/// # Safety
/// `facts` leads to memory for the facts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keymill_describe_key(key: Key, facts: *mut KeyFacts) -> Status {
    answered(|| {
        let key = keys::key(key.id)?;
        let facts_of_key = || {
            Ok(KeyFacts {
                scheme: facts_of(key.scheme),
                first_epoch: key.stored.start,
                epochs: key.stored.count(),
            })
        };
        // SAFETY: as the caller promises.
        unsafe { put("facts", facts, facts_of_key) }
    })
}

/// Writes the public key of an open key, in SSZ.
///
/// # Safety
/// `public_key` leads to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keymill_public_key(key: Key, public_key: *mut u8, public_key_bytes: usize) -> Status {
    answered(|| {
        let key = keys::key(key.id)?;
        let expected = key.scheme.public_key_bytes();
        // SAFETY: as the caller promises.
        let room = unsafe { Room::new("public key", public_key, public_key_bytes, expected) }?;
        room.fill(&key.public_key);
        Ok(())
    })
}

/// Writes the authentication path of an epoch: its leaf, and the siblings from the leaf's upward. It has been checked against
/// the public key.
///
/// # Safety
/// `leaf` and `siblings` lead to so many bytes each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keymill_path(
    key: Key,
    epoch: u64,
    leaf: *mut u8,
    leaf_bytes: usize,
    siblings: *mut u8,
    siblings_bytes: usize,
) -> Status {
    answered(|| {
        let key = keys::key(key.id)?;
        let expected = facts_of(key.scheme);
        // SAFETY: as the caller promises.
        let leaf = unsafe { Room::new("leaf", leaf, leaf_bytes, expected.digest_bytes) }?;
        // SAFETY: as the caller promises.
        let siblings = unsafe { Room::new("siblings", siblings, siblings_bytes, expected.siblings_bytes) }?;
        let path = key.path(epoch)?;
        leaf.fill(&path.leaf);
        siblings.fill(&path.siblings);
        Ok(())
    })
}

/// Signs a message with an epoch, and writes the signature, in SSZ. Before it returns, the epoch is spent on disk: with the
/// same message it gives the same signature again, and any other message is refused with KEYMILL_STATUS_NO.
///
/// # Safety
/// `message` and `signature` lead to so many bytes each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keymill_sign(
    key: Key,
    epoch: u64,
    message: *const u8,
    message_bytes: usize,
    signature: *mut u8,
    signature_bytes: usize,
) -> Status {
    answered(|| {
        let key = keys::key(key.id)?;
        // SAFETY: as the caller promises.
        let message = message_of(unsafe { bytes("message", message, message_bytes) }?)?;
        // Before the epoch is spent.
        let expected = key.scheme.signature_bytes();
        // SAFETY: as the caller promises.
        let room = unsafe { Room::new("signature", signature, signature_bytes, expected) }?;
        room.fill(&key.sign(epoch, &message)?.to_ssz());
        Ok(())
    })
}

/// Says whether a signature is valid: KEYMILL_STATUS_DONE if it is, KEYMILL_STATUS_NO if not, also if it is malformed. It needs
/// no key directory.
///
/// # Safety
/// `scheme` leads to text with a zero byte at its end, `public_key`, `message` and `signature` to so many bytes each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keymill_verify(
    scheme: *const c_char,
    public_key: *const u8,
    public_key_bytes: usize,
    epoch: u64,
    message: *const u8,
    message_bytes: usize,
    signature: *const u8,
    signature_bytes: usize,
) -> Status {
    answered(|| {
        // SAFETY: as the caller promises.
        let scheme = scheme_of(unsafe { text("scheme", scheme) }?)?;
        // SAFETY: as the caller promises.
        let public_key = unsafe { bytes("public key", public_key, public_key_bytes) }?;
        let public_key = PublicKey::from_ssz(scheme, public_key)
            .map_err(|error| Refusal::usage(format!("the public key is not valid: {error}")))?;
        // SAFETY: as the caller promises.
        let message = message_of(unsafe { bytes("message", message, message_bytes) }?)?;
        // SAFETY: as the caller promises.
        let signature = unsafe { bytes("signature", signature, signature_bytes) }?;
        let epoch = scheme.epoch(epoch).map_err(keymill_xmss::Rejection::from);
        epoch
            .and_then(|epoch| verify(&public_key, epoch, &message, signature))
            .map_err(|rejection| Refusal::new(Status::No, rejection.to_string()))
    })
}

/// Begins to write a line to a new file whenever something long-lived (a key, a mapping, a file, a thread) comes to be or is
/// given back, in the whole process. `keymill memory-report` tells from it what was never given back.
///
/// # Safety
/// `file` leads to text with a zero byte at its end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keymill_trace_begin(file: *const c_char) -> Status {
    // SAFETY: as the caller promises.
    answered(|| trace::begin(unsafe { text("file", file) }?))
}

/// Ends the trace. What is still there then counts as never given back, unless it is given back later.
#[unsafe(no_mangle)]
pub extern "C" fn keymill_trace_end() -> Status {
    answered(trace::end)
}
