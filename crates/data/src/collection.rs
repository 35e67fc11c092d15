//! Collections of samples: the input of loaders.

use std::sync::Arc;

use burn_dataset::Dataset;

use crate::error::DataError;

/// The metadata of a collection.
pub trait Metadata: Clone + Send + Sync + 'static {
    /// Returns the name of the dataset, for messages.
    fn name(&self) -> &str;
}

/// The samples of a split, which are read on demand, with their metadata.
///
/// It is created from any [`Dataset`] of Burn whose items are results of samples, and is one itself, so Burn's
/// mappers, shuffles and samplers work on it.
#[derive(Clone)]
pub struct Collection<S, A> {
    samples: Arc<dyn Dataset<Result<S, DataError>>>,
    metadata: A,
    ids: Arc<dyn Fn(usize) -> String + Send + Sync>,
}

impl<S, A: Metadata> Collection<S, A> {
    /// Creates a collection from a dataset.
    pub fn new(samples: impl Dataset<Result<S, DataError>> + 'static, metadata: A) -> Self {
        Self {
            samples: Arc::new(samples),
            metadata,
            ids: Arc::new(|index| index.to_string()),
        }
    }

    /// Sets the identifiers of the samples, which must be known without reading them. The default is the index.
    pub fn with_ids(self, ids: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        Self {
            ids: Arc::new(ids),
            ..self
        }
    }

    /// Returns the metadata.
    pub fn metadata(&self) -> &A {
        &self.metadata
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the identifier of sample `index`.
    pub fn id(&self, index: usize) -> String {
        (self.ids)(index)
    }

    /// Reads sample `index`.
    ///
    /// # Errors
    /// The error of the sample, or an index out of range.
    pub fn read(&self, index: usize) -> Result<S, DataError> {
        self.samples.get(index).unwrap_or_else(|| {
            Err(DataError::IndexOutOfRange {
                dataset: self.metadata.name().to_string(),
                index,
                len: self.len(),
            })
        })
    }
}

impl<S, A: Metadata> Dataset<Result<S, DataError>> for Collection<S, A> {
    fn get(&self, index: usize) -> Option<Result<S, DataError>> {
        self.samples.get(index)
    }

    fn len(&self) -> usize {
        self.samples.len()
    }
}
