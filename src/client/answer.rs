//! An answer of HTTP/1.1, from the bytes of a connection on which nothing else is answered.

use httparse::{EMPTY_HEADER, Header, Response, Status, parse_chunk_size};

/// A signature has 2.5 kilobytes, and a path, in JSON, about as many.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 64;

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(super) status: u16,
    /// When to ask again, if the service says so in seconds.
    pub(super) retry_after_s: Option<u64>,
    pub(super) body: Vec<u8>,
}

/// Why bytes are not an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAnAnswer {
    /// They end too early.
    Cut,
    /// They are something else.
    Garbage(&'static str),
}

use NotAnAnswer::{Cut, Garbage};

/// How it is known where a body ends (RFC 9112, section 6.3).
enum Framing {
    Length(usize),
    Chunked,
    UntilEnd,
}

/// Reads an answer; `None` if it may go on behind these bytes, which it may not where the connection `is_ended`.
pub(crate) fn read_answer(bytes: &[u8], is_ended: bool) -> Result<Option<Answer>, NotAnAnswer> {
    let read = read_so_far(bytes, is_ended)?;
    match read {
        None if is_ended => Err(Cut),
        None if bytes.len() >= ANSWER_BYTES_MAX => Err(Garbage("it is too long")),
        read => Ok(read),
    }
}

fn read_so_far(bytes: &[u8], is_ended: bool) -> Result<Option<Answer>, NotAnAnswer> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|_| Garbage("it is not HTTP"))?;
    let Status::Complete(head_bytes) = parsed else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    if !(200..600).contains(&status) {
        return Err(Garbage("its status is not one of an answer"));
    }
    let rest = &bytes[head_bytes..];
    let body = match framing(response.headers)? {
        Framing::Length(length) => rest.get(..length).map(<[u8]>::to_vec),
        Framing::Chunked => joined(rest)?,
        Framing::UntilEnd => is_ended.then(|| rest.to_vec()),
    };
    let retry_after_s = values(response.headers, "retry-after").find_map(number);
    Ok(body.map(|body| Answer {
        status,
        retry_after_s,
        body,
    }))
}

fn values<'h>(headers: &'h [Header<'_>], name: &'static str) -> impl Iterator<Item = &'h [u8]> {
    let named = headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value.trim_ascii())
}

fn number(text: &[u8]) -> Option<u64> {
    let is_number = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok()?.parse().ok().filter(|_| is_number)
}

fn framing(headers: &[Header<'_>]) -> Result<Framing, NotAnAnswer> {
    let mut lengths = values(headers, "content-length");
    let mut codings = values(headers, "transfer-encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::UntilEnd),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none() => {
            Ok(Framing::Chunked)
        }
        (Some(length), None) if lengths.all(|other| other == length) => {
            let length = number(length).and_then(|length| usize::try_from(length).ok());
            let length = length.filter(|&length| length < ANSWER_BYTES_MAX);
            length.map(Framing::Length).ok_or(Garbage("it is too long"))
        }
        _ => Err(Garbage("its headers do not say where it ends")),
    }
}

/// The chunks of a body, one behind the other (RFC 9112, section 7.1); `None` if the last one is not there yet.
fn joined(mut rest: &[u8]) -> Result<Option<Vec<u8>>, NotAnAnswer> {
    let garbage = Garbage("its chunks do not follow each other");
    let mut body = Vec::new();
    loop {
        let (begin, size) = match parse_chunk_size(rest) {
            Ok(Status::Complete(found)) => found,
            Ok(Status::Partial) => return Ok(None),
            Err(_) => return Err(garbage),
        };
        // What stands behind the last one is trailers, which say nothing here.
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).ok().filter(|&size| size < ANSWER_BYTES_MAX);
        let end = begin + size.ok_or(garbage)?;
        let Some((chunk, behind)) = rest.split_at_checked(end) else {
            return Ok(None);
        };
        match behind.get(..2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(garbage),
            None => return Ok(None),
        }
        body.extend_from_slice(&chunk[begin..]);
        rest = &behind[2..];
    }
}
