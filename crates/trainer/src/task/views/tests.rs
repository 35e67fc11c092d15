use std::cell::RefCell;
use std::collections::BTreeMap;

use burn::backend::Flex;
use gradway_data::{DenseTarget, EvaluationSize, SlideConfig};
use gradway_kernels::{Activation, ConvolutionOptions, convolution};
use serde_json::Value;

use super::*;
use crate::task::maps::probabilities;

/// Sums of 27 products of numbers near 1, in single precision, against double.
const TOLERANCE: f64 = 1e-5;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/views.json");
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn floats(value: &Value) -> Vec<f32> {
    let numbers = list(value).iter();
    numbers
        .map(|number| number.as_f64().expect("a number") as f32)
        .collect()
}

fn pair(value: &Value) -> [usize; 2] {
    [0, 1].map(|index| value[index].as_u64().expect("a whole number") as usize)
}

fn slide(crop: [usize; 2], stride: [usize; 2]) -> EvaluationSize {
    EvaluationSize::Slide(SlideConfig {
        crop: crop.map(|side| side as u32),
        stride: stride.map(|step| step as u32),
        base_size: None,
    })
}

/// An image alone in a batch, `[3, height, width]`.
fn alone(images: Vec<f32>, size: [usize; 2], original: [usize; 2]) -> DenseBatch {
    DenseBatch {
        images,
        height: size[0],
        width: size[1],
        count: 1,
        stride: 1,
        items: vec![DenseTarget {
            id: "image".to_string(),
            size,
            original,
            labels: BTreeMap::new(),
        }],
        scaled: Vec::new(),
    }
}

fn tensor(images: &DenseBatch) -> Tensor<Flex, 4> {
    let data = TensorData::new(images.images.clone(), images.shape());
    Tensor::from_data(data, &Default::default())
}

/// The network of the reference: one convolution.
fn network(golden: &Value) -> impl Fn(&DenseBatch) -> Vec<Tensor<Flex, 4>> {
    let device = Default::default();
    let weight = TensorData::new(floats(&golden["weight"]), [4, 3, 3, 3]);
    let weight = Tensor::<Flex, 4>::from_data(weight, &device);
    let bias = TensorData::new(floats(&golden["bias"]), [4]);
    let bias = Tensor::<Flex, 1>::from_data(bias, &device);
    let options = ConvolutionOptions {
        stride: 1,
        padding: [[1, 1], [1, 1]],
        groups: 1,
        activation: Activation::Identity,
    };
    move |images| {
        let bias = Some(bias.clone());
        vec![convolution(tensor(images), weight.clone(), bias, options)]
    }
}

fn seen(
    batch: &DenseBatch,
    config: &DenseEvaluationConfig,
    stride: usize,
    outputs: impl Fn(&DenseBatch) -> Vec<Tensor<Flex, 4>>,
) -> Seen<Flex> {
    see(batch, 0, config, stride, outputs, |_, logits, _| {
        probabilities(logits)
    })
}

/// The one map of an image with one task.
fn values(seen: Seen<Flex>) -> Vec<f32> {
    let (Seen::Once(maps) | Seen::Often(maps)) = seen;
    let [map] = maps.try_into().expect("one map");
    map.into_data().to_vec().expect("single precision")
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let off = f64::from(found - expected).abs();
        // Written so that NaN fails.
        assert!(off <= TOLERANCE, "{found}, not {expected}");
    }
}

#[test]
fn windows_are_those_of_the_reference() {
    for case in list(&golden()["windows"]) {
        let [size, crop, stride] = ["size", "crop", "stride"].map(|key| pair(&case[key]));
        let corners = |window: &Value| {
            let [top, left, bottom, right] =
                [0, 1, 2, 3].map(|index| window[index].as_u64().expect("a place") as usize);
            Window {
                start: [top, left],
                size: [bottom - top, right - left],
            }
        };
        let expected: Vec<Window> = list(&case["windows"]).iter().map(corners).collect();
        assert_eq!(slide(crop, stride).windows(size), expected, "{case}");
    }
}

#[test]
fn logits_of_overlapping_windows_are_averaged() {
    let golden = golden();
    let network = network(&golden);
    for case in list(&golden["slide"]) {
        let [size, crop, stride, original] =
            ["size", "crop", "stride", "original"].map(|key| pair(&case[key]));
        let multiple = case["multiple"].as_u64().expect("a number") as usize;
        let batch = alone(floats(&case["image"]), size, original);
        for batch_size in [1, 2, 4, 100] {
            let config = DenseEvaluationConfig {
                batch_size,
                size: slide(crop, stride),
                ..DenseEvaluationConfig::default()
            };
            let seen = seen(&batch, &config, multiple, &network);
            assert!(matches!(seen, Seen::Once(_)));
            assert_close(&values(seen), &floats(&case["logits"]));
        }
    }
}

