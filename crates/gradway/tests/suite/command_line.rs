//! The commands, from the outside.

use std::fs;

use crate::common::{SCENES, fail, run, succeed, text, tiny_config};
use serde_json::Value;

fn json(output: &str) -> Value {
    serde_json::from_str(output).expect("JSON")
}

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
        let lines = json(&succeed(&["list", table, "--json"]));
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
        json(&succeed(&arguments))
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

#[test]
fn a_run_is_trained_scored_and_predicted_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let out = folder.path().join("run");
    let result = json(&succeed(&[
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

    let scores = json(&succeed(&["eval", text(&out), "--last", "--json"]));
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
    let mut result = json(&fs::read_to_string(&file).expect("a result"));
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
    assert!(
        newest.contains(", of the newest checkpoint, step 8"),
        "{newest}"
    );
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
    ];
    let results = json(&succeed(&arguments));
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
        json(&succeed(&[
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
fn data_check_reports_a_mask_of_another_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for split in ["training", "validation"] {
        let (images, masks) = (format!("images/{split}"), format!("annotations/{split}"));
        fs::create_dir_all(root.join(&images)).expect("a folder");
        fs::create_dir_all(root.join(&masks)).expect("a folder");
        let picture = image::RgbImage::new(8, 6);
        picture
            .save(root.join(images).join("a.png"))
            .expect("a picture");
        let width = if split == "training" { 8 } else { 7 };
        let mask = image::GrayImage::from_pixel(width, 6, image::Luma([1]));
        mask.save(root.join(masks).join("a.png")).expect("a mask");
    }
    let arguments = [
        "data",
        "check",
        text(root),
        "--format",
        "ade20k",
        "--set",
        "data.classes=[\"one\", \"two\"]",
    ];
    let output = run(&arguments);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        printed.contains("train: 1 samples, 1 readable"),
        "{printed}"
    );
    assert!(printed.contains("val: 1 samples, 0 readable"), "{printed}");
    assert!(
        printed.contains("8x6") && printed.contains("7x6"),
        "{printed}"
    );
}

/// The words of a command as a shell splits them: quotes, and lines that go on.
fn words_of(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for character in command.replace("\\\n", " ").chars() {
        match character {
            '\'' => quoted = !quoted,
            space if space.is_whitespace() && !quoted => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            other => word.push(other),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The guide's command, on a dataset as the guide describes it.
#[test]
fn data_check_runs_as_the_guide_prints_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for name in ["photos", "labels"] {
        fs::create_dir(root.join(name)).expect("a folder");
    }
    for id in ["a", "b"] {
        let picture = image::RgbImage::new(8, 6);
        picture
            .save(root.join(format!("photos/{id}.png")))
            .expect("a picture");
        let mask = image::GrayImage::from_fn(8, 6, |x, _| image::Luma([(x % 2) as u8]));
        mask.save(root.join(format!("labels/{id}.png")))
            .expect("a mask");
    }
    fs::write(root.join("train.txt"), "a\n").expect("a list");
    fs::write(root.join("val.txt"), "photos/b.png\n").expect("a list");
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/your-data.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    let commands = guide
        .split("```\n")
        .filter(|block| block.starts_with("gradway data check"));
    let mut ran = 0;
    for command in commands {
        let words = words_of(&command.replace("/data/mine", text(root)));
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let output = run(&arguments);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(printed.contains("val: 1 samples, 1 readable"), "{printed}");
        assert!(
            printed.contains("warning: 1 of 3 classes never occurs: tree"),
            "{printed}"
        );
        ran += 1;
    }
    assert_eq!(ran, 1);
}

#[test]
fn predictions_on_disk_are_scored() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for (name, labels) in [("gt", [0, 1, 1, 9]), ("pred", [0, 1, 0, 1])] {
        fs::create_dir(path(name)).expect("a folder");
        let map = image::GrayImage::from_vec(2, 2, labels.to_vec()).expect("a map");
        map.save(path(name).join("a.png")).expect("a file");
    }
    let scores = json(&succeed(&[
        "score",
        "segmentation",
        "--gt",
        text(&path("gt")),
        "--pred",
        text(&path("pred")),
        "--classes",
        "2",
        "--ignore",
        "9",
        "--json",
    ]));
    // Class 0: one of two; class 1: one of two.
    assert_eq!(scores["iou"], serde_json::json!([0.5, 0.5]));
    assert_eq!(scores["mean_iou"], 0.5);
}

#[test]
fn detections_on_disk_are_scored() {
    let folder = tempfile::tempdir().expect("a folder");
    let [truth, found] = ["gt.json", "dt.json"].map(|name| folder.path().join(name));
    let json_of = |value: Value, path: &std::path::Path| {
        fs::write(path, value.to_string()).expect("a file");
    };
    let square = serde_json::json!([[4, 4, 24, 4, 24, 24, 4, 24]]);
    json_of(
        serde_json::json!({
            "images": [{"id": 7, "width": 40, "height": 30}],
            "categories": [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}],
            "annotations": [{
                "id": 1, "image_id": 7, "category_id": 3, "iscrowd": 0,
                "area": 400, "bbox": [4, 4, 20, 20], "segmentation": square
            }]
        }),
        &truth,
    );
    let detection = |score: Value| {
        serde_json::json!([{
            "image_id": 7, "category_id": 3, "score": score,
            "bbox": [4, 4, 20, 15], "segmentation": square
        }])
    };
    json_of(detection(0.5.into()), &found);
    let arguments = |more: &[&'static str]| {
        let mut arguments = vec!["score", "detection", "--gt", text(&truth), "--dt"];
        arguments.push(text(&found));
        arguments.extend(more);
        succeed(&arguments)
    };
    // The boxes overlap by 3 quarters: right at 0.5, ..., 0.75; the masks are equal.
    let boxes = json(&arguments(&["--json"]));
    assert_eq!(boxes["ap75"].as_f64().map(|ap| ap > 0.999), Some(true));
    let average = boxes["average_precision"].as_f64().expect("a score");
    assert!((average - 0.6).abs() < 1e-9, "{boxes}");
    assert_eq!(boxes["ap_large"], Value::Null);
    assert_eq!(boxes["classes"][1]["average_precision"], Value::Null);
    let masks = arguments(&["--iou", "segm"]);
    assert!(masks.starts_with("score"), "{masks}");
    assert!(masks.contains("average_precision  100.00"), "{masks}");
    assert!(masks.contains("1 objects in 1 images"), "{masks}");

    json_of(detection(Value::Null), &found);
    let arguments = ["score", "detection", "--gt", text(&truth), "--dt"];
    let error = fail(&[&arguments[..], &[text(&found)]].concat());
    assert!(
        error.contains("dt.json: detections[0] (image 7): score is missing"),
        "{error}"
    );
    assert!(error.contains("hint: "), "{error}");
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

/// Keys of a method hold where an option names it.
#[test]
fn a_method_is_measured_as_it_is_configured() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let parameters = |set: &[&str]| {
        let mut arguments = vec!["params", text(&config), "--json"];
        set.iter()
            .for_each(|entry| arguments.extend(["--set", entry]));
        json(&succeed(&arguments))["total"].clone()
    };
    let measured = |methods: &str, set: &[&str]| {
        let mut arguments = vec!["bench", "speed", text(&config), "--methods", methods];
        arguments.extend(["--steps", "1", "--json"]);
        set.iter()
            .for_each(|entry| arguments.extend(["--set", entry]));
        json(&succeed(&arguments))
    };
    let small = parameters(&["method.rank=8", "method.name=lora"]);
    assert_eq!(small, parameters(&["method.name=lora", "method.rank=8"]));
    assert_ne!(small, parameters(&["method.name=lora"]));
    let rows = measured("lora,fixed", &["method.rank=8"]);
    assert_eq!(rows[0]["parameters"], small);
    assert_eq!(rows[1]["method"], "fixed");

    let refused = |set: &str| {
        let config = text(&config);
        fail(&[
            "bench",
            "speed",
            config,
            "--methods",
            "fixed,lora",
            "--set",
            set,
        ])
    };
    let error = refused("method.rnk=8");
    let expected = "error: --set method.rnk=8: unknown field `rnk` in [method]";
    assert!(error.starts_with(expected), "{error}");
    let error = refused("method.name=full");
    let expected = "error: --set method.name=full: `method.name` is set by --methods";
    assert!(error.starts_with(expected), "{error}");
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
fn a_step_is_measured_method_by_method() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let measure = |what: &str| {
        let arguments = [
            "bench",
            what,
            text(&config),
            "--methods",
            "e3va,full",
            "--steps",
            "1",
            "--json",
        ];
        json(&succeed(&arguments))
    };
    let rows = measure("memory");
    let names = ["e3va", "full"];
    for (name, row) in names.iter().zip(rows.as_array().expect("rows")) {
        assert_eq!(row["method"], *name);
        let bytes = |key: &str| row["bytes"][key].as_u64().expect("bytes");
        let parts = ["weights", "gradients", "optimizer", "activations"].map(bytes);
        assert!(parts.iter().all(|&part| part > 0), "{row}");
        assert_eq!(parts.iter().sum::<u64>(), bytes("peak"), "{row}");
        assert_eq!(row["provenance"]["total_batch"], 2);
        assert!(row["seconds"].as_f64().expect("seconds") > 0.0);
    }
    // One backbone, so that weights differ by the highway and gradients by the backbone.
    let bytes = |row: usize, key: &str| rows[row]["bytes"][key].as_u64().expect("bytes");
    assert!(bytes(0, "weights") > bytes(1, "weights"));
    assert!(bytes(1, "gradients") > 2 * bytes(0, "gradients"));

    // The same from a file; of a comparison beside another library, and of any other rows.
    let out = folder.path().join("out");
    fs::create_dir(&out).expect("a folder");
    let write = |name: &str, text: &str| fs::write(out.join(name), text).expect("a file");
    write("memory.json", &rows.to_string());
    let beside = r#"[{ "case": "a step", "unit": "seconds", "gradway": 0.1205, "pytorch": 0.1635,
        "ratio": 0.74, "spread": [0.7, 0.81] }]"#;
    write("times.json", beside);
    write(
        "z.json",
        r#"[{ "seconds": 0.5, "tasks": 4, "method": "e3va" }]"#,
    );
    let markdown = succeed(&["report", text(&out), "--markdown"]);
    let saved = |row: usize| 1.0 - bytes(row, "peak") as f64 / bytes(1, "peak") as f64;
    for expected in [
        "### memory\n\n| method | trainable | seconds per step | fastest | slowest | of full |\n",
        &format!("| {:.2} |\n| `full` |", 100.0 * saved(0)),
        "| `a step` | 120.50 | 163.50 | ms | 0.74 | 0.70..0.81 |\n",
        "### z\n\n| method | tasks | seconds |\n|---|---|---|\n| `e3va` | 4 | 0.500 |\n",
    ] {
        assert!(markdown.contains(expected), "{expected}\n{markdown}");
    }
    write("times.json", r#"[{ "case": "a step", "spread": [1] }]"#);
    let error = fail(&["report", text(&out)]);
    assert!(error.contains("times.json"), "{error}");
    let nothing = fail(&["report", text(&folder.path().join("nothing"))]);
    assert!(nothing.contains("nothing"), "{nothing}");

    let lines = succeed(&[
        "bench",
        "speed",
        text(&config),
        "--methods",
        "fixed",
        "--steps",
        "1",
    ]);
    assert!(lines.contains("\nfixed "), "{lines}");
    let error = fail(&["bench", "speed", text(&config), "--methods", "fixt"]);
    assert!(
        error.contains("unknown method `fixt`; did you mean `fixed`?"),
        "{error}"
    );
}
