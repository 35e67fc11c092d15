//! The cost of a training step: memory by use, and time.

use std::time::Instant;

use burn::module::Module;
use gradway_adapters::count;
use gradway_kernels::{KernelBackend, TrainBackend};
use serde::{Deserialize, Serialize};

use crate::config::RunConfig;
use crate::error::TrainError;
use crate::median::median;
use crate::memory;
use crate::model::Model;
use crate::step::Trainer;
use crate::task::{Task, TaskJob};

/// Bytes of a single-precision number.
const BYTES: usize = 4;

/// Peak memory of a step in bytes, by use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepBytes {
    /// Weights of backbone, method and head, trained or not.
    pub weights: usize,
    /// Gradients of the trained parameters.
    pub gradients: usize,
    /// The optimiser's state.
    pub optimizer: usize,
    /// The rest: tensors kept for the backward pass, and temporary buffers.
    pub activations: usize,
    /// The total.
    pub peak: usize,
}

/// The cost of a training step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepCost {
    /// Name of the method.
    pub method: String,
    /// Trainable parameters of the method.
    pub parameters: usize,
    /// Median wall time of a step in seconds.
    pub seconds: f64,
    /// Wall time of every timed step in seconds.
    pub all_seconds: Vec<f64>,
    /// Memory; `None` if it is not measured.
    pub bytes: Option<StepBytes>,
}

/// Measures some steps on the first batch of a configuration's data.
///
/// The first step is not timed, since it creates the optimiser's state. The batch itself is not counted. On the
/// CPU every byte is counted; GPU memory is sampled ([`memory::watch`]). Earlier work in the process changes
/// the state of its allocator and thread pools, so a comparison needs a new process for each measurement.
///
/// # Errors
///
/// [`TrainError`], as for a run.
pub fn step_cost<B: TrainBackend>(
    config: &RunConfig,
    steps: usize,
    device: &B::Device,
) -> Result<StepCost, TrainError> {
    config.validate()?;
    config.task.dispatch::<B, _>(Cost {
        config,
        steps,
        device,
    })
}

struct Cost<'a, B: TrainBackend> {
    config: &'a RunConfig,
    steps: usize,
    device: &'a B::Device,
}

impl<B: TrainBackend> TaskJob<B> for Cost<'_, B> {
    type Output = Result<StepCost, TrainError>;

    fn run<T: Task<B>>(self) -> Self::Output {
        cost_of::<B, T>(self.config, self.steps, self.device)
    }
}

fn cost_of<B: TrainBackend, T: Task<B>>(
    config: &RunConfig,
    steps: usize,
    device: &B::Device,
) -> Result<StepCost, TrainError> {
    // Tasks that are added alone have labels in training.
    let labels = T::labels(T::validation_loader(config)?.pipeline());
    let loader = T::training_loader(config)?;
    let batch = match loader.iter(0).next() {
        Some(batch) => vec![batch?],
        None => Vec::new(),
    };
    drop(loader);
    let gauge = B::InnerBackend::memory_gauge(device);
    let live = || memory::live_of(gauge.as_ref());
    let before = live();
    let mut model = Model::<B, T>::new(config, &labels, device)?;
    let mut trainer = Trainer::new(config, &model, steps + 1, device);
    let mut seconds = Vec::with_capacity(steps);
    let (mut peak, mut after) = (None, None);
    let sync = || B::sync(device).map_err(|error| TrainError::Device(error.to_string()));
    for index in 0..=steps {
        let start = Instant::now();
        let (next, report) = trainer.step(model, &batch)?;
        model = next;
        sync()?;
        if index > 0 {
            seconds.push(start.elapsed().as_secs_f64());
            peak = peak.max(report.peak_bytes);
        }
        after = live();
    }
    if let Some(gauge) = &gauge {
        // Reading the gauge takes time, so that this step is not timed.
        let (step, most) = memory::watch(gauge, || trainer.step(model, &batch));
        model = step?.0;
        sync()?;
        peak = Some(most);
    }
    let method = count::<B, _>(&model.trainable.method).total;
    let trained = method + count::<B, _>(&model.trainable.head).total;
    let weights = model.encoder.frozen_bytes() + BYTES * model.trainable.num_params();
    let bytes = match (before, after, peak) {
        (Some(before), Some(after), Some(peak)) => {
            let gradients = BYTES * trained;
            let peak = peak.saturating_sub(before);
            let optimizer = after.saturating_sub(before).saturating_sub(weights);
            Some(StepBytes {
                weights,
                gradients,
                optimizer,
                activations: peak.saturating_sub(weights + gradients + optimizer),
                peak,
            })
        }
        _ => None,
    };
    Ok(StepCost {
        method: config.method.descriptor().name.to_string(),
        parameters: method,
        seconds: median(seconds.iter().copied()),
        all_seconds: seconds,
        bytes,
    })
}
