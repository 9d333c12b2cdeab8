//! Secret keys as serde writes leanSig's types: field elements in Montgomery form (docs/FORMAT.md, "Secret keys of other
//! programs").

use std::cell::RefCell;
use std::io::{self, Write};

use serde::ser::{Error, Serialize, SerializeSeq, Serializer};
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use zeroize::Zeroizing;

use super::json::Json;
use super::shape::{KeyShape, Tree, checked_depth, checked_interval, digest_lengths};
use super::source::Source;
use super::{GiveNodes, Layer, NODES_MAX, SecretKeyError, SecretKeyFile, SecretKeyHead};
use crate::interop::leansig_json::Elements;
use crate::plan::pieces;
use crate::units::{Level, Slice};
use keymill_xmss::hash::PrfKey;
use keymill_xmss::poseidon::PARAMETER_BYTES;
use keymill_xmss::poseidon::PRIME;
use keymill_xmss::poseidon::from_montgomery_form;
use keymill_xmss::scheme::Parameter;

/// More elements than a digest of any scheme has.
const ELEMENTS_MAX: usize = 8;
const LAYERS_MAX: usize = 33;

/// A tree as it stands in the text, before it is known what it has to be.
#[derive(Default)]
struct ReadTree {
    at: u64,
    depth: u64,
    lowest_level: u64,
    layers: Vec<ReadLayer>,
}

#[derive(Default)]
struct ReadLayer {
    at: u64,
    first_index: u64,
    digests: Vec<u8>,
}

pub(super) fn read(source: Source<'_>) -> Result<SecretKeyFile, SecretKeyError> {
    let mut json = Json { source };
    let at = json.place()?;
    let mut prf_key = Zeroizing::new([0; 32]);
    let mut parameter = [0; PARAMETER_BYTES];
    let (mut start, mut count, mut left_index) = (0, 0, 0);
    let mut trees = [ReadTree::default(), ReadTree::default(), ReadTree::default()];
    let mut digest_bytes = None;
    json.whole_object(FIELDS, |json, field| {
        match field {
            "prf_key" => bytes(json, &mut *prf_key)?,
            "parameter" => parameter.copy_from_slice(&elements(json, PARAMETER_BYTES / 4)?),
            "activation_epoch" => start = json.number()?,
            "num_active_epochs" => count = json.number()?,
            "top_tree" => trees[0] = tree(json, &mut digest_bytes)?,
            "left_bottom_tree_index" => left_index = json.number()?,
            "left_bottom_tree" => trees[1] = tree(json, &mut digest_bytes)?,
            "right_bottom_tree" => trees[2] = tree(json, &mut digest_bytes)?,
            _ => json.null()?,
        }
        Ok(())
    })?;
    json.end()?;
    let refuse = |what: String| SecretKeyError::malformed(at, what);
    let log_lifetime = checked_depth(trees[0].depth).map_err(|what| SecretKeyError::malformed(trees[0].at, what))?;
    let stored = checked_interval(log_lifetime, start, count).map_err(refuse)?;
    let digest_bytes = digest_bytes.unwrap_or_default();
    if !digest_lengths(log_lifetime).contains(&digest_bytes) {
        return Err(refuse(format!(
            "its nodes have {} elements, but no scheme of the lifetime 2^{log_lifetime} has such digests",
            digest_bytes / 4
        )));
    }
    let shape = KeyShape::claimed(log_lifetime, digest_bytes, stored, left_index).map_err(refuse)?;
    let mut layers = Vec::new();
    for (tree, read) in Tree::ALL.into_iter().zip(trees) {
        layers.extend(layers_of(tree, read, &shape)?);
    }
    let prf_key = PrfKey::new(*prf_key);
    let head = SecretKeyHead {
        prf_key,
        parameter: Parameter::of(&parameter),
        shape,
    };
    SecretKeyFile::of(head, layers)
}

/// The fields, in the order in which they are written.
pub(super) const FIELDS: [&str; 9] = [
    "prf_key",
    "parameter",
    "activation_epoch",
    "num_active_epochs",
    "top_tree",
    "left_bottom_tree_index",
    "left_bottom_tree",
    "right_bottom_tree",
    "_encoding_type",
];

