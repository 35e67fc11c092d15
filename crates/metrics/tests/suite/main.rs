//! Tests of the metrics crate.
//!
//! One binary: each further one links all of Burn again.

mod detection;
mod detection_files;
mod golden_dense;
mod golden_detection;
