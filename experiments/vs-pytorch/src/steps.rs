//! Whole networks and training steps, as in torch/steps.py.

use anyhow::Result;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Distribution, Tensor};
use gradway::backbone::{AnyBackbone, Backbone, BackboneConfig, Phase, Untouched};
use gradway::data::SegmentationBatch;
use gradway::trainer::{RunConfig, Segmentation, Trainer, config};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use vs_pytorch::case::{Case, Run};

type Tracked = Autodiff<Flex>;

const CLASSES: usize = 21;

/// A backbone, a batch and the size of its images.
type Shape = (&'static str, usize, [usize; 2]);

const FROZEN: [Shape; 3] = [
    ("swin_tiny", 4, [224, 224]),
    ("swin_base", 4, [224, 224]),
    ("efficientnet_lite0", 8, [360, 480]),
];

const TRAINING: [Shape; 3] = [
    ("swin_tiny", 4, [224, 224]),
    ("swin_tiny", 2, [512, 512]),
    ("efficientnet_lite0", 4, [360, 480]),
];

const METHODS: [&str; 3] = ["fixed", "e3va", "full"];

/// Methods that are compared on the first of [`TRAINING`] alone.
const OTHERS: [&str; 3] = ["bitfit", "adapter", "lora"];

fn name((backbone, batch, [height, width]): Shape) -> String {
    format!("{backbone} {height}x{width} batch {batch}")
}

fn configuration(method: &str, (backbone, batch, _): Shape) -> Result<RunConfig> {
    let text = format!(
        r#"
        backbone = {{ name = "{backbone}" }}
        method = {{ name = "{method}" }}
        head = {{ name = "segformer", channels = 128 }}
        data = {{ format = "synthetic" }}
        loader = {{ batch_size = {batch} }}
        optimizer = {{ learning_rate = 1e-6 }}
        "#
    );
    Ok(config::parse(&text, "the case", &[])?)
}

/// Forward passes of frozen backbones.
pub fn frozen() -> Vec<Case> {
    let case = |shape: Shape| Case {
        name: format!("frozen forward {}", name(shape)),
        build: Box::new(move || frozen_forward(shape)),
    };
    FROZEN.map(case).into()
}

fn frozen_forward((backbone, batch, [height, width]): Shape) -> Result<Run> {
    let device = Default::default();
    let backbone: AnyBackbone<Flex> = BackboneConfig::named(backbone).init(&device)?;
    let distribution = Distribution::Normal(0.0, 1.0);
    let images = Tensor::<Flex, 4>::random([batch, 3, height, width], distribution, &device);
    Ok(Box::new(move || {
        backbone.forward(images.clone(), Phase::Inference, &mut Untouched);
        Ok(())
    }))
}

/// Optimiser steps with the light decoder.
pub fn training() -> Vec<Case> {
    let cases = TRAINING
        .into_iter()
        .flat_map(|shape| METHODS.map(|method| step(method, shape)));
    let others = OTHERS.map(|method| step(method, TRAINING[0]));
    cases.chain(others).collect()
}

/// A step of e3va on images of this side.
pub fn of_size(batch: usize, side: usize) -> Case {
    step("e3va", ("swin_tiny", batch, [side, side]))
}

fn step(method: &'static str, shape: Shape) -> Case {
    Case {
        name: format!("{method} step {}", name(shape)),
        build: Box::new(move || training_step(method, shape)),
    }
}

fn training_step(method: &str, shape: Shape) -> Result<Run> {
    let device = Default::default();
    let config = configuration(method, shape)?;
    let (_, count, size) = shape;
    let batch = random_batch(count, size);
    let model = Segmentation::<Tracked>::new(&config, CLASSES, &device)?;
    let mut trainer = Trainer::new(&config, &model, 1 << 20, &device);
    let mut model = Some(model);
    Ok(Box::new(move || {
        if let Some(taken) = model.take() {
            let (next, _) = trainer.step(taken, std::slice::from_ref(&batch))?;
            model = Some(next);
        }
        Ok(())
    }))
}

fn random_batch(count: usize, [height, width]: [usize; 2]) -> SegmentationBatch {
    let mut generator = ChaCha8Rng::seed_from_u64(0);
    let pixels = count * height * width;
    let images = (0..3 * pixels)
        .map(|_| (generator.next_u32() >> 8) as f32 / (1 << 22) as f32 - 2.0)
        .collect();
    let labels = (0..pixels)
        .map(|_| (generator.next_u32() % CLASSES as u32) as u8)
        .collect();
    SegmentationBatch {
        images,
        labels,
        height,
        width,
        count,
        ids: (0..count).map(|index| index.to_string()).collect(),
        sizes: vec![(height, width); count],
    }
}
