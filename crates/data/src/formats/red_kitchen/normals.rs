//! Surface normals from depth.

use crate::labels::{DepthMap, NormalMap, VerticalAxis, unit};

/// The window around a pixel reaches this far.
const RADIUS: usize = 5;

/// What differs from the pixel in its window by more than this share of the depth is another surface.
const SAME_SURFACE: f32 = 0.05;

/// The share of the window that has to be of the same surface.
const LEAST_SHARE: f32 = 0.5;

/// The largest root mean square distance from the plane, as a share of the depth.
const LARGEST_RESIDUAL: f64 = 0.01;

/// A pinhole camera without distortion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Intrinsics {
    /// Focal lengths across and down, in pixels.
    pub focal: [f32; 2],
    /// Where the optical axis meets the picture, in pixels from the centre of the first one.
    pub center: [f32; 2],
}

/// The normal of the plane through the points around every pixel; it faces the camera, x to the right, y
/// up, z towards the camera.
///
/// A plane `n . p = 1` seen by a pinhole camera has `1 / depth = n . (x, y, 1)` with (x, y) the direction of
/// the ray: linear, and with noise of a structured-light sensor, whose disparity is `1 / depth`, a plain
/// least squares fit. Ignored is where there is no depth, where most of the surroundings have none or
/// belong to another surface, and where no plane fits.
pub fn normals_from_depth(depth: &DepthMap, intrinsics: &Intrinsics) -> NormalMap {
    let (width, height) = (depth.width as usize, depth.height as usize);
    let inverse: Vec<f32> = depth
        .data
        .iter()
        .map(|depth| if *depth > 0.0 { 1.0 / depth } else { 0.0 })
        .collect();
    let mut data = Vec::with_capacity(inverse.len());
    for y in 0..height {
        for x in 0..width {
            let normal = fit(&inverse, [x, y], [width, height], intrinsics);
            data.push(normal.unwrap_or_default());
        }
    }
    NormalMap {
        width: depth.width,
        height: depth.height,
        vertical: VerticalAxis::Up,
        data,
    }
}

/// Sums over a window, of offsets from its middle in pixels and of the inverse depth.
#[derive(Default)]
struct Sums {
    count: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
    w: f64,
    xw: f64,
    yw: f64,
    ww: f64,
}

impl Sums {
    fn add(&mut self, x: f64, y: f64, w: f64) {
        self.count += 1.0;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.xy += x * y;
        self.yy += y * y;
        self.w += w;
        self.xw += x * w;
        self.yw += y * w;
        self.ww += w * w;
    }

    /// The slopes and the height of `w = a x + b y + c`, and its root mean square residual.
    fn plane(&self) -> Option<[f64; 4]> {
        let n = self.count;
        let (mx, my, mw) = (self.x / n, self.y / n, self.w / n);
        let (xx, xy, yy) = (
            self.xx / n - mx * mx,
            self.xy / n - mx * my,
            self.yy / n - my * my,
        );
        let (xw, yw, ww) = (
            self.xw / n - mx * mw,
            self.yw / n - my * mw,
            self.ww / n - mw * mw,
        );
        let determinant = xx * yy - xy * xy;
        // Pixels in a line determine no plane.
        if determinant < 0.1 {
            return None;
        }
        let a = (yy * xw - xy * yw) / determinant;
        let b = (xx * yw - xy * xw) / determinant;
        let residual = (ww - a * xw - b * yw).max(0.0).sqrt();
        Some([a, b, mw - a * mx - b * my, residual])
    }
}

fn fit(
    inverse: &[f32],
    [x, y]: [usize; 2],
    [width, height]: [usize; 2],
    intrinsics: &Intrinsics,
) -> Option<[f32; 3]> {
    let here = inverse[y * width + x];
    if here <= 0.0 {
        return None;
    }
    let mut sums = Sums::default();
    let columns = x.saturating_sub(RADIUS)..(x + RADIUS + 1).min(width);
    let rows = y.saturating_sub(RADIUS)..(y + RADIUS + 1).min(height);
    let window = (columns.len() * rows.len()) as f64;
    for row in rows {
        for column in columns.clone() {
            let there = inverse[row * width + column];
            // Where there is no depth, the difference is as large as the depth itself.
            if (there - here).abs() <= SAME_SURFACE * here {
                let offset = |there: usize, here: usize| there as f64 - here as f64;
                sums.add(offset(column, x), offset(row, y), f64::from(there));
            }
        }
    }
    if sums.count < f64::from(LEAST_SHARE) * window {
        return None;
    }
    let [a, b, c, residual] = sums.plane()?;
    if residual > LARGEST_RESIDUAL * f64::from(here) {
        return None;
    }
    let [fx, fy] = intrinsics.focal.map(f64::from);
    let [cx, cy] = intrinsics.center.map(f64::from);
    // From offsets in pixels to directions of rays: x of the ray is (column - cx) / fx.
    let across = a * fx;
    let down = b * fy;
    let ahead = c + a * (cx - x as f64) + b * (cy - y as f64);
    // Away from the camera, y down and z ahead; turned around, y up and z back.
    unit([-across as f32, down as f32, ahead as f32])
}
