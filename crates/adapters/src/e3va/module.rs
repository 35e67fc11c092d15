//! What E3VA trains.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Description, OutputNorms};
use gradway_kernels::KernelBackend;

use super::config::{E3vaConfig, Factorization, OutputNorm};
use crate::dual_low_rank::{DualLowRank, DualLowRankAdapter};
use crate::inserted::{InsertionPoints, sections};
use crate::method::Method;

/// The module of E3VA: everything on the highway, without the backbone.
#[derive(Module, Debug)]
pub struct E3va<B: Backend> {
    /// Adapters by section, block and branch.
    pub sections: Vec<Vec<Vec<DualLowRankAdapter<B>>>>,
    /// Norms between the stages and the neck.
    pub norms: OutputNorms<B>,
    #[module(skip)]
    pub(super) config: E3vaConfig,
}

impl E3vaConfig {
    /// Initialises the module for a backbone with this description.
    pub fn init<B: Backend>(&self, description: &Description, device: &B::Device) -> E3va<B> {
        let shape = DualLowRank {
            rank: self.rank,
            terms: (self.form == Factorization::Kernel).then_some(self.terms),
            reduction: self.reduction,
            up_init: self.up_init,
        };
        let sections = sections(description, InsertionPoints::Branches, |section| {
            DualLowRankAdapter::new(shape, section.channels, device)
        });
        let norms = OutputNorms::new(description, device);
        E3va {
            sections,
            norms: match self.output_norm {
                OutputNorm::Trainable => norms,
                OutputNorm::Frozen => norms.no_grad(),
            },
            config: self.clone(),
        }
    }
}

impl<B: KernelBackend> Method<B> for E3va<B> {
    type Shared = Vec<Tensor<B, 4>>;

    fn of_task(&self, stages: &Vec<Tensor<B, 4>>, _task: usize) -> Vec<Tensor<B, 4>> {
        stages.clone()
    }
}
