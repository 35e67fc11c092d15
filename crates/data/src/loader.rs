//! The threaded loader: from a dataset to normalised batches.
//!
//! The batches of an epoch depend only on the seed and the epoch. The order of the samples is drawn from (seed,
//! epoch) and the augmentation of a sample from (seed, epoch, position), never from a generator that workers
//! share. So any number of workers produces the same batches, and an epoch can be resumed at any batch without
//! reading those before it.
//!
//! Burn's own loaders also accept a [`crate::Collection`], but their order and augmentation depend on the
//! number of workers, and an epoch cannot be resumed.
//!
//! A [`Pipeline`] defines samples and batches: [`crate::DenseLoader`] and [`crate::detection::DetectionLoader`]
//! are the same loader with different pipelines.

mod fingerprint;
mod workers;

use std::sync::Arc;

use image::RgbImage;
use rand::seq::SliceRandom;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, BatchItem};
use crate::error::DataError;
use crate::transform::invalid;

pub use workers::BatchIterator;

/// Maximum number of worker threads in a configuration.
const MAXIMUM_WORKERS: usize = 256;

/// Configuration of a loader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Samples per batch.
    pub batch_size: usize,
    /// Number of threads that read and augment; 0 uses the calling thread.
    pub workers: usize,
    /// Maximum number of batches that are ready or in progress at any time; it bounds the memory.
    pub prefetch: usize,
    /// Whether to drop the last batch of an epoch if it is incomplete (training only).
    pub drop_last: bool,
    /// Whether to shuffle the samples of every epoch (training only).
    pub shuffle: bool,
    /// Seed of the order and of the augmentation.
    pub seed: u64,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 8,
            workers: 2,
            prefetch: 4,
            drop_last: true,
            shuffle: true,
            seed: 0,
        }
    }
}

impl LoaderConfig {
    /// Returns the configuration for evaluation, which reads every sample exactly once in the order of the dataset.
    pub(crate) fn for_evaluation(self) -> Self {
        Self {
            shuffle: false,
            drop_last: false,
            ..self
        }
    }

    /// Checks that all values are valid.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] for the first invalid value.
    pub fn validate(&self) -> Result<(), DataError> {
        if self.batch_size == 0 {
            let expected = "at least 1 sample";
            return Err(invalid("loader.batch_size", self.batch_size, expected));
        }
        if self.prefetch == 0 {
            let expected = "at least 1 batch";
            return Err(invalid("loader.prefetch", self.prefetch, expected));
        }
        if self.workers > MAXIMUM_WORKERS {
            let expected = format!("0 to {MAXIMUM_WORKERS} threads");
            return Err(invalid("loader.workers", self.workers, expected));
        }
        Ok(())
    }
}

/// The pipeline of a loader: reads and prepares samples, and assembles batches.
pub trait Pipeline: Send + Sync + 'static {
    /// A sample that has been read and prepared.
    type Sample: Send;
    /// The labels of a sample in a batch.
    type Item: BatchItem + Send;

    /// Returns the name of the dataset.
    fn name(&self) -> &str;

    /// Returns the number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the identifier of sample `index`.
    fn id(&self, index: usize) -> String;

    /// Returns the unprepared image of sample `index`.
    ///
    /// # Errors
    /// The error of the sample.
    fn image(&self, index: usize) -> Result<RgbImage, DataError>;

    /// Reads sample `index` and prepares it; all randomness comes from `rng`.
    ///
    /// # Errors
    /// The error of the sample.
    fn prepare(&self, index: usize, rng: &mut impl RngCore) -> Result<Self::Sample, DataError>;

    /// Assembles a batch of samples.
    fn assemble(&self, samples: Vec<Self::Sample>) -> Batch<Self::Item>;
}

/// The data that all workers share.
struct Source<P> {
    pipeline: P,
    config: LoaderConfig,
}

/// A loader of batches. It is cheap to clone and has no state: every epoch is requested by number.
pub struct Loader<P> {
    source: Arc<Source<P>>,
}

