//! Edges: the F measure of predicted pixels near true edges.
//!
//! A prediction is an edge where its probability reaches a threshold. As many predicted and true edge pixels as
//! possible are matched one to one, if their distance is at most a share of the image's diagonal. Precision is
//! the share of the predicted pixels that are matched, recall that of the true ones. The optimal-dataset-scale
//! F (odsF) is the largest F measure of the pixels of all images over the thresholds; for the
//! optimal-image-scale F every image has its own best threshold; the average precision is the area under the
//! curve of the dataset (Arbelaez et al., PAMI 2011).
//!
//! Differences from the BSDS benchmark:
//! - Its `correspondPixels` searches for the pairs with the least total distance in a partly random graph,
//!   where an unmatched pixel costs a hundred times the largest distance. The number of pairs is then nearly
//!   always the maximum, which is counted here and is unique.
//! - Its scores are read from a curve that is interpolated between thresholds. Here they are those of the thresholds.
//! - An image has one annotation, not several. It is not thinned.
//! - Predictions are not post-processed either: thick edges of a model need non-maximum suppression across the
//!   edge first, which thinning does not replace.

mod matching;

use gradway_thinning::thin;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::map::{MapError, check_binary};
use crate::{MetricDescriptor, MetricFamily};
use matching::{Matching, TrueEdges};

/// F measure at the threshold that is best for the dataset.
pub const ODS_F: MetricDescriptor = MetricDescriptor {
    name: "ods_f",
    family: MetricFamily::Edges,
    summary: "F measure of edge pixels matched within a distance, at the best threshold for the dataset (odsF)",
    higher_is_better: true,
    unit: "share",
};

/// F measure with the best threshold of every image.
pub const OIS_F: MetricDescriptor = MetricDescriptor {
    name: "ois_f",
    family: MetricFamily::Edges,
    summary: "F measure of edge pixels matched within a distance, at the best threshold for each image (oisF)",
    higher_is_better: true,
    unit: "share",
};

/// Area under the precision-recall curve.
pub const EDGE_AVERAGE_PRECISION: MetricDescriptor = MetricDescriptor {
    name: "edge_average_precision",
    family: MetricFamily::Edges,
    summary: "area below the curve of precision and recall of edge pixels over the thresholds",
    higher_is_better: true,
    unit: "share",
};

/// The configuration of an [`EdgeEvaluation`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EdgeConfig {
    /// Number of thresholds, evenly spaced between 0 and 1: 99 are 0.01, 0.02, ... 0.99.
    pub thresholds: usize,
    /// Maximum distance of a predicted pixel from a true one, as a share of the image's diagonal. It is 0.0075
    /// for BSDS; the literature uses 0.011 for NYUD, whose annotations are less exact.
    pub max_distance: f64,
    /// Whether predictions are thinned to lines one pixel wide, as BSDS does.
    pub thin: bool,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            thresholds: 99,
            max_distance: 0.0075,
            thin: true,
        }
    }
}

/// Edges that cannot be compared.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// Maps that do not belong together.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The number of thresholds is 0.
    #[error("thresholds is 0; expected at least 1")]
    NoThresholds,
    /// A distance that is not a share of the diagonal.
    #[error("max_distance is {value}; expected a share of the diagonal from 0 to 1")]
    Distance {
        /// The value found.
        value: f64,
    },
    /// Two evaluations with different configurations.
    #[error("an evaluation with {other:?} cannot be added to one with {config:?}")]
    ConfigMismatch {
        /// The configuration of the evaluation added to.
        config: EdgeConfig,
        /// The configuration of the evaluation added.
        other: EdgeConfig,
    },
}

/// Counts of edge pixels at a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EdgeCounts {
    /// Number of predicted pixels that are matched with a true one.
    pub matched: u64,
    /// Number of predicted pixels.
    pub predicted: u64,
    /// Number of true pixels.
    pub truth: u64,
}

impl EdgeCounts {
    /// Share of the predicted pixels that are matched; 0 if there are none.
    pub fn precision(&self) -> f64 {
        share(self.matched, self.predicted)
    }

    /// Share of the true pixels that are matched; 0 if there are none.
    pub fn recall(&self) -> f64 {
        share(self.matched, self.truth)
    }

