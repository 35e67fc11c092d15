//! Files of a hub that the cache has.

use std::path::PathBuf;

use crate::cache::{Cache, Found};
use crate::choice::choose;
use crate::error::HubError;
use crate::reference::Reference;

/// A file of a hub in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The path of the file. It ends as the name in the repository.
    pub path: PathBuf,
    /// The file and the commit that it is of: the same bytes forever.
    pub pinned: Reference,
}

/// Finds a file in a cache; see [`Hub::cached`](crate::Hub::cached).
pub(crate) fn cached(cache: &Cache, wanted: &Reference) -> Result<Option<Fetched>, HubError> {
    let file = match wanted.file() {
        Some(file) => file.to_string(),
        None => match choose(&cache.files(wanted)) {
            Ok(file) => file.to_string(),
            Err(undecided) if undecided.example.is_some() => {
                return Err(HubError::NoChoice {
                    wanted: wanted.clone(),
                    reason: undecided.reason,
                    example: undecided.example,
                });
            }
            Err(_) => return Ok(None),
        },
    };
    let found = cache.find(wanted, &file);
    Ok(found.map(|Found { path, commit }| Fetched {
        path,
        pinned: wanted.with_file(&file).with_revision(&commit),
    }))
}
