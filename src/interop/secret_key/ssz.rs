//! Secret keys in SSZ (docs/FORMAT.md, "Secret keys of other programs").

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

use super::shape::{KeyShape, Places, Tree, checked_depth, checked_interval, digest_lengths};
use super::source::{Counted, Source, cut_short};
use super::{Digits, GiveNodes, Layer, SecretKeyError, SecretKeyFile, SecretKeyHead};
use crate::plan::pieces;
use crate::units::Slice;
use keymill_xmss::hash::PrfKey;
use keymill_xmss::poseidon::{self, PARAMETER_BYTES};
use keymill_xmss::scheme::Parameter;

/// PRF key, parameter, first epoch, number of epochs, offset of the top tree, index of the left bottom tree, offsets of
/// the left and of the right one.
const FIXED_BYTES: u32 = 32 + PARAMETER_BYTES as u32 + 8 + 8 + 4 + 8 + 4 + 4;
const PARAMETER_AT: u64 = 32;
const INTERVAL_AT: u64 = PARAMETER_AT + PARAMETER_BYTES as u64;
pub(super) const TOP_OFFSET_AT: usize = INTERVAL_AT as usize + 16;
const LEFT_INDEX_AT: u64 = TOP_OFFSET_AT as u64 + 4;
const LEFT_OFFSET_AT: u64 = LEFT_INDEX_AT + 8;
/// Depth, lowest level, offset of the list of layers.
const TREE_BYTES: u32 = 8 + 8 + 4;
/// Index of the first node, offset of the nodes.
const LAYER_BYTES: u32 = 8 + 4;

/// A part of a file, in order.
enum Piece<'a> {
    /// Bytes that follow from the shape.
    Given(&'a str, &'a [u8]),
    /// The digests of a layer.
    Nodes(&'a Slice),
}

