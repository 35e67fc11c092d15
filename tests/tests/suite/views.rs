//! Images that are seen in windows, mirrored and at several scales: what is predicted of them.

use std::path::{Path, PathBuf};

use gradway::data::{
    DatasetConfig, DenseEvaluation, DenseTask, Picture, Split, formats::synthetic,
};
use gradway::device::DeviceName;
use gradway::trainer::task::{MultiTaskPrediction, TaskPrediction};
use gradway::trainer::{
    ManyTasks, MultiTask, Provenance, RunConfig, RunDirectory, Silent, Task, config, train,
};
use gradway_tests::{Tracked, largest};
use image::{RgbImage, imageops};
use synthetic::{SyntheticConfig, TASKS};

/// Widths and heights, of which some are multiples of the backbone's stride of 32 and others are not.
const SIZES: [(u32, u32); 4] = [(383, 255), (97, 65), (128, 96), (33, 70)];

fn parsed(evaluation: &str, overrides: &[&str]) -> RunConfig {
    let names: Vec<&str> = TASKS.iter().map(|task| task.name()).collect();
    let text = format!(
        r#"
        backbone = {{ name = "efficientnet_lite0", weights = "embedded" }}
        method = {{ name = "fixed" }}
        head = {{ name = "segformer", channels = 16 }}
        data = {{ format = "synthetic", width = 64, height = 64, train_samples = 4, val_samples = 2 }}
        augment = {{ crop_size = [64, 64] }}
        loader = {{ batch_size = 2 }}
        optimizer = {{ learning_rate = 3e-3 }}
        train = {{ epochs = 2 }}
        tasks = {{ names = {names:?} }}
        evaluation = {{ {evaluation} }}
        "#
    );
    let overrides: Vec<String> = overrides.iter().map(|one| one.to_string()).collect();
    config::parse(&text, "the test", &overrides).unwrap()
}

/// The newest checkpoint of a run of all tasks.
fn trained(folder: &Path) -> PathBuf {
    let config = parsed("", &[]);
    let directory = RunDirectory::create(folder, &config).unwrap();
    let provenance = Provenance::new(&config, "flex".to_string(), DeviceName::default());
    let device = Default::default();
    train::<Tracked>(&config, &directory, &device, provenance, &mut Silent).unwrap();
    directory.last_file()
}

fn scene(index: usize, (width, height): (u32, u32)) -> RgbImage {
    let data = DatasetConfig::Synthetic(SyntheticConfig {
        width,
        height,
        ..SyntheticConfig::default()
    });
    let dataset = data
        .open_multi_task(Split::Val, &[DenseTask::Depth])
        .unwrap();
    dataset.get(index, &[DenseTask::Depth]).unwrap().image
}

/// What a checkpoint predicts of images, alone as `gradway predict` does.
fn predicted(checkpoint: &Path, evaluation: &str, images: &[RgbImage]) -> Vec<MultiTaskPrediction> {
    let (config, device) = (parsed(evaluation, &[]), Default::default());
    let (model, _) = ManyTasks::<Tracked>::open(&config, checkpoint, &device).unwrap();
    let model = model.inference();
    let predicted = |image: &RgbImage| {
        let picture = Picture {
            id: "image".to_string(),
            image_id: 0,
            image: image.clone(),
        };
        let batch = <MultiTask as Task<Tracked>>::picture(&config, picture).unwrap();
        model.predict(&batch, &device).remove(0)
    };
    images.iter().map(predicted).collect()
}

/// The same of all images in one batch.
fn together(checkpoint: &Path, evaluation: &str, images: &[RgbImage]) -> Vec<MultiTaskPrediction> {
    let (config, device) = (parsed(evaluation, &[]), Default::default());
    let (model, _) = ManyTasks::<Tracked>::open(&config, checkpoint, &device).unwrap();
    let task = &config.task.multi_task().unwrap().evaluation;
    let evaluation = DenseEvaluation {
        size: task.size,
        scales: task.scales.clone(),
        input: config.input().unwrap(),
    };
    let prepared = images.iter().map(|image| {
        let (id, labels) = ("image".to_string(), Default::default());
        evaluation.prepare(id, image.clone(), labels).unwrap()
    });
    let batch = evaluation.batch(prepared.collect());
    assert_eq!(batch.count, images.len());
    model.inference().predict(&batch, &device)
}

/// The largest difference of values; classes must be the same but for few pixels, whose two most likely classes are
/// as likely.
fn assert_close(found: &MultiTaskPrediction, expected: &MultiTaskPrediction, what: &str) {
    assert_eq!(
        (found.height, found.width),
        (expected.height, expected.width)
    );
    assert_eq!(found.tasks.len(), expected.tasks.len());
    for (task, found) in &found.tasks {
        match (found, &expected.tasks[task]) {
            (TaskPrediction::Classes(found), TaskPrediction::Classes(expected)) => {
                let others = found.iter().zip(expected).filter(|(a, b)| a != b).count();
                assert!(
                    others * 10_000 <= found.len(),
                    "{what}, {task}: {others} pixels"
                );
            }
            (found, expected) => {
                let (found, expected) = (found.values().unwrap(), expected.values().unwrap());
                assert_eq!(found.len(), expected.len());
                let pairs = found.iter().zip(expected);
                let off = largest(pairs.map(|(a, b)| f64::from(a - b)));
                // Rounding of sums in another order, as in other tests of batches.
                assert!(off <= 1e-5, "{what}, {task}: {off}");
            }
        }
    }
}

