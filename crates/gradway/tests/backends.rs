//! Every backend that is compiled in computes what the processor computes.
//!
//! `cargo test -p gradway --features vulkan --test backends` (or `cuda`, `wgpu`, `metal`, `rocm`); without such a
//! feature there is nothing to compare. Shapes are tiny: software drivers are slow. With `-- --ignored` it is
//! every method on every backbone that it fits, and every head.

#![allow(clippy::print_stdout, reason = "what was measured belongs in the log")]
#![cfg(any(
    feature = "cuda",
    feature = "vulkan",
    feature = "wgpu",
    feature = "metal",
    feature = "rocm"
))]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::backend::Flex;
use burn::tensor::TensorData;
use common::{SCENES, objects, succeed, text, tiny_config};
use gradway::adapters::{StateDict, collect, restore, table as methods};
use gradway::backbone::{BackboneConfig, export, write_tensors};
use gradway::device::{DeviceName, Job, run_on};
use gradway::heads::{HeadTask, table as heads};
use gradway::kernels::TrainBackend;
use gradway::trainer::config;
use gradway::trainer::task::TaskJob;
use gradway::trainer::{Model, RunConfig, SegmentationTask, Task, TrainError, Trainer};

/// Relative error of a loss. Software and graphics drivers fuse and reorder; 1e-3 is what the project promises.
const LOSS: f64 = 1e-3;

/// Error of all gradients together, by norm. Matrix units that round what they multiply to ten bits (TF32) make
/// 3e-4 of the norm of a product, and a gradient goes through some twenty of them.
fn gradients_tolerance(device: &str) -> f64 {
    if device.starts_with("cuda") {
        1e-2
    } else {
        1e-3
    }
}

/// Declares the tests of a backend.
macro_rules! backend {
    ($feature:literal, $module:ident, $device:literal) => {
        #[cfg(feature = $feature)]
        mod $module {
            #[test]
            fn agrees_with_the_processor() {
                super::agree($device, super::some());
            }

            #[test]
            fn sees_views_as_the_processor_does() {
                super::see($device);
            }

            #[test]
            #[ignore = "a quarter of an hour on a software driver"]
            fn agrees_with_the_processor_on_everything() {
                super::agree($device, super::everything());
            }
        }
    };
}

backend!("vulkan", vulkan, "vulkan:0");
backend!("cuda", cuda, "cuda:0");
backend!("wgpu", wgpu, "wgpu:0");
backend!("metal", metal, "metal:0");
backend!("rocm", rocm, "rocm:0");

/// A backbone, a method and a head, and what they are trained on.
struct Case {
    backbone: &'static str,
    method: &'static str,
    head: &'static str,
    labels: Labels,
}

/// What a [`Case`] is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Labels {
    Classes,
    Tasks,
    Objects,
}

/// A step along the gradient itself: what a parameter moves by is its gradient.
const STEP: &str = r#"
optimizer = { name = "sgd", learning_rate = 100.0, momentum = 0.0, weight_decay = 0.0 }
schedule = { decay = { name = "constant" } }
loader = { batch_size = 2, workers = 0 }
"#;

impl Case {
    fn name(&self) -> String {
        let Self {
            backbone,
            method,
            head,
            labels,
        } = self;
        format!("{backbone} {method} {head}, {labels:?}").to_lowercase()
    }

    /// None where the method is not for what it is trained on.
    fn config(&self, folder: &Path) -> Option<RunConfig> {
        let Self {
            backbone,
            method,
            head,
            ..
        } = self;
        let tasks = match self.labels {
            Labels::Classes => "",
            Labels::Tasks => r#"tasks = { names = ["semantic_segmentation", "depth", "edges"] }"#,
            Labels::Objects => {
                let path = objects::configuration(folder, head);
                let overrides = [
                    format!("backbone.name={backbone}"),
                    format!("method.name={method}"),
                    "optimizer.name=sgd".to_string(),
                    "optimizer.learning_rate=100".to_string(),
                    "optimizer.momentum=0".to_string(),
                    "optimizer.weight_decay=0".to_string(),
                    r#"schedule.decay={ name = "constant" }"#.to_string(),
                ];
                return config::load(&path, &overrides).ok();
            }
        };
        let fields = match *head {
            "hrnet" | "linear" => "",
            _ => ", channels = 16, dropout = 0.1",
        };
        let text = format!(
            r#"
            backbone = {{ name = "{backbone}" }}
            method = {{ name = "{method}" }}
            head = {{ name = "{head}"{fields} }}
            data = {{ format = "synthetic", width = 50, height = 38, train_samples = 4, val_samples = 2 }}
            augment = {{ crop_size = [38, 50] }}
            {tasks}
            {STEP}
            "#
        );
        let config = config::parse(&text, "the test", &[]).ok()?;
        config.validate().is_ok().then_some(config)
    }
}

