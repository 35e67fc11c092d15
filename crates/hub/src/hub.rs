//! Fetching files of a hub.

use std::path::Path;

use crate::cache::Cache;
#[cfg(feature = "network")]
use crate::download::Download;
use crate::error::HubError;
use crate::fetched::{Fetched, cached};
use crate::progress::Observer;
use crate::reference::Reference;
use crate::settings::Settings;

/// A hub with its cache.
#[derive(Debug, Clone)]
pub struct Hub {
    settings: Settings,
    cache: Cache,
}

impl Hub {
    /// A hub with the settings of the environment.
    ///
    /// # Errors
    ///
    /// As [`Settings::from_environment`].
    pub fn from_environment() -> Result<Self, HubError> {
        Settings::from_environment().map(Self::new)
    }

    /// A hub with these settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            cache: Cache::new(settings.cache.clone()),
            settings,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The folder of the cache.
    pub fn cache(&self) -> &Path {
        self.cache.root()
    }

    /// Finds a file in the cache, without asking the hub. A branch or a tag means the commit that it meant when the hub
    /// was asked last.
    ///
    /// # Errors
    ///
    /// [`HubError::NoChoice`] if the reference names no file and the cache has several.
    pub fn cached(&self, wanted: &Reference) -> Result<Option<Fetched>, HubError> {
        cached(&self.cache, wanted)
    }

    /// Returns the path of a file in the cache, and downloads it before if it is not there.
    ///
    /// A file at a commit that is in the cache needs no connection. For a branch or a tag, the hub is asked which commit it
    /// means. If the hub cannot be reached or refuses access, the file that the cache has for it is used, which the observer
    /// is told as [`Progress::Stale`](crate::Progress::Stale).
    ///
    /// # Errors
    ///
    /// [`HubError`]. Whatever fails, the cache holds no file that is not complete and verified.
    pub fn fetch(
        &self,
        wanted: &Reference,
        observer: &mut dyn Observer,
    ) -> Result<Fetched, HubError> {
        if wanted.is_pinned()
            && let Some(fetched) = self.cached(wanted)?
        {
            return Ok(fetched);
        }
        if self.settings.offline {
            return self.only_cached(wanted, "HF_HUB_OFFLINE is set");
        }
        self.download(wanted, observer)
    }

    #[cfg(feature = "network")]
    fn download(
        &self,
        wanted: &Reference,
        observer: &mut dyn Observer,
    ) -> Result<Fetched, HubError> {
        Download::new(&self.settings, &self.cache, wanted)?.run(observer)
    }

    #[cfg(not(feature = "network"))]
    fn download(&self, wanted: &Reference, _: &mut dyn Observer) -> Result<Fetched, HubError> {
        let reason = "this program is built without downloads (the Cargo feature `hub`)";
        self.only_cached(wanted, reason)
    }

    fn only_cached(&self, wanted: &Reference, reason: &'static str) -> Result<Fetched, HubError> {
        self.cached(wanted)?.ok_or_else(|| HubError::NotCached {
            wanted: wanted.clone(),
            cache: self.cache.root().to_path_buf(),
            reason,
        })
    }
}
