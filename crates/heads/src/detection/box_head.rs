//! The box head of Fast R-CNN (Girshick 2015, arXiv 1504.08083), which classifies regions and refines their boxes.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use gradway_backbone::Phase;
use gradway_kernels::{Activation, KernelBackend, linear_activation};

use super::bounds::Bounds;
use super::coder::BoxCoder;
use super::losses::BoxLoss;
use crate::convolution::ConvNormRelu;

/// A linear layer of a [`BoxHead`].
#[derive(Module, Debug)]
pub struct Layer<B: Backend> {
    /// `[inputs, outputs]`
    pub weight: Param<Tensor<B, 2>>,
    /// `[outputs]`
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> Layer<B> {
    fn new(sizes: [usize; 2], initializer: Initializer, device: &B::Device) -> Self {
        let [inputs, outputs] = sizes;
        Self {
            weight: initializer.init_with(sizes, Some(inputs), Some(outputs), device),
            bias: Initializer::Zeros.init([outputs], device),
        }
    }
}

impl<B: KernelBackend> Layer<B> {
    fn forward(&self, x: Tensor<B, 2>, activation: Activation) -> Tensor<B, 2> {
        linear_activation(x, self.weight.val(), Some(self.bias.val()), activation)
    }
}

/// Configuration of a [`BoxHead`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxHeadConfig {
    /// Number of convolutions before the hidden layers.
    pub convolutions: usize,
    /// Width of the hidden layers: one layer after convolutions, two without convolutions.
    pub width: usize,
    /// Whether the box offsets are the same for all classes.
    pub is_class_agnostic: bool,
}

/// The box head: optional convolutions, hidden layers over the flattened region, and outputs for classes and
/// box offsets.
#[derive(Module, Debug)]
pub struct BoxHead<B: Backend> {
    /// 3x3 convolutions; empty in Fast R-CNN.
    pub convolutions: Vec<ConvNormRelu<B>>,
    /// Hidden layers, from `[channels * size * size]` inputs to the width, and from the width to the width.
    pub hidden: Vec<Layer<B>>,
    /// `[width, classes + 1]`, background last.
    pub class_output: Layer<B>,
    /// `[width, 4]`, the same for every class, or `[width, classes * 4]`.
    pub box_output: Layer<B>,
    classes: usize,
}

/// The outputs of a [`BoxHead`].
#[derive(Debug, Clone)]
pub struct BoxOutputs<B: KernelBackend> {
    /// `[regions, classes + 1]`, background last.
    pub logits: Tensor<B, 2>,
    /// `[regions, 4]` or `[regions, classes * 4]`
    pub offsets: Tensor<B, 2>,
}

/// The target of a region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxTarget {
    /// The region.
    pub region: Bounds,
    /// Class and box of its object; `None` for background.
    pub object: Option<(usize, Bounds)>,
}

/// The two losses, without their weights.
#[derive(Debug, Clone)]
pub struct BoxHeadLosses<B: KernelBackend> {
    /// Mean cross entropy of the classes.
    pub classes: Tensor<B, 1>,
    /// Box loss of the regions with an object, divided by the number of all regions.
    pub boxes: Tensor<B, 1>,
}

impl BoxHeadConfig {
    /// Initialises the head for regions of `[channels, size, size]`.
    pub fn init<B: Backend>(
        &self,
        [channels, size]: [usize; 2],
        classes: usize,
        device: &B::Device,
    ) -> BoxHead<B> {
        let width = self.width;
        let xavier = || Initializer::XavierUniform { gain: 1.0 };
        let normal = |std| Initializer::Normal { mean: 0.0, std };
        let boxes = if self.is_class_agnostic { 1 } else { classes };
        let convolution = |_| ConvNormRelu::new(channels, channels, 3, device);
        let mut hidden = vec![Layer::new(
            [channels * size * size, width],
            xavier(),
            device,
        )];
        if self.convolutions == 0 {
            hidden.push(Layer::new([width, width], xavier(), device));
        }
        BoxHead {
            convolutions: (0..self.convolutions).map(convolution).collect(),
            hidden,
            class_output: Layer::new([width, classes + 1], normal(0.01), device),
            box_output: Layer::new([width, 4 * boxes], normal(0.001), device),
            classes,
        }
    }
}

impl<B: KernelBackend> BoxHead<B> {
    /// # Shapes
    ///
    /// - `x`: `[regions, channels, size, size]`
    pub fn forward(&self, mut x: Tensor<B, 4>, phase: Phase) -> BoxOutputs<B> {
        for convolution in &self.convolutions {
            x = convolution.forward(x, phase);
        }
        let [regions, channels, height, width] = x.dims();
        let mut x = x.reshape([regions, channels * height * width]);
        for layer in &self.hidden {
            x = layer.forward(x, Activation::Relu);
        }
        BoxOutputs {
            logits: self.class_output.forward(x.clone(), Activation::Identity),
            offsets: self.box_output.forward(x, Activation::Identity),
        }
    }

    /// Returns the losses of regions with one target each; both are 0 without regions.
    pub fn losses(
        &self,
        outputs: BoxOutputs<B>,
        targets: &[BoxTarget],
        box_loss: BoxLoss,
        coder: BoxCoder,
    ) -> BoxHeadLosses<B> {
        let device = outputs.logits.device();
        let count = targets.len();
        if count == 0 {
            let zero = Tensor::zeros([1], &device);
            return BoxHeadLosses {
                classes: zero.clone(),
                boxes: zero,
            };
        }
        let label = |target: &BoxTarget| target.object.map_or(self.classes, |(class, _)| class);
        let labels: Vec<i32> = targets.iter().map(|target| label(target) as i32).collect();
        let labels = TensorData::new(labels, [count, 1]);
        let labels = Tensor::<B, 2, Int>::from_data(labels, &device);
        let classes = log_softmax(outputs.logits, 1).gather(1, labels).sum().neg();
        let columns = outputs.offsets.dims()[1] / 4;
        let mut rows = Vec::new();
        let (mut wanted, mut references) = (Vec::new(), Vec::new());
        for (row, target) in targets.iter().enumerate() {
            if let Some((class, bounds)) = target.object {
                rows.push((row * columns + if columns > 1 { class } else { 0 }) as i32);
                wanted.push(bounds);
                references.push(target.region);
            }
        }
        let boxes = if rows.is_empty() {
            Tensor::zeros([1], &device)
        } else {
            let chosen = rows.len();
            let rows = Tensor::from_data(TensorData::new(rows, [chosen]), &device);
            let offsets = outputs.offsets.reshape([count * columns, 4]);
            box_loss.of(offsets.select(0, rows), &wanted, &references, coder)
        };
        BoxHeadLosses {
            classes: classes / count as f32,
            boxes: boxes / count as f32,
        }
    }
}
