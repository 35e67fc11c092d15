//! Attention among all tokens against PyTorch in double precision, values and gradients, with and without rotations: the
//! processor's kernel and the plain statement.

use burn::tensor::{Tensor, TensorData};
use gradway_kernels::{Rotations, self_attention, self_attention_reference};
use gradway_tests::formula::{scaled, uniform};
use gradway_tests::{Golden, Tracked, assert_close};

/// Sums of up to 1,370 products in single precision, and exponentials: PyTorch's own show 1e-6. A wrong factor, or a rotation
/// in the wrong direction, is 1e-2 and more.
const TOLERANCE: f64 = 1e-5;

const HEADS: usize = 6;
const HEAD: usize = 64;
const CHANNELS: usize = HEADS * HEAD;
/// Class and register tokens, which are not rotated.
const UNROTATED: usize = 5;
/// Number of values in a sample, about.
const SAMPLES: usize = 512;

type Attention = fn(Tensor<Tracked, 3>, usize, Option<Rotations<Tracked>>) -> Tensor<Tracked, 3>;

fn tensor<const D: usize>(data: TensorData) -> Tensor<Tracked, D> {
    Tensor::from_data(data, &Default::default())
}

fn rotations(tokens: usize) -> Rotations<Tracked> {
    let shape = [tokens, HEAD / 2];
    let angles = scaled("angles", &shape, 3.0, 0.0);
    let angles: Vec<f64> = angles.iter::<f64>().collect();
    let table = |function: fn(f64) -> f64| {
        let numbered = angles.iter().enumerate();
        let values = numbered.map(|(index, &angle)| match index < UNROTATED * shape[1] {
            true => function(0.0) as f32,
            false => function(angle) as f32,
        });
        tensor(TensorData::new(values.collect::<Vec<f32>>(), shape))
    };
    Rotations {
        cosines: table(f64::cos),
        sines: table(f64::sin),
    }
}

/// Compares a sample of values, and sums of all with random signs, whose errors are those of the whole over its norm.
fn assert_summary(golden: &Golden, name: &str, values: &[f32]) {
    let step = (values.len() / SAMPLES) | 1;
    let sample: Vec<f32> = values.iter().copied().step_by(step).collect();
    let count = sample.len();
    let sample = TensorData::new(sample, [count]);
    assert_close(
        name,
        &sample,
        &golden.data(&format!("{name}.sample")),
        TOLERANCE,
    );
    let norm = golden.values(&format!("{name}.norm"))[0];
    let sums = golden.values(&format!("{name}.sums"));
    assert_eq!(sums.len(), 8);
    for (index, expected) in sums.iter().enumerate() {
        let signs = uniform(&format!("signs.{index}"), values.len());
        let signed = values
            .iter()
            .zip(signs)
            .map(|(&value, sign)| match sign < 0.0 {
                true => -f64::from(value),
                false => f64::from(value),
            });
        let error = (signed.sum::<f64>() - expected).abs() / norm;
        assert!(
            error <= TOLERANCE,
            "sum {index} of {name} is off by {error:.1e}"
        );
    }
}

fn assert_case(golden: &Golden, attention: Attention, tokens: usize, is_rotated: bool) {
    let qkv = scaled("qkv", &[1, tokens, 3 * CHANNELS], 2.0, 0.0);
    let qkv = tensor::<3>(qkv).require_grad();
    let output = attention(qkv.clone(), HEADS, is_rotated.then(|| rotations(tokens)));
    let name = match is_rotated {
        true => format!("{tokens}.rotary"),
        false => format!("{tokens}.plain"),
    };
    let values = |data: TensorData| data.to_vec::<f32>().unwrap();
    assert_summary(golden, &format!("{name}.output"), &values(output.to_data()));
    let grad = scaled("grad", &[1, tokens, CHANNELS], 1.0, 0.0);
    let gradients = (output * tensor(grad)).sum().backward();
    let gradient = qkv.grad(&gradients).unwrap();
    for (part, of) in ["query", "key", "value"].into_iter().enumerate() {
        let part = gradient.clone().narrow(2, part * CHANNELS, CHANNELS);
        assert_summary(golden, &format!("{name}.{of}"), &values(part.into_data()));
    }
}

fn assert_attention(attention: Attention) {
    let golden = Golden::open("attention");
    for tokens in [50, 257, 1370] {
        for is_rotated in [false, true] {
            assert_case(&golden, attention, tokens, is_rotated);
        }
    }
}

#[test]
fn the_kernel_and_its_gradients_equal_the_golden() {
    assert_attention(self_attention);
}

#[test]
fn the_plain_statement_and_its_gradients_equal_the_golden() {
    assert_attention(self_attention_reference);
}
