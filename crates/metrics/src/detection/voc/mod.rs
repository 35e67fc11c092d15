//! Pascal VOC's average precision at IoU 0.5, with the matching of its development kit.
//!
//! A detection is matched with the object of its class and image that it overlaps most, the first of equal
//! ones. It is right if their IoU is at least 0.5 and no earlier detection was matched with the object.
//! Detections matched with a difficult object are not counted. VOC 2007 averages precision over 11 recalls,
//! later years use the area under the curve: [`score`] returns both.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::check;
use super::error::{DetectionError, Origin};
use crate::{MetricDescriptor, MetricFamily};

/// Minimum IoU of a right detection, compared with `>=` as in the development kit. Python ports of it compare
/// with `>`.
const LEAST_IOU: f64 = 0.5;

const fn describe(name: &'static str, summary: &'static str) -> MetricDescriptor {
    MetricDescriptor {
        name,
        family: MetricFamily::VocDetection,
        summary,
        higher_is_better: true,
        unit: "share",
    }
}

/// The mean over the classes of VOC 2007's average precision.
pub const MEAN_AP_11_POINTS: MetricDescriptor = describe(
    "mean_ap_11_points",
    "average precision at IoU 0.5 over recalls 0, 0.1, ..., 1, averaged over the classes (VOC 2007)",
);

/// The mean over the classes of the average precision of VOC 2010 and later.
pub const MEAN_AP_AREA: MetricDescriptor = describe(
    "mean_ap_area",
    "area under precision over recall at IoU 0.5, averaged over the classes (VOC 2010 to 2012)",
);

/// The meaning of the corners of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edges {
    /// Pixels that belong to the box: it is `right - left + 1` wide. This is the convention of the development
    /// kit and the annotations.
    Inclusive,
    /// Points: it is `right - left` wide.
    Points,
}

/// A true object.
#[derive(Debug, Clone, PartialEq)]
pub struct VocObject {
    /// The image it is in.
    pub image_id: u64,
    /// Its class index.
    pub class: usize,
    /// `[left, top, right, bottom]`.
    pub corners: [f64; 4],
    /// Whether the object is difficult: detections of it are not counted.
    pub difficult: bool,
}

/// A detected object.
#[derive(Debug, Clone, PartialEq)]
pub struct VocDetection {
    /// The image it is in.
    pub image_id: u64,
    /// The predicted class index.
    pub class: usize,
    /// `[left, top, right, bottom]`.
    pub corners: [f64; 4],
    /// Confidence; any finite number. Detections with equal scores keep their order.
    pub score: f64,
}

/// Scores of detections as Pascal VOC defines them, as shares from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VocScores {
    /// Mean of `ap_11_points` over the classes that have one; `None` if no class has.
    pub mean_ap_11_points: Option<f64>,
    /// Mean of `ap_area` over the classes that have one; `None` if no class has.
    pub mean_ap_area: Option<f64>,
    /// `[classes]`, the mean over recalls 0, 0.1, ..., 1 of the largest precision at that recall or more;
    /// `None` for a class without objects that count.
    pub ap_11_points: Vec<Option<f64>>,
    /// `[classes]`, the area under the curve of the largest precision at a recall or more; `None` for a class
    /// without objects that count.
    pub ap_area: Vec<Option<f64>>,
}

/// Scores the detections of `classes` classes.
///
/// # Errors
/// If a class is out of range, or a score or corner is not finite.
pub fn score(
    classes: usize,
    objects: &[VocObject],
    detections: &[VocDetection],
    edges: Edges,
) -> Result<VocScores, DetectionError> {
    check_entries(classes, objects, detections)?;
    let curves = (0..classes).map(|class| Curve::of(class, objects, detections, edges));
    let (ap_11_points, ap_area): (Vec<_>, Vec<_>) = curves
        .map(|curve| (curve.average_of_11_points(), curve.area()))
        .unzip();
    Ok(VocScores {
        mean_ap_11_points: mean(&ap_11_points),
        mean_ap_area: mean(&ap_area),
        ap_11_points,
        ap_area,
    })
}

fn check_entries(
    classes: usize,
    objects: &[VocObject],
    detections: &[VocDetection],
) -> Result<(), DetectionError> {
    let check = |list, index, image_id, class, corners: [f64; 4]| {
        let place = Origin { file: None, list }.at(index, image_id);
        if class >= classes {
            return Err(DetectionError::ClassOutOfRange {
                entry: place.entry(),
                class,
                classes,
            });
        }
        check::bbox(place, &corners.map(Some))?;
        Ok(place)
    };
    for (index, object) in objects.iter().enumerate() {
        let (image_id, class) = (object.image_id, object.class);
        check("objects", index, image_id, class, object.corners)?;
    }
    for (index, detection) in detections.iter().enumerate() {
        let (image_id, class) = (detection.image_id, detection.class);
        let place = check("detections", index, image_id, class, detection.corners)?;
        check::score(place, Some(detection.score))?;
    }
    Ok(())
}

