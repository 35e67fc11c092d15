//! The commands, from the outside.

use std::fs;

use crate::common::{SCENES, fail, json_of, run, succeed, text, tiny_config};
use serde_json::Value;

#[test]
fn every_table_can_be_listed() {
    for (table, known) in [
        ("backbones", "swin_large_w12"),
        ("methods", "e3va"),
        ("heads", "upernet"),
        ("datasets", "synthetic"),
        ("metrics", "mean_iou"),
        ("metrics", "ap_small"),
    ] {
        assert!(succeed(&["list", table]).contains(known), "{table}");
        let lines = json_of(&succeed(&["list", table, "--json"]));
        let names = lines.as_array().expect("an array").iter();
        assert!(
            names.map(|line| &line["name"]).any(|name| name == known),
            "{table}"
        );
    }
}

#[test]
fn params_are_those_of_the_paper() {
    let count = |backbone: &str, form: &str| {
        let set = format!("method.form={form}");
        let arguments = [
            "params",
            "--backbone",
            backbone,
            "--method",
            "e3va",
            "--set",
            &set,
            "--json",
        ];
        json_of(&succeed(&arguments))
    };
    let plain = count("swin_base", "plain");
    assert_eq!(plain["total"], 1_195_008);
    assert_eq!(plain["published"], 1_195_008);
    assert_eq!(plain["norm"], 3_840);
    assert_eq!(
        plain["published_groups"],
        serde_json::json!(["adapter", "norm"])
    );
    let kernel = count("swin_base", "kernel");
    assert_eq!(kernel["adapter"], 1_197_312);
    assert_eq!(kernel["published"], 1_197_312);
}

/// The closed formulas of the page of methods, for 12 blocks of 384 channels.
#[test]
fn params_of_a_plain_vision_transformer_are_those_of_the_formulas() {
    let (blocks, d) = (12_usize, 384_usize);
    let (rank, narrow, tasks) = (16, d / 4, 4);
    for (method, tasks, adapter) in [
        ("e3va", 1, 2 * blocks * (2 * rank * (d + d / 2) + d + d / 2)),
        (
            "vmt_adapter",
            tasks,
            blocks * (2 * d * narrow + d + narrow + 2 * tasks * narrow),
        ),
        ("lora", 1, 4 * blocks * 64 * d),
    ] {
        let tasks = tasks.to_string();
        let method = ["--method", method, "--tasks", &tasks];
        let backbone = ["params", "--backbone", "dinov2_small", "--json"];
        let counts = json_of(&succeed(&[&backbone[..], &method[..]].concat()));
        assert_eq!(counts["adapter"], adapter, "{counts}");
        assert_eq!(counts["norm"], 8 * d, "{counts}");
        assert_eq!(counts["total"], adapter + 8 * d, "{counts}");
        assert_eq!(counts["backbone_parameters"], 22_056_192, "{counts}");
    }
}

#[test]
fn a_run_is_trained_scored_and_predicted_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let out = folder.path().join("run");
    let result = json_of(&succeed(&[
        "train",
        text(&config),
        "--out",
        text(&out),
        "--json",
    ]));
    assert_eq!(result["steps"], 8);
    assert_eq!(result["provenance"]["device"], "cpu");
    assert!(result["peak_bytes"].as_u64().expect("counted") > 0);
    for file in [
        "config.toml",
        "metrics.jsonl",
        "last.safetensors",
        "best.safetensors",
        "result.json",
    ] {
        assert!(out.join(file).is_file(), "{file}");
    }

    let scores = json_of(&succeed(&["eval", text(&out), "--last", "--json"]));
    assert_eq!(scores["mean_iou"], result["last"]["mean_iou"]);
    assert_eq!(scores["images"], 3);

    let photo = folder.path().join("photo.png");
    image::RgbImage::from_fn(37, 29, |x, y| image::Rgb([x as u8, y as u8, 90]))
        .save(&photo)
        .expect("a picture");
    let printed = succeed(&["predict", text(&out), text(&photo)]);
    let labels = out.join("predictions/photo.labels.png");
    assert!(printed.contains(text(&labels)), "{printed}");
    let size = |path| image::image_dimensions(path).expect("a picture");
    assert_eq!(size(labels), (37, 29));
    assert_eq!(size(out.join("predictions/photo.overlay.png")), (37, 29));
}

#[test]
fn a_folder_that_holds_a_run_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let out = folder.path().join("run");
    let set = ["--set", "train.epochs=1"];
    succeed(&["train", text(&config), "--out", text(&out), set[0], set[1]]);
    let error = fail(&["train", text(&config), "--out", text(&out)]);
    assert!(error.contains("already holds a run"), "{error}");
    assert!(error.contains("hint: resume it with --resume"), "{error}");
    let holder = fs::File::create(out.join("lock")).expect("a file");
    holder.lock().expect("held");
    let error = fail(&["train", "--resume", text(&out)]);
    let expected = format!("another process trains in {}", out.display());
    assert!(error.contains(&expected), "{error}");
    drop(holder);
    succeed(&["train", "--resume", text(&out)]);
}

