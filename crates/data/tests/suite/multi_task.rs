//! Several dense tasks: datasets, changes of place, batches.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::common::{Lit, any_size, assert_says, classes_of, config, ids, lit_tasks, sizes};
use gradway_data::formats::synthetic::TASKS;
use gradway_data::{
    AugmentConfig, BatchLabels, DataError, DenseBatch, DenseCollection, DenseDataset,
    DenseEvaluation, DenseLabels, DenseLoader, DenseSample, DenseTask, EvaluationSize, IGNORE,
    LabelMap, LoaderConfig, Movable, Normalization, PhotometricConfig, Split, check_multi_task,
};
use gradway_scenes::{PARTS, SceneConfig, render};
use image::RgbImage;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn synthetic() -> Arc<dyn DenseDataset> {
    let text =
        "format = \"synthetic\"\nwidth = 40\nheight = 32\ntrain_samples = 5\nval_samples = 2";
    let config = config(Path::new(""), text);
    config.open_multi_task(Split::Train, &TASKS).unwrap()
}

#[test]
fn synthetic_scenes_have_all_six_tasks() {
    let dataset = synthetic();
    assert_eq!((dataset.name(), dataset.len()), ("synthetic", 5));
    assert_eq!(dataset.tasks(), TASKS);
    assert_eq!(dataset.classes(DenseTask::HumanParts), PARTS);
    assert_eq!(
        dataset.classes(DenseTask::Saliency),
        ["background", "salient"]
    );
    assert!(dataset.classes(DenseTask::Depth).is_empty());
    for task in TASKS {
        let classes = dataset.classes(task).len();
        assert_eq!(classes, dataset.palette(task).len(), "{task}");
        assert_eq!(classes > 0, task.has_classes(), "{task}");
    }
    let scenes = SceneConfig {
        width: 40,
        height: 32,
        ..SceneConfig::default()
    };
    let scene = render(&scenes, 3);
    // Asked for apart, then together: what is kept from the first time is complete.
    for tasks in [&TASKS[3..4], &TASKS[..], &TASKS[..2]] {
        let sample = dataset.get(3, tasks).unwrap();
        sample.check().unwrap();
        assert_eq!(sample.image, scene.image);
        let asked: Vec<DenseTask> = sample.labels.keys().copied().collect();
        assert_eq!(asked, tasks);
        for (task, labels) in &sample.labels {
            match labels {
                DenseLabels::Classes(map) => {
                    let expected = match task {
                        DenseTask::SemanticSegmentation => &scene.classes,
                        DenseTask::HumanParts => &scene.parts,
                        DenseTask::Saliency => &scene.saliency,
                        _ => &scene.edges,
                    };
                    assert_eq!(&map.data, expected, "{task}");
                }
                DenseLabels::Normals(map) => assert_eq!(map.data, scene.normals),
                DenseLabels::Depth(map) => assert_eq!(map.data, scene.depth),
            }
        }
    }
    let error = dataset.get(5, &[]).unwrap_err();
    assert_says(&error, &["sample index 5", "`synthetic` has 5 samples"]);
}

#[test]
fn a_task_that_is_not_offered_is_named() {
    let config = config(Path::new(""), "format = \"ade20k\"\nroot = \"nowhere\"");
    let error = config.open_multi_task(Split::Train, &[]).err().unwrap();
    assert_says(
        &error,
        &["a segmentation dataset", "for multi_task", "synthetic"],
    );
    let lit = Arc::new(Lit::new(8, 6));
    let load = |tasks: &[DenseTask]| DenseCollection::of(lit.clone(), tasks).err().unwrap();
    let error = load(&[DenseTask::Edges]);
    assert_says(
        &error,
        &["`lit` has no labels of `edges`", "surface_normals, depth"],
    );
    assert_says(&load(&[]), &["`tasks` = []", "at least one task"]);
    let twice = load(&[DenseTask::Depth, DenseTask::Depth]);
    assert_says(&twice, &["without duplicates"]);
}

