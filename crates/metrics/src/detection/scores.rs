//! COCO's twelve scores, and the average precision of each class.

use hotcoco::COCOeval;
use serde::{Deserialize, Serialize};

use super::error::DetectionError;
use crate::{MetricDescriptor, MetricFamily};

const fn describe(name: &'static str, summary: &'static str) -> MetricDescriptor {
    MetricDescriptor {
        name,
        family: MetricFamily::Detection,
        summary,
        higher_is_better: true,
        unit: "share",
    }
}

/// Declares the struct of the scores and their descriptors, in COCO's order.
macro_rules! scores {
    ($($constant:ident $field:ident $summary:literal,)*) => {
        $(
            #[doc = concat!("The descriptor of: ", $summary, ".")]
            pub const $constant: MetricDescriptor = describe(stringify!($field), $summary);
        )*

        /// Scores of detections as COCO defines them, as shares from 0 to 1.
        ///
        /// Unless stated otherwise, precision is averaged over recalls 0, 0.01, ..., 1, the classes, and IoU
        /// 0.5, 0.55, ..., 0.95. A score is `None` (pycocotools: -1) if the ground truth has no object for it.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct DetectionScores {
            $(
                #[doc = concat!($summary, ".")]
                pub $field: Option<f64>,
            )*
            /// Average precision of every category of the ground truth, in the order of their identifiers.
            pub classes: Vec<ClassAveragePrecision>,
        }

        impl DetectionScores {
            /// Returns the scores with their descriptors, in COCO's order.
            pub fn values(&self) -> [(MetricDescriptor, Option<f64>); 12] {
                [$(($constant, self.$field),)*]
            }

            fn from_stats(stats: [f64; 12], classes: Vec<ClassAveragePrecision>) -> Self {
                let [$($field,)*] = stats.map(computed);
                Self { $($field,)* classes }
            }
        }
    };
}

scores! {
    AVERAGE_PRECISION average_precision "average precision at IoU 0.5 to 0.95",
    AP50 ap50 "average precision at IoU 0.5",
    AP75 ap75 "average precision at IoU 0.75",
    AP_SMALL ap_small "average precision of objects of up to 32 x 32 pixels",
    AP_MEDIUM ap_medium "average precision of objects of 32 x 32 to 96 x 96 pixels",
    AP_LARGE ap_large "average precision of objects of 96 x 96 pixels and more",
    AR_1 ar_1 "recall of the best detection of an image and class",
    AR_10 ar_10 "recall of the 10 best detections of an image and class",
    AR_100 ar_100 "recall of the 100 best detections of an image and class",
    AR_SMALL ar_small "recall of objects of up to 32 x 32 pixels",
    AR_MEDIUM ar_medium "recall of objects of 32 x 32 to 96 x 96 pixels",
    AR_LARGE ar_large "recall of objects of 96 x 96 pixels and more",
}

/// Average precision of a category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassAveragePrecision {
    /// Identifier of the category.
    pub category_id: u64,
    /// Name of the category.
    pub name: String,
    /// Average precision at IoU 0.5 to 0.95; `None` for a category without objects.
    pub average_precision: Option<f64>,
}

/// Returns `None` for pycocotools' -1, which means that there is nothing to average.
fn computed(value: f64) -> Option<f64> {
    (value >= 0.0).then_some(value)
}

/// Runs the evaluation and collects the scores.
pub(super) fn evaluate(mut evaluation: COCOeval) -> Result<DetectionScores, DetectionError> {
    let refused = |reason: String| DetectionError::Evaluation { reason };
    evaluation
        .evaluate()
        .map_err(|error| refused(error.to_string()))?;
    evaluation.accumulate();
    // Fills `stats` and, unlike `summarize`, prints nothing.
    evaluation.summarize_lines();
    let stats = evaluation.stats().unwrap_or_default();
    let stats = stats
        .try_into()
        .map_err(|_| refused(format!("{} scores instead of 12", stats.len())))?;
    let classes = class_scores(&evaluation);
    Ok(DetectionScores::from_stats(stats, classes))
}

/// Returns the mean precision of each class over IoU thresholds and recalls, for objects of all sizes and at
/// most 100 detections.
fn class_scores(evaluation: &COCOeval) -> Vec<ClassAveragePrecision> {
    let Some(accumulated) = evaluation.accumulated() else {
        return Vec::new();
    };
    let (shape, parameters) = (accumulated.shape, &evaluation.params);
    let (all_sizes, most) = (parameters.all_area_idx(), parameters.max_det_idx());
    let score = |class: usize| {
        let cells = (0..shape.t).flat_map(|t| (0..shape.r).map(move |r| (t, r)));
        let precisions =
            cells.map(|(t, r)| accumulated.precision_idx(t, r, class, all_sizes, most));
        let (sum, count) = precisions
            .filter_map(|index| computed(accumulated.precision[index]))
            .fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    };
    let truth = evaluation.coco_gt();
    accumulated
        .cat_ids
        .iter()
        .enumerate()
        .map(|(class, &category_id)| ClassAveragePrecision {
            category_id,
            name: truth.cat_name(category_id),
            average_precision: score(class),
        })
        .collect()
}
