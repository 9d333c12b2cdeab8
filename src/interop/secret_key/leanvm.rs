//! Secret keys of leanVM's XMSS (docs/FORMAT.md, "Secret keys of other programs"), in both encodings.
//!
//! They are a few integers and lists of nodes. Read by hand, each integer has one place and one form, and nothing is taken
//! from memory for what a number says.

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

use super::recognition::leanvm_scheme;
use super::shape::{KeyShape, Places, Tree};
use super::source::{Counted, Source, cut_short};
use super::{GiveNodes, Layer, SecretKeyError, SecretKeyFile, SecretKeyHead};
use crate::plan::pieces;
use crate::units::EpochRange;
use keymill_xmss::hash::PrfKey;
use keymill_xmss::scheme::{Parameter, Scheme};
use keymill_xmss::tree::Fillers;

/// Of the rows of this family.
const LOG_LIFETIME: u8 = 32;
/// Bytes of a digest and of a parameter.
const DIGEST_BYTES: usize = 16;

/// Bytes of an epoch, as its type has them.
const EPOCH_BYTES: usize = 4;
/// Bytes of a level or a number of items, as its type has them.
const SIZE_BYTES: usize = 8;

/// How integers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Seven bits a byte, the lowest first, in as few bytes as they take.
    Postcard,
    /// Little-endian, in all bytes of their type.
    Bincode,
}

/// The fields of a file as they come.
struct Fields<'a> {
    counted: Counted<'a>,
    encoding: Encoding,
}

impl<'a> Fields<'a> {
    fn new(reader: &'a mut dyn Read, encoding: Encoding) -> Self {
        let counted = Counted { reader, at: 0 };
        Self { counted, encoding }
    }

    /// An integer whose type has so many bytes.
    fn integer(&mut self, bytes: usize, what: &str) -> Result<u64, SecretKeyError> {
        match self.encoding {
            Encoding::Postcard => self.varint(bytes, what),
            Encoding::Bincode => {
                let mut digits = [0; SIZE_BYTES];
                self.counted.fill(&mut digits[..bytes], what)?;
                Ok(u64::from_le_bytes(digits))
            }
        }
    }

    fn varint(&mut self, bytes: usize, what: &str) -> Result<u64, SecretKeyError> {
        let at = self.counted.at;
        let refused = |why: &str| Err(SecretKeyError::malformed(at, format!("the {what} {why}")));
        let mut number = 0_u128;
        for shift in (0..8 * bytes).step_by(7) {
            let [byte] = self.counted.array(what)?;
            number |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                if byte == 0 && shift > 0 {
                    return refused("is written in more bytes than it takes");
                }
                if number >> (8 * bytes) != 0 {
                    break;
                }
                return Ok(number as u64);
            }
        }
        refused(&format!("is larger than {bytes} bytes hold"))
    }

    /// An integer that has one possible value. What stands in its place can be secret, if the file is in another form.
    fn given(&mut self, what: &str, expected: u64) -> Result<(), SecretKeyError> {
        let at = self.counted.at;
        if self.integer(SIZE_BYTES, what)? == expected {
            return Ok(());
        }
        let what = format!("the {what} is not {expected}, as it has to be; the file is damaged, or in another form");
        Err(SecretKeyError::malformed(at, what))
    }

    /// All that stands before the nodes.
    fn head(&mut self) -> Result<SecretKeyHead, SecretKeyError> {
        let first = self.integer(EPOCH_BYTES, "first epoch")?;
        let last_at = self.counted.at;
        let last = self.integer(EPOCH_BYTES, "last epoch")?;
        if last < first {
            let what = "the last epoch is before the first one; the file is damaged, or in another form";
            return Err(SecretKeyError::malformed(last_at, what));
        }
        let parameter: [u8; DIGEST_BYTES] = self.counted.array("public parameter")?;
        let mut seed = Zeroizing::new([0; 32]);
        self.counted.fill(&mut *seed, "seed")?;
        let stored = EpochRange {
            start: first,
            end: last + 1,
        };
        let shape = KeyShape::top_alone(LOG_LIFETIME, DIGEST_BYTES, stored);
        self.given("lowest level", shape.bottom_level().0.into())?;
        self.given("number of levels", shape.slices(Tree::Top).len() as u64)?;
        Ok(SecretKeyHead {
            prf_key: PrfKey::new(*seed),
            parameter: Parameter::of(&parameter),
            shape,
        })
    }

    /// The nodes, with empty places for the fillers.
    fn layers(&mut self, shape: &KeyShape) -> Result<Vec<Layer>, SecretKeyError> {
        let geometry = shape.geometry();
        let mut layers = Vec::new();
        for slice in shape.slices(Tree::Top) {
            let recorded = geometry.computed(&slice);
            self.given(
                &format!("number of nodes of level {}", slice.level),
                recorded.count() as u64,
            )?;
            let place = slice.place(&recorded.nodes, DIGEST_BYTES);
            let mut digests = vec![0; place.start];
            (&mut *self.counted.reader)
                .take(place.len() as u64)
                .read_to_end(&mut digests)?;
            self.counted.at += (digests.len() - place.start) as u64;
            if digests.len() != place.end {
                return Err(cut_short(self.counted.at, &format!("nodes of level {}", slice.level)));
            }
            digests.resize(slice.count() * DIGEST_BYTES, 0);
            digests.shrink_to_fit();
            layers.push(Layer { slice, digests });
        }
        Ok(layers)
    }
}