/// Everything behind PRF key and parameter, piece by piece.
fn pieces_of<E>(shape: &KeyShape, mut visit: impl FnMut(Piece<'_>) -> Result<(), E>) -> Result<(), E> {
    let stored = shape.stored();
    let mut given = |name: &str, bytes: &[u8]| visit(Piece::Given(name, bytes));
    given("first epoch", &stored.start.to_le_bytes())?;
    given("number of epochs", &stored.count().to_le_bytes())?;
    let left = FIXED_BYTES + tree_bytes(shape, Tree::Top);
    let right = left + tree_bytes(shape, Tree::Left);
    given("offset of the top tree", &FIXED_BYTES.to_le_bytes())?;
    given(
        "index of the left bottom tree",
        &shape.left_index().unwrap_or_default().to_le_bytes(),
    )?;
    given("offset of the left bottom tree", &left.to_le_bytes())?;
    given("offset of the right bottom tree", &right.to_le_bytes())?;
    for tree in Tree::ALL {
        pieces_of_tree(shape, tree, &mut visit)?;
    }
    Ok(())
}

fn pieces_of_tree<E>(
    shape: &KeyShape,
    tree: Tree,
    visit: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let slices = shape.slices(tree);
    let lowest = slices.first().map_or(0, |slice| slice.level.0);
    let mut given = |name: &str, bytes: &[u8]| visit(Piece::Given(&format!("{name} of the {tree}"), bytes));
    given("depth", &u64::from(shape.log_lifetime()).to_le_bytes())?;
    given("lowest level", &u64::from(lowest).to_le_bytes())?;
    given("offset of the layers", &TREE_BYTES.to_le_bytes())?;
    let mut offset = 4 * slices.len() as u32;
    for slice in &slices {
        given(&format!("offset of layer {}", slice.level), &offset.to_le_bytes())?;
        offset += layer_bytes(shape, slice);
    }
    for slice in &slices {
        let of_layer = |name: &str| format!("{name} of layer {} of the {tree}", slice.level);
        visit(Piece::Given(&of_layer("first index"), &slice.nodes.start.to_le_bytes()))?;
        visit(Piece::Given(
            &of_layer("offset of the nodes"),
            &LAYER_BYTES.to_le_bytes(),
        ))?;
        visit(Piece::Nodes(slice))?;
    }
    Ok(())
}

fn layer_bytes(shape: &KeyShape, slice: &Slice) -> u32 {
    // At most 2^16 + 2 nodes: half of the levels of the largest lifetime, and fillers.
    LAYER_BYTES + (slice.nodes.end - slice.nodes.start) as u32 * shape.digest_bytes() as u32
}

fn tree_bytes(shape: &KeyShape, tree: Tree) -> u32 {
    let layers = shape.slices(tree);
    let layers = layers.iter().map(|slice| 4 + layer_bytes(shape, slice));
    TREE_BYTES + layers.sum::<u32>()
}

/// Where a file has what its key is known by.
pub(super) fn places(shape: &KeyShape) -> Places {
    let top_end = FIXED_BYTES + tree_bytes(shape, Tree::Top);
    // The last layer is the root, and the filler beside it.
    let root_layer = shape
        .slices(Tree::Top)
        .last()
        .map_or(0, |slice| layer_bytes(shape, slice) - LAYER_BYTES);
    Places {
        prf_key: 0,
        parameter: PARAMETER_AT,
        root: u64::from(top_end - root_layer),
        end: u64::from(top_end + tree_bytes(shape, Tree::Left) + tree_bytes(shape, Tree::Right)),
    }
}

/// Writes a secret key, a few nodes at a time.
pub(super) fn write(
    writer: &mut dyn Write,
    head: &SecretKeyHead,
    nodes: &mut GiveNodes<'_, io::Error>,
) -> io::Result<()> {
    writer.write_all(head.prf_key.expose())?;
    writer.write_all(&head.parameter)?;
    let mut digests = Vec::new();
    pieces_of(&head.shape, |piece| {
        match piece {
            Piece::Given(_, bytes) => writer.write_all(bytes)?,
            Piece::Nodes(slice) => {
                for slice in pieces(slice.level, slice.nodes.clone()) {
                    nodes(&slice, &mut digests)?;
                    writer.write_all(&digests)?;
                }
            }
        }
        Ok(())
    })
}

impl Counted<'_> {
    /// As many bytes as that, which are those of one layer at most. Only what has come is touched of their memory.
    fn digests(&mut self, count: usize, what: &str) -> Result<Vec<u8>, SecretKeyError> {
        let mut bytes = Vec::with_capacity(count);
        (&mut *self.reader).take(count as u64).read_to_end(&mut bytes)?;
        if bytes.len() != count {
            return Err(cut_short(self.at + bytes.len() as u64, what));
        }
        canonical(&bytes, self.at, what)?;
        self.at += count as u64;
        Ok(bytes)
    }
}

fn canonical(bytes: &[u8], at: u64, what: &str) -> Result<(), SecretKeyError> {
    poseidon::check_canonical(bytes).map_err(|error| {
        let at = at + 4 * error.element as u64;
        SecretKeyError::malformed(at, format!("in the {what}, {error}"))
    })
}

/// Reads a file that is a secret key and nothing more.
pub(super) fn read_file(mut source: Source<'_>) -> Result<SecretKeyFile, SecretKeyError> {
    let key = read(&mut source)?;
    source.end()?;
    Ok(key)
}

