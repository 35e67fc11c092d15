//! Metrics for dense prediction, on plain slices.
//!
//! A metric accumulates over a dataset and computes its scores at the end, because most of them are not
//! averages over images. [`table()`] lists them.

pub mod depth;
pub mod detection;
pub mod edges;
mod map;
pub mod normals;
pub mod relative;
pub mod saliency;
pub mod segmentation;

use serde::Serialize;

pub use depth::{DepthEvaluation, DepthScores};
pub use detection::{DetectionError, DetectionScores, GroundTruth, IouType};
pub use edges::{EdgeConfig, EdgeError, EdgeEvaluation, EdgeScores};
pub use map::MapError;
pub use normals::{NormalsEvaluation, NormalsScores};
pub use relative::{RelativeError, RelativeScores, TaskScore, relative_improvement};
pub use saliency::{SaliencyEvaluation, SaliencyScores};
pub use segmentation::{ConfusionMatrix, SegmentationError, SegmentationScores};

/// The family of scores that a metric belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricFamily {
    /// [`SegmentationScores`].
    Segmentation,
    /// [`DetectionScores`].
    Detection,
    /// [`detection::voc::VocScores`].
    VocDetection,
    /// [`SaliencyScores`].
    Saliency,
    /// [`NormalsScores`].
    Normals,
    /// [`DepthScores`].
    Depth,
    /// [`EdgeScores`].
    Edges,
    /// [`RelativeScores`].
    Relative,
}

impl MetricFamily {
    /// Returns the name of the task: `segmentation`, `detection`, `saliency`, `normals`, `depth`, `edges` or,
    /// for scores over several of them, `multi-task`.
    pub fn task(self) -> &'static str {
        match self {
            Self::Segmentation => "segmentation",
            Self::Detection | Self::VocDetection => "detection",
            Self::Saliency => "saliency",
            Self::Normals => "normals",
            Self::Depth => "depth",
            Self::Edges => "edges",
            Self::Relative => "multi-task",
        }
    }
}

/// The description of a metric in listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MetricDescriptor {
    /// Name in configurations and reports.
    pub name: &'static str,
    /// The family of scores it belongs to.
    pub family: MetricFamily,
    /// Description in one sentence.
    pub summary: &'static str,
    /// Whether a higher value is better.
    pub higher_is_better: bool,
    /// Unit of the value.
    pub unit: &'static str,
}

/// All metrics: a new metric is one line.
const TABLE: &[MetricDescriptor] = &[
    segmentation::MEAN_IOU,
    segmentation::PIXEL_ACCURACY,
    segmentation::MEAN_ACCURACY,
    detection::AVERAGE_PRECISION,
    detection::AP50,
    detection::AP75,
    detection::AP_SMALL,
    detection::AP_MEDIUM,
    detection::AP_LARGE,
    detection::AR_1,
    detection::AR_10,
    detection::AR_100,
    detection::AR_SMALL,
    detection::AR_MEDIUM,
    detection::AR_LARGE,
    detection::voc::MEAN_AP_11_POINTS,
    detection::voc::MEAN_AP_AREA,
    saliency::MAX_JACCARD,
    saliency::MAX_F,
    saliency::MAX_F_POOLED,
    normals::MEAN_ANGULAR_ERROR,
    normals::MEDIAN_ANGULAR_ERROR,
    normals::ANGULAR_RMSE,
    normals::WITHIN_11_25_DEGREES,
    normals::WITHIN_22_5_DEGREES,
    normals::WITHIN_30_DEGREES,
    depth::DEPTH_RMSE,
    depth::MEAN_RELATIVE_ERROR,
    depth::WITHIN_1_25,
    depth::WITHIN_1_25_SQUARED,
    depth::WITHIN_1_25_CUBED,
    edges::ODS_F,
    edges::OIS_F,
    edges::EDGE_AVERAGE_PRECISION,
    relative::RELATIVE_IMPROVEMENT,
];

/// Returns all metrics, in the order of listings.
pub fn table() -> &'static [MetricDescriptor] {
    TABLE
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::detection::{Category, Image, Object, voc};
    use super::*;

    /// The scores of a family for a ground truth that has data for each of them.
    fn scores(family: MetricFamily) -> Value {
        let scores = match family {
            MetricFamily::Segmentation => serde_json::to_value(ConfusionMatrix::new(2).scores()),
            MetricFamily::Detection => serde_json::to_value(detection_scores()),
            MetricFamily::VocDetection => {
                let object = voc::VocObject {
                    image_id: 1,
                    class: 0,
                    corners: [1.0, 1.0, 5.0, 5.0],
                    difficult: false,
                };
                serde_json::to_value(voc::score(1, &[object], &[], voc::Edges::Inclusive).unwrap())
            }
            MetricFamily::Saliency => {
                let mut evaluation = SaliencyEvaluation::new();
                evaluation.add(&[0.5], &[1], 255).unwrap();
                serde_json::to_value(evaluation.scores())
            }
            MetricFamily::Normals => {
                let mut evaluation = NormalsEvaluation::new();
                evaluation.add(&[1.0; 3], &[1.0; 3]).unwrap();
                serde_json::to_value(evaluation.scores())
            }
            MetricFamily::Depth => {
                let mut evaluation = DepthEvaluation::new();
                evaluation.add(&[1.0], &[1.0]).unwrap();
                serde_json::to_value(evaluation.scores())
            }
            MetricFamily::Edges => {
                let mut evaluation = EdgeConfig::default().init().unwrap();
                evaluation.add(&[0.5], &[1], 255, 1).unwrap();
                serde_json::to_value(evaluation.scores())
            }
            MetricFamily::Relative => {
                let score = TaskScore {
                    task: "segmentation".into(),
                    metric: segmentation::MEAN_IOU,
                    value: 0.5,
                };
                let scores = [score];
                serde_json::to_value(relative_improvement(&scores, &scores).unwrap())
            }
        };
        scores.unwrap()
    }

    fn detection_scores() -> DetectionScores {
        let image = Image {
            id: 1,
            width: 200,
            height: 200,
        };
        let category = Category {
            id: 1,
            name: "thing".into(),
        };
        let objects = [10.0, 50.0, 150.0].map(|side| Object {
            image_id: 1,
            category_id: 1,
            bbox: [0.0, 0.0, side, side],
            area: None,
            crowd: false,
            segmentation: None,
        });
        let truth = GroundTruth::new(&[image], &[category], &objects).unwrap();
        truth.score(&[], IouType::Bbox).unwrap()
    }

    #[test]
    fn the_table_names_the_fields_of_the_scores() {
        for family in [
            MetricFamily::Segmentation,
            MetricFamily::Detection,
            MetricFamily::VocDetection,
            MetricFamily::Saliency,
            MetricFamily::Normals,
            MetricFamily::Depth,
            MetricFamily::Edges,
            MetricFamily::Relative,
        ] {
            let scores = scores(family);
            let fields = scores.as_object().unwrap().iter();
            let numbers: BTreeSet<&str> = fields
                .filter(|(_, value)| value.is_number())
                .map(|(name, _)| name.as_str())
                .collect();
            let named: BTreeSet<&str> = table()
                .iter()
                .filter(|metric| metric.family == family)
                .map(|metric| metric.name)
                .collect();
            assert_eq!(named, numbers, "{family:?}");
        }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<&str> = table().iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), table().len());
    }
}
