//! From samples of detection to batches: sizes, boxes, masks, order.

use std::sync::Arc;

use crate::common::{any_size, assert_says};
use gradway_data::detection::PreparedSample;
use gradway_data::{
    DataError, DetectionAugmentConfig, DetectionBatch, DetectionCollection, DetectionDataset,
    DetectionLoader, DetectionSample, DetectionSizeConfig, Instance, LoaderConfig, Mask, Movable,
    NetworkInput, Normalization,
};
use image::{Rgb, RgbImage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Black images with one white rectangle each, whose pixels are the mask of the only object.
struct Rectangles {
    sizes: Vec<(u32, u32)>,
    classes: Vec<String>,
}

impl Rectangles {
    fn new(sizes: impl IntoIterator<Item = (u32, u32)>) -> Self {
        Self {
            sizes: sizes.into_iter().collect(),
            classes: vec!["rectangle".into()],
        }
    }

    /// From a quarter of the image to a half of it.
    fn sample(&self, index: usize) -> DetectionSample {
        let (width, height) = self.sizes[index];
        let (left, top, right, bottom) = (width / 4, height / 4, width / 2, height / 2);
        let inside = |x, y| (left..right).contains(&x) && (top..bottom).contains(&y);
        let image = RgbImage::from_fn(width, height, |x, y| {
            Rgb([if inside(x, y) { 255 } else { 0 }; 3])
        });
        let bitmap: Vec<u8> = image.pixels().map(|pixel| pixel.0[0]).collect();
        DetectionSample {
            id: format!("sample {index}"),
            image_id: index as u64,
            image,
            instances: vec![Instance {
                id: 100 + index as u64,
                class: 0,
                bounds: [left, top, right, bottom].map(|edge| edge as f32),
                mask: Some(Arc::new(Mask::new(&bitmap, width, height).unwrap())),
                is_crowd: false,
                is_difficult: false,
            }],
        }
    }
}

impl DetectionDataset for Rectangles {
    fn name(&self) -> &str {
        "rectangles"
    }

    fn len(&self) -> usize {
        self.sizes.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn palette(&self) -> &[[u8; 3]] {
        &[[255; 3]]
    }

    fn category_ids(&self) -> &[u64] {
        &[1]
    }

    fn id(&self, index: usize) -> String {
        format!("sample {index}")
    }

    fn get(&self, index: usize) -> Result<DetectionSample, DataError> {
        Ok(self.sample(index))
    }
}

fn some() -> Rectangles {
    Rectangles::new((0..20).map(|i| (20 + i % 5, 24 - i % 3)))
}

fn augment() -> DetectionAugmentConfig {
    DetectionAugmentConfig {
        scales: vec![[60, 40], [64, 48], [64, 30]],
        stride: Some(16),
        ..DetectionAugmentConfig::default()
    }
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

fn training(workers: usize) -> DetectionLoader {
    let dataset = Arc::new(some());
    let input = any_size(Normalization::default());
    let samples = DetectionCollection::of(dataset);
    DetectionLoader::training(samples, augment(), input, config(workers)).unwrap()
}

fn batches(loader: &DetectionLoader, epoch: u64) -> Vec<DetectionBatch> {
    loader.iter(epoch).map(Result::unwrap).collect()
}

#[test]
fn any_number_of_workers_gives_the_same_batches_from_any_batch_on() {
    let expected = batches(&training(0), 3);
    assert_eq!(expected.len(), 6);
    for workers in [1, 4] {
        let loader = training(workers);
        assert!(batches(&loader, 3) == expected, "{workers} workers");
        let rest: Vec<_> = loader.iter_from(3, 4).map(Result::unwrap).collect();
        assert!(rest == expected[4..], "{workers} workers");
    }
    let other = batches(&training(0), 4);
    assert_ne!(other[0].items[0].id, expected[0].items[0].id);
}

#[test]
fn batches_are_padded_to_the_stride_and_carry_what_is_valid() {
    for batch in batches(&training(0), 0) {
        assert_eq!((batch.height % 16, batch.width % 16), (0, 0));
        assert_eq!(batch.images.len(), 3 * 3 * batch.height * batch.width);
        let largest = |axis: usize| batch.items.iter().map(|item| item.size[axis]).max();
        assert_eq!(batch.height, largest(0).unwrap().next_multiple_of(16));
        assert_eq!(batch.width, largest(1).unwrap().next_multiple_of(16));
        for (index, item) in batch.items.iter().enumerate() {
            let plane = &batch.images[index * 3 * batch.height * batch.width..];
            let padding = |y: usize, x: usize| y >= item.size[0] || x >= item.size[1];
            for y in 0..batch.height {
                for x in 0..batch.width {
                    let value = plane[y * batch.width + x];
                    assert_eq!(value == 0.0, padding(y, x), "{y} {x}");
                }
            }
        }
    }
}

#[test]
fn evaluation_fits_into_the_edges_in_order() {
    let dataset = Arc::new(Rectangles::new([(640, 480), (480, 640), (2000, 500)]));
    let loader = DetectionLoader::evaluation(
        DetectionCollection::of(dataset),
        DetectionSizeConfig::default(),
        NetworkInput {
            stride: 32,
            ..any_size(Normalization::default())
        },
        LoaderConfig {
            batch_size: 1,
            workers: 0,
            ..LoaderConfig::default()
        },
    )
    .unwrap();
    let found = batches(&loader, 0);
    let sizes: Vec<_> = found.iter().map(|batch| batch.items[0].size).collect();
    assert_eq!(sizes, [[800, 1067], [1067, 800], [333, 1333]]);
    let padded: Vec<_> = found.iter().map(|b| [b.height, b.width]).collect();
    assert_eq!(padded, [[800, 1088], [1088, 800], [352, 1344]]);
    let item = &found[0].items[0];
    assert_eq!(item.original, [480, 640]);
    assert_eq!(item.scale, [800.0 / 480.0, 1067.0 / 640.0]);
    let bounds = item.instances[0].bounds;
    let expected = [160.0 * 1067.0 / 640.0, 200.0, 320.0 * 1067.0 / 640.0, 400.0];
    for (found, expected) in bounds.into_iter().zip(expected) {
        assert!((found - expected).abs() < 1e-3, "{bounds:?}");
    }
    let back = item.to_original(bounds);
    for (found, expected) in back.into_iter().zip([160.0, 120.0, 320.0, 240.0]) {
        assert!((found - expected).abs() < 1e-3, "{back:?}");
    }
}

/// Where an image is brighter than grey, as left, top, right and bottom.
fn bright(image: &RgbImage) -> [f32; 4] {
    let mut bounds = [f32::MAX, f32::MAX, 0.0, 0.0];
    for (x, y, pixel) in image.enumerate_pixels() {
        if pixel.0[0] > 127 {
            bounds[0] = f32::min(bounds[0], x as f32);
            bounds[1] = f32::min(bounds[1], y as f32);
            bounds[2] = f32::max(bounds[2], x as f32 + 1.0);
            bounds[3] = f32::max(bounds[3], y as f32 + 1.0);
        }
    }
    bounds
}

fn augmented(seed: u64, augment: &DetectionAugmentConfig) -> PreparedSample {
    let dataset = Rectangles::new([(40, 30)]);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    augment.apply(dataset.sample(0), &mut rng).unwrap()
}

#[test]
fn boxes_and_masks_move_with_the_image() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let sample = augmented(seed, &augment());
        let (width, height) = sample.image.dimensions();
        let instance = &sample.instances[0];
        for (found, expected) in instance.bounds.into_iter().zip(bright(&sample.image)) {
            assert!((found - expected).abs() <= 1.0, "seed {seed}: {instance:?}");
        }
        let mask = instance.mask.as_ref().unwrap();
        assert_eq!(mask.image_size(), (40, 30));
        let mirrored = mask.x() != 10;
        assert_eq!(mask.x(), if mirrored { 20 } else { 10 });
        seen.insert((width, height, mirrored));
        // Whatever the scale, the box holds the mask.
        let batch = DetectionBatch::new(vec![sample], &any_size(Normalization::default()));
        let (target, size) = (&batch.items[0], 7);
        let instance = &target.instances[0];
        let shares = target.mask_in(instance, instance.bounds, size).unwrap();
        assert!(shares.iter().all(|&share| share > 0.8), "{shares:?}");
        // Two boxes wide and high, the box in the middle: a quarter of the cells is covered.
        let [left, top, right, bottom] = instance.bounds;
        let (w, h) = ((right - left) / 2.0, (bottom - top) / 2.0);
        let around = [left - w, top - h, right + w, bottom + h];
        let shares = target.mask_in(instance, around, 28).unwrap();
        let covered = shares.iter().filter(|&&share| share >= 0.5).count();
        assert_eq!(covered, 14 * 14);
    }
    // Three scales, mirrored and not.
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[test]
fn nothing_is_random_where_nothing_is_asked_for() {
    let plain = DetectionAugmentConfig {
        scales: vec![[60, 40]],
        flip_probability: 0.0,
        ..DetectionAugmentConfig::default()
    };
    let fixed = DetectionSizeConfig {
        scale: [60, 40],
        stride: None,
    };
    let dataset = Rectangles::new([(40, 30)]);
    let expected = fixed.apply(dataset.sample(0)).unwrap();
    assert_eq!(expected.image.dimensions(), (53, 40));
    assert!((0..5).all(|seed| augmented(seed, &plain) == expected));
    let always = DetectionAugmentConfig {
        flip_probability: 1.0,
        ..plain
    };
    let mut flipped = augmented(0, &always);
    assert_ne!(flipped, expected);
    flipped.flip_horizontal();
    assert_eq!(flipped, expected);
}

#[test]
fn slivers_are_not_trained_on_but_measured() {
    let mut sample = Rectangles::new([(40, 30)]).sample(0);
    let sliver = Instance {
        bounds: [3.0, 4.0, 3.005, 9.0],
        mask: None,
        ..sample.instances[0].clone()
    };
    let crowd = Instance {
        is_crowd: true,
        ..sample.instances[0].clone()
    };
    sample.instances.extend([sliver, crowd]);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let trained = augment().apply(sample.clone(), &mut rng).unwrap();
    assert_eq!(trained.instances.len(), 2);
    let batch = DetectionBatch::new(vec![trained], &any_size(Normalization::default()));
    assert_eq!(batch.items[0].trained_on().count(), 1);
    let measured = DetectionSizeConfig::default().apply(sample).unwrap();
    assert_eq!(measured.instances.len(), 3);
}

#[test]
fn configurations_without_sense_are_refused() {
    let parsed = |text: &str| -> DetectionAugmentConfig { toml::from_str(text).unwrap() };
    let error = |text: &str| parsed(text).validate().unwrap_err();
    assert_eq!(parsed(""), DetectionAugmentConfig::default());
    assert!(parsed("").validate().is_ok());
    assert_says(&error("scales = []"), &["augment.scales", "[[1333, 800]]"]);
    assert_says(&error("scales = [[1333, 0]]"), &["augment.scales", "0]"]);
    assert_says(&error("stride = 0"), &["augment.stride", "1 to 1024"]);
    let flip = error("flip_probability = 1.5");
    assert_says(&flip, &["augment.flip_probability", "1.5"]);
    let color = error("photometric.probability = 2.0");
    assert_says(&color, &["augment.photometric.probability"]);
    assert!(toml::from_str::<DetectionAugmentConfig>("scale = [1, 2]").is_err());
    let size = DetectionSizeConfig {
        scale: [0, 1],
        stride: None,
    };
    assert_says(&size.validate().unwrap_err(), &["evaluation.scale"]);
    assert!(toml::from_str::<DetectionSizeConfig>("scales = []").is_err());
}

#[test]
fn a_stride_that_does_not_suit_the_network_is_refused() {
    let input = |stride| NetworkInput {
        stride,
        ..any_size(Normalization::default())
    };
    assert_eq!(augment().padded(input(8)).unwrap().stride, 16);
    assert_eq!(augment().padded(input(16)).unwrap().stride, 16);
    let default = DetectionAugmentConfig::default();
    assert_eq!(default.padded(input(14)).unwrap().stride, 14);
    let error = augment().padded(input(32)).unwrap_err();
    assert_says(&error, &["`augment.stride` = 16", "a multiple of 32"]);
    let size = DetectionSizeConfig {
        stride: Some(40),
        ..DetectionSizeConfig::default()
    };
    let dataset = Arc::new(some());
    let loader =
        DetectionLoader::evaluation(DetectionCollection::of(dataset), size, input(32), config(0));
    let error = loader.err().unwrap();
    assert_says(&error, &["`evaluation.stride` = 40", "a multiple of 32"]);
}

/// A dataset of the kind that the crate cannot vouch for.
struct Inconsistent(Rectangles, fn(&mut Instance));

impl DetectionDataset for Inconsistent {
    fn name(&self) -> &str {
        "inconsistent"
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn classes(&self) -> &[String] {
        self.0.classes()
    }

    fn palette(&self) -> &[[u8; 3]] {
        self.0.palette()
    }

    fn category_ids(&self) -> &[u64] {
        self.0.category_ids()
    }

    fn id(&self, index: usize) -> String {
        self.0.id(index)
    }

    fn get(&self, index: usize) -> Result<DetectionSample, DataError> {
        let mut sample = self.0.get(index)?;
        sample.instances.iter_mut().for_each(self.1);
        Ok(sample)
    }
}

#[test]
fn objects_that_do_not_fit_their_image_are_refused() {
    type Change = fn(&mut Instance);
    let changes: [(Change, &str); 4] = [
        (|instance| instance.bounds[2] = 99.0, "is not within"),
        (|instance| instance.bounds[0] = f32::NAN, "is not within"),
        (
            |instance| instance.class = 1,
            "its class is 1, but the number of classes is 1",
        ),
        (
            |instance| instance.mask = Some(Arc::new(Mask::from_runs(&[6], 2, 3))),
            "its mask is 2x3",
        ),
    ];
    for (change, part) in changes {
        let dataset = Arc::new(Inconsistent(some(), change));
        let input = any_size(Normalization::default());
        let loader = DetectionLoader::training(
            DetectionCollection::of(dataset),
            augment(),
            input,
            config(1),
        )
        .unwrap();
        let error = loader.iter(0).next().unwrap().unwrap_err();
        assert_says(&error, &["annotation 1", part]);
    }
}
