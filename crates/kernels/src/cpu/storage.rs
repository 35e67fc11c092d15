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
    // SAFETY: the chunks cover all places, and each is written before it is read.
    let copy = unsafe {
        written(values.len(), |places| {
            let chunks = places.par_chunks_mut(length).zip(values.par_chunks(length));
            chunks.enumerate().for_each(|(index, (places, values))| {
                let chunk = places.write_copy_of_slice(values);
                vectorised(
                    #[inline(always)]
                    || f(index * length, chunk),
                );
            });
        })
    };
    self::tensor(copy, source.layout().shape().clone())
}

/// `f` of every element and its partner in a tensor of the same shape.
pub(super) fn zip(a: FlexTensor, b: FlexTensor, f: impl Fn(f32, f32) -> f32 + Sync) -> FlexTensor {
    if !a.is_unique() && b.is_unique() {
        return zip_into(
            b,
            a,
            #[inline(always)]
            |b, a| f(a, b),
        );
    }
    zip_into(a, b, f)
}

fn zip_into(a: FlexTensor, b: FlexTensor, f: impl Fn(f32, f32) -> f32 + Sync) -> FlexTensor {
    let b = b.to_contiguous();
    let partners: &[f32] = b.storage();
    transform(
        a,
        1,
        #[inline(always)]
        |start, chunk| {
            for (value, &partner) in chunk.iter_mut().zip(&partners[start..]) {
                *value = f(*value, partner);
            }
        },
    )
}
