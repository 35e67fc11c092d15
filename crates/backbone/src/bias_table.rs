//! Resizing relative position bias tables to another window.

use burn::tensor::TensorData;

/// The side `w` of the square window whose table has this number of rows, `(2 w - 1)^2`.
pub(crate) fn window_side(rows: usize) -> Option<usize> {
    let side = rows.isqrt();
    (side * side == rows && side % 2 == 1).then_some(side / 2 + 1)
}

/// Resizes `[(2 w - 1)^2, heads]` to `rows` rows by bicubic interpolation (a = -0.75, half-pixel
/// centres), as PyTorch's `interpolate` does for a window change.
///
/// # Shapes
///
/// - `data`: `[side^2, heads]`, `side` at least 1; output: `[rows, heads]`, `rows` a square number
pub(crate) fn resize_bias_table(data: TensorData, rows: usize) -> TensorData {
    let heads = data.shape[1];
    let old = data.shape[0].isqrt();
    let new = rows.isqrt();
    let values: Vec<f32> = data.iter::<f32>().collect();
    let at = |y: usize, x: usize, head: usize| f64::from(values[(y * old + x) * heads + head]);
    let taps: Vec<_> = (0..new).map(|index| taps(index, old, new)).collect();

    let mut resized = Vec::with_capacity(rows * heads);
    for vertical in &taps {
        for horizontal in &taps {
            for head in 0..heads {
                let sum: f64 = vertical
                    .iter()
                    .flat_map(|&(y, wy)| horizontal.iter().map(move |&(x, wx)| (y, x, wy * wx)))
                    .map(|(y, x, weight)| weight * at(y, x, head))
                    .sum();
                resized.push(sum as f32);
            }
        }
    }
    TensorData::new(resized, [rows, heads])
}

/// The four source positions of one output position with their weights, clamped at the border.
fn taps(index: usize, old: usize, new: usize) -> [(usize, f64); 4] {
    let position = (index as f64 + 0.5) * old as f64 / new as f64 - 0.5;
    let base = position.floor();
    let fraction = position - base;
    std::array::from_fn(|tap| {
        let source = base + tap as f64 - 1.0;
        let weight = cubic((tap as f64 - 1.0 - fraction).abs());
        (source.clamp(0.0, (old - 1) as f64) as usize, weight)
    })
}

/// Keys' cubic convolution kernel with PyTorch's a = -0.75.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.75;
    if distance <= 1.0 {
        ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0
    } else if distance < 2.0 {
        ((A * distance - 5.0 * A) * distance + 8.0 * A) * distance - 4.0 * A
    } else {
        0.0
    }
}
