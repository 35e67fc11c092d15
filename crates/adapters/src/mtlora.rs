//! MTLoRA: low-rank updates that the tasks share in every block, and task-specific updates in the last block of
//! every stage (Agiza et al. 2024, arXiv 2403.20320).
//!
//! ```text
//! shared:  y = W x + b + s B A x                       queries, keys and values; projection; both of the MLP
//! task t, in the last block of a stage, z the output of the heads, x the block's input:
//!   a_t = x + W_P z + s_t B_t A_t z
//!   h_t = gelu(W_1 LN x' + b_1 + s_t B_t A_t LN a_t)   x' the shared stream after attention
//!   y_t = a_t + W_2 h + b_2 + s_t B_t A_t h_t          h the shared map of the MLP
//! output of the stage for task t: norm(y_t)
//! ```
//!
//! Norms, the projections of patch mergings and relative position bias tables are trained too. The
//! task-specific part branches off the shared pass and never returns to it: one pass serves all tasks, and the
//! features of a task are computed when its decoder needs them, without stochastic depth. In the publication a
//! decoder reads a task's map after the patch merging; here it reads it before, after an output norm. The
//! shared updates after attention in the very last block would reach no decoder. They are left out here, but
//! included in the published count.
//!
//! On Swin-T with rank 64, a task rank of 4, four tasks and the HRNet-like decoders it has 7.75 M parameters
//! without the output norms; with the updates that reach no decoder 8.34 M, as published.
//!
//! Memory: gradients pass through the whole backbone; each task also keeps a wide map in every stage while its
//! graph is alive.

use std::vec;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{
    Access, BatchStatistics, Description, Kind, OutputNorms, Owner, ParameterPath, Phase, Point,
    Role, Section, Site, TransformerBlock, Tunable,
};
use gradway_kernels::{ChannelAxis, KernelBackend, add, gelu};
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::lora::{Factors, update};
use crate::method::{About, Method, Settings, finite, in_range, unmergeable};
use crate::placement::Around;
use crate::shared::Shared;
use crate::track::track_backbone;

pub(crate) const ABOUT: About = About {
    name: "mtlora",
    summary: "low-rank updates of every projection, one per task at the end of a stage, and the norms and patch mergings",
    source: "MTLoRA, arXiv 2403.20320",
    starts_frozen: true,
    merges: Err(unmergeable::TASKS),
};

/// Configuration of [`Mtlora`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MtloraConfig {
    /// Number of tasks; a run sets it to its own number.
    pub tasks: usize,
    /// Rank of an update that the tasks share.
    pub rank: usize,
    /// Rank of an update of a task.
    pub task_rank: usize,
    /// Scale of an update that the tasks share.
    pub scale: f64,
    /// Scale of an update of a task.
    pub task_scale: f64,
}

impl Default for MtloraConfig {
    fn default() -> Self {
        Self {
            tasks: 1,
            rank: 64,
            task_rank: 4,
            scale: 4.0,
            task_scale: 4.0,
        }
    }
}

/// The updates of a block that the tasks share.
#[derive(Module, Debug)]
pub struct SharedUpdates<B: Backend> {
    /// Update of the fused projection to queries, keys and values.
    pub qkv: Factors<B>,
    /// Updates of the other layers; `None` in the very last block, where they would reach no task.
    pub rest: Option<Updates<B>>,
}

/// The updates of a block after the attention heads.
#[derive(Module, Debug)]
pub struct Updates<B: Backend> {
    /// Update of the output projection of attention.
    pub proj: Factors<B>,
    /// Update of the MLP's first layer.
    pub fc1: Factors<B>,
    /// Update of the MLP's second layer.
    pub fc2: Factors<B>,
}

/// The task-specific updates of the last block of a stage.
#[derive(Module, Debug)]
pub struct StageEnd<B: Backend> {
    /// Updates by task.
    pub tasks: Vec<Updates<B>>,
}

/// The module of MTLoRA.
#[derive(Module, Debug)]
pub struct Mtlora<B: Backend, N: Module<B>> {
    /// The backbone, frozen except for norms, the projections of patch mergings and relative position bias tables.
    pub backbone: N,
    /// Shared updates by section and block.
    pub sections: Vec<Vec<SharedUpdates<B>>>,
    /// Task-specific updates by section.
    pub ends: Vec<StageEnd<B>>,
    /// Output norms, trained.
    pub norms: OutputNorms<B>,
    #[module(skip)]
    config: MtloraConfig,
}

