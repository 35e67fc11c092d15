//! EfficientNet-Lite (TensorFlow, 2020): EfficientNet (Tan & Le 2019) without squeeze-and-excite,
//! with ReLU6, and with stem and head of fixed width.
//!
//! Every batch norm is folded into its convolution on import: a frozen network needs no statistics, and a
//! convolution with a bias is one operator. If a convolution or its norm is trained, the batch norm is separate
//! ([`Backbone::keep_norms`]), so that fine-tuning trains the published parameters. The norm's statistics are
//! then constant or updated by the batches ([`BatchStatistics`]). Padding is TensorFlow's "same", asymmetric at
//! stride 2. Maps are `[batch, channels, height, width]`.

mod block;
mod classifier;
mod import;
mod norm;
mod variants;

use std::collections::{BTreeMap, BTreeSet};

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::module::avg_pool2d;
use burn::tensor::{Tensor, TensorData};
use gradway_kernels::{Activation, ChannelAxis, KernelBackend, Lift};

use crate::access::{Access, BlockAccess, Point, Site};
use crate::backbone::Backbone;
use crate::batch_statistics::BatchStatistics;
use crate::description::{Description, Operations, Section};
use crate::drop_path::Phase;
use crate::operation::Operation;
use crate::parameters::{ParameterPath, ParameterVisitor, visit_parameters};

pub use block::{Convolution, InvertedResidual};
pub use classifier::Classifier;
pub use norm::{BatchNorm, FrozenStatistics, Statistics, TrainedStatistics};
pub(crate) use variants::{EfficientNetLiteVariant, VARIANTS};

/// Number of channels of the stem, the same in every variant.
const STEM: usize = 32;
/// Input pixels per position of the stem's map.
const STEM_STRIDE: usize = 2;

/// One row of the architecture table (EfficientNet, table 1).
struct Row {
    kernel: usize,
    stride: usize,
    expansion: usize,
    channels: usize,
    blocks: usize,
    /// The stage that this row ends, if any.
    stage: Option<usize>,
}

const fn row(
    kernel: usize,
    stride: usize,
    expansion: usize,
    channels: usize,
    blocks: usize,
    stage: Option<usize>,
) -> Row {
    Row {
        kernel,
        stride,
        expansion,
        channels,
        blocks,
        stage,
    }
}

const ROWS: [Row; 7] = [
    row(3, 1, 1, 16, 1, None),
    row(3, 2, 6, 24, 2, Some(0)),
    row(5, 2, 6, 40, 2, Some(1)),
    row(3, 2, 6, 80, 3, None),
    row(5, 1, 6, 112, 3, Some(2)),
    row(5, 2, 6, 192, 4, None),
    row(3, 1, 6, 320, 1, Some(3)),
];

/// Configuration of an [`EfficientNetLite`].
#[derive(Config, Debug)]
pub struct EfficientNetLiteConfig {
    /// Factor on the channels of every row, rounded to multiples of 8.
    #[config(default = 1.0)]
    pub width: f64,
    /// Factor on the blocks of every row but the first and last, rounded up.
    #[config(default = 1.0)]
    pub depth: f64,
}

/// EfficientNet-Lite without a classifier. See the [module](self) for its conventions.
#[derive(Module, Debug)]
pub struct EfficientNetLite<B: Backend> {
    /// The first convolution, to half the resolution of the image.
    pub stem: Convolution<B>,
    /// Rows of the architecture table.
    pub rows: Vec<Vec<InvertedResidual<B>>>,
}

impl EfficientNetLiteConfig {
    /// Number of channels and blocks of every row.
    fn layout(&self) -> Vec<(usize, usize)> {
        let last = ROWS.len() - 1;
        let scaled = |index: usize, row: &Row| {
            let blocks = if index == 0 || index == last {
                row.blocks
            } else {
                (row.blocks as f64 * self.depth).ceil() as usize
            };
            (round_channels(row.channels, self.width), blocks)
        };
        ROWS.iter()
            .enumerate()
            .map(|(index, row)| scaled(index, row))
            .collect()
    }

    /// Initialises the network with Kaiming-normal convolutions (fan out) and zero biases.
    pub fn init<B: Backend>(&self, device: &B::Device) -> EfficientNetLite<B> {
        let mut inputs = STEM;
        let rows = ROWS
            .iter()
            .zip(self.layout())
            .map(|(row, (channels, blocks))| {
                (0..blocks)
                    .map(|index| {
                        let stride = if index == 0 { row.stride } else { 1 };
                        let block = InvertedResidual::new(
                            inputs,
                            channels,
                            row.expansion,
                            row.kernel,
                            stride,
                            device,
                        );
                        inputs = channels;
                        block
                    })
                    .collect()
            })
            .collect();
        EfficientNetLite {
            stem: Convolution::new(3, STEM, 3, STEM_STRIDE, 1, device),
            rows,
        }
    }
}

