//! The trait every backbone implements.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Tensor, TensorData};
use gradway_kernels::{KernelBackend, Lift};

use crate::access::{Access, Site};
use crate::batch_statistics::BatchStatistics;
use crate::depths::Depths;
use crate::description::Description;
use crate::drop_path::Phase;
use crate::operation::Operation;
use crate::parameters::ParameterPath;
use crate::transformer::TransformerBlock;

/// A feature extractor with access points.
///
/// A new backbone implements this trait. One of this crate gets a line in the [table](crate::table), one of another crate
/// goes into an [`OwnBackbone`](crate::OwnBackbone); then every method works on it.
pub trait Backbone<B: KernelBackend>: Module<B> + ModuleDisplay {
    /// Returns the sections, widths and layout.
    fn description(&self) -> Description;

    /// Returns the path of a block's parameters in the module, as in its records.
    fn block_path(&self, section: usize, block: usize) -> String;

    /// Returns the path of the parameters of the transition to a section, if it has any.
    fn transition_path(&self, _section: usize) -> Option<String> {
        None
    }

    /// Returns the depths of the parameters in the network.
    fn depths(&self) -> Depths {
        let mut depths = Depths::default();
        for (section, shape) in self.description().sections.iter().enumerate() {
            depths.transition(self.transition_path(section));
            for block in 0..shape.blocks {
                depths.block(self.block_path(section, block));
            }
        }
        depths
    }

    /// Separates the batch norms from the convolutions for which `chosen` selects a parameter, and folds the
    /// other norms permanently. Paths are those of separate norms. It does nothing for a backbone without batch
    /// norms.
    fn keep_norms(
        &mut self,
        _chosen: &dyn Fn(&ParameterPath) -> bool,
        _statistics: BatchStatistics,
    ) {
    }

    /// Returns the running statistics of batch norms, and the data of folded ones, by their names in files.
    fn statistics(&self) -> BTreeMap<String, TensorData> {
        BTreeMap::new()
    }

    /// Returns the operation whose output is at an access point, if that is one operation with parameters: each
    /// of the [operations](crate::Operations) that the description lists.
    fn operation(&mut self, _site: Site) -> Option<Operation<'_, B>> {
        None
    }

    /// Returns a transformer block, for methods that run further tokens or streams through it.
    fn transformer_block(
        &self,
        _section: usize,
        _block: usize,
    ) -> Option<&dyn TransformerBlock<B>> {
        None
    }

    /// Runs the network, passing every access point through `access`.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 3, height, width]`, normalised
    /// - output: the raw output of every stage, in the backbone's own layout
    fn forward(
        &self,
        images: Tensor<B, 4>,
        phase: Phase,
        access: &mut impl Access<B>,
    ) -> Vec<Tensor<B, 4>>;

    /// Returns the map of a stage from a parallel stream, as the backbone makes it from its own: a plain vision
    /// transformer leaves out the tokens that are no patches.
    ///
    /// # Shapes
    ///
    /// - `stream`: as the tensors at the access points of a block
    /// - `size`: height and width of the stage's map
    /// - output: as the stage's output
    fn stage_map<T: KernelBackend>(&self, stream: Tensor<T, 4>, _size: [usize; 2]) -> Tensor<T, 4> {
        stream
    }

    /// Brings a parallel stream from a section's output to the next section's width and resolution. It uses the
    /// backbone's own transition weights as constants, or no parameters if the backbone has no such layer.
    ///
    /// # Shapes
    ///
    /// - `highway`: as the output of `section`
    /// - output: as the output of `section + 1`
    fn transition<T: KernelBackend, L: Lift<B, T>>(
        &self,
        section: usize,
        highway: Tensor<T, 4>,
    ) -> Tensor<T, 4>;
}
