//! The multi-task adapter on a gradient highway: the shared and task-specific parts of VMT-Adapter, beside a
//! frozen backbone as in E3VA. It is an extension of this library beyond both papers.
//!
//! ```text
//! frozen, untracked:  a_l, m_l the branches of block l, x_s the output of stage s
//! shared by tasks:    u_l = gelu(W_D z_l + b_D) for z_l in {a_l, m_l};  h <- h + W_U u_l + b_U
//! stage boundary:     h <- PatchMerging_frozen(h)
//! stream of task t:   t_s = sum over the stage's l of W_U (gamma_t * u_l + beta_t)
//! output for task t:  norm_s(x_s + h_s + t_s)
//! ```
//!
//! In a plain vision transformer only the patches reach an output. With [`Readout::Add`] the mean of `h` over the class and
//! register tokens is added to `h` of every patch, and the mean of `u_l` to `u_l` in the task streams.
//!
//! One pass through the backbone without a graph serves all tasks. No gradient passes through the backbone, and
//! neither the pass nor the memory that it keeps depends on the number of tasks. As in
//! [`vmt_adapter`](crate::vmt_adapter), a task's stream is one affine map of a stage's concatenated narrow
//! maps, computed when its decoder needs it. So the gradient of every task reaches every block of every stage
//! through a few products.
//!
//! With an eighth of the channels at both branches of a block, the bottlenecks have as many parameters as
//! VMT-Adapter's with a fourth at one branch.
//!
//! Memory: the backbone keeps nothing. Each bottleneck keeps its input and its narrow map, each stage the
//! concatenated narrow maps, each stage boundary and output norm one map.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Access, Backbone, Description, OutputNorms, Phase, Point, Site};
use gradway_kernels::{Activation, KernelBackend, Lift};
use serde::{Deserialize, Serialize};

use crate::bottleneck::{Bottleneck, Projection, narrow, widen};
use crate::count::Group;
use crate::extraction::{Extraction, ExtractionShape, ExtractionSource, KnowledgeExtraction};
use crate::highway::{Highway, Readout};
use crate::inserted::InsertionPoints;
use crate::method::{About, Method, Settings, in_range, unmergeable};
use crate::placement::Beside;
use crate::task_streams::{Merge, StageStreams, StreamBlocks, TaskStreams, feature_channels};

pub(crate) const ABOUT: About = About {
    name: "vmt_highway",
    summary: "shared bottlenecks on a highway beside the backbone, a task's scale and shift in each, and the output norms",
    source: "ours, based on arXiv 2306.09729 and 2312.08733",
    starts_frozen: false,
    merges: Err(unmergeable::HIGHWAY),
};

/// Configuration of [`VmtHighway`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VmtHighwayConfig {
    /// Number of tasks; a run sets it to its own number.
    pub tasks: usize,
    /// Width of the bottleneck: the channels divided by this.
    pub reduction: usize,
    /// Transform that a task applies to the map it extracts from.
    pub extraction: Extraction,
    /// The map that a task extracts from.
    pub place: ExtractionSource,
    /// The blocks that a task extracts from.
    pub streams: StreamBlocks,
    /// Combination of the generic map and a task's stream.
    pub merge: Merge,
    /// What class and register tokens do in an output, on a plain vision transformer.
    pub readout: Readout,
}

impl Default for VmtHighwayConfig {
    fn default() -> Self {
        Self {
            tasks: 1,
            reduction: 8,
            extraction: Extraction::default(),
            place: ExtractionSource::default(),
            streams: StreamBlocks::default(),
            merge: Merge::default(),
            readout: Readout::default(),
        }
    }
}

/// The bottleneck of a branch.
#[derive(Module, Debug)]
pub struct BranchAdapter<B: Backend> {
    /// The bottleneck; its output is zero at first.
    pub bottleneck: Bottleneck<B>,
    /// The module of every task, if the tasks extract from this block.
    pub tasks: Vec<KnowledgeExtraction<B>>,
}

/// The module of the method: everything on the highway, without the backbone.
#[derive(Module, Debug)]
pub struct VmtHighway<B: Backend> {
    /// Bottlenecks by section, block and branch.
    pub sections: Vec<Vec<Vec<BranchAdapter<B>>>>,
    /// Output norms, trained.
    pub norms: OutputNorms<B>,
    #[module(skip)]
    description: Description,
    #[module(skip)]
    config: VmtHighwayConfig,
}

