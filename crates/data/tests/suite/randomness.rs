//! What is drawn at random: every change of colour on its own, its probability, and that samples do
//! not share their draws.

use std::sync::Arc;

use crate::common::{Coordinates, any_size, classes};
use gradway_data::{
    AugmentConfig, LoaderConfig, Normalization, PhotometricConfig, SegmentationLoader,
};
use image::{Rgb, RgbImage};
use rand::SeedableRng;
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
    let loader = SegmentationLoader::training(dataset, augment, input, config).unwrap();
    let batch = loader.iter(0).next().unwrap().unwrap();
    // The label of the upper left pixel tells a flipped sample.
    let labels = classes(&batch);
    let flipped = labels.chunks(8 * 16).filter(|labels| labels[0] == 1);
    let flipped = flipped.count();
    assert!((16..=48).contains(&flipped), "{flipped} of 64 flipped");
}
