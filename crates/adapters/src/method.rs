//! The traits of a tuning method.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{BatchStatistics, Description};
use gradway_kernels::KernelBackend;

use crate::count::Group;
use crate::shared::Shared;

/// The backend on which a method keeps the backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// On the inner backend: no gradient passes through it.
    Frozen,
    /// In the method's module, on the autodiff backend.
    Tracked,
}

/// The description of a method in the table.
#[derive(Debug, Clone)]
pub struct MethodDescriptor {
    /// Name in configurations and on the command line.
    pub name: &'static str,
    /// Description of what it trains, in one line.
    pub summary: &'static str,
    /// The publication.
    pub source: &'static str,
    /// The backend on which it keeps the backbone.
    pub placement: Placement,
    /// Whether the features are exactly those of the frozen backbone before training.
    pub starts_frozen: bool,
    /// Whether the trained parameters can be merged into the backbone, or the reason why not.
    pub merges: Result<(), &'static str>,
}

/// The part of a [`MethodDescriptor`] that the file of a method declares.
pub(crate) struct About {
    pub name: &'static str,
    pub summary: &'static str,
    pub source: &'static str,
    pub starts_frozen: bool,
    pub merges: Result<(), &'static str>,
}

impl About {
    /// Returns the descriptor of a method with this placement.
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

/// The configuration of a method.
pub trait Settings {
    /// Checks the fields.
    ///
    /// # Errors
    ///
    /// A message with the key and its value.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }

    /// Returns the groups whose sum the method's publication reports.
    fn published_groups(&self) -> &'static [Group];

    /// Returns the field with the number of tasks, if the method has a part for each task.
    fn tasks(&mut self) -> Option<&mut usize> {
        None
    }

    /// Whether tasks can be added to a trained model: nothing that the other tasks use may change.
    ///
    /// # Errors
    ///
    /// The reason why they cannot.
    fn adds_tasks(&self) -> Result<(), &'static str> {
        Ok(())
    }

    /// Returns the channels of a task's features, by stage.
    fn feature_channels(&self, backbone: &Description) -> Vec<usize> {
        backbone.stage_channels()
    }

    /// Returns why the method cannot tune a backbone with this description, if it cannot.
    fn misfit(&self, _backbone: &Description) -> Option<&'static str> {
        None
    }
}

/// The error that a method cannot tune a backbone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("method.name = \"{method}\" does not fit this backbone: {reason}")]
pub struct Misfit {
    /// Name of the method.
    pub method: &'static str,
    /// The reason.
    pub reason: &'static str,
}

/// The error that a method cannot be merged into the backbone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("method `{method}` cannot be merged into its backbone: {reason}")]
pub struct Unmergeable {
    /// Name of the method.
    pub method: &'static str,
    /// The reason.
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

/// The module of a method: everything it trains, and the computation of a task's features from the result of
/// one pass.
///
/// [`Beside`](crate::Beside) and [`Around`](crate::Around) define the pass.
pub trait Method<B: KernelBackend>: Module<B> {
    /// The result of one pass for all tasks. For a method without task-specific parts it is the features of
    /// every stage.
    type Shared: Shared<B>;

    /// Returns the number of tasks that it has a part for; 1 for a method without task-specific parts.
    fn tasks(&self) -> usize {
        1
    }

    /// Returns the features of a task for its neck: every stage, normalised, `[batch, channels, height, width]`.
    fn of_task(&self, shared: &Self::Shared, task: usize) -> Vec<Tensor<B, 4>>;
}

/// Maximum width, rank or number of parts of a method. Far larger values are mistakes, and must be rejected
/// before their memory is allocated.
const MOST: usize = 1 << 14;

/// Returns why batch norms cannot be trained as configured, if they cannot.
pub(crate) fn statistics_misfit(
    statistics: BatchStatistics,
    backbone: &Description,
) -> Option<&'static str> {
    (statistics == BatchStatistics::Trained && !backbone.batch_norms).then_some(
        "method.batch_statistics = \"trained\", but it has no batch norms, or its weight file has them only folded",
    )
}

/// Checks that a field is not zero and not too large.
pub(crate) fn in_range(field: &str, value: usize) -> Result<(), String> {
    match value {
        0 => Err(format!("method.{field} = 0; it must be at least 1")),
        1..=MOST => Ok(()),
        _ => Err(format!(
            "method.{field} = {value}; it must be at most {MOST}"
        )),
    }
}

/// Checks that a field is finite.
pub(crate) fn finite(field: &str, value: f64) -> Result<(), String> {
    match value.is_finite() {
        true => Ok(()),
        false => Err(format!("method.{field} = {value}; it must be a number")),
    }
}

/// Creates a parameter of a merged backbone from a value, without its graph.
pub(crate) fn parameter<B: Backend, const D: usize>(value: Tensor<B, D>) -> Param<Tensor<B, D>> {
    Param::from_tensor(value.detach())
}

/// Initialises a factor of a projection like PyTorch's linear weights: Kaiming uniform with `a = sqrt(5)`.
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
