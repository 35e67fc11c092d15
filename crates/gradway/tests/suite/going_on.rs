//! A run that goes on is the run that was started, or is refused.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::objects;
use crate::common::{fail, run, succeed, text, tiny_config};
use serde_json::Value;
use tempfile::TempDir;

const SCENES: &str = r#"
seed = 5
method = { name = "lora", rank = 4 }
optimizer = { learning_rate = 1e-3, accumulation = 2 }
data = { format = "synthetic", width = 40, height = 36, train_samples = 8, val_samples = 3 }
train = { epochs = 1 }
"#;

/// A run of one epoch of two steps.
fn trained(more: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), more);
    let out = folder.path().join("run");
    succeed(&["train", text(&config), "--out", text(&out)]);
    (folder, out)
}

/// Changes a line of a run's configuration, which must be there.
fn change(run: &Path, old: &str, new: &str) {
    let path = run.join("config.toml");
    let saved = fs::read_to_string(&path).expect("a configuration");
    assert!(saved.contains(old), "no `{old}` in {saved}");
    fs::write(path, saved.replacen(old, new, 1)).expect("written");
}

fn steps(run: &Path) -> Vec<Value> {
    let log = fs::read_to_string(run.join("metrics.jsonl")).expect("a log");
    let lines = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    lines
        .filter(|line: &Value| line["event"] == "step")
        .collect()
}

#[test]
fn what_decides_training_may_not_change() {
    let (_folder, run) = trained(SCENES);
    let saved = fs::read(run.join("config.toml")).expect("a configuration");
    for (old, new, key) in [
        ("batch_size = 2", "batch_size = 1", "loader.batch_size"),
        (
            "accumulation = 2",
            "accumulation = 1",
            "optimizer.accumulation",
        ),
        ("seed = 5", "seed = 6", "seed"),
        (
            "learning_rate = 0.001",
            "learning_rate = 0.002",
            "optimizer.learning_rate",
        ),
        ("rank = 4", "rank = 5", "method.rank"),
        ("drop_path = 0.2", "drop_path = 0.1", "backbone.drop_path"),
        ("dropout = 0.1", "dropout = 0.0", "head.dropout"),
        (
            "flip_probability = 0.5",
            "flip_probability = 0.0",
            "augment.flip_probability",
        ),
        (
            "warmup_steps = 0",
            "warmup_steps = 1",
            "schedule.warmup_steps",
        ),
        ("drop_last = true", "drop_last = false", "loader.drop_last"),
        ("name = \"adamw\"", "name = \"sgd\"", "optimizer.name"),
        (
            "layer_decay = 1.0",
            "layer_decay = 0.5",
            "optimizer.layer_decay",
        ),
        (
            "[optimizer.rates]\nbackbone = 1.0",
            "[optimizer.rates]\nbackbone = 0.25",
            "optimizer.rates.backbone",
        ),
        (
            "accumulation = 2",
            "accumulation = 2\nclip_norm = 1.0",
            "optimizer.clip_norm",
        ),
        (
            "train_samples = 8",
            "train_samples = 9",
            "data.train_samples",
        ),
    ] {
        change(&run, "epochs = 1", "epochs = 2");
        change(&run, old, new);
        let error = fail(&["train", "--resume", text(&run)]);
        let value = |line: &str| {
            line.lines()
                .last()
                .and_then(|line| line.split(" = ").nth(1).map(String::from))
        };
        let [old, new] = [old, new].map(|line| value(line).expect("a value"));
        let expected = match key {
            "optimizer.clip_norm" => {
                format!("trained with no {key}, but the configuration has {key} = {new}")
            }
            _ => format!("trained with {key} = {old}, but the configuration has {key} = {new}"),
        };
        assert!(error.contains(&expected), "{error}");
        assert!(
            error.contains("hint: restore it, or start a new run"),
            "{error}"
        );
        fs::write(run.join("config.toml"), &saved).expect("written");
    }
    assert_eq!(steps(&run).len(), 2, "nothing was trained");
}

