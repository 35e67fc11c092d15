//! Gradway's operators at the shapes of torch/operators.py.

use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Int, Tensor, TensorData};
use gradway::kernels::{
    Activation, BatchStatistics, ConvolutionOptions, KernelBackend, Windows, add, batch_norm,
    bias_activation, convolution, cross_entropy, depthwise_convolution, layer_norm, linear, nms,
    resize_bilinear, softmax, top_k, window_attention,
};

use anyhow::Result;

use crate::case::{Case, Run};
use crate::detection;
use crate::gradient::backward;

/// Random tensors of any backend, as an operator takes them.
struct Inputs<B: Backend>(Vec<Tensor<B, 1>>, &'static [&'static [usize]]);

impl<B: Backend> Inputs<B> {
    fn random(shapes: &'static [&'static [usize]], device: &B::Device) -> Self {
        let tensors = shapes.iter().map(|shape| {
            let count = shape.iter().product::<usize>();
            Tensor::random([count], Distribution::Normal(0.0, 1.0), device)
        });
        Self(tensors.collect(), shapes)
    }

    fn get<const D: usize>(&self, index: usize) -> Tensor<B, D> {
        let shape: [usize; D] = std::array::from_fn(|axis| self.1[index][axis]);
        self.0[index].clone().reshape(shape)
    }
}

/// The operators on a device.
struct Operators<B: KernelBackend> {
    device: B::Device,
    cases: Vec<Case>,
}

impl<B: KernelBackend> Operators<B> {
    /// An operator whose value alone is wanted.
    fn forward<const D: usize>(
        &mut self,
        name: &str,
        shapes: &'static [&'static [usize]],
        operator: impl Fn(&Inputs<B>) -> Tensor<B, D> + Clone + 'static,
    ) {
        let device = self.device.clone();
        let build = move || -> Result<Run> {
            let inputs = Inputs::<B>::random(shapes, &device);
            let operator = operator.clone();
            Ok(Box::new(move || {
                operator(&inputs);
                Ok(())
            }))
        };
        let case = Case::on::<B>(&self.device, format!("{name} forward"), build);
        self.cases.push(case);
    }

    /// An operator and the gradient of every input for a random gradient of the output.
    fn step<const D: usize>(
        &mut self,
        name: &str,
        shapes: &'static [&'static [usize]],
        operator: impl Fn(&Inputs<Autodiff<B>>) -> Tensor<Autodiff<B>, D> + Clone + 'static,
    ) {
        let device = self.device.clone();
        let build = move || -> Result<Run> {
            let mut inputs = Inputs::<Autodiff<B>>::random(shapes, &device);
            let operator = operator.clone();
            let shape = operator(&inputs).shape();
            let gradient = Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device);
            Ok(Box::new(move || {
                for tensor in &mut inputs.0 {
                    *tensor = tensor.clone().detach().require_grad();
                }
                let gradients = backward(operator(&inputs), gradient.clone());
                for tensor in &inputs.0 {
                    tensor.grad(&gradients);
                }
                Ok(())
            }))
        };
        let case = Case::on::<B>(&self.device, format!("{name} step"), build);
        self.cases.push(case);
    }
}

/// Both, of an operator that is generic over backends.
macro_rules! both {
    ($operators:expr, $name:expr, $shapes:expr, |$inputs:ident| $operator:expr) => {
        $operators.forward($name, $shapes, |$inputs| $operator);
        $operators.step($name, $shapes, |$inputs| $operator);
    };
}

const MAP: &[usize] = &[8, 144, 60, 80];
const LABELS: [usize; 3] = [4, 240, 320];

/// A convolution of a map of height and width, with PyTorch's padding of half the kernel.
fn options(kernel: usize, stride: usize, groups: usize) -> ConvolutionOptions {
    ConvolutionOptions {
        stride,
        padding: [[kernel / 2; 2]; 2],
        groups,
        activation: Activation::Identity,
    }
}

fn windows(side: usize, shift: usize, length: usize) -> Windows {
    Windows {
        side,
        shift: [shift; 2],
        size: [length; 2],
        pad_first: false,
    }
}