/// Every operator, at least.
fn some() -> Vec<Case> {
    let case = |(backbone, method, head)| Case {
        backbone,
        method,
        head,
        labels: Labels::Classes,
    };
    [
        ("swin_mini", "full", "segformer"),
        ("swin_mini", "e3va", "upernet"),
        ("efficientnet_lite0", "e3va", "segformer"),
        ("swin_mini", "fixed", "fcn"),
        ("swin_mini", "lora", "segformer"),
        ("swin_mini", "compacter", "segformer"),
        ("swin_mini", "mona", "segformer"),
        ("swin_mini", "vpt_shallow", "segformer"),
        ("efficientnet_lite0", "ssf", "segformer"),
        ("vit_mini", "fixed", "upernet"),
        ("vit_mini", "fixed", "dpt"),
    ]
    .map(case)
    .into()
}

/// Every method with every backbone, on classes and on tasks, and every head.
fn everything() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in methods() {
        for backbone in ["swin_mini", "efficientnet_lite0"] {
            for labels in [Labels::Classes, Labels::Tasks] {
                cases.push(Case {
                    backbone,
                    method: method.name,
                    head: "segformer",
                    labels,
                });
            }
        }
    }
    for head in heads() {
        let labels: &[Labels] = match head.task {
            HeadTask::Segmentation => &[Labels::Classes, Labels::Tasks],
            HeadTask::Detection => &[Labels::Objects],
        };
        // Some read one stage: nothing would reach what e3va trains behind it.
        let reads_one = ["fcn", "linear"].contains(&head.name);
        let method = if reads_one { "fixed" } else { "e3va" };
        // On a ViT behind the neck that both choose.
        for (backbone, method) in [("swin_mini", method), ("vit_mini", "fixed")] {
            cases.extend(labels.iter().map(|&labels| Case {
                backbone,
                method,
                head: head.name,
                labels,
            }));
        }
    }
    cases
}

/// What a step is like.
struct Step {
    losses: BTreeMap<String, f64>,
    /// What all parameters move by, one after another.
    gradients: Vec<f64>,
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
    /// None where the method does not fit the backbone.
    type Output = Option<Weights>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Option<Weights> {
        B::seed(&device, 7);
        let backbone = self.0.backbone.init::<B::InnerBackend>(&device);
        let backbone = export(&backbone.expect("known"));
        let trainable = self.0.task.dispatch::<B, _>(DrawTrainable {
            config: self.0,
            device: &device,
        });
        trainable.map(|trainable| Weights {
            backbone,
            trainable,
        })
    }
}

struct DrawTrainable<'a, B: TrainBackend> {
    config: &'a RunConfig,
    device: &'a B::Device,
}

impl<B: TrainBackend> TaskJob<B> for DrawTrainable<'_, B> {
    type Output = Option<StateDict>;

    fn run<T: Task<B>>(self) -> Option<StateDict> {
        let loader = T::validation_loader(self.config).expect("a set");
        match Model::<B, T>::new(self.config, &T::labels(loader.pipeline()), self.device) {
            Ok(model) => Some(collect(&model.trainable)),
            Err(TrainError::Method(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

struct Take<'a>(&'a RunConfig, Weights);

impl Job for Take<'_> {
    type Output = Step;

    fn run<B: TrainBackend>(self, device: B::Device) -> Step {
        let Self(config, weights) = self;
        if config.task.segmentation().is_err() {
            return config.task.dispatch::<B, _>(TakeStep {
                config,
                weights,
                device: &device,
            });
        }
        take::<B, SegmentationTask>(config, weights, &device, |model, batch| {
            let shape = [batch.count, 3, batch.height, batch.width];
            let images = TensorData::new(batch.images.clone(), shape);
            let images = burn::tensor::Tensor::from_data(images, &device);
            let logits = model.inference().logits(images).into_data();
            logits.iter().collect()
        })
    }
}

struct TakeStep<'a, B: TrainBackend> {
    config: &'a RunConfig,
    weights: Weights,
    device: &'a B::Device,
}

impl<B: TrainBackend> TaskJob<B> for TakeStep<'_, B> {
    type Output = Step;

    fn run<T: Task<B>>(self) -> Step {
        take::<B, T>(self.config, self.weights, self.device, |_, _| Vec::new())
    }
}

fn take<B: TrainBackend, T: Task<B>>(
    config: &RunConfig,
    weights: Weights,
    device: &B::Device,
    predict: impl Fn(&Model<B, T>, &gradway::trainer::task::BatchOf<B, T>) -> Vec<f32>,
) -> Step {
    let labels = T::labels(T::validation_loader(config).expect("a set").pipeline());
    let loader = T::training_loader(config).expect("a set");
    let batch = loader.iter(0).next().expect("a batch").expect("read");
    let mut model = Model::<B, T>::new(config, &labels, device).expect("a model");
    model.trainable = restore(model.trainable, weights.trainable).expect("they fit");
    let logits = predict(&model, &batch);
    let before = collect(&model.trainable);
    let mut trainer = Trainer::new(config, &model, 10, device);
    let (model, report) = trainer.step(model, &[batch]).expect("a step");
    let after = collect(&model.trainable);
    let mut losses = report.losses;
    losses.insert("loss".to_string(), report.loss);
    let moved = before.iter().flat_map(|(path, before)| {
        let values = |data: &TensorData| data.iter::<f32>().map(f64::from).collect::<Vec<_>>();
        let pairs = values(before).into_iter().zip(values(&after[path]));
        pairs
            .map(|(before, after)| before - after)
            .collect::<Vec<_>>()
    });
    Step {
        losses,
        gradients: moved.collect(),
        logits,
    }
}

