//! The largest numbers of rows, and suppression of rectangles, against the same on the host.

use burn::tensor::{Int, Tensor, TensorData};
use gradway_kernels::{most_likely, nms, top_k, unsuppressed};

use crate::harness::{Inputs, Plain};

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<Plain, D> {
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

#[test]
fn the_largest_of_rows() {
    // One, all, a few of many, more than units, as many as a cube holds; more than it holds.
    for (rows, columns, count) in [
        (2, 1, 1),
        (3, 61, 61),
        (2, 3001, 7),
        (3, 4999, 1000),
        (1, 9001, 2048),
        (2, 5003, 2100),
    ] {
        let inputs = Inputs::random(70, &[&[rows, columns]]);
        let mut values: Vec<f32> = inputs.tensor::<Plain, 2>(0).into_data().to_vec().unwrap();
        // Equals everywhere, of which some are not taken, numbers of both signs.
        for value in values.iter_mut() {
            *value = (*value * 40.0).round() / 8.0;
        }
        if columns > 100 {
            values[50] = f32::INFINITY;
            values[columns - 1] = f32::NEG_INFINITY;
            values[columns - 2] = f32::NAN;
            values[3] = -0.0;
        }
        let (found, places) = top_k(tensor(values.clone(), [rows, columns]), count);
        let found: Vec<f32> = found.into_data().to_vec().unwrap();
        let places: Tensor<Plain, 2, Int> = places;
        let places: Vec<i32> = places.into_data().iter::<i32>().collect();
        for row in 0..rows {
            let row_values = &values[row * columns..][..columns];
            let mut order: Vec<usize> = (0..columns).collect();
            order.sort_by(|a, b| row_values[*b].total_cmp(&row_values[*a]));
            for (rank, place) in order.into_iter().take(count).enumerate() {
                let at = row * count + rank;
                assert_eq!(places[at] as usize, place, "{count} of {columns}: {rank}");
                assert_eq!(found[at].to_bits(), row_values[place].to_bits());
            }
        }
    }
}

#[test]
fn rectangles_that_are_kept() {
    for (groups, count) in [(1, 1), (2, 31), (3, 257), (2, 2000)] {
        let inputs = Inputs::random(71, &[&[groups, count, 4]]);
        let numbers: Vec<f32> = inputs.tensor::<Plain, 3>(0).into_data().to_vec().unwrap();
        let (rectangles, _) = numbers.as_chunks::<4>();
        let bounds: Vec<[f32; 4]> = rectangles
            .iter()
            .map(|[x, y, width, height]| {
                // Whole numbers: IoUs are exact, and equals and rectangles of no area are among them.
                let [x, y] = [x, y].map(|place| (place * 10.0).round());
                let [width, height] = [width, height].map(|side| (side.abs() * 4.0).floor());
                [x, y, x + width, y + height]
            })
            .collect();
        let flat = bounds.as_flattened().to_vec();
        for threshold in [0.25, 0.5, 0.7] {
            let kept = nms(tensor(flat.clone(), [groups, count, 4]), threshold);
            let kept: Vec<f32> = kept.into_data().to_vec().unwrap();
            let expected = (0..groups)
                .flat_map(|group| unsuppressed(&bounds[group * count..][..count], threshold));
            let expected: Vec<f32> = expected.map(|kept| f32::from(u8::from(kept))).collect();
            assert_eq!(kept, expected, "{groups} groups of {count}, {threshold}");
            assert!(count < 100 || (expected.contains(&0.0) && expected.contains(&1.0)));
        }
    }
}

#[test]
fn what_is_kept_by_hand() {
    let bounds = [
        [0.0, 0.0, 10.0, 10.0],
        [0.0, 0.0, 10.0, 8.0],
        [0.0, 0.0, 10.0, 5.0],
        [20.0, 20.0, 20.0, 20.0],
    ];
    // 0.8 and 0.5 with the first, 0.625 of the second with the third.
    for (threshold, expected) in [
        (0.45, [true, false, false, true]),
        (0.6, [true, false, true, true]),
        (0.8, [true; 4]),
    ] {
        assert_eq!(unsuppressed(&bounds, threshold), expected);
    }
    assert!(unsuppressed(&[], 0.5).is_empty());
}

#[test]
fn the_class_of_the_largest_logit() {
    let (batch, classes, size) = (2, 19, [13, 11]);
    let inputs = Inputs::random(72, &[&[batch, classes, size[0], size[1]]]);
    let mut values: Vec<f32> = inputs.tensor::<Plain, 4>(0).into_data().to_vec().unwrap();
    // Equals, of which the first counts.
    for value in values.iter_mut() {
        *value = (*value * 2.0).round();
    }
    let [height, width] = size;
    let found = most_likely(tensor(values.clone(), [batch, classes, height, width]));
    assert_eq!(found.dims(), [batch, height, width]);
    let found: Vec<i32> = found.into_data().iter::<i32>().collect();
    for (place, class) in found.into_iter().enumerate() {
        let (image, position) = (place / (height * width), place % (height * width));
        let logit = |class: usize| values[(image * classes + class) * height * width + position];
        let expected = (0..classes)
            .rev()
            .max_by(|a, b| logit(*a).total_cmp(&logit(*b)));
        assert_eq!(Some(class as usize), expected, "{place}");
    }
}