/// The share of pixels, away from the border of both maps, on which two samples agree: classes exactly,
/// depth to 1 %, normals to 3 degrees. Pixels ignored in the second one do not count.
fn agreement(one: &DenseSample, other: &DenseSample) -> BTreeMap<DenseTask, [f64; 2]> {
    let shares = one.labels.iter().map(|(task, labels)| {
        let pairs: Vec<Option<bool>> = match (labels, &other.labels[task]) {
            (DenseLabels::Classes(one), DenseLabels::Classes(other)) => {
                let pairs = one.data.iter().zip(&other.data);
                pairs
                    .map(|(one, other)| (*one != IGNORE).then_some(one == other))
                    .collect()
            }
            (DenseLabels::Depth(one), DenseLabels::Depth(other)) => {
                let pairs = one.data.iter().zip(&other.data);
                pairs
                    .map(|(one, other)| (*one != 0.0).then_some((one / other - 1.0).abs() < 0.01))
                    .collect()
            }
            (DenseLabels::Normals(one), DenseLabels::Normals(other)) => {
                assert_eq!(one.vertical, other.vertical);
                let pairs = one.data.iter().zip(&other.data);
                let alike = |one: &[f32; 3], other: &[f32; 3]| {
                    let dot: f32 = one.iter().zip(other).map(|(one, other)| one * other).sum();
                    dot > 0.9986
                };
                pairs
                    .map(|(one, other)| (*one != [0.0; 3]).then(|| alike(one, other)))
                    .collect()
            }
            pair => panic!("{pair:?}"),
        };
        let counted = pairs.iter().flatten().count();
        let right = pairs.iter().flatten().filter(|right| **right).count();
        let share = right as f64 / counted.max(1) as f64;
        (*task, [share, counted as f64 / pairs.len() as f64])
    });
    shares.collect()
}

#[test]
fn a_flipped_picture_is_the_picture_of_a_flipped_scene() {
    let lit = Lit::new(61, 47);
    let mut sample = lit.sample(&lit_tasks());
    sample.flip_horizontal();
    let rendered = lit.flipped().sample(&lit_tasks());
    for (task, [right, counted]) in agreement(&sample, &rendered) {
        assert!(
            right > 0.999 && counted > 0.5,
            "{task}: {right} of {counted}"
        );
    }
    // And scenes of the generator come back after two flips.
    let dataset = synthetic();
    let original = dataset.get(1, &TASKS).unwrap();
    let mut twice = original.clone();
    twice.flip_horizontal();
    assert!(twice != original);
    twice.check().unwrap();
    twice.flip_horizontal();
    assert!(twice == original);
}

#[test]
fn a_rotated_picture_is_the_picture_of_a_rotated_scene() {
    // A quarter turn of a square is exact but for pixels on outlines; other angles take the nearest.
    for (degrees, width, height, least) in [
        (90.0, 48, 48, 0.999),
        (-90.0, 48, 48, 0.999),
        (180.0, 61, 47, 0.999),
        (30.0, 90, 70, 0.95),
        (-17.0, 70, 90, 0.95),
    ] {
        let lit = Lit::new(width, height);
        for lit in [lit.clone(), lit.with_axis_down()] {
            let rotated = lit.sample(&lit_tasks()).rotate(degrees, [9, 9, 9]);
            rotated.check().unwrap();
            let rendered = lit.rotated(degrees).sample(&lit_tasks());
            for (task, [right, counted]) in agreement(&rotated, &rendered) {
                assert!(right > least, "{task}, {degrees}: {right} of {counted}");
                assert!(counted > 0.5, "{task}, {degrees}: {counted}");
            }
        }
    }
}

