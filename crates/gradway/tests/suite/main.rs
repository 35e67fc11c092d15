//! The binary as a user runs it.
//!
//! One binary: each further one links all of Burn again.

mod absent_classes;
mod benchmarks;
mod command_line;
#[path = "../common/mod.rs"]
mod common;
mod damage;
mod data_check;
mod detection;
mod export;
mod going_on;
#[cfg(unix)]
mod guide;
mod predictions;
mod rare_objects;
mod resume;
mod run_folder;
mod scoring;
mod sizes;
#[cfg(unix)]
mod streams;
mod weights;
mod wrong_inputs;
