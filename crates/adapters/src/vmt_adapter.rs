//! VMT-Adapter: one adapter for many dense tasks (Xin et al. 2024, arXiv 2312.08733).
//!
//! ```text
//! u     = gelu(W_D z + b_D)                            shared by all tasks
//! y_gen = x' + MLP(LN x') + s (W_U u + b_U)            goes on to the next block
//! t_t  += s W_U (gamma_t * u + beta_t)                 the stream of task t, a sum over a stage's blocks
//! output of stage s for task t: norm_s(y_gen + t_t)
//! ```
//!
//! with `z = LN x'` or `x'`. One pass through the backbone serves all tasks. A task's stream in a stage is one
//! affine map of the concatenated narrow maps of its blocks (see [`extraction`](crate::extraction)), and is
//! computed when the task's decoder needs it: neither the pass nor the memory that it keeps depends on the
//! number of tasks.
//!
//! The publication does not state which blocks the streams come from. With a module in every block (`streams =
//! "every_block"`) four tasks on Swin-T train 1.093 M parameters, 0.99 % of four backbones; with one in the
//! last block of a stage (`"stage_end"`) 1.087 M, which rounds to the same share.
//!
//! In a ConvNeXt the norm of a block, and with it `z`, comes after the depthwise convolution. On an EfficientNet-Lite the
//! adapter reads the output of the branch, since a branch changes the shape of its input, and sections that do not end a
//! stage have no task modules. These are extensions of this library.
//!
//! Memory: gradients pass through the whole backbone; each adapter also keeps its narrow map, and each stage
//! the concatenated narrow maps of its blocks.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{
    Access, BatchStatistics, Description, OutputNorms, ParameterPath, Phase, Point, Section, Site,
    Tunable,
};
use gradway_kernels::{Activation, ChannelAxis, KernelBackend, add};
use serde::{Deserialize, Serialize};

use crate::bottleneck::{Projection, narrow, widen};
use crate::count::Group;
use crate::extraction::{Extraction, ExtractionShape, ExtractionSource, KnowledgeExtraction};
use crate::method::{About, Method, Settings, finite, in_range, unmergeable};
use crate::placement::Around;
use crate::task_streams::{Merge, StageStreams, StreamBlocks, TaskStreams, feature_channels};
use crate::track::track_backbone;

pub(crate) const ABOUT: About = About {
    name: "vmt_adapter",
    summary: "shared bottlenecks beside the MLPs, a task's scale and shift in each, and the output norms",
    source: "VMT-Adapter, arXiv 2312.08733",
    starts_frozen: true,
    merges: Err(unmergeable::ACTIVATION),
};

/// The default of `reduction`.
const REDUCTION: usize = 4;

/// Input of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// `LN x'`, the input of the MLP.
    #[default]
    PostNorm,
    /// `x'`.
    PreNorm,
}

/// Trained parameters of the backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainedBackbone {
    /// Nothing.
    #[default]
    None,
    /// Its norms.
    Norms,
}

/// Configuration of [`VmtAdapter`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VmtAdapterConfig {
    /// Number of tasks; a run sets it to its own number.
    pub tasks: usize,
    /// Width of the bottleneck: the channels divided by this. The default is 4, and 6 in the Lite form.
    pub reduction: Option<usize>,
    /// Transform that a task applies to the map it extracts from.
    pub extraction: Extraction,
    /// The map that a task extracts from.
    pub place: ExtractionSource,
    /// The blocks that a task extracts from.
    pub streams: StreamBlocks,
    /// Combination of the generic map and a task's stream.
    pub merge: Merge,
    /// Input of an adapter.
    pub input: Input,
    /// Initial scale of an adapter's output.
    pub scale: f64,
    /// Whether every block learns its scale.
    pub learn_scale: bool,
    /// Trained parameters of the backbone.
    pub others: TrainedBackbone,
}

