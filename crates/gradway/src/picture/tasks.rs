//! Pictures of dense predictions.

use gradway_trainer::task::{Appearance, TaskPrediction};
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

/// The prediction of a task: classes in their colours, values as their [`Appearance`] says.
pub fn task(prediction: &TaskPrediction, width: usize, palette: &[[u8; 3]]) -> RgbImage {
    match prediction {
        TaskPrediction::Classes(labels) => colors(labels, width as u32, palette),
        TaskPrediction::Values {
            channels,
            appearance,
            data,
        } => {
            let pixels = data.len() / (*channels).max(1);
            values(*appearance, data, pixels, width)
        }
    }
}

/// Values, `[channels, pixels]`, as a picture.
fn values(appearance: Appearance, data: &[f32], pixels: usize, width: usize) -> RgbImage {
    match appearance {
        Appearance::Grey => of_pixels(pixels, width, |pixel| [255.0 * data[pixel]; 3]),
        Appearance::Directions => of_pixels(pixels, width, |pixel| {
            [0, 1, 2].map(|axis| {
                let component = data.get(axis * pixels + pixel).copied();
                127.5 * (component.unwrap_or_default() + 1.0)
            })
        }),
        Appearance::NearToFar => {
            let data = &data[..pixels];
            let least = data.iter().copied().fold(f32::INFINITY, f32::min);
            let most = data.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let range = (most - least).max(f32::MIN_POSITIVE);
            of_pixels(pixels, width, |pixel| mixed((data[pixel] - least) / range))
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
        let values = |appearance, data: &[f32], channels| TaskPrediction::Values {
            channels,
            appearance,
            data: data.to_vec(),
        };
        let grey = task(&values(Appearance::Grey, &[0.0, 1.0], 1), 1, &[]);
        assert_eq!((grey.dimensions(), grey.as_raw()[3]), ((1, 2), 255));
        let normals = values(Appearance::Directions, &[1.0, 0.0, -1.0], 3);
        assert_eq!(task(&normals, 1, &[]).as_raw(), &[255, 128, 0]);
        let depth = values(Appearance::NearToFar, &[5.0, 1.0], 1);
        assert_eq!(task(&depth, 2, &[]).as_raw(), &[0, 0, 4, 252, 253, 191]);
        let flat = values(Appearance::NearToFar, &[2.0, 2.0], 1);
        assert_eq!(task(&flat, 2, &[]).dimensions(), (2, 1));
    }
}
