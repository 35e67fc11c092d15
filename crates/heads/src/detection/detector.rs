//! What follows from the table of detectors, which is in `mod.rs`.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, TrainBackend};
use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::objects::{BatchTargets, DetectionLimits, SegmentedObject};
use super::settings::{DetectorNetwork, DetectorSettings};
use crate::head::HeadDescriptor;
use crate::maps::MapShape;
use crate::neck::NeckConfig;

/// Declares the configuration enum, the network enum and the list of detectors.
///
/// A detector is a configuration with a `DESCRIPTOR` and an `init`. Its name in files is its own in snake case,
/// unless an attribute sets another.
macro_rules! declare {
    ($($network:ident in $file:ident {
        $($(#[$attribute:meta])* $name:ident($config:ident),)*
    })*) => {
        /// The detector that a configuration names, with its fields.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name", rename_all = "snake_case")]
        pub enum DetectorConfig {
            $($(#[doc = concat!("See [`", stringify!($file), "`](super::", stringify!($file), ").")]
            $(#[$attribute])*
            $name(super::$file::$config),)*)*
        }

        /// The network of a [`DetectorConfig`].
        #[derive(Module, Debug)]
        pub enum Detector<B: Backend> {
            $(#[doc = concat!("See [`", stringify!($file), "`](super::", stringify!($file), ").")]
            $network(super::$file::$network<B>),)*
        }

        pub(crate) const DETECTORS: &[HeadDescriptor] =
            &[$($(super::$file::$config::DESCRIPTOR,)*)*];

        impl DetectorConfig {
            /// Returns its description in listings.
            pub fn descriptor(&self) -> &'static HeadDescriptor {
                match self {
                    $($(Self::$name(_) => &super::$file::$config::DESCRIPTOR,)*)*
                }
            }

            fn settings(&self) -> &dyn DetectorSettings {
                match self {
                    $($(Self::$name(config) => config,)*)*
                }
            }

            /// Initialises the detector, without a neck, for maps of these shapes, the finest first.
            pub fn init<B: Backend>(
                &self,
                maps: &[MapShape],
                classes: usize,
                device: &B::Device,
            ) -> Detector<B> {
                match self {
                    $($(Self::$name(config) => {
                        Detector::$network(config.init(maps, classes, device))
                    })*)*
                }
            }
        }

        impl<B: TrainBackend> Detector<B> {
            /// Returns the weighted sum of the losses of a batch, `[1]`.
            ///
            /// # Shapes
            ///
            /// - `features`: per map `[batch, channels, height, width]`, the finest first
            pub fn loss(
                &self,
                features: &[Tensor<B, 4>],
                truth: &BatchTargets<'_, impl Fn(usize, usize, Bounds) -> Vec<bool>>,
            ) -> Tensor<B, 1> {
                match self {
                    $(Self::$network(network) => network.batch_loss(features, truth),)*
                }
            }
        }

        impl<B: KernelBackend> Detector<B> {
            /// Returns the objects of every image, in descending order of score.
            ///
            /// # Shapes
            ///
            /// - `features`: as for [`loss`](Self::loss)
            /// - `sizes`: `[batch]`, `[height, width]` of the images without padding
            pub fn detect(
                &self,
                features: &[Tensor<B, 4>],
                sizes: &[[usize; 2]],
                limits: DetectionLimits,
            ) -> Vec<Vec<SegmentedObject>> {
                match self {
                    $(Self::$network(network) => network.find(features, sizes, limits),)*
                }
            }
        }
    };
}

detectors!(declare);

impl DetectorConfig {
    /// Whether a parameter of the detector has a gradient only in batches with objects, or with regions matched
    /// with objects. All other parameters have a gradient in every batch.
    pub fn waits_for_objects(&self, path: &str) -> bool {
        let fields = self.settings().waits_for_objects();
        path.split('.').any(|part| fields.contains(&part))
    }

    /// Checks the fields, and that it can stand on maps of these shapes, the finest first.
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

    /// Whether it predicts masks, and is trained on masks.
    pub fn has_masks(&self) -> bool {
        self.settings().has_masks()
    }

    /// Whether it reads a map, counted from the finest.
    pub fn reads(&self, map: usize) -> bool {
        self.settings().reads(map)
    }
}
