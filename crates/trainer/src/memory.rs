//! Accounting of live bytes: exact on the CPU, sampled on a device with its own memory.
//!
//! A binary that installs [`CountingAllocator`] as its global allocator can query the number of live bytes and
//! their peak. Unlike the resident size of a process, which depends on the allocator's caching, this count is
//! reproducible.
//!
//! ```ignore
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use gradway_kernels::MemoryGauge;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// The system allocator with a count of live bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountingAllocator;

/// Records an allocation. Counters need no ordering among each other, so every access is relaxed.
fn grew(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
    INSTALLED.store(true, Ordering::Relaxed);
}

fn shrank(bytes: usize) {
    LIVE.fetch_sub(bytes, Ordering::Relaxed);
}

// SAFETY: every call is passed on unchanged to the system's allocator, which upholds the contract;
// the counters are atomics that never allocate.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract of `alloc`.
        let pointer = unsafe { System.alloc(layout) };
        if !pointer.is_null() {
            grew(layout.size());
        }
        pointer
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract of `alloc_zeroed`.
        let pointer = unsafe { System.alloc_zeroed(layout) };
        if !pointer.is_null() {
            grew(layout.size());
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) };
        shrank(layout.size());
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller upholds the contract of `realloc`.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        if !moved.is_null() {
            // Both may be live while the bytes are copied.
            grew(size);
            shrank(layout.size());
        }
        moved
    }
}

/// Tells the system allocator to keep freed memory for the next step.
///
/// A step frees and allocates the same large maps again and again. By default glibc returns each to the kernel
/// at once, which must then zero its pages again: a fifth of a step's time. Binaries call this at their start.
/// It does nothing without glibc. The count of live bytes does not change; the resident size of the process
/// stays at its peak.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Larger than any map.
        const NEVER: libc::c_int = 1 << 30;
        // SAFETY: `mallopt` only changes parameters of the allocator, and is documented to be callable at any
        // time; a result of 0 means that nothing changed, which does no harm.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, NEVER);
            libc::mallopt(libc::M_TRIM_THRESHOLD, NEVER);
            libc::mallopt(libc::M_TOP_PAD, 1 << 26);
        }
    }
}

/// Returns the number of live bytes; `None` without a [`CountingAllocator`].
pub fn live() -> Option<usize> {
    INSTALLED
        .load(Ordering::Relaxed)
        .then(|| LIVE.load(Ordering::Relaxed))
}

/// Returns the peak number of live bytes since [`reset_peak`]; `None` without a [`CountingAllocator`].
pub fn peak() -> Option<usize> {
    INSTALLED
        .load(Ordering::Relaxed)
        .then(|| PEAK.load(Ordering::Relaxed))
}

/// Resets the peak to the current number of live bytes.
pub fn reset_peak() {
    PEAK.store(LIVE.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// The peak number of live bytes during some work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Peak {
    /// Peak of the memory that the device computes in; `None` if it is not measured.
    pub device: Option<usize>,
    /// Peak of the host's memory; `None` if the device uses the host's memory, or it is not measured.
    pub host: Option<usize>,
}

/// Runs `work` and returns its result with the peak number of live bytes. The device's gauge is read only if it
/// is `watched`, which slows the work down.
pub fn peak_of<T>(
    gauge: Option<&MemoryGauge>,
    watched: bool,
    work: impl FnOnce() -> T,
) -> (T, Peak) {
    reset_peak();
    let Some(gauge) = gauge else {
        let result = work();
        let device = peak();
        return (result, Peak { device, host: None });
    };
    let (result, device) = match watched {
        true => {
            let (result, most) = watch(gauge, work);
            (result, Some(most))
        }
        false => (work(), None),
    };
    let host = peak();
    (result, Peak { device, host })
}

/// Returns the live bytes of a device, if it has a gauge, or of the host, if they are counted.
pub fn live_of(gauge: Option<&MemoryGauge>) -> Option<usize> {
    gauge.map_or_else(live, |gauge| Some(gauge()))
}

/// Runs `work` and returns its result with the peak number of live bytes: of the device if it has a gauge, or
/// of the host if they are counted.
pub fn most_live<T>(gauge: Option<&MemoryGauge>, work: impl FnOnce() -> T) -> (T, Option<usize>) {
    if let Some(gauge) = gauge {
        let (result, most) = watch(gauge, work);
        return (result, Some(most));
    }
    reset_peak();
    let result = work();
    (result, peak())
}

/// Runs `work` and returns its result with the peak number of live bytes of a device. Another thread samples
/// the gauge.
///
/// The host sends work faster than the device runs it, and memory is allocated and freed when work is sent.
/// Sampling therefore slows down the sending but does not change the result.
pub fn watch<T>(gauge: &MemoryGauge, work: impl FnOnce() -> T) -> (T, usize) {
    /// Ends the sampling, also if the work panics.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let (is_done, most) = (AtomicBool::new(false), AtomicUsize::new(0));
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                most.fetch_max(gauge(), Ordering::Relaxed);
            }
        });
        let _done = Done(&is_done);
        work()
    });
    (result, most.into_inner())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[global_allocator]
    static ALLOCATOR: CountingAllocator = CountingAllocator;

    /// A device with its own memory, some of which is used by the work.
    struct Device(Arc<AtomicUsize>);

    impl Device {
        fn gauge(&self) -> MemoryGauge {
            let live = Arc::clone(&self.0);
            Box::new(move || live.load(Ordering::Relaxed))
        }

        fn take(&self, bytes: usize) {
            self.0.store(bytes, Ordering::Relaxed);
            thread::sleep(std::time::Duration::from_millis(50));
            self.0.store(0, Ordering::Relaxed);
        }
    }

    const HOST: usize = 8 << 20;

    fn work() -> usize {
        std::hint::black_box(vec![1_u8; HOST]).len()
    }

    #[test]
    fn the_memory_of_a_device_is_not_that_of_its_host() {
        let device = Device(Arc::default());
        let gauge = device.gauge();
        let (_, peak) = peak_of(Some(&gauge), true, || {
            device.take(1000);
            work()
        });
        assert_eq!(peak.device, Some(1000));
        assert!(peak.host.is_some_and(|bytes| bytes >= HOST), "{peak:?}");
        // What is not watched is not known, and the host's is not put in its place.
        let (_, peak) = peak_of(Some(&gauge), false, || {
            device.take(1000);
            work()
        });
        assert_eq!(peak.device, None);
        assert!(peak.host.is_some_and(|bytes| bytes >= HOST), "{peak:?}");
        // On the processor they are one memory.
        let (_, peak) = peak_of(None, true, work);
        assert!(peak.device.is_some_and(|bytes| bytes >= HOST), "{peak:?}");
        assert_eq!(peak.host, None);
    }
}
