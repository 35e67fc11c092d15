//! The worker threads of a loader, and the iterator that returns their batches in order.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::{Pipeline, Source};
use crate::batch::Batch;
use crate::error::DataError;

type Loaded<P> = Result<Batch<<P as Pipeline>::Item>, DataError>;

/// The state that the workers and the iterator share.
///
/// *Invariant*: `delivered <= claimed <= delivered + window`, so at most `window` batches are ready or in
/// progress, and the next batch to deliver is always among them: the iterator never waits for a batch that no
/// worker loads.
struct State<P: Pipeline> {
    /// Index of the next batch that no worker has claimed.
    claimed: usize,
    /// Index of the next batch to deliver.
    delivered: usize,
    /// Loaded batches by index.
    ready: BTreeMap<usize, Loaded<P>>,
}

struct Shared<P: Pipeline> {
    source: Arc<Source<P>>,
    order: Arc<Vec<usize>>,
    epoch: u64,
    batches: usize,
    window: usize,
    state: Mutex<State<P>>,
    /// Signals workers that there is room.
    room: Condvar,
    /// Signals the iterator that a batch is done.
    done: Condvar,
    stop: AtomicBool,
}

impl<P: Pipeline> Shared<P> {
    /// Locks the state. Workers do not panic while they hold the lock, so a poisoned lock is valid.
    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Stops the workers at their next sample.
    fn halt(&self) {
        self.stop.store(true, Ordering::Relaxed);
        // The lock makes sure that no worker is between its look at `stop` and its wait.
        drop(self.lock());
        self.room.notify_all();
    }

    /// Claims a batch to load, waiting for room; `None` if there are no more batches.
    fn claim(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if self.stopped() || state.claimed >= self.batches {
                return None;
            }
            if state.claimed < state.delivered + self.window {
                state.claimed += 1;
                return Some(state.claimed - 1);
            }
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Loads a batch. A panic becomes an error, since the iterator would otherwise wait forever.
    fn load(&self, index: usize) -> Option<Loaded<P>> {
        let load = || {
            self.source
                .batch(&self.order, self.epoch, index, || self.stopped())
        };
        match catch_unwind(AssertUnwindSafe(load)) {
            Ok(loaded) => loaded.transpose(),
            Err(payload) => {
                let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
                let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
                Some(Err(DataError::Worker {
                    batch: index,
                    reason: text.unwrap_or_else(|| "it panicked".into()),
                }))
            }
        }
    }

    fn work(&self) {
        while let Some(index) = self.claim() {
            let Some(loaded) = self.load(index) else {
                return;
            };
            self.lock().ready.insert(index, loaded);
            self.done.notify_all();
        }
    }
}

/// The batches of an epoch, in order.
///
/// It ends after the first error. Dropping it early stops and joins the threads.
pub struct BatchIterator<P: Pipeline> {
    shared: Arc<Shared<P>>,
    workers: Vec<JoinHandle<()>>,
    finished: bool,
}

impl<P: Pipeline> BatchIterator<P> {
    pub(super) fn new(
        source: Arc<Source<P>>,
        order: Arc<Vec<usize>>,
        epoch: u64,
        first_batch: usize,
    ) -> Self {
        let batches = source.batches();
        let first = first_batch.min(batches);
        let workers = source.config.workers.min(batches - first);
        let shared = Arc::new(Shared {
            batches,
            window: source.config.prefetch.max(1),
            source,
            order,
            epoch,
            state: Mutex::new(State {
                claimed: first,
                delivered: first,
                ready: BTreeMap::new(),
            }),
            room: Condvar::new(),
            done: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let spawn = |number: usize| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("loader-{number}"))
                .spawn(move || shared.work())
        };
        // Where the system refuses threads, fewer do the same work, or the caller does it.
        let workers = (0..workers)
            .map_while(|number| spawn(number).ok())
            .collect();
        Self {
            shared,
            workers,
            finished: false,
        }
    }

    /// Returns the index of the next batch in the epoch.
    pub fn next_batch(&self) -> usize {
        self.shared.lock().delivered
    }

    fn wait_for_next(&self) -> Option<Loaded<P>> {
        let mut state = self.shared.lock();
        let index = state.delivered;
        if index >= self.shared.batches {
            return None;
        }
        if self.workers.is_empty() {
            drop(state);
            let loaded = self.shared.load(index)?;
            self.shared.lock().delivered += 1;
            return Some(loaded);
        }
        loop {
            if let Some(loaded) = state.ready.remove(&index) {
                state.delivered += 1;
                drop(state);
                self.shared.room.notify_all();
                return Some(loaded);
            }
            state = self
                .shared
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn finish(&mut self) {
        self.finished = true;
        self.shared.halt();
        for worker in self.workers.drain(..) {
            // Panics of the work itself were caught; there is nothing else to report.
            let _ = worker.join();
        }
    }
}

impl<P: Pipeline> Iterator for BatchIterator<P> {
    type Item = Loaded<P>;

    fn next(&mut self) -> Option<Loaded<P>> {
        if self.finished {
            return None;
        }
        let loaded = self.wait_for_next();
        if !matches!(loaded, Some(Ok(_))) {
            self.finish();
        }
        loaded
    }
}

impl<P: Pipeline> Drop for BatchIterator<P> {
    fn drop(&mut self) {
        self.finish();
    }
}
