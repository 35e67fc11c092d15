//! What is no finite number stays none, as in PyTorch: an operator that makes a number of it hides an error until the
//! run is worthless.

use burn::tensor::{Int, Tensor, TensorData};
use gradway_kernels::{
    Activation, BatchStatistics, ChannelAxis, ConvolutionOptions, FocalLoss, Roi, RoiAlign,
    Windows, add, add_nearest, batch_norm, bias_activation, bias_activation_reference, clamp_max,
    clamp_min, convolution, cross_entropy, depthwise_convolution, feed_forward, focal_loss,
    layer_norm, layer_scale, linear_activation, low_rank_adapter, most_likely, nms,
    project_channels, resize_bilinear, roi_align, scale_and_shift, self_attention, softmax,
    sum_of_squares, top_k, unsuppressed, window_attention,
};

use crate::harness::{Inputs, Leaves, Plain, Tracked, evaluate};
use crate::low_rank::weights;

/// What processors make of `0 / 0` has its sign set.
const NEGATIVE_NAN: f32 = f32::from_bits(0xFFC0_0000);
const BROKEN: [f32; 4] = [f32::NAN, NEGATIVE_NAN, f32::INFINITY, f32::NEG_INFINITY];

fn plain<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<Plain, D> {
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

/// Equal, or both NaN.
fn same(actual: f32, expected: f32) -> bool {
    actual == expected || (actual.is_nan() && expected.is_nan())
}

#[test]
fn rectifiers_and_their_gradients_are_pytorchs() {
    // torch.relu, torch.nn.functional.relu6, gelu and their gradients of one, by PyTorch 2.
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let x = [nan, NEGATIVE_NAN, inf, -inf, -1.0, 7.0];
    let cases = [
        (
            Activation::Relu,
            [nan, nan, inf, 0.0, 0.0, 7.0],
            [1.0, 1.0, 1.0, 0.0, 0.0, 1.0],
        ),
        (
            Activation::Relu6,
            [nan, nan, 6.0, 0.0, 0.0, 6.0],
            [1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
        ),
    ];
    for (activation, values, gradients) in cases {
        // More than a vector, in every place of one.
        let long: Vec<f32> = x.into_iter().cycle().take(6 * 37).collect();
        for operator in [
            bias_activation::<Tracked, 2>,
            bias_activation_reference::<Tracked, 2>,
        ] {
            let leaf = TensorData::new(long.clone(), [37, 6]);
            let leaf = Tensor::<Tracked, 2>::from_data(leaf, &Default::default()).require_grad();
            let output = operator(leaf.clone(), None, 1, activation);
            // A sum of the output would be NaN, and the gradient of it is one all the same.
            let grad = leaf.grad(&output.clone().sum().backward()).unwrap();
            let found: Vec<f32> = output.into_data().to_vec().unwrap();
            let grad: Vec<f32> = grad.into_data().to_vec().unwrap();
            for (place, (value, grad)) in found.into_iter().zip(grad).enumerate() {
                let name = format!("{activation:?} of {} at {place}", x[place % 6]);
                assert!(same(value, values[place % 6]), "{name} is {value}");
                assert_eq!(grad, gradients[place % 6], "{name}");
            }
        }
    }
    let gelu = bias_activation(
        plain(vec![nan, NEGATIVE_NAN, inf], [1, 3]),
        None,
        1,
        Activation::Gelu,
    );
    let gelu: Vec<f32> = gelu.into_data().to_vec().unwrap();
    assert!(
        gelu[0].is_nan() && gelu[1].is_nan() && gelu[2] == inf,
        "{gelu:?}"
    );
}

#[test]
fn limits_let_through_what_is_no_number() {
    let x = || {
        plain(
            vec![f32::NAN, -3.0, 3.0, f32::INFINITY, f32::NEG_INFINITY],
            [5],
        )
    };
    let least: Vec<f32> = clamp_min(x(), 1.0).into_data().to_vec().unwrap();
    assert!(least[0].is_nan(), "{least:?}");
    assert_eq!(least[1..], [1.0, 3.0, f32::INFINITY, 1.0]);
    let most: Vec<f32> = clamp_max(x(), 1.0).into_data().to_vec().unwrap();
    assert!(most[0].is_nan(), "{most:?}");
    assert_eq!(most[1..], [-3.0, 1.0, 1.0, f32::NEG_INFINITY]);
}

#[test]
fn the_largest_is_what_is_no_number_whatever_its_sign() {
    for nan in [f32::NAN, NEGATIVE_NAN] {
        let columns = 300;
        let mut values: Vec<f32> = (0..columns).map(|place| place as f32).collect();
        values[17] = nan;
        values[18] = f32::INFINITY;
        values[19] = f32::NEG_INFINITY;
        let (found, places) = top_k(plain(values.clone(), [1, columns]), 3);
        let found: Vec<f32> = found.into_data().to_vec().unwrap();
        let places: Vec<i32> = places.into_data().iter::<i32>().collect();
        assert_eq!(places, [17, 18, 299]);
        assert!(
            found[0].is_nan() && found[1..] == [f32::INFINITY, 299.0],
            "{found:?}"
        );
        let (_, places) = top_k(plain(values, [1, columns]), columns);
        let places: Vec<i32> = places.into_data().iter::<i32>().collect();
        assert_eq!(places.last(), Some(&19));

        let logits = plain(vec![1.0, 2.0, nan, 9.0, nan, 3.0], [1, 3, 1, 2]);
        let classes: Vec<i32> = most_likely(logits).into_data().iter::<i32>().collect();
        // The first of two; the largest where there is none.
        assert_eq!(classes, [1, 1]);
    }
}

#[test]
fn nothing_overlaps_a_rectangle_with_a_nan() {
    let bounds = [0.0, 0.0, 10.0, 10.0];
    for nan in [f32::NAN, NEGATIVE_NAN] {
        for side in 0..4 {
            let mut broken = bounds;
            broken[side] = nan;
            // But for NaN all are equal, of which the first is kept.
            for (rectangles, expected) in [
                (
                    vec![bounds, broken, bounds, broken],
                    vec![1.0, 1.0, 0.0, 1.0],
                ),
                (vec![broken, bounds], vec![1.0, 1.0]),
            ] {
                let kept = unsuppressed(&rectangles, 0.5).into_iter();
                let kept: Vec<f32> = kept.map(|kept| f32::from(u8::from(kept))).collect();
                assert_eq!(kept, expected, "{nan} in {side}, on the host");
                let rectangles = plain(rectangles.concat(), [1, expected.len(), 4]);
                let kept: Vec<f32> = nms(rectangles, 0.5).into_data().to_vec().unwrap();
                assert_eq!(kept, expected, "{nan} in {side}");
            }
        }
    }
}

/// One value of the first input of an operator is broken: where its output and its gradients must be.
fn spreads<const D: usize>(
    name: &str,
    shapes: &[&[usize]],
    operator: impl Fn(&Leaves) -> Tensor<Tracked, D>,
    is_hit: impl Fn(usize) -> bool,
) {
    for broken in BROKEN {
        let mut inputs = Inputs::random(200, shapes);
        inputs.set(0, 0, broken);
        let evaluation = evaluate(&inputs, |_| true, &operator);
        assert!(
            (0..evaluation.value.len()).any(&is_hit),
            "{name}: nothing is to be hit"
        );
        for (place, value) in evaluation.value.iter().enumerate() {
            if is_hit(place) {
                assert!(
                    !value.is_finite(),
                    "{name} of {broken} is {value} at {place}"
                );
            }
        }
    }
}

#[test]
fn operators_pass_on_what_is_no_number() {
    // Of `[4, 13]`, the first row; of maps `[2, channels, 6, 6]`, the first channel or image.
    // Of a negative infinity among other numbers it is a zero.
    for broken in [f32::NAN, NEGATIVE_NAN, f32::INFINITY] {
        let mut inputs = Inputs::random(202, &[&[4, 13]]);
        inputs.set(0, 5, broken);
        let found = evaluate(&inputs, |_| true, |leaves| softmax::<_, 2>(leaves.get(0)));
        assert!(
            found.value[..13].iter().all(|value| value.is_nan()),
            "{broken}"
        );
        assert!(
            found.value[13..].iter().all(|value| value.is_finite()),
            "{broken}"
        );
    }
    spreads(
        "layer norm",
        &[&[4, 13], &[13], &[13]],
        |leaves| layer_norm::<_, 2>(leaves.get(0), leaves.get(1), leaves.get(2), 1e-5),
        |place| place < 13,
    );
    spreads(
        "LayerScale",
        &[&[4, 13], &[13]],
        |leaves| layer_scale::<_, 2>(leaves.get(0), leaves.get(1)),
        |place| place == 0,
    );
    spreads(
        "batch norm",
        &[&[2, 3, 6, 6], &[3], &[3]],
        |leaves| {
            let statistics = BatchStatistics::Batch;
            batch_norm(
                leaves.get(0),
                leaves.get(1),
                leaves.get(2),
                statistics,
                1e-5,
            )
            .0
        },
        |place| (place / 36).is_multiple_of(3),
    );
    spreads(
        "linear",
        &[&[4, 13], &[13, 5], &[5]],
        |leaves| {
            let bias = Some(leaves.get(2));
            linear_activation::<_, 2>(leaves.get(0), leaves.get(1), bias, Activation::Identity)
        },
        |place| place < 5,
    );
    spreads(
        "feed forward",
        &[&[4, 13], &[13, 7], &[7], &[7, 13], &[13]],
        |leaves| {
            let layers = [(1, 2), (3, 4)];
            let layers = layers.map(|(weight, bias)| (leaves.get(weight), Some(leaves.get(bias))));
            feed_forward::<_, 2>(leaves.get(0), layers)
        },
        |place| place < 13,
    );
    spreads(
        "a product of channels",
        &[&[2, 3, 6, 6], &[3, 5], &[5]],
        |leaves| project_channels(leaves.get(0), leaves.get(1), Some(leaves.get(2))),
        |place| place < 5 * 36 && place % 36 == 0,
    );
    for (kernel, groups, channels) in [(1, 1, 4), (3, 1, 4), (3, 1, 64), (3, 4, 4), (5, 4, 4)] {
        let weight = [channels, channels / groups, kernel, kernel];
        spreads(
            &format!("a convolution of {kernel}x{kernel}, {channels} channels in {groups} groups"),
            &[&[2, channels, 6, 6], &weight, &[channels]],
            |leaves| {
                let options = ConvolutionOptions::same([6, 6], kernel, 1).with_groups(groups);
                convolution(leaves.get(0), leaves.get(1), Some(leaves.get(2)), options)
            },
            |place| place == 0,
        );
    }
    for kernel in [3, 7] {
        spreads(
            &format!("a depthwise convolution of {kernel}x{kernel}, channels last"),
            &[&[2, 6, 6, 5], &[5, 1, kernel, kernel], &[5]],
            |leaves| depthwise_convolution(leaves.get(0), leaves.get(1), Some(leaves.get(2))),
            |place| place == 0,
        );
    }
    spreads(
        "bilinear enlarging",
        &[&[2, 3, 6, 6]],
        |leaves| resize_bilinear(leaves.get(0), [11, 13]),
        |place| place == 0,
    );
    spreads(
        "nearest enlarging",
        &[&[2, 3, 6, 6], &[2, 3, 3, 3]],
        |leaves| add_nearest(leaves.get(0), leaves.get(1)),
        |place| place == 0,
    );
    spreads(
        "a sum",
        &[&[4, 13], &[4, 13]],
        |leaves| add(leaves.get::<2>(0), leaves.get(1)),
        |place| place == 0,
    );
    spreads(
        "scale and shift",
        &[&[2, 3, 6, 6], &[3], &[3]],
        |leaves| {
            let [scale, shift] = [1, 2].map(|index| leaves.get(index));
            scale_and_shift(leaves.get(0), scale, shift, ChannelAxis::First)
        },
        |place| place == 0,
    );
    spreads(
        "attention among all tokens",
        &[&[2, 9, 3 * 2 * 4]],
        |leaves| self_attention(leaves.get(0), 2, None),
        // The first query, of its own head.
        |place| place < 4,
    );
    let windows = Windows {
        side: 3,
        shift: [0, 0],
        size: [6, 6],
        pad_first: false,
    };
    spreads(
        "attention in windows",
        &[&[2, 6, 6, 3 * 2 * 4], &[25, 2]],
        |leaves| window_attention(leaves.get(0), leaves.get(1), windows),
        // The first query's own position, of its own head.
        |place| place < 4,
    );
    spreads(
        "a bottleneck of low rank",
        &[
            &[4, 3, 2, 12],
            &[12, 3],
            &[3, 5],
            &[5],
            &[5, 3],
            &[3, 12],
            &[12],
        ],
        |leaves| low_rank_adapter(leaves.get(0), weights(leaves), ChannelAxis::Last),
        |place| place < 12,
    );
    let rois = || {
        [Roi {
            image: 0,
            bounds: [0.0, 0.0, 8.0, 8.0],
        }]
        .into()
    };
    let options = RoiAlign {
        size: 2,
        scale: 0.5,
        sampling: 2,
        aligned: true,
    };
    spreads(
        "regions",
        &[&[2, 3, 6, 6]],
        |leaves| roi_align(leaves.get(0), rois(), options),
        |place| place == 0,
    );
}

#[test]
fn losses_and_norms_of_gradients_are_no_numbers() {
    let labels = Tensor::<Tracked, 3, Int>::zeros([2, 6, 6], &Default::default());
    for size in [6, 3] {
        spreads(
            "cross entropy",
            &[&[2, 3, size, size]],
            |leaves| cross_entropy(leaves.get(0), labels.clone(), 255, &[]),
            |_| true,
        );
    }
    let labels = Tensor::<Tracked, 2, Int>::ones([2, 36], &Default::default());
    for broken in [f32::NAN, NEGATIVE_NAN, f32::INFINITY] {
        let mut inputs = Inputs::random(201, &[&[2, 3, 36]]);
        inputs.set(0, 0, broken);
        for gamma in [0.0, 2.0] {
            let options = FocalLoss { alpha: 0.25, gamma };
            let loss = |leaves: &Leaves| focal_loss(leaves.get(0), labels.clone(), options);
            let value = evaluate(&inputs, |_| true, loss).value[0];
            assert!(!value.is_finite(), "focal loss of {broken} is {value}");
        }
    }
    for broken in BROKEN {
        for count in [1, 1000] {
            let mut values = vec![0.5; count];
            values[count - 1] = broken;
            let primitive = plain(values, [count]).into_primitive().tensor();
            let sum: f32 = sum_of_squares::<Plain>(vec![primitive]).into_scalar();
            assert!(!sum.is_finite(), "{broken} in {count}: {sum}");
        }
    }
}
