//! Samples and what they have in common: what loaders take.

use std::sync::Arc;

use burn_dataset::Dataset;

use crate::error::DataError;

/// What the samples of a dataset have in common.
pub trait About: Clone + Send + Sync + 'static {
    /// Name of the dataset, for messages.
    fn name(&self) -> &str;
}

/// The samples of a split, read when asked for, and what they have in common.
///
/// It is made of any [`Dataset`] of Burn whose items are samples or why there is none, and is one itself, so
/// that Burn's mappers, shuffles and samplers take it.
#[derive(Clone)]
pub struct Collection<S, A> {
    samples: Arc<dyn Dataset<Result<S, DataError>>>,
    about: A,
    ids: Arc<dyn Fn(usize) -> String + Send + Sync>,
}

impl<S, A: About> Collection<S, A> {
    /// The samples of a dataset.
    pub fn new(samples: impl Dataset<Result<S, DataError>> + 'static, about: A) -> Self {
        Self {
            samples: Arc::new(samples),
            about,
            ids: Arc::new(|index| index.to_string()),
        }
    }

    /// The same where identifiers of samples are known without reading these; else they are their places,
    /// counted from 0.
    pub fn with_ids(self, ids: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        Self {
            ids: Arc::new(ids),
            ..self
        }
    }

    /// What the samples have in common.
    pub fn about(&self) -> &A {
        &self.about
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Identifier of sample `index`.
    pub fn id(&self, index: usize) -> String {
        (self.ids)(index)
    }

    /// Reads sample `index`.
    ///
    /// # Errors
    /// What is wrong with the sample, or an index beyond the end.
    pub fn read(&self, index: usize) -> Result<S, DataError> {
        self.samples.get(index).unwrap_or_else(|| {
            Err(DataError::IndexOutOfRange {
                dataset: self.about.name().to_string(),
                index,
                len: self.len(),
            })
        })
    }
}

impl<S, A: About> Dataset<Result<S, DataError>> for Collection<S, A> {
    fn get(&self, index: usize) -> Option<Result<S, DataError>> {
        self.samples.get(index)
    }

    fn len(&self) -> usize {
        self.samples.len()
    }
}
