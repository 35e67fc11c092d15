//! Detectors of images that have no objects, or hardly any: whether a run trains does not depend on its first batch.

use std::fs;
use std::path::Path;

use crate::common::objects::{configuration, dataset};
use crate::common::{run, text};
use serde_json::{Value, json};

/// Trains every detector for an epoch of four steps of an image each; what it says of each.
fn trained(root: &Path, seed: u32) -> Vec<String> {
    let says = ["retinanet", "mask_rcnn", "cascade_mask_rcnn"].map(|head| {
        let config = configuration(root, head);
        let out = root.join(format!("{head}.{seed}"));
        let seed = format!("seed={seed}");
        let set = [
            &seed,
            "data.keep_empty=true",
            "loader.batch_size=1",
            "optimizer.total_batch=1",
            "train.epochs=1",
        ];
        let set = set.into_iter().flat_map(|entry| ["--set", entry]);
        let arguments = ["train", text(&config), "--out", text(&out)]
            .into_iter()
            .chain(set);
        let output = run(&arguments.collect::<Vec<_>>());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{head}: {errors}");
        let log = fs::read_to_string(out.join("metrics.jsonl")).expect("a log");
        assert_eq!(log.matches(r#""event":"step""#).count(), 4, "{head}");
        errors
    });
    says.to_vec()
}

#[test]
fn the_first_batch_may_be_without_objects() {
    let folder = tempfile::tempdir().expect("a folder");
    dataset(folder.path(), |file| {
        let annotations = file["annotations"].as_array_mut().expect("a list");
        annotations.retain(|annotation| annotation["image_id"] == 3);
    });
    // Of four images in two orders, the first is one of the three without objects in one at least.
    for seed in [0, 1] {
        for errors in trained(folder.path(), seed) {
            assert!(!errors.contains("no gradient"), "{errors}");
        }
    }
}

#[test]
fn objects_too_small_for_any_anchor_are_trained_on_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    dataset(folder.path(), |file| {
        for annotation in file["annotations"].as_array_mut().expect("a list") {
            let corner = |index: usize| annotation["bbox"][index].as_u64().expect("a number");
            let [x, y] = [corner(0), corner(1)];
            annotation["bbox"] = json!([x, y, 3, 3]);
            annotation["area"] = json!(9);
            annotation["segmentation"] = json!([[x, y, x + 3, y, x + 3, y + 3, x, y + 3]]) as Value;
        }
    });
    let says = trained(folder.path(), 0);
    for errors in &says[1..] {
        // No anchor is moved to one: that is said, once.
        let expected = "had no gradient in an epoch: no object needed them";
        assert_eq!(errors.matches(expected).count(), 1, "{errors}");
        assert!(errors.contains("head."), "{errors}");
    }
}

#[test]
fn a_score_that_is_not_defined_is_the_best_of_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    dataset(root, |file| {
        let mut empty = file.clone();
        empty["annotations"] = json!([]);
        fs::write(root.join("empty.json"), empty.to_string()).expect("a file");
    });
    let config = configuration(root, "retinanet");
    let out = root.join("run");
    let output = run(&[
        "train",
        text(&config),
        "--out",
        text(&out),
        "--set",
        "data.val_annotations=empty.json",
        "--set",
        "train.epochs=1",
    ]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(!errors.contains("the best so far"), "{errors}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let row = printed.lines().last().expect("a row");
    assert!(!row.contains(" 0.00"), "{printed}");
}
