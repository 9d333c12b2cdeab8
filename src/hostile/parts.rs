//! Keys in parts: tickets, and the pages with which the files of parts begin.

use crate::keydir::Manifest;
use crate::layers::part::read_page;
use crate::parts::Ticket;

const PAGE_BYTES: usize = 4096;
const FIELDS_BYTES: usize = 80;
/// Of the key to which the pages in the corpus belong.
const TICKET: &[u8] = include_bytes!("../../tests/fuzz/corpus/ticket/numbered");

/// A ticket that is read is written as the same one.
pub(super) fn ticket(bytes: &[u8]) -> Result<bool, String> {
    let Ok(ticket) = Ticket::parse(bytes) else {
        return Ok(false);
    };
    match Ticket::parse(ticket.to_text()?.as_bytes()) {
        Ok(again) if again == ticket => Ok(true),
        other => Err(format!("a ticket became another when it was written: {other:?}")),
    }
}

/// Its fields behind a checksum that is right, which random changes never hit.
pub(super) fn ticket_body(body: &[u8]) -> Result<bool, String> {
    match std::str::from_utf8(body) {
        Ok(body) => ticket(Manifest::with_checksum(body).as_bytes()),
        Err(_) => Ok(false),
    }
}

/// A page behind a checksum that is right: one that is taken is a part of the key.
pub(super) fn page(bytes: &[u8]) -> Result<bool, String> {
    let Ok(mut page) = <[u8; PAGE_BYTES]>::try_from(bytes) else {
        return Ok(false);
    };
    let checksum = crc32fast::hash(&page[..FIELDS_BYTES]);
    page[FIELDS_BYTES..FIELDS_BYTES + 4].copy_from_slice(&checksum.to_le_bytes());
    let key = Ticket::parse(TICKET)?.key().clone();
    let Ok((part, _)) = read_page(&page, key.plan(), &key.binding()) else {
        return Ok(false);
    };
    let (epochs, of_key) = (part.stored(), key.plan().stored());
    if epochs.start < of_key.start || epochs.end > of_key.end || epochs.count() == 0 {
        return Err(format!("{epochs} is a part of {of_key}"));
    }
    Ok(true)
}
