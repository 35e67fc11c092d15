//! What came of an evaluation, whatever the task.

use std::collections::BTreeMap;

use gradway_data::DenseTask;
use gradway_metrics::detection::voc::VocScores;
use gradway_metrics::relative::RELATIVE_IMPROVEMENT;
use gradway_metrics::{
    DepthScores, DetectionScores, EdgeScores, MetricDescriptor, MetricFamily, NormalsScores,
    SaliencyScores, SegmentationScores, TaskScore, depth, detection, edges, normals,
    relative_improvement, saliency, segmentation,
};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::TrainError;

/// What a run of several tasks is the best by where nothing is known of each task alone.
const MEAN_OF_TASKS: MetricDescriptor = MetricDescriptor {
    name: "mean_of_tasks",
    family: MetricFamily::Relative,
    summary: "mean over the tasks of the score, or of 1 / (1 + error), to compare the checkpoints of a run",
    higher_is_better: true,
    unit: "share",
};

/// The scores of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scores {
    /// Of semantic segmentation.
    Segmentation(SegmentationScores),
    /// Of detection.
    Objects(Box<ObjectScores>),
    /// Of several dense tasks.
    MultiTask(Box<MultiTaskScores>),
}

/// Scores of detected objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectScores {
    /// COCO's, of the boxes.
    pub boxes: DetectionScores,
    /// COCO's, of the masks, where the detector predicts some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masks: Option<DetectionScores>,
    /// Pascal VOC's, where the configuration asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pascal_voc: Option<VocScores>,
}

/// Scores of several dense tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultiTaskScores {
    /// By task.
    #[serde(deserialize_with = "by_task")]
    pub tasks: BTreeMap<DenseTask, TaskScores>,
    /// Over each task alone, where the configuration has those scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_improvement: Option<f64>,
}

/// Reads scores as what the task's name says: by their fields alone, those of a task could pass for another's.
fn by_task<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<DenseTask, TaskScores>, D::Error> {
    fn read<T: DeserializeOwned>(
        scores: serde_json::Value,
        of: impl FnOnce(T) -> TaskScores,
    ) -> serde_json::Result<TaskScores> {
        serde_json::from_value(scores).map(of)
    }
    let written = BTreeMap::<DenseTask, serde_json::Value>::deserialize(deserializer)?;
    let scores = written.into_iter().map(|(task, scores)| {
        let scores = match task {
            DenseTask::SemanticSegmentation | DenseTask::HumanParts => {
                read(scores, TaskScores::Segmentation)
            }
            DenseTask::Saliency => read(scores, TaskScores::Saliency),
            DenseTask::SurfaceNormals => read(scores, TaskScores::Normals),
            DenseTask::Depth => read(scores, TaskScores::Depth),
            DenseTask::Edges => read(scores, TaskScores::Edges),
        };
        scores
            .map(|scores| (task, scores))
            .map_err(|error| D::Error::custom(format!("{task}: {error}")))
    });
    scores.collect()
}

/// The scores of one of several dense tasks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TaskScores {
    /// Of classes or parts.
    Segmentation(SegmentationScores),
    /// Of saliency.
    Saliency(SaliencyScores),
    /// Of surface normals.
    Normals(NormalsScores),
    /// Of depth.
    Depth(DepthScores),
    /// Of edges.
    Edges(EdgeScores),
}

/// A score that reports name.
#[derive(Debug, Clone, PartialEq)]
pub struct Headline {
    /// What was scored, and how.
    pub name: String,
    /// Unit of the value: `share`, `degrees`, `metres`.
    pub unit: &'static str,
    /// None where it is not defined.
    pub value: Option<f64>,
}

impl Headline {
    fn share(name: &str, value: Option<f64>) -> Self {
        Self {
            name: name.to_string(),
            unit: segmentation::MEAN_IOU.unit,
            value,
        }
    }
}

impl TaskScores {
    /// The score that publications print, and its value.
    pub fn main(&self) -> (MetricDescriptor, Option<f64>) {
        match self {
            Self::Segmentation(scores) => (segmentation::MEAN_IOU, Some(scores.mean_iou)),
            Self::Saliency(scores) => (saliency::MAX_JACCARD, scores.max_jaccard),
            Self::Normals(scores) => (normals::MEAN_ANGULAR_ERROR, scores.mean_angular_error),
            Self::Depth(scores) => (depth::DEPTH_RMSE, scores.depth_rmse),
            Self::Edges(scores) => (edges::ODS_F, scores.ods_f),
        }
    }

