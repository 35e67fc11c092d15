//! Synthetic scenes as a dataset: nothing to download, every sample a function of its index.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::dataset::{SegmentationDataset, SegmentationSample, Split};
use crate::datasets::{DatasetDescriptor, DatasetFormat, Opened, Task};
use crate::error::DataError;
use crate::label::LabelMap;
use crate::scenes::{self, CLASSES, PALETTE, SceneConfig};
use crate::transform::invalid;

/// Validation scenes start here, far beyond any number of training scenes, so that changing the
/// number of training scenes leaves them as they are.
const FIRST_VALIDATION_SCENE: u64 = 1 << 40;

/// A split whose pixels and labels fit in this many bytes is rendered once and kept: every epoch
/// asks for the same scenes again, and rendering one takes longer than reading one would.
const KEPT_BYTES: u64 = 256 << 20;

/// Configuration of synthetic scenes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticConfig {
    /// Width of the images in pixels.
    pub width: u32,
    /// Height of the images in pixels.
    pub height: u32,
    /// Number of training scenes.
    pub train_samples: usize,
    /// Number of validation scenes; none of them is a training scene.
    pub val_samples: usize,
    /// Seed of the scenes: another seed is another dataset.
    pub seed: u64,
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self {
            width: 128,
            height: 128,
            train_samples: 256,
            val_samples: 64,
            seed: 0,
        }
    }
}

impl SyntheticConfig {
    fn validate(&self) -> Result<(), DataError> {
        for (key, edge) in [("data.width", self.width), ("data.height", self.height)] {
            if !(8..=8192).contains(&edge) {
                return Err(invalid(key, edge, "8 to 8192 pixels"));
            }
        }
        for (key, samples) in [
            ("data.train_samples", self.train_samples),
            ("data.val_samples", self.val_samples),
        ] {
            if samples == 0 {
                return Err(invalid(key, samples, "at least 1 scene"));
            }
        }
        Ok(())
    }
}

impl DatasetFormat for SyntheticConfig {
    const DESCRIPTOR: DatasetDescriptor = DatasetDescriptor {
        name: "synthetic",
        task: Task::Segmentation,
        summary: "synthetic scenes, generated on the fly from a seed",
        layout: "  nothing on disk",
    };

    fn open(&self, split: Split) -> Result<Opened, DataError> {
        self.validate()?;
        let (first, samples) = match split {
            Split::Train => (0, self.train_samples),
            Split::Val => (FIRST_VALIDATION_SCENE, self.val_samples),
        };
        // Three bytes of colour and one of label a pixel.
        let bytes = 4 * u64::from(self.width) * u64::from(self.height) * samples as u64;
        let kept = if bytes <= KEPT_BYTES { samples } else { 0 };
        Ok(Opened::Other(Arc::new(SyntheticDataset {
            scene: SceneConfig {
                width: self.width,
                height: self.height,
                seed: self.seed,
                ..SceneConfig::default()
            },
            split,
            first,
            samples,
            kept: (0..kept).map(|_| OnceLock::new()).collect(),
            classes: CLASSES.iter().map(|name| (*name).to_string()).collect(),
        })))
    }
}

/// One split of synthetic scenes.
struct SyntheticDataset {
    scene: SceneConfig,
    split: Split,
    first: u64,
    samples: usize,
    /// The samples rendered so far; empty if they are not kept.
    kept: Vec<OnceLock<SegmentationSample>>,
    classes: Vec<String>,
}

impl SyntheticDataset {
    fn render(&self, index: usize) -> SegmentationSample {
        let scene = scenes::render(&self.scene, self.first + index as u64);
        let (width, height) = scene.image.dimensions();
        SegmentationSample {
            id: self.id(index),
            image: scene.image,
            labels: LabelMap {
                width,
                height,
                data: scene.classes,
            },
        }
    }
}

impl SegmentationDataset for SyntheticDataset {
    fn name(&self) -> &str {
        SyntheticConfig::DESCRIPTOR.name
    }

    fn len(&self) -> usize {
        self.samples
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn palette(&self) -> &[[u8; 3]] {
        PALETTE
    }

    fn id(&self, index: usize) -> String {
        if index >= self.samples {
            return String::new();
        }
        format!("{}-{index:06}", self.split.name())
    }

    fn get(&self, index: usize) -> Result<SegmentationSample, DataError> {
        if index >= self.samples {
            return Err(DataError::IndexOutOfRange {
                dataset: self.name().into(),
                index,
                len: self.samples,
            });
        }
        Ok(match self.kept.get(index) {
            Some(sample) => sample.get_or_init(|| self.render(index)).clone(),
            None => self.render(index),
        })
    }
}
