//! Datasets as they are published, where `GRADWAY_DATA` names the folder that holds them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::common::config;
use gradway_data::{DenseDataset, DenseLabels, DenseTask, IGNORE, Split};

fn real(name: &str, format: &str) -> Option<[Arc<dyn DenseDataset>; 2]> {
    let root = PathBuf::from(std::env::var_os("GRADWAY_DATA")?).join(name);
    if !root.is_dir() {
        return None;
    }
    let text = format!("format = \"{format}\"\nroot = \"ROOT\"");
    let config = config(&root, &text);
    Some([Split::Train, Split::Val].map(|split| {
        let dataset = config.open_multi_task(split, &[]).unwrap();
        dataset.require(dataset.tasks()).unwrap();
        dataset
    }))
}

/// How many pixels of some samples have each label, and the share with any.
fn histogram(
    dataset: &dyn DenseDataset,
    task: DenseTask,
    step: usize,
) -> (BTreeMap<u8, usize>, f64) {
    let mut counts = BTreeMap::new();
    let (mut labelled, mut total) = (0, 0);
    for index in (0..dataset.len()).step_by(step) {
        let sample = dataset.get(index, &[task]).unwrap();
        sample.check().unwrap();
        let labels = &sample.labels[&task];
        labelled += labels.labelled();
        total += labels.len();
        if let DenseLabels::Classes(map) = labels {
            for label in &map.data {
                *counts.entry(*label).or_default() += 1;
            }
        }
    }
    (counts, labelled as f64 / total as f64)
}

#[test]
fn real_clothes_have_people_with_every_part() {
    let Some([train, val]) = real("ccp", "clothing_co_parsing") else {
        return;
    };
    assert_eq!((train.len(), val.len()), (400, 100));
    let (parts, labelled) = histogram(val.as_ref(), DenseTask::HumanParts, 4);
    assert_eq!(labelled, 1.0);
    assert_eq!(
        parts.keys().copied().collect::<Vec<u8>>(),
        [0, 1, 2, 3, 4, 5, 6]
    );
    let total: usize = parts.values().sum();
    let share = |part: u8| parts[&part] as f64 / total as f64;
    // More clothes than skin, more skin than shoes; and three quarters of the pixels are background.
    assert!(share(3) > share(2) && share(2) > share(5), "{parts:?}");
    assert!((0.65..0.9).contains(&share(0)), "{parts:?}");
    let (saliency, _) = histogram(val.as_ref(), DenseTask::Saliency, 4);
    assert_eq!(saliency[&0], parts[&0]);
    let (edges, _) = histogram(val.as_ref(), DenseTask::Edges, 4);
    let edge_share = edges[&1] as f64 / total as f64;
    assert!((0.005..0.08).contains(&edge_share), "{edges:?}");
    assert!(!edges.contains_key(&IGNORE));
}

#[test]
fn real_frames_have_depth_and_normals_of_a_room() {
    let Some([train, val]) = real("red_kitchen", "red_kitchen") else {
        return;
    };
    assert_eq!((train.len(), val.len()), (100, 25));
    let (_, with_depth) = histogram(val.as_ref(), DenseTask::Depth, 8);
    let (_, with_normals) = histogram(val.as_ref(), DenseTask::SurfaceNormals, 8);
    assert!((0.6..1.0).contains(&with_depth), "{with_depth}");
    assert!(
        with_normals > 0.5 && with_normals < with_depth,
        "{with_normals}"
    );
    let sample = val
        .get(0, &[DenseTask::SurfaceNormals, DenseTask::Depth])
        .unwrap();
    let DenseLabels::Normals(normals) = &sample.labels[&DenseTask::SurfaceNormals] else {
        panic!("no normals");
    };
    let valid = normals.data.iter().filter(|normal| **normal != [0.0; 3]);
    // Surfaces that are seen face the camera.
    let away = valid.clone().filter(|normal| normal[2] < -0.2).count();
    assert!(away * 100 < valid.count(), "{away}");
    let DenseLabels::Depth(depth) = &sample.labels[&DenseTask::Depth] else {
        panic!("no depth");
    };
    let depths = depth.data.iter().copied().filter(|depth| *depth > 0.0);
    let (nearest, farthest) = depths.fold((f32::MAX, 0f32), |(low, high), depth| {
        (low.min(depth), high.max(depth))
    });
    assert!(nearest > 0.3 && farthest < 10.0, "{nearest} to {farthest}");
}
