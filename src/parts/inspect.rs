//! The file of a part that came from elsewhere. Nothing of it is believed: not its header, not a byte of its content, not that its
//! nodes are hashes of each other.

use std::fs::{File, Metadata, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha3::{Digest, Sha3_256};

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::error::Error;
use crate::failure::{IoFailure, attempt};
use crate::files::{Entry, drop_cached, sync_file};
use crate::keydir::Manifest;
use crate::keygen::{CancelHandle, GatheredBatch, Gathering};
use crate::layers::part::{self as part_file, Layout, PAGE_BYTES};
use crate::units::{BatchIndex, Slice};
use keymill_xmss::hash::{Kernel, PrfKey};

/// Bytes of the batches that are committed as one.
const GROUP_BYTES: usize = 4 << 20;

/// Why a part is not taken.
pub(super) enum Refusal {
    /// There is something wrong with it; other parts are looked at.
    Bad(String),
    /// The join cannot go on.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn bad<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Bad(what.into()))
}

/// The hash of the digests of a part's highest level, which can be many in the file of somebody who does not have the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Highest([u8; 32]);

impl Highest {
    fn of(digests: &[u8]) -> Self {
        Self(Sha3_256::digest(digests).into())
    }
}

/// A file that says of itself to be a part of the key.
pub(super) struct OpenPart {
    path: PathBuf,
    file: File,
    layout: Layout,
    /// The key with this part alone.
    pub(super) part: Manifest,
}

impl OpenPart {
    pub(super) fn open(file: &Entry, key: &Manifest) -> Result<Self, Refusal> {
        let path = file.path().to_owned();
        let file = file.open_to_read().or_else(|failure| bad(failure.to_string()))?;
        let mut page = [0; PAGE_BYTES as usize];
        read_at(&path, &file, &mut page, 0)?;
        let (plan, layout) = part_file::read_page(&page, key.plan(), &key.binding()).map_err(Refusal::Bad)?;
        let metadata = attempt("stat", &path, || file.metadata());
        let bytes = metadata.or_else(|failure| bad(failure.to_string()))?.len();
        if bytes != layout.file_bytes() {
            return bad(format!(
                "it is {bytes} bytes long and has to be {}",
                layout.file_bytes()
            ));
        }
        Ok(Self {
            path,
            file,
            layout,
            part: key.of_part(plan),
        })
    }

    /// Makes its content durable, so that what is read from here on is what the disk has.
    pub(super) fn make_durable(&self) -> Result<(), IoFailure> {
        sync_file(&self.file, &self.path)?;
        drop_cached(&self.file, &self.path)
    }

    /// Lets nobody write it from here on who has not opened it yet.
    pub(super) fn protect(&self) -> Result<(), IoFailure> {
        attempt("chmod", &self.path, || {
            self.file.set_permissions(Permissions::from_mode(0o400))
        })
    }

    /// What the file system says of it.
    pub(super) fn metadata(&self) -> Result<Metadata, IoFailure> {
        attempt("fstat", &self.path, || self.file.metadata())
    }

    /// Compares checksums, digest and tag with the content, and gives what its highest level is.
    pub(super) fn check_content(&self, prf_key: &PrfKey, cancel: &CancelHandle) -> Result<Highest, Refusal> {
        let plan = self.part.plan();
        let top = plan.geometry().root_level();
        let (mut highest, mut at, mut found) = (Sha3_256::new(), 0, Vec::new());
        let read = |slice: &Slice, bytes: &mut Vec<u8>| {
            cancel.proceed()?;
            self.read(slice, bytes)?;
            if slice.level == top {
                highest.update(&*bytes);
            }
            Ok(())
        };
        let compare = |expected: &[u8]| {
            found.resize(expected.len(), 0);
            read_at(&self.path, &self.file, &mut found, at)?;
            if let Some(differs) = found
                .iter()
                .zip(expected)
                .position(|(found, expected)| found != expected)
            {
                return bad(self.what_differs(at + differs as u64));
            }
            at += expected.len() as u64;
            Ok(())
        };
        part_file::write(plan, &self.layout, prf_key, read, compare)?;
        Ok(Highest(highest.finalize().into()))
    }

    fn what_differs(&self, offset: u64) -> String {
        let table = &self.layout.table;
        if offset < table.start {
            return format!("its byte {offset} has to be zero and is not");
        }
        if offset < table.end {
            return format!("a piece of its nodes does not match its checksum, which is at byte {offset}");
        }
        if offset < table.end + part_file::DIGEST_BYTES as u64 {
            return "its content does not match its digest".to_owned();
        }
        "its tag was not made with the secret of this key".to_owned()
    }

    /// Reads the digests of a slice of it.
    pub(super) fn read(&self, slice: &Slice, bytes: &mut Vec<u8>) -> Result<(), Refusal> {
        let Some(place) = self.layout.place(slice) else {
            return bad(format!(
                "it does not have the nodes {:?} of level {}",
                slice.nodes, slice.level
            ));
        };
        bytes.resize((place.end - place.start) as usize, 0);
        read_at(&self.path, &self.file, bytes, place.start)
    }

    /// Reads a batch, and hashes again what is above its lowest level.
    fn batch(&self, batch: BatchIndex, kernel: &dyn Kernel) -> Result<GatheredBatch, Refusal> {
        let (plan, fold) = (self.part.plan(), self.part.fold(kernel));
        let mut slices: Vec<Vec<u8>> = Vec::new();
        for level in plan.batches().stored_levels() {
            let nodes = plan.batches().slice(batch, level);
            let slice = Slice { level, nodes };
            let mut bytes = Vec::new();
            self.read(&slice, &mut bytes)?;
            if let Err(error) = plan.scheme().check_canonical(&bytes) {
                return bad(format!("level {level}, nodes {:?}: {error}", slice.nodes));
            }
            let wrong = match slices.last() {
                Some(children) => fold.first_wrong(&slice, children, &bytes),
                None => None,
            };
            if let Some(node) = wrong {
                return bad(format!(
                    "node {} of level {level} is not the hash of its children",
                    node.0
                ));
            }
            if !self.part.fillers().are_in(&slice, &bytes) {
                return bad(format!("a filler of level {level} is not that of the key"));
            }
            slices.push(bytes);
        }
        Ok(GatheredBatch { batch, slices })
    }
}

/// What cannot be read is a part that is not there, and not a fault of the key.
fn read_at(path: &Path, file: &File, bytes: &mut [u8], offset: u64) -> Result<(), Refusal> {
    let read = attempt("pread", path, || file.read_exact_at(bytes, offset));
    read.or_else(|failure| bad(format!("reading it at byte {offset} failed: {}", failure.source)))
}

/// Puts a part into the key, group by group, and hashes it again up to its highest level on the way. Its last group is committed only
/// when that level comes out as `highest`, so that a part is in the key in whole only if it is right in whole.
pub(super) fn take(part: &OpenPart, highest: &Highest, gathering: &mut Gathering<'_>) -> Result<(), Refusal> {
    let plan = part.part.plan();
    let group_batches = GROUP_BYTES / plan.batch_stored_bytes().max(1);
    let mut taking = Taking {
        part,
        gathering,
        group_batches: group_batches.clamp(1, 1024) as u64,
        group: Vec::new(),
        put_in: Vec::new(),
    };
    let outcome = taking.all(highest);
    if let Err(Refusal::Bad(_)) = &outcome {
        let put_in = std::mem::take(&mut taking.put_in);
        taking.gathering.forget(&put_in)?;
    }
    outcome
}

struct Taking<'a, 'g> {
    part: &'a OpenPart,
    gathering: &'a mut Gathering<'g>,
    group_batches: u64,
    /// Read and right, but not committed yet.
    group: Vec<GatheredBatch>,
    /// Committed.
    put_in: Vec<BatchIndex>,
}

impl Taking<'_, '_> {
    fn all(&mut self, highest: &Highest) -> Result<(), Refusal> {
        let plan = self.part.part.plan();
        let top = plan.geometry().root_level();
        let nodes = plan.geometry().level(top).stored.clone();
        let folded = self.folded(&Slice { level: top, nodes })?;
        if Highest::of(&folded) != *highest {
            return bad(format!("its content does not lead to its nodes of level {top}"));
        }
        let group = std::mem::take(&mut self.group);
        self.commit(&group)
    }

    fn commit(&mut self, group: &[GatheredBatch]) -> Result<(), Refusal> {
        self.put_in.extend(group.iter().map(|batch| batch.batch));
        Ok(self.gathering.commit(group)?)
    }

    /// Nodes of a level at or above the batches' roots, as what is below them gives them.
    fn folded(&mut self, slice: &Slice) -> Result<Vec<u8>, Refusal> {
        let lowest = self.part.part.plan().batches().root_level();
        if slice.nodes.is_empty() {
            return Ok(Vec::new());
        }
        if slice.level == lowest {
            return self.roots(slice);
        }
        let count = slice.nodes.end - slice.nodes.start;
        if count > 1 && count << (slice.level.0 - lowest.0) > self.group_batches {
            let middle = slice.nodes.start + count / 2;
            let half = |nodes| Slice {
                level: slice.level,
                nodes,
            };
            let mut nodes = self.folded(&half(slice.nodes.start..middle))?;
            nodes.extend(self.folded(&half(middle..slice.nodes.end))?);
            return Ok(nodes);
        }
        let fold = self.part.part.fold(self.gathering.kernel);
        let children = self.folded(&fold.children(slice))?;
        self.hash_above(slice, &children)
    }

    /// The nodes above these children; they are also compared with those of the file.
    fn hash_above(&self, slice: &Slice, children: &[u8]) -> Result<Vec<u8>, Refusal> {
        let folded = self.part.part.fold(self.gathering.kernel).folded(slice, children);
        let mut found = Vec::new();
        self.part.read(slice, &mut found)?;
        if found != folded {
            let Slice { level, nodes } = slice;
            return bad(format!(
                "the nodes {nodes:?} of level {level} are not the hashes of their children"
            ));
        }
        Ok(folded)
    }

    /// The roots of batches, which are read, compared and left to be committed.
    fn roots(&mut self, slice: &Slice) -> Result<Vec<u8>, Refusal> {
        let (part, kernel) = (self.part, self.gathering.kernel);
        let fold = part.part.fold(kernel);
        let mut digests = vec![0; slice.count() * part.part.scheme().digest_bytes()];
        let (computed, mut roots) = fold.computed(slice, &mut digests);
        let nodes = computed.nodes;
        for start in nodes.clone().step_by(self.group_batches as usize) {
            self.gathering.cancel.proceed()?;
            let group: Vec<u64> = (start..(start + self.group_batches).min(nodes.end)).collect();
            let read = || group.into_par_iter().map(|batch| part.batch(BatchIndex(batch), kernel));
            let group: Vec<GatheredBatch> = self.gathering.workers.install(|| read().collect::<Result<_, _>>())?;
            for batch in &group {
                let root = batch.slices.last().map_or(&[][..], |root| root);
                let (place, rest) = std::mem::take(&mut roots).split_at_mut(root.len());
                place.copy_from_slice(root);
                roots = rest;
            }
            let before = std::mem::replace(&mut self.group, group);
            if !before.is_empty() {
                self.commit(&before)?;
            }
        }
        let above = Slice {
            level: slice.level,
            nodes: slice.nodes.clone(),
        };
        self.compare(&above, &digests)?;
        Ok(digests)
    }

    /// Fillers beside the batches' roots are in no batch.
    fn compare(&self, slice: &Slice, digests: &[u8]) -> Result<(), Refusal> {
        let mut found = Vec::new();
        self.part.read(slice, &mut found)?;
        if found == digests {
            return Ok(());
        }
        bad(format!("a filler of level {} is not that of the key", slice.level))
    }
}
