//! What a frozen backbone does in half precision, of either kind, against single precision on the same
//! rounded inputs.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use gradway_kernels::{
    Activation, Rotations, Windows, add, bias_activation, depthwise_convolution, feed_forward,
    layer_norm, layer_scale, linear, self_attention, self_attention_reference, window_attention,
};

use crate::harness::{Inputs, Plain};

/// Inputs rounded to a type, in it or in single precision.
struct Rounded<'a> {
    inputs: &'a Inputs,
    to: DType,
    is_single: bool,
}

impl Rounded<'_> {
    fn get<const D: usize>(&self, index: usize) -> Tensor<Plain, D> {
        let rounded = self.inputs.tensor(index).cast(self.to);
        match self.is_single {
            true => rounded.cast(DType::F32),
            false => rounded,
        }
    }
}

/// Types with what their last bit makes of a result, which is rounded once or a few times.
const TYPES: [(DType, f64); 2] = [(DType::F16, 4e-3), (DType::BF16, 3e-2)];

/// Skips a type that a device does not have.
fn assert_rounded<const D: usize>(
    inputs: &Inputs,
    operator: impl Fn(&Rounded) -> Tensor<Plain, D>,
) {
    for (to, tolerance) in TYPES {
        if !Plain::supports_dtype(&Default::default(), to) {
            eprintln!("{to:?}: left out, this device has none");
            continue;
        }
        let [half, single] = [false, true].map(|is_single| {
            let rounded = Rounded {
                inputs,
                to,
                is_single,
            };
            operator(&rounded)
        });
        assert_eq!(half.dtype(), to);
        let values = |tensor: Tensor<Plain, D>| -> Vec<f32> {
            tensor.cast(DType::F32).into_data().to_vec().unwrap()
        };
        let (half, single) = (values(half), values(single));
        let largest = single.iter().fold(0f32, |most, x| most.max(x.abs()));
        for (half, single) in half.iter().zip(&single) {
            let error = f64::from((half - single).abs() / largest);
            assert!(error < tolerance, "{to:?}: {half} for {single}");
        }
    }
}

#[test]
fn layer_norm_of_half_precision() {
    let inputs = Inputs::random(110, &[&[3, 5, 7, 9], &[9], &[9]]);
    assert_rounded(&inputs, |inputs| {
        layer_norm::<_, 4>(inputs.get(0), inputs.get(1), inputs.get(2), 1e-5)
    });
    assert_rounded(&inputs, |inputs| {
        layer_scale::<_, 4>(inputs.get(0), inputs.get(1))
    });
}

#[test]
fn depthwise_convolution_of_half_precision() {
    let inputs = Inputs::random(113, &[&[2, 8, 9, 12], &[12, 1, 7, 7], &[12]]);
    assert_rounded(&inputs, |inputs| {
        depthwise_convolution(inputs.get(0), inputs.get(1), Some(inputs.get(2)))
    });
}

#[test]
fn products_and_activations_of_half_precision() {
    let inputs = Inputs::random(111, &[&[3, 5, 7, 9], &[9, 11], &[11], &[11, 9], &[9]]);
    for activation in [Activation::Identity, Activation::Relu, Activation::Gelu] {
        assert_rounded(&inputs, |inputs| {
            bias_activation::<_, 4>(inputs.get(0), Some(inputs.get(4)), 3, activation)
        });
    }
    assert_rounded(&inputs, |inputs| {
        linear::<_, 4>(inputs.get(0), inputs.get(1), Some(inputs.get(2)))
    });
    assert_rounded(&inputs, |inputs| {
        let weights = [(1, 2), (3, 4)];
        let weights = weights.map(|(weight, bias)| (inputs.get(weight), Some(inputs.get(bias))));
        feed_forward::<_, 4>(inputs.get(0), weights)
    });
    assert_rounded(&inputs, |inputs| add::<_, 4>(inputs.get(0), inputs.get(0)));
}

#[test]
fn window_attention_of_half_precision() {
    for (side, shift, size, heads, head) in [(3, [1, 1], [7, 5], 2, 3), (7, [3, 0], [15, 7], 1, 32)]
    {
        let windows = Windows {
            side,
            shift,
            size,
            pad_first: false,
        };
        let [height, width] = windows.padded();
        let offsets = (2 * side - 1) * (2 * side - 1);
        let qkv = [2, height, width, 3 * heads * head];
        let inputs = Inputs::random(112, &[&qkv, &[offsets, heads]]);
        assert_rounded(&inputs, |inputs| {
            window_attention(inputs.get(0), inputs.get(1), windows)
        });
    }
}

#[test]
fn attention_of_half_precision_with_rotations_of_single() {
    for (tokens, heads, head, is_rotated) in
        [(7, 2, 6, true), (50, 3, 8, false), (197, 1, 64, true)]
    {
        // Smaller than the others: what rounding does to a score is in an exponent.
        let mut inputs =
            Inputs::random(113, &[&[2, tokens, 3 * heads * head], &[tokens, head / 2]]);
        inputs.scale(0, 0.5);
        let rotations = || {
            let angles: Tensor<Plain, 2> = inputs.tensor(1);
            is_rotated.then(|| Rotations {
                cosines: angles.clone().cos(),
                sines: angles.sin(),
            })
        };
        assert_rounded(&inputs, |inputs| {
            self_attention(inputs.get(0), heads, rotations())
        });
        assert_rounded(&inputs, |inputs| {
            self_attention_reference(inputs.get(0), heads, rotations())
        });
    }
}
