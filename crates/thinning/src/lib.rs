//! Thinning of a binary map to lines one pixel wide.
//!
//! It is a separate crate because labels are thinned when they are created and predictions when they are
//! evaluated, and the two must agree to the pixel.

use std::mem;

/// Number of pixels of a word.
const WORD: usize = u64::BITS as usize;

/// Thins a map of rows of `width` as MATLAB's `bwmorph(map, 'thin')` and scikit-image's `thin` do: Guo and
/// Hall's parallel thinning in two subiterations (*Parallel Thinning with Two-Subiteration Algorithms*,
/// Communications of the ACM, 1989), until nothing changes. Pixels outside the map count as off.
///
/// Thinning is not symmetric: the result for a mirrored map may differ by a pixel.
///
/// # Shapes
///
/// - `map`: `[height, width]`, row by row
pub fn thin(map: &mut [bool], width: usize) {
    if map.is_empty() {
        return;
    }
    let mut bits = BitMap::new(map, width);
    bits.thin();
    for (row, pixels) in map.chunks_mut(width).enumerate() {
        for (column, pixel) in pixels.iter_mut().enumerate() {
            *pixel &= bits.is_on(row, column);
        }
    }
}

/// A binary map with 64 pixels per word, the first in the lowest bit. An empty word on either side of every
/// row, and an empty row above and below, avoid checks for the border.
struct BitMap {
    words: Vec<u64>,
    /// Number of words of a row.
    stride: usize,
}

impl BitMap {
    fn new(map: &[bool], width: usize) -> Self {
        let stride = width.div_ceil(WORD) + 2;
        let mut words = vec![0; stride * (map.len() / width + 2)];
        for (pixels, words) in map.chunks(width).zip(words.chunks_mut(stride).skip(1)) {
            for (pixels, word) in pixels.chunks(WORD).zip(&mut words[1..]) {
                let bits = pixels.iter().enumerate();
                *word = bits.fold(0, |word, (bit, &on)| word | u64::from(on) << bit);
            }
        }
        Self { words, stride }
    }

    fn is_on(&self, row: usize, column: usize) -> bool {
        let word = self.words[(row + 1) * self.stride + 1 + column / WORD];
        word >> (column % WORD) & 1 == 1
    }

    fn thin(&mut self) {
        let rows = self.words.len() / self.stride;
        // Whether a pixel goes depends on its neighbours alone: a subiteration has to look at a row again
        // only after it or one beside it has changed.
        let mut waiting = [vec![true; rows], vec![true; rows]];
        // Rows as they were before a subiteration, which removes all that goes at once.
        let mut above = vec![0; self.stride];
        let mut here = above.clone();
        let mut changed = true;
        while changed {
            changed = false;
            for subiteration in 0..2 {
                let stale = mem::replace(&mut waiting[subiteration], vec![false; rows]);
                above.fill(0);
                for row in 1..rows - 1 {
                    let words = &mut self.words[row * self.stride..(row + 2) * self.stride];
                    let (words, below) = words.split_at_mut(self.stride);
                    here.copy_from_slice(words);
                    if stale[row] && thin_row(words, [&above, &here, below], subiteration) {
                        changed = true;
                        for waiting in &mut waiting {
                            waiting[row - 1..=row + 1].fill(true);
                        }
                    }
                    mem::swap(&mut above, &mut here);
                }
            }
        }
    }
}

/// Removes the removable pixels of a row, given the row above, the row itself and the row below; returns
/// whether any was removed.
fn thin_row(words: &mut [u64], [above, here, below]: [&[u64]; 3], subiteration: usize) -> bool {
    let left = |row: &[u64], index: usize| row[index] << 1 | row[index - 1] >> (WORD - 1);
    let right = |row: &[u64], index: usize| row[index] >> 1 | row[index + 1] << (WORD - 1);
    let length = words.len();
    let (above, here, below) = (&above[..length], &here[..length], &below[..length]);
    let mut removed = 0;
    for index in 1..length - 1 {
        let neighbours = [
            right(here, index),
            right(above, index),
            above[index],
            left(above, index),
            left(here, index),
            left(below, index),
            below[index],
            right(below, index),
        ];
        let going = here[index] & removable(neighbours, subiteration);
        words[index] = here[index] & !going;
        removed |= going;
    }
    removed != 0
}

