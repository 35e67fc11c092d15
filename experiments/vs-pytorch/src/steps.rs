//! Whole networks and training steps, as in torch/steps.py.

use std::sync::Arc;

use anyhow::Result;
use burn::tensor::{Distribution, Tensor};
use gradway::backbone::{AnyBackbone, Backbone, BackboneConfig, Phase, Untouched};
use gradway::data::{
    DenseBatch, DenseLabels, DenseTarget, DenseTask, DetectionBatch, DetectionTarget, Instance,
    LabelMap, Mask, NormalMap, VerticalAxis,
};
use gradway::kernels::{KernelBackend, TrainBackend};
use gradway::trainer::task::{BatchOf, TaskLabels};
use gradway::trainer::{
    DetectionTask, Labels, Model, MultiTask, RunConfig, SegmentationTask, Task, Trainer, config,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use vs_pytorch::case::{Case, Run};

const CLASSES: usize = 21;

/// A backbone, a batch and the size of its images.
pub type Shape = (&'static str, usize, [usize; 2]);

/// Forward passes of frozen backbones.
pub const FROZEN: [Shape; 5] = [
    ("swin_tiny", 4, [224, 224]),
    ("swin_base", 4, [224, 224]),
    ("efficientnet_lite0", 8, [360, 480]),
    ("dinov2_small", 4, [364, 476]),
    ("convnext_tiny", 4, [364, 476]),
];

const TRAINING: [Shape; 5] = [
    ("swin_tiny", 4, [224, 224]),
    ("swin_tiny", 2, [512, 512]),
    ("efficientnet_lite0", 4, [360, 480]),
    ("dinov2_small", 4, [280, 378]),
    ("convnext_tiny", 4, [280, 378]),
];

const LARGE: [Shape; 2] = [("swin_base", 2, [512, 512]), ("swin_large", 2, [512, 512])];

const DETECTION: Shape = ("swin_tiny", 1, [480, 640]);

/// Objects of an image of [`DETECTION`], and classes they are of.
const OBJECTS: usize = 12;
const OBJECT_CLASSES: usize = 80;

/// PASCAL-Context's four tasks and the classes that each has.
const TASKS: [(DenseTask, usize); 4] = [
    (DenseTask::SemanticSegmentation, CLASSES),
    (DenseTask::HumanParts, 7),
    (DenseTask::Saliency, 0),
    (DenseTask::SurfaceNormals, 0),
];

const METHODS: [&str; 3] = ["fixed", "e3va", "full"];

/// Methods that are compared with [`TASKS`], on the first of [`TRAINING`].
const FOR_TASKS: [&str; 2] = ["vmt_adapter", "full"];

/// Methods that are compared on the first of [`TRAINING`] alone.
const OTHERS: [&str; 3] = ["bitfit", "adapter", "lora"];

fn name((backbone, batch, [height, width]): Shape) -> String {
    format!("{backbone} {height}x{width} batch {batch}")
}

/// A head and the data that it is for, which are never opened.
#[derive(Clone, Copy)]
enum Network {
    Light,
    UPerNet,
    MaskRcnn,
    FourTasks,
}

impl Network {
    /// As a step's name has it.
    fn name(self) -> &'static str {
        match self {
            Self::Light => "",
            Self::UPerNet => " UPerNet",
            Self::MaskRcnn => " Mask R-CNN",
            Self::FourTasks => " four tasks",
        }
    }

    fn head(self) -> &'static str {
        match self {
            Self::Light => {
                r#"
                head = { name = "segformer", channels = 128 }
                data = { format = "synthetic" }"#
            }
            Self::UPerNet => {
                r#"
                head = { name = "upernet" }
                data = { format = "synthetic" }"#
            }
            Self::MaskRcnn => {
                r#"
                head = { name = "mask_rcnn" }
                data = { format = "coco", root = "coco" }"#
            }
            Self::FourTasks => {
                r#"
                head = { name = "segformer", channels = 128 }
                data = { format = "synthetic" }
                tasks = { names = [
                    "semantic_segmentation", "human_parts", "saliency", "surface_normals",
                ] }"#
            }
        }
    }
}

