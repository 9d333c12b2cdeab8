//! A service from its sockets to its end.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::{Asked, Asking, accept_all, asked_to_end};
use super::descriptors::raise_limit;
use super::engine::{Engine, EngineOptions};
use super::http::{Api, Figures, Hosts, Listener, Live, Reloads, State, keep_up_to_date, router};
use super::keys::Keys;
use super::limits::Limits;
use super::listen::{Bound, Source, bind, bind_tcp};
use super::mappings::mappings_max;
use super::memory::MemoryWatch;
use super::options::ServiceOptions;
use super::places::Places;
use crate::error::{Error, Result};

/// Threads beside those that sign, for what takes longer than the thread that serves connections may be kept: large lists, figures,
/// and reloads.
const BLOCKING_THREADS_MAX: usize = 4;

/// What a running service is asked to do, from any thread.
#[derive(Clone, Debug)]
pub struct ServiceHandle {
    asked: watch::Sender<Asked>,
}

impl ServiceHandle {
    /// Asks it to end: it takes nothing new, answers what it has taken, and is gone within about two seconds.
    pub fn end(&self) {
        self.asked.send_modify(|asked| asked.end = true);
    }

    /// Asks it to open ledgers again that could not be written, and to read certificates again.
    pub fn reload(&self) {
        self.asked.send_modify(|asked| asked.reloads += 1);
    }
}

/// A service whose keys are open and whose sockets are bound.
pub struct Service {
    api: Api,
    signing: Bound,
    metrics: Option<std::net::TcpListener>,
    asked: watch::Sender<Asked>,
    limits: Limits,
}

/// How a service has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceEnd {
    /// Every thread of it has ended, and its ledgers are closed.
    Whole,
    /// A thread of it still waits for the disk, or computes. For a ledger this is a kill: what was not answered may be spent.
    /// The process should end without waiting for that thread.
    Early,
}

impl Service {
    /// Opens the sealed keys in these directories, those of sets that have a ledger among them, and binds the sockets. From here on
    /// no other process can sign with them.
    ///
    /// # Errors
    /// [`Error`](crate::Error) of the first key or socket that cannot be opened, or if two directories hold the same key.
    pub fn open(directories: &[PathBuf], options: ServiceOptions) -> Result<Self> {
        // What was typed wrong is found before a key is locked.
        let signing = bind(&options.listen)?;
        let metrics = options.metrics_listen.map(bind_tcp).transpose()?;
        name_each_once(directories)?;
        raise_limit(directories, &options.limits);
        let keys = Keys::open(directories, options.passphrase.as_ref(), mappings_max())?;
        let figures = Figures::default();
        let workers = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let engine_options = EngineOptions {
            workers,
            waiting_max: options.waiting_max,
            threads_end_max: options.limits.threads_end_max,
        };
        let engine = Engine::start(keys, engine_options, figures.engine.clone())?;
        let reload: Box<dyn Fn() -> Result<()> + Send + Sync> = match &signing {
            Bound::Tls(_, source) => {
                let source = source.clone();
                Box::new(move || source.reload())
            }
            Bound::Unix(..) | Bound::Tcp(_) => Box::new(|| Ok(())),
        };
        Ok(Self {
            metrics,
            api: Arc::new(State {
                engine,
                memory: MemoryWatch::new(options.memory),
                figures,
                live: Live::new(options.limits.live_pages_max),
                token: options.token,
                reloads: Reloads::default(),
                reload,
                hosts: Hosts {
                    guard_signing: matches!(signing, Bound::Tcp(_)),
                    names: options.host_names,
                },
                limits: options.limits,
            }),
            signing,
            asked: watch::Sender::new(Asked::default()),
            limits: options.limits,
        })
    }

    /// What ends it.
    pub fn handle(&self) -> ServiceHandle {
        let asked = self.asked.clone();
        ServiceHandle { asked }
    }

    /// How many keys it holds.
    pub fn keys(&self) -> usize {
        self.api.engine.keys().iter().len()
    }

    /// The port of the signing listener, if it has one: where port 0 was asked for, the system has chosen.
    pub fn port(&self) -> Option<u16> {
        match &self.signing {
            Bound::Unix(..) => None,
            Bound::Tcp(listener) | Bound::Tls(listener, _) => Some(listener.local_addr().ok()?.port()),
        }
    }

    /// The port of the metrics listener, if there is one.
    pub fn metrics_port(&self) -> Option<u16> {
        Some(self.metrics.as_ref()?.local_addr().ok()?.port())
    }

    /// Serves until it is asked to end.
    ///
    /// # Errors
    /// If the machine does not give what it needs.
    pub fn run(self) -> Result<ServiceEnd> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build();
        let runtime = runtime.map_err(|error| Error::machine(format!("a runtime cannot be started: {error}")))?;
        let (api, threads_end_max) = (Arc::clone(&self.api), self.limits.threads_end_max);
        let drained = runtime.block_on(self.serve());
        // Reloads that hang do not keep the process.
        runtime.shutdown_timeout(threads_end_max);
        let has_ended = Arc::into_inner(api).is_some_and(|state| state.engine.end());
        drained.map(|()| {
            if has_ended {
                ServiceEnd::Whole
            } else {
                ServiceEnd::Early
            }
        })
    }

    async fn serve(self) -> Result<()> {
        let Self { api, asked, limits, .. } = self;
        let mut listeners = JoinSet::new();
        if let Some(listener) = self.metrics {
            let places = Places::new(limits.metrics_connections_max, limits.metrics_connections_max);
            let (source, router) = (Source::tcp(listener)?, router(&api, Listener::Metrics));
            listeners.spawn(accept_all(source, router, places, limits, asked.subscribe()));
            let mut end = asked.subscribe();
            let end = async move { asked_to_end(&mut end).await };
            listeners.spawn(keep_up_to_date(Arc::clone(&api), end));
        }
        let places = Places::new(limits.connections_max, limits.new_connections_max);
        let (source, router) = (Source::new(self.signing)?, router(&api, Listener::Signing));
        listeners.spawn(accept_all(source, router, places, limits, asked.subscribe()));
        let reloads = tokio::spawn(reload_when_asked(api, asked.subscribe()));
        while listeners.join_next().await.is_some() {}
        reloads.abort();
        // It holds what the threads work with.
        let _ = reloads.await;
        Ok(())
    }
}

/// One that is named twice would be said to be held by another process, which is this one.
fn name_each_once(directories: &[PathBuf]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for directory in directories {
        // What cannot be found is said when it is opened.
        let Ok(place) = std::fs::canonicalize(directory) else {
            continue;
        };
        if !seen.insert(place) {
            let what = format!("the key in '{}' is named twice", directory.display());
            return Err(Error::usage(what).at(directory));
        }
    }
    Ok(())
}

async fn reload_when_asked(api: Api, mut asked: Asking) {
    let mut done = 0;
    while asked.wait_for(|asked| asked.reloads > done).await.is_ok() {
        done = asked.borrow().reloads;
        api.reload_once_more();
    }
}