/// Reads a secret key, all but what may follow it.
pub(super) fn read(reader: &mut dyn Read) -> Result<SecretKeyFile, SecretKeyError> {
    let mut counted = Counted { reader, at: 0 };
    let mut prf_key = Zeroizing::new([0; 32]);
    counted.fill(&mut *prf_key, "PRF key")?;
    let parameter: [u8; PARAMETER_BYTES] = counted.array("parameter")?;
    // What the shape follows from: the numbers of the fixed part, and the depth, which stands behind it.
    let numbers: [u8; 44] = counted.array("fixed part")?;
    let shape = shape_of(&numbers)?;
    // Not before the offset is right: of another file it may be a part of the PRF key, and the message shows it.
    canonical(&parameter, PARAMETER_AT, "parameter")?;
    let mut layers = Vec::new();
    let mut unread = &numbers[..];
    let mut numbers_at = INTERVAL_AT;
    pieces_of(&shape, |piece| match piece {
        Piece::Given(name, expected) if !unread.is_empty() => {
            let (found, rest) = unread.split_at(expected.len());
            check_given(name, numbers_at, found, expected)?;
            numbers_at += expected.len() as u64;
            unread = rest;
            Ok(())
        }
        Piece::Given(name, expected) => {
            let at = counted.at;
            let mut found = [0; 8];
            let found = &mut found[..expected.len()];
            counted.fill(found, name)?;
            check_given(name, at, found, expected)
        }
        Piece::Nodes(slice) => {
            let bytes = (slice.nodes.end - slice.nodes.start) as usize * shape.digest_bytes();
            let digests = counted.digests(bytes, &format!("nodes of layer {}", slice.level))?;
            layers.push(Layer {
                slice: slice.clone(),
                digests,
            });
            Ok(())
        }
    })?;
    let head = SecretKeyHead {
        prf_key: PrfKey::new(*prf_key),
        parameter: Parameter::of(&parameter),
        shape,
    };
    SecretKeyFile::of(head, layers)
}

/// The only shape that these numbers can belong to: first epoch, number of epochs, offset of the top tree, index of the
/// left bottom tree, offsets of the left and of the right one, depth.
fn shape_of(numbers: &[u8; 44]) -> Result<KeyShape, SecretKeyError> {
    let number = |at: usize, bytes: usize| {
        let digits = numbers[at..at + bytes].iter().rev();
        digits.fold(0, |number, &byte| number << 8 | u64::from(byte))
    };
    let at_place = |at: u64| move |what: String| SecretKeyError::malformed(at, what);
    // With another offset, what is read as the depth is something else; and what stands in its place can be secret.
    if numbers[16..20] != FIXED_BYTES.to_le_bytes() {
        return Err(SecretKeyError::malformed(
            TOP_OFFSET_AT as u64,
            format!(
                "the offset of the top tree is not {FIXED_BYTES}, as it has to be; the file is in another form, such as JSON, \
                 or something else stands before its key"
            ),
        ));
    }
    let log_lifetime = checked_depth(number(36, 8)).map_err(at_place(FIXED_BYTES.into()))?;
    let stored = checked_interval(log_lifetime, number(0, 8), number(8, 8)).map_err(at_place(INTERVAL_AT))?;
    let left_offset = number(28, 4);
    let mut possible = Vec::new();
    for digest_bytes in digest_lengths(log_lifetime) {
        let claimed = KeyShape::claimed(log_lifetime, digest_bytes, stored, number(20, 8));
        let shape = claimed.map_err(at_place(LEFT_INDEX_AT))?;
        let expected = FIXED_BYTES + tree_bytes(&shape, Tree::Top);
        if u64::from(expected) == left_offset {
            return Ok(shape);
        }
        possible.push(expected);
    }
    Err(SecretKeyError::malformed(
        LEFT_OFFSET_AT,
        format!(
            "the offset of the left bottom tree is {left_offset}, but behind a top tree of depth {log_lifetime} over these \
             epochs it is {}",
            Digits(&possible)
        ),
    ))
}

fn check_given(name: &str, at: u64, found: &[u8], expected: &[u8]) -> Result<(), SecretKeyError> {
    if found == expected {
        return Ok(());
    }
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0u64, |number, &byte| number << 8 | u64::from(byte))
    };
    let (found, expected) = (number(found), number(expected));
    Err(SecretKeyError::malformed(
        at,
        format!("the {name} is {found}, it has to be {expected}"),
    ))
}