#[test]
fn probabilities_of_views_are_averaged_at_the_size_of_the_image() {
    let golden = golden();
    let network = network(&golden);
    for case in list(&golden["views"]) {
        let [crop, stride, original] = ["crop", "stride", "original"].map(|key| pair(&case[key]));
        let multiple = case["multiple"].as_u64().expect("a number") as usize;
        let sizes = list(&case["sizes"]).iter().map(pair);
        let images = list(&case["images"]).iter().map(floats);
        let mut scales = images
            .zip(sizes)
            .map(|(image, size)| alone(image, size, original));
        let first = scales.next().expect("an image");
        let batch = DenseBatch {
            scaled: scales.collect(),
            ..first
        };
        for batch_size in [1, 2, 4, 100] {
            let config = DenseEvaluationConfig {
                batch_size,
                size: slide(crop, stride),
                flip: case["flip"].as_bool().expect("a boolean"),
                // Their sizes are those of the images, which are prepared before.
                scales: vec![1.0, 1.25, 0.5],
            };
            let seen = seen(&batch, &config, multiple, &network);
            assert!(matches!(seen, Seen::Often(_)));
            assert_close(&values(seen), &floats(&case["probabilities"]));
        }
    }
}

/// Every window is predicted to be what its first pixel is.
#[test]
fn two_windows_by_hand() {
    let row: Vec<f32> = (0..8).map(|column| column as f32).collect();
    let batch = alone(row.repeat(3), [1, 8], [1, 8]);
    let config = DenseEvaluationConfig {
        size: slide([1, 5], [1, 3]),
        ..DenseEvaluationConfig::default()
    };
    let first = |images: &DenseBatch| {
        let first = tensor(images).narrow(1, 0, 1).narrow(3, 0, 1);
        vec![first.expand([images.count, 1, images.height, images.width])]
    };
    let found = values(seen(&batch, &config, 1, first));
    assert_eq!(found, [0.0, 0.0, 0.0, 1.5, 1.5, 3.0, 3.0, 3.0]);
}

/// The network is given no more than the configuration says, whatever the size of the image.
#[test]
fn a_pass_does_not_grow_with_the_image() {
    for (size, expected) in [
        ([6, 8], vec![[1, 3, 8, 8]]),
        ([20, 30], vec![[4, 3, 8, 8]; 9]),
        ([60, 90], vec![[4, 3, 8, 8]; 99]),
    ] {
        let batch = alone(vec![0.5; 3 * size[0] * size[1]], size, size);
        let config = DenseEvaluationConfig {
            batch_size: 4,
            size: slide([6, 8], [4, 5]),
            ..DenseEvaluationConfig::default()
        };
        let passes = RefCell::new(Vec::new());
        let outputs = |images: &DenseBatch| {
            passes.borrow_mut().push(images.shape());
            vec![tensor(images)]
        };
        // What the network says of the padding is left out.
        let found = values(seen(&batch, &config, 4, outputs));
        assert!(found.iter().all(|&value| value == 0.5));
        let windows = config.size.windows(size).len();
        let passes = passes.into_inner();
        assert_eq!(passes.iter().map(|shape| shape[0]).sum::<usize>(), windows);
        assert_eq!(passes.len(), windows.div_ceil(4));
        assert!(passes.len() <= expected.len());
        for shape in passes {
            assert!(shape[0] <= 4);
            assert_eq!(shape[1..], expected[0][1..]);
        }
    }
}

#[test]
fn views_are_told_apart() {
    let (size, scales) = ([2, 3], vec![0.5, 1.0]);
    let image = |size: [usize; 2]| alone(vec![1.0; 3 * size[0] * size[1]], size, [2, 3]);
    let batch = DenseBatch {
        scaled: vec![image(size)],
        ..image([1, 2])
    };
    let config = DenseEvaluationConfig {
        flip: true,
        scales,
        ..DenseEvaluationConfig::default()
    };
    let views = RefCell::new(Vec::new());
    let outputs = |images: &DenseBatch| vec![tensor(images); 2];
    let meaning = |task, output: Tensor<Flex, 4>, view: View| {
        assert_eq!(output.dims(), [1, 3, 2, 3]);
        views.borrow_mut().push((task, view.is_flipped, view.scale));
        output * if view.is_flipped { 3.0 } else { 1.0 }
    };
    let seen = see(&batch, 0, &config, 1, outputs, meaning);
    let Seen::Often(maps) = seen else {
        panic!("one view");
    };
    assert_eq!(maps.len(), 2);
    for map in maps {
        assert_eq!(map.into_data().to_vec::<f32>().expect("numbers"), [2.0; 18]);
    }
    let mut expected = Vec::new();
    for scale in [0.5, 1.0] {
        for is_flipped in [false, true] {
            expected.extend([0, 1].map(|task| (task, is_flipped, scale)));
        }
    }
    assert_eq!(views.into_inner(), expected);
}
