//! Which files have the nodes of a key, and where in them: a layer file a level, or, below the batches' roots of a key that has
//! adopted its parts, the files of those (docs/FORMAT.md, "Adopted parts").

use std::cmp::Reverse;
use std::ops::Range;
use std::path::Path;

use super::part::{self, Layout};
use super::{Header, bad_header, is_not_there, layer_file, link, to_repair};
use crate::error::{Error, Reason, Result};
use crate::failure::IoFailure;
use crate::files::{Directory, Entry};
use crate::plan::{LAYER_HEADER_BYTES, Plan};
use crate::remedy::Remedy;
use crate::units::{EpochRange, KeyId, Level, Slice};

/// Parts that a key can adopt: whoever repairs it has each of its files open twice, to read and to write, and 1,024 open files is
/// what a process may have where nobody has allowed more (getrlimit(2), RLIMIT_NOFILE).
pub const ADOPTED_PARTS_MAX: usize = 256;

/// What a file with nodes is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A whole level.
    Layer(Header),
    /// All that lies above some epochs, of which the levels below the batches' roots are read.
    Part(Box<AdoptedPart>),
}

/// A part whose file is in the key.
#[derive(Clone, Debug)]
pub(crate) struct AdoptedPart {
    pub(crate) plan: Plan,
    pub(crate) layout: Layout,
}

/// A file with nodes of the key.
#[derive(Clone, Debug)]
pub(crate) struct NodeFile {
    pub(crate) entry: Entry,
    pub(crate) content: Content,
}

/// A file that should be there and cannot be used.
#[derive(Debug)]
pub(crate) struct Unusable {
    pub(crate) entry: Entry,
    /// Its level; none of a part.
    pub(crate) level: Option<Level>,
    pub(crate) error: Error,
}

/// All files with nodes of a key, as their names say.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    pub(crate) files: Vec<NodeFile>,
    /// Parts that are missing, of which nothing else is known than their epochs.
    pub(crate) missing: Vec<NodeFile>,
    /// Parts that have epochs of those before them.
    pub(crate) overlapping: Vec<NodeFile>,
    pub(crate) places: Places,
}

/// Where nodes are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Those of each level, from the leaves upward, in the order of their nodes.
    levels: Vec<Vec<Segment>>,
    digest_bytes: u64,
}

/// A run of nodes of a level in one file.
#[derive(Clone, Debug)]
struct Segment {
    nodes: Range<u64>,
    file: usize,
    offset: u64,
}

/// Where a run of nodes is: in which file, and which of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: usize,
    pub(crate) bytes: Range<u64>,
}

/// The directory of the adopted parts of a key with this trim, whether or not there is one.
pub(crate) fn adopted_parts(layers: &Entry, trim: Level) -> Entry {
    layers.join(format!("parts-t{trim}"))
}

/// Whether a key with this trim has adopted parts.
pub(crate) fn has_adopted_parts(layers: &Entry, trim: Level) -> Result<bool, IoFailure> {
    is_there(&adopted_parts(layers, trim))
}

/// Also where a link that leads nowhere is in the place of the directory of layer files.
fn is_there(parts: &Entry) -> Result<bool, IoFailure> {
    match parts.exists() {
        Err(failure) if is_not_there(&failure) => Ok(false),
        found => found,
    }
}

/// The directory of adopted parts, if there is one.
fn open_parts(parts: &Entry) -> Result<Option<Directory>> {
    if !is_there(parts)? {
        return Ok(None);
    }
    if parts.is_link()? {
        return Err(link(parts.path()));
    }
    match parts.open_directory() {
        // A trim has just removed it.
        Err(failure) if failure.is_missing() => Ok(None),
        Err(_) if !parts.is_directory()? => {
            let path = parts.path();
            let what = format!("'{}' is in the place of the directory of adopted parts", path.display());
            let away = Remedy::MoveAway(path.to_owned());
            Err(Error::directory(what).because(Reason::Damaged).at(path).mend([away]))
        }
        opened => Ok(Some(opened?)),
    }
}

/// The levels of a key that its parts have when it has adopted them; the others have layer files.
pub(crate) fn levels_in_parts(plan: &Plan) -> Range<u8> {
    plan.trim().0..plan.batches().root_level().0
}

impl Content {
    /// The part with these epochs of the key of this binding.
    pub(crate) fn of_part(plan: Plan, binding: &[u8; 32]) -> Self {
        let layout = Layout::of(&plan, binding);
        Self::Part(Box::new(AdoptedPart { plan, layout }))
    }

