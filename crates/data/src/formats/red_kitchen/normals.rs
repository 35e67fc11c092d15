//! Surface normals from depth.

use crate::labels::{DepthMap, NormalMap, VerticalAxis, unit};

/// Radius of the window around a pixel.
const RADIUS: usize = 5;

/// Pixels of the window whose depth differs by more than this share belong to another surface.
const SAME_SURFACE: f32 = 0.05;

/// Minimum share of the window on the same surface.
const LEAST_SHARE: f32 = 0.5;

/// Maximum root mean square distance from the plane, as a share of the depth.
const LARGEST_RESIDUAL: f64 = 0.01;

/// A pinhole camera without distortion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Intrinsics {
    /// Horizontal and vertical focal lengths in pixels.
    pub focal: [f32; 2],
    /// The principal point, in pixels from the centre of the first pixel.
    pub center: [f32; 2],
}

/// Returns the normal of the plane through the points around every pixel. It faces the camera, with x to the
/// right, y up and z towards the camera.
///
/// A plane `n . p = 1` seen by a pinhole camera has `1 / depth = n . (x, y, 1)`, where (x, y) is the direction
/// of the ray. This is linear, and for a structured-light sensor, whose disparity is `1 / depth`, least squares
/// is the right fit for its noise. Pixels without depth, pixels whose surroundings mostly have no depth or
/// belong to another surface, and pixels without a fitting plane are ignored.
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

/// Sums over a window of the pixel offsets from its centre and of the inverse depth.
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

    /// Returns the coefficients of `w = a x + b y + c` and the root mean square residual.
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
