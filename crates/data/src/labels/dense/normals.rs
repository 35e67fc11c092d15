//! The direction that the surface faces at every pixel.
//!
//! A normal is a direction of the picture: it is mirrored and rotated with it. Where normals are blended, it is from
//! the four pixels around a point, without those to be ignored, and the result is of length 1 again; where the pixel
//! that holds the point is ignored, the result is.

use serde::{Deserialize, Serialize};

use super::batch::BatchLabels;
use super::map::PixelMap;
use super::side_by_side::side_by_side;
use crate::plane::{Taps, Turn, flip, nearest};
use crate::task::LabelKind;

/// How far the length of a normal may be from 1: files hold them in 8 or 16 bits.
const LENGTH_TOLERANCE: f32 = 1e-3;

/// Which way the second component of normals points; the first one points to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerticalAxis {
    /// Against the order of the rows.
    Up,
    /// With the order of the rows.
    Down,
}

/// The direction that the visible surface faces.
///
/// A map keeps the axes of the files or scenes it comes from: only rotations have to know them.
#[derive(Debug, Clone, PartialEq)]
pub struct NormalMap {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Which way the second component points.
    pub vertical: VerticalAxis,
    /// `[height, width]` unit vectors in the coordinates of the camera, `[0, 0, 0]` to be ignored.
    pub data: Vec<[f32; 3]>,
}

impl PixelMap for NormalMap {
    type Label = [f32; 3];

    const IGNORED: [f32; 3] = [0.0; 3];
    const NAME: &'static str = "normals";

    fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    fn labels(&self) -> &[[f32; 3]] {
        &self.data
    }

    fn labels_mut(&mut self) -> &mut [[f32; 3]] {
        &mut self.data
    }

    fn with(&self, (width, height): (u32, u32), data: Vec<[f32; 3]>) -> Self {
        Self {
            width,
            height,
            vertical: self.vertical,
            data,
        }
    }

    fn fault(&self, _: LabelKind) -> Option<String> {
        let wrong = self.data.iter().find(|normal| !is_unit_or_zero(normal))?;
        Some(format!(
            "a normal is {wrong:?}; expected unit vectors, or [0, 0, 0] to be ignored"
        ))
    }

    fn batch(maps: &[Option<&Self>], size: [usize; 2]) -> BatchLabels {
        let channels = 3;
        let data = side_by_side(maps, size, channels, 0.0, |normal, channel| normal[channel]);
        BatchLabels::Values { channels, data }
    }

    fn resize(&self, (width, height): (u32, u32)) -> Self {
        let columns = nearest(self.width, width);
        let rows = nearest(self.height, height);
        let ratio = |source: u32, target: u32| f64::from(source) / f64::from(target.max(1));
        let (across, down) = (ratio(self.width, width), ratio(self.height, height));
        let mut data = Vec::with_capacity(columns.len() * rows.len());
        for (y, &row) in rows.iter().enumerate() {
            let vertical = Taps::new((y as f64 + 0.5) * down, self.height);
            for (x, &column) in columns.iter().enumerate() {
                let horizontal = Taps::new((x as f64 + 0.5) * across, self.width);
                data.push(blend(self, &horizontal, &vertical, [column, row]));
            }
        }
        self.with((width, height), data)
    }

    fn flip(&mut self) {
        flip(&mut self.data, self.width);
        for normal in &mut self.data {
            // Taken from zero, so that nothing does not get a sign.
            normal[0] = 0.0 - normal[0];
        }
    }

    fn rotate(&self, turn: &Turn) -> Self {
        let [sine, cosine] = turn.sine_cosine();
        let sine = match self.vertical {
            VerticalAxis::Up => sine,
            VerticalAxis::Down => -sine,
        };
        let normal = |[x, y]: [f64; 2]| {
            let horizontal = Taps::new(x, self.width);
            let vertical = Taps::new(y, self.height);
            let [x, y, z] = blend(self, &horizontal, &vertical, [x as usize, y as usize]);
            // Adding zero turns -0 into 0.
            [cosine * x - sine * y + 0.0, sine * x + cosine * y + 0.0, z]
        };
        let data = turn
            .sources()
            .map(|source| source.map_or(Self::IGNORED, normal));
        self.with(self.size(), data.collect())
    }
}

/// The normals of four pixels blended, or that of `holder`, the pixel that holds the point, if they
/// cancel each other.
fn blend(map: &NormalMap, horizontal: &Taps, vertical: &Taps, [x, y]: [usize; 2]) -> [f32; 3] {
    let at = |x: usize, y: usize| map.data[y * map.width as usize + x];
    let holder = at(x, y);
    if holder == [0.0; 3] {
        return holder;
    }
    let mut sum = [0.0; 3];
    for (&y, down) in vertical.pixels.iter().zip(vertical.weights()) {
        for (&x, across) in horizontal.pixels.iter().zip(horizontal.weights()) {
            // Ignored normals are zero: they add nothing.
            for (sum, value) in sum.iter_mut().zip(at(x, y)) {
                *sum += down * across * value;
            }
        }
    }
    unit(sum).unwrap_or(holder)
}

/// Written so that NaN fails.
fn is_unit_or_zero(normal: &[f32; 3]) -> bool {
    let length = normal.iter().map(|value| value * value).sum::<f32>().sqrt();
    *normal == [0.0; 3] || (length - 1.0).abs() <= LENGTH_TOLERANCE
}

/// A vector of length 1, or none if it is too short to tell its direction.
pub(crate) fn unit(vector: [f32; 3]) -> Option<[f32; 3]> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    // Written so that NaN fails.
    (length > 1e-6 && length.is_finite()).then(|| vector.map(|value| value / length))
}
