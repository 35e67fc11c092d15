//! One optimiser step.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use gradway_adapters::settle;
use gradway_backbone::Phase;
use gradway_data::ImageBatch;
use gradway_kernels::{KernelBackend as _, TrainBackend, read, reads};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::Serialize;

use crate::config::RunConfig;
use crate::error::TrainError;
use crate::guard::unreached;
use crate::memory;
use crate::model::{Model, Trainable};
use crate::optimizer::Optimizer;
use crate::schedule::Schedule;
use crate::task::{BatchOf, Loss, Task};

/// What a step was like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// Optimiser steps done, this one included.
    pub step: usize,
    /// Mean loss of the forward passes.
    pub loss: f64,
    /// What it is the sum of, by name, where there is more than one part.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub losses: BTreeMap<String, f64>,
    /// Rate of this step.
    pub learning_rate: f64,
    /// Global norm of the gradients before clipping.
    pub gradient_norm: f64,
    /// Images seen.
    pub images: usize,
    /// Wall time without reading the batch.
    pub seconds: f64,
    /// How often the host has waited for the device.
    pub reads: usize,
    /// Most live bytes during the step, everything included; none where nobody counts.
    pub peak_bytes: Option<usize>,
}

/// Takes optimiser steps on a model.
pub struct Trainer<B: TrainBackend, T: Task<B>> {
    pub(crate) optimizer: Optimizer<B, Trainable<B, T::Head>>,
    schedule: Schedule,
    seed: u64,
    pub(crate) steps_done: usize,
    device: B::Device,
}

impl<B: TrainBackend, T: Task<B>> Trainer<B, T> {
    /// A trainer for a run of `steps` steps.
    pub fn new(config: &RunConfig, model: &Model<B, T>, steps: usize, device: &B::Device) -> Self {
        let rate = config.optimizer.rate(config.total_batch());
        // A configuration that was not checked: the rate as it stands.
        let rate = rate.unwrap_or(config.optimizer.learning_rate);
        Self {
            optimizer: Optimizer::new(&config.optimizer, &model.trainable, model.encoder.depths()),
            schedule: Schedule::new(config.schedule.clone(), rate, steps),
            seed: config.seed,
            steps_done: 0,
            device: device.clone(),
        }
    }

    /// Goes on after `steps` steps with the optimiser's saved moments.
    ///
    /// # Errors
    ///
    /// What the recorder says.
    pub fn resume(
        mut self,
        steps: usize,
        moments: [Vec<u8>; 2],
        device: &B::Device,
    ) -> Result<Self, String> {
        self.optimizer = self.optimizer.restore(moments, device)?;
        self.steps_done = steps;
        Ok(self)
    }

    /// One optimiser step on the mean of the gradients of `batches`, a forward pass each.
    ///
    /// The model goes in and comes out so that its parameters can be updated where they are.
    ///
    /// # Errors
    ///
    /// [`TrainError`] of the loss; [`TrainError::Diverged`] where the loss is not a finite number; [`TrainError::Unreached`] in the
    /// first step where a trained parameter has no gradient.
    pub fn step(
        &mut self,
        mut model: Model<B, T>,
        batches: &[BatchOf<B, T>],
    ) -> Result<(Model<B, T>, StepReport), TrainError> {
        let (start, reads_before) = (Instant::now(), reads());
        memory::reset_peak();
        let step = self.steps_done;
        let share = 1.0 / batches.len() as f64;
        let mut sum = GradientsAccumulator::new();
        // What is reported stays on the device until the step is sent: nothing waits for it before.
        let (mut names, mut reported) = (Vec::new(), Vec::new());
        for (pass, batch) in batches.iter().enumerate() {
            let phase = Phase::Training {
                seed: pass_seed(self.seed, step, pass),
            };
            let Loss { total: loss, parts } = model.loss(batch, phase, &self.device)?;
            names.push(None);
            reported.push(loss.clone().inner());
            for (name, part) in parts {
                names.push(Some(name));
                reported.push(part);
            }
            let gradients = if batches.len() == 1 {
                loss.backward()
            } else {
                (loss * share).backward()
            };
            let gradients = GradientsParams::from_grads(gradients, &model.trainable);
            sum.accumulate(&model.trainable, gradients);
        }
        let gradients = sum.grads();
        if step == 0 {
            let parameters = unreached(&model.trainable, &gradients);
            if !parameters.is_empty() {
                return Err(TrainError::Unreached { parameters });
            }
        }
        let learning_rate = self.schedule.rate(step);
        let (trainable, squares) = self
            .optimizer
            .step(learning_rate, model.trainable, gradients);
        model.trainable = trainable;
        if step == 0 && B::InnerBackend::memory_gauge(&self.device).is_some() {
            // Now that all of it is there; and where it was is given back.
            model.encoder = model.encoder.settled();
            model.trainable = settle(model.trainable);
            B::memory_cleanup(&self.device);
        }
        // One read for all.
        reported.push(squares);
        let reported = read(Tensor::cat(reported, 0));
        let reported: Vec<f64> = reported.iter().collect();
        let (mut mean_loss, mut losses) = (0.0, BTreeMap::new());
        for (name, value) in names.into_iter().zip(&reported) {
            match name {
                Some(name) => *losses.entry(name).or_default() += value * share,
                None if value.is_finite() => mean_loss += value * share,
                None => return Err(TrainError::Diverged { step, loss: *value }),
            }
        }
        let gradient_norm = reported.last().map_or(0.0, |squares| squares.sqrt());
        self.steps_done += 1;
        let report = StepReport {
            step: self.steps_done,
            loss: mean_loss,
            losses,
            learning_rate,
            gradient_norm,
            images: batches.iter().map(|batch| batch.shape()[0]).sum(),
            seconds: start.elapsed().as_secs_f64(),
            reads: reads() - reads_before,
            peak_bytes: memory::peak(),
        };
        Ok((model, report))
    }
}

/// The seed of a forward pass: a function of the run's seed and the position, so that a resumed run
/// draws what an undisturbed one draws.
fn pass_seed(seed: u64, step: usize, pass: usize) -> u64 {
    let mut key = [0; 32];
    let words = [seed, step as u64, pass as u64];
    for (part, word) in key.chunks_exact_mut(8).zip(words) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key).next_u64()
}
