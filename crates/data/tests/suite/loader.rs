//! The loader: order, resuming, padding, errors and early ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{
    self, Coordinates, any_size, assert_says, class_map, class_map_mut, classes, segmentation,
    sizes,
};
use gradway_data::{
    AugmentConfig, DataError, DenseBatch, DenseDataset, DenseEvaluation, DenseLoader, DenseSample,
    DenseTask, EvaluationSize, IGNORE, LoaderConfig, NetworkInput, Normalization,
    PhotometricConfig, SlideConfig,
};

/// Counts the samples read, slowly where asked to.
struct Counted {
    inner: Coordinates,
    reads: AtomicUsize,
    delay: Duration,
    panics: bool,
}

impl Counted {
    fn new(inner: Coordinates) -> Self {
        Self {
            inner,
            reads: AtomicUsize::new(0),
            delay: Duration::ZERO,
            panics: false,
        }
    }
}

impl DenseDataset for Counted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn tasks(&self) -> &[DenseTask] {
        self.inner.tasks()
    }

    fn classes(&self, task: DenseTask) -> &[String] {
        self.inner.classes(task)
    }

    fn palette(&self, task: DenseTask) -> &[[u8; 3]] {
        self.inner.palette(task)
    }

    fn id(&self, index: usize) -> String {
        self.inner.id(index)
    }

    fn get(&self, index: usize, tasks: &[DenseTask]) -> Result<DenseSample, DataError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(self.delay);
        assert!(!self.panics, "a decoder gave up");
        self.inner.get(index, tasks)
    }
}

fn coordinates(count: usize) -> Coordinates {
    Coordinates::new((0..count as u32).map(|i| (20 + i % 5, 24 - i % 3)))
}

fn augment() -> AugmentConfig {
    AugmentConfig {
        crop_size: [16, 16],
        ..AugmentConfig::default()
    }
}

fn training(dataset: impl DenseDataset + 'static, config: LoaderConfig) -> DenseLoader {
    DenseLoader::training(
        segmentation(Arc::new(dataset)),
        augment(),
        any_size(Normalization::default()),
        config,
    )
    .unwrap()
}

fn config(workers: usize) -> LoaderConfig {
    LoaderConfig {
        batch_size: 3,
        workers,
        prefetch: 2,
        seed: 7,
        ..LoaderConfig::default()
    }
}

fn batches(loader: &DenseLoader, epoch: u64) -> Vec<DenseBatch> {
    loader.iter(epoch).map(Result::unwrap).collect()
}

fn ids(batches: &[DenseBatch]) -> Vec<String> {
    batches.iter().flat_map(common::ids).collect()
}

#[test]
fn any_number_of_workers_gives_the_same_batches() {
    let expected = batches(&training(coordinates(20), config(0)), 3);
    assert_eq!(expected.len(), 6);
    for workers in [1, 3, 9] {
        let found = batches(&training(coordinates(20), config(workers)), 3);
        assert!(found == expected, "{workers} workers");
    }
}

#[test]
fn resuming_gives_the_rest_of_the_epoch_without_reading_the_start() {
    for workers in [0, 2] {
        let whole = batches(&training(coordinates(20), config(workers)), 1);
        let dataset = Arc::new(Counted::new(coordinates(20)));
        let shared: Arc<dyn DenseDataset> = dataset.clone();
        let input = any_size(Normalization::default());
        let loader =
            DenseLoader::training(segmentation(shared), augment(), input, config(workers)).unwrap();
        let mut iterator = loader.iter_from(1, 4);
        assert_eq!(iterator.next_batch(), 4);
        let rest: Vec<_> = iterator.by_ref().map(Result::unwrap).collect();
        assert!(rest == whole[4..]);
        assert_eq!(iterator.next_batch(), 6);
        assert_eq!(dataset.reads.load(Ordering::SeqCst), 6);
        assert_eq!(loader.iter_from(1, 6).count(), 0);
        assert_eq!(loader.iter_from(1, usize::MAX).count(), 0);
    }
}

