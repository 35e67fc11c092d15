//! Red Kitchen of 7-Scenes: frames with depth, and surface normals computed from it.
//!
//! Shotton et al., *Scene Coordinate Regression Forests for Camera Relocalization in RGB-D Images*, CVPR
//! 2013. Depth is stored in millimetres; 0 and 65535 mean no measurement. Colours and depth come from two
//! cameras next to each other and agree up to a few pixels.

mod normals;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dense::{DenseFileDataset, DenseReader, ImageFile};
use crate::error::DataError;
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::formats::layout;
use crate::io::paths;
use crate::io::read;
use crate::labels::{DenseLabels, DenseTask, DepthMap};
use crate::split::Split;
use crate::task::TaskKind;
use crate::text::lines;
use crate::transform::invalid;

pub use normals::{Intrinsics, normals_from_depth};

/// The last one of this number of equal parts of the frames is the validation split: consecutive frames are
/// similar, so training and validation must be separate in time.
const VALIDATION_SHARE: usize = 5;

/// Stored values for no measurement.
const INVALID: [u16; 2] = [0, 65535];

/// Configuration of Red Kitchen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedKitchenConfig {
    /// The folder that holds the frames; may start with `$VARIABLE`.
    pub root: PathBuf,
}

impl DatasetFormat for RedKitchenConfig {
    const DESCRIPTOR: DatasetDescriptor = DatasetDescriptor {
        name: "red_kitchen",
        tasks: &[TaskKind::MultiTask],
        summary: "frames with depth, and surface normals from it; the last fifth is for validation",
        layout: "\
  frame-*.color.jpg
  frame-*.depth.png              16 bits, millimetres; 0 and 65535 are ignore
  camera-intrinsics.txt          three rows of three numbers",
    };

    fn open(&self, split: Split) -> Result<Opened, DataError> {
        let format = Self::DESCRIPTOR;
        let root = paths::expand(&self.root)?;
        layout::require_folder(&root, format.name, format.layout)?;
        // Numbers have leading zeros, so that the order of names is that of time.
        let by_stem = layout::images_by_stem(&root)?;
        let colors = by_stem.into_iter().filter_map(|(stem, path)| {
            let id = stem.strip_suffix(".color")?.to_string();
            Some(ImageFile { id, path })
        });
        let mut images: Vec<ImageFile> = colors.collect();
        let validation = images.split_off(images.len() - images.len() / VALIDATION_SHARE);
        let images = match split {
            Split::Train => images,
            Split::Val => validation,
        };
        if images.is_empty() {
            return Err(DataError::EmptySplit {
                split: split.name(),
                expected: "*.color.jpg, at least five,",
                path: root,
            });
        }
        let intrinsics = intrinsics(&root.join("camera-intrinsics.txt"))?;
        let reader = Reader { root, intrinsics };
        let tasks = [DenseTask::SurfaceNormals, DenseTask::Depth];
        let dataset = DenseFileDataset::new(format.name, images, tasks, [], reader);
        Ok(Opened::Dense(Arc::new(dataset)))
    }
}

/// Reads the intrinsic matrix of a camera.
fn intrinsics(path: &Path) -> Result<Intrinsics, DataError> {
    if !path.is_file() {
        return Err(DataError::MissingFile {
            what: "camera",
            path: path.to_path_buf(),
        });
    }
    let lines = lines(path)?;
    let numbers = lines.iter().flat_map(|line| line.split_whitespace());
    let numbers: Vec<f32> = numbers.map_while(|number| number.parse().ok()).collect();
    match numbers[..] {
        [fx, skew, cx, lower, fy, cy, 0.0, 0.0, 1.0]
            if fx > 0.0 && fy > 0.0 && skew == 0.0 && lower == 0.0 =>
        {
            Ok(Intrinsics {
                focal: [fx, fy],
                center: [cx, cy],
            })
        }
        _ => {
            let expected = format!(
                "in {} the rows `fx 0 cx`, `0 fy cy` and `0 0 1` of a camera",
                path.display()
            );
            Err(invalid("camera-intrinsics.txt", lines, expected))
        }
    }
}

struct Reader {
    root: PathBuf,
    intrinsics: Intrinsics,
}

impl Reader {
    fn depth(&self, image: &ImageFile) -> PathBuf {
        self.root.join(format!("{}.depth.png", image.id))
    }
}

impl DenseReader for Reader {
    fn files(&self, image: &ImageFile, _task: DenseTask) -> Vec<PathBuf> {
        vec![self.depth(image)]
    }

    fn read(
        &self,
        image: &ImageFile,
        tasks: &[DenseTask],
    ) -> Result<BTreeMap<DenseTask, DenseLabels>, DataError> {
        let mut labels = BTreeMap::new();
        if tasks.is_empty() {
            return Ok(labels);
        }
        let (width, height, data) = read::grey_16(&self.depth(image))?;
        let metres = data
            .into_iter()
            .map(|value| match INVALID.contains(&value) {
                true => 0.0,
                false => f32::from(value) / 1000.0,
            });
        let depth = DepthMap {
            width,
            height,
            data: metres.collect(),
        };
        if tasks.contains(&DenseTask::SurfaceNormals) {
            let normals = normals_from_depth(&depth, &self.intrinsics);
            labels.insert(DenseTask::SurfaceNormals, DenseLabels::Normals(normals));
        }
        if tasks.contains(&DenseTask::Depth) {
            labels.insert(DenseTask::Depth, DenseLabels::Depth(depth));
        }
        Ok(labels)
    }
}
