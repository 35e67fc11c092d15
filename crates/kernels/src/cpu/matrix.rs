//! Views of matrices.

use burn_flex::FlexTensor;

/// A strided view of a matrix in a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    /// Steps from row to row and from column to column.
    pub(super) strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// A matrix of contiguous rows.
    pub(super) fn rows(values: &'a [f32], columns: usize) -> Self {
        Self {
            values,
            strides: [columns, 1],
        }
    }

    /// The transposed view.
    pub(super) fn transposed(self) -> Self {
        let [row, column] = self.strides;
        Self {
            strides: [column, row],
            ..self
        }
    }

    /// The rows from this row on.
    pub(super) fn after(self, row: usize) -> Self {
        Self {
            values: &self.values[row * self.strides[0]..],
            ..self
        }
    }

    /// A view of a tensor of rank 2, transposed or not; `None` for any other layout.
    pub(super) fn of(tensor: &'a FlexTensor) -> Option<Self> {
        let layout = tensor.layout();
        let [row, column] = *layout.strides() else {
            return None;
        };
        let strides = [usize::try_from(row).ok()?, usize::try_from(column).ok()?];
        let values: &[f32] = tensor.storage();
        Some(Self {
            values: &values[layout.start_offset()..],
            strides,
        })
    }

    /// Whether the slice holds every element of a matrix of this size.
    pub(super) fn holds(&self, [rows, columns]: [usize; 2]) -> bool {
        let [row, column] = self.strides;
        rows == 0 || columns == 0 || (rows - 1) * row + (columns - 1) * column < self.values.len()
    }
}