/// Whether a file begins as a key in this encoding. What has not come yet is right.
pub(super) fn begins(mut beginning: &[u8], encoding: Encoding) -> bool {
    let length = beginning.len() as u64;
    let mut fields = Fields::new(&mut beginning, encoding);
    let Ok(head) = fields.head() else {
        return false;
    };
    match fields.layers(&head.shape) {
        Ok(_) => true,
        Err(SecretKeyError::Malformed { at, .. }) => at == length,
        Err(_) => false,
    }
}

/// Whether a file begins as a key of leanVM's XMSS over KoalaBear: a version, a seed, and behind it integers alone, in
/// postcard: the first and the last epoch, the number of levels, then for each of them the number of nodes and their elements.
pub(super) fn is_of_koala_bear(beginning: &[u8]) -> bool {
    let behind_seed = beginning.strip_prefix(&[1]).and_then(|rest| rest.get(32..));
    let Some(mut integers) = behind_seed else {
        return false;
    };
    let length = integers.len() as u64;
    let mut fields = Fields::new(&mut integers, Encoding::Postcard);
    let mut next = || fields.integer(EPOCH_BYTES, "number");
    let (Ok(first), Ok(last), Ok(levels), Ok(nodes)) = (next(), next(), next(), next()) else {
        return false;
    };
    if last < first || !(1..=33).contains(&levels) || nodes == 0 {
        return false;
    }
    loop {
        match next() {
            // More than any element of the field.
            Ok(number) if number >= 1 << 31 => return false,
            Ok(_) => {}
            Err(SecretKeyError::Malformed { at, .. }) => return at == length,
            Err(_) => return false,
        }
    }
}

/// Reads a file that is a secret key and nothing more.
pub(super) fn read(mut source: Source<'_>, encoding: Encoding) -> Result<SecretKeyFile, SecretKeyError> {
    let mut fields = Fields::new(&mut source, encoding);
    let head = fields.head()?;
    let mut layers = fields.layers(&head.shape)?;
    source.end()?;
    let scheme = leanvm_scheme(&head.prf_key, &head.parameter).map_err(SecretKeyError::refused)?;
    put_fillers(scheme, &head, &mut layers);
    SecretKeyFile::of(head, layers)
}

/// Puts the fillers into their places, which no file has: they follow from the seed.
fn put_fillers(scheme: &Scheme, head: &SecretKeyHead, layers: &mut [Layer]) {
    let geometry = head.shape.geometry();
    let places: Vec<_> = geometry.fillers().collect();
    let digests = scheme.family().fillers(scheme, &head.prf_key, &head.parameter, &places);
    let fillers = Fillers::new(&geometry, DIGEST_BYTES, digests);
    for layer in layers {
        fillers.put(&layer.slice, &mut layer.digests);
    }
}

