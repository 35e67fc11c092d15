//! Reading and creating Flex tensors, and elementwise passes over them.

use std::mem::MaybeUninit;

use burn::tensor::ops::FloatTensorOps;
use burn::tensor::{Bytes, DType, FloatDType, Shape};
use burn_flex::{Flex, FlexTensor, Layout};
use rayon::prelude::*;

use super::vector::vectorised;

/// Number of elements that a thread takes at once in an elementwise pass: 64 KiB, so a chunk stays in the
/// second-level cache for several loops, and small tensors are not split.
const GRAIN: usize = 1 << 14;

/// Whether all tensors are single precision, the only type of these kernels.
pub(super) fn are_f32(tensors: &[&FlexTensor]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// Converts half precision to single; other types stay as they are.
pub(super) fn widened(x: FlexTensor) -> FlexTensor {
    match x.dtype() {
        DType::F16 | DType::BF16 => Flex::float_cast(x, FloatDType::F32),
        _ => x,
    }
}

/// Rounds a tensor to half precision if `to` is such a type.
pub(super) fn rounded(x: FlexTensor, to: DType) -> FlexTensor {
    match to {
        DType::F16 => Flex::float_cast(x, FloatDType::F16),
        DType::BF16 => Flex::float_cast(x, FloatDType::BF16),
        _ => x,
    }
}

/// A contiguous tensor of these values.
pub(super) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(shape.into()),
        DType::F32,
    )
}

/// [`FlexTensor::to_contiguous`] for every image of a batch by itself: Flex transposes one matrix in tiles, but
/// a batch of matrices element by element, which takes ten times as long.
pub(super) fn contiguous(x: FlexTensor) -> FlexTensor {
    let shape = x.layout().shape().clone();
    let is_batch = shape.num_dims() > 2 && shape[0] > 1 && shape.num_elements() > 0;
    if x.is_contiguous() || !is_batch || !are_f32(&[&x]) {
        return x.to_contiguous();
    }
    let write = |places: &mut [MaybeUninit<f32>]| {
        let images = places.par_chunks_mut(shape.num_elements() / shape[0]);
        images.enumerate().for_each(|(image, places)| {
            write_copy(places, x.narrow(0, image, 1).to_contiguous().storage());
        });
    };
    // SAFETY: the images cover all places, and each is written whole.
    let values = unsafe { written(shape.num_elements(), write) };
    tensor(values, shape.clone())
}

/// Returns a vector of this length, filled by `write`.
///
/// # Safety
///
/// `write` must write every element.
pub(super) unsafe fn written(
    length: usize,
    write: impl FnOnce(&mut [MaybeUninit<f32>]),
) -> Vec<f32> {
    let mut values = Vec::new();
    // SAFETY: as the caller promises.
    unsafe { refill(&mut values, length, write) };
    values
}

/// Resizes a vector to this length and fills it by `write`, reusing its memory if that is large enough.
///
/// # Safety
///
/// `write` must write every element.
#[inline(always)]
pub(super) unsafe fn refill(
    values: &mut Vec<f32>,
    length: usize,
    write: impl FnOnce(&mut [MaybeUninit<f32>]),
) {
    values.clear();
    values.reserve_exact(length);
    write(&mut values.spare_capacity_mut()[..length]);
    // SAFETY: the capacity is at least this, and the caller promises that all of it is written.
    unsafe { values.set_len(length) };
}

/// Copies values of the same length with vector instructions: a call of the C library costs more here, and its
/// copies of a few KiB by string instructions are slow on many processors.
#[inline(always)]
pub(super) fn write_copy<'a>(places: &'a mut [MaybeUninit<f32>], values: &[f32]) -> &'a mut [f32] {
    let values = &values[..places.len()];
    let (blocks, _) = values.as_chunks::<8>();
    let (places_of, _) = places.as_chunks_mut::<8>();
    for (places, values) in places_of.iter_mut().zip(blocks) {
        places.write_copy_of_slice(values);
    }
    let rest = blocks.len() * 8;
    for (place, value) in places[rest..].iter_mut().zip(&values[rest..]) {
        place.write(*value);
    }
    // SAFETY: the loops have written every place.
    unsafe { places.assume_init_mut() }
}