    /// Its level; none of a part.
    pub(crate) fn level(&self) -> Option<Level> {
        match self {
            Self::Layer(header) => Some(header.level),
            Self::Part(_) => None,
        }
    }

    /// Length of the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        match self {
            Self::Layer(header) => header.file_bytes(),
            Self::Part(part) => part.layout.file_bytes(),
        }
    }

    /// The page with which it begins.
    pub(crate) fn to_page(&self) -> [u8; LAYER_HEADER_BYTES as usize] {
        match self {
            Self::Layer(header) => header.to_page(),
            Self::Part(part) => part.layout.header.to_page(),
        }
    }

    /// Compares the page of a file with what it has to be.
    pub(crate) fn check_page(&self, page: &[u8], path: &Path) -> Result<()> {
        let part = match self {
            Self::Layer(header) => return header.check_page(page, path),
            Self::Part(part) => part,
        };
        let expected = part.layout.header.to_page();
        match page
            .iter()
            .zip(&expected)
            .position(|(found, expected)| found != expected)
        {
            None if page.len() == expected.len() => Ok(()),
            differs => {
                let offset = differs.unwrap_or(page.len().min(expected.len()));
                Err(bad_header(path, offset as u64, "header of a part"))
            }
        }
    }
}

impl AdoptedPart {
    /// Its epochs.
    pub(crate) fn epochs(&self) -> EpochRange {
        self.plan.stored()
    }
}

impl Shelf {
    /// Finds the files of a key. What is in them is not looked at.
    pub(crate) fn of(layers: &Entry, plan: &Plan, binding: &[u8; 32]) -> Result<Self> {
        let (key_id, digest_bytes) = (KeyId::of_binding(binding), plan.scheme().digest_bytes());
        let mut shelf = Self {
            files: Vec::new(),
            missing: Vec::new(),
            overlapping: Vec::new(),
            places: Places::of(plan, &[]),
        };
        let in_parts = levels_in_parts(plan);
        let parts = if in_parts.is_empty() {
            None
        } else {
            open_parts(&adopted_parts(layers, plan.trim()))?
        };
        let has_parts = parts.is_some();
        for span in plan.geometry().stored_levels() {
            if has_parts && in_parts.contains(&span.level.0) {
                continue;
            }
            shelf.put(NodeFile {
                entry: layer_file(layers, span.level),
                content: Content::Layer(Header::new(key_id, span, digest_bytes)),
            });
        }
        if let Some(parts) = parts {
            shelf.find_parts(&parts, plan, binding)?;
        }
        Ok(shelf)
    }

    fn find_parts(&mut self, parts: &Directory, plan: &Plan, binding: &[u8; 32]) -> Result<()> {
        let key_id = KeyId::of_binding(binding);
        let mut found: Vec<Plan> = Vec::new();
        parts.each_entry(|name, _| found.extend(part::of_name(&name, plan, key_id)))?;
        // Of two that begin together the longer one counts.
        found.sort_by_key(|part| (part.stored().start, Reverse(part.stored().end)));
        let file = |part: Plan| NodeFile {
            entry: parts.entry(part::file_name(&part, key_id)),
            content: Content::of_part(part, binding),
        };
        let key = plan.key_epochs();
        let mut next = key.start;
        let missing = |start: u64, end: u64| plan.part_of(EpochRange { start, end }).map(file);
        for part in found {
            let epochs = part.stored();
            if epochs.start < next {
                self.overlapping.push(file(part));
                continue;
            }
            self.missing.extend(missing(next, epochs.start));
            next = epochs.end;
            self.put(file(part));
        }
        self.missing.extend(missing(next, key.end));
        Ok(())
    }

    /// Whether the key keeps the files of its parts.
    pub(crate) fn has_adopted(&self) -> bool {
        let parts = self.files.iter().chain(&self.overlapping).chain(&self.missing);
        parts.into_iter().any(|file| file.part().is_some())
    }

    /// Adds a file.
    fn put(&mut self, file: NodeFile) {
        self.places.add(self.files.len(), &file.content);
        self.files.push(file);
    }

    /// Adds the parts that are missing as if they were there.
    pub(crate) fn with_missing(mut self) -> Self {
        for file in std::mem::take(&mut self.missing) {
            self.put(file);
        }
        self
    }

