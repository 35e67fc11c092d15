//! The commands of the binary: one file each.

pub mod features;
pub mod list;

use std::error::Error;

/// What a command answers; the message goes to standard error, the status is 1.
pub type Outcome = Result<(), Box<dyn Error>>;
