//! A prediction belongs to its picture: it does not depend on the others of a batch.

use gradway::data::formats::synthetic::{SyntheticConfig, TASKS};
use gradway::data::{
    Batch, DatasetConfig, DenseBatch, DenseTask, DetectionBatch, DetectionTarget, NetworkInput,
    Normalization, Prepared, Split,
};
use gradway::trainer::task::{MultiTaskPrediction, TaskLabels, TaskPrediction};
use gradway::trainer::{Detection, Labels, ManyTasks, RunConfig, config};
use gradway_tests::{Tracked, largest};
use image::RgbImage;

/// Widths and heights; the first and the third are padded to the same size.
const SIZES: [(u32, u32); 5] = [(96, 64), (97, 65), (80, 50), (33, 70), (64, 64)];

/// What a network is not told by its batches: its own stride is in the network.
const INPUT: NetworkInput = NetworkInput {
    normalization: Normalization::IMAGENET,
    stride: 1,
};

fn parsed(text: &str) -> RunConfig {
    let whole = format!(
        r#"
        backbone = {{ name = "swin_mini" }}
        method = {{ name = "e3va" }}
        {text}
        "#
    );
    config::parse(&whole, "the test", &[]).unwrap()
}

/// `max|a - b|` of what is predicted of a task.
fn difference(one: &TaskPrediction, other: &TaskPrediction) -> f64 {
    use TaskPrediction::{Classes, Values};

    let differences: Vec<f64> = match (one, other) {
        (Classes(one), Classes(other)) => {
            assert_eq!(one.len(), other.len());
            let pairs = one.iter().zip(other);
            pairs
                .map(|(one, other)| f64::from(*one) - f64::from(*other))
                .collect()
        }
        (Values { data: one, .. }, Values { data: other, .. }) => {
            assert_eq!(one.len(), other.len());
            let pairs = one.iter().zip(other);
            pairs.map(|(one, other)| f64::from(one - other)).collect()
        }
        pair => panic!("{pair:?}"),
    };
    largest(differences.into_iter())
}

#[test]
fn what_is_predicted_of_a_picture_is_the_same_in_every_batch() {
    let names: Vec<&str> = TASKS.iter().map(|task| task.name()).collect();
    let config = parsed(&format!(
        r#"
        head = {{ name = "segformer", channels = 16 }}
        data = {{ format = "synthetic" }}
        tasks = {{ names = {names:?} }}
        "#
    ));
    let mut labels = Labels::unnamed(0);
    let mut pictures = Vec::new();
    for (width, height) in SIZES {
        let data = DatasetConfig::Synthetic(SyntheticConfig {
            width,
            height,
            ..SyntheticConfig::default()
        });
        let dataset = data.open_multi_task(Split::Train, &TASKS).unwrap();
        let sample = dataset.get(0, &TASKS).unwrap();
        // As if it had been twice as large when it was read.
        let original = [2 * height as usize, 2 * width as usize];
        pictures.push(sample.prepared(original));
        let of_task = |&task: &DenseTask| TaskLabels {
            task,
            classes: dataset.classes(task).to_vec(),
            palette: dataset.palette(task).to_vec(),
        };
        labels.tasks = TASKS.iter().map(of_task).collect();
    }
    let device = Default::default();
    let model = ManyTasks::<Tracked>::new(&config, &labels, &device).unwrap();
    let model = model.inference();
    let predict = |pictures: &[Prepared<_>]| -> Vec<MultiTaskPrediction> {
        model.predict(&DenseBatch::padded(pictures.to_vec(), &INPUT), &device)
    };
    let together = predict(&pictures);
    assert_eq!(together.len(), SIZES.len());
    for ((picture, found), (width, height)) in pictures.iter().zip(&together).zip(SIZES) {
        let size = [found.height, found.width];
        assert_eq!(size, [2 * height as usize, 2 * width as usize]);
        let alone = &predict(std::slice::from_ref(picture))[0];
        assert_eq!(found.tasks.len(), TASKS.len());
        for (task, found) in &found.tasks {
            let off = difference(found, &alone.tasks[task]);
            assert!(off <= 1e-5, "{task}, {width}x{height}: {off}");
        }
    }
}

#[test]
fn what_is_found_in_a_picture_is_the_same_in_every_batch() {
    for head in ["retinanet", "mask_rcnn"] {
        let config = parsed(&format!(
            r#"
            head = {{ name = "{head}", channels = 16 }}
            data = {{ format = "coco", root = "nowhere" }}
            evaluation = {{ limits = {{ score = 0.0001, per_image = 20 }} }}
            "#
        ));
        let device = Default::default();
        let labels = Labels::unnamed(3);
        let model = Detection::<Tracked>::new(&config, &labels, &device).unwrap();
        let model = model.inference();
        let picture = |(place, (width, height)): (usize, (u32, u32))| {
            let pixel = |x: u32, y: u32| {
                let value = x * 7 + y * 13 + 41 * place as u32;
                image::Rgb([value as u8, (x * y) as u8, 90])
            };
            let size = [height as usize, width as usize];
            Prepared {
                image: RgbImage::from_fn(width, height, pixel),
                item: DetectionTarget {
                    id: place.to_string(),
                    image_id: place as u64,
                    size,
                    original: size,
                    scale: [1.0; 2],
                    instances: Vec::new(),
                },
            }
        };
        let pictures: Vec<_> = SIZES.into_iter().enumerate().map(picture).collect();
        let batch: DetectionBatch = Batch::padded(pictures.clone(), &INPUT);
        let together = model.predict(&batch, &device);
        for (picture, found) in pictures.into_iter().zip(together) {
            assert_eq!(found.id, picture.item.id);
            let alone = model.predict(&Batch::padded(vec![picture], &INPUT), &device);
            assert!(!found.objects.is_empty(), "{head}");
            assert_eq!(found.objects.len(), alone[0].objects.len(), "{head}");
            for (found, alone) in found.objects.iter().zip(&alone[0].objects) {
                assert_eq!(found.class, alone.class, "{head}");
                let off = largest(
                    (found.bounds.iter().zip(alone.bounds))
                        .map(|(one, other)| f64::from(one - other))
                        .chain([f64::from(found.score - alone.score)]),
                );
                assert!(off <= 1e-4, "{head}: {off}");
            }
        }
    }
}
