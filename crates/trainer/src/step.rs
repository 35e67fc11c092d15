//! One optimiser step.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use gradway_adapters::settle;
use gradway_backbone::{AnyBackbone, Phase, TrainBackbone};
use gradway_kernels::{KernelBackend as _, TrainBackend, read, reads};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::Serialize;

use crate::config::RunConfig;
use crate::error::TrainError;
use crate::guard::Guard;
use crate::memory;
use crate::model::{Model, Trainable};
use crate::optimizer::{Optimizer, squares};
use crate::schedule::Schedule;
use crate::task::{BatchOf, Loss, Task};

/// The loss, time and memory of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// Number of optimiser steps done, including this one.
    pub step: usize,
    /// Mean loss of the forward passes.
    pub loss: f64,
    /// The terms of the loss by name, if there is more than one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub losses: BTreeMap<String, f64>,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Global norm of the gradients before clipping.
    pub gradient_norm: f64,
    /// Number of images in the step.
    pub images: usize,
    /// Wall time in seconds, without reading the batch.
    pub seconds: f64,
    /// Number of times the host waited for the device.
    pub reads: usize,
    /// Peak number of live bytes during the step, in the memory that the device computes in, everything
    /// included; `None` if it was not measured.
    pub peak_bytes: Option<usize>,
    /// Peak number of live bytes of the host's memory, if the device has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_peak_bytes: Option<usize>,
}

/// Runs optimiser steps on a model.
pub struct Trainer<B: TrainBackend, T: Task<B>, N: TrainBackbone<B> = AnyBackbone<B>> {
    pub(crate) optimizer: Optimizer<B, Trainable<B, T::Head, N>>,
    schedule: Schedule,
    seed: u64,
    pub(crate) steps_done: usize,
    pub(crate) guard: Guard,
    /// Pixels of the largest step whose device memory was measured; `None` if none is to be measured.
    watched: Option<usize>,
    /// Whether this process has run a step.
    is_warm: bool,
    device: B::Device,
}

impl<B: TrainBackend, T: Task<B>, N: TrainBackbone<B>> Trainer<B, T, N> {
    /// A trainer for a run of `steps` steps.
    pub fn new(
        config: &RunConfig,
        model: &Model<B, T, N>,
        steps: usize,
        device: &B::Device,
    ) -> Self {
        let rate = config.optimizer.rate(config.total_batch());
        // A configuration that was not checked: the rate as it stands.
        let rate = rate.unwrap_or(config.optimizer.learning_rate);
        Self {
            optimizer: Optimizer::new(&config.optimizer, &model.trainable, model.encoder.depths()),
            schedule: Schedule::new(config.schedule.clone(), rate, steps),
            seed: config.seed,
            steps_done: 0,
            guard: Guard::default(),
            watched: None,
            is_warm: false,
            device: device.clone(),
        }
    }

    /// Resumes after `steps` steps with the optimiser's saved moments.
    ///
    /// # Errors
    ///
    /// The message of Burn's recorder.
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

    /// Measures the peak device memory of steps. Measuring slows a step down, so only steps larger than all
    /// before are measured, and not the first one, in which kernels are tuned.
    pub(crate) fn watched(self) -> Self {
        Self {
            watched: Some(0),
            ..self
        }
    }

    /// Runs one optimiser step on the mean gradient of `batches`, with one forward pass each.
    ///
    /// The model is moved in and out, so that its parameters can be updated in place.
    ///
    /// # Errors
    ///
    /// [`TrainError`] of the loss; [`TrainError::NotFinite`] if the loss or the norm of the gradients is not
    /// finite, before anything changes; [`TrainError::Unreached`] if a trained parameter has no gradient in the
    /// first step.
    pub fn step(
        &mut self,
        model: Model<B, T, N>,
        batches: &[BatchOf<B, T>],
    ) -> Result<(Model<B, T, N>, StepReport), TrainError> {
        let gauge = B::InnerBackend::memory_gauge(&self.device);
        let pixels = |batch: &BatchOf<B, T>| batch.shape().iter().product();
        let pixels = batches.iter().map(pixels).max().unwrap_or(0);
        let is_watched = self.is_warm && self.watched.is_some_and(|largest| pixels > largest);
        let work = || self.take_step(model, batches);
        let (taken, peak) = memory::peak_of(gauge.as_ref(), is_watched, work);
        let (model, mut report) = taken?;
        report.peak_bytes = peak.device;
        report.host_peak_bytes = peak.host;
        self.is_warm = true;
        if is_watched {
            self.watched = Some(pixels);
        }
        Ok((model, report))
    }

