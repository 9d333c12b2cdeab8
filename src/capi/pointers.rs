//! Conversion of raw C pointers.

#![expect(
    unsafe_code,
    reason = "whether memory is what a caller says cannot be seen; each use says what is asked of the caller"
)]

use std::ffi::c_char;
use std::marker::PhantomData;
use std::slice;

use super::outcome::Refusal;

/// The longest path that the kernel takes, with its end (PATH_MAX). What has no end within it is not searched further.
pub(super) const TEXT_BYTES_MAX: usize = 4096;

/// Bytes that the caller has.
///
/// # Safety
/// Unless it is null, `pointer` leads to `length` bytes that no thread writes for as long as the result is used.
pub(super) unsafe fn bytes<'a>(what: &str, pointer: *const u8, length: usize) -> Result<&'a [u8], Refusal> {
    check(what, pointer, length)?;
    // SAFETY: it is not null, bytes need no alignment, the length is one that memory can have, and the rest is promised.
    Ok(unsafe { slice::from_raw_parts(pointer, length) })
}

/// Text of the caller: UTF-8 with a zero byte at its end.
///
/// # Safety
/// Unless it is null, `pointer` leads to bytes that no thread writes for as long as the result is used, up to a zero byte or
/// [`TEXT_BYTES_MAX`] of them.
pub(super) unsafe fn text<'a>(what: &str, pointer: *const c_char) -> Result<&'a str, Refusal> {
    let pointer = pointer.cast::<u8>();
    check(what, pointer, 0)?;
    // SAFETY: it is not null, and only what is promised is read: byte after byte, none after the zero.
    let length = (0..TEXT_BYTES_MAX).find(|&at| unsafe { pointer.add(at).read() } == 0);
    let length =
        length.ok_or_else(|| Refusal::usage(format!("{what} has no zero byte within {TEXT_BYTES_MAX} bytes")))?;
    // SAFETY: these bytes have just been read.
    let bytes = unsafe { slice::from_raw_parts(pointer, length) };
    std::str::from_utf8(bytes).map_err(|error| Refusal::usage(format!("{what} is not UTF-8: {error}")))
}

/// Room of the caller for bytes. It is written once, at the end of a call, and never read, so it may be uninitialised and may
/// be where an argument is that was read before.
#[derive(Debug)]
pub(super) struct Room<'a> {
    pointer: *mut u8,
    length: usize,
    _owner: PhantomData<&'a mut [u8]>,
}

impl Room<'_> {
    /// Room for exactly so many bytes.
    ///
    /// # Safety
    /// Unless it is null, `pointer` leads to `length` bytes that may be written, and that nobody else uses for as long as
    /// the result is.
    pub(super) unsafe fn new(what: &str, pointer: *mut u8, length: usize, expected: usize) -> Result<Self, Refusal> {
        check(what, pointer, length)?;
        if length != expected {
            return Err(Refusal::usage(format!(
                "the room for the {what} has {length} bytes, it has to have {expected}"
            )));
        }
        Ok(Self {
            pointer,
            length,
            _owner: PhantomData,
        })
    }

    /// Writes the bytes, as many as there is room for.
    pub(super) fn fill(self, bytes: &[u8]) {
        let length = self.length.min(bytes.len());
        // SAFETY: whoever made this has promised that so many bytes may be written; `bytes` is memory of our own, or, if the
        // caller broke the promise, may lie across it, which this kind of copy allows.
        unsafe { std::ptr::copy(bytes.as_ptr(), self.pointer, length) };
    }
}

/// Writes a value to a place of the caller.
///
/// # Safety
/// Unless it is null or not aligned, `place` leads to memory for a `T` that may be written.
pub(super) unsafe fn put<T>(
    what: &str,
    place: *mut T,
    value: impl FnOnce() -> Result<T, Refusal>,
) -> Result<(), Refusal> {
    check(what, place.cast::<u8>(), 0)?;
    if !place.is_aligned() {
        return Err(Refusal::usage(format!("the pointer to the {what} is not aligned")));
    }
    let value = value()?;
    // SAFETY: it is neither null nor unaligned, and the rest is promised. What was there is not dropped: it is C's.
    unsafe { place.write(value) };
    Ok(())
}

fn check(what: &str, pointer: *const u8, length: usize) -> Result<(), Refusal> {
    if pointer.is_null() {
        return Err(Refusal::usage(format!("the pointer to the {what} is null")));
    }
    match isize::try_from(length) {
        Ok(_) => Ok(()),
        Err(_) => Err(Refusal::usage(format!("the {what} cannot have {length} bytes"))),
    }
}
