//! The trait every backbone implements.

use burn::module::Module;
use burn::tensor::Tensor;
use gradway_kernels::{KernelBackend, Lift};

use crate::access::Access;
use crate::depths::Depths;
use crate::description::Description;
use crate::drop_path::Phase;

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
