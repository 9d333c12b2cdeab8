//! `--trace-memory FILE`.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use keymill::resources::trace::Trace;
use keymill::resources::{ResourceKind, register};
use rustix::process::{Resource, getrlimit};

use super::failure::Failure;
use super::output::refuse_in_key;

/// Runs a command and writes what becomes of its resources into a new file.
///
/// A trace that could not be written to its end is a failure of the machine, whatever the command answered; a command that
/// failed itself keeps its exit code.
pub fn traced(path: &Path, command: impl FnOnce() -> Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
    refuse_in_key("--trace-memory", path)?;
    let trace = Trace::create(path).map_err(|failure| match failure.source.kind() {
        ErrorKind::AlreadyExists => Failure::usage(format!(
            "--trace-memory '{}' is there already; name a file that is not",
            path.display()
        )),
        _ => failure.into(),
    })?;
    trace.run();
    // The first line and the last: what a killed process leaves is seen by it, and growth is measured from it on.
    let main_thread = register(ResourceKind::Thread, getrlimit(Resource::Stack).current.unwrap_or(0));
    let outcome = command();
    drop(main_thread);
    match (trace.end(), outcome) {
        (Ok(()), outcome) => outcome,
        (Err(failure), Err(failed @ Failure::Told { .. })) => {
            Failure::from(failure).report();
            Err(failed)
        }
        (Err(failure), _) => Err(failure.into()),
    }
}
