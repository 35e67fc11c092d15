//! Stopping a run from outside: the first signal asks for it, the second ends the process.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// What has arrived.
#[derive(Debug, Default)]
struct Arrived {
    is_any: Arc<AtomicBool>,
    /// The number of a signal; 0: none.
    which: Arc<AtomicUsize>,
}

static ARRIVED: OnceLock<Arrived> = OnceLock::new();

/// From now on, the first interrupt (Ctrl-C) or termination signal only asks the process to stop, see
/// [`requested`]; a second one ends it at once, as the first would have done.
///
/// # Errors
///
/// What the system says.
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

/// Whether a signal has asked the process to stop.
pub fn requested() -> bool {
    let arrived = ARRIVED.get();
    arrived.is_some_and(|arrived| arrived.is_any.load(Ordering::Relaxed))
}

/// The number of the signal that has asked the process to stop.
pub fn signal() -> Option<u8> {
    let which = ARRIVED.get()?.which.load(Ordering::Relaxed);
    u8::try_from(which).ok().filter(|signal| *signal > 0)
}