impl Default for VmtAdapterConfig {
    fn default() -> Self {
        Self {
            tasks: 1,
            reduction: None,
            extraction: Extraction::default(),
            place: ExtractionSource::default(),
            streams: StreamBlocks::default(),
            merge: Merge::default(),
            input: Input::default(),
            scale: 1.0,
            learn_scale: false,
            others: TrainedBackbone::default(),
        }
    }
}

/// The adapter of a block.
#[derive(Module, Debug)]
pub struct SharedAdapter<B: Backend> {
    /// `[channels, narrow]`
    pub down: Linear<B>,
    /// `[narrow, channels]`, zero at first; `None` if it is the transpose of the down projection.
    pub up: Option<Param<Tensor<B, 2>>>,
    /// `[channels]`
    pub up_bias: Param<Tensor<B, 1>>,
    /// `[1]`, if it is learnt.
    pub scale: Option<Param<Tensor<B, 1>>>,
    /// The module of every task, if the tasks extract from this block.
    pub tasks: Vec<KnowledgeExtraction<B>>,
}

/// The module of VMT-Adapter and VMT-Adapter-Lite.
#[derive(Module, Debug)]
pub struct VmtAdapter<B: Backend, N: Module<B>> {
    /// The backbone, frozen except for its norms if they are trained.
    pub backbone: N,
    /// Adapters by section and block.
    pub sections: Vec<Vec<SharedAdapter<B>>>,
    /// Output norms, trained.
    pub norms: OutputNorms<B>,
    #[module(skip)]
    config: VmtAdapterConfig,
}

impl VmtAdapterConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> VmtAdapter<B, N> {
        let reduction = self.reduction.unwrap_or(REDUCTION);
        self.init_with(reduction, false, backbone, device)
    }

    /// Initialises the module. If `is_tied`, the up projections are the transposes of the down projections.
    pub(crate) fn init_with<B: KernelBackend, N: Tunable<B>>(
        &self,
        reduction: usize,
        is_tied: bool,
        backbone: N,
        device: &B::Device,
    ) -> VmtAdapter<B, N> {
        let description = backbone.description();
        let sections = description.sections.iter().map(|section| {
            let narrow = (section.channels / reduction).max(1);
            let block = |block| self.adapter(is_tied, section, block, narrow, device);
            (0..section.blocks).map(block).collect()
        });
        let norms = |path: &ParameterPath| {
            self.others == TrainedBackbone::Norms && path.role().kind.is_norm()
        };
        VmtAdapter {
            sections: sections.collect(),
            backbone: track_backbone(backbone, norms, BatchStatistics::Frozen),
            norms: OutputNorms::new(&description, device),
            config: self.clone(),
        }
    }

    fn adapter<B: Backend>(
        &self,
        is_tied: bool,
        section: &Section,
        block: usize,
        narrow: usize,
        device: &B::Device,
    ) -> SharedAdapter<B> {
        let channels = section.channels;
        let shape = ExtractionShape {
            extraction: self.extraction,
            source: self.place,
        };
        let tasks = match self.streams.extracts(section, block) {
            true => self.tasks,
            false => 0,
        };
        let task = |_| KnowledgeExtraction::new(shape, [narrow, channels], device);
        SharedAdapter {
            down: LinearConfig::new(channels, narrow).init(device),
            up: (!is_tied).then(|| Initializer::Zeros.init([narrow, channels], device)),
            up_bias: Initializer::Zeros.init([channels], device),
            scale: self.learn_scale.then(|| {
                let value = self.scale;
                Initializer::Constant { value }.init([1], device)
            }),
            tasks: (0..tasks).map(task).collect(),
        }
    }
}

impl Settings for VmtAdapterConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("tasks", self.tasks)?;
        in_range("reduction", self.reduction.unwrap_or(REDUCTION))?;
        finite("scale", self.scale)
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }

    fn tasks(&mut self) -> Option<&mut usize> {
        Some(&mut self.tasks)
    }

    fn feature_channels(&self, backbone: &Description) -> Vec<usize> {
        feature_channels(self.merge, backbone)
    }
}

