//! Resampling learnt positions to another grid.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// How learnt positions are resampled to the grid of an image, always by bicubic interpolation.
///
/// Publishers do it differently, and a backbone should see what it was trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resampling {
    /// With antialiasing where the grid becomes smaller, as in timm.
    #[default]
    Antialiased,
    /// Without, as in transformers.
    Plain,
    /// Without, and with 0.1 added to the new size in the ratio of the sizes, as in Meta's DINOv2.
    Offset,
}

impl Resampling {
    /// Returns the name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Antialiased => "antialiased",
            Self::Plain => "plain",
            Self::Offset => "offset",
        }
    }

    /// Returns the way with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Antialiased, Self::Plain, Self::Offset];
        all.into_iter().find(|one| one.name() == name)
    }

    /// Resamples a grid.
    ///
    /// # Shapes
    ///
    /// - `grid`: `[side, side, channels]`
    /// - output: `[height, width, channels]`
    pub fn resample<B: Backend>(
        self,
        grid: Tensor<B, 3>,
        [height, width]: [usize; 2],
    ) -> Tensor<B, 3> {
        let [side, _, channels] = grid.dims();
        if [height, width] == [side; 2] {
            return grid;
        }
        let (device, dtype) = (grid.device(), grid.dtype());
        let weights = |size: usize| {
            let data = TensorData::new(self.weights(side, size), [size, side]);
            Tensor::<B, 2>::from_data(data, &device).cast(dtype)
        };
        let rows = weights(height)
            .matmul(grid.reshape([side, side * channels]))
            .reshape([height, side, channels]);
        let columns = rows.swap_dims(0, 1).reshape([side, height * channels]);
        weights(width)
            .matmul(columns)
            .reshape([width, height, channels])
            .swap_dims(0, 1)
    }

    /// The weights of every old place in every new one, `[size, side]`.
    fn weights(self, side: usize, size: usize) -> Vec<f32> {
        let mut weights = vec![0.0; size * side];
        for (place, row) in weights.chunks_exact_mut(side).enumerate() {
            match self {
                Self::Antialiased => antialiased(row, place, side as f64 / size as f64),
                Self::Plain => plain(row, place, side as f64 / size as f64),
                Self::Offset => plain(row, place, side as f64 / (size as f64 + 0.1)),
            }
        }
        weights
    }
}

/// PyTorch's bicubic interpolation (`align_corners=False`): Keys' kernel with a = -0.75, the border repeated.
fn plain(row: &mut [f32], place: usize, ratio: f64) {
    let last = row.len() - 1;
    let centre = (place as f64 + 0.5) * ratio - 0.5;
    let base = centre.floor();
    for tap in -1..=2 {
        let source = base + f64::from(tap);
        let weight = cubic((centre - source).abs(), -0.75);
        row[source.clamp(0.0, last as f64) as usize] += weight as f32;
    }
}

/// PyTorch's bicubic interpolation with `antialias=True`, which is Pillow's: Keys' kernel with a = -0.5, as wide as the
/// ratio where that is above 1, cut at the border and normalised.
fn antialiased(row: &mut [f32], place: usize, ratio: f64) {
    let scale = ratio.max(1.0);
    let centre = (place as f64 + 0.5) * ratio;
    let first = (centre - 2.0 * scale + 0.5).max(0.0) as usize;
    let last = ((centre + 2.0 * scale + 0.5) as usize).min(row.len());
    let weights: Vec<f64> = (first..last)
        .map(|source| cubic((source as f64 + 0.5 - centre).abs() / scale, -0.5))
        .collect();
    let total: f64 = weights.iter().sum();
    for (weight, place) in weights.iter().zip(&mut row[first..last]) {
        *place = (weight / total) as f32;
    }
}

/// Keys' cubic convolution kernel (Keys 1981).
fn cubic(distance: f64, a: f64) -> f64 {
    if distance <= 1.0 {
        ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0
    } else if distance < 2.0 {
        ((a * distance - 5.0 * a) * distance + 8.0 * a) * distance - 4.0 * a
    } else {
        0.0
    }
}
