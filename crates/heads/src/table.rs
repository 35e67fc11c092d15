//! What follows from the table of decoders, which is in `lib.rs`.

use std::sync::LazyLock;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Phase;
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::decoder::Decoder;
use crate::detection::detector;
use crate::head::{Auxiliary, HeadDescriptor, HeadSettings};
use crate::maps::{MapShape, positions};
use crate::neck::NeckConfig;

/// Declares the configuration enum, the decoder enum and the list of heads.
macro_rules! declare {
    ($($name:ident($config:ident, $decoder:ident, $file:ident),)*) => {
        /// The segmentation head that a configuration names, with its fields.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name", rename_all = "lowercase")]
        pub enum HeadConfig {
            $(#[doc = concat!("See [`", stringify!($file), "`](crate::", stringify!($file), ").")]
            $name(crate::$file::$config),)*
        }

        /// The decoder of a [`HeadConfig`].
        #[derive(Module, Debug)]
        pub enum AnyDecoder<B: Backend> {
            $(#[doc = concat!("See [`", stringify!($file), "`](crate::", stringify!($file), ").")]
            $name(crate::$file::$decoder<B>),)*
        }

        const DECODERS: &[HeadDescriptor] = &[$(crate::$file::DESCRIPTOR,)*];

        impl HeadConfig {
            fn settings(&self) -> &dyn HeadSettings {
                match self {
                    $(Self::$name(config) => config,)*
                }
            }

            /// Returns its name in the table.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => crate::$file::DESCRIPTOR.name,)*
                }
            }

            /// Initialises the decoder for maps of these shapes.
            pub(crate) fn decoder<B: Backend>(
                &self,
                inputs: &[MapShape],
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

decoders!(declare);

/// Returns every named head: segmentation decoders and detectors.
pub fn table() -> &'static [HeadDescriptor] {
    static TABLE: LazyLock<Vec<HeadDescriptor>> =
        LazyLock::new(|| [DECODERS, detector::DETECTORS].concat());
    &TABLE
}

impl HeadConfig {
    /// Checks the fields for maps of these shapes, the finest first.
    ///
    /// # Errors
    ///
    /// A message with the key and its value.
    pub fn validate(&self, maps: &[MapShape]) -> Result<(), String> {
        self.settings().validate(maps)
    }

    /// Returns the neck that it stands on if all stages of the backbone have one stride.
    pub fn neck(&self) -> NeckConfig {
        self.settings().neck()
    }

    /// Returns the stride of the coarsest map that it reads or makes.
    pub fn coarsest_stride(&self, maps: &[MapShape]) -> f32 {
        self.settings().coarsest_stride(maps)
    }

    /// Whether it reads a map of so many, counted from the finest.
    pub fn reads(&self, map: usize, maps: usize) -> bool {
        self.settings().reads(map, maps)
    }

    /// Returns the minimum number of values per channel that a batch norm of the head normalises in training,
    /// for a batch of images of `[height, width]` and maps of these shapes. A single value has variance zero,
    /// which would also end up in the running variance.
    pub fn normalised_values(&self, batch: usize, size: [usize; 2], maps: &[MapShape]) -> usize {
        let stride = self.settings().coarsest_norm(maps);
        let values = |stride| size.map(|side| positions(side, stride)).iter().product();
        batch * stride.map_or(1, values)
    }

    /// Returns its auxiliary decoder, if it has one.
    pub fn auxiliary(&self) -> Option<Auxiliary> {
        self.settings().auxiliary()
    }
}

#[cfg(test)]
mod tests {
    use gradway_backbone::StageShape;

    use super::*;
    use crate::fcn::FcnConfig;
    use crate::hrnet::HrNetConfig;
    use crate::upernet::UPerNetConfig;

    #[test]
    fn fields_that_do_not_fit_the_backbone_are_refused_by_their_keys() {
        let auxiliary = FcnConfig {
            stage: 3,
            ..Default::default()
        };
        let upernet = HeadConfig::UPerNet(UPerNetConfig {
            auxiliary,
            ..Default::default()
        });
        let maps = [4, 8, 16, 32].map(|stride| {
            let channels = 8;
            MapShape::from(StageShape { channels, stride })
        });
        assert_eq!(upernet.validate(&maps), Ok(()));
        assert_eq!(
            upernet.validate(&maps[..3]),
            Err("head.auxiliary.stage = 3; there are maps 0..3".to_string())
        );
        let hrnet = HeadConfig::HrNet(HrNetConfig::default());
        assert_eq!(hrnet.validate(&maps), Ok(()));
        assert!(hrnet.validate(&maps[..3]).is_err());
    }

    #[test]
    fn a_head_reads_what_its_file_says() {
        let fcn = HeadConfig::Fcn(FcnConfig::default());
        let read: Vec<usize> = (0..4).filter(|map| fcn.reads(*map, 4)).collect();
        assert_eq!(read, [2]);
        assert!(fcn.auxiliary().is_none());
        let upernet = HeadConfig::UPerNet(UPerNetConfig::default());
        assert!((0..4).all(|map| upernet.reads(map, 4)));
        assert_eq!(upernet.auxiliary().map(|beside| beside.stage), Some(2));
    }
}
