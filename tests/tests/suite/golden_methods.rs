//! Methods that change what passes through a Swin, against the same equations in PyTorch.

use burn::prelude::Tensor;
use gradway::trainer::config;
use gradway_adapters::{Encoder, Tuned};
use gradway_backbone::swin::SwinConfig;
use gradway_backbone::{AnyBackbone, Checkpoint, Phase, import};
use gradway_tests::{
    Golden, Plain, Tensors, Tracked, assert_close, assert_gradients, fill, golden_path, gradients,
    parameters,
};

/// Rounding: single precision against double through four stages.
const STAGES: f64 = 1e-5;
const GRADIENTS: f64 = 5e-5;
/// The loss is a sum over all outputs with cancellation, as a gradient is.
const LOSS: f64 = GRADIENTS;

fn swin() -> AnyBackbone<Plain> {
    let config = SwinConfig::new(4, vec![2, 2, 1, 1], vec![1, 2, 2, 4])
        .with_window(4)
        .with_pad_first(true);
    let weights = Checkpoint::open(&golden_path("swin_window4.weights.safetensors")).unwrap();
    let swin = AnyBackbone::Swin(config.init(&Default::default()));
    import(swin, &weights).unwrap().0
}

/// The path of a parameter without the name of the method.
fn own(path: &str) -> &str {
    let (_method, path) = path.split_once('.').unwrap();
    path
}

fn frozen_part(path: &str) -> bool {
    own(path).starts_with("backbone.")
}

fn assert_method(name: &str, fields: &[&str]) {
    let golden = Golden::open(&format!("method.{name}"));
    let gradients = run(name, fields, &golden);
    assert_gradients(&gradients, &golden.below("grad."), GRADIENTS);
}

/// Compares features and loss, and returns the gradients.
fn run(name: &str, fields: &[&str], golden: &Golden) -> Tensors {
    let overrides: Vec<String> = fields
        .iter()
        .map(|field| format!("method.{field}"))
        .collect();
    let method = config::method(name, &overrides).unwrap();
    let device = Default::default();
    let (encoder, tuned) = Encoder::<Tracked>::new(&method, swin(), &device).unwrap();
    let frozen = parameters::<Tracked, _>(&tuned);
    let tuned: Tuned<Tracked> = fill(tuned, |path, _| match frozen_part(path) {
        true => frozen[path].clone(),
        false => golden.data(&format!("param.{}", own(path))),
    });
    let images = Golden::open("swin_window4.io").tensor("input");
    let features = encoder.features(&tuned, images, Phase::Inference);
    let weights = Golden::open("e3va.loss");
    let mut loss = Tensor::<Tracked, 1>::zeros([1], &device);
    for task in 0..tuned.tasks() {
        let stages = features.of_task(task);
        assert_eq!(stages.len(), 4);
        for (stage, feature) in stages.into_iter().enumerate() {
            let key = match tuned.tasks() {
                1 => format!("stage{stage}"),
                _ => format!("task{task}.stage{stage}"),
            };
            assert_close(&key, &feature.to_data(), &golden.data(&key), STAGES);
            let weight = weights.tensor::<Tracked, 4>(&format!("weight{stage}"));
            // Features twice as wide are weighed twice alike.
            let halves = feature.dims()[1] / weight.dims()[1];
            let weight = Tensor::cat(vec![weight; halves], 1);
            loss = loss + (feature * weight).sum() * (task + 1) as f64;
        }
    }
    assert_close("the loss", &loss.to_data(), &golden.data("loss"), LOSS);
    let gradients = gradients::<Tracked, _>(&tuned, &loss.backward()).into_iter();
    gradients
        .map(|(path, data)| (own(&path).to_string(), data))
        .collect()
}

#[test]
fn adapter() {
    assert_method("adapter", &["width=3"]);
}

#[test]
fn adaptformer() {
    assert_method("adaptformer", &["width=3"]);
}

#[test]
fn lora_of_every_projection() {
    let targets = r#"targets=["q", "k", "v", "proj", "fc1", "fc2"]"#;
    assert_method("lora", &["rank=2", "alpha=3.0", targets]);
}

#[test]
fn lorand() {
    assert_method("lorand", &["side=3"]);
}

#[test]
fn low_rank_adapter() {
    assert_method("low_rank_adapter", &["width=3", "rank=2"]);
}

#[test]
fn phm_adapter() {
    assert_method("phm_adapter", &["width=6", "n=2"]);
}

