//! LoRA: `y = W x + b + (alpha / rank) B A x` for the projections of a transformer (Hu et al. 2021, arXiv
//! 2106.09685), or for the MLPs of a ConvNeXt.
//!
//! By default the projections to queries and values are updated, as in the publication and E3VA's tables. The
//! update is computed on the activations and not added to the frozen weight. The updates of queries, keys and
//! values have separate factors and are computed as one.
//!
//! Memory: gradients pass through the whole backbone; the input of every adapted projection is kept for its
//! `A`, and `A x` for its `B`. An update inside the MLP also keeps its wide map.
//!
//! The published counts, 3.03 M on Swin-B and 4.57 M on Swin-L, match no reading of the method: rank 64 for
//! queries and values has 256 parameters per channel of a block, 3.08 M and 4.62 M. Both differ by 0.05 M,
//! whatever the width, so no other rank or set of projections matches them.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{
    Access, Description, Operation, OutputNorms, Phase, Point, Section, Site, Tunable,
};
use gradway_kernels::{KernelBackend, add, linear};
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{About, Method, Settings, finite, in_range, kaiming, parameter};
use crate::placement::{Around, features_around};
use crate::selected::Selected;
use crate::track::frozen_backbone;

pub(crate) const ABOUT: About = About {
    name: "lora",
    summary: "low-rank updates of a transformer's projections, and the output norms",
    source: "LoRA, arXiv 2106.09685",
    starts_frozen: true,
    merges: Ok(()),
};

/// A projection that is updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The projection to queries.
    Q,
    /// The projection to keys.
    K,
    /// The projection to values.
    V,
    /// The output projection of attention.
    Proj,
    /// The first layer of the MLP.
    Fc1,
    /// The second layer of the MLP.
    Fc2,
}

impl Target {
    /// Returns why a backbone has no such projection, if it has none.
    fn misfit(self, backbone: &Description) -> Option<&'static str> {
        let is_of_attention = matches!(self, Self::Q | Self::K | Self::V | Self::Proj);
        if is_of_attention && backbone.has_mlps() {
            return (!backbone.is_transformer()).then_some(
                "it has no attention, to which q, k, v and proj belong; method.targets = [\"fc1\", \"fc2\"] updates \
                 its MLPs",
            );
        }
        (!backbone.has_mlps()).then_some("it updates the projections of a transformer")
    }

    /// Number of inputs and outputs of the projection in a section; `None` if there is no such projection.
    fn size(self, section: &Section) -> Option<[usize; 2]> {
        let channels = section.channels;
        match self {
            Self::Q | Self::K | Self::V | Self::Proj => Some([channels, channels]),
            Self::Fc1 => Some([channels, section.hidden?]),
            Self::Fc2 => Some([section.hidden?, channels]),
        }
    }
}

/// Configuration of [`Lora`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraConfig {
    /// Rank of an update.
    pub rank: usize,
    /// Scale of an update times its rank; 64, the default rank, makes the scale 1.
    pub alpha: f64,
    /// Projections that are updated.
    pub targets: Vec<Target>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 64,
            alpha: 64.0,
            targets: vec![Target::Q, Target::V],
        }
    }
}

/// The access points at which updates are added.
const POINTS: [Point; 4] = [
    Point::QueryKeyValue,
    Point::Projection,
    Point::MlpIn,
    Point::MlpOut,
];

/// The two factors of an update.
#[derive(Module, Debug)]
pub struct Factors<B: Backend> {
    /// `A`, `[inputs, rank]`, Kaiming uniform.
    pub down: Param<Tensor<B, 2>>,
    /// `B`, `[rank, outputs]`, zero at first.
    pub up: Param<Tensor<B, 2>>,
}

impl<B: Backend> Factors<B> {
    pub(crate) fn new([inputs, outputs]: [usize; 2], rank: usize, device: &B::Device) -> Self {
        Self {
            down: kaiming([inputs, rank], inputs, device),
            up: Initializer::Zeros.init([rank, outputs], device),
        }
    }

    /// `[A, B]`
    pub(crate) fn values(&self) -> [Tensor<B, 2>; 2] {
        [self.down.val(), self.up.val()]
    }
}

/// `s B A x`, factors as `[A, B]`.
pub(crate) fn update<B: KernelBackend>(
    [down, up]: [Tensor<B, 2>; 2],
    x: Tensor<B, 4>,
    scale: f64,
) -> Tensor<B, 4> {
    linear(linear(x, down, None), up.mul_scalar(scale), None)
}

/// The updates of a block.
#[derive(Module, Debug)]
pub struct BlockUpdates<B: Backend> {
    /// Update of the projection to queries.
    pub q: Option<Factors<B>>,
    /// Update of the projection to keys.
    pub k: Option<Factors<B>>,
    /// Update of the projection to values.
    pub v: Option<Factors<B>>,
    /// Update of the output projection of attention.
    pub proj: Option<Factors<B>>,
    /// Update of the MLP's first layer.
    pub fc1: Option<Factors<B>>,
    /// Update of the MLP's second layer.
    pub fc2: Option<Factors<B>>,
}