impl<B: KernelBackend> SharedAdapter<B> {
    fn narrow(&self, x: Tensor<B, 4>, axis: ChannelAxis) -> Tensor<B, 4> {
        let bias = self.down.bias.as_ref().map(Param::val);
        narrow(x, (self.down.weight.val(), bias), axis, Activation::Gelu)
    }

    /// The up projection times the scale.
    fn up(&self, scale: f64) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let weight = match &self.up {
            Some(up) => up.val(),
            None => self.down.weight.val().transpose(),
        };
        let bias = self.up_bias.val();
        match &self.scale {
            Some(factor) => {
                let factor = factor.val();
                (weight * factor.clone().unsqueeze(), bias * factor)
            }
            None if scale == 1.0 => (weight, bias),
            None => (weight.mul_scalar(scale), bias.mul_scalar(scale)),
        }
    }

    /// The task's extraction from the narrow map.
    fn of_task(&self, task: usize, config: &VmtAdapterConfig) -> Option<Projection<B>> {
        let (up, bias) = self.up(config.scale);
        let (weight, bias) = self.tasks.get(task)?.folded(config.place, up, bias);
        Some((weight, Some(bias)))
    }
}

impl<B: KernelBackend, N: Tunable<B>> Method<B> for VmtAdapter<B, N> {
    type Shared = Vec<StageStreams<B>>;

    fn tasks(&self) -> usize {
        self.config.tasks
    }

    fn of_task(&self, streams: &Vec<StageStreams<B>>, task: usize) -> Vec<Tensor<B, 4>> {
        let description = self.backbone.description();
        let blocks = |section: usize| {
            let blocks = self.sections[section].iter();
            blocks.filter_map(|block| block.of_task(task, &self.config))
        };
        TaskStreams::of_task(
            &description,
            streams,
            self.config.merge,
            &self.norms,
            |section| blocks(section).collect(),
        )
    }
}

impl<B: KernelBackend, N: Tunable<B>> Around<B, N> for VmtAdapter<B, N> {
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Vec<StageStreams<B>> {
        let description = self.backbone.description();
        let mut access = VmtAdapterAccess {
            module: self,
            normed: None,
            streams: TaskStreams::new(&description),
        };
        self.backbone.forward(images, phase, &mut access);
        access.streams.into_stages()
    }
}

/// Adds the adapters and keeps the maps that the tasks extract from.
struct VmtAdapterAccess<'a, B: KernelBackend, N: Module<B>> {
    module: &'a VmtAdapter<B, N>,
    /// The input of the current block's MLP.
    normed: Option<Tensor<B, 4>>,
    streams: TaskStreams<'a, B>,
}

impl<B: KernelBackend, N: Tunable<B>> Access<B> for VmtAdapterAccess<'_, B, N> {
    fn at(&mut self, site: Site, input: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        let description = self.streams.description();
        let axis = description.axis;
        let last_branch = description.branches.last() == Some(&site.point);
        match site.point {
            Point::MlpNorm if self.module.config.input == Input::PostNorm => {
                self.normed = Some(output.clone());
            }
            Point::Section => {
                let backbone = &self.module.backbone;
                let map = |narrow| backbone.stage_map(narrow, axis.size(output.dims()));
                self.streams.end_section(site.section, output.clone(), map);
            }
            _ => {}
        }
        if !last_branch {
            return output;
        }
        let read = match (description.has_mlps(), self.normed.take()) {
            (true, Some(normed)) => normed,
            (true, None) => input.clone(),
            (false, _) => output.clone(),
        };
        let config = &self.module.config;
        let adapter = &self.module.sections[site.section][site.block];
        let narrow = adapter.narrow(read, axis);
        if !adapter.tasks.is_empty() {
            self.streams.push(narrow.clone());
        }
        let (weight, bias) = adapter.up(config.scale);
        add(widen(narrow, (weight, Some(bias)), axis), output)
    }
}