#[test]
fn a_run_may_be_made_longer_and_be_looked_at_in_another_way() {
    let (_folder, run) = trained(SCENES);
    for (old, new) in [
        ("epochs = 1", "epochs = 3"),
        ("evaluate_every = 1", "evaluate_every = 2"),
        ("checkpoint_every = 0", "checkpoint_every = 1"),
        ("workers = 1", "workers = 2"),
        ("prefetch = 2", "prefetch = 3"),
        ("batch_size = 4", "batch_size = 3"),
    ] {
        change(&run, old, new);
    }
    let [first] = &steps(&run)[..1] else {
        unreachable!("a slice of one")
    };
    assert_eq!(first["learning_rate"], 1e-3);
    succeed(&["train", "--resume", text(&run)]);
    let steps = steps(&run);
    // The schedule is that of the new length: linear over six steps of it.
    let rates: Vec<f64> = steps
        .iter()
        .map(|step| step["learning_rate"].as_f64().expect("a rate"))
        .collect();
    let expected = [1.0, 0.5, 4.0 / 6.0, 0.5, 2.0 / 6.0, 1.0 / 6.0];
    for (rate, expected) in rates.iter().zip(expected) {
        assert!((rate - 1e-3 * expected).abs() < 1e-12, "{rates:?}");
    }
    assert_eq!(rates.len(), 6);
}

#[test]
fn the_best_score_is_one_of_the_evaluation_that_a_run_goes_on_with() {
    let (_folder, run) = trained(SCENES);
    change(&run, "epochs = 1", "epochs = 2");
    // Every image of another size: other scores.
    change(
        &run,
        "size = \"original\"",
        "size = { fixed = { height = 32, width = 64 } }",
    );
    succeed(&["train", "--resume", text(&run)]);
    let result = fs::read(run.join("result.json")).expect("a result");
    let result: Value = serde_json::from_slice(&result).expect("JSON");
    let scored = succeed(&["eval", text(&run), "--json"]);
    let scored: Value = serde_json::from_str(&scored).expect("JSON");
    // Of whichever epoch is the best, and never of the first evaluation.
    assert_eq!(result["best"], scored["mean_iou"], "{result}");
}

/// Pictures of squares with a json, trained for an epoch.
fn squares() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("set");
    fs::create_dir(&root).expect("a folder");
    objects::dataset(&root, |_| {});
    let config = objects::configuration(&root, "retinanet");
    let out = folder.path().join("run");
    let set = ["--set", "train.epochs=1"];
    succeed(&["train", text(&config), "--out", text(&out), set[0], set[1]]);
    change(&out, "epochs = 1", "epochs = 2");
    (folder, root, out)
}

#[test]
fn another_picture_of_the_same_name_is_another_dataset() {
    let (_folder, root, run) = squares();
    let path = root.join("photos/0.png");
    let mut picture = image::open(&path).expect("a picture").into_rgb8();
    picture.put_pixel(3, 3, image::Rgb([1, 2, 3]));
    picture.save(&path).expect("saved");
    let error = fail(&["train", "--resume", text(&run)]);
    assert!(
        error.contains("the train split differs from the one that the run was trained with"),
        "{error}"
    );
}

#[test]
fn a_dataset_that_has_moved_is_the_same() {
    let (folder, root, run) = squares();
    let moved = folder.path().join("moved");
    fs::rename(&root, &moved).expect("moved");
    change(&run, text(&root), text(&moved));
    succeed(&["train", "--resume", text(&run)]);
}