fn configuration(method: &str, head: &str, (backbone, batch, _): Shape) -> Result<RunConfig> {
    let text = format!(
        r#"{head}
        backbone = {{ name = "{backbone}" }}
        method = {{ name = "{method}" }}
        loader = {{ batch_size = {batch} }}
        optimizer = {{ learning_rate = 1e-6 }}
        "#
    );
    Ok(config::parse(&text, "the case", &[])?)
}

/// Forward passes of frozen backbones.
pub fn frozen<B: KernelBackend>(device: &B::Device, shapes: &[Shape]) -> Vec<Case> {
    let case = |&shape: &Shape| {
        let (name, at) = (format!("frozen forward {}", name(shape)), device.clone());
        Case::on::<B>(device, name, move || frozen_forward::<B>(shape, &at))
    };
    shapes.iter().map(case).collect()
}

fn frozen_forward<B: KernelBackend>(
    (backbone, batch, [height, width]): Shape,
    device: &B::Device,
) -> Result<Run> {
    let backbone: AnyBackbone<B> = BackboneConfig::named(backbone).init(device)?;
    let distribution = Distribution::Normal(0.0, 1.0);
    let images = Tensor::<B, 4>::random([batch, 3, height, width], distribution, device);
    Ok(Box::new(move || {
        backbone.forward(images.clone(), Phase::Inference, &mut Untouched);
        Ok(())
    }))
}

/// Optimiser steps: with the light decoder, of a detector, and of several tasks.
pub fn training<B: TrainBackend>(device: &B::Device) -> Vec<Case> {
    let light = |method, shape| step::<B>(device, Network::Light, method, shape);
    let cases = TRAINING
        .into_iter()
        .flat_map(|shape| METHODS.map(|method| light(method, shape)));
    let others = OTHERS.map(|method| light(method, TRAINING[0]));
    let detection = |method| step::<B>(device, Network::MaskRcnn, method, DETECTION);
    let detection = ["e3va", "full"].map(detection);
    let tasks = |method| step::<B>(device, Network::FourTasks, method, TRAINING[0]);
    let tasks = FOR_TASKS.map(tasks);
    let cases = cases.chain(others).chain(detection).chain(tasks);
    cases.collect()
}

/// What only a graphics card is asked for: the published networks.
pub fn large<B: TrainBackend>(device: &B::Device) -> Vec<Case> {
    let pyramid = |shape| {
        let step = |method| step::<B>(device, Network::UPerNet, method, shape);
        ["e3va", "full"].map(step)
    };
    let steps = LARGE.into_iter().flat_map(pyramid);
    let frozen = frozen::<B::InnerBackend>(device, &LARGE);
    frozen.into_iter().chain(steps).collect()
}

/// A step of e3va on images of this side.
pub fn of_size<B: TrainBackend>(device: &B::Device, batch: usize, side: usize) -> Case {
    step::<B>(
        device,
        Network::Light,
        "e3va",
        ("swin_tiny", batch, [side, side]),
    )
}

fn step<B: TrainBackend>(
    device: &B::Device,
    network: Network,
    method: &'static str,
    shape: Shape,
) -> Case {
    let (kind, at) = (network.name(), device.clone());
    let name = format!("{method}{kind} step {}", name(shape));
    let build = move || {
        let (_, count, size) = shape;
        let config = configuration(method, network.head(), shape)?;
        match network {
            Network::Light | Network::UPerNet => {
                let batch = random_batch(count, size);
                steps::<B, SegmentationTask>(&config, Labels::unnamed(CLASSES), batch, &at)
            }
            Network::MaskRcnn => {
                let batch = objects(count, size)?;
                steps::<B, DetectionTask>(&config, Labels::unnamed(OBJECT_CLASSES), batch, &at)
            }
            Network::FourTasks => {
                steps::<B, MultiTask>(&config, labels_of_tasks(), tasks(count, size), &at)
            }
        }
    };
    Case::on::<B>(device, name, build)
}

/// One step after another on the same batch.
fn steps<B: TrainBackend, T: Task<B> + 'static>(
    config: &RunConfig,
    labels: Labels,
    batch: BatchOf<B, T>,
    device: &B::Device,
) -> Result<Run> {
    let model = Model::<B, T>::new(config, &labels, device)?;
    let mut trainer = Trainer::new(config, &model, 1 << 20, device);
    let mut model = Some(model);
    Ok(Box::new(move || {
        if let Some(taken) = model.take() {
            let (next, _) = trainer.step(taken, std::slice::from_ref(&batch))?;
            model = Some(next);
        }
        Ok(())
    }))
}

