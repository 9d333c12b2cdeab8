//! The ticket of a key that is made in parts: everything that a part is made of beside the secret. It is public.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::division::{Division, PartIndex};
use super::error::{bad_ticket, is_finished, no_division, no_such_part, no_ticket, other_division};
use crate::error::Result;
use crate::failure::attempt;
use crate::files::publish::{Mode, replace};
use crate::files::{Entry, not_regular};
use crate::keydir::{KeyDir, KeyPlace, KeyState, Manifest, TICKET};
use crate::keygen::KeygenBuilder;
use crate::text::toml_fault;

const TICKET_VERSION: u32 = 1;
const TICKET_MODE: Mode = Mode::Umasked(0o644);
/// Far more than the longest ticket has.
const TICKET_BYTES_MAX: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketText {
    ticket_version: u32,
    key_id: String,
    scheme: String,
    activation_epoch: u64,
    active_epochs: u64,
    parameter: String,
    secret_commitment: String,
    trim: u8,
    parts: Option<u64>,
    part_epochs: Option<u64>,
    fillers: Vec<String>,
}

/// Which key, and how it is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    key: Manifest,
    division: Division,
}

impl Ticket {
    /// Reads the ticket of a key.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if there is none, or if it is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        match Entry::of(path) {
            Err(failure) if failure.is_missing() => Err(no_ticket(path)),
            entry => Self::read_entry(&entry?),
        }
    }

    /// Reads the ticket of the key in a directory.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error`](crate::Error) too if the key is not divided.
    pub fn of_key(directory: &Path) -> Result<Self> {
        KeyDir::open_any_version(KeyPlace::new(directory))?;
        let file = directory.join(TICKET);
        if file.exists() {
            Self::read(&file)
        } else {
            Err(no_division(directory))
        }
    }

    pub(super) fn read_entry(file: &Entry) -> Result<Self> {
        let path = file.path();
        let file = match file.open_to_read() {
            Err(failure) if failure.is_missing() => return Err(no_ticket(path)),
            Err(failure) => match not_regular(&failure) {
                Some(found) => return Err(bad_ticket(path, found.words())),
                None => return Err(failure.into()),
            },
            Ok(file) => file,
        };
        let mut text = Vec::new();
        attempt("read", path, || file.take(TICKET_BYTES_MAX).read_to_end(&mut text))?;
        Self::parse(&text).map_err(|what| bad_ticket(path, &what))
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let body = Manifest::checked_body(text)?;
        let fields: TicketText = toml::from_str(body).map_err(|error| toml_fault(&error, body))?;
        if fields.ticket_version != TICKET_VERSION {
            return Err(format!(
                "it has version {}, and this program knows version {TICKET_VERSION}",
                fields.ticket_version
            ));
        }
        let division = match (fields.parts, fields.part_epochs) {
            (Some(parts), None) => Division::Parts(parts),
            (None, Some(epochs)) => Division::Epochs(epochs),
            _ => return Err("it has to have either parts or part_epochs".to_owned()),
        };
        let key = Manifest::of_public_fields(
            &fields.scheme,
            (fields.activation_epoch, fields.active_epochs),
            fields.trim,
            &fields.parameter,
            &fields.secret_commitment,
            &fields.fillers,
        )?;
        if key.key_id().to_string() != fields.key_id {
            return Err("key_id does not follow from the fields".to_owned());
        }
        division.check(key.plan()).map_err(|error| error.to_string())?;
        Ok(Self { key, division })
    }

    pub(crate) fn to_text(&self) -> Result<String, String> {
        let (plan, key) = (self.key.plan(), &self.key);
        let body = toml::to_string(&TicketText {
            ticket_version: TICKET_VERSION,
            key_id: key.key_id().to_string(),
            scheme: key.scheme().id().to_owned(),
            activation_epoch: plan.activation_epoch(),
            active_epochs: plan.active_epochs(),
            parameter: hex::encode(key.parameter()),
            secret_commitment: hex::encode(key.secret_commitment()),
            trim: plan.trim().0,
            parts: match self.division {
                Division::Parts(parts) => Some(parts),
                Division::Epochs(_) => None,
            },
            part_epochs: match self.division {
                Division::Epochs(epochs) => Some(epochs),
                Division::Parts(_) => None,
            },
            fillers: key.fillers().iter().map(hex::encode).collect(),
        })
        .map_err(|error| error.to_string())?;
        Ok(Manifest::with_checksum(&body))
    }

    pub(super) fn write(&self, file: &Entry) -> Result<()> {
        let text = self.to_text().map_err(|what| bad_ticket(file.path(), &what))?;
        Ok(replace(file, text.as_bytes(), TICKET_MODE)?)
    }

    /// The key, as far as it is known before it is made.
    pub fn key(&self) -> &Manifest {
        &self.key
    }

    /// Whether it is the ticket of this key, with as many levels stored.
    pub(super) fn is_of(&self, key: &Manifest) -> bool {
        self.key.key_id() == key.key_id() && self.key.plan().trim() == key.plan().trim()
    }

    /// How it is divided.
    pub fn division(&self) -> Division {
        self.division
    }

    /// The key of which one part alone is made.
    pub(super) fn part(&self, index: PartIndex) -> Result<Manifest> {
        let plan = self.key.plan();
        let epochs = self.division.part(plan, index)?;
        // A division that was checked has no other parts.
        let part = plan.part_of(epochs);
        let part = part.ok_or_else(|| no_such_part(index, self.division.count(plan)))?;
        Ok(self.key.of_part(part))
    }
}

/// A key that is divided.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Split {
    /// Where its ticket is.
    pub ticket_file: PathBuf,
    /// What stands in it.
    pub ticket: Ticket,
    /// Splitting wrote the secret of the request into the directory: from then on it can sign in two places.
    pub has_taken_secret: bool,
}

/// Begins a key that is to be made in parts: writes its manifest, its secret and its ticket, and no layers. A key that was begun
/// before is divided; one that was divided before stays so.
///
/// # Errors
/// [`Error`](crate::Error) if the request is unsound or contradicts the directory, if the key is finished, or cannot be divided so.
pub fn split(asked: &KeygenBuilder, division: Option<Division>) -> Result<Split> {
    // Before anything of a new key is written.
    let (key, locked, has_taken_secret) = asked.begin(|plan, directory| match division {
        Some(division) => division.check(plan),
        None => Err(no_division(directory)),
    })?;
    let Some(locked) = locked.filter(|_| key.manifest().state() == KeyState::Generating) else {
        return Err(is_finished(key.path()));
    };
    let file = locked.directory().entry(TICKET);
    let found = if file.exists()? {
        Some(Ticket::read_entry(&file)?)
    } else {
        None
    };
    let ticket = match (found, division) {
        (Some(found), asked) if found.is_of(key.manifest()) => {
            if let Some(asked) = asked.filter(|asked| *asked != found.division) {
                return Err(other_division(file.path(), asked.argument()));
            }
            found
        }
        (Some(_), _) => return Err(bad_ticket(file.path(), "it is the ticket of another key")),
        (None, None) => return Err(no_division(key.path())),
        (None, Some(division)) => {
            division.check(key.manifest().plan())?;
            let key = key.manifest().public_part();
            let ticket = Ticket { key, division };
            ticket.write(&file)?;
            ticket
        }
    };
    Ok(Split {
        ticket_file: file.path().to_owned(),
        ticket,
        has_taken_secret,
    })
}
