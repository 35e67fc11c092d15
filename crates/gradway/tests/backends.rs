//! Every backend that is compiled in computes what the processor computes.
//!
//! `cargo test -p gradway --features vulkan --test backends` (or `cuda`, `wgpu`, `metal`, `rocm`);
//! without such a feature there is nothing to compare. Shapes are tiny: software drivers are slow.

#![allow(clippy::print_stdout, reason = "what was measured belongs in the log")]
#![cfg(any(
    feature = "cuda",
    feature = "vulkan",
    feature = "wgpu",
    feature = "metal",
    feature = "rocm"
))]

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use gradway::adapters::{StateDict, collect, restore};
use gradway::backbone::{export, write_tensors};
use gradway::data::SegmentationBatch;
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::trainer::{Labels, RunConfig, Segmentation, Trainer, config};

/// Relative error of a value. Software and graphics drivers fuse and reorder; 1e-3 is what the
/// project promises.
const TOLERANCE: f64 = 1e-3;

#[cfg(feature = "vulkan")]
#[test]
fn vulkan_agrees_with_the_processor() {
    agree("vulkan:0");
}

#[cfg(feature = "cuda")]
#[test]
fn cuda_agrees_with_the_processor() {
    agree("cuda:0");
}

#[cfg(feature = "wgpu")]
#[test]
fn wgpu_agrees_with_the_processor() {
    agree("wgpu:0");
}

#[cfg(feature = "metal")]
#[test]
fn metal_agrees_with_the_processor() {
    agree("metal:0");
}

#[cfg(feature = "rocm")]
#[test]
fn rocm_agrees_with_the_processor() {
    agree("rocm:0");
}

fn configuration(backbone: &str, method: &str, head: &str) -> RunConfig {
    let text = format!(
        r#"
backbone = {{ name = "{backbone}" }}
method = {{ name = "{method}" }}
head = {{ name = "{head}", channels = 16, dropout = 0.1 }}
data = {{ format = "synthetic", width = 50, height = 38 }}
"#
    );
    config::parse(&text, "the test", &[]).expect("a configuration")
}

/// A batch of two odd-sized images of noise.
fn batch() -> SegmentationBatch {
    let (height, width) = (38, 50);
    let pixels = height * width;
    let mut state = 1u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    SegmentationBatch {
        images: (0..2 * 3 * pixels).map(|_| 4.0 * next() - 2.0).collect(),
        labels: (0..2 * pixels).map(|_| (next() * 12.0) as u8).collect(),
        height,
        width,
        count: 2,
        ids: vec![String::new(); 2],
        sizes: vec![(height, width); 2],
    }
}

/// What a model predicts, and what a step is like.
struct Step {
    loss: f64,
    gradient_norm: f64,
    logits: Vec<f32>,
}

/// Everything random, drawn once on the processor.
#[derive(Clone)]
struct Weights {
    backbone: BTreeMap<String, TensorData>,
    trainable: StateDict,
}

struct Draw<'a>(&'a RunConfig);

impl Job for Draw<'_> {
    type Output = Weights;

    fn run<B: TrainBackend>(self, device: B::Device) -> Weights {
        B::seed(&device, 7);
        let backbone = self
            .0
            .backbone
            .init::<B::InnerBackend>(&device)
            .expect("known");
        let model = Segmentation::<B>::new(self.0, &Labels::unnamed(12), &device).expect("a model");
        Weights {
            backbone: export(&backbone),
            trainable: collect(&model.trainable),
        }
    }
}

struct Take<'a>(&'a RunConfig, Weights);

impl Job for Take<'_> {
    type Output = Step;

    fn run<B: TrainBackend>(self, device: B::Device) -> Step {
        let Self(config, weights) = self;
        let mut model =
            Segmentation::<B>::new(config, &Labels::unnamed(12), &device).expect("a model");
        model.trainable = restore(model.trainable, weights.trainable).expect("they fit");
        let batch = batch();
        let shape = [2, 3, batch.height, batch.width];
        let images = TensorData::new(batch.images.clone(), shape);
        let images = burn::tensor::Tensor::from_data(images, &device);
        // Before the step: the first step of Adam is the sign of a gradient, and the sign of a
        // gradient that is zero but for rounding is anybody's.
        let logits = model.inference().logits(images).into_data();
        let mut trainer = Trainer::new(config, &model, 10, &device);
        let (_, report) = trainer
            .step(model, std::slice::from_ref(&batch))
            .expect("a step");
        Step {
            loss: report.loss,
            gradient_norm: report.gradient_norm,
            logits: logits.iter().collect(),
        }
    }
}

fn agree(device: &str) {
    let processor: DeviceName = "cpu".parse().expect("compiled in");
    let device: DeviceName = device.parse().expect("compiled in");
    let folder = tempfile::tempdir().expect("a folder");
    for (backbone, method, head) in [
        ("swin_mini", "full", "segformer"),
        ("swin_mini", "e3va", "upernet"),
        ("efficientnet_lite0", "e3va", "segformer"),
        ("swin_mini", "fixed", "fcn"),
        ("swin_mini", "lora", "segformer"),
        ("swin_mini", "compacter", "segformer"),
        ("swin_mini", "mona", "segformer"),
        ("swin_mini", "vpt_shallow", "segformer"),
        ("efficientnet_lite0", "ssf", "segformer"),
    ] {
        let name = format!("{backbone} {method} {head} on {device}");
        let mut config = configuration(backbone, method, head);
        let weights = run_on(processor, Draw(&config)).expect("compiled in");
        let file = folder.path().join("backbone.safetensors");
        write_tensors(&file, &weights.backbone, None).expect("written");
        config.backbone.weights = Some(file.display().to_string());

        let expected = run_on(processor, Take(&config, weights.clone())).expect("compiled in");
        let found = run_on(device, Take(&config, weights)).expect("compiled in");
        let close = |what: &str, a: f64, b: f64| {
            assert!(
                (a - b).abs() <= TOLERANCE * b.abs(),
                "{name}: {what} {a}, expected {b}"
            );
        };
        close("loss", found.loss, expected.loss);
        close("gradient norm", found.gradient_norm, expected.gradient_norm);
        let largest = expected
            .logits
            .iter()
            .fold(0f32, |max, value| max.max(value.abs()));
        let difference = found
            .logits
            .iter()
            .zip(&expected.logits)
            .fold(0f32, |max, (a, b)| max.max((a - b).abs()));
        println!(
            "{name}: loss {} {}, logits off by {:.1e}",
            found.loss,
            expected.loss,
            difference / largest
        );
        assert!(
            f64::from(difference / largest) <= TOLERANCE,
            "{name}: {}",
            difference / largest
        );
    }
}