fn labels_of_tasks() -> Labels {
    let of_task = |(task, classes)| {
        let Labels {
            classes, palette, ..
        } = Labels::unnamed(classes);
        TaskLabels {
            task,
            classes,
            palette,
        }
    };
    Labels {
        tasks: TASKS.map(of_task).into(),
        ..Labels::unnamed(0)
    }
}

/// Images with random labels of every task, each pixel of its own.
fn tasks(count: usize, size: [usize; 2]) -> DenseBatch {
    let mut batch = random_batch(count, size);
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    for (task, classes) in TASKS {
        for item in &mut batch.items {
            let labels = match task {
                DenseTask::SurfaceNormals => random_normals(&mut generator, size),
                _ => random_classes(&mut generator, classes.max(2), size),
            };
            item.labels.insert(task, labels);
        }
    }
    batch
}

fn random_classes(
    generator: &mut ChaCha8Rng,
    classes: usize,
    [height, width]: [usize; 2],
) -> DenseLabels {
    let label = |_| (generator.next_u32() % classes as u32) as u8;
    DenseLabels::Classes(LabelMap {
        width: width as u32,
        height: height as u32,
        data: (0..height * width).map(label).collect(),
    })
}

/// Each along one of the axes.
fn random_normals(generator: &mut ChaCha8Rng, [height, width]: [usize; 2]) -> DenseLabels {
    let normal = |_| {
        let mut normal = [0.0; 3];
        normal[generator.next_u32() as usize % 3] = 1.0;
        normal
    };
    DenseLabels::Normals(NormalMap {
        width: width as u32,
        height: height as u32,
        vertical: VerticalAxis::Up,
        data: (0..height * width).map(normal).collect(),
    })
}

/// Images with rectangles, whose masks are full; as in torch/steps.py.
fn objects(count: usize, [height, width]: [usize; 2]) -> Result<DetectionBatch> {
    let instance = |index: usize| {
        let (x, y) = (index * 97 % (width - 160), index * 71 % (height - 160));
        let (right, bottom) = (x + 32 + index * 37 % 128, y + 32 + index * 53 % 128);
        let inside = |place: usize| {
            (x..right).contains(&(place % width)) && (y..bottom).contains(&(place / width))
        };
        let bitmap: Vec<u8> = (0..height * width).map(|p| u8::from(inside(p))).collect();
        Ok(Instance {
            id: index as u64,
            class: index % OBJECT_CLASSES,
            bounds: [x, y, right, bottom].map(|side| side as f32),
            mask: Some(Arc::new(Mask::new(&bitmap, width as u32, height as u32)?)),
            is_crowd: false,
            is_difficult: false,
        })
    };
    let instances: Vec<Instance> = (0..OBJECTS).map(instance).collect::<Result<_>>()?;
    let item = |image: usize| DetectionTarget {
        id: image.to_string(),
        image_id: image as u64,
        size: [height, width],
        original: [height, width],
        scale: [1.0; 2],
        instances: instances.clone(),
    };
    Ok(DetectionBatch {
        images: random_batch(count, [height, width]).images,
        height,
        width,
        count,
        stride: 1,
        items: (0..count).map(item).collect(),
        scaled: Vec::new(),
    })
}

fn random_batch(count: usize, size: [usize; 2]) -> DenseBatch {
    let [height, width] = size;
    let mut generator = ChaCha8Rng::seed_from_u64(0);
    let images = (0..3 * count * height * width)
        .map(|_| (generator.next_u32() >> 8) as f32 / (1 << 22) as f32 - 2.0)
        .collect();
    let item = |image: usize| {
        let labels = random_classes(&mut generator, CLASSES, size);
        DenseTarget {
            id: image.to_string(),
            size,
            original: size,
            labels: [(DenseTask::SemanticSegmentation, labels)].into(),
        }
    };
    DenseBatch {
        images,
        height,
        width,
        count,
        stride: 1,
        items: (0..count).map(item).collect(),
        scaled: Vec::new(),
    }
}