#[test]
fn epochs_and_seeds_shuffle_differently_and_see_everything_once() {
    let keep = LoaderConfig {
        drop_last: false,
        ..config(2)
    };
    let loader = training(coordinates(20), keep.clone());
    assert_eq!(loader.batches_per_epoch(), 7);
    let first = batches(&loader, 0);
    assert_eq!(first[6].count, 2);
    assert_eq!(first[6].images.len(), 2 * 3 * 16 * 16);
    assert_eq!(ids(&first).iter().collect::<BTreeSet<_>>().len(), 20);
    assert_ne!(ids(&first), ids(&batches(&loader, 1)));
    let other = LoaderConfig {
        seed: 8,
        ..keep.clone()
    };
    assert_ne!(
        ids(&first),
        ids(&batches(&training(coordinates(20), other), 0))
    );
    let in_order = LoaderConfig {
        shuffle: false,
        ..keep
    };
    let found = ids(&batches(&training(coordinates(20), in_order), 0));
    assert_eq!(found[19], "sample 19");
}

#[test]
fn the_augmentation_differs_between_epochs() {
    let in_order = LoaderConfig {
        shuffle: false,
        ..config(0)
    };
    let loader = training(coordinates(3), in_order);
    let (first, second) = (batches(&loader, 0), batches(&loader, 1));
    assert_eq!(ids(&first[..1]), ids(&second[..1]));
    assert_ne!(first[0].images, second[0].images);
}

#[test]
fn smaller_samples_are_padded_with_the_mean_and_ignored() {
    let normalization = Normalization {
        mean: [10.0, 20.0, 30.0],
        std: [2.0, 4.0, 8.0],
    };
    let dataset = Coordinates::new([(8, 4), (6, 10)]);
    let expected: Vec<_> = (0..2).map(|index| dataset.sample(index)).collect();
    let config = LoaderConfig {
        batch_size: 2,
        ..LoaderConfig::default()
    };
    let dataset: Arc<dyn DenseDataset> = Arc::new(dataset);
    let size = EvaluationSize::Original;
    let input = any_size(normalization);
    let loader = DenseLoader::evaluation(
        segmentation(Arc::clone(&dataset)),
        DenseEvaluation::new(size, input),
        config.clone(),
    )
    .unwrap();
    let found = batches(&loader, 0);
    assert_eq!(found.len(), 1);
    let batch = &found[0];
    assert_eq!((batch.height, batch.width, batch.count), (10, 8, 2));
    assert_eq!(sizes(batch), [[4, 8], [10, 6]]);
    assert_eq!(common::ids(batch), ["sample 0", "sample 1"]);
    let labels = classes(batch);
    for (index, sample) in expected.iter().enumerate() {
        for y in 0..10u32 {
            for x in 0..8u32 {
                let place = (y * 8 + x) as usize;
                let label = labels[index * 80 + place];
                assert_eq!(label, class_map(sample).get(x, y).unwrap_or(IGNORE));
                for channel in 0..3 {
                    let value = batch.images[(index * 3 + channel) * 80 + place];
                    let pixel = sample.image.get_pixel_checked(x, y);
                    let expected = pixel.map_or(0.0, |pixel| {
                        (f32::from(pixel.0[channel]) - normalization.mean[channel])
                            / normalization.std[channel]
                    });
                    assert_eq!(value, expected);
                }
            }
        }
    }

    // A training batch has the size of the crop, however small its samples.
    let augment = AugmentConfig {
        photometric: PhotometricConfig::disabled(),
        ..AugmentConfig::crop_only(12, 14)
    };
    let in_order = LoaderConfig {
        shuffle: false,
        ..config
    };
    let loader = DenseLoader::training(segmentation(dataset), augment, input, in_order).unwrap();
    let batch = batches(&loader, 0).remove(0);
    assert_eq!((batch.height, batch.width), (12, 14));
    assert_eq!(sizes(&batch), [[4, 8], [10, 6]]);
    let labels = classes(&batch);
    assert_eq!(labels.len(), 2 * 12 * 14);
    assert_eq!(labels[8], IGNORE);
    assert_eq!(batch.images[8], 0.0);
}

