//! Changes of place: the image and the labels of all tasks move together.
//!
//! Pixel `i` of an axis covers `[i, i + 1)` and is sampled at its centre, `i + 0.5`, as in
//! [`crate::transform::geometry`]. Classes and distances come from the pixel that holds the point, so
//! that they stay values that occur. Normals are blended from the four pixels around it, without
//! those to be ignored, and are of length 1 again; where the pixel that holds the point is ignored,
//! the result is. A normal is a direction of the picture: it is mirrored and rotated with it.

use image::{Rgb, RgbImage};

use super::sample::DenseSample;
use crate::error::DataError;
use crate::labels::unit;
use crate::labels::{DenseLabels, DepthMap, NormalMap, VerticalAxis};
use crate::labels::{IGNORE, LabelMap};
use crate::movable::Movable;
use crate::transform::geometry::{crop_plane, flip_plane, nearest, resize_image, resize_plane};

impl Movable for DenseSample {
    fn size(&self) -> (u32, u32) {
        self.image.dimensions()
    }

    /// Resizes the image and normals with a smooth filter, other labels with nearest neighbour; depth keeps
    /// its values.
    fn resize(self, width: u32, height: u32) -> Result<Self, DataError> {
        let size = self.image.dimensions();
        if size == (width, height) {
            return Ok(self);
        }
        let Self { id, image, labels } = self;
        let image = resize_image(&id, image, width, height)?;
        let target = (width, height);
        let labels = labels.into_iter().map(|(task, labels)| {
            let labels = match labels {
                DenseLabels::Classes(map) => classes(target, resize_plane(&map.data, size, target)),
                DenseLabels::Depth(map) => depth(target, resize_plane(&map.data, size, target)),
                DenseLabels::Normals(map) => DenseLabels::Normals(resize_normals(&map, target)),
            };
            (task, labels)
        });
        Ok(Self {
            labels: labels.collect(),
            image,
            id,
        })
    }

    /// Normals point the other way.
    fn flip_horizontal(&mut self) {
        image::imageops::flip_horizontal_in_place(&mut self.image);
        for labels in self.labels.values_mut() {
            match labels {
                DenseLabels::Classes(map) => flip_plane(&mut map.data, map.width),
                DenseLabels::Depth(map) => flip_plane(&mut map.data, map.width),
                DenseLabels::Normals(map) => {
                    flip_plane(&mut map.data, map.width);
                    for normal in &mut map.data {
                        // Taken from zero, so that nothing does not get a sign.
                        normal[0] = 0.0 - normal[0];
                    }
                }
            }
        }
    }
}

impl DenseSample {
    /// The part of `width` x `height` pixels whose first pixel is at (`x`, `y`), cut off at the sample's
    /// edges.
    pub fn crop(&self, x: u32, y: u32, width: u32, height: u32) -> Self {
        let (whole_width, whole_height) = self.image.dimensions();
        let (x, y) = (x.min(whole_width), y.min(whole_height));
        let image = image::imageops::crop_imm(&self.image, x, y, width, height).to_image();
        let size = image.dimensions();
        let labels = self.labels.iter().map(|(&task, labels)| {
            let labels = match labels {
                DenseLabels::Classes(map) => {
                    classes(size, crop_plane(&map.data, map.width, [x, y], size))
                }
                DenseLabels::Depth(map) => {
                    depth(size, crop_plane(&map.data, map.width, [x, y], size))
                }
                DenseLabels::Normals(map) => DenseLabels::Normals(NormalMap {
                    width: size.0,
                    height: size.1,
                    vertical: map.vertical,
                    data: crop_plane(&map.data, map.width, [x, y], size),
                }),
            };
            (task, labels)
        });
        Self {
            id: self.id.clone(),
            labels: labels.collect(),
            image,
        }
    }

    /// Rotated about its centre by `degrees`, positive against the clock; its size stays.
    ///
    /// What comes from outside of the image is `fill` there and ignored by every task.
    pub fn rotate(&self, degrees: f32, fill: [u8; 3]) -> Self {
        // Blending normals would round them.
        if degrees == 0.0 {
            return self.clone();
        }
        let size = self.image.dimensions();
        let turn = Turn::new(degrees, size);
        let labels = self.labels.iter().map(|(&task, labels)| {
            let labels = match labels {
                DenseLabels::Classes(map) => classes(size, turn.plane(&map.data, IGNORE)),
                DenseLabels::Depth(map) => depth(size, turn.plane(&map.data, 0.0)),
                DenseLabels::Normals(map) => DenseLabels::Normals(turn.normals(map)),
            };
            (task, labels)
        });
        Self {
            id: self.id.clone(),
            labels: labels.collect(),
            image: turn.image(&self.image, fill),
        }
    }
}

