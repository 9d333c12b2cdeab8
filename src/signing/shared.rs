//! What keys have in common that are open side by side: workers, and a bound on how many of their files are mapped.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::keydir::KeyDir;
use crate::layers::LayerReader;
use crate::workers::Workers;

/// What keys have in common that are open side by side.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(super) workers: SharedWorkers,
    /// None for a key that is open alone: its files stay mapped.
    layers: Option<Arc<SharedLayers>>,
}

impl Shared {
    /// For many keys, of whose layer files this bounds how many are mapped.
    #[cfg(feature = "serve")]
    pub(crate) fn of(layers: &Arc<SharedLayers>) -> Self {
        Self {
            workers: SharedWorkers::default(),
            layers: Some(Arc::clone(layers)),
        }
    }

    /// The layer files of a key that have just been opened.
    pub(super) fn layers_of(&self, layers: LayerReader) -> KeyLayers {
        let Some(shared) = &self.layers else {
            return KeyLayers::Alone(layers);
        };
        let slot = Arc::new(Slot::new(layers));
        shared.add(&slot);
        KeyLayers::Beside(slot, Arc::clone(shared))
    }
}

/// The workers of keys that are open side by side. They are started for the first key that is trimmed.
#[derive(Debug, Default)]
pub(crate) struct SharedWorkers(Mutex<Option<Arc<Workers>>>);

impl SharedWorkers {
    /// One worker per core, with arenas of at least so many bytes.
    pub(super) fn with_arenas(&self, arena_bytes: usize) -> Result<Arc<Workers>> {
        let mut started = lock(&self.0);
        if let Some(workers) = started.as_ref()
            && workers.arena_capacity_bytes() >= arena_bytes
        {
            return Ok(Arc::clone(workers));
        }
        let workers = Arc::new(Workers::start(0, arena_bytes)?);
        *started = Some(Arc::clone(&workers));
        Ok(workers)
    }
}

/// Bounds how many layer files of many keys are mapped: those of the keys that were not used for longest are not.
#[derive(Debug)]
pub(crate) struct SharedLayers {
    mappings_max: usize,
    uses: AtomicU64,
    mapped: Mutex<Vec<Arc<Slot>>>,
}

/// The layer files of one key, mapped or not.
#[derive(Debug)]
pub(super) struct Slot {
    layers: Mutex<Option<Arc<LayerReader>>>,
    mappings: usize,
    /// The number of its last use among all uses.
    last_use: AtomicU64,
}

impl Slot {
    fn new(layers: LayerReader) -> Self {
        Self {
            mappings: layers.mappings(),
            layers: Mutex::new(Some(Arc::new(layers))),
            last_use: AtomicU64::new(0),
        }
    }
}

impl SharedLayers {
    /// So many files are mapped at most, and always those of the key that was used last.
    #[cfg(any(feature = "serve", test))]
    pub(crate) fn at_most(mappings_max: usize) -> Arc<Self> {
        Arc::new(Self {
            mappings_max,
            uses: AtomicU64::new(0),
            mapped: Mutex::default(),
        })
    }

    /// How many may be mapped.
    #[cfg(any(feature = "serve", test))]
    pub(crate) fn mappings_max(&self) -> usize {
        self.mappings_max
    }

    /// How many are mapped, apart from those that somebody still reads who began before they were to be closed.
    #[cfg(any(feature = "serve", test))]
    pub(crate) fn mappings(&self) -> usize {
        lock(&self.mapped).iter().map(|slot| slot.mappings).sum()
    }

    fn note_use(&self, slot: &Slot) {
        slot.last_use
            .store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A key is mapped. Others make room for it.
    fn add(&self, slot: &Arc<Slot>) {
        self.note_use(slot);
        let mut mapped = lock(&self.mapped);
        let mut mappings: usize = slot.mappings + mapped.iter().map(|slot| slot.mappings).sum::<usize>();
        while mappings > self.mappings_max
            && let Some(oldest) = oldest(&mapped)
        {
            let oldest = mapped.swap_remove(oldest);
            mappings -= oldest.mappings;
            // Whoever reads from it holds it until that is done.
            drop(lock(&oldest.layers).take());
        }
        mapped.push(Arc::clone(slot));
    }
}

fn oldest(mapped: &[Arc<Slot>]) -> Option<usize> {
    (0..mapped.len()).min_by_key(|&place| mapped[place].last_use.load(Ordering::Relaxed))
}

/// The layer files of a key that is open.
#[derive(Debug)]
pub(super) enum KeyLayers {
    /// Mapped as long as it is open.
    Alone(LayerReader),
    /// Mapped again when they are needed and are not.
    Beside(Arc<Slot>, Arc<SharedLayers>),
}

/// The layer files of a key, mapped for as long as this is held.
#[derive(Debug)]
pub(crate) enum HeldLayers<'a> {
    Alone(&'a LayerReader),
    Beside(Arc<LayerReader>),
}

impl Deref for HeldLayers<'_> {
    type Target = LayerReader;

    fn deref(&self) -> &LayerReader {
        match self {
            Self::Alone(layers) => layers,
            Self::Beside(layers) => layers,
        }
    }
}

impl KeyLayers {
    /// The layer files of this key.
    ///
    /// # Errors
    /// As [`KeyDir::layers`], if they have to be mapped again.
    pub(super) fn get(&self, key: &KeyDir) -> Result<HeldLayers<'_>> {
        let (slot, shared) = match self {
            Self::Alone(layers) => return Ok(HeldLayers::Alone(layers)),
            Self::Beside(slot, shared) => (slot, shared),
        };
        let mut layers = lock(&slot.layers);
        if let Some(layers) = layers.as_ref() {
            shared.note_use(slot);
            return Ok(HeldLayers::Beside(Arc::clone(layers)));
        }
        let opened = Arc::new(key.mapped_layers()?);
        *layers = Some(Arc::clone(&opened));
        drop(layers);
        shared.add(slot);
        Ok(HeldLayers::Beside(opened))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