    /// The same under a name.
    pub fn headline(&self, name: impl FnOnce(&MetricDescriptor) -> String) -> Headline {
        let (metric, value) = self.main();
        Headline {
            name: name(&metric),
            unit: metric.unit,
            value,
        }
    }

    /// The main score as a share of which more is better, whatever its unit.
    fn goodness(&self) -> f64 {
        match self.main() {
            (_, None) => 0.0,
            (metric, Some(value)) if metric.higher_is_better => value,
            (_, Some(error)) => 1.0 / (1.0 + error),
        }
    }
}

impl MultiTaskScores {
    /// The scores of tasks; `single` has the main scores of each of them alone, or nothing.
    ///
    /// # Errors
    ///
    /// [`TrainError::Relative`]: scores that cannot be compared.
    pub fn new(
        tasks: BTreeMap<DenseTask, TaskScores>,
        single: &BTreeMap<DenseTask, f64>,
    ) -> Result<Self, TrainError> {
        let of = |task: &DenseTask, metric, value| TaskScore {
            task: task.name().to_string(),
            metric,
            value,
        };
        let relative = match single.is_empty() {
            true => None,
            false => {
                let main = tasks.iter().map(|(task, scores)| (task, scores.main()));
                let references = single.iter().filter_map(|(task, value)| {
                    let (metric, _) = tasks.get(task)?.main();
                    Some(of(task, metric, *value))
                });
                // A score that is not defined, of a split without a single label, is not compared.
                let scores: Option<Vec<_>> = main
                    .map(|(task, (metric, value))| Some(of(task, metric, value?)))
                    .collect();
                let references: Vec<_> = references.collect();
                let compared = scores.map(|scores| relative_improvement(&scores, &references));
                compared.transpose()?
            }
        };
        Ok(Self {
            relative_improvement: relative.map(|relative| relative.relative_improvement),
            tasks,
        })
    }

    fn mean(&self) -> f64 {
        let sum: f64 = self.tasks.values().map(TaskScores::goodness).sum();
        sum / self.tasks.len().max(1) as f64
    }
}

impl Scores {
    /// The score that a run's best checkpoint is the best by, a share, more is better.
    pub fn main(&self) -> (MetricDescriptor, f64) {
        // A score that is not defined, of a split without a single object, is the worst.
        let or_none = |score: Option<f64>| score.unwrap_or_default();
        match self {
            Self::Segmentation(scores) => (segmentation::MEAN_IOU, scores.mean_iou),
            Self::Objects(scores) => match &scores.pascal_voc {
                Some(voc) => (
                    detection::voc::MEAN_AP_11_POINTS,
                    or_none(voc.mean_ap_11_points),
                ),
                None => (
                    detection::AVERAGE_PRECISION,
                    or_none(scores.boxes.average_precision),
                ),
            },
            Self::MultiTask(scores) => match scores.relative_improvement {
                Some(relative) => (RELATIVE_IMPROVEMENT, relative),
                None => (MEAN_OF_TASKS, scores.mean()),
            },
        }
    }

    /// What reports call the score that the best checkpoint is the best by.
    pub fn main_name(&self) -> String {
        match self {
            // The others lead their headlines.
            Self::MultiTask(scores) if scores.relative_improvement.is_none() => {
                "mean of tasks".to_string()
            }
            _ => {
                let first = self.headlines().into_iter().next();
                first.map_or_else(|| self.main().0.name.to_string(), |first| first.name)
            }
        }
    }

    /// The scores that reports name, the main one first.
    pub fn headlines(&self) -> Vec<Headline> {
        let share = Headline::share;
        match self {
            Self::Segmentation(scores) => vec![share("mean IoU", Some(scores.mean_iou))],
            Self::Objects(scores) => {
                let mut headlines = Vec::new();
                if let Some(voc) = &scores.pascal_voc {
                    headlines.push(share("VOC mAP, 11 points", voc.mean_ap_11_points));
                    headlines.push(share("VOC mAP, area", voc.mean_ap_area));
                }
                let boxes = &scores.boxes;
                headlines.push(share("box AP", boxes.average_precision));
                headlines.push(share("box AP50", boxes.ap50));
                if let Some(masks) = &scores.masks {
                    headlines.push(share("mask AP", masks.average_precision));
                    headlines.push(share("mask AP50", masks.ap50));
                }
                headlines
            }
            Self::MultiTask(scores) => {
                let relative = scores.relative_improvement;
                let relative = relative.map(|value| share("improvement", Some(value)));
                let tasks = scores.tasks.iter().map(|(task, scores)| {
                    scores.headline(|metric| format!("{task} {}", metric.name))
                });
                relative.into_iter().chain(tasks).collect()
            }
        }
    }
}