    /// Harmonic mean of precision and recall; 0 if both are 0.
    pub fn f(&self) -> f64 {
        share(2 * self.matched, self.predicted + self.truth)
    }

    fn add(&mut self, other: Self) {
        self.matched += other.matched;
        self.predicted += other.predicted;
        self.truth += other.truth;
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

/// Counts over the images seen so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EdgeEvaluation {
    config: EdgeConfig,
    images: u64,
    /// Counts of all images by threshold.
    counts: Vec<EdgeCounts>,
    /// Counts of all images, each at its best threshold.
    best: EdgeCounts,
}

/// Precision and recall at a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EdgePoint {
    /// The threshold.
    pub threshold: f64,
    /// Share of the predicted pixels that are matched.
    pub precision: f64,
    /// Share of the true pixels that are matched.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f: f64,
}

/// Scores of edges, as shares from 0 to 1; `None` without an image that counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeScores {
    /// The largest F measure of the dataset over the thresholds.
    pub ods_f: Option<f64>,
    /// F measure of all images, each at its best threshold.
    pub ois_f: Option<f64>,
    /// Area under the precision-recall curve from the smallest recall to the largest, linear between thresholds
    /// that predict something.
    pub edge_average_precision: Option<f64>,
    /// Precision and recall of the dataset at every threshold, from the lowest.
    pub curve: Vec<EdgePoint>,
}

impl EdgeConfig {
    /// Creates an evaluation without any images.
    ///
    /// # Errors
    /// If there are no thresholds, or the distance is not a share.
    pub fn init(self) -> Result<EdgeEvaluation, EdgeError> {
        if self.thresholds == 0 {
            return Err(EdgeError::NoThresholds);
        }
        if !(0.0..=1.0).contains(&self.max_distance) {
            return Err(EdgeError::Distance {
                value: self.max_distance,
            });
        }
        Ok(EdgeEvaluation {
            config: self,
            images: 0,
            counts: vec![EdgeCounts::default(); self.thresholds],
            best: EdgeCounts::default(),
        })
    }

    /// The thresholds, from the lowest.
    pub fn values(&self) -> Vec<f64> {
        let parts = (self.thresholds + 1) as f64;
        (1..=self.thresholds)
            .map(|index| index as f64 / parts)
            .collect()
    }
}

impl EdgeEvaluation {
    /// Returns the configuration.
    pub fn config(&self) -> EdgeConfig {
        self.config
    }

    /// Number of images counted.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Counts of all images by threshold, from the lowest.
    pub fn counts(&self) -> &[EdgeCounts] {
        &self.counts
    }

    /// Counts of all images, each at its best threshold, the highest one of several.
    pub fn best_counts(&self) -> EdgeCounts {
        self.best
    }

    /// Adds an image in rows of `width` pixels: the predicted probabilities of an edge, and the target, 1 for
    /// an edge, 0 for no edge and `ignore` for unlabelled pixels. Predictions at unlabelled pixels are ignored;
    /// an image without labelled pixels does not count.
    ///
    /// # Errors
    /// If the lengths differ or are not whole rows, a prediction is not a probability, or a target has another
    /// value. Nothing is counted then.
    pub fn add(
        &mut self,
        prediction: &[f32],
        target: &[u8],
        ignore: u8,
        width: usize,
    ) -> Result<(), EdgeError> {
        check_binary(prediction, target, ignore)?;
        let pixels = target.len();
        if pixels.checked_rem(width).unwrap_or(pixels) != 0 {
            return Err(MapError::NotRows { pixels, width }.into());
        }
        if target.iter().all(|&truth| truth == ignore) {
            return Ok(());
        }
        let counts = self.count(
            &self.levels(prediction, target, ignore),
            target,
            ignore,
            width,
        );
        let best = counts
            .iter()
            .copied()
            .max_by(|a, b| a.f().total_cmp(&b.f()));
        self.images += 1;
        self.best.add(best.unwrap_or_default());
        for (sum, counts) in self.counts.iter_mut().zip(counts) {
            sum.add(counts);
        }
        Ok(())
    }

