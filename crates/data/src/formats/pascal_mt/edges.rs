//! Edges of the context labels, as the public multi-task code makes them.
//!
//! A pixel is an edge where the Laplacian of the class numbers is not zero; then edges are thinned to one
//! pixel by the algorithm of Guo and Hall (*Parallel Thinning with Two-Subiteration Algorithms*,
//! Communications of the ACM 1989) in the form of MATLAB's `bwmorph` and scikit-image's `thin`. Thin edges
//! are not symmetric: mirroring a picture and thinning its edges may differ by a pixel.

/// 1 on edges of a map of rows of `width` pixels, else 0.
pub(super) fn edges(classes: &[u16], width: usize) -> Vec<u8> {
    let height = classes.len() / width.max(1);
    let at = |x: usize, y: usize| i32::from(classes[y * width + x]);
    let mut edges = Vec::with_capacity(classes.len());
    for y in 0..height {
        let [above, below] = neighbours(y, height);
        for x in 0..width {
            let [left, right] = neighbours(x, width);
            let around = at(left, y) + at(right, y) + at(x, above) + at(x, below);
            edges.push(u8::from(around != 4 * at(x, y)));
        }
    }
    thin(&mut edges, width);
    edges
}

/// The places before and after one, mirrored at the ends without repeating them, as OpenCV does.
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

/// Removes pixels from both sides in turn until what is left is one pixel wide.
fn thin(mask: &mut [u8], width: usize) {
    let tables = [removable(false), removable(true)];
    let height = mask.len() / width.max(1);
    let mut set: Vec<usize> = (0..mask.len()).filter(|&index| mask[index] != 0).collect();
    loop {
        let before = set.len();
        for table in &tables {
            let remove = |&index: &usize| {
                let around = surroundings(mask, index % width, index / width, [width, height]);
                table[usize::from(around)]
            };
            let (gone, left): (Vec<usize>, Vec<usize>) =
                set.iter().partition(|index| remove(index));
            for index in gone {
                mask[index] = 0;
            }
            set = left;
        }
        if set.len() == before {
            return;
        }
    }
}

/// The eight neighbours of a pixel as bits: the one to the right first, then against the clock.
fn surroundings(mask: &[u8], x: usize, y: usize, [width, height]: [usize; 2]) -> u8 {
    const STEPS: [(isize, isize); 8] = [
        (1, 0),
        (1, -1),
        (0, -1),
        (-1, -1),
        (-1, 0),
        (-1, 1),
        (0, 1),
        (1, 1),
    ];
    let mut bits = 0;
    for (bit, (right, down)) in STEPS.into_iter().enumerate() {
        let (Some(x), Some(y)) = (x.checked_add_signed(right), y.checked_add_signed(down)) else {
            continue;
        };
        if x < width && y < height && mask[y * width + x] != 0 {
            bits |= 1 << bit;
        }
    }
    bits
}

/// For every surroundings, whether the pixel may go in one of the two rounds.
fn removable(second_round: bool) -> [bool; 256] {
    std::array::from_fn(|bits| {
        // Neighbours 1 to 8, and the first one again as the ninth.
        let is_set = |neighbour: usize| bits >> ((neighbour - 1) % 8) & 1 == 1;
        let count = |condition: &dyn Fn(usize) -> bool| (1..=4).filter(|&k| condition(k)).count();
        let crossings = count(&|k| !is_set(2 * k - 1) && (is_set(2 * k) || is_set(2 * k + 1)));
        let first = count(&|k| is_set(2 * k - 1) || is_set(2 * k));
        let second = count(&|k| is_set(2 * k) || is_set(2 * k + 1));
        let side = match second_round {
            false => (is_set(2) || is_set(3) || !is_set(8)) && is_set(1),
            true => (is_set(6) || is_set(7) || !is_set(4)) && is_set(5),
        };
        crossings == 1 && (2..=3).contains(&first.min(second)) && !side
    })
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