impl<B: Backend> EfficientNetLite<B> {
    /// Whether every convolution has a batch norm that can be trained.
    fn has_norms(&self) -> bool {
        self.convolutions().all(|(_, layer)| layer.has_norm())
    }

    /// All convolutions by their paths.
    fn convolutions(&self) -> impl Iterator<Item = (String, &Convolution<B>)> {
        let rows = self.rows.iter().enumerate().flat_map(|(row, blocks)| {
            let blocks = blocks.iter().enumerate();
            blocks.flat_map(move |(block, module)| {
                let parts = module.convolutions();
                parts.map(move |(part, layer)| (format!("rows.{row}.{block}.{part}"), layer))
            })
        });
        std::iter::once(("stem".to_string(), &self.stem)).chain(rows)
    }

    /// All convolutions by their paths.
    fn convolutions_mut(&mut self) -> impl Iterator<Item = (String, &mut Convolution<B>)> {
        let rows = self.rows.iter_mut().enumerate().flat_map(|(row, blocks)| {
            let blocks = blocks.iter_mut().enumerate();
            blocks.flat_map(move |(block, module)| {
                let parts = module.convolutions_mut();
                parts.map(move |(part, layer)| (format!("rows.{row}.{block}.{part}"), layer))
            })
        });
        std::iter::once(("stem".to_string(), &mut self.stem)).chain(rows)
    }
}

/// The convolutions with a selected parameter. Paths are those of separate norms: `rows.1.0.expand.weight`,
/// `rows.1.0.expand.norm.gamma` or `.beta`.
struct Chosen<'a> {
    chosen: &'a dyn Fn(&ParameterPath) -> bool,
    /// Paths of their filters.
    weights: BTreeSet<String>,
}

impl<B: Backend> ParameterVisitor<B> for Chosen<'_> {
    fn visit<const D: usize>(&mut self, path: &ParameterPath, _: &Param<Tensor<B, D>>) {
        let Some(("Convolution", names)) = path.types().next_back() else {
            return;
        };
        if names != ["weight"] {
            return;
        }
        let of_norm = |name: &str| {
            let mut path = path.clone();
            path.leave();
            path.enter("norm", "Struct:Convolution");
            path.enter(name, "Struct:BatchNorm");
            path
        };
        let mut parameters = [path.clone(), of_norm("gamma"), of_norm("beta")].into_iter();
        if parameters.any(|parameter| (self.chosen)(&parameter)) {
            self.weights.insert(path.to_string());
        }
    }
}

/// The nearest multiple of 8 that is at most a tenth smaller.
fn round_channels(channels: usize, width: f64) -> usize {
    let scaled = channels as f64 * width;
    let rounded = (((scaled + 4.0) / 8.0) as usize * 8).max(8);
    if (rounded as f64) < 0.9 * scaled {
        rounded + 8
    } else {
        rounded
    }
}

impl<B: KernelBackend> Backbone<B> for EfficientNetLite<B> {
    fn description(&self) -> Description {
        let mut stride = STEM_STRIDE;
        let sections = ROWS
            .iter()
            .zip(&self.rows)
            .map(|(row, blocks)| {
                stride *= row.stride;
                Section {
                    channels: blocks[0].channels(),
                    hidden: None,
                    stride,
                    blocks: blocks.len(),
                    stage: row.stage,
                }
            })
            .collect();
        Description {
            axis: ChannelAxis::First,
            sections,
            branches: vec![Point::Convolution],
            operations: Operations {
                block: vec![Point::Convolution],
                ..Operations::default()
            },
            has_tokens: false,
            batch_norms: self.has_norms(),
        }
    }

    fn block_path(&self, section: usize, block: usize) -> String {
        format!("rows.{section}.{block}")
    }

    /// A convolution without data of its norm, from a file that has none, is not changed.
    fn keep_norms(&mut self, chosen: &dyn Fn(&ParameterPath) -> bool, statistics: BatchStatistics) {
        let mut found = Chosen {
            chosen,
            weights: BTreeSet::new(),
        };
        visit_parameters(self, &mut found);
        let weights = found.weights;
        for (path, convolution) in self.convolutions_mut() {
            if weights.contains(&format!("{path}.weight")) {
                convolution.keep_norm(statistics);
            }
            convolution.folded = None;
        }
    }