#[test]
fn what_a_rotation_moves_in_is_ignored_by_every_task() {
    let dataset = synthetic();
    let sample = dataset.get(0, &TASKS).unwrap();
    let rotated = sample.rotate(45.0, [1, 2, 3]);
    assert_eq!(rotated.image.get_pixel(0, 0).0, [1, 2, 3]);
    for labels in rotated.labels.values() {
        match labels {
            DenseLabels::Classes(map) => assert_eq!(map.data[0], IGNORE),
            DenseLabels::Normals(map) => assert_eq!(map.data[0], [0.0; 3]),
            DenseLabels::Depth(map) => assert_eq!(map.data[0], 0.0),
        }
    }
    // No turn leaves everything as it is.
    assert!(sample.rotate(0.0, [0; 3]) == sample);
}

#[test]
fn a_scaled_picture_is_the_picture_of_a_nearer_camera() {
    let lit = Lit::new(64, 48);
    for (width, height) in [(128, 96), (96, 72), (48, 36), (32, 24)] {
        let resized = lit.sample(&lit_tasks()).resize(width, height).unwrap();
        resized.check().unwrap();
        let rendered = lit.resized(width, height).sample(&lit_tasks());
        for (task, [right, counted]) in agreement(&resized, &rendered) {
            // Depth of half the size is that of a neighbour, half a pixel away on a slope.
            assert!(right > 0.9, "{task}, {width}: {right} of {counted}");
        }
    }
}

