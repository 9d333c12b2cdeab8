//! The trace of resources, for programs in C: what `--trace-memory` is for the program `keymill`.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, getrlimit};

use super::outcome::Refusal;
use crate::resources::trace::Trace;
use crate::resources::{Registration, ResourceKind, register};

/// The trace that was begun, and what stands for the program itself: its first line, and its last.
struct Running {
    trace: Arc<Trace>,
    program: Registration,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

fn running() -> MutexGuard<'static, Option<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[track_caller]
pub(super) fn begin(file: &str) -> Result<(), Refusal> {
    let mut running = running();
    if running.is_some() {
        return Err(Refusal::usage("a trace has been begun already; end it first"));
    }
    let trace = Trace::create(Path::new(file)).map_err(|failure| match failure.source.kind() {
        ErrorKind::AlreadyExists => Refusal::usage(format!("'{file}' is there already; name a file that is not")),
        _ => failure.into(),
    })?;
    trace.run();
    let program = register(ResourceKind::Thread, getrlimit(Resource::Stack).current.unwrap_or(0));
    *running = Some(Running { trace, program });
    Ok(())
}

pub(super) fn end() -> Result<(), Refusal> {
    let Some(Running { trace, program }) = running().take() else {
        return Err(Refusal::usage("no trace has been begun"));
    };
    drop(program);
    Ok(trace.end()?)
}