impl<B: Backend> BlockUpdates<B> {
    fn new(config: &LoraConfig, section: &Section, device: &B::Device) -> Self {
        let factors = |target: Target| {
            let size = target.size(section)?;
            let is_target = config.targets.contains(&target);
            is_target.then(|| Factors::new(size, config.rank, device))
        };
        Self {
            q: factors(Target::Q),
            k: factors(Target::K),
            v: factors(Target::V),
            proj: factors(Target::Proj),
            fc1: factors(Target::Fc1),
            fc2: factors(Target::Fc2),
        }
    }

    /// The factors of the update at a point, if there is one: `[inputs, ranks]`, `[ranks, outputs]`.
    fn at(&self, point: Point) -> Option<[Tensor<B, 2>; 2]> {
        let one = match point {
            Point::QueryKeyValue => return self.query_key_value(),
            Point::Projection => &self.proj,
            Point::MlpIn => &self.fc1,
            Point::MlpOut => &self.fc2,
            _ => &None,
        };
        one.as_ref().map(Factors::values)
    }

    /// The `A` concatenated, and the `B` as a block-diagonal matrix.
    fn query_key_value(&self) -> Option<[Tensor<B, 2>; 2]> {
        let parts = [&self.q, &self.k, &self.v];
        let present = || {
            parts
                .iter()
                .enumerate()
                .filter_map(|(at, part)| Some((at, part.as_ref()?)))
        };
        let downs: Vec<_> = present().map(|(_, factors)| factors.down.val()).collect();
        if downs.is_empty() {
            return None;
        }
        let rows = present().map(|(at, factors)| {
            let up = factors.up.val();
            let places = (0..parts.len()).map(|place| {
                if place == at {
                    up.clone()
                } else {
                    Tensor::zeros(up.dims(), &up.device())
                }
            });
            Tensor::cat(places.collect(), 1)
        });
        Some([Tensor::cat(downs, 1), Tensor::cat(rows.collect(), 0)])
    }
}

/// The module of LoRA.
#[derive(Module, Debug)]
pub struct Lora<B: Backend, N: Module<B>> {
    /// The frozen backbone.
    pub backbone: N,
    /// Updates by section and block.
    pub sections: Vec<Vec<BlockUpdates<B>>>,
    /// Output norms, trained.
    pub norms: OutputNorms<B>,
    #[module(skip)]
    config: LoraConfig,
}

impl<B: Backend, N: Module<B>> Lora<B, N> {
    /// Scale of an update.
    fn scale(&self) -> f64 {
        self.config.alpha / self.config.rank as f64
    }
}

impl LoraConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> Lora<B, N> {
        let description = backbone.description();
        let sections = description.sections.iter().map(|section| {
            let block = || BlockUpdates::new(self, section, device);
            (0..section.blocks).map(|_| block()).collect()
        });
        Lora {
            backbone: frozen_backbone(backbone),
            sections: sections.collect(),
            norms: OutputNorms::new(&description, device),
            config: self.clone(),
        }
    }
}

impl Settings for LoraConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("rank", self.rank)?;
        finite("alpha", self.alpha)?;
        if self.targets.is_empty() {
            return Err("method.targets = []; it must name a projection".to_string());
        }
        Ok(())
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        let misfit = |target: &Target| target.misfit(backbone);
        self.targets.iter().find_map(misfit)
    }
}

impl<B: KernelBackend, N: Tunable<B>> Method<B> for Lora<B, N> {
    type Shared = Vec<Tensor<B, 4>>;

    fn of_task(&self, stages: &Vec<Tensor<B, 4>>, _task: usize) -> Vec<Tensor<B, 4>> {
        stages.clone()
    }
}

impl<B: KernelBackend, N: Tunable<B>> Around<B, N> for Lora<B, N> {
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Vec<Tensor<B, 4>> {
        let mut access = LoraAccess { module: self };
        features_around(&self.backbone, &self.norms, images, phase, &mut access)
    }

    fn merged(&self) -> Option<Selected<B, N>> {
        let mut backbone = self.backbone.clone();
        for (section, blocks) in self.sections.iter().enumerate() {
            for (block, updates) in blocks.iter().enumerate() {
                for point in POINTS {
                    let Some([down, up]) = updates.at(point) else {
                        continue;
                    };
                    let site = Site {
                        point,
                        section,
                        block,
                    };
                    let Some(Operation::Linear(layer)) = backbone.operation(site) else {
                        return None;
                    };
                    let update = down.matmul(up.mul_scalar(self.scale()));
                    layer.weight = parameter(layer.weight.val() + update);
                }
            }
        }
        Some(Selected {
            backbone,
            norms: self.norms.clone(),
        })
    }
}

struct LoraAccess<'a, B: Backend, N: Module<B>> {
    module: &'a Lora<B, N>,
}

impl<B: KernelBackend, N: Tunable<B>> Access<B> for LoraAccess<'_, B, N> {
    fn at(&mut self, site: Site, input: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        let blocks = &self.module.sections[site.section];
        let updates = blocks
            .get(site.block)
            .and_then(|block| block.at(site.point));
        match updates {
            Some(factors) => add(update(factors, input.clone(), self.module.scale()), output),
            None => output,
        }
    }

    fn reads_mlp(&self) -> bool {
        let targets = &self.module.config.targets;
        targets.contains(&Target::Fc1) || targets.contains(&Target::Fc2)
    }
}