/// The layers of a tree, if they are those that it has to have.
fn layers_of(tree: Tree, read: ReadTree, shape: &KeyShape) -> Result<Vec<Layer>, SecretKeyError> {
    let slices = shape.slices(tree);
    let lowest_level = slices.first().map_or(0, |slice| slice.level.0);
    let numbers = [
        ("depth", read.depth, u64::from(shape.log_lifetime())),
        ("lowest level", read.lowest_level, u64::from(lowest_level)),
        ("number of layers", read.layers.len() as u64, slices.len() as u64),
    ];
    for (name, found, expected) in numbers {
        if found != expected {
            let what = format!("the {name} of the {tree} is {found}, it has to be {expected}");
            return Err(SecretKeyError::malformed(read.at, what));
        }
    }
    let checked = |(slice, layer): (Slice, ReadLayer)| {
        let nodes = (layer.digests.len() / shape.digest_bytes()) as u64;
        let numbers = [
            ("first index", layer.first_index, slice.nodes.start),
            ("number of nodes", nodes, slice.nodes.end - slice.nodes.start),
        ];
        match numbers.into_iter().find(|(_, found, expected)| found != expected) {
            Some((name, found, expected)) => {
                let Level(level) = slice.level;
                let what = format!("the {name} of layer {level} of the {tree} is {found}, it has to be {expected}");
                Err(SecretKeyError::malformed(layer.at, what))
            }
            None => Ok(Layer {
                slice,
                digests: layer.digests,
            }),
        }
    };
    slices.into_iter().zip(read.layers).map(checked).collect()
}

fn tree(json: &mut Json<'_>, digest_bytes: &mut Option<usize>) -> Result<ReadTree, SecretKeyError> {
    let mut tree = ReadTree {
        at: json.place()?,
        ..ReadTree::default()
    };
    let mut nodes_left = NODES_MAX;
    json.whole_object(["depth", "lowest_layer", "layers"], |json, field| {
        match field {
            "depth" => tree.depth = json.number()?,
            "lowest_layer" => tree.lowest_level = json.number()?,
            _ => {
                json.list(|json, position| {
                    if position == LAYERS_MAX {
                        return Err(too_many(json, "layers"));
                    }
                    tree.layers.push(layer(json, digest_bytes, &mut nodes_left)?);
                    Ok(())
                })?;
            }
        }
        Ok(())
    })?;
    Ok(tree)
}

fn too_many(json: &Json<'_>, what: &str) -> SecretKeyError {
    let at = json.source.offset();
    SecretKeyError::malformed(at, format!("there are more {what} than any secret key has"))
}

fn layer(
    json: &mut Json<'_>,
    digest_bytes: &mut Option<usize>,
    nodes_left: &mut usize,
) -> Result<ReadLayer, SecretKeyError> {
    let mut layer = ReadLayer {
        at: json.place()?,
        ..ReadLayer::default()
    };
    json.whole_object(["start_index", "nodes"], |json, field| {
        if field == "start_index" {
            layer.first_index = json.number()?;
            return Ok(());
        }
        json.list(|json, _| {
            *nodes_left = nodes_left.checked_sub(1).ok_or_else(|| too_many(json, "nodes"))?;
            let at = json.place()?;
            let before = layer.digests.len();
            json.list(|json, position| {
                if position == ELEMENTS_MAX {
                    return Err(too_many(json, "elements of a node"));
                }
                layer.digests.extend(element(json)?);
                Ok(())
            })?;
            let bytes = layer.digests.len() - before;
            if *digest_bytes.get_or_insert(bytes) != bytes {
                let what = format!("a node has {} elements, unlike those before it", bytes / 4);
                return Err(SecretKeyError::malformed(at, what));
            }
            Ok(())
        })?;
        Ok(())
    })?;
    // It has grown with what came, and the next one grows beside it.
    layer.digests.shrink_to_fit();
    Ok(layer)
}

/// A field element, in canonical bytes.
fn element(json: &mut Json<'_>) -> Result<[u8; 4], SecretKeyError> {
    let at = json.place()?;
    let number = json.number()?;
    match u32::try_from(number).ok().filter(|&value| value < PRIME) {
        Some(value) => Ok(from_montgomery_form(value).to_le_bytes()),
        None => Err(SecretKeyError::malformed(
            at,
            format!("an element is {number}, but a field element must be below {PRIME}"),
        )),
    }
}

fn elements(json: &mut Json<'_>, count: usize) -> Result<Vec<u8>, SecretKeyError> {
    let at = json.place()?;
    let mut bytes = Vec::with_capacity(4 * count);
    let found = json.list(|json, position| {
        if position < count {
            bytes.extend(element(json)?);
            return Ok(());
        }
        Err(too_many(json, "elements"))
    })?;
    check_count(at, found, count)?;
    Ok(bytes)
}

/// Bytes, as a list of numbers.
fn bytes(json: &mut Json<'_>, bytes: &mut [u8]) -> Result<(), SecretKeyError> {
    let at = json.place()?;
    let count = bytes.len();
    let found = json.list(|json, position| {
        let at = json.place()?;
        let byte = u8::try_from(json.number()?);
        let byte = byte.map_err(|_| SecretKeyError::malformed(at, "a byte of the PRF key is above 255"))?;
        match bytes.get_mut(position) {
            Some(place) => *place = byte,
            None => return Err(too_many(json, "bytes of the PRF key")),
        }
        Ok(())
    })?;
    check_count(at, found, count)
}

