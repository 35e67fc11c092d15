//! Rotation about the centre.

use image::{Rgb, RgbImage};

/// A rotation about the centre of a picture.
pub(crate) struct Turn {
    size: (u32, u32),
    sine: f64,
    cosine: f64,
}

impl Turn {
    /// By `degrees`, positive against the clock, of a picture of `size`, width and height.
    pub(crate) fn new(degrees: f32, size: (u32, u32)) -> Self {
        // The C library differs between machines; this one does not.
        let (sine, cosine) = libm::sincos(f64::from(degrees).to_radians());
        Self { size, sine, cosine }
    }

    /// For every pixel, row by row, the point that comes to its centre; none if it is outside.
    pub(crate) fn sources(&self) -> impl Iterator<Item = Option<[f64; 2]>> {
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

    /// Sine and cosine of the angle.
    pub(crate) fn sine_cosine(&self) -> [f32; 2] {
        [self.sine as f32, self.cosine as f32]
    }

    /// A plane of the picture's size: every pixel has the value of the pixel that holds the point it comes from.
    pub(crate) fn plane<T: Copy>(&self, data: &[T], outside: T) -> Vec<T> {
        let at = |[x, y]: [f64; 2]| data[y as usize * self.size.0 as usize + x as usize];
        self.sources()
            .map(|source| source.map_or(outside, at))
            .collect()
    }

    /// The picture, with colours blended from four pixels, and `fill` where nothing comes from.
    pub(crate) fn image(&self, image: &RgbImage, fill: [u8; 3]) -> RgbImage {
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

/// The two pixels of an axis around a point, and the share of the second.
#[derive(Clone, Copy)]
pub(crate) struct Taps {
    /// Their places.
    pub(crate) pixels: [usize; 2],
    share: f32,
}

impl Taps {
    /// Around `point`, in pixels from the edge; pixels beyond the edges are those at the edges.
    pub(crate) fn new(point: f64, length: u32) -> Self {
        let place = point - 0.5;
        let first = place.floor();
        let last = f64::from(length.max(1) - 1);
        Self {
            pixels: [first, first + 1.0].map(|pixel| pixel.clamp(0.0, last) as usize),
            share: (place - first) as f32,
        }
    }

    /// The share of each.
    pub(crate) fn weights(&self) -> [f32; 2] {
        [1.0 - self.share, self.share]
    }
}