#[test]
fn compacter() {
    assert_method("compacter", &["width=6", "n=2"]);
}

#[test]
fn compacter_plus_plus() {
    assert_method("compacter_plus_plus", &["width=6", "n=2"]);
}

#[test]
fn mona() {
    assert_method("mona", &["width=3"]);
}

#[test]
fn ssf() {
    assert_method("ssf", &[]);
}

#[test]
fn vpt_deep() {
    assert_method("vpt_deep", &["tokens=3"]);
}

#[test]
fn vpt_shallow() {
    assert_method("vpt_shallow", &["tokens=3"]);
}

fn assert_tasks(case: &str, name: &str, fields: &[&str]) {
    let golden = Golden::open(&format!("method.{case}"));
    let fields: Vec<&str> = [fields, &["tasks=2", "reduction=2"]].concat();
    let gradients = run(name, &fields, &golden);
    assert_gradients(&gradients, &golden.below("grad."), GRADIENTS);
}

/// The choices that are not the defaults.
const OTHER: [&str; 3] = ["extraction=linear", "streams=stage_end", "merge=concat"];

#[test]
fn vmt_adapter() {
    assert_tasks("vmt_adapter", "vmt_adapter", &[]);
    let fields = [
        &OTHER[..],
        &["place=output", "input=pre_norm", "learn_scale=true"],
    ];
    assert_tasks("vmt_adapter_other", "vmt_adapter", &fields.concat());
    assert_tasks(
        "vmt_adapter_output",
        "vmt_adapter",
        &["place=output", "scale=0.5"],
    );
}

#[test]
fn vmt_adapter_lite() {
    assert_tasks("vmt_adapter_lite", "vmt_adapter_lite", &["scale=0.5"]);
}

#[test]
fn vmt_highway() {
    assert_tasks("vmt_highway", "vmt_highway", &[]);
    assert_tasks("vmt_highway_other", "vmt_highway", &OTHER);
}

#[test]
fn hyperformer() {
    assert_tasks("hyperformer", "hyperformer", &["embedding=3"]);
}

#[test]
fn polyhistor_lite() {
    assert_tasks(
        "polyhistor_lite",
        "polyhistor_lite",
        &["embedding=3", "rank=2"],
    );
}

#[test]
fn polyhistor() {
    assert_tasks("polyhistor", "polyhistor", &["embedding=3", "rank=2"]);
}

/// Its own parameters, and the parts of the backbone that it trains.
#[test]
fn mtlora() {
    let golden = Golden::open("method.mtlora");
    let fields = [
        "tasks=2",
        "rank=3",
        "task_rank=2",
        "scale=0.75",
        "task_scale=1.5",
    ];
    let gradients = run("mtlora", &fields, &golden);
    let of_backbone = of_backbone("method.mtlora.gradients");
    let mut expected = golden.below("grad.");
    for path in gradients.keys() {
        if let Some(name) = path.strip_prefix("backbone.") {
            expected.insert(path.clone(), of_backbone[name].clone());
        }
    }
    assert_gradients(&gradients, &expected, GRADIENTS);
}

/// Gradients of a whole Swin under timm's names, by the paths of ours.
fn of_backbone(golden: &str) -> Tensors {
    let gradients = golden_path(&format!("{golden}.safetensors"));
    let gradients = Checkpoint::open(&gradients).unwrap();
    let config = SwinConfig::new(4, vec![2, 2, 1, 1], vec![1, 2, 2, 4]).with_window(4);
    let swin: AnyBackbone<Plain> = AnyBackbone::Swin(config.init(&Default::default()));
    parameters::<Plain, _>(&import(swin, &gradients).unwrap().0)
}

/// Methods that train parts of the backbone: their gradients are those of full fine-tuning.
#[test]
fn parts_of_the_backbone() {
    let golden = Golden::open("method.full");
    let expected = of_backbone("method.full.gradients");
    for (name, fields) in [
        ("full", vec![]),
        ("partial", vec!["blocks=3"]),
        ("bitfit", vec![]),
        ("norm_tuning", vec![]),
    ] {
        let gradients = run(name, &fields, &golden);
        let own: Tensors = gradients
            .keys()
            .map(|path| {
                let data = match path.strip_prefix("backbone.") {
                    Some(path) => expected[path].clone(),
                    None => golden.data(&format!("grad.{path}")),
                };
                (path.clone(), data)
            })
            .collect();
        assert!(own.len() > 8, "{name}: {:?}", own.keys());
        assert_gradients(&gradients, &own, GRADIENTS);
    }
}