    /// Names are of the form `rows.1.0.expand.norm.running_mean`.
    fn statistics(&self) -> BTreeMap<String, TensorData> {
        let mut found = BTreeMap::new();
        for (path, convolution) in self.convolutions() {
            if let Some(folded) = &convolution.folded {
                let parts = folded.parts().into_iter();
                found.extend(parts.map(|(name, data)| (format!("{path}.norm.{name}"), data)));
            }
            if let Some(norm) = &convolution.norm {
                let values = norm.statistics.values().map(Tensor::into_data);
                let values = ["running_mean", "running_var"].into_iter().zip(values);
                found.extend(values.map(|(name, data)| (format!("{path}.norm.{name}"), data)));
            }
        }
        found
    }

    fn operation(&mut self, site: Site) -> Option<Operation<'_, B>> {
        if site.point != Point::Convolution {
            return None;
        }
        let block = self.rows.get_mut(site.section)?.get_mut(site.block)?;
        if block.project.norm.is_some() {
            // Then it is two operations, and the filters are not all of it.
            return None;
        }
        Some(Operation::Convolution {
            weight: &mut block.project.weight,
            bias: &mut block.project.bias,
        })
    }

    fn forward(
        &self,
        images: Tensor<B, 4>,
        // The published network drops no branch at the rates Lite was trained with.
        phase: Phase,
        access: &mut impl Access<B>,
    ) -> Vec<Tensor<B, 4>> {
        let stem = self.stem.forward(images.clone(), Activation::Relu6, phase);
        let mut x = BlockAccess::new(access, 0, 0).at(Point::Embedding, &images, stem);
        drop(images);
        let mut outputs = Vec::new();
        for (section, (row, blocks)) in ROWS.iter().zip(&self.rows).enumerate() {
            for (block, module) in blocks.iter().enumerate() {
                let mut inside = BlockAccess::new(access, section, block);
                x = module.forward(x, phase, &mut inside);
            }
            let mut outside = BlockAccess::new(access, section, 0);
            x = outside.at(Point::Section, &x.clone(), x);
            if row.stage.is_some() {
                outputs.push(x.clone());
            }
        }
        outputs
    }

    /// Average pooling where the stride grows and zero channels where the width does: the parameter-free
    /// shortcut of residual networks (He et al. 2016, option A). This is an extension of this library: E3VA is
    /// defined with the patch merging of a Swin.
    fn transition<T: KernelBackend, L: Lift<B, T>>(
        &self,
        section: usize,
        highway: Tensor<T, 4>,
    ) -> Tensor<T, 4> {
        let (Some(row), Some(blocks)) = (ROWS.get(section + 1), self.rows.get(section + 1)) else {
            return highway;
        };
        let pooled = if row.stride == 2 {
            halve(highway)
        } else {
            highway
        };
        let [batch, channels, height, width] = pooled.dims();
        let missing = blocks[0].channels() - channels;
        let zeros = Tensor::zeros([batch, missing, height, width], &pooled.device());
        Tensor::cat(vec![pooled, zeros], 1)
    }
}

/// 2x2 average pooling. The last line of an odd side is repeated, so that sizes round up as with "same" padding.
fn halve<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let even = [2, 3].into_iter().fold(x, |x, axis| {
        let side = x.dims()[axis];
        if side % 2 == 0 {
            return x;
        }
        let last = x.clone().narrow(axis, side - 1, 1);
        Tensor::cat(vec![x, last], axis)
    });
    avg_pool2d(even, [2, 2], [2, 2], [0, 0], false, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_variants() {
        let layout = |width, depth| {
            EfficientNetLiteConfig::new()
                .with_width(width)
                .with_depth(depth)
                .layout()
        };
        let channels =
            |layout: Vec<(usize, usize)>| layout.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        assert_eq!(
            channels(layout(1.0, 1.0)),
            (
                vec![16, 24, 40, 80, 112, 192, 320],
                vec![1, 2, 2, 3, 3, 4, 1]
            )
        );
        assert_eq!(channels(layout(1.0, 1.1)).1, vec![1, 3, 3, 4, 4, 5, 1]);
        assert_eq!(
            channels(layout(1.1, 1.2)),
            (
                vec![16, 24, 48, 88, 120, 208, 352],
                vec![1, 3, 3, 4, 4, 5, 1]
            )
        );
    }
}
