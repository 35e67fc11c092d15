//! Heads that were made for a pyramid of strides, on a plain vision transformer, from the outside.

use std::fs;
use std::path::Path;

use crate::common::objects::{configuration, dataset};
use crate::common::{fail, json_of, succeed, text};
use crate::sizes::change;
use safetensors::SafeTensors;
use serde_json::Value;

/// Names of the weights of a run's last checkpoint.
fn weights(run: &Path) -> Vec<String> {
    let bytes = fs::read(run.join("last.safetensors")).expect("a checkpoint");
    let checkpoint = SafeTensors::deserialize(&bytes).expect("a checkpoint");
    let names = checkpoint.names().into_iter();
    let names = names.filter_map(|name| name.strip_prefix("weights."));
    names.map(str::to_string).collect()
}

#[test]
fn detectors_are_trained_scored_and_predicted_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    dataset(root, |_| {});
    // Patches of 14 pixels: strides of 3.5, 7, 14 and 28.
    let set = [
        "--set",
        "backbone.name=vit_mini",
        "--set",
        "method={ name = \"fixed\" }",
    ];
    for (head, levels) in [
        ("retinanet", 3),
        ("faster_rcnn", 4),
        ("mask_rcnn", 4),
        ("cascade_mask_rcnn", 4),
    ] {
        let config = configuration(root, head);
        let out = root.join(head);
        let arguments = ["train", text(&config), "--out", text(&out), "--json"];
        let arguments: Vec<&str> = arguments.into_iter().chain(set).collect();
        let result = json_of(&succeed(&arguments));
        assert_eq!(result["steps"], 4, "{head}");
        let scores = json_of(&succeed(&["eval", text(&out), "--last", "--json"]));
        assert_eq!(scores["boxes"], result["last"]["boxes"], "{head}");
        let photo = root.join("photos/3.png");
        succeed(&["predict", text(&out), text(&photo)]);
        assert!(out.join("predictions/3.overlay.png").exists());
        let outputs = weights(&out);
        let outputs = outputs
            .iter()
            .filter(|name| name.starts_with("head.neck.") && name.ends_with(".output.weight"));
        assert_eq!(outputs.count(), levels, "{head}");
        // The neck is the pyramid.
        assert!(
            !weights(&out).iter().any(|name| name.contains("laterals")),
            "{head}"
        );
    }
    // Maps from four depths, and the detector's own pyramid on them.
    let config = configuration(root, "mask_rcnn");
    let out = root.join("depths");
    let arguments = ["train", text(&config), "--out", text(&out), "--json"];
    let pyramid = ["--set", "neck={ name = \"pyramid\" }"];
    let arguments: Vec<&str> = arguments.into_iter().chain(set).chain(pyramid).collect();
    assert_eq!(json_of(&succeed(&arguments))["steps"], 4);
    let names = weights(&out);
    assert!(
        names
            .iter()
            .any(|name| name == "head.neck.Pyramid.levels.0.norm.running_mean")
    );
    assert!(names.iter().any(|name| name.contains("laterals.3")));
    // A run knows its neck.
    let other = "neck={ name = \"simple_pyramid\", channels = 16 }";
    change(&out, &[other.to_string()]);
    let error = fail(&["eval", text(&out)]);
    assert!(error.contains("neck.name"), "{error}");
}

/// A configuration of segmentation on a ViT.
fn written(folder: &Path, name: &str, rest: &str) -> std::path::PathBuf {
    let file = folder.join(format!("{name}.toml"));
    let config = format!(
        r#"
backbone = {{ name = "vit_mini" }}
method = {{ name = "fixed" }}
data = {{ format = "synthetic", width = 64, height = 52, train_samples = 4, val_samples = 2 }}
augment = {{ crop_size = [56, 56] }}
loader = {{ batch_size = 2 }}
train = {{ epochs = 1 }}
{rest}
"#
    );
    fs::write(&file, config).expect("a file");
    file
}

#[test]
fn several_tasks_have_a_neck_or_a_reassembly_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = "tasks = { names = [\"semantic_segmentation\", \"depth\", \"surface_normals\"] }";
    for (name, head, part) in [
        (
            "upernet",
            "{ name = \"upernet\", channels = 8, auxiliary = { channels = 8 } }",
            "neck.Pyramid.levels.1",
        ),
        (
            "dpt",
            "{ name = \"dpt\", channels = 8, widths = [4, 5, 6, 7] }",
            "decoder.Dpt.reassembled.0.enlarging",
        ),
    ] {
        let config = written(folder.path(), name, &format!("head = {head}\n{tasks}"));
        let out = folder.path().join(name);
        let result = json_of(&succeed(&[
            "train",
            text(&config),
            "--out",
            text(&out),
            "--json",
        ]));
        let scores = json_of(&succeed(&["eval", text(&out), "--last", "--json"]));
        assert_eq!(scores["tasks"], result["last"]["tasks"], "{name}");
        let names = weights(&out);
        for task in 0..3 {
            let prefix = format!("head.decoders.{task}.{part}");
            assert!(
                names.iter().any(|name| name.starts_with(&prefix)),
                "{prefix}: {names:?}"
            );
        }
    }
}

/// Parameters of the head of a configuration.
fn head_parameters(config: &Path, set: &[&str]) -> u64 {
    let arguments = ["params", text(config), "--classes", "3", "--json"];
    let arguments: Vec<&str> = arguments.iter().chain(set).copied().collect();
    let report = json_of(&succeed(&arguments));
    report["head"].as_u64().expect("a number")
}

#[test]
fn the_parameters_of_a_neck_are_counted_with_the_head() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = written(
        folder.path(),
        "upernet",
        "head = { name = \"upernet\", channels = 8 }",
    );
    let none = head_parameters(&config, &["--set", "neck={ name = \"none\" }"]);
    // Three transposed convolutions of 32 channels, and a batch norm.
    let pyramid = 3 * (4 * 32 * 32 + 32) + 2 * 32;
    assert_eq!(head_parameters(&config, &[]), none + pyramid);
}

#[test]
fn necks_are_listed() {
    let lines = json_of(&succeed(&["list", "necks", "--json"]));
    let names = lines
        .as_array()
        .expect("a list")
        .iter()
        .map(|line| &line["name"]);
    let names: Vec<&str> = names.filter_map(Value::as_str).collect();
    assert_eq!(names, ["none", "pyramid", "simple_pyramid"]);
}