#[test]
fn batches_are_padded_to_what_the_network_expects() {
    let input = NetworkInput {
        stride: 8,
        ..any_size(Normalization::default())
    };
    let config = LoaderConfig {
        batch_size: 3,
        shuffle: false,
        ..LoaderConfig::default()
    };
    let dataset: Arc<dyn DenseDataset> = Arc::new(Coordinates::new([(20, 9), (16, 8), (17, 12)]));
    let augment = AugmentConfig::crop_only(12, 16);
    let training = DenseLoader::training(
        segmentation(Arc::clone(&dataset)),
        augment,
        input,
        config.clone(),
    );
    let batch = batches(&training.unwrap(), 0).remove(0);
    // The crop is 12 x 16, and 12 is no multiple of 8.
    assert_eq!(batch.shape(), [3, 3, 16, 16]);
    assert_eq!(sizes(&batch), [[9, 16], [8, 16], [12, 16]]);
    let labels = classes(&batch);
    assert!(
        labels[2 * 256..][12 * 16..]
            .iter()
            .all(|&label| label == IGNORE)
    );
    assert!(
        labels[2 * 256..][..12 * 16]
            .iter()
            .all(|&label| label != IGNORE)
    );
    let evaluation = DenseLoader::evaluation(
        segmentation(dataset),
        DenseEvaluation::new(EvaluationSize::Original, input),
        config,
    );
    let batch = batches(&evaluation.unwrap(), 0).remove(0);
    assert_eq!(batch.shape(), [3, 3, 16, 24]);
    assert_eq!(sizes(&batch), [[9, 20], [8, 16], [12, 17]]);
}

#[test]
fn labels_keep_the_size_of_the_image_as_it_was_read() {
    let dataset = Coordinates::new([(20, 12), (8, 8)]);
    let expected: Vec<_> = (0..2).map(|index| dataset.sample(index)).collect();
    let size = EvaluationSize::Fit { long: 10, short: 6 };
    let evaluation = DenseEvaluation::new(size, any_size(Normalization::default()));
    let samples = segmentation(Arc::new(dataset));
    let loader = DenseLoader::evaluation(samples, evaluation, config(0));
    let batch = batches(&loader.unwrap(), 0).remove(0);
    assert_eq!(sizes(&batch), [[6, 10], [6, 6]]);
    for (item, sample) in batch.items.iter().zip(expected) {
        let (width, height) = sample.image.dimensions();
        assert_eq!(item.original, [height as usize, width as usize]);
        assert_eq!(item.labels, sample.labels);
    }
    // They do not lie under the pixels of the batch, so that no loss can be made of them.
    let error = batch.labels(DenseTask::SemanticSegmentation).unwrap_err();
    assert_says(&error, &["`sample 0`", "10x6", "20x12"]);
}

#[test]
fn an_image_is_prepared_at_every_scale() {
    let sizes_read = [(20, 12), (9, 15), (8, 8)];
    let dataset = Coordinates::new(sizes_read);
    let samples: Vec<_> = (0..3).map(|index| dataset.sample(index)).collect();
    let evaluation = |scales: &[f64], size| DenseEvaluation {
        scales: scales.to_vec(),
        ..DenseEvaluation::new(size, any_size(Normalization::default()))
    };
    let load = |evaluation: DenseEvaluation| {
        let dataset = Arc::new(Coordinates::new(sizes_read));
        let loader = DenseLoader::evaluation(segmentation(dataset), evaluation, config(2));
        batches(&loader.unwrap(), 0).remove(0)
    };
    let fit = EvaluationSize::Fit { long: 10, short: 6 };
    let batch = load(evaluation(&[1.0, 0.5, 2.0], fit));
    // At every scale as if it were the only one.
    let scales: Vec<&DenseBatch> = batch.scales().collect();
    assert_eq!(scales.len(), 3);
    for (found, scale) in scales.into_iter().zip([1.0, 0.5, 2.0]) {
        let alone = load(evaluation(&[scale], fit));
        assert_eq!(
            (found.images.clone(), sizes(found)),
            (alone.images.clone(), sizes(&alone))
        );
        assert!(alone.scaled.is_empty());
    }
    assert_eq!(sizes(&batch), [[6, 10], [10, 6], [6, 6]]);
    assert_eq!(sizes(&batch.scaled[0]), [[3, 5], [5, 3], [3, 3]]);
    for (item, sample) in batch.items.iter().zip(&samples) {
        assert_eq!(item.labels, sample.labels);
    }
    for item in batch.scaled.iter().flat_map(|batch| &batch.items) {
        assert!(item.labels.is_empty());
    }
    // Windows do not change what is prepared.
    let slide = EvaluationSize::Slide(SlideConfig {
        crop: [4, 4],
        stride: [3, 3],
        base_size: Some([10, 6]),
    });
    let slid = load(evaluation(&[1.0, 0.5, 2.0], slide));
    assert_eq!(slid, batch);
}

