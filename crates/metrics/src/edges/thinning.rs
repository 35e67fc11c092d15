//! Thinning of a binary map to lines one pixel wide.

/// Thins a map of rows of `width` as MATLAB's `bwmorph(map, 'thin')` does, with which BSDS thins
/// predictions: Guo and Hall's parallel thinning in two subiterations (Communications of the ACM,
/// 1989), until nothing changes. Pixels outside the map are off.
pub(super) fn thin(map: &mut [bool], width: usize) {
    if map.is_empty() {
        return;
    }
    // A border of pixels that are off saves every question of where the map ends.
    let stride = width + 2;
    let mut padded = vec![false; stride * (map.len() / width + 2)];
    for (from, to) in map.chunks(width).zip(padded.chunks_mut(stride).skip(1)) {
        to[1..=width].copy_from_slice(from);
    }
    thin_padded(&mut padded, stride);
    for (to, from) in map.chunks_mut(width).zip(padded.chunks(stride).skip(1)) {
        to.copy_from_slice(&from[1..=width]);
    }
}

fn thin_padded(map: &mut [bool], stride: usize) {
    let removable = [0, 1].map(|subiteration| {
        let table = (0..=u8::MAX).map(|neighbours| is_removable(neighbours, subiteration));
        table.collect::<Vec<bool>>()
    });
    // Whether a pixel goes depends on its neighbours alone: once it has stayed, a subiteration has to
    // look at it again only after one of them has gone. Thick regions take many subiterations.
    let on: Vec<usize> = (0..map.len()).filter(|&pixel| map[pixel]).collect();
    let mut waiting = [on.clone(), on];
    let mut is_waiting = [map.to_vec(), map.to_vec()];
    while waiting.iter().any(|pixels| !pixels.is_empty()) {
        for subiteration in 0..2 {
            let mut candidates = std::mem::take(&mut waiting[subiteration]);
            for &pixel in &candidates {
                is_waiting[subiteration][pixel] = false;
            }
            candidates.retain(|&pixel| {
                let neighbours = neighbours(pixel, stride).map(|neighbour| map[neighbour]);
                map[pixel] && removable[subiteration][usize::from(bits(neighbours))]
            });
            // At once: none of them sees that another goes.
            for &pixel in &candidates {
                map[pixel] = false;
            }
            for neighbour in candidates
                .iter()
                .flat_map(|&pixel| neighbours(pixel, stride))
            {
                for (waiting, is_waiting) in waiting.iter_mut().zip(&mut is_waiting) {
                    if map[neighbour] && !is_waiting[neighbour] {
                        is_waiting[neighbour] = true;
                        waiting.push(neighbour);
                    }
                }
            }
        }
    }
}

/// The eight neighbours, from the right one counterclockwise.
fn neighbours(pixel: usize, stride: usize) -> [usize; 8] {
    let (above, below) = (pixel - stride, pixel + stride);
    [
        pixel + 1,
        above + 1,
        above,
        above - 1,
        pixel - 1,
        below - 1,
        below,
        below + 1,
    ]
}

fn bits(values: [bool; 8]) -> u8 {
    let bits = values.iter().enumerate();
    bits.fold(0, |bits, (index, &value)| bits | u8::from(value) << index)
}

/// The conditions of the paper, with its names for the neighbours: x1 to x8, here 0 to 7.
fn is_removable(neighbours: u8, subiteration: usize) -> bool {
    let on = |index: usize| neighbours >> (index % 8) & 1 == 1;
    // One connected piece of neighbours: the pixel does not hold two together.
    let pieces = (0..4).filter(|k| !on(2 * k) && (on(2 * k + 1) || on(2 * k + 2)));
    // Neither the end of a line nor inside of a region.
    let first = (0..4).filter(|k| on(2 * k) || on(2 * k + 1)).count();
    let second = (0..4).filter(|k| on(2 * k + 1) || on(2 * k + 2)).count();
    // On the right and upper side of a region first, then on the other two.
    let turn = 4 * subiteration;
    let inner = (on(turn + 1) || on(turn + 2) || !on(turn + 7)) && on(turn);
    pieces.count() == 1 && (2..=3).contains(&first.min(second)) && !inner
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

    #[test]
    fn nothing_stays_nothing() {
        thin(&mut [], 0);
        assert_eq!(thinned(&["...", "..."]), ["...", "..."]);
        assert_eq!(thinned(&["#"]), ["#"]);
    }
}
