//! Geometry: whatever happens to an image happens to its labels.

use crate::common::{Coordinates, class_map, class_map_mut};
use gradway_data::{
    AugmentConfig, DenseSample, EvaluationSize, IGNORE, LabelMap, Movable, PhotometricConfig,
    SlideConfig,
};
use image::{Rgb, RgbImage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn sample(width: u32, height: u32) -> DenseSample {
    Coordinates::new([(width, height)]).sample(0)
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Asserts that the label of every pixel is the label of the place its colour tells, apart from
/// pixels whose place is within `tolerance` pixels of a cell's border.
fn assert_labels_follow_the_image(sample: &DenseSample, tolerance: f32) {
    assert_eq!(
        sample.image.dimensions(),
        (class_map(sample).width, class_map(sample).height)
    );
    let mut compared = 0;
    for (x, y, pixel) in sample.image.enumerate_pixels() {
        // The colour is four times the index of the source pixel; its centre is half a pixel on.
        let place = |channel: usize| f32::from(pixel.0[channel]) / 4.0 + 0.5;
        let near_border = |place: f32| {
            let cell = place.rem_euclid(8.0);
            cell < tolerance || cell > 8.0 - tolerance
        };
        let (column, row) = (place(0), place(1));
        if near_border(column) || near_border(row) {
            continue;
        }
        compared += 1;
        let expected = Coordinates::label(column as u32, row as u32);
        assert_eq!(class_map(sample).get(x, y), Some(expected), "at {x}, {y}");
    }
    assert!(compared > 0);
}

#[test]
fn resizing_keeps_labels_under_their_pixels() {
    for (width, height) in [(64, 48), (32, 24), (16, 12), (45, 13), (31, 77), (5, 90)] {
        let resized = sample(32, 24).resize(width, height).unwrap();
        assert_eq!(resized.image.dimensions(), (width, height));
        assert_labels_follow_the_image(&resized, 0.4);
    }
}

#[test]
fn a_pixel_shift_of_the_labels_would_be_seen() {
    let mut resized = sample(32, 24).resize(64, 48).unwrap();
    class_map_mut(&mut resized).data.rotate_right(1);
    let shifted = std::panic::catch_unwind(|| assert_labels_follow_the_image(&resized, 0.4));
    assert!(shifted.is_err());
}

#[test]
fn flip_mirrors_columns_only() {
    let mut flipped = sample(20, 10);
    flipped.flip_horizontal();
    assert_eq!(flipped.image.get_pixel(0, 3).0[..2], [19 * 4, 3 * 4]);
    assert_labels_follow_the_image(&flipped, 0.0);
    flipped.flip_horizontal();
    assert_eq!(flipped, sample(20, 10));
}

#[test]
fn crop_cuts_the_same_window() {
    let cut = sample(32, 24).crop(5, 7, 10, 9);
    assert_eq!(cut.image.dimensions(), (10, 9));
    assert_eq!(cut.image.get_pixel(0, 0).0[..2], [5 * 4, 7 * 4]);
    assert_labels_follow_the_image(&cut, 0.0);
    // Cut off at the edges, or beyond them.
    let corner = sample(32, 24).crop(30, 20, 10, 9);
    assert_eq!(corner.image.dimensions(), (2, 4));
    let outside = sample(32, 24).crop(33, 30, 10, 9);
    assert_eq!(
        (outside.image.dimensions(), class_map(&outside).data.len()),
        ((0, 0), 0)
    );
}

#[test]
fn the_whole_chain_keeps_labels_under_their_pixels() {
    let augment = AugmentConfig {
        crop_size: [16, 20],
        photometric: PhotometricConfig::disabled(),
        ..AugmentConfig::default()
    };
    let mut flipped = 0;
    for seed in 0..200 {
        let augmented = augment.apply(sample(32, 24), &mut rng(seed)).unwrap();
        let (width, height) = augmented.image.dimensions();
        assert!(width <= 20 && height <= 16);
        assert_labels_follow_the_image(&augmented, 0.4);
        let left = augmented.image.get_pixel(0, 0).0[0];
        let right = augmented.image.get_pixel(width - 1, 0).0[0];
        flipped += usize::from(left > right);
    }
    assert!((60..140).contains(&flipped), "{flipped} of 200 flipped");
}

#[test]
fn scales_cover_their_range() {
    let augment = AugmentConfig {
        crop_size: [1000, 1000],
        photometric: PhotometricConfig::disabled(),
        base_size: Some([64, 32]),
        ..AugmentConfig::default()
    };
    let widths: Vec<u32> = (0..100)
        .map(|seed| augment.apply(sample(32, 16), &mut rng(seed)).unwrap())
        .map(|augmented| augmented.image.width())
        .collect();
    // Fitted to 64 x 32 first, then scaled by 0.5 to 2.
    let (smallest, largest) = (widths.iter().min().unwrap(), widths.iter().max().unwrap());
    assert!((32..40).contains(smallest), "{smallest}");
    assert!((120..=128).contains(largest), "{largest}");
}

#[test]
fn the_same_seed_gives_the_same_sample() {
    let augment = AugmentConfig {
        crop_size: [16, 16],
        ..AugmentConfig::default()
    };
    let apply = |seed| augment.apply(sample(32, 24), &mut rng(seed)).unwrap();
    assert_eq!(apply(1), apply(1));
    assert_ne!(apply(1), apply(2));
}

/// Left of `edge` class 0, right of it class 1.
fn halves(edge: u32) -> DenseSample {
    let (width, height) = (100, 10);
    let mut labels = LabelMap::filled(width, height, 0);
    for (place, label) in labels.data.iter_mut().enumerate() {
        *label = u8::from(place as u32 % width >= edge);
    }
    DenseSample::segmentation("halves", RgbImage::new(width, height), labels)
}

#[test]
fn crops_avoid_a_dominating_class() {
    let mut augment = AugmentConfig::crop_only(10, 10);
    let dominated = |augment: &AugmentConfig| {
        let seeds = 0..200;
        let crops = seeds.map(|seed| augment.apply(halves(50), &mut rng(seed)).unwrap());
        crops
            .filter(|crop| {
                let ones = class_map(crop)
                    .data
                    .iter()
                    .filter(|&&label| label == 1)
                    .count();
                !(26..75).contains(&ones)
            })
            .count()
    };
    // A crop of 10 columns shows both classes well at 5 of its 91 places: a chance of 1 - (86 / 91)^11.
    let without = dominated(&augment);
    augment.crop_max_class_share = Some(0.75);
    let with = dominated(&augment);
    assert!(without > 175, "{without}");
    assert!((70..145).contains(&with), "{with}");
}

#[test]
fn crops_without_any_good_place_still_come() {
    let augment = AugmentConfig {
        crop_max_class_share: Some(0.75),
        ..AugmentConfig::crop_only(10, 10)
    };
    let mut ignored = halves(0);
    class_map_mut(&mut ignored).data.fill(IGNORE);
    for sample in [halves(0), ignored] {
        let crop = augment.apply(sample, &mut rng(0)).unwrap();
        assert_eq!(crop.image.dimensions(), (10, 10));
    }
}

#[test]
fn photometric_distortion_changes_the_image_only() {
    let photometric = PhotometricConfig {
        probability: 1.0,
        ..PhotometricConfig::default()
    };
    let augment = AugmentConfig {
        photometric,
        ..AugmentConfig::crop_only(24, 32)
    };
    let mut changed = 0;
    for seed in 0..20 {
        let augmented = augment.apply(sample(32, 24), &mut rng(seed)).unwrap();
        assert_eq!(augmented.labels, sample(32, 24).labels);
        changed += usize::from(augmented.image != sample(32, 24).image);
    }
    assert_eq!(changed, 20);
    let augment = AugmentConfig::crop_only(24, 32);
    assert_eq!(
        augment.apply(sample(32, 24), &mut rng(0)).unwrap(),
        sample(32, 24)
    );
}

#[test]
fn photometric_distortion_stays_near_the_image() {
    let grey = RgbImage::from_pixel(4, 4, Rgb([120, 120, 120]));
    for seed in 0..200 {
        let mut image = grey.clone();
        PhotometricConfig::default().apply(&mut image, &mut rng(seed));
        let [red, green, blue] = image.get_pixel(0, 0).0;
        // Grey has no hue and no saturation, so it stays grey, within brightness and contrast.
        assert_eq!((red, green), (green, blue));
        assert!((44..=228).contains(&red), "{red}");
    }
}

#[test]
fn evaluation_sizes() {
    let size = |size: EvaluationSize, width, height| {
        let (width, height) = size.target(width, height, 1.0);
        let resized = sample(32, 20).resize(width, height).unwrap();
        assert_labels_follow_the_image(&resized, 0.4);
        resized.image.dimensions()
    };
    assert_eq!(size(EvaluationSize::Original, 32, 20), (32, 20));
    let fixed = EvaluationSize::Fixed {
        height: 40,
        width: 24,
    };
    assert_eq!(size(fixed, 32, 20), (24, 40));
    let fit = EvaluationSize::Fit {
        long: 64,
        short: 30,
    };
    assert_eq!(size(fit, 32, 20), (48, 30));
    assert_eq!(size(fit, 32, 8), (64, 16));
    assert_eq!(size(fit, 8, 32), (16, 64));
    let slide = |base_size| {
        EvaluationSize::Slide(SlideConfig {
            crop: [16, 16],
            stride: [8, 8],
            base_size,
        })
    };
    assert_eq!(size(slide(None), 32, 20), (32, 20));
    assert_eq!(size(slide(Some([64, 30])), 32, 20), (48, 30));
    // Rounded, halves up: 33.75 and 22.5.
    assert_eq!(EvaluationSize::Original.target(15, 10, 2.25), (34, 23));
    assert_eq!(fixed.target(32, 20, 0.75), (18, 30));
    assert_eq!(fit.target(32, 20, 0.5), (24, 15));
    assert_eq!(slide(Some([64, 30])).target(32, 20, 0.5), (24, 15));
}

#[test]
fn sizes_that_cannot_be_are_errors() {
    assert!(sample(8, 8).resize(0, 8).is_err());
    let error = sample(8, 8).resize(1 << 20, 1 << 20).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("`sample 0` of 8x8"), "{message}");
}
