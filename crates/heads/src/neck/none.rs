//! No neck: the head reads the stages of the backbone.

use std::marker::PhantomData;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Phase, StageShape};
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use super::settings::{Neck, NeckDescriptor, NeckSettings};
use crate::maps::MapShape;

pub(crate) const DESCRIPTOR: NeckDescriptor = NeckDescriptor {
    name: "none",
    summary: "the head reads the stages of the backbone",
    source: "",
};

/// Configuration of no neck; it has no fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoneConfig {}

/// Passes the stages on.
#[derive(Module, Debug)]
pub struct Unchanged<B: Backend> {
    backend: PhantomData<B>,
}

impl NoneConfig {
    /// Initialises the module.
    pub fn init<B: Backend>(
        &self,
        _: &[StageShape],
        _: &dyn Fn(usize) -> bool,
        _: &B::Device,
    ) -> Unchanged<B> {
        Unchanged {
            backend: PhantomData,
        }
    }
}

impl NeckSettings for NoneConfig {
    fn validate(&self, _: &[StageShape]) -> Result<(), String> {
        Ok(())
    }

    fn maps(&self, stages: &[StageShape]) -> Vec<MapShape> {
        MapShape::of_stages(stages)
    }

    fn source(&self, map: usize, _: usize) -> usize {
        map
    }
}

impl<B: KernelBackend> Neck<B> for Unchanged<B> {
    fn forward(&self, features: &[Tensor<B, 4>], _: Phase) -> Vec<Tensor<B, 4>> {
        features.to_vec()
    }
}