    /// The number of thresholds that each pixel reaches; 0 where the target is ignored.
    fn levels(&self, prediction: &[f32], target: &[u8], ignore: u8) -> Vec<usize> {
        // In the precision of the predictions: a probability of 0.2 reaches a threshold of 0.2.
        let thresholds = self.config.values();
        let thresholds: Vec<f32> = thresholds.into_iter().map(|value| value as f32).collect();
        let pixels = prediction.iter().zip(target);
        let level = |(&probability, &truth): (&f32, &u8)| {
            if truth == ignore {
                return 0;
            }
            thresholds.partition_point(|&threshold| threshold <= probability)
        };
        pixels.map(level).collect()
    }

    /// The counts of an image by threshold.
    fn count(&self, levels: &[usize], target: &[u8], ignore: u8, width: usize) -> Vec<EdgeCounts> {
        let is_edge = |&truth: &u8| truth == 1 && truth != ignore;
        let edges: Vec<bool> = target.iter().map(is_edge).collect();
        let height = target.len() / width;
        let diagonal = ((width * width + height * height) as f64).sqrt();
        let truth = TrueEdges::new(&edges, width, self.config.max_distance * diagonal);

        let mut pixels = vec![Vec::new(); self.config.thresholds + 1];
        for (pixel, &level) in levels.iter().enumerate() {
            pixels[level].push(pixel);
        }
        let mut counts = vec![EdgeCounts::default(); self.config.thresholds];
        let mut matching = Matching::new(&truth);
        let mut predicted = 0;
        let mut map = vec![false; target.len()];
        for level in (1..=self.config.thresholds).rev() {
            if self.config.thin && !pixels[level].is_empty() {
                // A line is not where a thicker one was thinned to: every threshold is matched anew.
                for &pixel in &pixels[level] {
                    map[pixel] = true;
                }
                let mut thinned = map.clone();
                thin(&mut thinned, width);
                matching = Matching::new(&truth);
                predicted = 0;
                for (pixel, _) in thinned.iter().enumerate().filter(|(_, on)| **on) {
                    matching.add(pixel);
                    predicted += 1;
                }
            } else {
                for &pixel in &pixels[level] {
                    matching.add(pixel);
                    predicted += 1;
                }
            }
            counts[level - 1] = EdgeCounts {
                matched: matching.size() as u64,
                predicted,
                truth: truth.count() as u64,
            };
        }
        counts
    }

    /// Adds the images of another evaluation, to evaluate in parts.
    ///
    /// # Errors
    /// If the configurations differ.
    pub fn merge(&mut self, other: &Self) -> Result<(), EdgeError> {
        if self.config != other.config {
            return Err(EdgeError::ConfigMismatch {
                config: self.config,
                other: other.config,
            });
        }
        self.images += other.images;
        self.best.add(other.best);
        for (sum, counts) in self.counts.iter_mut().zip(&other.counts) {
            sum.add(*counts);
        }
        Ok(())
    }

    /// Returns the scores of all images counted so far.
    pub fn scores(&self) -> EdgeScores {
        let points = self.config.values().into_iter().zip(&self.counts);
        let points = points.map(|(threshold, counts)| EdgePoint {
            threshold,
            precision: counts.precision(),
            recall: counts.recall(),
            f: counts.f(),
        });
        let curve: Vec<EdgePoint> = points.collect();
        let largest = curve.iter().map(|point| point.f).reduce(f64::max);
        let if_any = |score: f64| (self.images > 0).then_some(score);
        EdgeScores {
            ods_f: largest.and_then(if_any),
            ois_f: if_any(self.best.f()),
            edge_average_precision: if_any(self.area()),
            curve,
        }
    }

    /// The area under the curve.
    fn area(&self) -> f64 {
        let predicting = self.counts.iter().filter(|counts| counts.predicted > 0);
        let mut points: Vec<(f64, f64)> = predicting
            .map(|counts| (counts.recall(), counts.precision()))
            .collect();
        // From the highest threshold to the lowest, but for what thinning disorders.
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let steps = points.windows(2);
        steps
            .map(|step| (step[1].0 - step[0].0) * (step[0].1 + step[1].1) / 2.0)
            .sum()
    }
}

#[cfg(test)]
mod tests;
