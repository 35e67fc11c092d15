//! Tests of the data crate.
//!
//! One binary: each further one links all of Burn again.

mod annotations;
mod collections;
mod common;
mod dense_formats;
mod derived_labels;
mod detection;
mod detection_loader;
mod errors;
mod formats;
mod images;
mod label_policies;
mod lists;
mod loader;
mod masks;
mod matlab_files;
mod multi_task;
mod randomness;
mod real_datasets;
mod synthetic;
mod transforms;
