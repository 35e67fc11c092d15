//! Training on samples of one's own: any dataset of Burn, and a few words about it.
//!
//! ```text
//! cargo run --release -p gradway --example own_dataset
//! ```
//!
//! trains a light decoder on EfficientNet-Lite0 to tell discs from what is around them, and prints the mean
//! IoU after each epoch. It takes less than a minute on two cores.

use anyhow::Result;
use burn::backend::{Autodiff, Flex};
use gradway::data::burn_dataset::Dataset;
use gradway::data::{
    AugmentConfig, DataError, DenseCollection, DenseEvaluation, DenseLoader, DenseMetadata,
    DenseSample, EvaluationSize, LabelMap, LoaderConfig,
};
use gradway::terminal::print;
use gradway::trainer::{Segmentation, SegmentationTask, Task, Trainer, config, evaluate};
use image::{Rgb, RgbImage};

type B = Autodiff<Flex>;

/// Width and height of a picture.
const SIDE: u32 = 96;
const EPOCHS: usize = 3;

/// Pictures with a bright disc each, made when they are asked for.
struct Discs {
    /// Number of the first one.
    first: usize,
    count: usize,
}

impl Dataset<Result<DenseSample, DataError>> for Discs {
    fn get(&self, index: usize) -> Option<Result<DenseSample, DataError>> {
        if index >= self.count {
            return None;
        }
        let number = (self.first + index) as u32;
        let (x, y, radius) = (
            20 + 37 * number % 56,
            20 + 23 * number % 56,
            8 + number % 12,
        );
        let is_inside = |column: u32, row: u32| {
            column.abs_diff(x).pow(2) + row.abs_diff(y).pow(2) <= radius.pow(2)
        };
        let image = RgbImage::from_fn(SIDE, SIDE, |column, row| match is_inside(column, row) {
            true => Rgb([220, 180, (number % 200) as u8]),
            false => Rgb([(column + row) as u8, 60, 90]),
        });
        let places = (0..SIDE).flat_map(|row| (0..SIDE).map(move |column| (column, row)));
        let classes = LabelMap {
            width: SIDE,
            height: SIDE,
            data: places.map(|(x, y)| u8::from(is_inside(x, y))).collect(),
        };
        let id = format!("disc {number}");
        Some(Ok(DenseSample::segmentation(id, image, classes)))
    }

    fn len(&self) -> usize {
        self.count
    }
}

fn main() -> Result<()> {
    let device = Default::default();
    // The data that a configuration names is not opened here.
    let text = r#"
backbone = { name = "efficientnet_lite0", weights = "embedded" }
method = { name = "e3va" }
head = { name = "segformer", channels = 32 }
data = { format = "synthetic" }
optimizer = { learning_rate = 4e-3 }
"#;
    let config = config::parse(text, "the example", &[])?;
    let settings = LoaderConfig {
        batch_size: 8,
        seed: config.seed,
        ..LoaderConfig::default()
    };

    let metadata = || DenseMetadata::segmentation("discs", ["around", "disc"]);
    let discs = |first, count| DenseCollection::new(Discs { first, count }, metadata());
    let training = DenseLoader::training(
        discs(0, 96),
        AugmentConfig {
            crop_size: [SIDE, SIDE],
            scale_range: [0.8, 1.2],
            ..AugmentConfig::default()
        },
        config.input()?,
        settings.clone(),
    )?;
    let validation = DenseLoader::evaluation(
        discs(1000, 24),
        DenseEvaluation::new(EvaluationSize::Original, config.input()?),
        settings,
    )?;

    let labels = <SegmentationTask as Task<B>>::labels(training.pipeline());
    let mut model = Segmentation::<B>::new(&config, &labels, &device)?;
    let steps = EPOCHS * training.batches_per_epoch();
    let mut trainer = Trainer::new(&config, &model, steps, &device);
    for epoch in 0..EPOCHS {
        for batch in training.iter(epoch as u64) {
            (model, _) = trainer.step(model, &[batch?])?;
        }
        let evaluation = evaluate(&model, &validation, &device, |_| {})?;
        let (_, mean_iou) = evaluation.scores.main();
        print(format_args!(
            "epoch {epoch}: mean IoU {:.1} %",
            100.0 * mean_iou
        ))?;
    }
    Ok(())
}
