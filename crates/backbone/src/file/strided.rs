//! Strided views of a storage, as in PyTorch: shape, strides and offset.

use std::ops::Range;

/// Maximum number of axes of a tensor in PyTorch.
const AXES: usize = 64;
/// Number of elements that a view may have beyond those of its storage, as an expanded tensor has.
const REPEATED: usize = 1 << 24;

/// A strided view of a storage, in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strided {
    shape: Vec<usize>,
    strides: Vec<usize>,
    /// Number of elements in the view.
    count: usize,
    /// The range of the storage's elements that the view covers.
    span: Range<usize>,
}

impl Strided {
    /// Creates a view of a storage of `available` elements.
    ///
    /// The error is the reason why the view is invalid: its number of strides is wrong, it reaches beyond the
    /// storage, or it repeats a few elements too often.
    pub(crate) fn new(
        shape: Vec<usize>,
        strides: Vec<usize>,
        offset: usize,
        available: usize,
    ) -> Result<Self, &'static str> {
        if shape.len() != strides.len() || shape.len() > AXES {
            return Err("a tensor with more or fewer strides than axes");
        }
        let beyond = "a tensor that reaches beyond its storage";
        let count = shape
            .iter()
            .try_fold(1_usize, |product, &side| product.checked_mul(side));
        let count = match count {
            Some(count) => count,
            None if shape.contains(&0) => 0,
            None => return Err(beyond),
        };
        let mut last = offset;
        if count > 0 {
            for (side, stride) in shape.iter().zip(&strides) {
                let reach = (side - 1).checked_mul(*stride);
                last = reach
                    .and_then(|reach| last.checked_add(reach))
                    .ok_or(beyond)?;
            }
        }
        let span = if count > 0 {
            offset..last.saturating_add(1)
        } else {
            0..0
        };
        if span.end > available {
            return Err(beyond);
        }
        if count > span.len() && count > REPEATED {
            return Err("a tensor that repeats the numbers of a small storage too often");
        }
        Ok(Self {
            shape,
            strides,
            count,
            span,
        })
    }

    /// Creates a contiguous row-major view from the storage's first element on.
    pub(crate) fn contiguous(shape: Vec<usize>, available: usize) -> Result<Self, &'static str> {
        let mut stride = 1_usize;
        let mut strides = vec![0; shape.len()];
        for (place, side) in strides.iter_mut().zip(&shape).rev() {
            *place = stride;
            stride = stride.saturating_mul(*side);
        }
        Self::new(shape, strides, 0, available)
    }

    /// Creates a view that is never read.
    pub(crate) fn unread(shape: Vec<usize>) -> Self {
        let strides = vec![0; shape.len()];
        Self {
            shape,
            strides,
            count: 0,
            span: 0..0,
        }
    }

    /// Returns the shape.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the range of the storage's bytes that the view covers, for elements of `each` bytes.
    pub(crate) fn bytes(&self, each: usize) -> Option<Range<u64>> {
        let end = self.span.end.checked_mul(each)?;
        Some((self.span.start * each) as u64..end as u64)
    }

    /// Gathers the elements in the order of the shape from those that the view covers.
    ///
    /// # Shapes
    ///
    /// - `values`: the elements of the range that [`bytes`](Self::bytes) returns
    pub(crate) fn gather(&self, values: Vec<f32>) -> Vec<f32> {
        if self.is_contiguous() {
            return values;
        }
        let Some((&inner, outer)) = self.shape.split_last() else {
            return values;
        };
        let mut gathered = Vec::with_capacity(self.count);
        let step = self.strides[outer.len()];
        let mut index = vec![0; outer.len()];
        let mut start = 0;
        while gathered.len() < self.count {
            gathered.extend((0..inner).map(|position| values[start + position * step]));
            // The next row, as an odometer counts.
            for axis in (0..outer.len()).rev() {
                index[axis] += 1;
                start += self.strides[axis];
                if index[axis] < outer[axis] {
                    break;
                }
                start -= self.strides[axis] * outer[axis];
                index[axis] = 0;
            }
        }
        gathered
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        let axes = self.shape.iter().zip(&self.strides).rev();
        self.count == self.span.len()
            && axes.filter(|(side, _)| **side > 1).all(|(side, stride)| {
                let fits = *stride == expected;
                expected *= side;
                fits
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(shape: &[usize], strides: &[usize], offset: usize, available: usize) -> Vec<f32> {
        let strided = Strided::new(shape.to_vec(), strides.to_vec(), offset, available).unwrap();
        let range = strided.bytes(1).unwrap();
        let touched = (range.start..range.end).map(|index| index as f32).collect();
        strided.gather(touched)
    }

    #[test]
    fn a_transposed_matrix_is_read_by_rows() {
        assert_eq!(view(&[2, 3], &[1, 2], 0, 6), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
        assert_eq!(view(&[3, 2], &[2, 1], 0, 6), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn part_of_a_storage_starts_at_its_offset() {
        // Columns 1 and 2 of a matrix of 4 columns, from row 1 on.
        assert_eq!(view(&[2, 2], &[4, 1], 5, 12), [5.0, 6.0, 9.0, 10.0]);
        assert_eq!(view(&[3], &[2], 1, 6), [1.0, 3.0, 5.0]);
        assert_eq!(view(&[], &[], 4, 5), [4.0]);
        assert_eq!(view(&[2, 0, 3], &[3, 3, 1], 9, 0), [0.0; 0]);
    }

    #[test]
    fn an_expanded_number_is_repeated() {
        assert_eq!(view(&[2, 3], &[0, 1], 0, 3), [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
        assert_eq!(view(&[2, 2], &[0, 0], 2, 3), [2.0; 4]);
    }

    #[test]
    fn the_stride_of_an_axis_of_one_position_does_not_matter() {
        assert_eq!(view(&[1, 3], &[99, 1], 0, 3), [0.0, 1.0, 2.0]);
        assert_eq!(view(&[3, 1], &[1, 7], 0, 3), [0.0, 1.0, 2.0]);
    }

    #[test]
    fn a_view_beyond_its_storage_is_refused() {
        for (shape, strides, offset, available) in [
            (vec![2, 3], vec![3, 1], 1, 6),
            (vec![usize::MAX, usize::MAX], vec![1, 1], 0, 6),
            (vec![2], vec![usize::MAX], usize::MAX, 6),
            (vec![2, 2], vec![1], 0, 6),
            (vec![1; 65], vec![1; 65], 0, 6),
            // Memory for so many numbers is never asked for.
            (vec![1 << 20, 1 << 20], vec![0, 0], 0, 6),
        ] {
            assert!(Strided::new(shape, strides, offset, available).is_err());
        }
    }
}
