//! A folder of images and a folder of masks with the same stems: the layout of most small datasets.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dense::{FileDataset, FilePair};
use crate::error::DataError;
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::formats::layout::{self, ImageFolder, LabelFolder};
use crate::formats::list;
use crate::io::paths;
use crate::labels::LabelPolicy;
use crate::labels::classes::ClassSource;
use crate::split::Split;
use crate::task::TaskKind;

/// Configuration of a dataset of an image folder and a mask folder.
///
/// The splits are defined by the lists, or by folder names: `{split}` in `images` and `masks` stands for
/// `train` or `val`. With only a validation list, the training split is all other images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderConfig {
    /// The root folder; may start with `$VARIABLE`.
    pub root: PathBuf,
    /// The folder of the images, below the root; may hold `{split}`.
    #[serde(default = "images")]
    pub images: String,
    /// The folder of the masks (.png), below the root; may hold `{split}`.
    #[serde(default = "masks")]
    pub masks: String,
    /// The suffix of a mask's stem after its image's stem, such as `_mask`; both may be in one folder.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mask_suffix: String,
    /// A text file with the training images, one per line, below the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_list: Option<PathBuf>,
    /// A text file with the validation images, one per line, below the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_list: Option<PathBuf>,
    /// The class list.
    pub classes: ClassSource,
    /// Mapping of stored labels to classes; there is no default, since folders follow no convention.
    pub labels: LabelPolicy,
}

const SPLIT: &str = "{split}";

fn images() -> String {
    "images".into()
}

fn masks() -> String {
    "masks".into()
}

impl FolderConfig {
    /// Returns the samples of a split.
    fn pairs(&self, split: Split, root: &Path) -> Result<Vec<FilePair>, DataError> {
        let format = Self::DESCRIPTOR;
        let folder = |template: &str| root.join(template.replace(SPLIT, split.name()));
        let image_folder = folder(&self.images);
        let mask_folder = folder(&self.masks);
        for path in [root, &image_folder, &mask_folder] {
            layout::require_folder(path, format.name, format.layout)?;
        }
        let mut images = ImageFolder::open(&image_folder)?;
        let masks = LabelFolder::masks(&mask_folder, &self.mask_suffix)?;
        images.leave_out_masks(&masks);
        let listed = |list: &Path| {
            let list = root.join(list);
            let pairs = list::pairs(&list, root, &images, &masks)?;
            Ok((pairs, list))
        };
        let (list, key) = match split {
            Split::Train => (&self.train_list, "train_list"),
            Split::Val => (&self.val_list, "val_list"),
        };
        let (pairs, place) = if let Some(list) = list {
            listed(list)?
        } else {
            let excluded: BTreeSet<PathBuf> = match (split, &self.val_list) {
                _ if self.images.contains(SPLIT) => BTreeSet::new(),
                (Split::Train, Some(list)) => {
                    listed(list)?.0.into_iter().map(|p| p.image).collect()
                }
                _ => {
                    return Err(DataError::UndefinedSplit {
                        split: split.name(),
                        key,
                    });
                }
            };
            // One folder of masks for the images of both splits holds those of the other one too.
            match self.masks.contains(SPLIT) || !self.images.contains(SPLIT) {
                true => masks.require_images(&images)?,
                false => masks.require_named_images(&images)?,
            }
            let mut pairs = masks.pairs(&images);
            pairs.retain(|pair| !excluded.contains(&pair.image));
            (pairs, image_folder.clone())
        };
        if pairs.is_empty() {
            return Err(DataError::EmptySplit {
                split: split.name(),
                expected: "images",
                path: place,
            });
        }
        Ok(pairs)
    }
}

impl DatasetFormat for FolderConfig {
    const DESCRIPTOR: DatasetDescriptor = DatasetDescriptor {
        name: "folder",
        tasks: &[TaskKind::Segmentation],
        summary: "a folder of images and a folder of masks matched by stem, with split lists",
        layout: "\
  IMAGES/*.{jpg,png,bmp,...}     `images`, below the root; may hold {split}
  MASKS/*.png                    `masks`, below the root; may hold {split}
  train.txt val.txt              `train_list` and `val_list`, one image per line; optional",
    };

    fn open(&self, split: Split) -> Result<Opened, DataError> {
        let root = paths::expand(&self.root)?;
        let pairs = self.pairs(split, &root)?;
        let classes = self.classes.resolve(&root)?;
        Ok(Opened::Dense(Arc::new(FileDataset::new(
            classes.list.as_deref().unwrap_or(Self::DESCRIPTOR.name),
            pairs,
            classes.names,
            classes.palette,
            self.labels.clone(),
        )?)))
    }
}
