//! The threaded loader: from a dataset to normalised batches.
//!
//! What an epoch yields depends on the seed and the epoch only. The order of the samples is drawn
//! from (seed, epoch) and the augmentation of a sample from (seed, epoch, position), never from a
//! generator that workers share: any number of workers gives the same batches, and an epoch can be
//! resumed at any batch without reading those before it.

mod batch;
mod workers;

use std::sync::Arc;

use rand::seq::SliceRandom;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::dataset::SegmentationDataset;
use crate::error::DataError;
use crate::normalize::Normalization;
use crate::transform::{AugmentConfig, EvaluationSize, invalid};

pub use batch::SegmentationBatch;
pub use workers::BatchIterator;

/// The largest number of worker threads a configuration may ask for.
const MAXIMUM_WORKERS: usize = 256;

/// Size, order and threads of a loader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Samples per batch.
    pub batch_size: usize,
    /// Threads that read and augment; 0 does it on the calling thread.
    pub workers: usize,
    /// Batches kept ready or under way at any time; bounds the memory.
    pub prefetch: usize,
    /// Whether to leave out the last batch of an epoch if it is not full (training only).
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
    /// Refuses values that make no sense.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`].
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

/// What happens to a sample between the dataset and the batch.
#[derive(Debug, Clone, PartialEq)]
enum Preparation {
    /// Augmented, and padded to the crop.
    Training(AugmentConfig),
    /// Resized, and padded to the largest of its batch.
    Evaluation(EvaluationSize),
}

/// Everything a worker needs.
struct Source {
    dataset: Arc<dyn SegmentationDataset>,
    preparation: Preparation,
    normalization: Normalization,
    config: LoaderConfig,
}

/// A loader of batches; cheap to clone, and free of state: every epoch is asked for by number.
#[derive(Clone)]
pub struct SegmentationLoader {
    source: Arc<Source>,
}

impl SegmentationLoader {
    /// A loader that augments, and by default shuffles and drops an incomplete last batch.
    ///
    /// # Errors
    /// Values that make no sense, and a dataset that does not fill a single batch.
    pub fn training(
        dataset: Arc<dyn SegmentationDataset>,
        augment: AugmentConfig,
        normalization: Normalization,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        augment.validate()?;
        Self::new(
            dataset,
            Preparation::Training(augment),
            normalization,
            config,
        )
    }

    /// A loader of whole images in the order of the dataset, each exactly once.
    ///
    /// `shuffle` and `drop_last` of the configuration do not apply.
    ///
    /// # Errors
    /// Values that make no sense, and an empty dataset.
    pub fn evaluation(
        dataset: Arc<dyn SegmentationDataset>,
        size: EvaluationSize,
        normalization: Normalization,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        size.validate()?;
        let config = LoaderConfig {
            shuffle: false,
            drop_last: false,
            ..config
        };
        Self::new(
            dataset,
            Preparation::Evaluation(size),
            normalization,
            config,
        )
    }

    fn new(
        dataset: Arc<dyn SegmentationDataset>,
        preparation: Preparation,
        normalization: Normalization,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        config.validate()?;
        normalization.validate()?;
        let loader = Self {
            source: Arc::new(Source {
                dataset,
                preparation,
                normalization,
                config,
            }),
        };
        if loader.samples() == 0 {
            let dataset = loader.source.dataset.name().into();
            return Err(DataError::EmptyDataset { dataset });
        }
        if loader.batches_per_epoch() == 0 {
            let expected = format!(
                "at most {}, the number of samples of dataset `{}`, or `drop_last = false`",
                loader.samples(),
                loader.source.dataset.name()
            );
            let batch_size = loader.config().batch_size;
            return Err(invalid("loader.batch_size", batch_size, expected));
        }
        Ok(loader)
    }

    /// The dataset the batches come from.
    pub fn dataset(&self) -> &Arc<dyn SegmentationDataset> {
        &self.source.dataset
    }

    /// The configuration in force.
    pub fn config(&self) -> &LoaderConfig {
        &self.source.config
    }

    /// The normalisation in force.
    pub fn normalization(&self) -> &Normalization {
        &self.source.normalization
    }

    /// Number of samples of the dataset.
    pub fn samples(&self) -> usize {
        self.source.dataset.len()
    }

    /// Number of batches of every epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.source.batches()
    }

    /// The batches of an epoch.
    pub fn iter(&self, epoch: u64) -> BatchIterator {
        self.iter_from(epoch, 0)
    }

    /// The batches of an epoch from `first_batch` on; those before are not read.
    pub fn iter_from(&self, epoch: u64, first_batch: usize) -> BatchIterator {
        let order = Arc::new(self.source.order(epoch));
        BatchIterator::new(Arc::clone(&self.source), order, epoch, first_batch)
    }
}

/// What a generator is for; keeps the streams of one seed apart.
#[derive(Clone, Copy)]
enum Stream {
    Order = 0,
    Augmentation = 1,
}

impl Source {
    fn batches(&self) -> usize {
        let (samples, size) = (self.dataset.len(), self.config.batch_size);
        if self.config.drop_last {
            samples / size
        } else {
            samples.div_ceil(size)
        }
    }

    /// The sample at every position of an epoch.
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.dataset.len()).collect();
        if self.config.shuffle {
            order.shuffle(&mut self.generator(Stream::Order, epoch, 0));
        }
        order
    }

    /// The generator of one purpose, epoch and position.
    ///
    /// The key of the stream cipher is the tuple itself, so no two tuples share numbers.
    fn generator(&self, stream: Stream, epoch: u64, position: u64) -> impl RngCore + use<> {
        let mut key = [0; 32];
        let words = [self.config.seed, epoch, position, stream as u64];
        for (part, word) in key.chunks_exact_mut(8).zip(words) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}
