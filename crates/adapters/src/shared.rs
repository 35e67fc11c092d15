//! The result of one pass through a backbone, for any number of tasks.

use std::fmt::Debug;
use std::vec;

use burn::tensor::Tensor;
use gradway_kernels::KernelBackend;

/// A structure of maps from which a method computes the features of each task.
///
/// Code that differentiates the tasks one after the other collects the maps and replaces them by others,
/// without knowing the structure.
pub trait Shared<B: KernelBackend>: Clone + Debug {
    /// Appends all maps, in the order of [`Self::replaced`].
    fn collect(&self, maps: &mut Vec<Tensor<B, 4>>);

    /// Returns the structure with its maps replaced by the next ones; if there are too few, the remaining maps
    /// are kept.
    fn replaced(&self, maps: &mut vec::IntoIter<Tensor<B, 4>>) -> Self;
}

impl<B: KernelBackend> Shared<B> for Tensor<B, 4> {
    fn collect(&self, maps: &mut Vec<Tensor<B, 4>>) {
        maps.push(self.clone());
    }

    fn replaced(&self, maps: &mut vec::IntoIter<Tensor<B, 4>>) -> Self {
        maps.next().unwrap_or_else(|| self.clone())
    }
}

impl<B: KernelBackend, S: Shared<B>> Shared<B> for Vec<S> {
    fn collect(&self, maps: &mut Vec<Tensor<B, 4>>) {
        for part in self {
            part.collect(maps);
        }
    }

    fn replaced(&self, maps: &mut vec::IntoIter<Tensor<B, 4>>) -> Self {
        self.iter().map(|part| part.replaced(maps)).collect()
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    #[test]
    fn maps_are_replaced_in_the_order_in_which_they_are_taken_out() {
        let device = Default::default();
        let map = |value: usize| Tensor::<Flex, 4>::full([1, 1, 1, 1], value as f32, &device);
        let values = |maps: &[Tensor<Flex, 4>]| -> Vec<f32> {
            maps.iter().map(|map| map.clone().into_scalar()).collect()
        };
        let shared = vec![vec![map(0), map(1)], vec![map(2)]];
        let mut maps = Vec::new();
        shared.collect(&mut maps);
        assert_eq!(values(&maps), [0.0, 1.0, 2.0]);
        let others: Vec<_> = maps.into_iter().map(|map| map + 10.0).collect();
        let replaced = shared.replaced(&mut others.into_iter());
        assert_eq!(values(&replaced[0]), [10.0, 11.0]);
        assert_eq!(values(&replaced[1]), [12.0]);
    }
}
