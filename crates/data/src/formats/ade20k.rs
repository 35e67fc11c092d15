//! ADE20K in its SceneParsing layout, and every dataset with the same layout, such as CamVid.
//!
//! Zhou et al., *Scene Parsing through ADE20K Dataset*, CVPR 2017.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dense::FileDataset;
use crate::error::DataError;
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::formats::layout::{self, ImageFolder, LabelFolder};
use crate::io::paths;
use crate::labels::LabelPolicy;
use crate::labels::classes::{ClassSource, resolve_or_default};
use crate::split::Split;
use crate::task::TaskKind;

/// Configuration of a dataset in the ADE20K layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ade20kConfig {
    /// The folder that holds `images` and `annotations`; may start with `$VARIABLE`.
    pub root: PathBuf,
    /// The class list; the 150 classes of ADE20K if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassSource>,
    /// Mapping of stored labels to classes.
    #[serde(default = "reduce_zero")]
    pub labels: LabelPolicy,
}

fn reduce_zero() -> LabelPolicy {
    LabelPolicy::ReduceZero
}

impl DatasetFormat for Ade20kConfig {
    const DESCRIPTOR: DatasetDescriptor = DatasetDescriptor {
        name: "ade20k",
        tasks: &[TaskKind::Segmentation],
        summary: "ADE20K SceneParsing: images and annotations in training and validation folders",
        layout: "\
  images/training/*.jpg          images/validation/*.jpg
  annotations/training/*.png     annotations/validation/*.png
  classes.txt                    optional, one name per line",
    };

    fn open(&self, split: Split) -> Result<Opened, DataError> {
        let format = Self::DESCRIPTOR;
        let root = paths::expand(&self.root)?;
        let folder = match split {
            Split::Train => "training",
            Split::Val => "validation",
        };
        let images = root.join("images").join(folder);
        let masks = root.join("annotations").join(folder);
        for path in [&root, &images, &masks] {
            layout::require_folder(path, format.name, format.layout)?;
        }
        let classes = resolve_or_default(self.classes.as_ref(), &root, "ade20k")?;
        let images = ImageFolder::open(&images)?;
        let masks = LabelFolder::masks(&masks, "")?;
        masks.require_images(&images)?;
        let pairs = masks.pairs(&images);
        if pairs.is_empty() {
            return Err(DataError::EmptySplit {
                split: split.name(),
                expected: "images",
                path: images.path,
            });
        }
        Ok(Opened::Dense(Arc::new(FileDataset::new(
            classes.list.as_deref().unwrap_or(format.name),
            pairs,
            classes.names,
            classes.palette,
            self.labels.clone(),
        )?)))
    }
}
