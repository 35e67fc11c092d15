//! The trait every backbone implements.

use burn::module::Module;
use burn::tensor::Tensor;
use gradway_kernels::{KernelBackend, Lift};

use crate::access::{Access, Site};
use crate::description::Description;
use crate::drop_path::Phase;
use crate::operation::Operation;
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