impl MtloraConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> Mtlora<B, N> {
        let description = backbone.description();
        let count = description.sections.len();
        let sections = description.sections.iter().enumerate();
        let sections = sections.map(|(index, section)| {
            let block = |block| {
                let is_last = index + 1 == count && block + 1 == section.blocks;
                let channels = section.channels;
                SharedUpdates {
                    qkv: Factors::new([channels, 3 * channels], self.rank, device),
                    rest: (!is_last).then(|| Updates::new(section, self.rank, device)),
                }
            };
            (0..section.blocks).map(block).collect()
        });
        let ends = description.sections.iter().map(|section| {
            let task = |_| Updates::new(section, self.task_rank, device);
            StageEnd {
                tasks: (0..self.tasks).map(task).collect(),
            }
        });
        let chosen = |path: &ParameterPath| {
            let Role { owner, kind } = path.role();
            owner == Owner::Transition || kind.is_norm() || kind == Kind::PositionBias
        };
        Mtlora {
            sections: sections.collect(),
            ends: ends.collect(),
            norms: OutputNorms::new(&description, device),
            backbone: track_backbone(backbone, chosen, BatchStatistics::Frozen),
            config: self.clone(),
        }
    }
}

impl<B: Backend> Updates<B> {
    fn new(section: &Section, rank: usize, device: &B::Device) -> Self {
        let channels = section.channels;
        // A convolutional backbone is refused before.
        let hidden = section.hidden.unwrap_or(channels);
        Self {
            proj: Factors::new([channels, channels], rank, device),
            fc1: Factors::new([channels, hidden], rank, device),
            fc2: Factors::new([hidden, channels], rank, device),
        }
    }
}

impl Settings for MtloraConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("tasks", self.tasks)?;
        in_range("rank", self.rank)?;
        in_range("task_rank", self.task_rank)?;
        finite("scale", self.scale)?;
        finite("task_scale", self.task_scale)
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter, Group::Bias, Group::Other]
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        if !backbone.is_transformer() {
            return Some("it updates the projections of a transformer");
        }
        // Its tasks branch off inside a block whose branches are not scaled.
        backbone
            .has_tokens
            .then_some("its tasks branch off from the stages of a hierarchical transformer")
    }

    fn tasks(&mut self) -> Option<&mut usize> {
        Some(&mut self.tasks)
    }
}

impl<B: KernelBackend> SharedUpdates<B> {
    fn at(&self, point: Point) -> Option<&Factors<B>> {
        let rest = self.rest.as_ref();
        match point {
            Point::QueryKeyValue => Some(&self.qkv),
            Point::Projection => rest.map(|rest| &rest.proj),
            Point::MlpIn => rest.map(|rest| &rest.fc1),
            Point::MlpOut => rest.map(|rest| &rest.fc2),
            _ => None,
        }
    }
}

/// The maps of a stage's last block that the tasks branch off from.
#[derive(Debug, Clone)]
pub struct StageMaps<B: Backend> {
    /// The concatenated output of the attention heads.
    pub mixed: Tensor<B, 4>,
    /// The residual stream after attention, without an update.
    pub middle: Tensor<B, 4>,
    /// The output of the MLP's first layer, without an update.
    pub wide: Tensor<B, 4>,
    /// The output of the MLP's second layer, without an update.
    pub branch: Tensor<B, 4>,
}

impl<B: KernelBackend> Shared<B> for StageMaps<B> {
    fn collect(&self, maps: &mut Vec<Tensor<B, 4>>) {
        for map in [&self.mixed, &self.middle, &self.wide, &self.branch] {
            map.collect(maps);
        }
    }

    fn replaced(&self, maps: &mut vec::IntoIter<Tensor<B, 4>>) -> Self {
        Self {
            mixed: self.mixed.replaced(maps),
            middle: self.middle.replaced(maps),
            wide: self.wide.replaced(maps),
            branch: self.branch.replaced(maps),
        }
    }
}

impl<B: KernelBackend, N: Tunable<B>> Method<B> for Mtlora<B, N> {
    type Shared = Vec<StageMaps<B>>;

