//! The forward pass along the highway.

use std::marker::PhantomData;

use burn::tensor::Tensor;
use gradway_backbone::{Access, AnyBackbone, Backbone, Description, Point, Site};
use gradway_kernels::{KernelBackend, Lift, add};

use crate::inserted::Places;

use super::{E3va, Fusion, Skip, Start, Tap};

/// Rides along the frozen backbone's forward pass and keeps the highway's own stream.
///
/// Adapters run the moment their tap is computed, so the backbone's maps are let go as it proceeds.
pub(super) struct Highway<'a, B: KernelBackend, F: KernelBackend, L: Lift<F, B>> {
    module: &'a E3va<B>,
    backbone: &'a AnyBackbone<F>,
    description: Description,
    /// `h`; absent while it is zero.
    stream: Option<Tensor<B, 4>>,
    features: Vec<Tensor<B, 4>>,
    lift: PhantomData<L>,
}

impl<'a, B: KernelBackend, F: KernelBackend, L: Lift<F, B>> Highway<'a, B, F, L> {
    pub(super) fn new(module: &'a E3va<B>, backbone: &'a AnyBackbone<F>) -> Self {
        Self {
            module,
            backbone,
            description: backbone.description(),
            stream: None,
            features: Vec::new(),
            lift: PhantomData,
        }
    }

    pub(super) fn into_features(self) -> Vec<Tensor<B, 4>> {
        self.features
    }

    /// The branch whose adapter reads this point, if one does.
    fn branch_read_at(&self, point: Point) -> Option<usize> {
        let places = match self.module.config.tap {
            Tap::ResidualBranch => Places::Branches,
            Tap::PostResidual => Places::Residuals,
        };
        places.index(&self.description, point)
    }

    fn add(&mut self, x: Tensor<B, 4>) {
        self.stream = Some(match self.stream.take() {
            Some(stream) => add(stream, x),
            None => x,
        });
    }

    fn end_section(&mut self, section: usize, output: &Tensor<F, 4>) {
        let axis = self.description.axis;
        if let (Some(stage), Some(stream)) =
            (self.description.sections[section].stage, &self.stream)
        {
            let joined = match self.module.config.fusion {
                Fusion::Add => add(L::lift(output.clone()), stream.clone()),
                Fusion::HighwayOnly => stream.clone(),
            };
            self.features
                .push(self.module.norms.forward(stage, joined, axis));
        }
        if section + 1 < self.description.sections.len() {
            self.stream = self
                .stream
                .take()
                .map(|stream| self.backbone.transition::<B, L>(section, stream));
        }
    }
}

impl<B: KernelBackend, F: KernelBackend, L: Lift<F, B>> Access<F> for Highway<'_, B, F, L> {
    fn at(&mut self, site: Site, _input: &Tensor<F, 4>, output: Tensor<F, 4>) -> Tensor<F, 4> {
        if site.point == Point::Embedding && self.module.config.start == Start::PatchEmbed {
            let start = self.embedding(output.clone());
            self.add(start);
        }
        if let Some(branch) = self.branch_read_at(site.point) {
            let tap = L::lift(output.clone());
            let adapter = &self.module.sections[site.section][site.block][branch];
            let adapted = adapter.forward(tap.clone(), self.description.axis);
            self.add(match self.module.config.skip {
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

impl<B: KernelBackend, F: KernelBackend, L: Lift<F, B>> Highway<'_, B, F, L> {
    /// The embedding in the width of the first section; a stem may be wider than it.
    fn embedding(&self, output: Tensor<F, 4>) -> Tensor<B, 4> {
        use gradway_kernels::ChannelAxis;

        let axis = match self.description.axis {
            ChannelAxis::Last => 3,
            ChannelAxis::First => 1,
        };
        let channels = self.description.sections[0].channels;
        let lifted = L::lift(output);
        if lifted.dims()[axis] > channels {
            lifted.narrow(axis, 0, channels)
        } else {
            lifted
        }
    }
}
