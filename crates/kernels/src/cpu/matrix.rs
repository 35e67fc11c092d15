//! Views of matrices, and their product by the matrix library.

use std::mem::MaybeUninit;

use burn_flex::FlexTensor;

/// A matrix somewhere in a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    /// Steps from row to row and from column to column.
    pub(super) strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Rows one after the other.
    pub(super) fn rows(values: &'a [f32], columns: usize) -> Self {
        Self {
            values,
            strides: [columns, 1],
        }
    }

    /// The same values by columns.
    pub(super) fn transposed(self) -> Self {
        let [row, column] = self.strides;
        Self {
            strides: [column, row],
            ..self
        }
    }

    /// A tensor of rank 2 where it is, transposed or not; none where it is laid out otherwise.
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

    /// Whether every element of a matrix of this size is inside.
    fn holds(&self, [rows, columns]: [usize; 2]) -> bool {
        let [row, column] = self.strides;
        rows == 0 || columns == 0 || (rows - 1) * row + (columns - 1) * column < self.values.len()
    }
}

/// `c = a b` of `[rows, depth]` and `[depth, columns]`, by this thread alone or by all.
///
/// # Panics
///
/// If a matrix is too short.
pub(super) fn multiply<'c>(
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: &'c mut [MaybeUninit<f32>],
    [rows, depth, columns]: [usize; 3],
    is_parallel: bool,
) -> &'c mut [f32] {
    assert!(a.holds([rows, depth]) && b.holds([depth, columns]));
    assert_eq!(c.len(), rows * columns);
    let parallelism = if is_parallel {
        gemm::Parallelism::Rayon(0)
    } else {
        gemm::Parallelism::None
    };
    // SAFETY: the assertions keep every access of the three matrices inside, and all of `c` is
    // written before it is read.
    unsafe {
        call(
            a,
            b,
            c.as_mut_ptr().cast(),
            [rows, depth, columns],
            false,
            parallelism,
        );
        c.assume_init_mut()
    }
}

/// `c += a b` by this thread alone; see [`multiply`].
pub(super) fn multiply_add(
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: &mut [f32],
    [rows, depth, columns]: [usize; 3],
) {
    assert!(a.holds([rows, depth]) && b.holds([depth, columns]));
    assert_eq!(c.len(), rows * columns);
    let sizes = [rows, depth, columns];
    // SAFETY: the assertions keep every access of the three matrices inside.
    unsafe { call(a, b, c.as_mut_ptr(), sizes, true, gemm::Parallelism::None) };
}

/// # Safety
///
/// The matrices hold what the sizes say; so does `c`, whose rows lie one after the other.
unsafe fn call(
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: *mut f32,
    [rows, depth, columns]: [usize; 3],
    is_sum: bool,
    parallelism: gemm::Parallelism,
) {
    // SAFETY: as the caller promises.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            c,
            1,
            columns as isize,
            is_sum,
            a.values.as_ptr(),
            a.strides[1] as isize,
            a.strides[0] as isize,
            b.values.as_ptr(),
            b.strides[1] as isize,
            b.strides[0] as isize,
            if is_sum { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
