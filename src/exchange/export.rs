//! From a sealed key directory to a secret key of another program.

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use crate::error::{Error, Reason, Result};
use crate::interop::Role;
use crate::interop::secret_key::{
    KeyShape, PairWriter, SecretKeyForm, SecretKeyHead, Tree, check_forms, check_has_form, first_wrong_node,
};
use crate::keydir::{KeyDir, KeyPlace, Manifest};
use crate::plan::{Batches, MemoryRequest, Plan, Reading, WORKER_BYTES};
use crate::remedy::Remedy;
use crate::signing::PathReader;
use crate::units::{Epoch, Level, NodeIndex, Slice};
use keymill_xmss::tree::Nodes;

/// Writes the key of a sealed directory in the forms of other programs. What a trimmed key does not store is computed.
pub struct Exporter {
    paths: PathReader,
    head: SecretKeyHead,
}

impl Exporter {
    /// Opens a key directory with its secret. Takes no lock and writes nothing; [`Window::write`] does.
    ///
    /// # Errors
    /// [`Error`] if it is not a sealed key, or if its files or its secret cannot be used.
    pub fn open<'a>(place: impl Into<KeyPlace<'a>>) -> Result<Self> {
        let paths = PathReader::open(place)?;
        let manifest = paths.manifest();
        check_has_form(manifest.scheme())?;
        let stored = manifest.plan().stored();
        let head = SecretKeyHead {
            prf_key: paths.key().prf_key()?,
            parameter: *manifest.parameter(),
            shape: KeyShape::of_key(manifest.scheme(), stored, stored.start),
        };
        Ok(Self { paths, head })
    }

    /// Everything public about the key.
    pub fn manifest(&self) -> &Manifest {
        self.paths.manifest()
    }

    /// Refuses a form that is not for keys of this scheme.
    ///
    /// # Errors
    /// [`Error`] names the forms that are.
    pub fn check_form(&self, form: SecretKeyForm) -> Result<()> {
        check_form(&self.paths, form)
    }

    /// What writing windows of these keys takes, which are held side by side.
    pub fn reading(exporters: &[&Self], memory: MemoryRequest) -> Reading {
        let held = exporters
            .iter()
            .map(|exporter| computed_bytes(exporter.manifest().plan()));
        Reading {
            held_bytes: held.sum(),
            thread_bytes: 0,
            threads: 1,
            memory,
        }
    }

    /// The top tree, and for leanSig the two bottom trees of which the first one holds `epoch`, or the last two if it is in the
    /// last one; without an epoch the first two. Every node is compared with the hash of its children up to the root, so that
    /// nothing damaged is written. Of a trimmed key, what is not stored is computed and kept, some megabytes.
    ///
    /// # Errors
    /// [`Error`] names the first node that is wrong.
    pub fn window(&self, epoch: Option<u64>) -> Result<Window<'_>> {
        let stored = self.manifest().plan().stored();
        let epoch = epoch.unwrap_or(stored.start);
        if !stored.as_range().contains(&epoch) {
            let directory = self.paths.key().path();
            let what = format!(
                "epoch {epoch} is outside of the key in '{}', which stores {stored}",
                directory.display()
            );
            return Err(Error::usage(what).at(directory));
        }
        let head = SecretKeyHead {
            shape: KeyShape::of_key(self.manifest().scheme(), stored, epoch),
            ..self.head.clone()
        };
        let mut window = Window {
            paths: &self.paths,
            head,
            computed: Vec::new(),
        };
        window.compute()?;
        window.check()?;
        Ok(window)
    }
}

fn check_form(paths: &PathReader, form: SecretKeyForm) -> Result<()> {
    let directory = paths.key().path();
    let cannot = || format!("'{}' cannot be exported", directory.display());
    let checked = check_forms(paths.manifest().scheme(), form.keys());
    checked.map_err(|error| error.within(cannot()).at(directory))
}

/// Most bytes that are computed and kept to write a window of a key: what its trees have below the trim, and the arenas and
/// stacks of the workers that compute it.
pub(crate) fn computed_bytes(plan: &Plan) -> u64 {
    let (scheme, trim, stored) = (plan.scheme(), plan.trim(), plan.stored());
    let missing = missing(&KeyShape::of_key(scheme, stored, stored.start), trim);
    if missing.is_empty() {
        return 0;
    }
    let nodes: u64 = missing.iter().map(|slice| slice.count() as u64).sum();
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    nodes * scheme.digest_bytes() as u64 + workers * (WORKER_BYTES + scheme.scratch_bytes() as u64)
}