#[test]
fn classes_in_another_order_are_refused_with_both_lists() {
    let (_folder, root, run) = squares();
    let path = root.join("objects.json");
    let json = fs::read_to_string(&path).expect("a file");
    let swapped = json
        .replace("\"red\"", "\"?\"")
        .replace("\"blue\"", "\"red\"");
    fs::write(&path, swapped.replace("\"?\"", "\"blue\"")).expect("written");
    for command in [&["train", "--resume"][..], &["eval"]] {
        let arguments: Vec<&str> = command.iter().copied().chain([text(&run)]).collect();
        let error = fail(&arguments);
        assert!(
            error.contains("trained on the classes `red`, `blue`"),
            "{error}"
        );
        assert!(error.contains("but the data has `blue`, `red`"), "{error}");
    }
}

#[test]
fn a_model_of_other_fields_is_no_model_of_the_run() {
    let (_folder, run) = trained(SCENES);
    // The shapes fit: only the factor of the update is another.
    change(&run, "alpha = 64.0", "alpha = 1.0");
    let output = run.join("adapter");
    for command in [&["eval"][..], &["export", "--output", text(&output)]] {
        let arguments: Vec<&str> = command.iter().copied().chain([text(&run)]).collect();
        let error = fail(&arguments);
        assert!(
            error.contains("trained with method.alpha = 64.0"),
            "{error}"
        );
        assert!(
            error.contains("the configuration has method.alpha = 1.0"),
            "{error}"
        );
    }
    assert!(!output.exists());
}

/// What a run says before its first step.
fn said(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    errors
}

#[test]
fn what_a_run_leaves_out_and_what_is_random_is_said_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let train = |name: &str, set: &[&str]| {
        let out = folder.path().join(name);
        let set = set.iter().flat_map(|entry| ["--set", *entry]);
        let arguments = ["train", text(&config), "--out", text(&out)]
            .into_iter()
            .chain(set);
        (said(&arguments.collect::<Vec<_>>()), steps(&out))
    };
    let seven = "data.train_samples=7";
    let (errors, taken) = train("dropped", &[seven, "train.epochs=2"]);
    let dropped = "every epoch drops 3 of 7 training images";
    assert_eq!(errors.matches(dropped).count(), 1, "{errors}");
    assert!(errors.contains("loader.drop_last"), "{errors}");
    let random = "warning: backbone.weights is not set";
    assert_eq!(errors.matches(random).count(), 1, "{errors}");
    let images = |taken: &[Value]| -> Vec<u64> {
        taken
            .iter()
            .map(|step| step["images"].as_u64().expect("a number"))
            .collect()
    };
    assert_eq!(images(&taken), [4, 4]);

    let (errors, taken) = train("all", &[seven, "train.epochs=2", "loader.drop_last=false"]);
    assert!(!errors.contains("every epoch drops"), "{errors}");
    assert_eq!(images(&taken), [4, 3, 4, 3]);

    let (errors, _) = train("whole", &["method={ name = \"full\" }"]);
    assert!(
        !errors.contains("every epoch drops") && !errors.contains("warning"),
        "{errors}"
    );
}

#[test]
fn a_last_batch_that_is_kept_goes_on_where_it_was_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    let set = |epochs: &'static str| {
        [
            "data.train_samples=7",
            "loader.drop_last=false",
            "schedule.decay={ name = \"constant\" }",
            epochs,
        ]
    };
    for (out, epochs) in [(&whole, "train.epochs=2"), (&parts, "train.epochs=1")] {
        let set = set(epochs).into_iter().flat_map(|entry| ["--set", entry]);
        let arguments = ["train", text(&config), "--out", text(out)]
            .into_iter()
            .chain(set);
        succeed(&arguments.collect::<Vec<_>>());
    }
    change(&parts, "epochs = 1", "epochs = 2");
    succeed(&["train", "--resume", text(&parts)]);
    let losses = |run: &Path| -> Vec<Value> {
        steps(run)
            .into_iter()
            .map(|step| step["loss"].clone())
            .collect()
    };
    assert_eq!(losses(&whole), losses(&parts));
    assert_eq!(losses(&whole).len(), 4);
}
