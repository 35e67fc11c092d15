//! RoIAlign: what is read line by line against what is read sample by sample.

use std::sync::Arc;

use burn::tensor::Tensor;
use gradway_kernels::{Roi, RoiAlign, roi_align, roi_align_reference};

use crate::harness::{Inputs, assert_parity};

/// Inside, across every border, beyond the map, of no area, turned about, of the whole image.
fn rois() -> Arc<[Roi]> {
    let bounds = [
        [3.2, 4.7, 30.1, 41.9],
        [-12.0, -9.5, 20.0, 11.0],
        [50.0, 33.0, 90.0, 70.0],
        [300.0, 300.0, 340.0, 360.0],
        [17.3, 8.1, 17.3, 8.1],
        [40.0, 30.0, 20.0, 10.0],
        [0.0, 0.0, 68.0, 44.0],
        [11.9, 20.2, 12.4, 20.6],
    ];
    let rois = bounds.into_iter().enumerate();
    rois.map(|(index, bounds)| Roi {
        image: index % 2,
        bounds,
    })
    .collect()
}

#[test]
fn every_kind_of_sampling() {
    for (size, sampling) in [(7, 0), (7, 2), (14, 0), (1, 3), (9, 1)] {
        for aligned in [true, false] {
            let options = RoiAlign {
                size,
                scale: 0.25,
                sampling,
                aligned,
            };
            assert_parity(
                &Inputs::random(50, &[&[2, 5, 11, 17]]),
                |leaves| roi_align(leaves.get(0), rois(), options),
                |leaves| roi_align_reference(leaves.get(0), &rois(), options),
            );
        }
    }
}

#[test]
fn more_than_is_held_at_once() {
    let options = RoiAlign {
        size: 14,
        scale: 1.0,
        sampling: 0,
        aligned: true,
    };
    let rois: Arc<[Roi]> = rois().iter().cycle().take(40).copied().collect();
    assert_parity(
        &Inputs::random(51, &[&[2, 64, 44, 68]]),
        |leaves| roi_align(leaves.get(0), rois.clone(), options),
        |leaves| {
            // On Vulkan Burn's scatter loses what it adds where it adds a hundred thousand rows at once.
            let at_once = if cfg!(feature = "vulkan") {
                8
            } else {
                rois.len()
            };
            let part = |rois| roi_align_reference(leaves.get(0), rois, options);
            Tensor::cat(rois.chunks(at_once).map(part).collect(), 0)
        },
    );
}
