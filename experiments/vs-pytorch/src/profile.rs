//! Where a run's time goes: Gradway's operators announce themselves as trace spans, PyTorch's by its
//! profiler.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    static STARTED: RefCell<Vec<Instant>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
struct Totals {
    names: Vec<&'static str>,
    seconds: BTreeMap<&'static str, f64>,
}

/// Adds up the time inside the operators' spans.
#[derive(Clone, Default)]
pub struct Profile(Arc<Mutex<Totals>>);

impl Profile {
    /// The seconds of every operator since the last call.
    pub fn take(&self) -> BTreeMap<&'static str, f64> {
        std::mem::take(&mut self.totals().seconds)
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        // A sum that a panic left unfinished is a sum still.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Profile {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span()
            && *metadata.level() == Level::TRACE
            && metadata.target().starts_with("gradway_kernels")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut totals = self.totals();
        totals.names.push(span.metadata().name());
        Id::from_u64(totals.names.len() as u64)
    }

    fn enter(&self, _: &Id) {
        STARTED.with_borrow_mut(|started| started.push(Instant::now()));
    }

    fn exit(&self, span: &Id) {
        let start = STARTED.with_borrow_mut(Vec::pop);
        let mut totals = self.totals();
        let name = totals.names[span.into_u64() as usize - 1];
        if let Some(start) = start {
            *totals.seconds.entry(name).or_default() += start.elapsed().as_secs_f64();
        }
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}
}
