//! The trait every backbone implements.

use std::collections::BTreeMap;

use burn::module::Module;
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
/// A new backbone implements this, gets a line in the [table](crate::table), and every method
/// works on it.
pub trait Backbone<B: KernelBackend>: Module<B> {
    /// Sections, widths and layout.
    fn description(&self) -> Description;

    /// Where in the module a block's parameters are, as in the paths of its records.
    fn block_path(&self, section: usize, block: usize) -> String;

    /// Where in the module the parameters of the transition to a section are, if it has some.
    fn transition_path(&self, _section: usize) -> Option<String> {
        None
    }

    /// How deep in the network its parameters are.
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

    /// Parts the batch norms of the convolutions of which a parameter is chosen by its path, as if every norm stood
    /// apart, and folds the others for good. A backbone without batch norms has nothing to part.
    fn keep_norms(
        &mut self,
        _chosen: &dyn Fn(&ParameterPath) -> bool,
        _statistics: BatchStatistics,
    ) {
    }

    /// What batch norms have beside parameters, and those that are folded know of themselves, by the names of files.
    fn statistics(&self) -> BTreeMap<String, TensorData> {
        BTreeMap::new()
    }

    /// What makes the output of an access point, where that is one operation with parameters: each of the
    /// [operations](crate::Operations) that the description lists.
    fn operation(&mut self, _site: Site) -> Option<Operation<'_, B>> {
        None
    }

    /// A block of a transformer, for who runs something through it beside the map.
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

    /// Carries a parallel stream from a section's output to the next section's width and
    /// resolution, with the backbone's own weights as constants where it has such a step, and
    /// without parameters where it has none.
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
