//! The table of heads: a file and a line each.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Phase;
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::decoder::Decoder;
use crate::detection::detector;
use crate::fcn::{self, Fcn, FcnConfig};
use crate::hrnet::{self, HrNet, HrNetConfig};
use crate::segformer::{self, SegFormerConfig, SegFormerDecoder};
use crate::segmentation::SegmentationHead;
use crate::upernet::{self, UPerNet, UPerNetConfig};

/// What a head predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadTask {
    /// The class of every pixel.
    Segmentation,
    /// Objects.
    Detection,
}

impl HeadTask {
    /// `segmentation` or `detection`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segmentation => "segmentation",
            Self::Detection => "detection",
        }
    }
}

/// What the table says of a head.
#[derive(Debug, Clone)]
pub struct HeadDescriptor {
    /// Name in configurations and on the command line.
    pub name: &'static str,
    /// What it predicts.
    pub task: HeadTask,
    /// What it is, in a line.
    pub summary: &'static str,
    /// Where it was published.
    pub source: &'static str,
}

/// Declares the configuration, the decoder and the list that follow from the table.
macro_rules! heads {
    ($($name:ident($config:ident, $decoder:ident, $file:ident),)*) => {
        /// Whichever head of segmentation a configuration names, with its fields.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name", rename_all = "lowercase")]
        pub enum HeadConfig {
            $(#[doc = concat!("See [`", stringify!($file), "`](crate::", stringify!($file), ").")]
            $name($config),)*
        }

        /// Whichever decoder a [`HeadConfig`] makes.
        #[derive(Module, Debug)]
        pub enum AnyDecoder<B: Backend> {
            $(#[doc = concat!("See [`", stringify!($file), "`](crate::", stringify!($file), ").")]
            $name($decoder<B>),)*
        }

        static TABLE: &[HeadDescriptor] = &[
            $($file::DESCRIPTOR,)*
            detector::RETINANET,
            detector::FASTER_RCNN,
            detector::MASK_RCNN,
            detector::CASCADE_MASK_RCNN,
        ];

        impl HeadConfig {
            /// Its name in the table.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $file::DESCRIPTOR.name,)*
                }
            }

            fn decoder<B: Backend>(
                &self,
                inputs: &[usize],
                classes: usize,
                device: &B::Device,
            ) -> AnyDecoder<B> {
                match self {
                    $(Self::$name(config) => AnyDecoder::$name(config.init(inputs, classes, device)),)*
                }
            }
        }

        impl<B: KernelBackend> Decoder<B> for AnyDecoder<B> {
            fn forward(&self, features: &[Tensor<B, 4>], phase: Phase) -> Tensor<B, 4> {
                match self {
                    $(Self::$name(decoder) => decoder.forward(features, phase),)*
                }
            }
        }
    };
}

heads! {
    SegFormer(SegFormerConfig, SegFormerDecoder, segformer),
    UPerNet(UPerNetConfig, UPerNet, upernet),
    Fcn(FcnConfig, Fcn, fcn),
    HrNet(HrNetConfig, HrNet, hrnet),
}

/// The largest width of a head: what goes far beyond any backbone is a slip, and its memory is asked for before
/// anybody could say so.
pub(crate) const MOST: usize = 1 << 14;

/// Every head that can be named.
pub fn table() -> &'static [HeadDescriptor] {
    TABLE
}

impl HeadConfig {
    /// What is wrong with the fields for an encoder of `stages` stages: the key and why.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and its value.
    pub fn validate(&self, stages: usize) -> Result<(), String> {
        let (channels, dropout, fcn) = match self {
            Self::HrNet(config) => {
                let widths = config.widths.len();
                if widths != stages || config.widths.contains(&0) {
                    return Err(format!(
                        "head.widths = {:?}; it must have a positive width for each of {stages} stages",
                        config.widths
                    ));
                }
                if let Some(width) = config.widths.iter().find(|width| **width > MOST) {
                    return Err(format!(
                        "head.widths has {width}; a width must be at most {MOST}"
                    ));
                }
                (config.expansion, 0.0, None)
            }
            Self::SegFormer(config) => (config.channels, config.dropout, None),
            Self::UPerNet(config) => (config.channels, config.dropout, Some(&config.auxiliary)),
            Self::Fcn(config) => (config.channels, config.dropout, Some(config)),
        };
        if let (Self::HrNet(_), 0) = (self, channels) {
            return Err("head.expansion = 0; it must be at least 1".to_string());
        }
        if channels == 0 || fcn.is_some_and(|fcn| fcn.channels == 0) {
            return Err("head.channels = 0; it must be at least 1".to_string());
        }
        let widths = fcn.iter().map(|fcn| fcn.channels).chain([channels]);
        if let Some(width) = widths.into_iter().find(|width| *width > MOST) {
            return Err(format!(
                "a width of the head is {width}; it must be at most {MOST}"
            ));
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(format!("head.dropout = {dropout}; it must be in 0..1"));
        }
        match fcn {
            Some(fcn) if fcn.stage >= stages => Err(format!(
                "the FCN head reads stage {}; the backbone has stages 0..{stages}",
                fcn.stage
            )),
            _ => Ok(()),
        }
    }

    /// Whether it reads a stage of the backbone, counted from the finest.
    pub fn reads(&self, stage: usize) -> bool {
        match self {
            Self::Fcn(config) => config.stage == stage,
            Self::HrNet(_) | Self::SegFormer(_) | Self::UPerNet(_) => true,
        }
    }

    /// The least number of values that a batch norm of it is over in training, per channel, of a batch of images of
    /// `[height, width]`: of one value the variance is zero, and the running variance with it.
    pub fn normalised_values(&self, batch: usize, size: [usize; 2]) -> usize {
        // The strides of every backbone of the table.
        let map = |stage: usize| size.map(|side| side.div_ceil(4 << stage)).iter().product();
        let least: usize = match self {
            Self::SegFormer(_) | Self::HrNet(_) => map(0),
            Self::Fcn(config) => map(config.stage),
            // The coarsest map pooled to one position.
            Self::UPerNet(_) => 1,
        };
        batch * least
    }

    /// The head for features of these widths.
    pub fn init<B: Backend>(
        &self,
        inputs: &[usize],
        classes: usize,
        device: &B::Device,
    ) -> SegmentationHead<B> {
        let (auxiliary, auxiliary_weight) = match self {
            Self::UPerNet(config) if config.auxiliary_weight > 0.0 => (
                Some(config.auxiliary.init(inputs, classes, device)),
                config.auxiliary_weight,
            ),
            _ => (None, 0.0),
        };
        SegmentationHead {
            decoder: self.decoder(inputs, classes, device),
            auxiliary,
            auxiliary_weight,
        }
    }
}