/// The best score and the last one are two numbers, and every table says which it has.
#[test]
fn the_best_score_and_the_last_one_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let out = folder.path().join("run");
    succeed(&["train", text(&config), "--out", text(&out)]);
    let file = out.join("result.json");
    let mut result = json_of(&fs::read_to_string(&file).expect("a result"));
    let last = result["last"]["mean_iou"].as_f64().expect("a score");
    result["best"] = (0.9).into();
    result["host_peak_bytes"] = (3 << 20).into();
    result["peak_bytes"] = (5 << 20).into();
    fs::write(&file, result.to_string()).expect("a file");
    let table = succeed(&["report", text(&out), "--markdown"]);
    let expected = "| peak MiB | host peak MiB | seconds per step | steps | best mean IoU % | last mean IoU % |";
    assert!(table.contains(expected), "{table}");
    assert!(table.contains("| 5.0 | 3.0 |"), "{table}");
    let expected = format!("| 8 | 90.00 | {:.2} |", 100.0 * last);
    assert!(table.contains(&expected), "{table}");
    let best = succeed(&["eval", text(&out)]);
    assert!(
        best.contains("over 3 images (best checkpoint, step "),
        "{best}"
    );
    let newest = succeed(&["eval", text(&out), "--last"]);
    assert!(newest.contains("(newest checkpoint, step 8)"), "{newest}");
}

#[test]
fn the_demonstration_compares_the_methods() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("demo");
    let arguments = [
        "demo",
        "--out",
        text(&out),
        "--json",
        "--set",
        "data.train_samples=8",
        "--set",
        "data.val_samples=8",
        "--set",
        "train.epochs=1",
        "--set",
        "schedule.warmup_steps=0",
    ];
    let results = json_of(&succeed(&arguments));
    let methods: Vec<&Value> = results.as_array().expect("an array").iter().collect();
    let names: Vec<&Value> = methods.iter().map(|result| &result["method"]).collect();
    assert_eq!(names, ["fixed", "e3va", "full"]);
    let peak = |index: usize| methods[index]["peak_bytes"].as_u64().expect("counted");
    assert!(peak(0) < peak(1) && peak(1) < peak(2), "{results}");
    let (width, height) = image::image_dimensions(out.join("predictions.png")).expect("a picture");
    assert_eq!((width, height), (5 * 164 - 4, 6 * 132 - 4));
    let table = succeed(&["report", text(&out)]);
    let first = |line: &str| line.split_whitespace().next().map(str::to_string);
    let names: Vec<String> = table.lines().skip(2).filter_map(first).collect();
    assert_eq!(names, ["e3va", "fixed", "full"], "{table}");
    // What cannot be read is not trained again.
    let result = out.join("fixed/result.json");
    fs::write(&result, "{ \"method\": ").expect("a file");
    let error = fail(&arguments);
    let expected = format!("{}: EOF", result.display());
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn converted_weights_are_the_same_weights() {
    let folder = tempfile::tempdir().expect("a folder");
    let converted = folder.path().join("converted.safetensors");
    let embedded = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../backbone/weights/efficientnet_lite0.safetensors"
    );
    let backbone = "efficientnet_lite0";
    let hash = |file: &str| {
        json_of(&succeed(&[
            "weights",
            "inspect",
            file,
            "--backbone",
            backbone,
            "--json",
        ]))["import"]["hash"]
            .clone()
    };
    succeed(&[
        "weights",
        "convert",
        embedded,
        "--backbone",
        backbone,
        "--output",
        text(&converted),
    ]);
    assert_eq!(hash(embedded), hash(text(&converted)));
}

#[test]
fn wrong_usage_has_status_2() {
    for arguments in [
        &["train"][..],
        &["list", "nothing"],
        &["--nothing"],
        &["eval"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_cause_is_named_once() {
    let error = fail(&["train", "nowhere.toml"]);
    assert!(
        error.starts_with("error: nowhere.toml: No such file"),
        "{error}"
    );
    assert_eq!(error.matches("No such file").count(), 1, "{error}");
    let error = fail(&[
        "score",
        "segmentation",
        "--gt",
        "nowhere",
        "--pred",
        "nowhere",
        "--classes",
        "2",
        "--ignore",
        "9",
    ]);
    assert_eq!(error.matches("No such file").count(), 1, "{error}");
}

#[test]
fn a_tensor_file_has_its_ending_before_anything_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("directory.safetensors");
    fs::create_dir(&directory).expect("a folder");
    let expected = "expected a file whose name ends in .safetensors";
    for command in [
        &["weights", "convert", "nowhere.pth", "--backbone", "no"][..],
        &["features", "--backbone", "no", "--input", "nowhere.npy"],
        &["export", "nowhere", "--merge"],
    ] {
        let refused = |output: &str| fail(&[command, &["--output", output]].concat());
        for output in ["converted.pth", "directory"] {
            let error = refused(output);
            let expected = format!("error: --output {output}: {expected}\n");
            assert_eq!(error, expected);
        }
        let error = refused(text(&directory));
        assert!(error.contains("is a folder; "), "{error}");
    }
}
