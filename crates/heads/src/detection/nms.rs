//! Non-maximum suppression.

use gradway_kernels::unsuppressed;

use super::bounds::Bounds;
use super::objects::DetectedObject;

/// Returns the indices of the boxes that no kept box with a higher score overlaps by an IoU above `threshold`,
/// in descending order of score. Boxes with equal scores keep their order.
///
/// # Panics
///
/// If the numbers of scores and boxes differ.
pub fn nms(bounds: &[Bounds], scores: &[f32], threshold: f32) -> Vec<usize> {
    assert_eq!(bounds.len(), scores.len());
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    suppress(&order, bounds, threshold)
}

/// As [`nms`], within each class: returns the indices of all classes, in descending order of score.
pub fn nms_by_class(
    bounds: &[Bounds],
    scores: &[f32],
    classes: &[usize],
    threshold: f32,
) -> Vec<usize> {
    assert_eq!(bounds.len(), scores.len());
    assert_eq!(bounds.len(), classes.len());
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // Class by class, the best first.
    order.sort_by(|a, b| {
        let by_class = classes[*a].cmp(&classes[*b]);
        by_class.then(scores[*b].total_cmp(&scores[*a]))
    });
    let groups = order.chunk_by(|a, b| classes[*a] == classes[*b]);
    let mut kept: Vec<usize> = groups
        .flat_map(|group| suppress(group, bounds, threshold))
        .collect();
    kept.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    kept
}

/// Returns the best detections after non-maximum suppression within each class.
pub(super) fn suppressed(
    found: &[DetectedObject],
    overlap: f32,
    count: usize,
) -> Vec<DetectedObject> {
    let bounds: Vec<Bounds> = found.iter().map(|object| object.bounds).collect();
    let scores: Vec<f32> = found.iter().map(|object| object.score).collect();
    let classes: Vec<usize> = found.iter().map(|object| object.class).collect();
    let kept = nms_by_class(&bounds, &scores, &classes, overlap);
    let kept = kept.into_iter().take(count);
    kept.map(|index| found[index]).collect()
}

/// Suppresses boxes in this order: returns those that no kept box before overlaps.
fn suppress(order: &[usize], bounds: &[Bounds], threshold: f32) -> Vec<usize> {
    let ordered: Vec<Bounds> = order.iter().map(|index| bounds[*index]).collect();
    let kept = order.iter().zip(unsuppressed(&ordered, threshold));
    kept.filter(|(_, is_kept)| *is_kept)
        .map(|(index, _)| *index)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [Bounds; 4] = [
        [0.0, 0.0, 10.0, 10.0],
        [0.0, 0.0, 10.0, 8.0],
        [0.0, 0.0, 10.0, 5.0],
        [20.0, 20.0, 20.0, 20.0],
    ];

    #[test]
    fn the_better_one_stays() {
        let scores = [0.5, 0.9, 0.8, 0.1];
        // 0.8 with the first, 0.625 with the third; a point overlaps nothing.
        assert_eq!(nms(&BOUNDS, &scores, 0.6), [1, 3]);
        assert_eq!(nms(&BOUNDS, &scores, 0.7), [1, 2, 3]);
        assert_eq!(nms(&BOUNDS, &scores, 0.9), [1, 2, 0, 3]);
        assert!(nms(&[], &[], 0.5).is_empty());
    }

    #[test]
    fn exactly_the_threshold_stays_and_equals_keep_their_order() {
        assert_eq!(nms(&BOUNDS[..2], &[0.5, 0.5], 0.8), [0, 1]);
        assert_eq!(nms(&BOUNDS[..2], &[0.5, 0.5], 0.7), [0]);
    }

    #[test]
    fn classes_do_not_suppress_each_other() {
        let scores = [0.5, 0.9, 0.8, 0.95];
        assert_eq!(
            nms_by_class(&BOUNDS, &scores, &[1, 0, 1, 0], 0.4),
            [3, 1, 2]
        );
        assert_eq!(nms_by_class(&BOUNDS, &scores, &[0, 0, 0, 0], 0.4), [3, 1]);
    }
}
