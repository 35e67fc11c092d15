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
mod hub;
#[allow(
    dead_code,
    reason = "its tests run here, where the binary has no target for them"
)]
#[path = "../../src/image_ids.rs"]
mod image_ids;
mod necks;
#[allow(dead_code, reason = "as above")]
#[path = "../../src/photos.rs"]
mod photos;
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
