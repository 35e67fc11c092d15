//! Knowledge extraction: the task-specific transform of a narrow map that all tasks share (VMT-Adapter, arXiv
//! 2312.08733).
//!
//! Every form is affine, and so is the up projection before or after it. The extraction of a task from a block
//! is therefore one affine map of the shared narrow map, and its extraction from several blocks is one affine
//! map of their concatenated narrow maps. A task costs one product per stage, whatever the form.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

/// The transform that a task applies to the map it extracts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extraction {
    /// `gamma * u + beta` per channel, initially 1 and 0.
    #[default]
    ScaleShift,
    /// `M u + beta`, initially the identity and 0.
    Linear,
}

/// The map that a task extracts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtractionSource {
    /// The narrow map, before the up projection.
    #[default]
    Bottleneck,
    /// The output of the up projection.
    Output,
}

/// Configuration of a [`KnowledgeExtraction`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExtractionShape {
    pub extraction: Extraction,
    pub source: ExtractionSource,
}

/// The module of one task in one block. Exactly one of `scale` and `mixing` is present.
#[derive(Module, Debug)]
pub struct KnowledgeExtraction<B: Backend> {
    /// `gamma`, `[channels]` of the map that is extracted from.
    pub scale: Option<Param<Tensor<B, 1>>>,
    /// `M`, `[channels, channels]`.
    pub mixing: Option<Param<Tensor<B, 2>>>,
    /// `beta`, `[channels]`.
    pub shift: Param<Tensor<B, 1>>,
}

impl<B: Backend> KnowledgeExtraction<B> {
    /// Creates the module of a task for an up projection of `[narrow, wide]` channels.
    pub(crate) fn new(
        shape: ExtractionShape,
        [narrow, wide]: [usize; 2],
        device: &B::Device,
    ) -> Self {
        let channels = match shape.source {
            ExtractionSource::Bottleneck => narrow,
            ExtractionSource::Output => wide,
        };
        let (scale, mixing) = match shape.extraction {
            Extraction::ScaleShift => {
                let ones = Initializer::Ones.init([channels], device);
                (Some(ones), None)
            }
            Extraction::Linear => {
                let identity = Tensor::eye(channels, device);
                (None, Some(Param::from_tensor(identity)))
            }
        };
        Self {
            scale,
            mixing,
            shift: Initializer::Zeros.init([channels], device),
        }
    }

    /// Returns the task's extraction from a narrow map as one affine map: `[narrow, wide]` and `[wide]`.
    ///
    /// # Shapes
    ///
    /// - `up`: the up projection, `[narrow, wide]`
    /// - `bias`: its bias, `[wide]`, which a task that extracts before it does not use
    pub(crate) fn folded(
        &self,
        source: ExtractionSource,
        up: Tensor<B, 2>,
        bias: Tensor<B, 1>,
    ) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let shift = self.shift.val();
        match source {
            ExtractionSource::Bottleneck => {
                let bias = row(shift).matmul(up.clone());
                (self.before(up), bias.squeeze_dim(0))
            }
            ExtractionSource::Output => {
                let bias = self.behind(row(bias)).squeeze_dim(0);
                (self.behind(up), bias + shift)
            }
        }
    }

    /// The extraction followed by `up`.
    fn before(&self, up: Tensor<B, 2>) -> Tensor<B, 2> {
        match (&self.scale, &self.mixing) {
            (Some(scale), _) => up * scale.val().unsqueeze_dim(1),
            (None, Some(mixing)) => mixing.val().matmul(up),
            (None, None) => up,
        }
    }

    /// `up` followed by the extraction.
    fn behind(&self, up: Tensor<B, 2>) -> Tensor<B, 2> {
        match (&self.scale, &self.mixing) {
            (Some(scale), _) => up * row(scale.val()),
            (None, Some(mixing)) => up.matmul(mixing.val()),
            (None, None) => up,
        }
    }
}

/// `[1, channels]`
fn row<B: Backend>(x: Tensor<B, 1>) -> Tensor<B, 2> {
    x.unsqueeze_dim(0)
}
