//! What is drawn at random: every change of colour on its own, its probability, and that samples do
//! not share their draws.

use std::sync::Arc;

use crate::common::{
    Coordinates, Lit, SEGMENTATION, any_size, assert_says, class_map, classes, lit_tasks,
    segmentation,
};
use gradway_data::{
    AugmentConfig, DenseLabels, DenseLoader, DenseSample, DenseTask, LabelMap, LoaderConfig,
    Movable, Normalization, PhotometricConfig,
};
use image::{Rgb, RgbImage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Certain, and without effect: a test turns on the one change it looks at.
fn nothing() -> PhotometricConfig {
    PhotometricConfig {
        probability: 1.0,
        brightness_delta: 0.0,
        contrast_range: [1.0, 1.0],
        saturation_range: [1.0, 1.0],
        hue_delta: 0.0,
    }
}

/// The colour that `color` becomes under each of 400 seeds.
fn distorted(config: &PhotometricConfig, color: [u8; 3]) -> Vec<[u8; 3]> {
    let one = |seed| {
        let mut image = RgbImage::from_pixel(1, 1, Rgb(color));
        config.apply(&mut image, &mut ChaCha8Rng::seed_from_u64(seed));
        image.get_pixel(0, 0).0
    };
    (0..400).map(one).collect()
}

#[test]
fn without_any_range_nothing_changes() {
    let colors = distorted(&nothing(), [200, 90, 30]);
    assert!(colors.iter().all(|color| *color == [200, 90, 30]));
}

#[test]
fn brightness_moves_all_channels_alike_over_its_whole_range() {
    let config = PhotometricConfig {
        brightness_delta: 32.0,
        ..nothing()
    };
    let colors = distorted(&config, [100, 110, 120]);
    for [red, green, blue] in &colors {
        assert!(green - red == 10 && blue - green == 10);
        assert!((68..=132).contains(red), "{red}");
    }
    let reds = || colors.iter().map(|color| color[0]);
    assert!(reds().min() < Some(72) && reds().max() > Some(128));
}

#[test]
fn contrast_applies_once_whether_it_comes_first_or_last() {
    let config = PhotometricConfig {
        contrast_range: [0.5, 0.5],
        ..nothing()
    };
    for color in distorted(&config, [100, 40, 200]) {
        assert_eq!(color, [50, 20, 100]);
    }
    // Saturation lies between the two places: where contrast meets the limit of 255, first and last
    // differ, and each must occur.
    let config = PhotometricConfig {
        contrast_range: [2.0, 2.0],
        saturation_range: [0.5, 0.5],
        ..nothing()
    };
    let colors = distorted(&config, [100, 40, 200]);
    let last = colors.iter().filter(|color| color[1] == 240).count();
    let first = colors.iter().filter(|color| color[1] == 168).count();
    assert_eq!(first + last, 400);
    assert!((160..=240).contains(&first), "{first}");
}

#[test]
fn saturation_and_hue_keep_the_largest_channel() {
    let saturation = PhotometricConfig {
        saturation_range: [0.5, 0.5],
        ..nothing()
    };
    for color in distorted(&saturation, [200, 100, 0]) {
        assert_eq!(color, [200, 150, 100]);
    }
    let hue = PhotometricConfig {
        hue_delta: 36.0,
        ..nothing()
    };
    let colors = distorted(&hue, [200, 50, 50]);
    let (mut towards_green, mut towards_blue) = (0, 0);
    for [red, green, blue] in colors {
        // Less than 60 degrees from red: red stays the largest, one other channel the smallest.
        assert_eq!((red, green.min(blue)), (200, 50));
        // 36 degrees of 60 are 0.6 of the chroma.
        assert!(green.max(blue) <= 140);
        towards_green += usize::from(green > blue);
        towards_blue += usize::from(blue > green);
    }
    assert!(towards_green > 140 && towards_blue > 140);
}

#[test]
fn a_change_happens_with_its_probability() {
    for (probability, expected) in [(0.0, 0..=0), (0.25, 70..=130), (0.5, 160..=240)] {
        let config = PhotometricConfig {
            probability,
            contrast_range: [0.5, 0.5],
            ..nothing()
        };
        let colors = distorted(&config, [100; 3]);
        let changed = colors.iter().filter(|color| **color == [50; 3]).count();
        assert!(expected.contains(&changed), "{probability}: {changed}");
    }
}

#[test]
fn samples_of_an_epoch_do_not_share_their_draws() {
    let augment = AugmentConfig {
        flip_probability: 0.5,
        ..AugmentConfig::crop_only(8, 16)
    };
    let config = LoaderConfig {
        batch_size: 64,
        shuffle: false,
        ..LoaderConfig::default()
    };
    let dataset = Arc::new(Coordinates::new([(16, 8); 64]));
    let input = any_size(Normalization::default());
    let loader = DenseLoader::training(segmentation(dataset), augment, input, config).unwrap();
    let batch = loader.iter(0).next().unwrap().unwrap();
    // The label of the upper left pixel tells a flipped sample.
    let labels = classes(&batch);
    let flipped = labels.chunks(8 * 16).filter(|labels| labels[0] == 1);
    let flipped = flipped.count();
    assert!((16..=48).contains(&flipped), "{flipped} of 64 flipped");
}

/// What a chain of these draws makes of a sample, in their order: the scale, the angle where one is drawn,
/// the place of the crop, the flip, the colours.
fn drawn_by_hand(sample: DenseSample, augment: &AugmentConfig, seed: u64) -> DenseSample {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let [low, high] = augment.scale_range;
    let factor = f64::from(low + (high - low) * rng.random::<f32>());
    let (width, height) = sample.size();
    let scaled = |side: u32| (f64::from(side) * factor + 0.5) as u32;
    let mut sample = sample.resize(scaled(width), scaled(height)).unwrap();
    if let Some([low, high]) = augment.rotation_range {
        let angle = low + (high - low) * rng.random::<f32>();
        sample = sample.rotate(angle, augment.fill_color);
    }
    let [crop_height, crop_width] = augment.crop_size;
    let (width, height) = sample.size();
    let size = (crop_width.min(width), crop_height.min(height));
    if size != (width, height) {
        let x = rng.random_range(0..=width - size.0);
        let y = rng.random_range(0..=height - size.1);
        sample = sample.crop(x, y, size.0, size.1);
    }
    if rng.random::<f32>() < augment.flip_probability {
        sample.flip_horizontal();
    }
    augment.photometric.apply(&mut sample.image, &mut rng);
    sample
}

#[test]
fn segmentation_draws_scale_crop_flip_and_colours_and_nothing_else() {
    let augment = AugmentConfig {
        crop_size: [16, 20],
        crop_max_class_share: Some(1.0),
        ..AugmentConfig::default()
    };
    for seed in 0..50 {
        let sample = Coordinates::new([(32, 24)]).sample(0);
        let found = augment.apply(sample.clone(), &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(
            found.unwrap(),
            drawn_by_hand(sample, &augment, seed),
            "{seed}"
        );
    }
}

#[test]
fn an_angle_is_drawn_between_scale_and_crop_where_one_is_asked_for() {
    for range in [[0.0, 0.0], [-20.0, 35.0]] {
        let augment = AugmentConfig {
            crop_size: [20, 26],
            rotation_range: Some(range),
            scale_depth: false,
            ..AugmentConfig::default()
        };
        for seed in 0..20 {
            let sample = Lit::new(40, 30).sample(&lit_tasks());
            let found = augment.apply(sample.clone(), &mut ChaCha8Rng::seed_from_u64(seed));
            assert_eq!(
                found.unwrap(),
                drawn_by_hand(sample, &augment, seed),
                "{seed}"
            );
        }
    }
}

/// Left of the middle class 0, right of it class 1, in pictures 100 pixels wide.
fn halves(tasks: &[DenseTask]) -> DenseSample {
    let classes = LabelMap {
        width: 100,
        height: 10,
        data: (0..1000).map(|place| u8::from(place % 100 >= 50)).collect(),
    };
    let mut sample = DenseSample::segmentation("halves", RgbImage::new(100, 10), classes.clone());
    let classes = DenseLabels::Classes(classes);
    sample.labels = tasks.iter().map(|&task| (task, classes.clone())).collect();
    sample
}

#[test]
fn a_dominating_class_is_avoided_by_default_where_segmentation_is_the_only_task() {
    let several = [DenseTask::SemanticSegmentation, DenseTask::Saliency];
    let mixed = |tasks: &[DenseTask], share| {
        let augment = AugmentConfig {
            crop_max_class_share: share,
            ..AugmentConfig::crop_only(10, 10)
        };
        let crops = (0..200).map(|seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            augment.apply(halves(tasks), &mut rng).unwrap()
        });
        let is_mixed = |crop: &DenseSample| {
            let ones = class_map(crop).data.iter().filter(|&&label| label == 1);
            (26..75).contains(&ones.count())
        };
        crops.filter(is_mixed).count()
    };
    // Five places of 91 are good; with ten more attempts about half of all crops are.
    assert!(mixed(&SEGMENTATION, None) > 55);
    assert_eq!(mixed(&SEGMENTATION, None), mixed(&SEGMENTATION, Some(0.75)));
    assert!(mixed(&several, None) < 25);
    assert!(mixed(&several, Some(0.75)) > 55);
    let augment = AugmentConfig {
        crop_max_class_share: Some(0.5),
        ..AugmentConfig::default()
    };
    assert!(augment.require_classes(&several).is_ok());
    let error = augment.require_classes(&[DenseTask::Depth]).unwrap_err();
    assert_says(
        &error,
        &[
            "`augment.crop_max_class_share` = 0.5",
            "semantic_segmentation",
        ],
    );
}
