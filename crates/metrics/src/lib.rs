//! Metrics of dense prediction, on plain slices.
//!
//! A metric accumulates over a dataset and is asked for its scores at the end, because most of them
//! are not averages over images. [`table()`] lists them.

pub mod segmentation;

use serde::Serialize;

pub use segmentation::{ConfusionMatrix, SegmentationError, SegmentationScores};

/// What a listing says about a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MetricDescriptor {
    /// Name, as configurations and reports write it.
    pub name: &'static str,
    /// What it measures and how.
    pub summary: &'static str,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// Unit of the value.
    pub unit: &'static str,
}

/// Every metric: a new one is one line.
const TABLE: &[MetricDescriptor] = &[
    segmentation::MEAN_IOU,
    segmentation::PIXEL_ACCURACY,
    segmentation::MEAN_ACCURACY,
];

/// Every metric, in the order of listings.
pub fn table() -> &'static [MetricDescriptor] {
    TABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_the_fields_of_the_scores() {
        let scores = serde_json::to_value(ConfusionMatrix::new(2).scores()).unwrap();
        for metric in table() {
            assert!(scores[metric.name].is_number(), "{}", metric.name);
        }
    }
}