/// Splits the rows of a matrix into parts of at most `width` columns: for every part its piece of every row.
pub(super) fn split_columns(
    places: &mut [MaybeUninit<f32>],
    columns: usize,
    width: usize,
) -> Vec<Vec<&mut [MaybeUninit<f32>]>> {
    let mut parts = Vec::new();
    parts.resize_with(columns.div_ceil(width), || {
        Vec::with_capacity(places.len() / columns)
    });
    for row in places.chunks_exact_mut(columns) {
        for (part, piece) in parts.iter_mut().zip(row.chunks_mut(width)) {
            part.push(piece);
        }
    }
    parts
}

/// Changes a tensor chunk by chunk, in parallel; in place if nothing else holds it, otherwise in a copy. `f`
/// receives the start of each chunk; its length is a multiple of `unit`, which divides the number of elements.
///
/// It is for functions that pass over a chunk more than once; a single pass is a [`map`].
pub(super) fn transform(
    tensor: FlexTensor,
    unit: usize,
    f: impl Fn(usize, &mut [f32]) + Sync,
) -> FlexTensor {
    map(
        tensor,
        unit,
        #[inline(always)]
        |start, elements| {
            let (values, written) = elements.in_place();
            f(start, values);
            written
        },
    )
}

/// As [`transform`], for elements that are read and written once.
pub(super) fn map(
    tensor: FlexTensor,
    unit: usize,
    f: impl Fn(usize, Elements<'_>) -> Written + Sync,
) -> FlexTensor {
    let length = (GRAIN / unit).max(1) * unit;
    let (tensor, _) = map_parts(
        tensor,
        length,
        #[inline(always)]
        |start, elements| (f(start, elements), ()),
    );
    tensor
}

/// As [`map`], in chunks of this length; returns what `f` returns for each.
pub(super) fn map_parts<T: Send>(
    tensor: FlexTensor,
    length: usize,
    f: impl Fn(usize, Elements<'_>) -> (Written, T) + Sync,
) -> (FlexTensor, Vec<T>) {
    let mut source = tensor.to_contiguous();
    drop(tensor);
    if let Some(values) = source.try_storage_mut::<f32>() {
        let chunks = values.par_chunks_mut(length).enumerate();
        let part = |(index, values): (usize, &mut [f32])| {
            let (Written(()), part) = vectorised(
                #[inline(always)]
                || f(index * length, Elements::InPlace(values)),
            );
            part
        };
        let parts = chunks.map(part).collect();
        return (source, parts);
    }
    let values: &[f32] = source.storage();
    let mut parts = Vec::new();
    let write = |places: &mut [MaybeUninit<f32>]| {
        let chunks = places.par_chunks_mut(length).zip(values.par_chunks(length));
        let part = |(index, (places, values)): (usize, (&mut [MaybeUninit<f32>], &[f32]))| {
            let (Written(()), part) = vectorised(
                #[inline(always)]
                || f(index * length, Elements::Copied(values, places)),
            );
            part
        };
        chunks.enumerate().map(part).collect_into_vec(&mut parts);
    };
    // SAFETY: the chunks cover all places, and `f` shows that it has written each whole.
    let copy = unsafe { written(values.len(), write) };
    (self::tensor(copy, source.layout().shape().clone()), parts)
}

/// Values that a function replaces, in place or in a copy.
pub(super) enum Elements<'a> {
    InPlace(&'a mut [f32]),
    Copied(&'a [f32], &'a mut [MaybeUninit<f32>]),
}

/// Proof that all elements have been replaced.
#[must_use]
pub(super) struct Written(());

impl<'a> Elements<'a> {
    /// The current values.
    #[inline(always)]
    pub(super) fn values(&self) -> &[f32] {
        match self {
            Elements::InPlace(values) => values,
            Elements::Copied(values, _) => values,
        }
    }

    /// The values, to be changed in place.
    #[inline(always)]
    fn in_place(self) -> (&'a mut [f32], Written) {
        let values = match self {
            Elements::InPlace(values) => values,
            Elements::Copied(values, places) => write_copy(places, values),
        };
        (values, Written(()))
    }

    /// Replaces every value.
    #[inline(always)]
    pub(super) fn replace(self, f: impl Fn(f32) -> f32) -> Written {
        self.replace_with(
            [],
            #[inline(always)]
            |value, []| f(value),
        )
    }

    /// Replaces every value, given the values at the same index in other slices of at least the same length.
    #[inline(always)]
    pub(super) fn replace_with<const N: usize>(
        self,
        others: [&[f32]; N],
        f: impl Fn(f32, [f32; N]) -> f32,
    ) -> Written {
        match self {
            Elements::InPlace(values) => {
                let others = others.map(
                    #[inline(always)]
                    |other| &other[..values.len()],
                );
                for (index, value) in values.iter_mut().enumerate() {
                    *value = f(*value, at(others, index));
                }
            }
            Elements::Copied(values, places) => {
                let values = &values[..places.len()];
                let others = others.map(
                    #[inline(always)]
                    |other| &other[..places.len()],
                );
                for (index, place) in places.iter_mut().enumerate() {
                    place.write(f(values[index], at(others, index)));
                }
            }
        }
        Written(())
    }

    /// As [`Elements::replace_with`], for about as many elements as a tile is wide: for so few, a loop of
    /// unknown length costs more than its body.
    #[inline(always)]
    pub(super) fn combine_few(self, others: &[f32], f: impl Fn(f32, f32) -> f32) -> Written {
        const LANES: usize = 8;

        // All is read before anything is written, or the compiler would fear for what is not yet read.
        #[inline(always)]
        fn few(
            values: &[f32; LANES],
            others: &[f32; LANES],
            f: impl Fn(f32, f32) -> f32,
        ) -> [f32; LANES] {
            std::array::from_fn(
                #[inline(always)]
                |lane| f(values[lane], others[lane]),
            )
        }

        match self {
            Elements::InPlace(values) => {
                let others = &others[..values.len()];
                let (others_of, others) = others.as_chunks::<LANES>();
                let (values_of, values) = values.as_chunks_mut::<LANES>();
                for (values, others) in values_of.iter_mut().zip(others_of) {
                    *values = few(values, others, &f);
                }
                for (value, other) in values.iter_mut().zip(others) {
                    *value = f(*value, *other);
                }
            }
            Elements::Copied(values, places) => {
                let (values, others) = (&values[..places.len()], &others[..places.len()]);
                let (values_of, values) = values.as_chunks::<LANES>();
                let (others_of, others) = others.as_chunks::<LANES>();
                let (places_of, places) = places.as_chunks_mut::<LANES>();
                for ((places, values), others) in places_of.iter_mut().zip(values_of).zip(others_of)
                {
                    places.write_copy_of_slice(&few(values, others, &f));
                }
                for ((place, value), other) in places.iter_mut().zip(values).zip(others) {
                    place.write(f(*value, *other));
                }
            }
        }
        Written(())
    }

    /// Replaces the values row by row; the length of a row divides the number of values.
    #[inline(always)]
    pub(super) fn rows(
        self,
        length: usize,
        mut f: impl FnMut(usize, Elements<'_>) -> Written,
    ) -> Written {
        match self {
            Elements::InPlace(values) => {
                for (index, row) in values.chunks_mut(length).enumerate() {
                    let Written(()) = f(index, Elements::InPlace(row));
                }
            }
            Elements::Copied(values, places) => {
                let rows = values.chunks(length).zip(places.chunks_mut(length));
                for (index, (values, places)) in rows.enumerate() {
                    let Written(()) = f(index, Elements::Copied(values, places));
                }
            }
        }
        Written(())
    }
}

#[inline(always)]
fn at<const N: usize>(others: [&[f32]; N], index: usize) -> [f32; N] {
    others.map(
        #[inline(always)]
        |other| other[index],
    )
}

/// The sum of two tensors of one shape, computed in place of one that nothing else holds.
pub(super) fn add(a: FlexTensor, b: FlexTensor) -> FlexTensor {
    if !a.is_unique() && b.is_unique() {
        return add(b, a);
    }
    let b = b.to_contiguous();
    let summands: &[f32] = b.storage();
    map(
        a,
        1,
        #[inline(always)]
        |start, elements| {
            elements.replace_with(
                [&summands[start..]],
                #[inline(always)]
                |value, [summand]| value + summand,
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_laid_out_image_by_image() {
        let values = (0..3 * 5 * 7 * 2).map(|value| value as f32).collect();
        let maps = tensor(values, [3, 5, 7, 2]);
        for axes in [[0, 3, 1, 2], [0, 2, 1, 3], [1, 0, 2, 3], [0, 1, 2, 3]] {
            let turned = maps.permute(&axes);
            let plain = turned.to_contiguous();
            let laid_out = contiguous(turned.clone());
            assert_eq!(laid_out.layout(), plain.layout());
            assert_eq!(laid_out.storage::<f32>(), plain.storage::<f32>());
            let part = turned.narrow(1, 1, 1);
            let plain = part.to_contiguous();
            assert_eq!(contiguous(part).storage::<f32>(), plain.storage::<f32>());
        }
    }
}
