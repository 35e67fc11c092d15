//! Parameter-, memory- and time-efficient tuning of large vision backbones for dense prediction.
//!
//! This crate re-exports the others under short names and adds what a binary needs: the choice of a [device] at
//! run time from the backends compiled in, [pictures](picture) of predictions, [fetching] weights, a [run] with a
//! [progress] bar that a signal can [stop], comparisons of runs ([compare]) and of methods over several seeds ([experiment]),
//! their results ([report], [summary], [table]), and errors in the [terminal]. Everything else is generic over
//! Burn's backends.

// `eprintln!` panics where standard error is closed; `terminal::note` does not.
#![warn(clippy::print_stderr)]

pub use gradway_adapters as adapters;
pub use gradway_backbone as backbone;
pub use gradway_data as data;
pub use gradway_heads as heads;
pub use gradway_hub as hub;
pub use gradway_kernels as kernels;
pub use gradway_metrics as metrics;
pub use gradway_scenes as scenes;
pub use gradway_trainer as trainer;

pub mod beside;
pub mod compare;
pub mod device;
mod error;
pub mod experiment;
pub mod fetching;
pub mod picture;
pub mod progress;
pub mod report;
pub mod run;
pub mod stop;
pub mod summary;
pub mod table;
pub mod terminal;
