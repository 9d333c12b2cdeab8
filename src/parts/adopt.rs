//! Parts whose files the key keeps. A file is moved to its place before anything of it is committed, so that no record ever vouches
//! for what is not there. One that turns out to be wrong is set aside, and never deleted.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::{other_file_system, source_is_key, too_many_to_adopt};
use super::inspect::{OpenPart, Refusal, take};
use super::join::{NotAPart, PublishedPart, parts_in};
use super::sample::check;
use super::ticket::Ticket;
use crate::audit::move_aside;
use crate::error::Result;
use crate::failure::{FailureKind, IoFailure, attempt};
use crate::files::{Directory, Entry};
use crate::keydir::TICKET;
use crate::keygen::Gathering;
use crate::layers::part::{file_name, of_name};
use crate::layers::{ADOPTED_PARTS_MAX, Content, NodeFile};
use crate::remedy::{Argument, Remedy};

/// Refuses to begin adopting where it could not be ended: parts on another file system, from which no file can be moved into the
/// key, and too many of them.
pub(super) fn check_beforehand(key: &Path, source: &Path) -> Result<()> {
    let layers = key.join("layers");
    let of_key = match metadata(&layers) {
        // It may lie elsewhere than the key, behind a link.
        Err(failure) if failure.is_missing() => metadata(key)?,
        found => found?,
    };
    if metadata(source)?.dev() != of_key.dev() {
        let copied = Remedy::LeaveOut(Argument::Adopt);
        return Err(other_file_system(source, Some(copied)));
    }
    match Ticket::read(&key.join(TICKET)) {
        Ok(ticket) => {
            let parts = ticket.division().count(ticket.key().plan());
            check_number(parts)
        }
        // A key can be joined without one.
        Err(_) => Ok(()),
    }
}

fn check_number(parts: u64) -> Result<()> {
    if parts > ADOPTED_PARTS_MAX as u64 {
        return Err(too_many_to_adopt(parts));
    }
    Ok(())
}

/// Refuses to take parts from where the key keeps those that it has adopted.
pub(super) fn check_source(parts: &Entry, source: &Directory) -> Result<()> {
    if is_same(&metadata(parts.path())?, &metadata(source.path())?) {
        return Err(source_is_key(source.path()));
    }
    Ok(())
}

fn metadata(path: &Path) -> Result<Metadata, IoFailure> {
    attempt("stat", path, || std::fs::metadata(path))
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// What the key has in its directory for parts.
pub(super) struct InPlace {
    /// Those that it has adopted as a whole.
    pub(super) adopted: Vec<PublishedPart>,
    /// Those that an earlier run had not done with, or that were damaged since. Their records are withdrawn.
    pub(super) unfinished: Vec<PublishedPart>,
    /// What is not the file of the part whose name it has, set aside.
    pub(super) bad: Vec<NotAPart>,
}

/// Finds the parts that are in the key.
pub(super) fn in_place(parts: &Entry, gathering: &mut Gathering<'_>) -> Result<InPlace> {
    let key = gathering.manifest;
    let (found, bad) = parts_in(&parts.open_directory()?, key, gathering.cancel)?;
    let is_named = |entry: &Entry| {
        let name = entry.path().file_name().unwrap_or_default().to_string_lossy();
        of_name(&name, key.plan(), key.key_id()).is_some()
    };
    let mut in_place = InPlace {
        adopted: Vec::new(),
        unfinished: Vec::new(),
        bad: Vec::new(),
    };
    for (mut place, epochs) in found.into_iter().filter(|(place, _)| is_named(place)) {
        match gathering.overlapping(epochs) {
            Some(known) if known == epochs && gathering.has_all(epochs) => in_place.adopted.push((place, epochs)),
            Some(other) if other != epochs => {
                set_aside(&mut place)?;
                in_place
                    .bad
                    .push((place, format!("the key has the part {other} already")));
            }
            known => {
                if known.is_some() {
                    gathering.expel(epochs)?;
                }
                in_place.unfinished.push((place, epochs));
            }
        }
    }
    for (mut place, what) in bad.into_iter().filter(|(place, _)| is_named(place)) {
        set_aside(&mut place)?;
        in_place.bad.push((place, what));
    }
    Ok(in_place)
}

/// Compares a part with everything that it can be compared with, moves its file into the key unless it is there, and puts its batches
/// in. `file` is where the file is, before and afterwards.
pub(super) fn adopt(
    parts: &Entry,
    file: &mut Entry,
    sample: u64,
    gathering: &mut Gathering<'_>,
) -> Result<(), Refusal> {
    let adopted = adopt_in(parts, file, sample, gathering);
    let is_in_place = file.path().parent() == Some(parts.path());
    if is_in_place && matches!(adopted, Err(Refusal::Bad(_))) {
        set_aside(file)?;
    }
    adopted
}

fn adopt_in(parts: &Entry, file: &mut Entry, sample: u64, gathering: &mut Gathering<'_>) -> Result<(), Refusal> {
    if file.is_link()? {
        return Err(Refusal::Bad(
            "it is a link, and only a file itself can be adopted".to_owned(),
        ));
    }
    let part = OpenPart::open(file, gathering.manifest)?;
    let epochs = part.part.plan().stored();
    check_number(gathering.adopted() as u64 + 1)?;
    let metadata = part.metadata()?;
    if let Some(what) = why_not_adoptable(&metadata) {
        return Err(Refusal::Bad(what.to_owned()));
    }
    // What is compared is what the disk has: a sync that failed once can succeed afterwards, without anything having been written.
    part.make_durable()?;
    let highest = part.check_content(gathering.prf_key, gathering.cancel)?;
    check(&part, sample, gathering)?;
    let (plan, key) = (part.part.plan(), gathering.manifest);
    let place = parts.join(file_name(plan, key.key_id()));
    if place.path() != file.path() {
        move_file(file, &place)?;
        *file = place.clone();
    }
    let placed = attempt("lstat", place.path(), || std::fs::symlink_metadata(place.path()))?;
    if !is_same(&placed, &metadata) {
        return Err(Refusal::Bad(
            "another file took its place while it was looked at".to_owned(),
        ));
    }
    part.protect()?;
    let node_file = NodeFile {
        entry: place,
        content: Content::of_part(plan.clone(), &key.binding()),
    };
    match gathering.adopt(&node_file) {
        Err(error) if error.kind() == FailureKind::Directory => return Err(Refusal::Bad(error.to_string())),
        adopted => adopted?,
    }
    let taken = take(&part, &highest, gathering);
    if let Err(Refusal::Bad(_)) = &taken {
        gathering.expel(epochs)?;
    }
    taken
}

/// A file that somebody else can change or truncate is read through a mapping all the same, for as long as the key lives.
fn why_not_adoptable(metadata: &Metadata) -> Option<&'static str> {
    let user = rustix::process::geteuid();
    if !user.is_root() && metadata.uid() != user.as_raw() {
        return Some("it belongs to another user, who could change it");
    }
    (metadata.nlink() > 1).then_some("it has another name (a hard link), by which it could be changed")
}

/// Takes what is wrong out of the way, under another name in the same directory.
fn set_aside(place: &mut Entry) -> Result<()> {
    if let Some(aside) = move_aside(place)? {
        *place = place.beside(aside.file_name().unwrap_or_default().to_owned());
    }
    Ok(())
}

fn move_file(from: &Entry, to: &Entry) -> Result<()> {
    from.move_to(to).map_err(|failure| {
        if failure.source.raw_os_error() == Some(rustix::io::Errno::XDEV.raw_os_error()) {
            return other_file_system(from.path(), None);
        }
        failure.into()
    })
}