    /// As [`Self::step`], without measuring memory.
    fn take_step(
        &mut self,
        mut model: Model<B, T, N>,
        batches: &[BatchOf<B, T>],
    ) -> Result<(Model<B, T, N>, StepReport), TrainError> {
        let (start, reads_before) = (Instant::now(), reads());
        let step = self.steps_done;
        let images: usize = batches.iter().map(|batch| batch.shape()[0]).sum();
        // Of the images, whose number is another in the last batch of an epoch that is not dropped.
        let share = |batch: &BatchOf<B, T>| batch.shape()[0] as f64 / images as f64;
        let mut sum = GradientsAccumulator::new();
        // What is reported stays on the device until all of it is there.
        let (mut names, mut reported) = (Vec::new(), Vec::new());
        for (pass, batch) in batches.iter().enumerate() {
            let share = share(batch);
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
        let may_wait = |path: &str| model.task().waits_for_objects(path);
        self.guard
            .step(&model.trainable, &gradients, may_wait)
            .map_err(|parameters| TrainError::Unreached { parameters })?;
        reported.push(squares(&model.trainable, &gradients));
        // One read for all, before the update: no step is taken along what is no number.
        let reported = read(Tensor::cat(reported, 0));
        let reported: Vec<f64> = reported.iter().collect();
        let (mut mean_loss, mut losses) = (0.0, BTreeMap::new());
        let mut passes = batches.iter();
        let mut of_pass = 0.0;
        for (name, &value) in names.into_iter().zip(&reported) {
            if let Some(name) = name {
                *losses.entry(name).or_default() += value * of_pass;
                continue;
            }
            // The total of a pass comes before its parts.
            let Some(batch) = passes.next() else {
                unreachable!("a total for every pass")
            };
            if !value.is_finite() {
                return Err(self.not_finite("the loss", value, std::slice::from_ref(batch)));
            }
            of_pass = share(batch);
            mean_loss += value * of_pass;
        }
        let gradient_norm = reported.last().map_or(0.0, |squares| squares.sqrt());
        if !gradient_norm.is_finite() {
            let what = "the norm of the gradients";
            return Err(self.not_finite(what, gradient_norm, batches));
        }
        let learning_rate = self.schedule.rate(step);
        let trainable = model.trainable;
        model.trainable = self
            .optimizer
            .update(learning_rate, trainable, gradients, gradient_norm);
        if step == 0 && B::InnerBackend::memory_gauge(&self.device).is_some() {
            // Now that all of it is there; and where it was is given back.
            model.encoder = model.encoder.settled();
            model.trainable = settle(model.trainable);
            B::memory_cleanup(&self.device);
        }
        self.steps_done += 1;
        let report = StepReport {
            step: self.steps_done,
            loss: mean_loss,
            losses,
            learning_rate,
            gradient_norm,
            images,
            seconds: start.elapsed().as_secs_f64(),
            reads: reads() - reads_before,
            peak_bytes: None,
            host_peak_bytes: None,
        };
        Ok((model, report))
    }

    /// The error that a value of these batches is not finite.
    fn not_finite(&self, what: &'static str, value: f64, batches: &[BatchOf<B, T>]) -> TrainError {
        let images = batches
            .iter()
            .flat_map(BatchOf::<B, T>::ids)
            .map(String::from);
        TrainError::NotFinite {
            what,
            value,
            step: self.steps_done + 1,
            images: images.collect(),
        }
    }
}

/// The seed of a forward pass: a function of the run's seed and the position, so that a resumed run draws the
/// same random numbers as an uninterrupted one.
fn pass_seed(seed: u64, step: usize, pass: usize) -> u64 {
    let mut key = [0; 32];
    let words = [seed, step as u64, pass as u64];
    for (part, word) in key.chunks_exact_mut(8).zip(words) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key).next_u64()
}
