//! Collections of detection samples.

use std::path::PathBuf;
use std::sync::Arc;

use burn_dataset::Dataset;

use super::sample::{DetectionDataset, DetectionSample};
use super::skipped::Skipped;
use crate::collection::{Collection, Metadata};
use crate::error::DataError;
use crate::labels::palette::PaletteRule;

/// A collection of detection samples.
pub type DetectionCollection = Collection<DetectionSample, DetectionMetadata>;

/// The metadata of detection samples.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionMetadata {
    /// Name of the dataset.
    pub name: String,
    /// Names of the classes, by index.
    pub classes: Vec<String>,
    /// One RGB colour per class.
    pub palette: Vec<[u8; 3]>,
    /// Category identifier of every class in result files.
    pub category_ids: Vec<u64>,
    /// Annotations and images that the dataset skips.
    pub skipped: Skipped,
    /// The COCO JSON file of the annotations, if there is one, to evaluate against.
    pub annotation_file: Option<PathBuf>,
}

impl Metadata for DetectionMetadata {
    fn name(&self) -> &str {
        &self.name
    }
}

impl DetectionMetadata {
    /// Creates metadata for these classes, whose category identifiers are counted from 1.
    pub fn new(
        name: impl Into<String>,
        classes: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let classes: Vec<String> = classes.into_iter().map(Into::into).collect();
        Self {
            name: name.into(),
            palette: PaletteRule::VocColormap.colors(classes.len()),
            category_ids: (1..).take(classes.len()).collect(),
            classes,
            skipped: Skipped::default(),
            annotation_file: None,
        }
    }
}

impl DetectionCollection {
    /// Creates a collection of all samples of a dataset.
    pub fn of(dataset: Arc<dyn DetectionDataset>) -> Self {
        let metadata = DetectionMetadata {
            name: dataset.name().to_string(),
            classes: dataset.classes().to_vec(),
            palette: dataset.palette().to_vec(),
            category_ids: dataset.category_ids().to_vec(),
            skipped: dataset.skipped(),
            annotation_file: dataset.annotation_file().map(PathBuf::from),
        };
        let named = Arc::clone(&dataset);
        Self::new(All(dataset), metadata).with_ids(move |index| named.id(index))
    }
}

/// All samples of a dataset.
struct All(Arc<dyn DetectionDataset>);

impl Dataset<Result<DetectionSample, DataError>> for All {
    fn get(&self, index: usize) -> Option<Result<DetectionSample, DataError>> {
        (index < self.0.len()).then(|| self.0.get(index))
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}