/// The nodes of a secret key that a key directory with this trim does not store.
fn missing(shape: &KeyShape, trim: Level) -> Vec<Slice> {
    let slices = Tree::ALL.into_iter().flat_map(|tree| shape.slices(tree));
    // The roots of the bottom trees stand in the top tree as well.
    let stands_twice = |slice: &Slice| slice.level == shape.bottom_level() && slice.count() == 1;
    slices
        .filter(|slice| slice.level < trim && !stands_twice(slice))
        .collect()
}

/// A secret key that is ready to be written.
pub struct Window<'a> {
    paths: &'a PathReader,
    head: SecretKeyHead,
    /// Nodes that the key does not store.
    computed: Vec<Nodes>,
}

impl Window<'_> {
    /// Which nodes it holds.
    pub fn shape(&self) -> &KeyShape {
        &self.head.shape
    }

    /// Writes the secret key, a few nodes at a time. Before the first byte leaves, the key's ledger takes back which epochs it
    /// knows to be unused: the file signs elsewhere.
    ///
    /// # Errors
    /// [`Error`] before anything is written if that cannot be noted; that of a write; or that a layer file is damaged meanwhile.
    pub fn write(&self, form: SecretKeyForm, writer: &mut dyn Write) -> Result<()> {
        check_form(self.paths, form)?;
        note_elsewhere(self.paths.key())?;
        let written = self
            .head
            .write(form, writer, &mut |slice, digests| self.given(slice, digests));
        Ok(written?)
    }

    /// Refuses what cannot stand beside it in one file.
    fn fits_beside(&self, other: &Self) -> Result<()> {
        let directory = |window: &Self| window.paths.key().path().display().to_string();
        let (first, second) = (directory(self), directory(other));
        let (own, others) = (self.paths.manifest(), other.paths.manifest());
        let shared = self.head.one_time_keys().shared_with(&other.head.one_time_keys());
        if shared.is_some() || own.public_key() == others.public_key() {
            let what = format!(
                "'{first}' and '{second}' hold the same secret: with both roles, it would sign two messages with one epoch, which \
                 gives the key away"
            );
            return Err(Error::usage(what).mend([Remedy::AnotherKey]));
        }
        if own.scheme() != others.scheme() {
            let (own, others) = (own.scheme().id(), others.scheme().id());
            return Err(Error::usage(format!(
                "'{first}' holds a key of {own} and '{second}' one of {others}: the two keys of a file have the same scheme"
            )));
        }
        Ok(())
    }

    /// Computes what is not stored of its trees. The lowest levels of a bottom tree are kept as a whole, since every form
    /// has them level by level.
    fn compute(&mut self) -> Result<()> {
        let plan = self.paths.manifest().plan();
        let (trim, shape) = (plan.trim(), &self.head.shape);
        let missing = missing(shape, trim);
        let blocks = Batches::with_roots_at(trim, plan.geometry().clone());
        let digest_bytes = shape.digest_bytes();
        if missing.is_empty() {
            return Ok(());
        }
        let empty = |slice| Nodes {
            slice,
            digests: Vec::new(),
        };
        let mut computed: Vec<Nodes> = missing.into_iter().map(empty).collect();
        for block in blocks.all() {
            let of_block = |level: Level| blocks.slice(block, level);
            let touches = |of: &Nodes| {
                let nodes = of_block(of.slice.level);
                nodes.start < of.slice.nodes.end && of.slice.nodes.start < nodes.end
            };
            if !computed.iter().any(touches) {
                continue;
            }
            let epoch = Epoch(blocks.epochs(block).start as u32);
            let Some(subtree) = self.paths.block(epoch)? else {
                continue;
            };
            for of in computed.iter_mut().filter(|of| touches(of)) {
                let nodes = of_block(of.slice.level);
                for node in nodes.start.max(of.slice.nodes.start)..nodes.end.min(of.slice.nodes.end) {
                    let digest = subtree.node(of.slice.level, NodeIndex(node));
                    of.digests.extend(digest.unwrap_or(&vec![0; digest_bytes]));
                }
            }
        }
        self.computed = computed;
        Ok(())
    }

    /// Compares every node with its children, and the root with that of the manifest.
    fn check(&self) -> Result<()> {
        let mut nodes = |slice: &Slice, digests: &mut Vec<u8>| self.nodes(slice, digests);
        if let Some((level, node)) = first_wrong_node(&self.head.shape, self.paths.kernel(), &mut nodes)? {
            return Err(self.damaged(level, node));
        }
        let level = Level(self.head.shape.log_lifetime());
        let mut root = Vec::new();
        self.nodes(&Slice { level, nodes: 0..1 }, &mut root)?;
        if self.paths.manifest().root() == Some(&root[..]) {
            Ok(())
        } else {
            Err(self.damaged(level, NodeIndex(0)))
        }
    }

    /// The digests of a slice, canonical and with the key's fillers in their places.
    fn nodes(&self, slice: &Slice, digests: &mut Vec<u8>) -> Result<()> {
        let first = NodeIndex(slice.nodes.start);
        let computed = self.computed.iter().find_map(|computed| computed.part(slice));
        digests.clear();
        let found = match computed {
            Some(computed) => {
                digests.extend_from_slice(computed);
                Some(())
            }
            None => self.paths.layers()?.append(slice, digests),
        };
        found.ok_or_else(|| self.damaged(slice.level, first))?;
        if let Err(error) = self.paths.manifest().scheme().check_canonical(digests) {
            let elements = self.head.shape.digest_bytes() / 4;
            return Err(self.damaged(slice.level, NodeIndex(first.0 + (error.element / elements) as u64)));
        }
        if self.paths.manifest().fillers().are_in(slice, digests) {
            Ok(())
        } else {
            Err(self.damaged(slice.level, first))
        }
    }

    /// As [`nodes`](Self::nodes), beside a writer that can fail too.
    fn given(&self, slice: &Slice, digests: &mut Vec<u8>) -> Result<(), Unwritten> {
        self.nodes(slice, digests).map_err(Unwritten::Nodes)
    }

    fn damaged(&self, level: Level, node: NodeIndex) -> Error {
        let directory = self.paths.key().path();
        let what = format!(
            "'{}' is damaged: node {node} of level {level} is not what the nodes below it lead to",
            directory.display()
        );
        let repair = Remedy::Repair(directory.to_owned());
        Error::directory(what)
            .because(Reason::Damaged)
            .at(directory)
            .mend([repair])
    }
}

