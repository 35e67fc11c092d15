//! NYUD-v2 for several tasks, in the layout of the public multi-task code.
//!
//! Silberman et al., *Indoor Segmentation and Support Inference from RGBD Images*, ECCV 2012; Vandenhende
//! et al., *Multi-Task Learning for Dense Prediction Tasks: A Survey*, TPAMI 2021.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dense::{DenseFileDataset, DenseReader, ImageFile};
use crate::error::{DataError, LabelFault};
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::formats::{layout, list};
use crate::io::npy;
use crate::io::paths;
use crate::io::read;
use crate::labels::classes::Classes;
use crate::labels::{DenseLabels, DenseTask, DepthMap, NormalMap, VerticalAxis, unit};
use crate::labels::{LabelMap, LabelPolicy};
use crate::split::Split;
use crate::task::TaskKind;

/// Configuration of NYUD-v2 for several tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NyudMtConfig {
    /// The folder that holds `images`, `NYUD_MT` in the public archive; may start with `$VARIABLE`.
    pub root: PathBuf,
    /// The direction of the second component of the stored normals; the public code treats it as pointing down.
    #[serde(default = "down")]
    pub vertical: VerticalAxis,
}

fn down() -> VerticalAxis {
    VerticalAxis::Down
}

impl DatasetFormat for NyudMtConfig {
    const DESCRIPTOR: DatasetDescriptor = DatasetDescriptor {
        name: "nyud_mt",
        tasks: &[TaskKind::Segmentation, TaskKind::MultiTask],
        summary: "NYUD-v2 for several tasks: segmentation, depth, surface normals and edges",
        layout: "\
  images/*.jpg
  segmentation/*.png             0 is ignore, k is class k-1
  depth/*.npy                    metres, 0 is ignore
  normals/*.npy                  zero is ignore
  edge/*.npy                     0 and 1
  gt_sets/{train,val}.txt        one stem per line",
    };

    fn open(&self, split: Split) -> Result<Opened, DataError> {
        let format = Self::DESCRIPTOR;
        let root = paths::expand(&self.root)?;
        let images = root.join("images");
        let lists = root.join("gt_sets");
        for path in [&root, &images, &lists] {
            layout::require_folder(path, format.name, format.layout)?;
        }
        let list = lists.join(format!("{}.txt", split.name()));
        let images = list::images_of_list(&list, &images, split)?;
        let classes = Classes::built_in(format.name)?;
        let reader = Reader {
            root,
            classes: classes.names.len(),
            vertical: self.vertical,
        };
        let tasks = [
            DenseTask::SemanticSegmentation,
            DenseTask::SurfaceNormals,
            DenseTask::Depth,
            DenseTask::Edges,
        ];
        let classes = [(DenseTask::SemanticSegmentation, classes)];
        let dataset = DenseFileDataset::new(format.name, images, tasks, classes, reader);
        Ok(Opened::Dense(Arc::new(dataset)))
    }
}

struct Reader {
    root: PathBuf,
    classes: usize,
    vertical: VerticalAxis,
}

impl Reader {
    fn file(&self, image: &ImageFile, task: DenseTask) -> Option<PathBuf> {
        let (folder, ending) = match task {
            DenseTask::SemanticSegmentation => ("segmentation", "png"),
            DenseTask::SurfaceNormals => ("normals", "npy"),
            DenseTask::Depth => ("depth", "npy"),
            DenseTask::Edges => ("edge", "npy"),
            _ => return None,
        };
        let name = format!("{}.{ending}", image.id);
        Some(self.root.join(folder).join(name))
    }

    fn labels(&self, path: &Path, task: DenseTask) -> Result<DenseLabels, Fault> {
        if task == DenseTask::SemanticSegmentation {
            let map = read::labels(path, &LabelPolicy::ReduceZero, self.classes);
            return Ok(DenseLabels::Classes(map.map_err(Fault::Data)?));
        }
        let array = npy::read(path).map_err(Fault::Data)?;
        let channels = if task == DenseTask::SurfaceNormals {
            3
        } else {
            1
        };
        let (height, width) = match array.shape[..] {
            [height, width] if channels == 1 => (height, width),
            [height, width, last] if channels == last => (height, width),
            _ => {
                let expected = match channels {
                    1 => "[height, width]",
                    _ => "[height, width, 3]",
                };
                let reason = format!("its shape is {:?}; expected {expected}", array.shape);
                return Err(Fault::Contents(reason));
            }
        };
        let side = |side: usize| {
            u32::try_from(side).map_err(|_| Fault::Contents(format!("a side of {side} pixels")))
        };
        let (width, height) = (side(width)?, side(height)?);
        if let Some(wrong) = array.data.iter().find(|value| !value.is_finite()) {
            let reason = format!("a value is {wrong}; expected finite numbers, 0 to be ignored");
            return Err(Fault::Contents(reason));
        }
        match task {
            DenseTask::SurfaceNormals => {
                let normals = array.data.chunks_exact(3);
                let normals = normals.map(|n| unit([n[0], n[1], n[2]]).unwrap_or_default());
                Ok(DenseLabels::Normals(NormalMap {
                    width,
                    height,
                    vertical: self.vertical,
                    data: normals.collect(),
                }))
            }
            DenseTask::Depth => Ok(DenseLabels::Depth(DepthMap {
                width,
                height,
                data: array.data,
            })),
            _ => {
                let edge = |value: &f32| match *value {
                    0.0 => Ok(0),
                    1.0 => Ok(1),
                    other => Err(Fault::Contents(format!(
                        "a value is {other}; expected 0 or 1"
                    ))),
                };
                Ok(DenseLabels::Classes(LabelMap {
                    width,
                    height,
                    data: array.data.iter().map(edge).collect::<Result<_, _>>()?,
                }))
            }
        }
    }
}

/// The error of a file: of reading it, or of its content.
enum Fault {
    Data(DataError),
    Contents(String),
}

impl DenseReader for Reader {
    fn files(&self, image: &ImageFile, task: DenseTask) -> Vec<PathBuf> {
        self.file(image, task).into_iter().collect()
    }

    fn read(
        &self,
        image: &ImageFile,
        tasks: &[DenseTask],
    ) -> Result<BTreeMap<DenseTask, DenseLabels>, DataError> {
        let files = tasks
            .iter()
            .filter_map(|&task| Some((task, self.file(image, task)?)));
        let labels = files.map(|(task, path)| match self.labels(&path, task) {
            Ok(labels) => Ok((task, labels)),
            Err(Fault::Data(error)) => Err(error),
            Err(Fault::Contents(reason)) => Err(DataError::Labels {
                id: image.id.clone(),
                task,
                fault: LabelFault::File { path, reason },
            }),
        });
        labels.collect()
    }
}