/// Writes a secret key, a few nodes at a time.
pub(super) fn write(
    writer: &mut dyn Write,
    head: &SecretKeyHead,
    nodes: &mut GiveNodes<'_, io::Error>,
    encoding: Encoding,
) -> io::Result<()> {
    let (shape, stored) = (&head.shape, head.shape.stored());
    write_integer(writer, encoding, EPOCH_BYTES, stored.start)?;
    write_integer(writer, encoding, EPOCH_BYTES, stored.end - 1)?;
    writer.write_all(&head.parameter)?;
    writer.write_all(head.prf_key.expose())?;
    write_integer(writer, encoding, SIZE_BYTES, shape.bottom_level().0.into())?;
    let (geometry, slices) = (shape.geometry(), shape.slices(Tree::Top));
    write_integer(writer, encoding, SIZE_BYTES, slices.len() as u64)?;
    let mut digests = Vec::new();
    for slice in slices {
        let recorded = geometry.computed(&slice);
        write_integer(writer, encoding, SIZE_BYTES, recorded.count() as u64)?;
        for piece in pieces(recorded.level, recorded.nodes) {
            nodes(&piece, &mut digests)?;
            writer.write_all(&digests)?;
        }
    }
    Ok(())
}

/// Where a file in postcard has what its key is known by.
pub(super) fn places_in_postcard(shape: &KeyShape) -> Places {
    let (stored, geometry, slices) = (shape.stored(), shape.geometry(), shape.slices(Tree::Top));
    let parameter = varint_bytes(stored.start) + varint_bytes(stored.end - 1);
    let prf_key = parameter + DIGEST_BYTES as u64;
    let levels = prf_key + 32;
    let head = levels + varint_bytes(shape.bottom_level().0.into()) + varint_bytes(slices.len() as u64);
    let nodes = slices.iter().map(|slice| geometry.computed(slice).count() as u64);
    let end = head
        + nodes
            .map(|nodes| varint_bytes(nodes) + nodes * DIGEST_BYTES as u64)
            .sum::<u64>();
    Places {
        prf_key,
        parameter,
        // The last node.
        root: end - DIGEST_BYTES as u64,
        end,
    }
}

/// Bytes that an integer takes in postcard.
fn varint_bytes(number: u64) -> u64 {
    let bits = u64::from(u64::BITS - number.leading_zeros());
    bits.div_ceil(7).max(1)
}

fn write_integer(writer: &mut dyn Write, encoding: Encoding, bytes: usize, mut number: u64) -> io::Result<()> {
    if encoding == Encoding::Bincode {
        return writer.write_all(&number.to_le_bytes()[..bytes]);
    }
    while number >= 0x80 {
        writer.write_all(&[number as u8 | 0x80])?;
        number >>= 7;
    }
    writer.write_all(&[number as u8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymill_reference::leanvm_vectors;

    #[test]
    fn the_places_in_a_file_are_where_recorded_files_have_them() {
        let mut seen = 0;
        for key in ["s2", "s1"].into_iter().flat_map(leanvm_vectors::keys) {
            let Some(file) = key.secret_key_postcard else { continue };
            let (start, end) = (key.first_epoch.into(), u64::from(key.last_epoch) + 1);
            let shape = KeyShape::top_alone(LOG_LIFETIME, DIGEST_BYTES, EpochRange { start, end });
            let places = shape.places();
            let at = |place: u64, bytes: usize| &file[place as usize..place as usize + bytes];
            assert_eq!(at(places.prf_key, 32), key.seed);
            assert_eq!([at(places.root, 16), at(places.parameter, 16)].concat(), key.public_key);
            assert_eq!(places.end, file.len() as u64);
            seen += 1;
        }
        assert_eq!(seen, 44);
    }
}
