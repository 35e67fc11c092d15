//! E3VA's access to the forward pass of the frozen backbone.

use burn::tensor::Tensor;
use gradway_backbone::{Access, Backbone, Description, Point, Site};
use gradway_kernels::{KernelBackend, Lift, add};

use super::config::{Fusion, Skip, Start, Tap};
use super::module::E3va;
use crate::highway::Highway;
use crate::inserted::InsertionPoints;

/// Runs the adapters during the forward pass of the frozen backbone.
///
/// An adapter runs as soon as its input is computed, so the backbone's maps are freed as the pass proceeds.
pub(super) struct Taps<'a, B: KernelBackend, F: KernelBackend, L: Lift<F, B>, N> {
    module: &'a E3va<B>,
    description: Description,
    highway: Highway<'a, B, F, L, N>,
    features: Vec<Tensor<B, 4>>,
}

impl<'a, B, F, L, N> Taps<'a, B, F, L, N>
where
    B: KernelBackend,
    F: KernelBackend,
    L: Lift<F, B>,
    N: Backbone<F>,
{
    pub(super) fn new(module: &'a E3va<B>, backbone: &'a N) -> Self {
        Self {
            module,
            description: backbone.description(),
            highway: Highway::new(backbone, module.config.readout),
            features: Vec::new(),
        }
    }

    pub(super) fn into_features(self) -> Vec<Tensor<B, 4>> {
        self.features
    }

    /// The branch whose adapter reads this point, if any.
    fn branch_read_at(&self, point: Point) -> Option<usize> {
        let places = match self.module.config.tap {
            Tap::ResidualBranch => InsertionPoints::Branches,
            Tap::PostResidual => InsertionPoints::Residuals,
        };
        places.index(&self.description, point)
    }

    fn end_section(&mut self, section: usize, output: &Tensor<F, 4>) {
        let is_added = self.module.config.fusion == Fusion::Add;
        let joined = self.highway.end_section(section, output, is_added);
        if let (Some(stage), Some(joined)) = (self.description.sections[section].stage, joined) {
            let norms = &self.module.norms;
            self.features
                .push(norms.forward(stage, joined, self.description.axis));
        }
    }

    /// The embedding, cut to the width of the first section; a stem may be wider.
    fn embedding(&self, output: Tensor<F, 4>) -> Tensor<B, 4> {
        let axis = self.description.axis.of_map();
        let channels = self.description.sections[0].channels;
        let lifted = L::lift(output);
        if lifted.dims()[axis] > channels {
            lifted.narrow(axis, 0, channels)
        } else {
            lifted
        }
    }
}

impl<B, F, L, N> Access<F> for Taps<'_, B, F, L, N>
where
    B: KernelBackend,
    F: KernelBackend,
    L: Lift<F, B>,
    N: Backbone<F>,
{
    fn at(&mut self, site: Site, _input: &Tensor<F, 4>, output: Tensor<F, 4>) -> Tensor<F, 4> {
        if site.point == Point::Embedding && self.module.config.start == Start::PatchEmbed {
            let start = self.embedding(output.clone());
            self.highway.add(start);
        }
        if let Some(branch) = self.branch_read_at(site.point) {
            let tap = L::lift(output.clone());
            let adapter = &self.module.sections[site.section][site.block][branch];
            let adapted = adapter.forward(tap.clone(), self.description.axis);
            self.highway.add(match self.module.config.skip {
                Skip::None => adapted,
                Skip::Identity => add(tap, adapted),
            });
        }
        if site.point == Point::Section {
            self.end_section(site.section, &output);
        }
        output
    }
}