/// The cumulative matches of a class's detections in descending order of score.
struct Curve {
    /// Number of objects that count.
    positives: usize,
    /// Number of right detections after each detection that counts.
    right: Vec<usize>,
}

impl Curve {
    fn of(class: usize, objects: &[VocObject], detections: &[VocDetection], edges: Edges) -> Self {
        let mut by_image: HashMap<u64, Vec<(&VocObject, bool)>> = HashMap::new();
        let objects = objects.iter().filter(|object| object.class == class);
        let mut positives = 0;
        for object in objects {
            positives += usize::from(!object.difficult);
            let taken = false;
            let image = by_image.entry(object.image_id).or_default();
            image.push((object, taken));
        }

        let mut ordered: Vec<&VocDetection> = detections
            .iter()
            .filter(|detection| detection.class == class)
            .collect();
        // Stable; zeros of either sign are equal, as they are to the kit.
        ordered.sort_by(|left, right| (right.score + 0.0).total_cmp(&(left.score + 0.0)));

        let mut right = Vec::with_capacity(ordered.len());
        let mut so_far = 0;
        for detection in ordered {
            let image = by_image.get_mut(&detection.image_id);
            let best = image.and_then(|image| most_overlapping(image, &detection.corners, edges));
            match best {
                Some((object, _)) if object.difficult => continue,
                Some((_, taken)) if !*taken => {
                    *taken = true;
                    so_far += 1;
                }
                _ => {}
            }
            right.push(so_far);
        }
        Self { positives, right }
    }

    /// The largest precision at each detection or a later one.
    fn envelope(&self) -> Vec<f64> {
        let ranks = self.right.iter().zip(1..);
        let mut precisions: Vec<f64> = ranks
            .map(|(&right, rank)| right as f64 / f64::from(rank))
            .collect();
        for index in (1..precisions.len()).rev() {
            precisions[index - 1] = precisions[index - 1].max(precisions[index]);
        }
        precisions
    }

    fn average_of_11_points(&self) -> Option<f64> {
        let envelope = self.envelope();
        let precision = |point: usize| {
            // In whole numbers: 3 right of 10 are a recall of 0.3, which 3 steps of 0.1 exceed.
            let reached = |&right: &usize| 10 * right >= point * self.positives;
            let first = self.right.iter().position(reached);
            first.map_or(0.0, |index| envelope[index])
        };
        (self.positives > 0).then(|| (0..=10).map(precision).sum::<f64>() / 11.0)
    }

    fn area(&self) -> Option<f64> {
        let mut before = 0;
        let mut sum = 0.0;
        for (&right, precision) in self.right.iter().zip(self.envelope()) {
            sum += (right - before) as f64 * precision;
            before = right;
        }
        (self.positives > 0).then(|| sum / self.positives as f64)
    }
}

/// The object that overlaps most, the first of equal ones; `None` if it does not overlap enough.
fn most_overlapping<'a, 'b>(
    image: &'a mut [(&'b VocObject, bool)],
    corners: &[f64; 4],
    edges: Edges,
) -> Option<&'a mut (&'b VocObject, bool)> {
    let mut best = None;
    let mut most = LEAST_IOU;
    for (index, (object, _)) in image.iter().enumerate() {
        let overlap = iou(corners, &object.corners, edges);
        if overlap > most || (best.is_none() && overlap >= most) {
            most = overlap;
            best = Some(index);
        }
    }
    image.get_mut(best?)
}

/// The intersection over union of two boxes; 0 if they are disjoint.
fn iou(left: &[f64; 4], right: &[f64; 4], edges: Edges) -> f64 {
    let extra = match edges {
        Edges::Inclusive => 1.0,
        Edges::Points => 0.0,
    };
    let area =
        |corners: &[f64; 4]| (corners[2] - corners[0] + extra) * (corners[3] - corners[1] + extra);
    let width = left[2].min(right[2]) - left[0].max(right[0]) + extra;
    let height = left[3].min(right[3]) - left[1].max(right[1]) + extra;
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let both = width * height;
    both / (area(left) + area(right) - both)
}

/// The mean of the scores that exist.
fn mean(scores: &[Option<f64>]) -> Option<f64> {
    let (sum, count) = scores
        .iter()
        .flatten()
        .fold((0.0, 0u32), |(sum, count), score| (sum + score, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests;
