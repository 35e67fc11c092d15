//! Pictures of dense predictions.

use gradway_trainer::task::TaskPrediction;
use image::{Rgb, RgbImage};

use super::colors;

/// The colours of distances from the nearest to the farthest, which are interpolated.
const NEAR_TO_FAR: [[f32; 3]; 5] = [
    [252.0, 253.0, 191.0],
    [252.0, 137.0, 97.0],
    [183.0, 55.0, 121.0],
    [81.0, 18.0, 124.0],
    [0.0, 0.0, 4.0],
];

/// Returns a picture of a task's prediction: classes in their colours, probabilities in grey, normals as `(n +
/// 1) / 2` in red, green and blue, distances from light to dark.
pub fn task(prediction: &TaskPrediction, width: usize, palette: &[[u8; 3]]) -> RgbImage {
    match prediction {
        TaskPrediction::Classes(labels) => colors(labels, width as u32, palette),
        TaskPrediction::Probabilities(values) => {
            of_pixels(values.len(), width, |pixel| [255.0 * values[pixel]; 3])
        }
        TaskPrediction::Normals(values) => {
            let pixels = values.len() / 3;
            let component = |pixel: usize, axis: usize| values[axis * pixels + pixel];
            of_pixels(pixels, width, |pixel| {
                [0, 1, 2].map(|axis| 127.5 * (component(pixel, axis) + 1.0))
            })
        }
        TaskPrediction::Depth(values) => {
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let range = (most - least).max(f32::MIN_POSITIVE);
            of_pixels(values.len(), width, |pixel| {
                mixed((values[pixel] - least) / range)
            })
        }
    }
}

/// The interpolated colour at a share of the way from near to far.
fn mixed(share: f32) -> [f32; 3] {
    let last = NEAR_TO_FAR.len() - 1;
    let at = share.clamp(0.0, 1.0) * last as f32;
    let first = (at as usize).min(last - 1);
    let rest = at - first as f32;
    let (from, to) = (NEAR_TO_FAR[first], NEAR_TO_FAR[first + 1]);
    std::array::from_fn(|channel| from[channel] * (1.0 - rest) + to[channel] * rest)
}

fn of_pixels(pixels: usize, width: usize, color: impl Fn(usize) -> [f32; 3]) -> RgbImage {
    let height = pixels / width.max(1);
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let color = color(y as usize * width + x as usize);
        Rgb(color.map(|value| value.round().clamp(0.0, 255.0) as u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prediction_becomes_a_picture_of_its_size() {
        let classes = task(
            &TaskPrediction::Classes(vec![0, 1]),
            2,
            &[[1, 2, 3], [4, 5, 6]],
        );
        assert_eq!(classes.as_raw(), &[1, 2, 3, 4, 5, 6]);
        let grey = task(&TaskPrediction::Probabilities(vec![0.0, 1.0]), 1, &[]);
        assert_eq!((grey.dimensions(), grey.as_raw()[3]), ((1, 2), 255));
        let normals = task(&TaskPrediction::Normals(vec![1.0, 0.0, -1.0]), 1, &[]);
        assert_eq!(normals.as_raw(), &[255, 128, 0]);
        let depth = task(&TaskPrediction::Depth(vec![5.0, 1.0]), 2, &[]);
        assert_eq!(depth.as_raw(), &[0, 0, 4, 252, 253, 191]);
        let flat = task(&TaskPrediction::Depth(vec![2.0, 2.0]), 2, &[]);
        assert_eq!(flat.dimensions(), (2, 1));
    }
}
