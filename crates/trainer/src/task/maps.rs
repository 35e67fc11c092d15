//! Maps that a network makes of padded pictures, brought back to the images these were read from.

use burn::tensor::{BasicOps, Int, Tensor, TensorData};
use gradway_data::DenseTarget;
use gradway_kernels::{
    ChannelAxis, KernelBackend, channels_first, channels_last, most_likely, read, resize_bilinear,
    softmax,
};

/// Maps of a batch cut to its pictures, and at the size of the images as they were read; those that follow
/// each other with the same sizes together.
///
/// # Shapes
///
/// - `maps`: `[batch, channels, height, width]` at the size of the batch
/// - output: `[images, channels, height, width]` each
pub(super) fn restored<B: KernelBackend>(
    maps: Tensor<B, 4>,
    items: &[DenseTarget],
) -> Vec<Tensor<B, 4>> {
    let alike = |one: &DenseTarget, other: &DenseTarget| {
        (one.size, one.original) == (other.size, other.original)
    };
    let mut first = 0;
    let runs = items.chunk_by(alike).map(|run| {
        let start = first;
        first += run.len();
        let [height, width] = run[0].size;
        let pictures = cut(maps.clone(), 0, start, run.len());
        let pictures = cut(cut(pictures, 2, 0, height), 3, 0, width);
        resize_bilinear(pictures, run[0].original)
    });
    runs.collect()
}

/// Some of the positions of an axis; what is beyond its end is left out.
pub(super) fn cut<B: KernelBackend>(
    maps: Tensor<B, 4>,
    axis: usize,
    start: usize,
    length: usize,
) -> Tensor<B, 4> {
    let whole = maps.dims()[axis];
    match (start, length.min(whole - start)) {
        (0, length) if length == whole => maps,
        (start, length) => maps.narrow(axis, start, length),
    }
}

/// The probabilities of the classes of every pixel.
///
/// # Shapes
///
/// - `logits`, output: `[images, classes, height, width]`
pub(super) fn probabilities<B: KernelBackend>(logits: Tensor<B, 4>) -> Tensor<B, 4> {
    let rows = channels_last(logits, ChannelAxis::First);
    channels_first(softmax(rows), ChannelAxis::Last)
}

/// The most likely class of every pixel, image by image.
///
/// # Shapes
///
/// - `logits`: `[images, classes, height, width]` each; or probabilities
/// - output: `[height, width]` each
pub(super) fn class_maps<B: KernelBackend>(logits: Vec<Tensor<B, 4>>) -> Vec<Vec<u8>> {
    let classes = logits.into_iter().map(most_likely);
    let classes: Vec<Tensor<B, 3, Int>> = classes.collect();
    split(classes, |data| {
        data.iter::<i32>().map(|class| class as u8).collect()
    })
}

/// The values of maps, image by image.
///
/// # Shapes
///
/// - `maps`: `[images, channels, height, width]` each
/// - output: `[channels, height, width]` each
pub(super) fn value_maps<B: KernelBackend>(maps: Vec<Tensor<B, 4>>) -> Vec<Vec<f32>> {
    split(maps, |data| data.iter::<f32>().collect())
}

/// What tensors hold, image by image along their first axis, with one wait for the device.
fn split<B: KernelBackend, const D: usize, K: BasicOps<B>, T: Clone>(
    tensors: Vec<Tensor<B, D, K>>,
    values: impl Fn(TensorData) -> Vec<T>,
) -> Vec<Vec<T>> {
    if tensors.is_empty() {
        return Vec::new();
    }
    let mut lengths = Vec::new();
    let flat = tensors.into_iter().map(|tensor| {
        let shape = tensor.dims();
        let length = shape[1..].iter().product::<usize>();
        lengths.extend(std::iter::repeat_n(length, shape[0]));
        tensor.reshape([shape[0] * length])
    });
    let flat: Vec<Tensor<B, 1, K>> = flat.collect();
    let all = values(read(Tensor::cat(flat, 0)));
    let mut rest = &all[..];
    let image = |length: usize| {
        let (image, after) = rest.split_at(length);
        rest = after;
        image.to_vec()
    };
    lengths.into_iter().map(image).collect()
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    fn target(size: [usize; 2], original: [usize; 2]) -> DenseTarget {
        DenseTarget {
            id: String::new(),
            size,
            original,
            labels: Default::default(),
        }
    }

    /// Classes that tell image and place: of image `i` the logit of class `c` is largest at column `c`.
    #[test]
    fn pictures_are_cut_and_resized_image_by_image() {
        let (images, classes, height, width) = (4, 5, 4, 5);
        let value = |index: usize| {
            let (image, class) = (
                index / (classes * height * width),
                index / (height * width) % classes,
            );
            let column = index % width;
            if column == class {
                1.0 + image as f32
            } else {
                0.0
            }
        };
        let values: Vec<f32> = (0..images * classes * height * width).map(value).collect();
        let data = TensorData::new(values, [images, classes, height, width]);
        let maps = Tensor::<Flex, 4>::from_data(data, &Default::default());
        let items = [
            target([4, 5], [4, 5]),
            target([2, 3], [2, 3]),
            target([2, 3], [2, 3]),
            target([4, 5], [8, 10]),
        ];
        let restored = restored(maps, &items);
        let shapes: Vec<[usize; 4]> = restored.iter().map(Tensor::dims).collect();
        assert_eq!(shapes, [[1, 5, 4, 5], [2, 5, 2, 3], [1, 5, 8, 10]]);
        let found = class_maps(restored.clone());
        assert_eq!(found.len(), 4);
        assert_eq!(found[0], [0, 1, 2, 3, 4].repeat(4));
        assert_eq!(found[1], [0, 1, 2, 0, 1, 2]);
        assert_eq!(found[2], found[1]);
        assert_eq!(found[3], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4].repeat(8));
        let values = value_maps(restored);
        assert_eq!(values[2].len(), 5 * 2 * 3);
        // Class 0 of the third image, its first row.
        assert_eq!(values[2][..3], [3.0, 0.0, 0.0]);
        assert!(class_maps::<Flex>(Vec::new()).is_empty());
    }
}