#[test]
fn ignored_normals_do_not_bleed_into_others() {
    let lit = Lit::new(32, 32);
    let mut sample = lit.sample(&[DenseTask::SurfaceNormals]);
    let DenseLabels::Normals(map) = sample.labels.get_mut(&DenseTask::SurfaceNormals).unwrap()
    else {
        panic!("no normals");
    };
    // Two planes side by side with a gap between them.
    for (place, normal) in map.data.iter_mut().enumerate() {
        *normal = match place % 32 {
            0..14 => [0.6, 0.0, 0.8],
            18.. => [0.0, -0.6, 0.8],
            _ => [0.0; 3],
        };
    }
    let planes = [[0.6, 0.0, 0.8], [0.0, -0.6, 0.8], [0.0; 3]];
    for (width, height) in [(57, 40), (64, 64), (21, 11)] {
        let resized = sample.clone().resize(width, height).unwrap();
        resized.check().unwrap();
        let DenseLabels::Normals(map) = &resized.labels[&DenseTask::SurfaceNormals] else {
            panic!("no normals");
        };
        for normal in &map.data {
            let near = |plane: &[f32; 3]| {
                plane
                    .iter()
                    .zip(normal)
                    .all(|(one, other)| (one - other).abs() < 1e-5)
            };
            assert!(planes.iter().any(near), "{normal:?}");
        }
        let ignored = map
            .data
            .iter()
            .filter(|normal| **normal == [0.0; 3])
            .count();
        let share = ignored as f64 / map.data.len() as f64;
        assert!((share - 0.125).abs() < 0.03, "{share}");
    }
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

#[test]
fn crops_cut_every_task_alike_and_scales_divide_depth() {
    let lit = Lit::new(64, 48);
    let sample = lit.sample(&lit_tasks());
    let crop = sample.crop(10, 20, 30, 40);
    crop.check().unwrap();
    assert_eq!(crop.image.dimensions(), (30, 28));
    assert_eq!(crop.image.get_pixel(3, 5), sample.image.get_pixel(13, 25));
    let at = |sample: &DenseSample, x: usize, y: usize| {
        let width = sample.image.width() as usize;
        match &sample.labels[&DenseTask::Depth] {
            DenseLabels::Depth(map) => map.data[y * width + x],
            labels => panic!("{labels:?}"),
        }
    };
    assert_eq!(at(&crop, 3, 5), at(&sample, 13, 25));

    let mut augment = AugmentConfig {
        scale_range: [2.0, 2.0],
        ..AugmentConfig::crop_only(96, 128)
    };
    let scaled = augment.apply(sample.clone(), &mut rng(0)).unwrap();
    assert_eq!(scaled.image.dimensions(), (128, 96));
    assert_eq!(at(&scaled, 27, 51), at(&sample, 13, 25) / 2.0);
    augment.scale_depth = false;
    let scaled = augment.apply(sample.clone(), &mut rng(0)).unwrap();
    assert_eq!(at(&scaled, 27, 51), at(&sample, 13, 25));
    // Fitting into a size is no zoom.
    augment.scale_depth = true;
    augment.scale_range = [1.0, 1.0];
    augment.base_size = Some([128, 96]);
    let fitted = augment.apply(sample.clone(), &mut rng(0)).unwrap();
    assert_eq!(at(&fitted, 27, 51), at(&sample, 13, 25));
}

#[test]
fn the_whole_chain_keeps_labels_valid_and_is_a_function_of_its_seed() {
    let dataset = synthetic();
    let augment = AugmentConfig {
        crop_size: [24, 28],
        rotation_range: Some([-20.0, 20.0]),
        ..AugmentConfig::default()
    };
    let apply = |seed| {
        let sample = dataset.get(2, &TASKS).unwrap();
        augment.apply(sample, &mut rng(seed)).unwrap()
    };
    for seed in 0..40 {
        let sample = apply(seed);
        sample.check().unwrap();
        let (width, height) = sample.image.dimensions();
        assert!(width <= 28 && height <= 24);
    }
    assert_eq!(apply(7), apply(7));
    assert_ne!(apply(7), apply(8));
    let photometric = PhotometricConfig::disabled();
    let plain = AugmentConfig {
        photometric,
        ..augment
    };
    assert!(plain.validate().is_ok());
    let wrong = AugmentConfig {
        rotation_range: Some([20.0, -20.0]),
        ..plain
    };
    assert_says(
        &wrong.validate().unwrap_err(),
        &["augment.rotation_range", "in order"],
    );
}

#[test]
fn batches_pad_with_ignore_and_give_back_what_is_not_padding() {
    let tasks = [
        DenseTask::HumanParts,
        DenseTask::SurfaceNormals,
        DenseTask::Depth,
    ];
    let dataset = synthetic();
    let large = dataset.get(0, &tasks).unwrap();
    let small = dataset.get(1, &tasks).unwrap().crop(3, 4, 10, 9);
    let samples = [large, small.clone()];
    let samples = samples.map(|sample| sample.prepared([32, 40]));
    let batch = DenseBatch::padded(samples.into(), &any_size(Normalization::IMAGENET));
    assert_eq!(batch.shape(), [2, 3, 32, 40]);
    assert_eq!(sizes(&batch), [[32, 40], [9, 10]]);
    let group = &batch.groups(1)[1];
    let planes = batch.select(group).images;
    assert_eq!(planes, Normalization::IMAGENET.apply(&small.image));
    for task in tasks {
        match (
            batch.items[1].labels_of(task).unwrap(),
            &small.labels[&task],
        ) {
            (BatchLabels::Classes(data), DenseLabels::Classes(map)) => assert_eq!(data, map.data),
            (BatchLabels::Values { channels: 1, data }, DenseLabels::Depth(map)) => {
                assert_eq!(data, map.data);
            }
            (BatchLabels::Values { channels: 3, data }, DenseLabels::Normals(map)) => {
                for (pixel, normal) in map.data.iter().enumerate() {
                    assert_eq!([data[pixel], data[90 + pixel], data[180 + pixel]], *normal);
                }
            }
            pair => panic!("{pair:?}"),
        }
    }
    assert!(batch.items[0].labels_of(DenseTask::Edges).is_none());
    assert_eq!(batch.labels(DenseTask::Edges).unwrap(), None);
    let parts = classes_of(&batch, DenseTask::HumanParts);
    assert_eq!(parts.len(), 2 * 32 * 40);
    // Right of the small sample, below it, and in the last corner.
    for place in [10, 9 * 40, 32 * 40 - 1] {
        assert_eq!(parts[32 * 40 + place], IGNORE);
    }
    let normals = batch.labels(DenseTask::SurfaceNormals).unwrap();
    let Some(BatchLabels::Values { data, .. }) = normals else {
        panic!("no normals");
    };
    assert_eq!(data[(5 * 32) * 40 + 10], 0.0);
}

#[test]
fn any_number_of_workers_gives_the_same_batches() {
    let load = |workers| {
        let augment = AugmentConfig {
            crop_size: [24, 24],
            rotation_range: Some([-10.0, 10.0]),
            ..AugmentConfig::default()
        };
        let config = LoaderConfig {
            batch_size: 2,
            workers,
            ..LoaderConfig::default()
        };
        // The order of tasks is not that of the request.
        let tasks = [DenseTask::Edges, DenseTask::SemanticSegmentation];
        let loader = DenseLoader::training(
            DenseCollection::of(synthetic(), &tasks).unwrap(),
            augment,
            any_size(Normalization::IMAGENET),
            config,
        );
        let loader = loader.unwrap();
        assert_eq!(loader.tasks(), [tasks[1], tasks[0]]);
        let batches: Result<Vec<_>, _> = loader.iter(1).collect();
        batches.unwrap()
    };
    let batches = load(0);
    assert_eq!(batches.len(), 2);
    assert_eq!((batches[0].height, batches[0].width), (24, 24));
    assert_eq!(batches, load(3));
}

#[test]
fn evaluation_loads_every_sample_once_at_its_size() {
    let tasks = [DenseTask::SurfaceNormals, DenseTask::Saliency];
    let config = LoaderConfig {
        batch_size: 2,
        workers: 0,
        ..LoaderConfig::default()
    };
    let size = EvaluationSize::Fixed {
        height: 16,
        width: 20,
    };
    let load = |size| {
        let input = any_size(Normalization::IMAGENET);
        let config = config.clone();
        DenseLoader::evaluation(
            DenseCollection::of(synthetic(), &tasks).unwrap(),
            DenseEvaluation::new(size, input),
            config,
        )
        .unwrap()
    };
    let batches: Vec<DenseBatch> = load(size).iter(0).map(Result::unwrap).collect();
    assert_eq!(batches.len(), 3);
    assert_eq!(ids(&batches[2]), ["train-000004"]);
    assert_eq!(batches[0].shape(), [2, 3, 16, 20]);
    let batch = load(EvaluationSize::Original)
        .iter(0)
        .next()
        .unwrap()
        .unwrap();
    let sample = synthetic().get(1, &tasks).unwrap();
    let DenseLabels::Classes(map) = &sample.labels[&DenseTask::Saliency] else {
        panic!("no classes");
    };
    let saliency = batch.items[1].labels_of(DenseTask::Saliency);
    assert_eq!(saliency, Some(BatchLabels::Classes(map.data.clone())));
}

#[test]
fn wrong_labels_are_refused_before_they_are_used() {
    let mut sample = synthetic().get(0, &[DenseTask::Depth]).unwrap();
    let map = LabelMap::filled(3, 2, 0);
    sample
        .labels
        .insert(DenseTask::Edges, DenseLabels::Classes(map));
    let error = sample.check().unwrap_err();
    assert_says(&error, &["`train-000000`, edges", "40x32", "3x2"]);
    sample.image = RgbImage::new(3, 2);
    let error = sample.check().unwrap_err();
    assert!(matches!(
        error,
        DataError::Labels {
            task: DenseTask::Depth,
            ..
        }
    ));
}

#[test]
fn the_report_has_a_part_for_every_task() {
    let report = check_multi_task(synthetic().as_ref());
    assert_eq!((report.samples, report.readable), (5, 5));
    assert_eq!(report.problems, []);
    let tasks: Vec<DenseTask> = report.tasks.iter().map(|report| report.task).collect();
    assert_eq!(tasks, TASKS);
    let semantic = &report.tasks[0];
    let pixels: u64 = semantic.labels.iter().map(|label| label.pixels).sum();
    assert_eq!((pixels, semantic.labelled_share), (5 * 40 * 32, 1.0));
    let [smallest, mean, largest] = report.tasks[4].depth.unwrap();
    assert!(0.0 < smallest && smallest < mean && mean < largest);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["task"], "multi_task");
    assert_eq!(json["tasks"][5]["labels"][1]["name"], "edge");
}