/// Notes that the secret of a key leaves.
pub(super) fn note_elsewhere(key: &KeyDir) -> Result<()> {
    let is_noted = key.note_elsewhere().map(drop);
    is_noted.map_err(|error| {
        error.within(format!(
            "nothing was exported, since the key in '{}' says which of its epochs are unused, which is not so any more once \
             its secret is elsewhere too, and that cannot be noted",
            key.path().display()
        ))
    })
}

/// Why a secret key was not written to its end.
enum Unwritten {
    Writer(io::Error),
    Nodes(Error),
}

impl From<io::Error> for Unwritten {
    fn from(source: io::Error) -> Self {
        Self::Writer(source)
    }
}

impl From<Unwritten> for Error {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Writer(source) => Self::unwritten(source),
            Unwritten::Nodes(error) => error,
        }
    }
}

/// Writes a key file of leanSpec: one pair of keys for each of these, which are different keys of one scheme.
///
/// # Errors
/// As [`Window::write`]; before anything is written if they are the same key or of two schemes.
pub fn write_leanspec(windows: &[(Role, &Window<'_>)], writer: &mut dyn Write) -> Result<()> {
    for (at, (_, window)) in windows.iter().enumerate() {
        check_form(window.paths, SecretKeyForm::LeanspecJson)?;
        for (_, other) in &windows[at + 1..] {
            window.fits_beside(other)?;
        }
    }
    windows
        .iter()
        .try_for_each(|(_, window)| note_elsewhere(window.paths.key()))?;
    let mut file = PairWriter::new(writer);
    for (role, window) in windows {
        let public_key = window.paths.manifest().public_key().unwrap_or_default();
        file.pair(*role, &public_key, &window.head, &mut |slice, digests| {
            window.given(slice, digests)
        })?;
    }
    file.finish().map_err(Error::unwritten)
}
