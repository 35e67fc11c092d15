//! Gradway's operators at the shapes of torch/operators.py.

use burn::backend::{Autodiff, Flex};
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Int, Tensor, TensorData};
use gradway::kernels::{
    Activation, BatchStatistics, ConvolutionOptions, KernelBackend, Windows, add, batch_norm,
    bias_activation, convolution, cross_entropy, layer_norm, linear, resize_bilinear, softmax,
    window_attention,
};

use crate::case::Case;
use crate::detection;
use crate::gradient::backward;

type Tracked = Autodiff<Flex>;

/// Random tensors of any backend, as an operator takes them.
struct Inputs<B: Backend>(Vec<Tensor<B, 1>>, &'static [&'static [usize]]);

impl<B: Backend> Inputs<B> {
    fn random(shapes: &'static [&'static [usize]]) -> Self {
        let device = Default::default();
        let tensors = shapes.iter().map(|shape| {
            let count = shape.iter().product::<usize>();
            Tensor::random([count], Distribution::Normal(0.0, 1.0), &device)
        });
        Self(tensors.collect(), shapes)
    }

    fn get<const D: usize>(&self, index: usize) -> Tensor<B, D> {
        let shape: [usize; D] = std::array::from_fn(|axis| self.1[index][axis]);
        self.0[index].clone().reshape(shape)
    }
}

/// An operator whose value alone is wanted.
fn forward<const D: usize>(
    name: &str,
    shapes: &'static [&'static [usize]],
    operator: impl Fn(&Inputs<Flex>) -> Tensor<Flex, D> + Clone + 'static,
) -> Case {
    Case {
        name: format!("{name} forward"),
        build: Box::new(move || {
            let inputs = Inputs::<Flex>::random(shapes);
            let operator = operator.clone();
            Ok(Box::new(move || {
                operator(&inputs);
                Ok(())
            }))
        }),
    }
}

/// An operator and the gradient of every input for a random gradient of the output.
fn step<const D: usize>(
    name: &str,
    shapes: &'static [&'static [usize]],
    operator: impl Fn(&Inputs<Tracked>) -> Tensor<Tracked, D> + Clone + 'static,
) -> Case {
    Case {
        name: format!("{name} step"),
        build: Box::new(move || {
            let mut inputs = Inputs::<Tracked>::random(shapes);
            let operator = operator.clone();
            let output = operator(&inputs);
            let normal = Distribution::Normal(0.0, 1.0);
            let gradient = Tensor::random(output.shape(), normal, &output.device());
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
        }),
    }
}

/// Both, of an operator that is generic over backends.
macro_rules! both {
    ($name:expr, $shapes:expr, |$inputs:ident| $operator:expr) => {
        [
            forward($name, $shapes, |$inputs| $operator),
            step($name, $shapes, |$inputs| $operator),
        ]
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
        shift,
        size: [length; 2],
        pad_first: false,
    }
}

