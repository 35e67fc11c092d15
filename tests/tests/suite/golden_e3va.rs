//! E3VA beside a frozen Swin, against the same highway in PyTorch: both forms and every choice.

use burn::module::{ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::{Module, Tensor};
use gradway_adapters::Beside;
use gradway_adapters::e3va::{
    E3va, E3vaConfig, Factorization, Fusion, OutputNorm, Skip, Start, Tap,
};
use gradway_backbone::swin::SwinConfig;
use gradway_backbone::{AnyBackbone, Backbone, Checkpoint, Phase, import};
use gradway_kernels::Constant;
use gradway_tests::{
    Golden, Plain, Tensors, Tracked, assert_close, assert_gradients, fill, golden_path, gradients,
};

const STAGES: f64 = 1e-5;
const GRADIENTS: f64 = 5e-5;
/// The loss is a sum over all outputs with cancellation, as a gradient is.
const LOSS: f64 = GRADIENTS;

fn frozen_swin() -> AnyBackbone<Plain> {
    let config = SwinConfig::new(4, vec![2, 2, 1, 1], vec![1, 2, 2, 4])
        .with_window(4)
        .with_pad_first(true);
    let weights = Checkpoint::open(&golden_path("swin_window4.weights.safetensors")).unwrap();
    let swin = AnyBackbone::Swin(config.init(&Default::default()));
    import(swin, &weights).unwrap().0
}

/// The name in the golden files of a parameter of ours.
fn golden_name(path: &str) -> String {
    let parts: Vec<_> = path.split('.').collect();
    match parts.as_slice() {
        ["sections", stage, block, "0", name] => format!("blocks.{stage}.{block}.attention.{name}"),
        ["sections", stage, block, "1", name] => format!("blocks.{stage}.{block}.mlp.{name}"),
        ["norms", "norms", stage, "gamma"] => format!("norms.{stage}.weight"),
        ["norms", "norms", stage, "beta"] => format!("norms.{stage}.bias"),
        _ => panic!("unexpected parameter `{path}`"),
    }
}

/// A highway of the golden weights.
fn highway(config: &E3vaConfig, backbone: &AnyBackbone<Plain>) -> E3va<Tracked> {
    let form = match config.form {
        Factorization::Plain => "plain",
        Factorization::Kernel => "kernel",
    };
    let weights = Golden::open(&format!("e3va.{form}.weights"));
    let module = config.init(&backbone.description(), &Default::default());
    fill(module, |path, _| weights.data(&golden_name(path)))
}

fn features(module: &E3va<Tracked>, backbone: &AnyBackbone<Plain>) -> Vec<Tensor<Tracked, 4>> {
    let images = Golden::open("swin_window4.io").tensor("input");
    module.features::<Plain, Constant>(backbone, images, Phase::Inference)
}

fn loss(features: &[Tensor<Tracked, 4>]) -> Tensor<Tracked, 1> {
    let weights = Golden::open("e3va.loss");
    let weighted = features.iter().enumerate().map(|(stage, feature)| {
        (feature.clone() * weights.tensor(&format!("weight{stage}"))).sum()
    });
    weighted.reduce(|sum, term| sum + term).unwrap()
}

/// Gradients by their names in the golden files.
fn named_gradients(
    module: &E3va<Tracked>,
    of: &<Tracked as burn::tensor::backend::AutodiffBackend>::Gradients,
) -> Tensors {
    let gradients = gradients::<Tracked, _>(module, of).into_iter();
    gradients
        .map(|(path, data)| (golden_name(&path), data))
        .collect()
}

fn assert_case(case: &str, config: E3vaConfig) {
    let golden = Golden::open(&format!("e3va.{case}"));
    let backbone = frozen_swin();
    let module = highway(&config, &backbone);
    let features = features(&module, &backbone);
    assert_eq!(features.len(), 4);
    for (stage, feature) in features.iter().enumerate() {
        let key = format!("stage{stage}");
        assert_close(&key, &feature.to_data(), &golden.data(&key), STAGES);
    }
    let loss = loss(&features);
    assert_close("the loss", &loss.to_data(), &golden.data("loss"), LOSS);
    let actual = named_gradients(&module, &loss.backward());
    assert_gradients(&actual, &golden.below("grad."), GRADIENTS);
}

#[test]
fn plain_form() {
    assert_case("plain", E3vaConfig::default());
}

#[test]
fn kernel_form() {
    let form = Factorization::Kernel;
    assert_case(
        "kernel",
        E3vaConfig {
            form,
            ..Default::default()
        },
    );
}

#[test]
fn plain_form_reading_the_stream_after_a_branch() {
    let tap = Tap::PostResidual;
    assert_case(
        "plain_post_residual",
        E3vaConfig {
            tap,
            ..Default::default()
        },
    );
}

#[test]
fn plain_form_with_a_skip_inside_the_adapter() {
    let skip = Skip::Identity;
    assert_case(
        "plain_identity",
        E3vaConfig {
            skip,
            ..Default::default()
        },
    );
}

#[test]
fn plain_form_starting_from_the_patch_embedding() {
    let start = Start::PatchEmbed;
    assert_case(
        "plain_patch_embed",
        E3vaConfig {
            start,
            ..Default::default()
        },
    );
}

#[test]
fn plain_form_whose_output_is_the_highway_alone() {
    let fusion = Fusion::HighwayOnly;
    assert_case(
        "plain_highway_only",
        E3vaConfig {
            fusion,
            ..Default::default()
        },
    );
}

#[test]
fn kernel_form_with_every_other_choice() {
    let config = E3vaConfig {
        form: Factorization::Kernel,
        tap: Tap::PostResidual,
        skip: Skip::Identity,
        start: Start::PatchEmbed,
        fusion: Fusion::HighwayOnly,
        ..Default::default()
    };
    assert_case("kernel_all_other", config);
}

/// Counts the parameters of a frozen backbone, and those with a gradient.
struct Frozen<'a> {
    gradients: &'a GradientsParams,
    parameters: usize,
    with_gradient: usize,
}

