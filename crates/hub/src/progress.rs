//! The progress of a download, since libraries do not print.

use std::time::Duration;

/// Something that happened while a file was fetched.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// Another process downloads the same file; this one waits for it.
    Waiting,
    /// A download begins or goes on.
    Started {
        /// The reference of the file.
        what: &'a str,
        /// Bytes that are there from before.
        done: u64,
        /// Bytes of the whole file, if the hub declares them.
        size: Option<u64>,
    },
    /// Bytes have arrived.
    Received {
        /// Bytes that are there now.
        done: u64,
    },
    /// The connection broke or the hub is busy. After a pause, the rest is requested.
    Retrying {
        /// The reason.
        reason: &'a str,
        /// The pause.
        pause: Duration,
    },
    /// The hub did not answer as it should, so the file of the cache is used, which may be older than that of the hub.
    Stale {
        /// The reason.
        reason: &'a str,
    },
    /// The download is complete and verified.
    Finished,
}

/// Is told of the progress of a download.
pub trait Observer {
    /// Called in the order of events.
    fn progress(&mut self, progress: Progress<'_>);

    /// Returns whether the download should stop. What has arrived is kept.
    fn stops(&self) -> bool {
        false
    }
}

/// Does not care.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn progress(&mut self, _: Progress<'_>) {}
}

impl<F: FnMut(Progress<'_>)> Observer for F {
    fn progress(&mut self, progress: Progress<'_>) {
        self(progress);
    }
}
