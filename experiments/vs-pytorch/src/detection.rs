//! Gradway's operators of detection at the shapes of torch/operators.py.

use std::hint::black_box;
use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData};
use gradway::heads::detection::{Bounds, nms};
use gradway::kernels::{
    BACKGROUND, FocalLoss, KernelBackend, Roi, RoiAlign, focal_loss, roi_align,
};

use crate::case::Case;

/// Sides from 16 to 240 pixels in an image of 1344 x 800.
fn rectangles(count: usize) -> Vec<Bounds> {
    let rectangle = |i: usize| {
        let (x, y) = (i * 97 % 1100, i * 71 % 560);
        [x, y, x + 16 + i * 37 % 225, y + 16 + i * 53 % 225].map(|side| side as f32)
    };
    (0..count).map(rectangle).collect()
}

/// Suppression, which has no gradient.
pub(crate) fn suppression() -> Case {
    Case {
        name: "suppression of 4000".to_string(),
        build: Box::new(|| {
            let bounds = rectangles(4000);
            let scores = (0..4000).map(|i| (i * 7919 % 4001) as f32 / 4001.0);
            let scores: Vec<f32> = scores.collect();
            Ok(Box::new(move || {
                black_box(nms(&bounds, &scores, 0.7));
                Ok(())
            }))
        }),
    }
}

/// As many rectangles for each of some groups, `[groups, count, 4]`.
pub(crate) fn groups<B: KernelBackend>(
    groups: usize,
    count: usize,
    device: &B::Device,
) -> Tensor<B, 3> {
    let bounds = rectangles(groups * count).into_flattened();
    Tensor::from_data(TensorData::new(bounds, [groups, count, 4]), device)
}

/// Regions of a map of stride 8.
pub(crate) fn regions<B: KernelBackend>(
    map: Tensor<B, 4>,
    count: usize,
    size: usize,
) -> Tensor<B, 4> {
    let roi = |bounds| Roi { image: 0, bounds };
    let rois: Arc<[Roi]> = rectangles(count).into_iter().map(roi).collect();
    let options = RoiAlign {
        size,
        scale: 1.0 / 8.0,
        sampling: 0,
        aligned: true,
    };
    roi_align(map, rois, options)
}

/// Focal loss of `[9, 80, 16800]`; a sixth is background.
pub(crate) fn focal<B: KernelBackend>(logits: Tensor<B, 3>) -> Tensor<B, 1> {
    let label = |index: i32| match index % 97 {
        class if class < 80 => class,
        _ => BACKGROUND,
    };
    let labels: Vec<i32> = (0..9 * 16800).map(label).collect();
    let labels = TensorData::new(labels, [9, 16800]);
    let labels = Tensor::<B, 2, Int>::from_data(labels, &logits.device());
    let options = FocalLoss {
        alpha: 0.25,
        gamma: 2.0,
    };
    focal_loss(logits, labels, options)
}
