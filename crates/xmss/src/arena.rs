//! Scratch memory of one worker: a block of fixed size from which values are taken one after the other, and which is
//! given back as a whole.

use bumpalo::Bump;

/// What the largest alignment that is asked for can cost beside the bytes themselves.
const ALIGNMENT_BYTES: usize = 64;

/// An arena is too small for what was to be put into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a worker's arena has {available_bytes} bytes left, of {capacity_bytes}, and {needed_bytes} are needed: it was made \
     for another scheme, or the sizes that it was made for (hash::scratch_bytes) have to follow what the kernel takes"
)]
pub struct ArenaOverflow {
    /// What was to be put into it.
    pub needed_bytes: usize,
    /// What was left.
    pub available_bytes: usize,
    /// What there is in all.
    pub capacity_bytes: usize,
}

/// A block of memory that never grows. Taking from it moves a pointer, and [`reset`](Self::reset) moves it back.
///
/// Destructors of what it holds do not run: a caller that puts a secret into it wipes it.
///
/// # Examples
/// ```
/// use keymill_xmss::arena::Arena;
///
/// let mut arena = Arena::new(100);
/// let words: &mut [u64] = arena.slice(4, 0)?;
/// words[3] = 5;
/// assert!(arena.slice(10_000, 0u8).is_err());
/// arena.reset();
/// assert_eq!(arena.high_water_bytes(), 32);
/// # Ok::<(), keymill_xmss::arena::ArenaOverflow>(())
/// ```
#[derive(Debug)]
pub struct Arena {
    bump: Bump,
    capacity_bytes: usize,
    high_water_bytes: usize,
}

impl Arena {
    /// An arena for values of so many bytes in all, each aligned to 64 bytes at most.
    pub fn new(capacity_bytes: usize) -> Self {
        let bump = Bump::with_capacity(capacity_bytes + ALIGNMENT_BYTES);
        // What there is now is all that there ever is.
        bump.set_allocation_limit(Some(bump.allocated_bytes()));
        let capacity_bytes = bump.chunk_capacity();
        Self {
            bump,
            capacity_bytes,
            high_water_bytes: 0,
        }
    }

    /// Puts a value into the arena.
    ///
    /// # Errors
    /// [`ArenaOverflow`] if there is no room for it.
    #[inline]
    pub fn put<T>(&self, value: T) -> Result<&mut T, ArenaOverflow> {
        self.bump.try_alloc(value).map_err(|_| self.overflow(size_of::<T>()))
    }

    /// A run of values, all the same to begin with.
    ///
    /// # Errors
    /// [`ArenaOverflow`] if there is no room for it.
    #[inline]
    pub fn slice<T: Copy>(&self, length: usize, value: T) -> Result<&mut [T], ArenaOverflow> {
        self.bump
            .try_alloc_slice_fill_copy(length, value)
            .map_err(|_| self.overflow(length.saturating_mul(size_of::<T>())))
    }

    /// Empties the arena.
    pub fn reset(&mut self) {
        self.high_water_bytes = self.high_water_bytes.max(self.used_bytes());
        self.bump.reset();
    }

    /// What there is in all.
    pub fn capacity_bytes(&self) -> usize {
        self.capacity_bytes
    }

    /// Most that was in it before any [`reset`](Self::reset), what alignment took included.
    pub fn high_water_bytes(&self) -> usize {
        self.high_water_bytes
    }

    fn used_bytes(&self) -> usize {
        self.capacity_bytes - self.bump.chunk_capacity()
    }

    fn overflow(&self, needed_bytes: usize) -> ArenaOverflow {
        ArenaOverflow {
            needed_bytes,
            available_bytes: self.bump.chunk_capacity(),
            capacity_bytes: self.capacity_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    #[repr(align(64))]
    struct Line([u8; 64]);

    #[test]
    fn what_it_was_made_for_fits_and_nothing_beyond_what_there_is_even_after_many_resets() {
        let mut arena = Arena::new(10 * 64);
        for _ in 0..1000 {
            for _ in 0..10 {
                let line = arena.put(Line([3; 64])).unwrap();
                assert_eq!(std::ptr::from_ref(line).addr() % 64, 0);
                assert_eq!(line.0[63], 3);
            }
            let left = arena.bump.chunk_capacity();
            let overflow = arena.slice(left + 1, 0u8).unwrap_err();
            assert_eq!((overflow.needed_bytes, overflow.available_bytes), (left + 1, left));
            assert_eq!(overflow.capacity_bytes, arena.capacity_bytes());
            assert_eq!(arena.slice(left, 0u8).unwrap().len(), left);
            assert!(arena.put(0u8).is_err());
            arena.reset();
        }
        assert_eq!(arena.high_water_bytes(), arena.capacity_bytes());
    }

    #[test]
    fn an_overflow_names_what_was_needed_and_what_was_left() {
        let arena = Arena::new(0);
        let message = arena.slice(usize::MAX / 2, 0u64).unwrap_err().to_string();
        assert!(message.contains(&format!("and {} are needed", usize::MAX)), "{message}");
        assert!(
            message.contains(&format!("has {} bytes left", arena.capacity_bytes())),
            "{message}"
        );
    }
}