fn check_count(at: u64, found: usize, expected: usize) -> Result<(), SecretKeyError> {
    if found == expected {
        Ok(())
    } else {
        Err(SecretKeyError::malformed(
            at,
            format!("the list has {found} items, it has to have {expected}"),
        ))
    }
}

/// Gives recorded nodes.
struct Nodes<'a> {
    give: RefCell<&'a mut GiveNodes<'a, io::Error>>,
    digest_bytes: usize,
}

struct TreeText<'a> {
    nodes: &'a Nodes<'a>,
    shape: &'a KeyShape,
    tree: Tree,
}

struct LayerText<'a> {
    nodes: &'a Nodes<'a>,
    slice: Slice,
}

struct NodesText<'a, 'b>(&'a LayerText<'b>);

/// Writes a secret key, a few nodes at a time.
pub(super) fn write(
    writer: &mut dyn Write,
    head: &SecretKeyHead,
    nodes: &mut GiveNodes<'_, io::Error>,
) -> io::Result<()> {
    write_with(writer, head, nodes, CompactFormatter)
}

/// As [`write`], with a line for every element.
pub(super) fn write_indented(
    writer: &mut dyn Write,
    head: &SecretKeyHead,
    nodes: &mut GiveNodes<'_, io::Error>,
) -> io::Result<()> {
    write_with(writer, head, nodes, PrettyFormatter::new())
}

fn write_with(
    writer: &mut dyn Write,
    head: &SecretKeyHead,
    nodes: &mut GiveNodes<'_, io::Error>,
    formatter: impl Formatter,
) -> io::Result<()> {
    let nodes = Nodes {
        give: RefCell::new(nodes),
        digest_bytes: head.shape.digest_bytes(),
    };
    let mut serializer = serde_json::Serializer::with_formatter(writer, formatter);
    KeyText { head, nodes: &nodes }.serialize(&mut serializer)?;
    Ok(())
}

struct KeyText<'a> {
    head: &'a SecretKeyHead,
    nodes: &'a Nodes<'a>,
}

impl Serialize for KeyText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let shape = &self.head.shape;
        let tree = |tree| TreeText {
            nodes: self.nodes,
            shape,
            tree,
        };
        let mut key = serializer.serialize_struct("SecretKey", FIELDS.len())?;
        key.serialize_field("prf_key", self.head.prf_key.expose())?;
        key.serialize_field("parameter", &Elements(&self.head.parameter))?;
        key.serialize_field("activation_epoch", &shape.stored().start)?;
        key.serialize_field("num_active_epochs", &shape.stored().count())?;
        key.serialize_field("top_tree", &tree(Tree::Top))?;
        key.serialize_field("left_bottom_tree_index", &shape.left_index().unwrap_or_default())?;
        key.serialize_field("left_bottom_tree", &tree(Tree::Left))?;
        key.serialize_field("right_bottom_tree", &tree(Tree::Right))?;
        key.serialize_field("_encoding_type", &())?;
        key.end()
    }
}

impl Serialize for TreeText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let slices = self.shape.slices(self.tree);
        let lowest_level = slices.first().map_or(0, |slice| slice.level.0);
        let layers = slices.into_iter().map(|slice| LayerText {
            nodes: self.nodes,
            slice,
        });
        let mut tree = serializer.serialize_struct("Tree", 3)?;
        tree.serialize_field("depth", &self.shape.log_lifetime())?;
        tree.serialize_field("lowest_layer", &lowest_level)?;
        tree.serialize_field("layers", &layers.collect::<Vec<_>>())?;
        tree.end()
    }
}

impl Serialize for LayerText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut layer = serializer.serialize_struct("Layer", 2)?;
        layer.serialize_field("start_index", &self.slice.nodes.start)?;
        layer.serialize_field("nodes", &NodesText(self))?;
        layer.end()
    }
}

impl Serialize for NodesText<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let LayerText { nodes, slice } = self.0;
        let mut list = serializer.serialize_seq(None)?;
        let mut digests = Vec::new();
        for piece in pieces(slice.level, slice.nodes.clone()) {
            let given = (nodes.give.borrow_mut())(&piece, &mut digests);
            given.map_err(S::Error::custom)?;
            for digest in digests.chunks_exact(nodes.digest_bytes) {
                list.serialize_element(&Elements(digest))?;
            }
        }
        list.end()
    }
}