    /// What is wrong with the names. Which parts are missing is not known where some overlap.
    pub(crate) fn faults(&self) -> impl Iterator<Item = Unusable> + '_ {
        let missing = self.missing.iter().filter(|_| self.overlapping.is_empty());
        let missing = missing.map(|file| {
            file.unusable(|path| {
                let what = format!("the file '{}' of a part is missing", path.display());
                to_repair(what, path).because(Reason::LayerMissing)
            })
        });
        let overlapping = self.overlapping.iter().map(|file| {
            file.unusable(|path| {
                let what = format!(
                    "the part '{}' has epochs that another part beside it has too; one of them has to go",
                    path.display()
                );
                let away = Remedy::MoveAway(path.to_owned());
                Error::directory(what).because(Reason::Damaged).at(path).mend([away])
            })
        });
        missing.chain(overlapping)
    }
}

impl NodeFile {
    fn unusable(&self, error: impl Fn(&Path) -> Error) -> Unusable {
        Unusable {
            entry: self.entry.clone(),
            level: self.content.level(),
            error: error(self.entry.path()),
        }
    }

    /// The part that it has, if it has one.
    pub(crate) fn part(&self) -> Option<&AdoptedPart> {
        match &self.content {
            Content::Layer(_) => None,
            Content::Part(part) => Some(part),
        }
    }
}

impl Places {
    /// Of a key with these files.
    pub(crate) fn of(plan: &Plan, files: &[NodeFile]) -> Self {
        let mut places = Self {
            levels: vec![Vec::new(); plan.geometry().levels().len()],
            digest_bytes: plan.scheme().digest_bytes() as u64,
        };
        for (number, file) in files.iter().enumerate() {
            places.add(number, &file.content);
        }
        places
    }

    /// Adds what a file has.
    pub(crate) fn add(&mut self, file: usize, content: &Content) {
        match content {
            Content::Layer(header) => self.insert(
                header.level,
                Segment {
                    nodes: header.first_index..header.first_index + header.count,
                    file,
                    offset: LAYER_HEADER_BYTES,
                },
            ),
            Content::Part(part) => {
                let in_parts = levels_in_parts(&part.plan);
                for place in part
                    .layout
                    .levels
                    .iter()
                    .filter(|place| in_parts.contains(&place.span.level.0))
                {
                    self.insert(
                        place.span.level,
                        Segment {
                            nodes: place.span.stored.clone(),
                            file,
                            offset: place.offset,
                        },
                    );
                }
            }
        }
    }

    /// Takes away what a file had.
    pub(crate) fn remove(&mut self, file: usize) {
        for level in &mut self.levels {
            level.retain(|segment| segment.file != file);
        }
    }

    fn insert(&mut self, level: Level, segment: Segment) {
        if let Some(segments) = self.levels.get_mut(usize::from(level.0)) {
            let at = segments.partition_point(|other| other.nodes.start < segment.nodes.start);
            segments.insert(at, segment);
        }
    }

    /// Where a run of nodes is, if it is in one file as a whole.
    pub(crate) fn place(&self, slice: &Slice) -> Option<Place> {
        let mut runs = self.runs(slice);
        let first = runs.next()?;
        let is_whole = first.1.end == slice.nodes.end && first.1.start == slice.nodes.start;
        is_whole.then_some(first.0)
    }

    /// Where a run of nodes is, file by file; `None` if not all of them are somewhere. Allocates nothing: a job asks for each slice
    /// of each batch.
    pub(crate) fn all(&self, slice: &Slice) -> Option<impl Iterator<Item = Place> + use<'_>> {
        let mut next = slice.nodes.start;
        for (_, nodes) in self.runs(slice) {
            if nodes.start != next {
                return None;
            }
            next = nodes.end;
        }
        (next == slice.nodes.end).then(|| self.runs(slice).map(|(place, _)| place))
    }

    /// What of a run of nodes there is, with the nodes themselves.
    fn runs(&self, slice: &Slice) -> impl Iterator<Item = (Place, Range<u64>)> + use<'_> {
        let segments = self
            .levels
            .get(usize::from(slice.level.0))
            .map_or(&[][..], |segments| segments);
        let first = segments.partition_point(|segment| segment.nodes.end <= slice.nodes.start);
        let (nodes, digest_bytes) = (slice.nodes.clone(), self.digest_bytes);
        segments[first..].iter().map_while(move |segment| {
            let run = nodes.start.max(segment.nodes.start)..nodes.end.min(segment.nodes.end);
            let at = |node: u64| segment.offset + (node - segment.nodes.start) * digest_bytes;
            (run.start < run.end).then(|| {
                let bytes = at(run.start)..at(run.end);
                (
                    Place {
                        file: segment.file,
                        bytes,
                    },
                    run,
                )
            })
        })
    }
}