impl ModuleVisitor<Plain> for Frozen<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Plain, D>>) {
        self.parameters += 1;
        let gradient = self.gradients.get::<Plain, D>(param.id);
        self.with_gradient += usize::from(gradient.is_some());
    }
}

#[test]
fn every_parameter_of_the_highway_has_a_gradient_and_none_of_the_backbone() {
    let backbone = frozen_swin();
    let module = highway(&E3vaConfig::default(), &backbone);
    let gradients = loss(&features(&module, &backbone)).backward();
    let gradients = GradientsParams::from_grads(gradients, &module);
    // 2 adapters of 6 parameters in 6 blocks, and 2 parameters in 4 norms.
    assert_eq!(gradients.len(), 6 * 2 * 6 + 4 * 2);
    let mut frozen = Frozen {
        gradients: &gradients,
        parameters: 0,
        with_gradient: 0,
    };
    backbone.visit(&mut frozen);
    // 2 of the patch embedding and its norm each, 13 in 6 blocks, 3 in 3 mergings.
    assert_eq!(frozen.parameters, 4 + 13 * 6 + 3 * 3);
    assert_eq!(frozen.with_gradient, 0);
}

#[test]
fn frozen_output_norms_have_no_gradient() {
    let backbone = frozen_swin();
    let output_norm = OutputNorm::Frozen;
    let module = highway(
        &E3vaConfig {
            output_norm,
            ..Default::default()
        },
        &backbone,
    );
    let gradients = loss(&features(&module, &backbone)).backward();
    let mut expected = Golden::open("e3va.plain").below("grad.");
    expected.retain(|name, _| name.starts_with("blocks."));
    assert_gradients(&named_gradients(&module, &gradients), &expected, GRADIENTS);
}
