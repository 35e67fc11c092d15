//! The traits of necks, and their descriptions.

use burn::module::Module;
use burn::tensor::Tensor;
use gradway_backbone::{Phase, StageShape};
use gradway_kernels::KernelBackend;

use crate::maps::MapShape;

/// The description of a neck in the table.
#[derive(Debug, Clone)]
pub struct NeckDescriptor {
    /// Name in configurations and on the command line.
    pub name: &'static str,
    /// Description in one line.
    pub summary: &'static str,
    /// The publication.
    pub source: &'static str,
}

/// The configuration of a neck.
pub trait NeckSettings {
    /// Checks the fields for a backbone with these stages, the finest first.
    ///
    /// # Errors
    ///
    /// A message with the key and its value.
    fn validate(&self, stages: &[StageShape]) -> Result<(), String>;

    /// Returns the shapes of its maps, the finest first.
    fn maps(&self, stages: &[StageShape]) -> Vec<MapShape>;

    /// Returns the stage, of so many, that a map is made of.
    fn source(&self, map: usize, stages: usize) -> usize;
}

/// A module that turns the stages of a backbone into the maps that a head reads.
pub trait Neck<B: KernelBackend>: Module<B> {
    /// A map that the head does not read is not made: its stage stands in its place, so that maps keep their
    /// numbers.
    ///
    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels, height, width]`, the finest first
    /// - output: per map `[batch, channels, height, width]`, the finest first
    fn forward(&self, features: &[Tensor<B, 4>], phase: Phase) -> Vec<Tensor<B, 4>>;
}
