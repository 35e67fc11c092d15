//! The partition of a map into windows.

/// The windows of a map: their side, the shift and the padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Side of a window, in positions.
    pub side: usize,
    /// Positions by which the map is rolled up and left before it is cut; 0 for regular windows, and along an axis
    /// whose side fits in one window.
    pub shift: [usize; 2],
    /// Height and width of the map without padding.
    pub size: [usize; 2],
    /// Whether the padding is rolled with the map, as Microsoft's detection code, mmdetection and
    /// torchvision do; otherwise it stays at the end, as in timm.
    pub pad_first: bool,
}

impl Windows {
    /// Height and width of the map with its padding at the end: multiples of the side.
    pub fn padded(&self) -> [usize; 2] {
        self.size.map(|length| length.next_multiple_of(self.side))
    }

    /// Positions of a window.
    pub fn area(&self) -> usize {
        self.side * self.side
    }

    /// Windows of an image.
    pub fn count(&self) -> usize {
        self.padded().iter().product::<usize>() / self.area()
    }

    /// The positions `[row, column]` of the rolled map in window order; windows and the positions in a window
    /// are row-major.
    fn walk(&self) -> impl Iterator<Item = [usize; 2]> {
        let side = self.side;
        let [rows, columns] = self.padded().map(|length| length / side);
        (0..rows).flat_map(move |row| {
            (0..columns).flat_map(move |column| {
                (0..side * side)
                    .map(move |inner| [row * side + inner / side, column * side + inner % side])
            })
        })
    }

    /// The row-major index in the padded map of every position in window order.
    pub(crate) fn sources(&self) -> Vec<usize> {
        let padded = self.padded();
        let rolled = if self.pad_first { padded } else { self.size };
        self.walk()
            .map(|[y, x]| {
                // Padding outside of what is rolled stays where it is.
                let inside = y < rolled[0] && x < rolled[1];
                let [y, x] = match inside {
                    true => [
                        (y + self.shift[0]) % rolled[0],
                        (x + self.shift[1]) % rolled[1],
                    ],
                    false => [y, x],
                };
                y * padded[1] + x
            })
            .collect()
    }

    /// The region of every position in window order. Positions of one window in different regions are
    /// neighbours only because of the shift. Empty without a shift.
    pub(crate) fn regions(&self) -> Vec<u8> {
        if self.shift == [0, 0] {
            return Vec::new();
        }
        let padded = self.padded();
        let band = |at, axis: usize| region(at, padded[axis], self.side, self.shift[axis]);
        self.walk()
            .map(|[y, x]| 3 * band(y, 0) + band(x, 1))
            .collect()
    }

    /// For every pair of positions of a window, query before key, the row of the bias table for their offset.
    pub(crate) fn offsets(&self) -> Vec<usize> {
        let side = self.side;
        let positions = || (0..side).flat_map(move |y| (0..side).map(move |x| (y, x)));
        positions()
            .flat_map(|(query_y, query_x)| {
                positions().map(move |(key_y, key_x)| {
                    let dy = query_y + side - 1 - key_y;
                    let dx = query_x + side - 1 - key_x;
                    dy * (2 * side - 1) + dx
                })
            })
            .collect()
    }
}

/// The band of a rolled axis that a position belongs to: inside, last whole window, wrapped.
fn region(position: usize, length: usize, side: usize, shift: usize) -> u8 {
    if position < length - side {
        0
    } else if position < length - shift {
        1
    } else {
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_positions_of_a_window_of_two() {
        let windows = Windows {
            side: 2,
            shift: [0, 0],
            size: [2, 2],
            pad_first: false,
        };
        // Offsets (dy, dx) + (1, 1), row-major in a 3 x 3 table; checked by hand.
        #[rustfmt::skip]
        let expected = vec![
            4, 3, 1, 0,
            5, 4, 2, 1,
            7, 6, 4, 3,
            8, 7, 5, 4,
        ];
        assert_eq!(windows.offsets(), expected);
    }

    #[test]
    fn a_padded_map_is_rolled_before_or_after_its_padding() {
        // One row of three positions and a position of padding, in windows of two, beside a row of
        // padding.
        let windows = |pad_first| Windows {
            side: 2,
            shift: [1, 1],
            size: [1, 3],
            pad_first,
        };
        assert_eq!(windows(false).padded(), [2, 4]);
        assert_eq!(windows(false).sources(), [1, 2, 4, 5, 0, 3, 6, 7]);
        assert_eq!(windows(true).sources(), [5, 6, 1, 2, 7, 4, 3, 0]);
        assert_eq!(windows(true).regions(), [3, 3, 6, 6, 4, 5, 7, 8]);
    }
}