/// Every operator on a device.
pub fn all<B: KernelBackend>(device: &B::Device) -> Vec<Case> {
    let mut operators = Operators::<B> {
        device: device.clone(),
        cases: Vec::new(),
    };
    operators.forward(
        "batch norm, evaluation [8,144,60,80]",
        &[MAP, &[144], &[144], &[144], &[144]],
        |inputs| {
            let statistics = BatchStatistics::Running {
                mean: inputs.get(1),
                variance: inputs.get::<1>(2).abs(),
            };
            batch_norm(
                inputs.get(0),
                inputs.get(3),
                inputs.get(4),
                statistics,
                1e-5,
            )
            .0
        },
    );
    operators.forward("product 1024", &[&[1024, 1024], &[1024, 1024]], |inputs| {
        linear(inputs.get::<2>(0), inputs.get(1), None)
    });
    cross_entropy_step(&mut operators);
    both!(
        operators,
        "batch norm, training [8,144,60,80]",
        &[MAP, &[144], &[144]],
        |inputs| {
            let statistics = BatchStatistics::Batch;
            batch_norm(
                inputs.get(0),
                inputs.get(1),
                inputs.get(2),
                statistics,
                1e-5,
            )
            .0
        }
    );
    both!(
        operators,
        "layer norm [6272,384]",
        &[&[6272, 384], &[384], &[384]],
        |inputs| layer_norm::<_, 2>(inputs.get(0), inputs.get(1), inputs.get(2), 1e-5)
    );
    both!(
        operators,
        "GELU [2,3136,384]",
        &[&[2, 3136, 384]],
        |inputs| { bias_activation::<_, 3>(inputs.get(0), None, 2, Activation::Gelu) }
    );
    both!(operators, "ReLU6 [8,144,60,80]", &[MAP], |inputs| {
        bias_activation::<_, 4>(inputs.get(0), None, 1, Activation::Relu6)
    });
    both!(
        operators,
        "add [2,3136,384]",
        &[&[2, 3136, 384], &[2, 3136, 384]],
        |inputs| add::<_, 3>(inputs.get(0), inputs.get(1))
    );
    both!(
        operators,
        "softmax [128,3,49,49]",
        &[&[128, 3, 49, 49]],
        |inputs| softmax::<_, 4>(inputs.get(0))
    );
    both!(
        operators,
        "linear 6272x96x384",
        &[&[6272, 96], &[96, 384], &[384]],
        |inputs| linear::<_, 2>(inputs.get(0), inputs.get(1), Some(inputs.get(2)))
    );
    both!(
        operators,
        "convolution 1x1 [8,24,60,80] to 144",
        &[&[8, 24, 60, 80], &[144, 24, 1, 1], &[144]],
        |inputs| convolve(inputs, options(1, 1, 1))
    );
    both!(
        operators,
        "convolution 3x3 [2,64,60,80] to 64",
        &[&[2, 64, 60, 80], &[64, 64, 3, 3], &[64]],
        |inputs| convolve(inputs, options(3, 1, 1))
    );
    both!(
        operators,
        "convolution 3x3, stride 2 [8,3,240,320] to 32",
        &[&[8, 3, 240, 320], &[32, 3, 3, 3], &[32]],
        |inputs| convolve(inputs, options(3, 2, 1))
    );
    both!(
        operators,
        "convolution 3x3 [1,256,100,168] to 256",
        &[&[1, 256, 100, 168], &[256, 256, 3, 3], &[256]],
        |inputs| convolve(inputs, options(3, 1, 1))
    );
    both!(
        operators,
        "depthwise 3x3 [8,144,60,80]",
        &[MAP, &[144, 1, 3, 3], &[144]],
        |inputs| convolve(inputs, options(3, 1, 144))
    );
    both!(
        operators,
        "depthwise 5x5 [8,144,60,80]",
        &[MAP, &[144, 1, 5, 5], &[144]],
        |inputs| convolve(inputs, options(5, 1, 144))
    );
    both!(
        operators,
        "depthwise 5x5, stride 2 [8,144,60,80]",
        &[MAP, &[144, 1, 5, 5], &[144]],
        |inputs| convolve(inputs, options(5, 2, 144))
    );
    for beside in ["channels last", "channels first"] {
        both!(
            operators,
            &format!("depthwise 7x7 [4,91,119,96], PyTorch's {beside}"),
            &[&[4, 91, 119, 96], &[96, 1, 7, 7], &[96]],
            |inputs| depthwise(inputs)
        );
        both!(
            operators,
            &format!("depthwise 7x7 [4,23,30,384], PyTorch's {beside}"),
            &[&[4, 23, 30, 384], &[384, 1, 7, 7], &[384]],
            |inputs| depthwise(inputs)
        );
        both!(
            operators,
            &format!("depthwise 7x7 [4,12,15,768], PyTorch's {beside}"),
            &[&[4, 12, 15, 768], &[768, 1, 7, 7], &[768]],
            |inputs| depthwise(inputs)
        );
    }
    both!(
        operators,
        "bilinear x4 [2,64,60,80]",
        &[&[2, 64, 60, 80]],
        |inputs| resize_bilinear(inputs.get(0), [240, 320])
    );
    operators.cases.push(detection::suppression());
    operators.forward("top 2000 of [2,201600]", &[&[2, 201_600]], |inputs| {
        top_k(inputs.get(0), 2000).0
    });
    let groups = detection::groups::<B>(8, 2000, device);
    operators.forward("suppression of [8,2000]", &[], move |_| {
        nms(groups.clone(), 0.7)
    });
    both!(
        operators,
        "RoIAlign [1,256,100,168], 512 regions of 7",
        &[&[1, 256, 100, 168]],
        |inputs| detection::regions(inputs.get(0), 512, 7)
    );
    both!(
        operators,
        "RoIAlign [1,256,100,168], 128 regions of 14",
        &[&[1, 256, 100, 168]],
        |inputs| detection::regions(inputs.get(0), 128, 14)
    );
    operators.step("focal loss [9,80,16800]", &[&[9, 80, 16800]], |inputs| {
        detection::focal(inputs.get(0))
    });
    both!(
        operators,
        "window attention [4,56,56,3x96], 3 heads",
        &[&[4, 56, 56, 288], &[169, 3]],
        |inputs| window_attention(inputs.get(0), inputs.get(1), windows(7, 0, 56))
    );
    both!(
        operators,
        "window attention, shifted [4,56,56,3x96], 3 heads",
        &[&[4, 56, 56, 288], &[169, 3]],
        |inputs| window_attention(inputs.get(0), inputs.get(1), windows(7, 3, 56))
    );
    both!(
        operators,
        "window attention, shifted [4,14,14,3x384], 12 heads",
        &[&[4, 14, 14, 1152], &[169, 12]],
        |inputs| window_attention(inputs.get(0), inputs.get(1), windows(7, 3, 14))
    );
    operators.cases
}

fn convolve<B: KernelBackend>(inputs: &Inputs<B>, options: ConvolutionOptions) -> Tensor<B, 4> {
    convolution(inputs.get(0), inputs.get(1), Some(inputs.get(2)), options)
}

/// Of maps with their channels last.
fn depthwise<B: KernelBackend>(inputs: &Inputs<B>) -> Tensor<B, 4> {
    depthwise_convolution(inputs.get(0), inputs.get(1), Some(inputs.get(2)))
}

fn cross_entropy_step<B: KernelBackend>(operators: &mut Operators<B>) {
    let count: usize = LABELS.iter().product();
    let labels: Vec<i32> = (0..count).map(|index| (index * 7 % 12) as i32).collect();
    let labels = TensorData::new(labels, LABELS);
    let labels = Tensor::<Autodiff<B>, 3, Int>::from_data(labels, &operators.device);
    operators.step(
        "cross entropy [4,12,240,320]",
        &[&[4, 12, 240, 320]],
        move |inputs| cross_entropy(inputs.get(0), labels.clone(), 255, &[]),
    );
}