/// Every operator.
pub fn all() -> Vec<Case> {
    let mut cases = vec![
        forward(
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
        ),
        forward("product 1024", &[&[1024, 1024], &[1024, 1024]], |inputs| {
            linear(inputs.get::<2>(0), inputs.get(1), None)
        }),
        cross_entropy_step(),
    ];
    cases.extend(both!(
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
    ));
    cases.extend(both!(
        "layer norm [6272,384]",
        &[&[6272, 384], &[384], &[384]],
        |inputs| layer_norm::<_, 2>(inputs.get(0), inputs.get(1), inputs.get(2), 1e-5)
    ));
    cases.extend(both!("GELU [2,3136,384]", &[&[2, 3136, 384]], |inputs| {
        bias_activation::<_, 3>(inputs.get(0), None, 2, Activation::Gelu)
    }));
    cases.extend(both!("ReLU6 [8,144,60,80]", &[MAP], |inputs| {
        bias_activation::<_, 4>(inputs.get(0), None, 1, Activation::Relu6)
    }));
    cases.extend(both!(
        "add [2,3136,384]",
        &[&[2, 3136, 384], &[2, 3136, 384]],
        |inputs| add::<_, 3>(inputs.get(0), inputs.get(1))
    ));
    cases.extend(both!(
        "softmax [128,3,49,49]",
        &[&[128, 3, 49, 49]],
        |inputs| softmax::<_, 4>(inputs.get(0))
    ));
    cases.extend(both!(
        "linear 6272x96x384",
        &[&[6272, 96], &[96, 384], &[384]],
        |inputs| linear::<_, 2>(inputs.get(0), inputs.get(1), Some(inputs.get(2)))
    ));
    cases.extend(both!(
        "convolution 1x1 [8,24,60,80] to 144",
        &[&[8, 24, 60, 80], &[144, 24, 1, 1], &[144]],
        |inputs| convolve(inputs, options(1, 1, 1))
    ));
    cases.extend(both!(
        "convolution 3x3 [2,64,60,80] to 64",
        &[&[2, 64, 60, 80], &[64, 64, 3, 3], &[64]],
        |inputs| convolve(inputs, options(3, 1, 1))
    ));
    cases.extend(both!(
        "convolution 3x3, stride 2 [8,3,240,320] to 32",
        &[&[8, 3, 240, 320], &[32, 3, 3, 3], &[32]],
        |inputs| convolve(inputs, options(3, 2, 1))
    ));
    cases.extend(both!(
        "convolution 3x3 [1,256,100,168] to 256",
        &[&[1, 256, 100, 168], &[256, 256, 3, 3], &[256]],
        |inputs| convolve(inputs, options(3, 1, 1))
    ));
    cases.extend(both!(
        "depthwise 3x3 [8,144,60,80]",
        &[MAP, &[144, 1, 3, 3], &[144]],
        |inputs| convolve(inputs, options(3, 1, 144))
    ));
    cases.extend(both!(
        "depthwise 5x5 [8,144,60,80]",
        &[MAP, &[144, 1, 5, 5], &[144]],
        |inputs| convolve(inputs, options(5, 1, 144))
    ));
    cases.extend(both!(
        "depthwise 5x5, stride 2 [8,144,60,80]",
        &[MAP, &[144, 1, 5, 5], &[144]],
        |inputs| convolve(inputs, options(5, 2, 144))
    ));
    cases.extend(both!(
        "bilinear x4 [2,64,60,80]",
        &[&[2, 64, 60, 80]],
        |inputs| resize_bilinear(inputs.get(0), [240, 320])
    ));
    cases.push(detection::suppression());
    cases.extend(both!(
        "RoIAlign [1,256,100,168], 512 regions of 7",
        &[&[1, 256, 100, 168]],
        |inputs| detection::regions(inputs.get(0), 512, 7)
    ));
    cases.extend(both!(
        "RoIAlign [1,256,100,168], 128 regions of 14",
        &[&[1, 256, 100, 168]],
        |inputs| detection::regions(inputs.get(0), 128, 14)
    ));
    cases.push(step(
        "focal loss [9,80,16800]",
        &[&[9, 80, 16800]],
        |inputs| detection::focal(inputs.get(0)),
    ));
    cases.extend(both!(
        "window attention [4,56,56,3x96], 3 heads",
        &[&[4, 56, 56, 288], &[169, 3]],
        |inputs| window_attention(inputs.get(0), inputs.get(1), windows(7, 0, 56))
    ));
    cases.extend(both!(
        "window attention, shifted [4,56,56,3x96], 3 heads",
        &[&[4, 56, 56, 288], &[169, 3]],
        |inputs| window_attention(inputs.get(0), inputs.get(1), windows(7, 3, 56))
    ));
    cases.extend(both!(
        "window attention, shifted [4,14,14,3x384], 12 heads",
        &[&[4, 14, 14, 1152], &[169, 12]],
        |inputs| window_attention(inputs.get(0), inputs.get(1), windows(7, 3, 14))
    ));
    cases
}

fn convolve<B: KernelBackend>(inputs: &Inputs<B>, options: ConvolutionOptions) -> Tensor<B, 4> {
    convolution(inputs.get(0), inputs.get(1), Some(inputs.get(2)), options)
}

fn cross_entropy_step() -> Case {
    let count: usize = LABELS.iter().product();
    let labels: Vec<i32> = (0..count).map(|index| (index * 7 % 12) as i32).collect();
    let labels = TensorData::new(labels, LABELS);
    step(
        "cross entropy [4,12,240,320]",
        &[&[4, 12, 240, 320]],
        move |inputs| {
            let labels = Tensor::<Tracked, 3, Int>::from_data(labels.clone(), &Default::default());
            cross_entropy(inputs.get(0), labels, 255, &[])
        },
    )
}
