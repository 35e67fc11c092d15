//! Files of a model hub, in the cache of Python's `huggingface_hub`.
//!
//! A [`Reference`] names a file: `hf:facebook/dinov2-small/model.safetensors@main`. [`Hub::fetch`] returns its path in the
//! cache and the commit it is of, and downloads it before if it is not there. Python and Gradway share the cache: a file that
//! one of them has downloaded is found by the other, and both read the same environment variables.
//!
//! A download ends in the cache only when its size and its hash are those that the hub declares. If a connection breaks, the
//! part that has arrived is kept, and the next attempt requests the rest.
//!
//! Without the Cargo feature `network`, nothing is downloaded and no network code is compiled; files of the cache are found.

mod cache;
mod choice;
#[cfg(feature = "network")]
mod client;
#[cfg(feature = "network")]
mod download;
mod error;
mod fetched;
mod hub;
mod progress;
mod reference;
mod settings;
#[cfg(feature = "network")]
mod verify;

pub use error::HubError;
pub use fetched::Fetched;
pub use hub::Hub;
pub use progress::{Observer, Progress, Silent};
pub use reference::{PREFIX, Reference, ReferenceError};
pub use settings::Settings;
