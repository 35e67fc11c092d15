//! A scene of which everything is computed.

use gradway_data::{
    DataError, DenseDataset, DenseLabels, DenseSample, DenseTask, DepthMap, IGNORE, LabelMap,
    NormalMap, VerticalAxis,
};
use image::RgbImage;

/// A sphere before a tilted wall, seen by a pinhole camera that can be turned, mirrored and given more
/// pixels: what is known of every pixel is computed, never resampled.
#[derive(Clone)]
pub struct Lit {
    width: u32,
    height: u32,
    /// From the picture to the scene, in units of pixels of the first camera: x right, y up.
    across: [f64; 2],
    up: [f64; 2],
    /// Pixels of the first camera's focal length.
    focal: f64,
    vertical: VerticalAxis,
}

/// The tasks of [`Lit`].
pub fn lit_tasks() -> [DenseTask; 3] {
    [
        DenseTask::SemanticSegmentation,
        DenseTask::SurfaceNormals,
        DenseTask::Depth,
    ]
}

impl Lit {
    /// A camera of so many pixels.
    pub fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            across: [1.0, 0.0],
            up: [0.0, 1.0],
            focal: 60.0,
            vertical: VerticalAxis::Up,
        }
    }

    /// The same with normals whose second component points down.
    pub fn with_axis_down(&self) -> Self {
        Self {
            vertical: VerticalAxis::Down,
            ..self.clone()
        }
    }

    /// The scene mirrored left to right.
    pub fn flipped(&self) -> Self {
        Self {
            across: self.across.map(|value| -value),
            ..self.clone()
        }
    }

    /// The scene turned against the clock.
    pub fn rotated(&self, degrees: f32) -> Self {
        let (sine, cosine) = f64::from(degrees).to_radians().sin_cos();
        // A point of the picture shows what was at the point turned back.
        let back = |[x, y]: [f64; 2]| [cosine * x + sine * y, cosine * y - sine * x];
        Self {
            across: back(self.across),
            up: back(self.up),
            ..self.clone()
        }
    }

    /// The same view in other pixels.
    pub fn resized(&self, width: u32, height: u32) -> Self {
        let ratio = |old: u32, new: u32| f64::from(old) / f64::from(new);
        let (across, up) = (ratio(self.width, width), ratio(self.height, height));
        Self {
            width,
            height,
            across: self.across.map(|value| value * across),
            up: self.up.map(|value| value * up),
            ..self.clone()
        }
    }

    /// Class, normal (x right, y up, z towards the camera) and depth in the direction (x, y) of the scene.
    fn look(&self, x: f64, y: f64) -> (u8, [f64; 3], f64) {
        let ray = [x / self.focal, y / self.focal, -1.0];
        let dot = |one: [f64; 3], other: [f64; 3]| -> f64 {
            one.iter().zip(other).map(|(one, other)| one * other).sum()
        };
        // A sphere off the centre.
        let (center, radius) = ([0.35, 0.2, -4.0], 1.1);
        let (a, b, c) = (
            dot(ray, ray),
            dot(ray, center),
            dot(center, center) - radius * radius,
        );
        let root = b * b - a * c;
        if root > 0.0 {
            let distance = (b - root.sqrt()) / a;
            let normal = [0, 1, 2].map(|axis| (distance * ray[axis] - center[axis]) / radius);
            return (1, normal, distance);
        }
        // A hole in the wall, where nothing is known.
        if (x + 18.0).hypot(y + 8.0) < 4.0 {
            return (IGNORE, [0.0; 3], 0.0);
        }
        let normal = [0.48, 0.36, 0.8];
        (0, normal, -5.0 / dot(ray, normal))
    }

    /// The picture and its labels.
    pub fn sample(&self, tasks: &[DenseTask]) -> DenseSample {
        let (width, height) = (self.width, self.height);
        let mut seen = Vec::new();
        for row in 0..height {
            for column in 0..width {
                let x = f64::from(column) + 0.5 - f64::from(width) / 2.0;
                let y = f64::from(height) / 2.0 - f64::from(row) - 0.5;
                let [u, v] = [0, 1].map(|axis| x * self.across[axis] + y * self.up[axis]);
                let (class, normal, depth) = self.look(u, v);
                // Components along the axes of the picture.
                let along = |axis: [f64; 2]| {
                    (normal[0] * axis[0] + normal[1] * axis[1]) / axis[0].hypot(axis[1])
                };
                let vertical = match self.vertical {
                    VerticalAxis::Up => along(self.up),
                    VerticalAxis::Down => -along(self.up),
                };
                let normal = [along(self.across), vertical, normal[2]];
                seen.push((class, normal.map(|value| value as f32), depth as f32));
            }
        }
        let labels = tasks.iter().map(|&task| {
            let labels = match task {
                DenseTask::SemanticSegmentation => DenseLabels::Classes(LabelMap {
                    width,
                    height,
                    data: seen.iter().map(|(class, _, _)| *class).collect(),
                }),
                DenseTask::SurfaceNormals => DenseLabels::Normals(NormalMap {
                    width,
                    height,
                    vertical: self.vertical,
                    data: seen.iter().map(|(_, normal, _)| *normal).collect(),
                }),
                _ => DenseLabels::Depth(DepthMap {
                    width,
                    height,
                    data: seen.iter().map(|(_, _, depth)| *depth).collect(),
                }),
            };
            (task, labels)
        });
        let bytes = seen.iter().flat_map(|(class, normal, _)| {
            [
                class.wrapping_mul(90),
                (100.0 + 100.0 * normal[0]) as u8,
                (100.0 * normal[2]) as u8,
            ]
        });
        DenseSample {
            id: "lit".into(),
            image: RgbImage::from_raw(width, height, bytes.collect()).unwrap(),
            labels: labels.collect(),
        }
    }
}

impl DenseDataset for Lit {
    fn name(&self) -> &str {
        "lit"
    }

    fn len(&self) -> usize {
        1
    }

    fn tasks(&self) -> &[DenseTask] {
        const TASKS: [DenseTask; 3] = [
            DenseTask::SemanticSegmentation,
            DenseTask::SurfaceNormals,
            DenseTask::Depth,
        ];
        &TASKS
    }

    fn classes(&self, _task: DenseTask) -> &[String] {
        &[]
    }

    fn palette(&self, _task: DenseTask) -> &[[u8; 3]] {
        &[]
    }

    fn id(&self, _index: usize) -> String {
        "lit".into()
    }

    fn get(&self, _index: usize, tasks: &[DenseTask]) -> Result<DenseSample, DataError> {
        Ok(self.sample(tasks))
    }
}
