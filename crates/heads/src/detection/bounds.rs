//! Boxes in an image: left, top, right and bottom in pixels, in continuous coordinates.

/// A box: left, top, right, bottom in pixels.
pub type Bounds = [f32; 4];

/// Returns the area in square pixels; 0 if a side is not positive.
pub fn area([left, top, right, bottom]: Bounds) -> f32 {
    (right - left).max(0.0) * (bottom - top).max(0.0)
}

/// Returns the area of the intersection of two boxes.
pub fn intersection(a: Bounds, b: Bounds) -> f32 {
    area([
        a[0].max(b[0]),
        a[1].max(b[1]),
        a[2].min(b[2]),
        a[3].min(b[3]),
    ])
}

/// Returns the intersection over union; 0 if the union is empty.
pub fn iou(a: Bounds, b: Bounds) -> f32 {
    let shared = intersection(a, b);
    if shared > 0.0 {
        shared / (area(a) + area(b) - shared)
    } else {
        0.0
    }
}

/// Returns the generalised intersection over union (Rezatofighi et al. 2019, arXiv 1902.09630), from -1 to 1:
/// the IoU minus the share of the smallest enclosing box that neither covers.
pub fn giou(a: Bounds, b: Bounds) -> f32 {
    let around = [
        a[0].min(b[0]),
        a[1].min(b[1]),
        a[2].max(b[2]),
        a[3].max(b[3]),
    ];
    let around = area(around);
    if around > 0.0 {
        let union = area(a) + area(b) - intersection(a, b);
        iou(a, b) - (around - union) / around
    } else {
        0.0
    }
}

/// Clips a box to an image of `[height, width]`.
pub fn clip([left, top, right, bottom]: Bounds, [height, width]: [usize; 2]) -> Bounds {
    let (height, width) = (height as f32, width as f32);
    [
        left.clamp(0.0, width),
        top.clamp(0.0, height),
        right.clamp(0.0, width),
        bottom.clamp(0.0, height),
    ]
}

/// Whether both sides are longer than `side` pixels.
pub fn is_larger([left, top, right, bottom]: Bounds, side: f32) -> bool {
    right - left > side && bottom - top > side
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_counted_by_hand() {
        let (a, b) = ([0.0, 0.0, 4.0, 2.0], [2.0, 1.0, 6.0, 3.0]);
        assert_eq!(intersection(a, b), 2.0);
        assert_eq!(iou(a, b), 2.0 / 14.0);
        // Around both: 6 by 3.
        assert_eq!(giou(a, b), 2.0 / 14.0 - 4.0 / 18.0);
    }

    #[test]
    fn apart_and_of_no_area() {
        let (a, point) = ([0.0, 0.0, 1.0, 1.0], [3.0, 0.0, 3.0, 0.0]);
        assert_eq!(iou(a, point), 0.0);
        assert_eq!(iou(point, point), 0.0);
        assert_eq!(giou(point, point), 0.0);
        assert_eq!(giou(a, [3.0, 0.0, 4.0, 1.0]), -0.5);
        assert_eq!(area([5.0, 5.0, 1.0, 1.0]), 0.0);
    }

    #[test]
    fn clipping_keeps_what_is_inside() {
        let bounds = clip([-3.0, 2.0, 9.0, 99.0], [10, 8]);
        assert_eq!(bounds, [0.0, 2.0, 8.0, 10.0]);
        assert!(is_larger(bounds, 7.9));
        assert!(!is_larger(bounds, 8.0));
    }
}
