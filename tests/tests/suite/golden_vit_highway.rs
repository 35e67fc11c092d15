//! Gradient highways beside a plain vision transformer against the same equations in PyTorch: E3VA in both forms and the method
//! for many tasks, with class and register tokens and without.

use burn::tensor::{Tensor, TensorData};
use gradway::trainer::config;
use gradway_adapters::{Encoder, Tuned};
use gradway_backbone::{AnyBackbone, BackboneConfig, Phase, export, import};
use gradway_tests::formula::{parameter, scaled, uniform};
use gradway_tests::{
    Golden, Plain, Tensors, Tracked, assert_close, assert_gradients, checkpoint, fill, gradients,
};

/// Eight blocks in single precision against double precision.
const STAGES: f64 = 2e-5;
const GRADIENTS: f64 = 5e-5;

/// A grid of 3 x 5: no side is a multiple of a patch.
const IMAGES: [usize; 4] = [2, 3, 39, 65];

/// `vit_mini` with the weights of the formula, through the import of a file.
fn vit() -> AnyBackbone<Plain> {
    let vit: AnyBackbone<Plain> = BackboneConfig::named("vit_mini")
        .init(&Default::default())
        .unwrap();
    let tensors = export(&vit).into_iter();
    let tensors: Tensors = tensors
        .map(|(name, data)| {
            let weights = parameter(&name, data.shape.as_slice());
            (name, weights)
        })
        .collect();
    import(vit, &checkpoint("the formula", &tensors)).unwrap().0
}

/// The path of a parameter without the name of the method.
fn own(path: &str) -> &str {
    let (_method, path) = path.split_once('.').unwrap();
    path
}

fn assert_case(case: &str, method: &str, fields: &[&str]) {
    let golden = Golden::open(&format!("vit_highway.{case}"));
    let fields: Vec<String> = fields.iter().map(|key| format!("method.{key}")).collect();
    let method = config::method(method, &fields).unwrap();
    let device = Default::default();
    let (encoder, tuned) = Encoder::<Tracked>::new(&method, vit(), &device).unwrap();
    let tuned: Tuned<Tracked> = fill(tuned, |path, shape| parameter(own(path), shape));
    let images = Tensor::from_data(scaled("images", &IMAGES, 3f64.sqrt(), 0.0), &device);
    let features = encoder.features(&tuned, images, Phase::Inference);
    let mut loss = Tensor::<Tracked, 1>::zeros([1], &device);
    for task in 0..tuned.tasks() {
        let stages = features.of_task(task);
        assert_eq!(stages.len(), 4);
        for (stage, feature) in stages.into_iter().enumerate() {
            let key = format!("task{task}.stage{stage}");
            let place = format!("{case}: {key}");
            assert_close(&place, &feature.to_data(), &golden.data(&key), STAGES);
            let weights = uniform(&key, feature.shape().num_elements());
            let weights = TensorData::new(weights, feature.shape());
            loss = loss + (feature * Tensor::from_data(weights, &device)).sum();
        }
    }
    // The loss itself is a sum that cancels to nearly nothing; it is right where its terms are.
    let gradients = gradients::<Tracked, _>(&tuned, &loss.backward()).into_iter();
    let gradients: Tensors = gradients
        .map(|(path, data)| (own(&path).to_string(), data))
        .collect();
    assert_gradients(&gradients, &golden.below("grad."), GRADIENTS);
}

const ADD: &str = "readout=add";

#[test]
fn e3va() {
    assert_case("e3va_plain", "e3va", &["rank=8"]);
    assert_case("e3va_kernel", "e3va", &["rank=8", "form=kernel"]);
}

#[test]
fn e3va_with_class_and_register_tokens() {
    assert_case("e3va_plain_readout", "e3va", &["rank=8", ADD]);
    let fields = ["rank=8", "form=kernel", ADD];
    assert_case("e3va_kernel_readout", "e3va", &fields);
}

#[test]
fn e3va_with_every_other_choice() {
    let mut fields = vec![
        "rank=8",
        "form=kernel",
        "tap=post_residual",
        "skip=identity",
    ];
    fields.extend(["start=patch_embed", "fusion=highway_only"]);
    assert_case("e3va_kernel_other", "e3va", &fields);
    fields.push(ADD);
    assert_case("e3va_kernel_other_readout", "e3va", &fields);
}

#[test]
fn vmt_highway() {
    let fields = ["tasks=2", "reduction=4"];
    assert_case("vmt_highway", "vmt_highway", &fields);
    let output = [&fields[..], &["place=output"]].concat();
    assert_case("vmt_highway_output", "vmt_highway", &output);
    let other = ["extraction=linear", "streams=stage_end", "merge=concat"];
    let other = [&fields[..], &other].concat();
    assert_case("vmt_highway_other", "vmt_highway", &other);
}

#[test]
fn vmt_highway_with_class_and_register_tokens() {
    let fields = ["tasks=2", "reduction=4", ADD];
    assert_case("vmt_highway_readout", "vmt_highway", &fields);
    let other = ["extraction=linear", "streams=stage_end", "merge=concat"];
    let other = [&fields[..], &other].concat();
    assert_case("vmt_highway_other_readout", "vmt_highway", &other);
}

/// On a backbone without such tokens the key would change nothing.
#[test]
fn class_and_register_tokens_are_refused_where_there_are_none() {
    let device = Default::default();
    for name in ["e3va", "vmt_highway"] {
        let method = config::method(name, &[format!("method.{ADD}")]).unwrap();
        for backbone in ["swin_mini", "efficientnet_lite0"] {
            let backbone = BackboneConfig::named(backbone).init(&device).unwrap();
            let error = Encoder::<Tracked>::new(&method, backbone, &device).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "method.name = \"{name}\" does not fit this backbone: method.readout = \"add\", but it has no \
                     class or register tokens; it must be \"ignore\""
                )
            );
        }
    }
}
