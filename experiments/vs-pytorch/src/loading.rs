//! Reading and augmenting photos, as in torch/loading.py.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gradway::data::{AugmentConfig, DenseCollection, DenseLoader, DenseTask, LoaderConfig, Split};
use gradway::scenes::CLASSES;
use gradway::trainer::{RunConfig, config};
use image::GrayImage;

use vs_pytorch::case::{Case, Run};

/// Photos of the folder, and of a run.
const PHOTOS: usize = 64;
const IMAGES: &str = "images/train";
const MASKS: &str = "masks/train";
const BATCH: usize = 8;
const WORKERS: [usize; 2] = [1, 2];

/// The cases; `folder` is where the photos are, or will be.
pub fn all(folder: &Path) -> Vec<Case> {
    let case = |workers: usize| {
        let folder = folder.to_path_buf();
        Case {
            name: format!("load {PHOTOS} photos 640x480, {workers} workers"),
            build: Box::new(move || epoch(&folder, workers)),
        }
    };
    WORKERS.map(case).into()
}

fn configuration(data: &str) -> Result<RunConfig> {
    let text = format!(
        r#"
        backbone = {{ name = "swin_tiny" }}
        method = {{ name = "fixed" }}
        head = {{ name = "segformer" }}
        data = {data}
        "#
    );
    Ok(config::parse(&text, "the case", &[])?)
}

fn epoch(folder: &Path, workers: usize) -> Result<Run> {
    write_photos(folder)?;
    let root = folder.display();
    let config = configuration(&format!(
        r#"{{ format = "folder", root = '{root}', images = "images/{{split}}", masks = "masks/{{split}}", classes = {CLASSES:?}, labels = {{ direct = {{ ignore = 255 }} }} }}"#
    ))?;
    let augment = AugmentConfig {
        crop_size: [360, 480],
        // No crop is drawn twice: torchvision knows no such rule.
        crop_max_class_share: Some(1.0),
        ..AugmentConfig::default()
    };
    let settings = LoaderConfig {
        batch_size: BATCH,
        workers,
        ..LoaderConfig::default()
    };
    let loader = DenseLoader::training(
        DenseCollection::of(
            config.data.open(Split::Train)?,
            &[DenseTask::SemanticSegmentation],
        )?,
        augment,
        config.input()?,
        settings,
    )?;
    let mut number = 0;
    Ok(Box::new(move || {
        for batch in loader.iter(number) {
            batch?;
        }
        number += 1;
        Ok(())
    }))
}

/// Rendered scenes as JPEG and their classes as PNG, if they are not there.
fn write_photos(folder: &Path) -> Result<()> {
    if folder.join("ready").exists() {
        return Ok(());
    }
    let config = configuration(&format!(
        r#"{{ format = "synthetic", width = 640, height = 480, train_samples = {PHOTOS} }}"#
    ))?;
    let scenes = config.data.open(Split::Train)?;
    for part in [IMAGES, MASKS] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    for index in 0..PHOTOS {
        let task = DenseTask::SemanticSegmentation;
        let scene = scenes.get(index, &[task])?;
        let labels = scene.class_map(task).context("a scene with classes")?;
        let path = |part: &str, ending: &str| -> PathBuf {
            folder.join(part).join(format!("{index:03}.{ending}"))
        };
        scene.image.save(path(IMAGES, "jpg"))?;
        GrayImage::from_raw(labels.width, labels.height, labels.data.clone())
            .context("a label for every pixel")?
            .save(path(MASKS, "png"))?;
    }
    std::fs::write(folder.join("ready"), "")?;
    Ok(())
}
