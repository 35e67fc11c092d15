//! Reading and making of Flex tensors, and elementwise passes over them.

use std::mem::MaybeUninit;

use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;

use super::vector::vectorised;

/// Elements that a thread takes at once in an elementwise pass: 64 KiB, so that a chunk stays in the
/// second-level cache while several loops pass over it, and small tensors are not split.
const GRAIN: usize = 1 << 14;

/// Whether all are single precision, the one type these kernels are written for.
pub(super) fn are_f32(tensors: &[&FlexTensor]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// A contiguous tensor of these values.
pub(super) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(shape.into()),
        DType::F32,
    )
}

/// A vector of this length whose places `write` has written.
///
/// # Safety
///
/// `write` writes every place.
pub(super) unsafe fn written(
    length: usize,
    write: impl FnOnce(&mut [MaybeUninit<f32>]),
) -> Vec<f32> {
    let mut values = Vec::with_capacity(length);
    write(&mut values.spare_capacity_mut()[..length]);
    // SAFETY: the capacity is at least this, and the caller promises that all of it is written.
    unsafe { values.set_len(length) };
    values
}

/// Changes a tensor chunk by chunk, in parallel; in place where nobody else holds it, otherwise a
/// copy. `f` is given where a chunk begins; its length is a multiple of `unit`, which divides the
/// number of elements.
pub(super) fn transform(
    tensor: FlexTensor,
    unit: usize,
    f: impl Fn(usize, &mut [f32]) + Sync,
) -> FlexTensor {
    let mut source = tensor.to_contiguous();
    drop(tensor);
    let length = (GRAIN / unit).max(1) * unit;
    if let Some(values) = source.try_storage_mut::<f32>() {
        let chunks = values.par_chunks_mut(length).enumerate();
        chunks.for_each(|(index, chunk)| {
            vectorised(
                #[inline(always)]
                || f(index * length, chunk),
            )
        });
        return source;
    }
    let values: &[f32] = source.storage();
    let write = |places: &mut [MaybeUninit<f32>]| {
        let chunks = places.par_chunks_mut(length).zip(values.par_chunks(length));
        chunks.enumerate().for_each(|(index, (places, values))| {
            for (place, &value) in places.iter_mut().zip(values) {
                place.write(value);
            }
            // SAFETY: the loop has written every place of the chunk.
            let chunk = unsafe { places.assume_init_mut() };
            vectorised(
                #[inline(always)]
                || f(index * length, chunk),
            );
        });
    };
    // SAFETY: the chunks cover all places, and each is written whole.
    let copy = unsafe { written(values.len(), write) };
    self::tensor(copy, source.layout().shape().clone())
}

/// The sum of two tensors of one shape, in place of one that nobody else holds.
pub(super) fn add(a: FlexTensor, b: FlexTensor) -> FlexTensor {
    if !a.is_unique() && b.is_unique() {
        return add(b, a);
    }
    let b = b.to_contiguous();
    let summands: &[f32] = b.storage();
    transform(
        a,
        1,
        #[inline(always)]
        |start, chunk| {
            for (value, &summand) in chunk.iter_mut().zip(&summands[start..]) {
                *value += summand;
            }
        },
    )
}