/// The norm of the difference over that of what is expected.
fn distance(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    difference / norm(&mut expected.iter().copied())
}

fn agree(device: &str, cases: Vec<Case>) {
    let processor: DeviceName = "cpu".parse().expect("compiled in");
    let card: DeviceName = device.parse().expect("compiled in");
    let folder = tempfile::tempdir().expect("a folder");
    objects::dataset(folder.path(), |_| {});
    let mut wrong = Vec::new();
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for case in cases {
        for part in [case.method, case.head] {
            taken.entry(part).or_default();
        }
        let Some(mut config) = case.config(folder.path()) else {
            continue;
        };
        let Some(weights) = run_on(processor, Draw(&config)).expect("compiled in") else {
            continue;
        };
        for part in [case.method, case.head] {
            *taken.entry(part).or_default() += 1;
        }
        let file = folder.path().join("backbone.safetensors");
        write_tensors(&file, &weights.backbone, None).expect("written");
        config.backbone.weights = Some(file.display().to_string());

        let expected = run_on(processor, Take(&config, weights.clone())).expect("compiled in");
        let found = run_on(card, Take(&config, weights)).expect("compiled in");
        let name = case.name();
        for (part, expected) in &expected.losses {
            let found = found.losses[part];
            if (found - expected).abs() > LOSS * expected.abs() {
                wrong.push(format!("{name}: {part} {found}, expected {expected}"));
            }
        }
        let gradients = distance(&found.gradients, &expected.gradients);
        if gradients.is_nan() || gradients > gradients_tolerance(device) {
            wrong.push(format!("{name}: gradients off by {gradients:.1e}"));
        }
        let loss = expected.losses["loss"];
        println!("{name}: loss {loss:.4}, gradients off by {gradients:.1e}");
        // Of tasks and objects there are none.
        if !expected.logits.is_empty() {
            let wide = |values: &[f32]| values.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
            let logits = distance(&wide(&found.logits), &wide(&expected.logits));
            if logits.is_nan() || logits > LOSS {
                wrong.push(format!("{name}: logits off by {logits:.1e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "on {device}:\n{}", wrong.join("\n"));
    let forgotten: Vec<_> = taken.iter().filter(|(_, taken)| **taken == 0).collect();
    assert!(forgotten.is_empty(), "fit nothing: {forgotten:?}");
}

/// Predicts a photo in windows, mirrored and at two scales, on a device and on the processor.
fn see(device: &str) {
    const VIEWS: &str = "evaluation={ size = { slide = { crop = [32, 40], stride = [20, 32] } }, flip = true, \
                         scales = [1.0, 1.5], batch_size = 3 }";
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["semantic_segmentation", "surface_normals"];
    let config = tiny_config(
        folder.path(),
        &format!("{SCENES}tasks = {{ names = {names:?} }}"),
    );
    // What one device draws, another does not.
    let weights = folder.path().join("weights.safetensors");
    let backbone = BackboneConfig::named("swin_mini").init::<Flex>(&Default::default());
    write_tensors(&weights, &export(&backbone.expect("a name")), None).expect("a file");
    let weights = format!("backbone.weights={}", text(&weights));
    let run = folder.path().join("run");
    let arguments = ["--set", &weights, "--out", text(&run)];
    succeed(&[&["train", text(&config)], &arguments[..]].concat());
    let photo = image::RgbImage::from_fn(75, 53, |x, y| {
        image::Rgb([3 * x as u8, 4 * y as u8, (x * y / 16) as u8])
    });
    let file = folder.path().join("photo.png");
    photo.save(&file).expect("a photo");
    let predicted = |device: &str| {
        let out = folder.path().join(device.replace(':', "-"));
        let arguments = ["--set", VIEWS, "--device", device, "--out", text(&out)];
        succeed(&[&["predict", text(&run), text(&file)], &arguments[..]].concat());
        let bytes = fs::read(out.join("photo.safetensors")).expect("tensors");
        let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("tensors");
        names.map(|name| {
            let tensor = tensors.tensor(name).expect("a prediction");
            let (values, _) = tensor.data().as_chunks::<4>();
            let values = values
                .iter()
                .map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
            values.collect::<Vec<f64>>()
        })
    };
    let expected = predicted("cpu");
    for ((name, found), expected) in names.iter().zip(predicted(device)).zip(expected) {
        let pixels = 75 * 53;
        if *name == "semantic_segmentation" {
            assert_eq!(found.len(), pixels);
            let others = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
            assert!(others * 100 <= pixels, "{name}: {others} pixels");
        } else {
            let off = distance(&found, &expected);
            println!("{name}: off by {off:.1e}");
            // Written so that NaN fails.
            assert!(off <= LOSS, "{name}: off by {off:.1e}");
        }
    }
}
