//! Stopping a run by signals: the first signal requests a stop, the second ends the process.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The signals that have arrived.
#[derive(Debug, Default)]
struct Arrived {
    is_any: Arc<AtomicBool>,
    /// Number of the first signal; 0 for none.
    which: Arc<AtomicUsize>,
}

static ARRIVED: OnceLock<Arrived> = OnceLock::new();

/// Installs the signal handlers. The first interrupt (Ctrl-C) or termination signal only requests a stop, see
/// [`requested`]; a second one ends the process at once.
///
/// # Errors
///
/// An error of the operating system.
pub fn on_signals() -> io::Result<()> {
    let arrived = Arrived::default();
    if ARRIVED.get().is_some() {
        return Ok(());
    }
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the first signal finds nothing that has arrived.
        flag::register_conditional_default(signal, Arc::clone(&arrived.is_any))?;
        flag::register(signal, Arc::clone(&arrived.is_any))?;
        let number = usize::try_from(signal).unwrap_or_default();
        flag::register_usize(signal, Arc::clone(&arrived.which), number)?;
    }
    let _ = ARRIVED.set(arrived);
    Ok(())
}

/// Whether a signal has requested a stop.
pub fn requested() -> bool {
    let arrived = ARRIVED.get();
    arrived.is_some_and(|arrived| arrived.is_any.load(Ordering::Relaxed))
}

/// Returns the number of the signal that requested a stop.
pub fn signal() -> Option<u8> {
    let which = ARRIVED.get()?.which.load(Ordering::Relaxed);
    u8::try_from(which).ok().filter(|signal| *signal > 0)
}
