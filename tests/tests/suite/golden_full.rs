//! Full fine-tuning of a network with batch norms, step by step against PyTorch.

use burn::module::AutodiffModule;
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use gradway::trainer::config;
use gradway_adapters::{Encoder, Tuned, collect};
use gradway_backbone::efficientnet::EfficientNetLiteConfig;
use gradway_backbone::{AnyBackbone, Checkpoint, Phase, export, import};
use gradway_tests::{Golden, Plain, Tensors, Tracked, assert_close, golden_path};
use gradway_trainer::{Optimizer, OptimizerConfig, OptimizerName};

/// Rounding: single precision against double through seventeen blocks, forward and backward, for three steps.
const STEPS: f64 = 2e-5;
/// A mean with cancellation, by the size of what it is the mean of.
const LOSS: f64 = 1e-5;

fn network() -> AnyBackbone<Plain> {
    let config = EfficientNetLiteConfig::new()
        .with_width(0.08)
        .with_depth(0.5);
    let network = AnyBackbone::EfficientNetLite(config.init(&Default::default()));
    let weights = Checkpoint::open(&golden_path("efficientnet_lite.weights.safetensors")).unwrap();
    import(network, &weights).unwrap().0
}

/// The backbone and the output norms of a module, under the names of files.
fn named(config: &gradway_adapters::MethodConfig, tuned: &Tuned<Tracked>) -> Tensors {
    let merged = config.merge(tuned).unwrap();
    let mut tensors = export(&merged.backbone);
    for (stage, norm) in merged.norms.norms.iter().enumerate() {
        let beta = norm.beta.as_ref().unwrap();
        tensors.insert(format!("norm{stage}.weight"), norm.gamma.val().into_data());
        tensors.insert(format!("norm{stage}.bias"), beta.val().into_data());
    }
    tensors
}

fn equals_the_golden(statistics: &str, rate: f64) {
    let golden = Golden::open("method.full_batch_norms");
    let device = Default::default();
    let fields = [format!("method.batch_statistics={statistics}")];
    let method = config::method("full", &fields).unwrap();
    let (encoder, mut tuned) = Encoder::<Tracked>::new(&method, network(), &device).unwrap();
    let optimizer = OptimizerConfig {
        name: OptimizerName::Sgd,
        momentum: 0.9,
        weight_decay: 0.05,
        ..Default::default()
    };
    let mut optimizer = Optimizer::new(&optimizer, &tuned, encoder.depths());
    let images: Tensor<Plain, 4> = Golden::open("efficientnet_lite.io").tensor("input");
    for step in 0..3 {
        let phase = Phase::Training { seed: step };
        let features = encoder.features(&tuned, images.clone(), phase).of_task(0);
        let losses = features.into_iter().enumerate().map(|(stage, output)| {
            let weight = golden.tensor::<Tracked, 4>(&format!("weight{stage}"));
            (output * weight).mean()
        });
        let loss = losses.reduce(|sum, one| sum + one).unwrap();
        let expected = golden.values(&format!("{statistics}.step{step}.loss"))[0];
        let actual = f64::from(loss.clone().into_scalar());
        let error = (actual - expected).abs();
        assert!(
            error < LOSS,
            "the loss of step {step} is off by {error:.1e}"
        );
        let gradients = GradientsParams::from_grads(loss.backward(), &tuned);
        tuned = optimizer.step(rate, tuned, gradients).0;
    }
    let expected = golden.below(&format!("{statistics}.after."));
    let actual = named(&method, &tuned);
    let names = |tensors: &Tensors| tensors.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&actual), names(&expected));
    for (name, expected) in &expected {
        assert_close(name, &actual[name], expected, STEPS);
    }
    let features = encoder
        .features_inference(&tuned.valid(), images)
        .of_task(0);
    for (stage, output) in features.into_iter().enumerate() {
        let expected = golden.data(&format!("{statistics}.stage{stage}"));
        assert_close(
            &format!("stage {stage}"),
            &output.into_data(),
            &expected,
            STEPS,
        );
    }
}

#[test]
fn steps_with_frozen_statistics_equal_the_golden() {
    equals_the_golden("frozen", 0.002);
}

#[test]
fn steps_with_trained_statistics_equal_the_golden() {
    equals_the_golden("trained", 0.0002);
}

/// What a run changed is what its checkpoint holds: running statistics where they follow the batches, and only there.
#[test]
fn statistics_that_are_trained_belong_to_what_a_run_changed() {
    for (statistics, kept) in [("frozen", 0), ("trained", 2 * norms())] {
        let fields = [format!("method.batch_statistics={statistics}")];
        let method = config::method("full", &fields).unwrap();
        let device = Default::default();
        let (_, tuned) = Encoder::<Tracked>::new(&method, network(), &device).unwrap();
        let changed = collect::<Tracked, _>(&tuned);
        let found = changed.keys().filter(|path| path.contains("running_"));
        assert_eq!(found.count(), kept, "{statistics}");
    }
}

/// Convolutions of the network: a stem, and two or three in each of its blocks.
fn norms() -> usize {
    1 + 2 + 3 * (1 + 1 + 2 + 2 + 2 + 1)
}

#[test]
fn a_network_whose_norms_are_folded_for_good_has_no_statistics_to_train() {
    let folded = export(&network()).into_iter();
    let folded: Tensors = folded
        .filter(|(name, _)| !name.contains(".norm."))
        .collect();
    let folded = gradway_tests::checkpoint("folded", &folded);
    let (network, _) = import(network(), &folded).unwrap();
    let method = config::method("full", &["method.batch_statistics=trained".to_string()]).unwrap();
    let device = Default::default();
    let error = Encoder::<Tracked>::new(&method, network.clone(), &device).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("method.batch_statistics = \"trained\""),
        "{error}"
    );
    // With frozen ones it is the folded weights that are trained.
    let method = config::method("full", &[]).unwrap();
    let (_, tuned) = Encoder::<Tracked>::new(&method, network, &device).unwrap();
    let tuned = collect::<Tracked, _>(&tuned);
    let is_stem = |path: &String| path.ends_with("stem.bias");
    assert!(tuned.keys().any(is_stem), "{:?}", tuned.keys());
}

/// An export has all that the import of the published file had: the norms that are folded can be parted again.
#[test]
fn an_exported_network_trains_as_the_published_one() {
    let method = config::method("full", &[]).unwrap();
    let device = Default::default();
    let again = gradway_tests::checkpoint("exported", &export(&network()));
    let (again, _) = import(network(), &again).unwrap();
    let [first, second] = [network(), again].map(|network| {
        let (_, tuned) = Encoder::<Tracked>::new(&method, network, &device).unwrap();
        named(&method, &tuned)
    });
    let published = Golden::open("efficientnet_lite.weights");
    let gamma = |data: TensorData| data.to_vec::<f32>().unwrap();
    assert_eq!(
        gamma(first["stem.norm.weight"].clone()),
        gamma(published.data("bn1.weight"))
    );
    assert_close(
        "the stem's filters",
        &first["stem.weight"],
        &published.data("conv_stem.weight"),
        1e-6,
    );
    for (name, first) in &first {
        assert_close(name, &second[name], first, 1e-6);
    }
}