    fn tasks(&self) -> usize {
        self.config.tasks
    }

    fn of_task(&self, stages: &Vec<StageMaps<B>>, task: usize) -> Vec<Tensor<B, 4>> {
        let sections = self.backbone.description().sections;
        let sections = sections.iter().enumerate().zip(stages);
        let stages = sections.filter_map(|((section, shape), maps)| {
            let last = shape.blocks - 1;
            let block = self.backbone.transformer_block(section, last)?;
            let map = self.end_of_stage(maps, block, &self.ends[section].tasks[task]);
            Some(self.norms.forward(shape.stage?, map, ChannelAxis::Last))
        });
        stages.collect()
    }
}

impl<B: KernelBackend, N: Tunable<B>> Around<B, N> for Mtlora<B, N> {
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Vec<StageMaps<B>> {
        let mut access = MtloraAccess {
            module: self,
            current: BlockMaps::default(),
            stages: Vec::new(),
        };
        self.backbone.forward(images, phase, &mut access);
        access.stages
    }
}

impl<B: KernelBackend, N: Tunable<B>> Mtlora<B, N> {
    /// `y_t` of the last block of a stage.
    fn end_of_stage(
        &self,
        maps: &StageMaps<B>,
        block: &dyn TransformerBlock<B>,
        updates: &Updates<B>,
    ) -> Tensor<B, 4> {
        let StageMaps {
            mixed,
            middle,
            wide,
            branch,
        } = maps;
        let own = |factors: &Factors<B>, x| update(factors.values(), x, self.config.task_scale);
        let middle = add(own(&updates.proj, mixed.clone()), middle.clone());
        let normed = block.before_mlp(middle.clone());
        let wide = gelu(add(own(&updates.fc1, normed), wide.clone()));
        let branch = add(own(&updates.fc2, wide), branch.clone());
        add(branch, middle)
    }
}

/// Adds the shared updates and keeps the maps that the tasks branch off from.
struct MtloraAccess<'a, B: KernelBackend, N: Module<B>> {
    module: &'a Mtlora<B, N>,
    current: BlockMaps<B>,
    stages: Vec<StageMaps<B>>,
}

/// The maps of a stage's last block that are computed so far.
struct BlockMaps<B: KernelBackend> {
    mixed: Option<Tensor<B, 4>>,
    /// The output of the attention projection.
    projected: Option<Tensor<B, 4>>,
    middle: Option<Tensor<B, 4>>,
    wide: Option<Tensor<B, 4>>,
}

impl<B: KernelBackend> Default for BlockMaps<B> {
    fn default() -> Self {
        Self {
            mixed: None,
            projected: None,
            middle: None,
            wide: None,
        }
    }
}

impl<B: KernelBackend> BlockMaps<B> {
    /// Records the map at a point; returns all maps of the block at the last point.
    fn take(
        &mut self,
        point: Point,
        input: &Tensor<B, 4>,
        output: &Tensor<B, 4>,
    ) -> Option<StageMaps<B>> {
        match point {
            Point::Projection => {
                self.mixed = Some(input.clone());
                self.projected = Some(output.clone());
            }
            Point::AttentionResidual => {
                let projected = self.projected.take();
                self.middle = projected.map(|projected| add(projected, input.clone()));
            }
            Point::MlpIn => self.wide = Some(output.clone()),
            Point::MlpOut => {
                return Some(StageMaps {
                    mixed: self.mixed.take()?,
                    middle: self.middle.take()?,
                    wide: self.wide.take()?,
                    branch: output.clone(),
                });
            }
            _ => {}
        }
        None
    }
}

impl<B: KernelBackend, N: Tunable<B>> Access<B> for MtloraAccess<'_, B, N> {
    fn at(&mut self, site: Site, input: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        let blocks = &self.module.sections[site.section];
        if site.block + 1 == blocks.len() {
            let maps = self.current.take(site.point, input, &output);
            self.stages.extend(maps);
        }
        let updates = blocks
            .get(site.block)
            .and_then(|block| block.at(site.point));
        match updates {
            Some(factors) => {
                let scale = self.module.config.scale;
                add(update(factors.values(), input.clone(), scale), output)
            }
            None => output,
        }
    }

    fn reads_mlp(&self) -> bool {
        true
    }
}
