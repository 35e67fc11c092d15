//! The binary as a user runs it.
//!
//! One binary: each further one links all of Burn again.

mod command_line;
#[path = "../common/mod.rs"]
mod common;
mod detection;
mod export;
#[cfg(unix)]
mod guide;
mod resume;
mod run_folder;
mod sizes;
#[cfg(unix)]
mod streams;
mod weights;
mod wrong_inputs;
