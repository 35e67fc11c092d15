//! The contract of a tuning method.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{BatchStatistics, Description};
use gradway_kernels::KernelBackend;

use crate::count::Group;
use crate::selected::Selected;
use crate::shared::Shared;

/// Where a method keeps the backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// On the inner backend: nothing is back-propagated through it.
    Frozen,
    /// Inside the method's module, on the backend that differentiates.
    Tracked,
}

/// What the table says of a method.
#[derive(Debug, Clone)]
pub struct MethodDescriptor {
    /// Name in configurations and on the command line.
    pub name: &'static str,
    /// What it trains, in a line.
    pub summary: &'static str,
    /// Where it was published.
    pub source: &'static str,
    /// Where it keeps the backbone.
    pub placement: Placement,
    /// Whether the features are at first exactly those of the frozen backbone.
    pub starts_frozen: bool,
    /// Whether what is trained can become part of the backbone's own parameters, or why not.
    pub merges: Result<(), &'static str>,
}

/// What the file of a method says of it: a [`MethodDescriptor`] without what follows from its row of the table.
pub(crate) struct About {
    pub name: &'static str,
    pub summary: &'static str,
    pub source: &'static str,
    pub starts_frozen: bool,
    pub merges: Result<(), &'static str>,
}

impl About {
    /// The descriptor of a method in this part of the table.
    pub(crate) const fn placed(self, placement: Placement) -> MethodDescriptor {
        MethodDescriptor {
            name: self.name,
            summary: self.summary,
            source: self.source,
            placement,
            starts_frozen: self.starts_frozen,
            merges: self.merges,
        }
    }
}

/// What the configuration of a method says beside its fields.
pub trait Settings {
    /// What is wrong with the fields, if anything: the key and why.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and its value.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }

    /// The groups whose sum the method's publication prints.
    fn published_groups(&self) -> &'static [Group];

    /// The field that holds the number of tasks, of a method that has a part for each.
    fn tasks(&mut self) -> Option<&mut usize> {
        None
    }

    /// Why tasks cannot be added to a trained model of it, where they cannot: nothing that the other tasks use may
    /// change.
    ///
    /// # Errors
    ///
    /// The reason.
    fn adds_tasks(&self) -> Result<(), &'static str> {
        Ok(())
    }

    /// Channels of the features of a task, by stage.
    fn feature_channels(&self, backbone: &Description) -> Vec<usize> {
        backbone.stage_channels()
    }

    /// Why the method cannot tune a backbone of this description, if it cannot.
    fn misfit(&self, _backbone: &Description) -> Option<&'static str> {
        None
    }
}

/// A method on a backbone that it cannot tune.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("method.name = \"{method}\" does not fit this backbone: {reason}")]
pub struct Misfit {
    /// Name of the method.
    pub method: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// A method whose work cannot become part of the backbone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("method `{method}` cannot be merged into its backbone: {reason}")]
pub struct Unmergeable {
    /// Name of the method.
    pub method: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// Reasons that several methods share.
pub(crate) mod unmergeable {
    pub(crate) const ACTIVATION: &str = "it has an activation between its projections";
    pub(crate) const HIGHWAY: &str = "it adds the output of a highway beside the backbone";
    pub(crate) const PROMPTS: &str = "its prompts take part in attention";
    pub(crate) const TASKS: &str = "each task has its own weights";
    pub(crate) const NOTHING: &str = "it does not change the backbone";
}

/// The module of a method: everything it trains, and how a task's features come of what one pass makes of images.
///
/// How the pass goes says [`Beside`](crate::Beside) or [`Around`](crate::Around).
pub trait Method<B: KernelBackend>: Module<B> {
    /// What one pass makes of images for all tasks: the features of every stage, of a method that knows no tasks.
    type Shared: Shared<B>;

    /// The backbone with what was trained in its own parameters, and the output norms; none where the
    /// [descriptor](MethodDescriptor::merges) says why not.
    fn merged(&self) -> Option<Selected<B>> {
        None
    }

    /// Tasks that it has a part for; 1 of a method that knows no tasks.
    fn tasks(&self) -> usize {
        1
    }

    /// The features that the neck of a task receives: every stage, normalised, in
    /// `[batch, channels, height, width]`.
    fn of_task(&self, shared: &Self::Shared, task: usize) -> Vec<Tensor<B, 4>>;
}

/// The largest width, rank or number of parts of a method: what goes far beyond any backbone is a slip, and its
/// memory is asked for before anybody could say so.
const MOST: usize = 1 << 14;

/// Why batch norms cannot be trained as a method is told to, if they cannot.
pub(crate) fn statistics_misfit(
    statistics: BatchStatistics,
    backbone: &Description,
) -> Option<&'static str> {
    (statistics == BatchStatistics::Trained && !backbone.batch_norms).then_some(
        "method.batch_statistics = \"trained\", but it has no batch norms, or its weight file has them only folded",
    )
}

/// Refuses a field that is zero, or beyond all reason.
pub(crate) fn in_range(field: &str, value: usize) -> Result<(), String> {
    match value {
        0 => Err(format!("method.{field} = 0; it must be at least 1")),
        1..=MOST => Ok(()),
        _ => Err(format!(
            "method.{field} = {value}; it must be at most {MOST}"
        )),
    }
}

/// Refuses a field that is no number.
pub(crate) fn finite(field: &str, value: f64) -> Result<(), String> {
    match value.is_finite() {
        true => Ok(()),
        false => Err(format!("method.{field} = {value}; it must be a number")),
    }
}

/// A parameter of a merged backbone, without the graph of what it was made of.
pub(crate) fn parameter<B: Backend, const D: usize>(value: Tensor<B, D>) -> Param<Tensor<B, D>> {
    Param::from_tensor(value.detach())
}

/// A factor of a projection as PyTorch draws linear weights: Kaiming uniform of the square root of 5.
pub(crate) fn kaiming<B: Backend, const D: usize>(
    shape: [usize; D],
    inputs: usize,
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    let initializer = Initializer::KaimingUniform {
        gain: 1.0 / 3f64.sqrt(),
        fan_out_only: false,
    };
    initializer.init_with(shape, Some(inputs), None, device)
}