impl<P> Clone for Loader<P> {
    fn clone(&self) -> Self {
        Self {
            source: Arc::clone(&self.source),
        }
    }
}

impl<P: Pipeline> Loader<P> {
    /// Creates a loader for a pipeline.
    ///
    /// # Errors
    /// If the configuration is invalid, or the dataset is empty or does not fill a single batch.
    pub fn new(pipeline: P, config: LoaderConfig) -> Result<Self, DataError> {
        config.validate()?;
        let source = Arc::new(Source { pipeline, config });
        let loader = Self { source };
        if loader.samples() == 0 {
            let dataset = loader.pipeline().name().into();
            return Err(DataError::EmptyDataset { dataset });
        }
        if loader.batches_per_epoch() == 0 {
            let expected = format!(
                "at most {}, the number of samples of dataset `{}`, or `loader.drop_last = false`",
                loader.samples(),
                loader.pipeline().name()
            );
            let batch_size = loader.config().batch_size;
            return Err(invalid("loader.batch_size", batch_size, expected));
        }
        Ok(loader)
    }

    /// Returns the pipeline.
    pub fn pipeline(&self) -> &P {
        &self.source.pipeline
    }

    /// Returns the configuration.
    pub fn config(&self) -> &LoaderConfig {
        &self.source.config
    }

    /// Returns the number of samples of the dataset.
    pub fn samples(&self) -> usize {
        self.source.pipeline.len()
    }

    /// Returns the number of batches of every epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.source.batches()
    }

    /// Returns the batches of an epoch.
    pub fn iter(&self, epoch: u64) -> BatchIterator<P> {
        self.iter_from(epoch, 0)
    }

    /// Returns the batches of an epoch from `first_batch` on; earlier batches are not read.
    pub fn iter_from(&self, epoch: u64, first_batch: usize) -> BatchIterator<P> {
        let order = Arc::new(self.source.order(epoch));
        BatchIterator::new(Arc::clone(&self.source), order, epoch, first_batch)
    }
}

/// The purpose of a random generator, which separates the streams of one seed.
#[derive(Clone, Copy)]
enum Stream {
    Order = 0,
    Augmentation = 1,
}

impl<P: Pipeline> Source<P> {
    fn batches(&self) -> usize {
        let (samples, size) = (self.pipeline.len(), self.config.batch_size);
        if self.config.drop_last {
            samples / size
        } else {
            samples.div_ceil(size)
        }
    }

    /// Returns the sample index at every position of an epoch.
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.pipeline.len()).collect();
        if self.config.shuffle {
            order.shuffle(&mut self.generator(Stream::Order, epoch, 0));
        }
        order
    }

    /// Returns the generator for a purpose, epoch and position.
    ///
    /// The key of the stream cipher is the tuple itself, so no two tuples share random numbers.
    fn generator(&self, stream: Stream, epoch: u64, position: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        let words = [self.config.seed, epoch, position, stream as u64];
        for (part, word) in key.chunks_exact_mut(8).zip(words) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }

    /// Loads batch `index` of an epoch; `None` if `stop` returns `true` in the meantime.
    fn batch(
        &self,
        order: &[usize],
        epoch: u64,
        index: usize,
        stop: impl Fn() -> bool,
    ) -> Result<Option<Batch<P::Item>>, DataError> {
        let first = index * self.config.batch_size;
        let last = (first + self.config.batch_size).min(order.len());
        let mut samples = Vec::with_capacity(last.saturating_sub(first));
        let positions = order.iter().enumerate().take(last).skip(first);
        for (position, &sample) in positions {
            if stop() {
                return Ok(None);
            }
            let mut rng = self.generator(Stream::Augmentation, epoch, position as u64);
            samples.push(self.pipeline.prepare(sample, &mut rng)?);
        }
        Ok(Some(self.pipeline.assemble(samples)))
    }
}
