//! Any method that holds its backbone, applied once per task: the cost of a single-task method for several tasks.
//!
//! These are the rows of multi-task tables that are named after a single-task method (Adapter, LoRA, BitFit,
//! VPT, Compacter). The same methods by their own names are shared by all tasks.
//!
//! Memory: one pass through the backbone per task; the frozen weights are in memory once.

use burn::module::{
    AutodiffModule, Content, Devices, EmptyRecord, Module, ModuleDisplay, ModuleDisplayDefault,
    ModuleMapper, ModuleVisitor,
};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use gradway_backbone::{Description, Phase, Tunable};
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{About, Method, Settings, in_range};
use crate::placement::Around;
use crate::table::{Holding, HoldingConfig, MethodConfig};

pub(crate) const ABOUT: About = About {
    name: "per_task",
    summary: "a copy of another method for each task",
    source: "the usual baseline",
    starts_frozen: true,
    merges: Err("each task has its own backbone"),
};

/// The container's name for module visitors.
const NAME: &str = "PerTask";

/// Configuration of [`PerTask`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PerTaskConfig {
    /// Number of tasks; a run sets it to its own number.
    pub tasks: usize,
    /// The method, which must be one that holds its backbone.
    pub method: Box<HoldingConfig>,
}

impl Default for PerTaskConfig {
    fn default() -> Self {
        Self {
            tasks: 1,
            method: Box::new(HoldingConfig::Adapter(Default::default())),
        }
    }
}

/// One module per task.
///
/// It is a module of the table that holds other modules of the table, which Burn's derived records cannot
/// express. Trained parameters are saved by path ([`collect`](crate::collect)), which needs no records.
#[derive(Debug)]
pub struct PerTask<B: Backend, N: Module<B>> {
    /// Modules by task.
    pub tasks: Vec<Holding<B, N>>,
}

// Derived, it would not ask that the backbone can be displayed, as Burn's derived modules do.
impl<B: Backend, N: Module<B> + ModuleDisplay> Clone for PerTask<B, N> {
    fn clone(&self) -> Self {
        Self {
            tasks: self.tasks.clone(),
        }
    }
}

impl<B: Backend, N: Module<B> + ModuleDisplay> PerTask<B, N> {
    fn each(self, f: impl FnMut(Holding<B, N>) -> Holding<B, N>) -> Self {
        Self {
            tasks: self.tasks.into_iter().map(f).collect(),
        }
    }
}

impl<B: Backend, N: Module<B> + ModuleDisplay> Module<B> for PerTask<B, N> {
    type Record = EmptyRecord;

    fn collect_devices(&self, devices: Devices<B>) -> Devices<B> {
        let tasks = self.tasks.iter();
        tasks.fold(devices, |devices, task| task.collect_devices(devices))
    }

    fn fork(self, device: &B::Device) -> Self {
        self.each(|task| task.fork(device))
    }

    fn to_device(self, device: &B::Device) -> Self {
        self.each(|task| task.to_device(device))
    }

    fn visit<V: ModuleVisitor<B>>(&self, visitor: &mut V) {
        visitor.enter_module("tasks", NAME);
        self.tasks.visit(visitor);
        visitor.exit_module("tasks", NAME);
    }

    fn map<M: ModuleMapper<B>>(self, mapper: &mut M) -> Self {
        mapper.enter_module("tasks", NAME);
        let tasks = self.tasks.map(mapper);
        mapper.exit_module("tasks", NAME);
        Self { tasks }
    }

    fn load_record(self, _record: EmptyRecord) -> Self {
        self
    }

    fn into_record(self) -> EmptyRecord {
        EmptyRecord::new()
    }
}

impl<B, N> AutodiffModule<B> for PerTask<B, N>
where
    B: AutodiffBackend,
    N: AutodiffModule<B, InnerModule: ModuleDisplay> + ModuleDisplay,
{
    type InnerModule = PerTask<B::InnerBackend, N::InnerModule>;

    fn valid(&self) -> Self::InnerModule {
        PerTask {
            tasks: self.tasks.iter().map(AutodiffModule::valid).collect(),
        }
    }

    fn from_inner(module: Self::InnerModule) -> Self {
        let tasks = module.tasks.into_iter();
        Self {
            tasks: tasks.map(AutodiffModule::from_inner).collect(),
        }
    }
}

impl<B: Backend, N: Module<B> + ModuleDisplay> ModuleDisplayDefault for PerTask<B, N> {
    fn content(&self, content: Content) -> Option<Content> {
        content
            .add_formatted(&format!("{NAME} of {} tasks", self.tasks.len()))
            .optional()
    }
}

impl<B: Backend, N: Module<B> + ModuleDisplay> ModuleDisplay for PerTask<B, N> {}

impl PerTaskConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> PerTask<B, N> {
        let task = |_| self.method.init(backbone.clone(), device);
        PerTask {
            tasks: (0..self.tasks).map(task).collect(),
        }
    }
}

impl PerTaskConfig {
    /// Returns the method's configuration.
    fn method(&self) -> MethodConfig {
        (*self.method).clone().into()
    }
}

impl Settings for PerTaskConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("tasks", self.tasks)?;
        let method = self.method();
        if method.knows_tasks() {
            return Err(format!(
                "method.method.name = \"{}\"; it must be a method of one task",
                method.descriptor().name
            ));
        }
        method.validate()
    }

    fn published_groups(&self) -> &'static [Group] {
        self.method().published_groups()
    }

    fn tasks(&mut self) -> Option<&mut usize> {
        Some(&mut self.tasks)
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        let misfit = self.method().check(backbone).err();
        misfit.map(|misfit| misfit.reason)
    }
}

impl<B: KernelBackend, N: Tunable<B>> Method<B> for PerTask<B, N> {
    /// The features of every task.
    type Shared = Vec<Vec<Tensor<B, 4>>>;

    fn tasks(&self) -> usize {
        self.tasks.len()
    }

    fn of_task(&self, tasks: &Vec<Vec<Tensor<B, 4>>>, task: usize) -> Vec<Tensor<B, 4>> {
        tasks[task].clone()
    }
}

impl<B: KernelBackend, N: Tunable<B>> Around<B, N> for PerTask<B, N> {
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Vec<Vec<Tensor<B, 4>>> {
        let tasks = self.tasks.iter().enumerate();
        tasks
            .map(|(index, task)| {
                let phase = phase.stream(&format!("task {index}"));
                task.features(images.clone(), phase)
            })
            .collect()
    }
}