/// The conditions of the paper for 64 pixels at once, of their neighbours from the right one
/// counterclockwise: the paper's x1 to x8, here 0 to 7.
fn removable(x: [u64; 8], subiteration: usize) -> u64 {
    let pairs = |first: usize| [0, 2, 4, 6].map(|k| x[(first + k) % 8] | x[(first + k + 1) % 8]);
    // One connected piece of neighbours: the pixel does not hold two together.
    let [a, b, c, d] = [0, 2, 4, 6].map(|k| !x[k] & (x[k + 1] | x[(k + 2) % 8]));
    let is_one_piece = ((a ^ b) & !(c | d)) | ((c ^ d) & !(a | b));
    // Neither the end of a line nor inside of a region: the fewer of the pairs are two or three.
    let two = |[a, b, c, d]: [u64; 4]| a & b | c & d | (a | b) & (c | d);
    let all = |[a, b, c, d]: [u64; 4]| a & b & c & d;
    let (even, odd) = (pairs(0), pairs(1));
    let is_border = two(even) & two(odd) & !(all(even) & all(odd));
    // On the right and upper side of a region first, then on the other two.
    let turn = 4 * subiteration;
    let inner = (x[turn + 1] | x[turn + 2] | !x[(turn + 7) % 8]) & x[turn];
    is_one_piece & is_border & !inner
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thinned(rows: &[&str]) -> Vec<String> {
        let width = rows[0].len();
        let mut map: Vec<bool> = rows.concat().bytes().map(|byte| byte == b'#').collect();
        thin(&mut map, width);
        let text = |row: &[bool]| row.iter().map(|&on| if on { '#' } else { '.' }).collect();
        map.chunks(width).map(text).collect()
    }

    #[test]
    fn a_bar_becomes_a_line() {
        let rows = [
            "..........",
            ".########.",
            ".########.",
            ".########.",
            "..........",
        ];
        let expected = [
            "..........",
            "..........",
            "..######..",
            "..........",
            "..........",
        ];
        assert_eq!(thinned(&rows), expected);
    }

    #[test]
    fn thin_lines_stay_as_they_are_up_to_the_border() {
        for rows in [
            ["#....", ".#...", "..#..", "...##", "....."],
            ["..#..", "..#..", "#####", "..#..", "..#.."],
            ["#####", ".....", "#...#", ".....", "....."],
        ] {
            assert_eq!(thinned(&rows), rows);
        }
    }

    #[test]
    fn a_spur_of_one_pixel_goes() {
        let rows = [".....", "#####", "..#..", "....."];
        assert_eq!(thinned(&rows), [".....", "#####", ".....", "....."]);
    }

    #[test]
    fn a_hole_stays_a_hole() {
        let ring = ["####", "#..#", "####"];
        let holes = thinned(&ring);
        assert_eq!(holes[1], "#..#");
        assert_eq!(
            thinned(&["###", "###", "###"])
                .concat()
                .matches('#')
                .count(),
            1
        );
    }

    /// The reference: one pixel after the other, by the published conditions.
    fn plain(map: &[bool], width: usize) -> Vec<bool> {
        let mut map = map.to_vec();
        loop {
            let before = map.clone();
            for subiteration in 0..2 {
                let at = |x: i32, y: i32| {
                    let inside = (0..width as i32).contains(&x) && y >= 0;
                    inside && map.get(y as usize * width + x as usize) == Some(&true)
                };
                let goes = |pixel: usize| {
                    let (x, y) = ((pixel % width) as i32, (pixel / width) as i32);
                    let around = [
                        (1, 0),
                        (1, -1),
                        (0, -1),
                        (-1, -1),
                        (-1, 0),
                        (-1, 1),
                        (0, 1),
                        (1, 1),
                    ];
                    let on = |k: usize| at(x + around[k % 8].0, y + around[k % 8].1);
                    let pairs = |first: usize| {
                        (0..4)
                            .filter(|k| on(2 * k + first) || on(2 * k + first + 1))
                            .count()
                    };
                    let turns = (0..4).filter(|k| !on(2 * k) && (on(2 * k + 1) || on(2 * k + 2)));
                    let turn = 4 * subiteration;
                    turns.count() == 1
                        && (2..=3).contains(&pairs(0).min(pairs(1)))
                        && !((on(turn + 1) || on(turn + 2) || !on(turn + 7)) && on(turn))
                };
                let going: Vec<usize> = (0..map.len()).filter(|&at| map[at] && goes(at)).collect();
                going.into_iter().for_each(|pixel| map[pixel] = false);
            }
            if map == before {
                return map;
            }
        }
    }

    #[test]
    fn words_at_once_are_pixels_one_by_one() {
        let mut state = 7u64;
        let mut random = move |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for width in [1, 2, 63, 64, 65, 127, 130, 200] {
            for share in [30, 60, 85, 97] {
                let height = 1 + random(24) as usize;
                let map: Vec<bool> = (0..width * height).map(|_| random(100) < share).collect();
                let mut thinned = map.clone();
                thin(&mut thinned, width);
                assert_eq!(thinned, plain(&map, width), "{width} x {height}");
            }
        }
    }

    #[test]
    fn nothing_stays_nothing() {
        thin(&mut [], 0);
        assert_eq!(thinned(&["...", "..."]), ["...", "..."]);
        assert_eq!(thinned(&["#"]), ["#"]);
    }
}
