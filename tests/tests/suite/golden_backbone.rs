//! Backbones against timm and torchvision, through the import of public checkpoints.

use burn::tensor::{Tensor, TensorData};
use gradway_backbone::efficientnet::{Classifier, EfficientNetLiteConfig};
use gradway_backbone::swin::SwinConfig;
use gradway_backbone::{AnyBackbone, Backbone, Checkpoint, ImportReport, Phase, Untouched, import};
use gradway_kernels::channels_first;
use gradway_tests::{
    Golden, Plain, assert_close, checkpoint, golden_path, largest_difference, parameters,
};

const SWIN: f64 = 1e-5;
const EFFICIENTNET: f64 = 2e-5;
/// Absolute: one rounding to 32 bits of what is computed in 64.
const BIAS_TABLE: f64 = 2e-5;

fn swin_window7() -> SwinConfig {
    SwinConfig::new(6, vec![2, 2, 2, 1], vec![1, 2, 3, 4]).with_pad_first(true)
}

fn swin_window4() -> SwinConfig {
    SwinConfig::new(4, vec![2, 2, 1, 1], vec![1, 2, 2, 4])
        .with_window(4)
        .with_pad_first(true)
}

fn efficientnet() -> EfficientNetLiteConfig {
    EfficientNetLiteConfig::new()
        .with_width(0.08)
        .with_depth(0.5)
}

fn swin(config: &SwinConfig) -> AnyBackbone<Plain> {
    AnyBackbone::Swin(config.init(&Default::default()))
}

fn weights(name: &str) -> Checkpoint {
    Checkpoint::open(&golden_path(&format!("{name}.weights.safetensors"))).unwrap()
}

/// Imports the golden weights and compares every stage.
fn assert_stages(backbone: AnyBackbone<Plain>, name: &str, tolerance: f64) -> ImportReport {
    let (backbone, report) = import(backbone, &weights(name)).unwrap();
    assert_outputs(&backbone, &format!("{name}.io"), tolerance);
    report
}

fn assert_outputs(backbone: &AnyBackbone<Plain>, name: &str, tolerance: f64) {
    let golden = Golden::open(name);
    let axis = backbone.description().axis;
    let images: Tensor<Plain, 4> = golden.tensor("input");
    let stages = backbone.forward(images, Phase::Inference, &mut Untouched);
    assert_eq!(stages.len(), 4);
    for (index, stage) in stages.into_iter().enumerate() {
        let stage = channels_first(stage, axis).into_data();
        let key = format!("stage{index}");
        assert_close(&key, &stage, &golden.data(&key), tolerance);
    }
}

#[test]
fn swin_that_shifts_before_it_pads_equals_the_golden() {
    let backbone = swin(&swin_window7().with_pad_first(false));
    let (backbone, _) = import(backbone, &weights("swin_window7")).unwrap();
    assert_outputs(&backbone, "swin_window7_shift_first.io", SWIN);
}

#[test]
fn swin_of_window_7_equals_the_golden() {
    assert_stages(swin(&swin_window7()), "swin_window7", SWIN);
}

#[test]
fn swin_of_window_4_equals_the_golden() {
    assert_stages(swin(&swin_window4()), "swin_window4", SWIN);
}

#[test]
fn the_classifiers_norm_is_skipped_and_everything_else_applied() {
    let report = assert_stages(swin(&swin_window4()), "swin_window4", SWIN);
    let skipped: Vec<_> = report.skipped.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(skipped, ["norm.bias", "norm.weight"]);
    let keys = weights("swin_window4").keys().count();
    assert_eq!(report.applied.len(), keys - skipped.len());
    assert!(report.resized.is_empty());
}

#[test]
fn efficientnet_lite_equals_the_golden() {
    let backbone = efficientnet().init(&Default::default());
    let backbone = AnyBackbone::EfficientNetLite(backbone);
    assert_stages(backbone, "efficientnet_lite", EFFICIENTNET);
}

#[test]
fn logits_of_efficientnet_lite_equal_the_golden() {
    let classifier = Classifier::<Plain>::new(&efficientnet(), 5, &Default::default());
    let (classifier, report) = import(classifier, &weights("efficientnet_lite")).unwrap();
    assert!(report.skipped.is_empty());
    let golden = Golden::open("efficientnet_lite.io");
    let logits = classifier.forward(golden.tensor("input")).into_data();
    assert_close("the logits", &logits, &golden.data("logits"), EFFICIENTNET);
}

/// Imports `swin_window7` with its table of 3 heads replaced into a Swin of `window`.
fn assert_bias_table(case: &str, window: usize, rows_in_file: usize) {
    const TABLE: &str = "layers.2.blocks.0.attn.relative_position_bias_table";
    let golden = Golden::open("bias_table");
    let mut tensors = Golden::open("swin_window7.weights").into_tensors();
    // The other blocks are of the same window.
    let tables = tensors.iter_mut();
    for (_, table) in tables.filter(|(key, _)| key.ends_with("relative_position_bias_table")) {
        *table = TensorData::zeros::<f32, _>([rows_in_file, table.shape[1]]);
    }
    tensors.insert(TABLE.to_string(), golden.data(&format!("{case}.input")));
    let backbone = swin(&swin_window7().with_window(window));
    let (backbone, report) = import(backbone, &checkpoint("edited", &tensors)).unwrap();

    let expected = golden.data(&format!("{case}.output"));
    let table = &parameters(&backbone)[&format!("Swin.{TABLE}")];
    let error = largest_difference(table, &expected);
    assert!(error <= BIAS_TABLE, "off by {error:.1e}");
    let resized = report
        .resized
        .iter()
        .find(|(path, ..)| path.ends_with(TABLE));
    let (_, from, to) = resized.expect("the report names the table");
    assert_eq!([*from, *to], [rows_in_file, expected.shape[0]]);
}

#[test]
fn a_bias_table_of_window_7_imports_into_window_12() {
    assert_bias_table("7_to_12", 12, 169);
}

#[test]
fn a_bias_table_of_window_12_imports_into_window_7() {
    assert_bias_table("12_to_7", 7, 529);
}