impl VmtHighwayConfig {
    /// Initialises the module for a backbone with this description.
    pub fn init<B: Backend>(&self, description: &Description, device: &B::Device) -> VmtHighway<B> {
        let shape = ExtractionShape {
            extraction: self.extraction,
            source: self.place,
        };
        let sections = description.sections.iter().map(|section| {
            let channels = section.channels;
            let narrow = (channels / self.reduction).max(1);
            let branch = |extracts: bool| BranchAdapter {
                bottleneck: Bottleneck::new(channels, narrow, device),
                tasks: (0..if extracts { self.tasks } else { 0 })
                    .map(|_| KnowledgeExtraction::new(shape, [narrow, channels], device))
                    .collect(),
            };
            let block = |block| {
                let extracts = self.streams.extracts(section, block);
                let branches = description.branches.iter();
                branches.map(|_| branch(extracts)).collect()
            };
            (0..section.blocks).map(block).collect()
        });
        VmtHighway {
            sections: sections.collect(),
            norms: OutputNorms::new(description, device),
            description: description.clone(),
            config: self.clone(),
        }
    }
}

impl Settings for VmtHighwayConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("tasks", self.tasks)?;
        in_range("reduction", self.reduction)
    }

    fn published_groups(&self) -> &'static [Group] {
        &[]
    }

    fn tasks(&mut self) -> Option<&mut usize> {
        Some(&mut self.tasks)
    }

    fn feature_channels(&self, backbone: &Description) -> Vec<usize> {
        feature_channels(self.merge, backbone)
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        self.readout.misfit(backbone)
    }
}

impl<B: KernelBackend> BranchAdapter<B> {
    fn up(&self) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let up = &self.bottleneck.up;
        let weight = up.weight.val();
        let [_, channels] = weight.dims();
        let bias = match &up.bias {
            Some(bias) => bias.val(),
            None => Tensor::zeros([channels], &weight.device()),
        };
        (weight, bias)
    }

    /// The task's extraction from the narrow map.
    fn of_task(&self, task: usize, source: ExtractionSource) -> Option<Projection<B>> {
        let (up, bias) = self.up();
        let (weight, bias) = self.tasks.get(task)?.folded(source, up, bias);
        Some((weight, Some(bias)))
    }
}

impl<B: KernelBackend> Method<B> for VmtHighway<B> {
    type Shared = Vec<StageStreams<B>>;

    fn tasks(&self) -> usize {
        self.config.tasks
    }

    fn of_task(&self, streams: &Vec<StageStreams<B>>, task: usize) -> Vec<Tensor<B, 4>> {
        let (description, config) = (&self.description, &self.config);
        TaskStreams::of_task(description, streams, config.merge, &self.norms, |section| {
            let adapters = self.sections[section].iter().flatten();
            adapters
                .filter_map(|adapter| adapter.of_task(task, config.place))
                .collect()
        })
    }
}

impl<B: KernelBackend> Beside<B> for VmtHighway<B> {
    fn features<F: KernelBackend, L: Lift<F, B>>(
        &self,
        frozen: &impl Backbone<F>,
        images: Tensor<F, 4>,
        _phase: Phase,
    ) -> Vec<StageStreams<B>> {
        let mut taps = Taps::<B, F, L, _> {
            module: self,
            highway: Highway::new(frozen, self.config.readout),
            streams: TaskStreams::new(&self.description),
        };
        // The stage outputs are read at their access points; what the backbone returns is dropped.
        frozen.forward(images, Phase::Inference, &mut taps);
        taps.streams.into_stages()
    }
}

/// Runs the adapters during the forward pass of the frozen backbone.
struct Taps<'a, B: KernelBackend, F: KernelBackend, L: Lift<F, B>, N> {
    module: &'a VmtHighway<B>,
    highway: Highway<'a, B, F, L, N>,
    streams: TaskStreams<'a, B>,
}

impl<B, F, L, N> Access<F> for Taps<'_, B, F, L, N>
where
    B: KernelBackend,
    F: KernelBackend,
    L: Lift<F, B>,
    N: Backbone<F>,
{
    fn at(&mut self, site: Site, _input: &Tensor<F, 4>, output: Tensor<F, 4>) -> Tensor<F, 4> {
        let description = &self.module.description;
        let axis = description.axis;
        if let Some(branch) = InsertionPoints::Branches.index(description, site.point) {
            let adapter = &self.module.sections[site.section][site.block][branch];
            let down = &adapter.bottleneck.down;
            let down = (down.weight.val(), down.bias.as_ref().map(Param::val));
            let narrow = narrow(L::lift(output.clone()), down, axis, Activation::Gelu);
            if !adapter.tasks.is_empty() {
                self.streams.push(narrow.clone());
            }
            let (weight, bias) = adapter.up();
            self.highway.add(widen(narrow, (weight, Some(bias)), axis));
        }
        if site.point == Point::Section
            && let Some(generic) = self.highway.end_section(site.section, &output, true)
        {
            let map = |narrow| self.highway.map(narrow, &output);
            self.streams.end_section(site.section, generic, map);
        }
        output
    }
}
