//! Synthetic scenes as a dataset: it needs no download, and every sample is a function of its index.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gradway_scenes::{CLASSES, PALETTE, PARTS, SceneConfig};
use serde::{Deserialize, Serialize};

use crate::dense::{DenseDataset, DenseSample};
use crate::error::DataError;
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::labels::LabelMap;
use crate::labels::classes::Classes;
use crate::labels::palette::PaletteRule;
use crate::labels::{DenseLabels, DenseTask, DepthMap, NormalMap, VerticalAxis};
use crate::split::Split;
use crate::task::TaskKind;
use crate::transform::invalid;

/// The tasks that scenes have labels of.
pub const TASKS: [DenseTask; 6] = [
    DenseTask::SemanticSegmentation,
    DenseTask::HumanParts,
    DenseTask::Saliency,
    DenseTask::SurfaceNormals,
    DenseTask::Depth,
    DenseTask::Edges,
];

/// Index of the first validation scene, beyond any number of training scenes, so that the number of training
/// scenes does not change the validation scenes.
const FIRST_VALIDATION_SCENE: u64 = 1 << 40;

/// A split whose images and requested labels fit in this number of bytes is rendered once and kept in memory,
/// since every epoch uses the same scenes.
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
    /// Seed of the scenes.
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
        tasks: &[TaskKind::Segmentation, TaskKind::MultiTask],
        summary: "synthetic scenes with the labels of six tasks, generated on the fly from a seed",
        layout: "  nothing on disk",
    };

    fn open(&self, split: Split) -> Result<Opened, DataError> {
        self.validate()?;
        let (first, samples) = match split {
            Split::Train => (0, self.train_samples),
            Split::Val => (FIRST_VALIDATION_SCENE, self.val_samples),
        };
        let named = |names: &[&str], palette: Vec<[u8; 3]>| Classes {
            list: None,
            names: names.iter().map(|name| (*name).to_string()).collect(),
            palette,
        };
        let parts = PaletteRule::VocColormap.colors(PARTS.len());
        let mut classes = BTreeMap::from([
            (
                DenseTask::SemanticSegmentation,
                named(CLASSES, PALETTE.to_vec()),
            ),
            (DenseTask::HumanParts, named(PARTS, parts)),
        ]);
        for task in TASKS {
            classes.extend(Classes::of_binary(task).map(|binary| (task, binary)));
        }
        Ok(Opened::Dense(Arc::new(SyntheticDataset {
            scene: SceneConfig {
                width: self.width,
                height: self.height,
                seed: self.seed,
                ..SceneConfig::default()
            },
            split,
            first,
            samples,
            kept: Mutex::default(),
            classes,
        })))
    }
}

/// A split of synthetic scenes.
struct SyntheticDataset {
    scene: SceneConfig,
    split: Split,
    first: u64,
    samples: usize,
    /// The samples rendered so far, with the labels requested so far.
    kept: Mutex<HashMap<usize, Arc<DenseSample>>>,
    classes: BTreeMap<DenseTask, Classes>,
}

impl SyntheticDataset {
    fn render(&self, index: usize, tasks: &[DenseTask]) -> DenseSample {
        let mut scene = gradway_scenes::render(&self.scene, self.first + index as u64);
        let (width, height) = scene.image.dimensions();
        let labels = tasks.iter().filter_map(|&task| {
            let classes = match task {
                DenseTask::SemanticSegmentation => Some(&mut scene.classes),
                DenseTask::HumanParts => Some(&mut scene.parts),
                DenseTask::Saliency => Some(&mut scene.saliency),
                DenseTask::Edges => Some(&mut scene.edges),
                _ => None,
            };
            let labels = match (task, classes) {
                (_, Some(data)) => DenseLabels::Classes(LabelMap {
                    width,
                    height,
                    data: mem::take(data),
                }),
                (DenseTask::SurfaceNormals, None) => DenseLabels::Normals(NormalMap {
                    width,
                    height,
                    vertical: VerticalAxis::Up,
                    data: mem::take(&mut scene.normals),
                }),
                (DenseTask::Depth, None) => DenseLabels::Depth(DepthMap {
                    width,
                    height,
                    data: mem::take(&mut scene.depth),
                }),
                _ => return None,
            };
            Some((task, labels))
        });
        DenseSample {
            id: self.id(index),
            labels: labels.collect(),
            image: scene.image,
        }
    }

    /// Whether a split with the labels of these tasks is kept in memory.
    fn is_kept<'a>(&self, tasks: impl IntoIterator<Item = &'a DenseTask>) -> bool {
        let labels = tasks.into_iter().map(|task| match task {
            DenseTask::SurfaceNormals => 12,
            DenseTask::Depth => 4,
            _ => 1,
        });
        let bytes = 3 + labels.sum::<u64>();
        let pixels = u64::from(self.scene.width) * u64::from(self.scene.height);
        bytes * pixels * self.samples as u64 <= KEPT_BYTES
    }

    /// Locks the kept samples. A poisoned lock is used too, since samples are inserted as a whole.
    fn kept(&self) -> MutexGuard<'_, HashMap<usize, Arc<DenseSample>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DenseDataset for SyntheticDataset {
    fn name(&self) -> &str {
        SyntheticConfig::DESCRIPTOR.name
    }

    fn len(&self) -> usize {
        self.samples
    }

    fn tasks(&self) -> &[DenseTask] {
        &TASKS
    }

    fn classes(&self, task: DenseTask) -> &[String] {
        let classes = self.classes.get(&task);
        classes.map(|classes| &*classes.names).unwrap_or_default()
    }

    fn palette(&self, task: DenseTask) -> &[[u8; 3]] {
        let classes = self.classes.get(&task);
        classes.map(|classes| &*classes.palette).unwrap_or_default()
    }

    fn id(&self, index: usize) -> String {
        if index >= self.samples {
            return String::new();
        }
        format!("{}-{index:06}", self.split.name())
    }

    fn get(&self, index: usize, tasks: &[DenseTask]) -> Result<DenseSample, DataError> {
        if index >= self.samples {
            return Err(DataError::IndexOutOfRange {
                dataset: self.name().into(),
                index,
                len: self.samples,
            });
        }
        let kept = self.kept().get(&index).cloned();
        let has_all =
            |sample: &&Arc<DenseSample>| tasks.iter().all(|task| sample.labels.contains_key(task));
        if let Some(sample) = kept.as_ref().filter(has_all) {
            let labels = tasks
                .iter()
                .filter_map(|task| sample.labels.get_key_value(task));
            return Ok(DenseSample {
                id: sample.id.clone(),
                image: sample.image.clone(),
                labels: labels
                    .map(|(task, labels)| (*task, labels.clone()))
                    .collect(),
            });
        }
        let sample = self.render(index, tasks);
        let mut labels = kept.map_or_else(BTreeMap::new, |kept| kept.labels.clone());
        labels.extend(sample.labels.clone());
        if self.is_kept(labels.keys()) {
            let (id, image) = (sample.id.clone(), sample.image.clone());
            let sample = DenseSample { id, image, labels };
            self.kept().insert(index, Arc::new(sample));
        }
        Ok(sample)
    }
}
