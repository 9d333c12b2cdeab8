//! Why a service gave no signature and no path.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::answer::Answer;
use crate::error::{Error, Reason};
use crate::failure::IoFailure;
use crate::remedy::Remedy;
use crate::text::{Foreign, bounded};
use crate::units::Epoch;

/// As much of a service's own words as an error shows.
const MESSAGE_BYTES_MAX: usize = 700;

/// The address cannot be read.
pub(super) fn bad_address(text: &str, why: &str) -> Error {
    Error::usage(format!(
        "'{}' is not the address of a key in a service, which has the form unix:PATH?key=0x...: {why}",
        Foreign(text)
    ))
}

/// The path of a socket is too long for the kernel.
pub(super) fn long_path(socket: &Path) -> Error {
    let what = format!(
        "'{}' is too long: the path of a socket, with the working directory if it is relative, has fewer than 108 bytes",
        socket.display()
    );
    Error::usage(what).at(socket)
}

/// The file of the token cannot be read, or holds none.
pub(super) fn bad_token(file: &Path) -> Error {
    let what = format!(
        "'{}' holds no token: that is up to 256 characters that can stand in a header, without spaces",
        file.display()
    );
    Error::usage(what).at(file)
}

/// The system refused a call on the socket.
pub(super) fn call_failed(failure: IoFailure) -> Error {
    let socket = failure.path.clone();
    let (what, reason) = (&failure.source, Reason::Call);
    let what = match what.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            format!(
                "no service listens at '{}' ({what}): start it and try again",
                socket.display()
            )
        }
        ErrorKind::PermissionDenied => format!(
            "the service at '{}' cannot be reached ({what}): its socket is for its own user and for root",
            socket.display()
        ),
        _ => return failure.into(),
    };
    Error::machine(what).because(reason).at(socket)
}

/// The connection ended before the answer did.
pub(super) fn cut(socket: &Path) -> Error {
    let what = format!(
        "the service at '{}' closed the connection before it had answered, as it does when it ends, and to processes of \
         other users than its own",
        socket.display()
    );
    Error::machine(what).at(socket).mend([Remedy::Again])
}

/// The time is over.
pub(super) fn timed_out(socket: &Path, timeout: Duration) -> Error {
    let what = format!(
        "the service at '{}' did not answer within {} ms; if it has signed meanwhile, the same request gives that signature",
        socket.display(),
        timeout.as_millis()
    );
    Error::machine(what).at(socket).mend([Remedy::Again])
}

/// What came back is not what a service of keymill answers.
pub(super) fn not_a_service(socket: &Path, why: &str) -> Error {
    let what = format!(
        "what listens at '{}' does not answer as a service of keymill does: {why}",
        socket.display()
    );
    Error::directory(what).at(socket)
}

/// What came back does not lead to the public key.
pub(super) fn withheld(what: &str, epoch: Epoch, socket: &Path, why: &str) -> Error {
    let what = format!(
        "the {what} of epoch {epoch} that came from '{}' is not one of this public key, and was withheld: {why}",
        socket.display()
    );
    Error::directory(what).because(Reason::Damaged).at(socket)
}

/// A refusal, as the service writes it (docs/SERVICE.md, "Refusals").
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refused {
    reason: String,
    message: String,
}

/// What a service refused, by its word for the reason; `has_token` if it was shown one.
pub(super) fn refused(answer: &Answer, socket: &Path, has_token: bool) -> Error {
    let refused: Refused = serde_json::from_slice(&answer.body).unwrap_or_default();
    let of = Named {
        socket,
        message: &bounded(&refused.message, MESSAGE_BYTES_MAX),
    };
    let again = |reason| of.error(Error::machine, reason, "").mend([Remedy::Again]);
    match (answer.status, refused.reason.as_str()) {
        (400, "outside_key") => of.error(Error::usage, Reason::OutsideKey, ""),
        (400, "form") => of.error(Error::usage, Reason::Other, ""),
        (401, _) if has_token => {
            let hint = "; the address names the file of another token than that of the service";
            of.error(Error::usage, Reason::Other, hint)
        }
        (401, _) => {
            let hint = "; name the file that holds it in the address, with token-file=PATH";
            of.error(Error::usage, Reason::Other, hint)
        }
        (404, "unknown_key") => {
            let hint = "; start it with the directory of this key too, or ask the one that has it";
            of.error(Error::directory, Reason::OtherKey, hint)
        }
        (412, "spent") => of.error(Error::no, Reason::Spent, ""),
        (412, "no_history") => {
            let hint = "; where the service runs, import that history, or begin the ledger above every epoch that may have \
                        signed";
            of.error(Error::directory, Reason::NoHistory, hint)
        }
        (412, "before_history") => of.error(Error::directory, Reason::BeforeHistory, ""),
        (412, "used_up") => of.error(Error::directory, Reason::UsedUp, ""),
        (500, "failed") => of.error(Error::machine, Reason::Other, ""),
        (503, "memory") => again(Reason::OutOfMemory),
        (503, "ledger") => {
            let hint = "; when its disk can be written, reload it";
            of.error(Error::machine, Reason::Unknown, hint)
        }
        (408 | 429 | 503 | 504, _) => again(Reason::Other),
        (status, _) => not_a_service(socket, &format!("its status is {status}")),
    }
}

/// Who refused, and in which words.
struct Named<'a> {
    socket: &'a Path,
    message: &'a str,
}

impl Named<'_> {
    fn error(&self, kind: impl FnOnce(String) -> Error, reason: Reason, hint: &str) -> Error {
        let Self { socket, message } = self;
        let what = format!("the service at '{}' refused: {message}{hint}", socket.display());
        kind(what).because(reason).at(*socket)
    }
}
