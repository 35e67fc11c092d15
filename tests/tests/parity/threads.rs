//! The same number of threads gives the same bits; another number differs by rounding alone.

use burn::tensor::{Int, Tensor, TensorData};
use gradway_kernels::{
    Activation, BatchStatistics, ChannelAxis, ConvolutionOptions, Windows, add, batch_norm,
    bias_activation, convolution, cross_entropy, depthwise_convolution, feed_forward, layer_norm,
    layer_scale, linear, low_rank_adapter, resize_bilinear, self_attention, softmax,
    window_attention,
};
use rayon::ThreadPoolBuilder;

use crate::harness::{Evaluation, GRADIENT, Inputs, Leaves, Tracked, VALUE};
use crate::harness::{assert_close, evaluate};
use crate::low_rank::weights;

fn with_threads(count: usize, run: impl FnOnce() -> Evaluation + Send) -> Evaluation {
    let pool = ThreadPoolBuilder::new().num_threads(count).build().unwrap();
    pool.install(run)
}

/// Inputs large enough that all threads have a share.
fn assert_threads<const D: usize>(
    shapes: &[&[usize]],
    operator: impl Fn(&Leaves) -> Tensor<Tracked, D> + Send + Sync,
) {
    let inputs = Inputs::random(100, shapes);
    let run = |threads| with_threads(threads, || evaluate(&inputs, |_| true, &operator));
    let two = run(2);
    for _ in 0..3 {
        let again = run(2);
        assert!(two.value == again.value, "the value has other bits");
        assert!(
            two.gradients == again.gradients,
            "a gradient has other bits"
        );
    }
    for threads in [1, 3] {
        let other = run(threads);
        assert_close("the value", &other.value, &two.value, VALUE);
        for (other, two) in other.gradients.iter().zip(&two.gradients) {
            let (other, two) = (other.as_ref().unwrap(), two.as_ref().unwrap());
            assert_close("a gradient", other, two, GRADIENT);
        }
    }
}

#[test]
fn products() {
    assert_threads(&[&[4500, 24], &[24, 40], &[40]], |leaves| {
        linear::<_, 2>(leaves.get(0), leaves.get(1), Some(leaves.get(2)))
    });
    // A product that the threads share.
    assert_threads(&[&[50, 520], &[520, 513], &[513]], |leaves| {
        linear::<_, 2>(leaves.get(0), leaves.get(1), Some(leaves.get(2)))
    });
    let shapes: [&[usize]; 5] = [&[900, 24], &[24, 96], &[96], &[96, 24], &[24]];
    assert_threads(&shapes, |leaves| {
        let layer = |index| (leaves.get(index), Some(leaves.get(index + 1)));
        feed_forward::<_, 2>(leaves.get(0), [layer(1), layer(3)])
    });
}

#[test]
fn adapters() {
    for (axis, z) in [
        (ChannelAxis::Last, [3, 29, 31, 24]),
        (ChannelAxis::First, [3, 24, 29, 31]),
    ] {
        let shapes: [&[usize]; 7] = [&z, &[24, 4], &[4, 12], &[12], &[12, 4], &[4, 24], &[24]];
        assert_threads(&shapes, |leaves| {
            low_rank_adapter(leaves.get(0), weights(leaves), axis)
        });
    }
}

#[test]
fn convolutions() {
    for (kernel, stride, groups) in [(1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 12), (5, 2, 12)] {
        let options = ConvolutionOptions {
            stride,
            padding: [[kernel / 2; 2]; 2],
            groups,
            activation: Activation::Relu6,
        };
        let shapes: [&[usize]; 3] = [&[3, 12, 40, 50], &[12, 12 / groups, kernel, kernel], &[12]];
        assert_threads(&shapes, |leaves| {
            convolution(leaves.get(0), leaves.get(1), Some(leaves.get(2)), options)
        });
    }
}

#[test]
fn depthwise_convolutions() {
    let shapes: [&[usize]; 3] = [&[3, 40, 50, 24], &[24, 1, 7, 7], &[24]];
    assert_threads(&shapes, |leaves| {
        depthwise_convolution(leaves.get(0), leaves.get(1), Some(leaves.get(2)))
    });
}

#[test]
fn norms() {
    assert_threads(&[&[4500, 24], &[24], &[24]], |leaves| {
        layer_norm::<_, 2>(leaves.get(0), leaves.get(1), leaves.get(2), 1e-5)
    });
    assert_threads(&[&[4500, 24], &[24]], |leaves| {
        layer_scale::<_, 2>(leaves.get(0), leaves.get(1))
    });
    assert_threads(&[&[5, 12, 40, 50], &[12], &[12]], |leaves| {
        let statistics = BatchStatistics::Batch;
        batch_norm(
            leaves.get(0),
            leaves.get(1),
            leaves.get(2),
            statistics,
            1e-5,
        )
        .0
    });
}

#[test]
fn elementwise_operators() {
    assert_threads(&[&[5, 12, 40, 50], &[12]], |leaves| {
        bias_activation::<_, 4>(leaves.get(0), Some(leaves.get(1)), 1, Activation::Gelu)
    });
    assert_threads(&[&[5, 12, 40, 50], &[5, 12, 40, 50]], |leaves| {
        add::<_, 4>(leaves.get(0), leaves.get(1))
    });
    assert_threads(&[&[500, 49]], |leaves| softmax::<_, 2>(leaves.get(0)));
    assert_threads(&[&[3, 12, 20, 25]], |leaves| {
        resize_bilinear(leaves.get(0), [80, 99])
    });
}

#[test]
fn attention_and_loss() {
    let windows = Windows {
        side: 7,
        shift: [3, 3],
        size: [28, 28],
        pad_first: false,
    };
    assert_threads(&[&[2, 28, 28, 72], &[169, 2]], |leaves| {
        window_attention(leaves.get(0), leaves.get(1), windows)
    });
    assert_threads(&[&[2, 300, 3 * 2 * 16]], |leaves| {
        self_attention(leaves.get(0), 2, None)
    });
    let labels: Vec<i32> = (0..2 * 60 * 70).map(|index| index * 7 % 12).collect();
    let labels = TensorData::new(labels, [2, 60, 70]);
    assert_threads(&[&[2, 12, 60, 70]], |leaves| {
        let labels = Tensor::<Tracked, 3, Int>::from_data(labels.clone(), &Default::default());
        cross_entropy(leaves.get(0), labels, 255, &[])
    });
}