#[test]
fn evaluation_sees_every_sample_once_in_order() {
    let size = EvaluationSize::Fixed {
        height: 8,
        width: 9,
    };
    let loader = DenseLoader::evaluation(
        segmentation(Arc::new(coordinates(7))),
        DenseEvaluation::new(size, any_size(Normalization::default())),
        config(2),
    )
    .unwrap();
    let found = batches(&loader, 0);
    let expected: Vec<String> = (0..7).map(|index| format!("sample {index}")).collect();
    assert_eq!(ids(&found), expected);
    assert_eq!((found[0].height, found[0].width), (8, 9));
    assert_eq!(found[2].count, 1);
}

#[test]
fn an_error_comes_in_order_and_ends_the_epoch() {
    let in_order = |workers| LoaderConfig {
        shuffle: false,
        ..config(workers)
    };
    for workers in [0, 1, 3] {
        let loader = training(coordinates(20).with_broken(7), in_order(workers));
        let mut iterator = loader.iter(0);
        for batch in 0..2 {
            let found = iterator.next().unwrap().unwrap();
            assert_eq!(found.items[0].id, format!("sample {}", 3 * batch));
        }
        let error = iterator.next().unwrap().unwrap_err();
        assert!(
            error.to_string().contains("sample 7 cannot be decoded"),
            "{error}"
        );
        assert!(iterator.next().is_none());
        assert!(iterator.next().is_none());
    }
}

/// A dataset of the kind that the crate cannot vouch for.
struct Inconsistent(Coordinates);

impl DenseDataset for Inconsistent {
    fn name(&self) -> &str {
        "inconsistent"
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn tasks(&self) -> &[DenseTask] {
        self.0.tasks()
    }

    fn classes(&self, task: DenseTask) -> &[String] {
        self.0.classes(task)
    }

    fn palette(&self, task: DenseTask) -> &[[u8; 3]] {
        self.0.palette(task)
    }

    fn id(&self, index: usize) -> String {
        self.0.id(index)
    }

    fn get(&self, index: usize, tasks: &[DenseTask]) -> Result<DenseSample, DataError> {
        let mut sample = self.0.get(index, tasks)?;
        class_map_mut(&mut sample).data.pop();
        Ok(sample)
    }
}

#[test]
fn labels_that_do_not_cover_the_image_are_refused() {
    let loader = training(Inconsistent(coordinates(3)), config(1));
    let error = loader.iter(0).next().unwrap().unwrap_err().to_string();
    assert!(error.contains("but its labels are"), "{error}");
}

#[test]
fn a_panic_below_becomes_an_error() {
    for workers in [0, 2] {
        let dataset = Counted {
            panics: true,
            ..Counted::new(coordinates(6))
        };
        let mut iterator = training(dataset, config(workers)).iter(0);
        let error = iterator.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("batch 0: a decoder gave up"), "{error}");
        assert!(iterator.next().is_none());
    }
}

#[test]
fn prefetching_is_bounded_and_early_ends_join() {
    for workers in [1, 4] {
        let dataset = Arc::new(Counted {
            delay: Duration::from_millis(2),
            ..Counted::new(coordinates(90))
        });
        let shared: Arc<dyn DenseDataset> = dataset.clone();
        let input = any_size(Normalization::default());
        let loader =
            DenseLoader::training(segmentation(shared), augment(), input, config(workers)).unwrap();
        let mut iterator = loader.iter(0);
        iterator.next().unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(200));
        // One batch handed out and two ahead, of three samples each.
        assert_eq!(dataset.reads.load(Ordering::SeqCst), 9);
        drop(iterator);
        let reads = dataset.reads.load(Ordering::SeqCst);
        // Dropped while workers read.
        let iterator = loader.iter(1);
        std::thread::sleep(Duration::from_millis(3));
        drop(iterator);
        assert!(dataset.reads.load(Ordering::SeqCst) - reads < 9);
        // Everything the threads held is released: they have ended.
        drop(loader);
        assert_eq!(Arc::strong_count(&dataset), 1);
    }
}
