//! Losses of boxes and of independent classes. All are sums, which the networks normalise.

use burn::tensor::TensorData;
use burn::tensor::activation::relu;
use burn::tensor::{Int, Tensor};
use gradway_kernels::{FocalLoss, KernelBackend, clamp_max, focal_loss};
use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::coder::BoxCoder;

/// Smooth L1 loss (Girshick 2015, arXiv 1504.08083): quadratic up to `beta`, linear beyond; with `beta` 0 the
/// absolute difference.
///
/// # Shapes
///
/// - `predicted`, `wanted`: `[rows, columns]`
/// - output: `[1]`
pub fn smooth_l1<B: KernelBackend>(
    predicted: Tensor<B, 2>,
    wanted: Tensor<B, 2>,
    beta: f32,
) -> Tensor<B, 1> {
    let difference = (predicted - wanted).abs();
    if beta == 0.0 {
        return difference.sum();
    }
    // The quadratic part reaches to beta; what is beyond is linear with the slope it ends with.
    let near = clamp_max(difference.clone(), beta);
    let far = difference - near.clone();
    (near.powi_scalar(2) * (0.5 / beta) + far).sum()
}

/// GIoU loss of pairs of boxes: 1 minus the generalised IoU (Rezatofighi et al. 2019, arXiv 1902.09630).
///
/// # Shapes
///
/// - `predicted`, `wanted`: `[rows, 4]`: left, top, right, bottom
/// - output: `[1]`
pub fn giou_loss<B: KernelBackend>(predicted: Tensor<B, 2>, wanted: Tensor<B, 2>) -> Tensor<B, 1> {
    // So that rectangles of no area divide by something.
    const LEAST: f32 = 1e-7;

    let rows = predicted.dims()[0];
    let corner = |bounds: &Tensor<B, 2>, first: usize| bounds.clone().narrow(1, first, 2);
    let area = |sides: Tensor<B, 2>| sides.clone().narrow(1, 0, 1) * sides.narrow(1, 1, 1);
    let own_area = |bounds: &Tensor<B, 2>| area(corner(bounds, 2) - corner(bounds, 0));
    let highest = |first| corner(&predicted, first).max_pair(corner(&wanted, first));
    let lowest = |first| corner(&predicted, first).min_pair(corner(&wanted, first));
    // Without a slope where they only touch, which would be huge for rectangles of no area.
    let shared = area(relu(lowest(2) - highest(0)));
    let union = own_area(&predicted) + own_area(&wanted) - shared.clone();
    let around = area(highest(2) - lowest(0));
    let outside = (around.clone() - union.clone()) / (around + LEAST);
    let giou = shared / (union + LEAST) - outside;
    giou.sum().neg() + rows as f32
}

/// Binary cross entropy of independent classes: twice the [`focal_loss`] with `gamma` 0 and `alpha` 0.5.
///
/// # Shapes
///
/// - `logits`: `[outer, classes, positions]`
/// - `labels`: `[outer, positions]`
/// - output: `[1]`
pub fn binary_cross_entropy<B: KernelBackend>(
    logits: Tensor<B, 3>,
    labels: Tensor<B, 2, Int>,
) -> Tensor<B, 1> {
    let options = FocalLoss {
        alpha: 0.5,
        gamma: 0.0,
    };
    focal_loss(logits, labels, options) * 2.0
}

/// The box loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BoxLoss {
    /// L1 loss of the offsets, mmdetection's default.
    #[default]
    L1,
    /// Smooth L1 loss of the offsets.
    SmoothL1 {
        /// Difference at which it becomes linear.
        beta: f32,
    },
    /// GIoU loss of the boxes.
    Giou,
}

impl BoxLoss {
    /// Returns the sum of the losses of predicted `offsets` from `references`, whose target boxes are `wanted`,
    /// `[1]`.
    ///
    /// # Shapes
    ///
    /// - `offsets`: `[references, 4]`
    pub fn of<B: KernelBackend>(
        self,
        offsets: Tensor<B, 2>,
        wanted: &[Bounds],
        references: &[Bounds],
        coder: BoxCoder,
    ) -> Tensor<B, 1> {
        let device = offsets.device();
        let rows = |rows: Vec<[f32; 4]>| {
            let count = rows.len();
            let rows = TensorData::new(rows.into_flattened(), [count, 4]);
            Tensor::<B, 2>::from_data(rows, &device)
        };
        let pairs = wanted.iter().zip(references);
        let encoded = || {
            rows(
                pairs
                    .map(|(wanted, of)| coder.encode(*wanted, *of))
                    .collect(),
            )
        };
        match self {
            Self::Giou => {
                let decoded = coder.decode_each(offsets, references);
                giou_loss(decoded, rows(wanted.to_vec()))
            }
            Self::L1 => smooth_l1(offsets, encoded(), 0.0),
            Self::SmoothL1 { beta } => smooth_l1(offsets, encoded(), beta),
        }
    }
}
