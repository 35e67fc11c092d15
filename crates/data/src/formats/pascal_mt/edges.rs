//! Edges of the context labels, as in the public multi-task code.
//!
//! A pixel is an edge where the Laplacian of the class numbers is not zero; then edges are [thinned](thin) to
//! one pixel.

use gradway_thinning::thin;

/// Returns the edges of a map with rows of `width` pixels: 1 on edges, else 0.
pub(super) fn edges(classes: &[u16], width: usize) -> Vec<u8> {
    let height = classes.len() / width.max(1);
    let at = |x: usize, y: usize| i32::from(classes[y * width + x]);
    let mut edges = Vec::with_capacity(classes.len());
    for y in 0..height {
        let [above, below] = neighbours(y, height);
        for x in 0..width {
            let [left, right] = neighbours(x, width);
            let around = at(left, y) + at(right, y) + at(x, above) + at(x, below);
            edges.push(around != 4 * at(x, y));
        }
    }
    thin(&mut edges, width);
    edges.into_iter().map(u8::from).collect()
}

/// Returns the neighbouring indices, reflected at the ends without repeating them, as in OpenCV.
fn neighbours(place: usize, length: usize) -> [usize; 2] {
    let last = length.saturating_sub(1);
    let before = if place == 0 { last.min(1) } else { place - 1 };
    let after = if place == last {
        last.saturating_sub(1)
    } else {
        place + 1
    };
    [before, after]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_an_edge_of_one_pixel() {
        let row = [7, 7, 7, 9, 9, 9];
        let classes: Vec<u16> = (0..5).flat_map(|_| row).collect();
        let edges = edges(&classes, 6);
        // The ends of a line wear off; the rest of it stays.
        for row in edges.chunks_exact(6).take(4).skip(1) {
            assert_eq!(row.iter().sum::<u8>(), 1, "{edges:?}");
        }
        assert_eq!(super::edges(&[1, 1, 1, 1], 2), [0; 4]);
        assert!(super::edges(&[], 0).is_empty());
        assert_eq!(super::edges(&[5], 1), [0]);
    }
}
