//! The mask head of Mask R-CNN (He et al. 2017, arXiv 1703.06870), which predicts the pixels of a region that
//! belong to its object.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use gradway_kernels::{Activation, BACKGROUND, KernelBackend, read, relu};

use super::losses::binary_cross_entropy;
use crate::convolution::{Convolution, Pointwise, kaiming};
use crate::enlarging::Enlarging;

/// Side of a predicted mask, twice that of a pooled region.
pub const MASK: usize = 28;
/// Upsampling factor along either side.
const FACTOR: usize = 2;

/// The mask head: convolutions, a transposed convolution that doubles the size, and a mask for every class.
#[derive(Module, Debug)]
pub struct MaskHead<B: Backend> {
    /// 3x3 convolutions.
    pub convolutions: Vec<Convolution<B>>,
    /// Transposed convolution that doubles the size.
    pub enlarging: Enlarging<B>,
    /// `[channels, classes]`
    pub output: Pointwise<B>,
}

impl<B: Backend> MaskHead<B> {
    /// Creates a head with this number of convolutions.
    pub fn new(channels: usize, convolutions: usize, classes: usize, device: &B::Device) -> Self {
        let convolution = |_| Convolution::kaiming([channels, channels, 3], device);
        // mmdetection's fan counts all taps, though an output sees one.
        let weights = kaiming(channels, FACTOR);
        Self {
            convolutions: (0..convolutions).map(convolution).collect(),
            enlarging: Enlarging::new([channels, channels], FACTOR, &weights, device),
            output: Pointwise::kaiming(channels, classes, device),
        }
    }
}

impl<B: KernelBackend> MaskHead<B> {
    /// Returns the logits. The four output positions of an input position are separate entries; they are
    /// interleaved in [`masks`](Self::masks), for one class instead of all channels.
    ///
    /// # Shapes
    ///
    /// - `x`: `[regions, channels, size, size]`
    /// - output: `[regions * 4, classes, size, size]`
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let mut x = x;
        for convolution in &self.convolutions {
            x = convolution.forward(x, 1, Activation::Relu);
        }
        let x = relu(self.enlarging.apart(x));
        self.output.forward(x)
    }

    /// Returns the mean binary cross entropy of the masks of the regions' classes, `[1]`; 0 without regions.
    ///
    /// # Shapes
    ///
    /// - `logits`: the output of [`forward`](Self::forward)
    /// - `classes`: `[regions]`
    /// - `masks`: `[regions, 2 * size, 2 * size]`, whether a pixel belongs to the object
    pub fn loss(&self, logits: Tensor<B, 4>, classes: &[usize], masks: &[bool]) -> Tensor<B, 1> {
        let device = logits.device();
        if classes.is_empty() {
            return Tensor::zeros([1], &device);
        }
        let [_, _, height, width] = logits.dims();
        let chosen = self.of_classes(logits, classes);
        let side = FACTOR * width;
        let label = |index: usize| {
            // `[regions * 4, height, width]`
            let (x, rest) = (index % width, index / width);
            let (y, rest) = (rest % height, rest / height);
            let (column, rest) = (rest % FACTOR, rest / FACTOR);
            let (row, region) = (rest % FACTOR, rest / FACTOR);
            let line = region * FACTOR * height + y * FACTOR + row;
            if masks[line * side + x * FACTOR + column] {
                0
            } else {
                BACKGROUND
            }
        };
        let labels: Vec<i32> = (0..masks.len()).map(label).collect();
        let shape = [classes.len() * FACTOR * FACTOR, height * width];
        let labels = Tensor::<B, 2, Int>::from_data(TensorData::new(labels, shape), &device);
        binary_cross_entropy(chosen, labels) / masks.len() as f32
    }

    /// Returns the mask probabilities of the regions' classes, from 0 to 1, `[regions, 2 * size, 2 * size]`.
    pub fn masks(&self, logits: Tensor<B, 4>, classes: &[usize]) -> Vec<f32> {
        if classes.is_empty() {
            return Vec::new();
        }
        let [_, _, height, width] = logits.dims();
        let chosen = self.of_classes(logits, classes);
        let chosen = chosen
            .reshape([classes.len(), FACTOR, FACTOR, height, width])
            .permute([0, 3, 1, 4, 2]);
        let values = read(chosen);
        let values = values.iter::<f32>();
        values.map(|logit| 1.0 / (1.0 + (-logit).exp())).collect()
    }

    /// Selects the logits of the regions' classes, `[regions * 4, 1, size * size]`.
    fn of_classes(&self, logits: Tensor<B, 4>, classes: &[usize]) -> Tensor<B, 3> {
        let [outer, all, height, width] = logits.dims();
        let positions = FACTOR * FACTOR;
        let row = |index: usize| (index * all + classes[index / positions]) as i32;
        let rows: Vec<i32> = (0..outer).map(row).collect();
        let rows = Tensor::from_data(TensorData::new(rows, [outer]), &logits.device());
        let logits = logits.reshape([outer * all, height * width]);
        logits.select(0, rows).unsqueeze_dim(1)
    }
}