fn resize_normals(map: &NormalMap, (width, height): (u32, u32)) -> NormalMap {
    let columns = nearest(map.width, width);
    let rows = nearest(map.height, height);
    let ratio = |source: u32, target: u32| f64::from(source) / f64::from(target.max(1));
    let (across, down) = (ratio(map.width, width), ratio(map.height, height));
    let mut data = Vec::with_capacity(columns.len() * rows.len());
    for (y, &row) in rows.iter().enumerate() {
        let vertical = Taps::new((y as f64 + 0.5) * down, map.height);
        for (x, &column) in columns.iter().enumerate() {
            let horizontal = Taps::new((x as f64 + 0.5) * across, map.width);
            data.push(blend(map, &horizontal, &vertical, [column, row]));
        }
    }
    NormalMap {
        width,
        height,
        vertical: map.vertical,
        data,
    }
}

/// The two pixels of an axis around a point, and the share of the second.
#[derive(Clone, Copy)]
struct Taps {
    pixels: [usize; 2],
    share: f32,
}

impl Taps {
    /// Around `point`, in pixels from the edge; pixels beyond the edges are those at the edges.
    fn new(point: f64, length: u32) -> Self {
        let place = point - 0.5;
        let first = place.floor();
        let last = f64::from(length.max(1) - 1);
        Self {
            pixels: [first, first + 1.0].map(|pixel| pixel.clamp(0.0, last) as usize),
            share: (place - first) as f32,
        }
    }

    fn weights(&self) -> [f32; 2] {
        [1.0 - self.share, self.share]
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

/// A rotation about the centre of a picture.
struct Turn {
    size: (u32, u32),
    sine: f64,
    cosine: f64,
}

impl Turn {
    fn new(degrees: f32, size: (u32, u32)) -> Self {
        // The C library differs between machines; this one does not.
        let (sine, cosine) = libm::sincos(f64::from(degrees).to_radians());
        Self { size, sine, cosine }
    }

    /// For every pixel, row by row, the point that comes to its centre; none if it is outside.
    fn sources(&self) -> impl Iterator<Item = Option<[f64; 2]>> {
        let (width, height) = (f64::from(self.size.0), f64::from(self.size.1));
        let (sine, cosine) = (self.sine, self.cosine);
        (0..self.size.1).flat_map(move |row| {
            let y = f64::from(row) + 0.5 - height / 2.0;
            (0..self.size.0).map(move |column| {
                let x = f64::from(column) + 0.5 - width / 2.0;
                // Rows grow downwards, so that this turns with the clock: the way back.
                let source = [
                    cosine * x - sine * y + width / 2.0,
                    sine * x + cosine * y + height / 2.0,
                ];
                let inside =
                    (0.0..width).contains(&source[0]) && (0.0..height).contains(&source[1]);
                inside.then_some(source)
            })
        })
    }

    fn plane<T: Copy>(&self, data: &[T], outside: T) -> Vec<T> {
        let at = |[x, y]: [f64; 2]| data[y as usize * self.size.0 as usize + x as usize];
        self.sources()
            .map(|source| source.map_or(outside, at))
            .collect()
    }

    fn normals(&self, map: &NormalMap) -> NormalMap {
        let (sine, cosine) = (self.sine as f32, self.cosine as f32);
        let sine = match map.vertical {
            VerticalAxis::Up => sine,
            VerticalAxis::Down => -sine,
        };
        let normal = |[x, y]: [f64; 2]| {
            let horizontal = Taps::new(x, map.width);
            let vertical = Taps::new(y, map.height);
            let [x, y, z] = blend(map, &horizontal, &vertical, [x as usize, y as usize]);
            // Adding zero turns -0 into 0.
            [cosine * x - sine * y + 0.0, sine * x + cosine * y + 0.0, z]
        };
        let sources = self.sources();
        NormalMap {
            data: sources
                .map(|source| source.map_or([0.0; 3], normal))
                .collect(),
            ..*map
        }
    }

    fn image(&self, image: &RgbImage, fill: [u8; 3]) -> RgbImage {
        let (width, height) = self.size;
        let mut rotated = RgbImage::from_pixel(width, height, Rgb(fill));
        for (pixel, source) in rotated.pixels_mut().zip(self.sources()) {
            let Some([x, y]) = source else {
                continue;
            };
            let (horizontal, vertical) = (Taps::new(x, width), Taps::new(y, height));
            let mut sum = [0.5; 3];
            for (&y, down) in vertical.pixels.iter().zip(vertical.weights()) {
                for (&x, across) in horizontal.pixels.iter().zip(horizontal.weights()) {
                    let color = image.get_pixel(x as u32, y as u32).0;
                    for (sum, value) in sum.iter_mut().zip(color) {
                        *sum += down * across * f32::from(value);
                    }
                }
            }
            pixel.0 = sum.map(|value| value as u8);
        }
        rotated
    }
}

fn classes((width, height): (u32, u32), data: Vec<u8>) -> DenseLabels {
    DenseLabels::Classes(LabelMap {
        width,
        height,
        data,
    })
}

fn depth((width, height): (u32, u32), data: Vec<f32>) -> DenseLabels {
    DenseLabels::Depth(DepthMap {
        width,
        height,
        data,
    })
}
