//! Convolutions with their batch norms, and the inverted residual block made of them.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use gradway_kernels::{
    Activation, ConvolutionOptions, KernelBackend, add, bias_activation, convolution,
};

use super::norm::{BatchNorm, Filters, FoldedNorm};
use crate::access::{Access, BlockAccess, Point};
use crate::batch_statistics::BatchStatistics;
use crate::drop_path::Phase;

/// A convolution with a batch norm, which is folded into it, or separate if it is trained.
#[derive(Module, Debug)]
pub struct Convolution<B: Backend> {
    /// `[outputs, inputs / groups, kernel, kernel]`
    pub weight: Param<Tensor<B, 4>>,
    /// `[outputs]`; `None` if the norm is separate.
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// The separate norm; `None` if it is folded.
    pub norm: Option<BatchNorm<B>>,
    /// Step between output positions.
    pub stride: usize,
    /// 1, or the number of channels for a depthwise convolution.
    pub groups: usize,
    /// The data of the folded norm, until it is decided whether the norm is trained.
    #[module(skip)]
    pub(super) folded: Option<FoldedNorm>,
}

impl<B: Backend> Convolution<B> {
    pub(super) fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        groups: usize,
        device: &B::Device,
    ) -> Self {
        let fan_out = kernel * kernel * outputs / groups;
        let initializer = Initializer::Normal {
            mean: 0.0,
            std: (2.0 / fan_out as f64).sqrt(),
        };
        Self {
            weight: initializer.init([outputs, inputs / groups, kernel, kernel], device),
            bias: Some(Initializer::Zeros.init([outputs], device)),
            norm: None,
            stride,
            groups,
            folded: Some(FoldedNorm::identity(outputs)),
        }
    }

    pub(super) fn outputs(&self) -> usize {
        self.weight.dims()[0]
    }

    /// Whether its batch norm is separate or can be separated.
    pub(super) fn has_norm(&self) -> bool {
        self.norm.is_some() || self.folded.is_some()
    }

    /// Separates the batch norm from the convolution, if its data is known.
    pub(super) fn keep_norm(&mut self, statistics: BatchStatistics) {
        let Some(folded) = self.folded.take() else {
            return;
        };
        let Some(bias) = self.bias.take() else {
            return;
        };
        let (shape, device) = (self.weight.dims(), self.weight.device());
        let filters = Filters {
            weight: values(self.weight.val().into_data()),
            bias: values(bias.val().into_data()),
        };
        let (weight, norm) = folded.kept(&filters, statistics, &device);
        let weight = Tensor::from_data(TensorData::new(weight, shape), &device);
        self.weight = Param::from_tensor(weight);
        self.norm = Some(norm);
    }
}

fn values(data: TensorData) -> Vec<f32> {
    data.convert_dtype(DType::F32).iter::<f32>().collect()
}

impl<B: KernelBackend> Convolution<B> {
    /// # Shapes
    ///
    /// - `x`: `[batch, inputs, height, width]`
    /// - output: `[batch, outputs, ceil(height / stride), ceil(width / stride)]`
    pub fn forward(&self, x: Tensor<B, 4>, activation: Activation, phase: Phase) -> Tensor<B, 4> {
        let weight = self.weight.val();
        let [outputs, inputs, kernel, _] = weight.dims();
        let [_, _, height, width] = x.dims();
        let options = ConvolutionOptions::same([height, width], kernel, self.stride)
            .with_groups(self.groups)
            .with_activation(activation);
        let Some(norm) = &self.norm else {
            let bias = self.bias.as_ref().map(Param::val);
            return convolution(x, weight, bias, options);
        };
        if let Some(statistics) = norm.followed(phase) {
            let options = options.with_activation(Activation::Identity);
            let x = norm.normalize(convolution(x, weight, None, options), statistics);
            return bias_activation(x, None, 1, activation);
        }
        // The same function as a norm behind the convolution, without its pass over the map.
        let [scale, shift] = norm.scale_and_shift();
        let filters = weight.reshape([outputs, inputs * kernel * kernel]);
        let filters = filters * scale.reshape([outputs, 1]);
        let weight = filters.reshape([outputs, inputs, kernel, kernel]);
        convolution(x, weight, Some(shift), options)
    }
}

/// Expansion, depthwise convolution and projection, with a residual where the shape allows it
/// (MobileNetV2, Sandler et al. 2018).
#[derive(Module, Debug)]
pub struct InvertedResidual<B: Backend> {
    /// 1x1 convolution to the hidden width; `None` if that is the input width.
    pub expand: Option<Convolution<B>>,
    /// Depthwise convolution.
    pub depthwise: Convolution<B>,
    /// 1x1 convolution to the output width, without activation.
    pub project: Convolution<B>,
    /// Whether the input is added to the output.
    pub residual: bool,
}

impl<B: Backend> InvertedResidual<B> {
    pub(super) fn new(
        inputs: usize,
        outputs: usize,
        expansion: usize,
        kernel: usize,
        stride: usize,
        device: &B::Device,
    ) -> Self {
        let hidden = inputs * expansion;
        Self {
            expand: (expansion > 1).then(|| Convolution::new(inputs, hidden, 1, 1, 1, device)),
            depthwise: Convolution::new(hidden, hidden, kernel, stride, hidden, device),
            project: Convolution::new(hidden, outputs, 1, 1, 1, device),
            residual: stride == 1 && inputs == outputs,
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.project.outputs()
    }

    /// Its convolutions by their names.
    pub(super) fn convolutions(&self) -> impl Iterator<Item = (&'static str, &Convolution<B>)> {
        let expand = self.expand.iter().map(|layer| ("expand", layer));
        expand.chain([("depthwise", &self.depthwise), ("project", &self.project)])
    }

    /// Its convolutions by their names.
    pub(super) fn convolutions_mut(
        &mut self,
    ) -> impl Iterator<Item = (&'static str, &mut Convolution<B>)> {
        let expand = self.expand.iter_mut().map(|layer| ("expand", layer));
        expand.chain([
            ("depthwise", &mut self.depthwise),
            ("project", &mut self.project),
        ])
    }
}

impl<B: KernelBackend> InvertedResidual<B> {
    /// # Shapes
    ///
    /// - `x`: `[batch, inputs, height, width]`
    /// - output: `[batch, outputs, ceil(height / stride), ceil(width / stride)]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 4>,
        phase: Phase,
        access: &mut BlockAccess<'_, impl Access<B>>,
    ) -> Tensor<B, 4> {
        let hidden = match &self.expand {
            Some(expand) => expand.forward(x.clone(), Activation::Relu6, phase),
            None => x.clone(),
        };
        let hidden = self.depthwise.forward(hidden, Activation::Relu6, phase);
        let branch = self.project.forward(hidden, Activation::Identity, phase);
        let branch = access.at(Point::Convolution, &x, branch);
        if self.residual {
            let output = add(branch, x.clone());
            access.at(Point::Block, &x, output)
        } else {
            access.at(Point::Block, &x, branch)
        }
    }
}