fn images() -> Vec<RgbImage> {
    let sizes = SIZES.into_iter().enumerate();
    sizes.map(|(index, size)| scene(index, size)).collect()
}

/// A prediction mirrored, as labels are.
fn mirrored(prediction: &MultiTaskPrediction) -> MultiTaskPrediction {
    let mut mirrored = prediction.clone();
    let width = prediction.width;
    for (task, predicted) in &mut mirrored.tasks {
        match predicted {
            TaskPrediction::Classes(classes) => {
                classes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
            }
            TaskPrediction::Values { data, .. } => {
                data.chunks_exact_mut(width).for_each(<[f32]>::reverse);
                if *task == DenseTask::SurfaceNormals {
                    let pixels = width * prediction.height;
                    data[..pixels]
                        .iter_mut()
                        .for_each(|across| *across = -*across);
                }
            }
        }
    }
    mirrored
}

#[test]
fn a_window_that_covers_the_image_is_the_whole_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = trained(folder.path());
    let images = images();
    let whole = predicted(&checkpoint, "", &images);
    for evaluation in [
        "size = { slide = { crop = 512, stride = 341 } }",
        "size = { slide = { crop = [255, 383], stride = [32, 64] } }",
        "flip = false, scales = [1.0]",
    ] {
        assert!(
            predicted(&checkpoint, evaluation, &images) == whole,
            "{evaluation}"
        );
    }
    // There is something to compare, and windows are not the whole.
    let windows = "size = { slide = { crop = 64, stride = 48 } }";
    let windows = predicted(&checkpoint, windows, &images);
    for (windows, whole) in windows.iter().zip(&whole).take(3) {
        for task in TASKS {
            assert!(windows.tasks[&task] != whole.tasks[&task], "{task}");
        }
    }
}

#[test]
fn what_is_predicted_by_views_is_the_same_in_every_batch() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = trained(folder.path());
    let images = images();
    for views in [
        "scales = [0.75, 1.0, 1.25], size = { fit = { long = 200, short = 120 } }",
        "flip = true, scales = [0.75, 1.5], size = { slide = { crop = 70, stride = 50, base_size = [150, 100] } }",
    ] {
        let evaluation = |batch: usize| format!("batch_size = {batch}, {views}");
        let expected = predicted(&checkpoint, &evaluation(1), &images);
        for batch in [1, 4] {
            let found = together(&checkpoint, &evaluation(batch), &images);
            assert_eq!(found.len(), expected.len());
            for ((found, expected), size) in found.iter().zip(&expected).zip(SIZES) {
                let (width, height) = size;
                assert_eq!(
                    [found.height, found.width],
                    [height, width].map(|side| side as usize)
                );
                assert_close(found, expected, &format!("{views}, {batch}, {size:?}"));
            }
        }
    }
}

#[test]
fn a_mirrored_image_is_predicted_mirrored() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = trained(folder.path());
    let images = images();
    let flipped: Vec<RgbImage> = images.iter().map(imageops::flip_horizontal).collect();
    for views in [
        "flip = true",
        "flip = true, size = { slide = { crop = [64, 80], stride = [40, 64] } }",
        "flip = true, scales = [0.5, 1.0, 1.75]",
    ] {
        // One window a pass: products are summed in one order, wherever a window lies.
        let views = format!("batch_size = 1, {views}");
        let found = predicted(&checkpoint, &views, &flipped);
        let expected = predicted(&checkpoint, &views, &images);
        for ((found, expected), size) in found.iter().zip(&expected).zip(SIZES) {
            assert!(*found == mirrored(expected), "{views}, {size:?}");
        }
    }
    // Without a flip it is not.
    let found = predicted(&checkpoint, "", &flipped);
    let expected = predicted(&checkpoint, "", &images);
    assert!(found[0] != mirrored(&expected[0]));
}

/// What is shown larger is nearer where the training has it so, and only there.
#[test]
fn depth_follows_the_scale_as_in_training() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = trained(folder.path());
    let images = images();
    let views = "scales = [2.0]";
    let zoomed = predicted(&checkpoint, views, &images);
    // Images of twice the size: what the network itself says of them.
    let whole = predicted(&checkpoint, "", &images);
    let config = parsed(views, &["augment.scale_depth=false"]);
    let device = Default::default();
    let (model, _) = ManyTasks::<Tracked>::open(&config, &checkpoint, &device).unwrap();
    let model = model.inference();
    for ((image, zoomed), whole) in images.iter().zip(&zoomed).zip(&whole) {
        let picture = Picture {
            id: "image".to_string(),
            image_id: 0,
            image: image.clone(),
        };
        let batch = <MultiTask as Task<Tracked>>::picture(&config, picture).unwrap();
        let plain = model.predict(&batch, &device).remove(0);
        for task in TASKS {
            let (zoomed, plain) = (&zoomed.tasks[&task], &plain.tasks[&task]);
            if task != DenseTask::Depth {
                assert!(zoomed == plain, "{task}");
                continue;
            }
            let (zoomed, plain) = (zoomed.values().unwrap(), plain.values().unwrap());
            for (zoomed, plain) in zoomed.iter().zip(plain) {
                assert_eq!(*zoomed, 2.0 * plain);
            }
        }
        assert!(plain.tasks[&DenseTask::Depth] != whole.tasks[&DenseTask::Depth]);
    }
}
