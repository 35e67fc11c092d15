//! The binary as a user runs it.
//!
//! One binary: each further one links all of Burn again.

mod command_line;
#[path = "../common/mod.rs"]
mod common;
mod detection;
mod export;
mod resume;
mod sizes;
mod wrong_inputs;
