//! What follows from the table of necks, which is in `mod.rs`.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Phase, StageShape};
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use super::none::NoneConfig;
use super::settings::{Neck, NeckDescriptor, NeckSettings};
use crate::maps::MapShape;

/// Declares the configuration enum, the enum of modules and the list of necks.
macro_rules! declare {
    ($($name:ident($config:ident, $neck:ident, $file:ident),)*) => {
        /// The neck that a configuration names, with its fields.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name", rename_all = "snake_case")]
        pub enum NeckConfig {
            $(#[doc = concat!("See [`", stringify!($file), "`](super::", stringify!($file), ").")]
            $name(super::$file::$config),)*
        }

        /// The module of a [`NeckConfig`].
        #[derive(Module, Debug)]
        pub enum AnyNeck<B: Backend> {
            $(#[doc = concat!("See [`", stringify!($file), "`](super::", stringify!($file), ").")]
            $name(super::$file::$neck<B>),)*
        }

        const NECKS: &[NeckDescriptor] = &[$(super::$file::DESCRIPTOR,)*];

        impl NeckConfig {
            fn settings(&self) -> &dyn NeckSettings {
                match self {
                    $(Self::$name(config) => config,)*
                }
            }

            /// Returns its name in the table.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => super::$file::DESCRIPTOR.name,)*
                }
            }

            /// Initialises the neck for the stages of a backbone, the finest first; `is_read` says which of its
            /// maps the head reads.
            pub fn init<B: Backend>(
                &self,
                stages: &[StageShape],
                is_read: &dyn Fn(usize) -> bool,
                device: &B::Device,
            ) -> AnyNeck<B> {
                match self {
                    $(Self::$name(config) => AnyNeck::$name(config.init(stages, is_read, device)),)*
                }
            }
        }

        impl<B: KernelBackend> Neck<B> for AnyNeck<B> {
            fn forward(&self, features: &[Tensor<B, 4>], phase: Phase) -> Vec<Tensor<B, 4>> {
                match self {
                    $(Self::$name(neck) => neck.forward(features, phase),)*
                }
            }
        }
    };
}

necks!(declare);

/// Returns every neck.
pub fn table() -> &'static [NeckDescriptor] {
    NECKS
}

impl Default for NeckConfig {
    /// No neck.
    fn default() -> Self {
        Self::None(NoneConfig {})
    }
}

impl NeckConfig {
    /// Checks the fields for a backbone with these stages, the finest first.
    ///
    /// # Errors
    ///
    /// A message with the key and its value.
    pub fn validate(&self, stages: &[StageShape]) -> Result<(), String> {
        self.settings().validate(stages)
    }

    /// Returns the shapes of its maps, the finest first, where the stages [fit](Self::validate).
    pub fn maps(&self, stages: &[StageShape]) -> Vec<MapShape> {
        self.settings().maps(stages)
    }

    /// Returns, for each of so many stages, whether a map is made of it that the head reads; `is_read` says
    /// which of the `maps` that are.
    pub fn stages_read(
        &self,
        stages: usize,
        maps: usize,
        is_read: impl Fn(usize) -> bool,
    ) -> Vec<bool> {
        let settings = self.settings();
        let mut read = vec![false; stages];
        for map in (0..maps).filter(|map| is_read(*map)) {
            if let Some(stage) = read.get_mut(settings.source(map, stages)) {
                *stage = true;
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neck::pyramid::PyramidConfig;
    use crate::neck::simple_pyramid::SimplePyramidConfig;

    fn stages(strides: [usize; 4]) -> [StageShape; 4] {
        strides.map(|stride| StageShape {
            channels: 32,
            stride,
        })
    }

    fn strides(config: &NeckConfig, stages: &[StageShape]) -> Vec<f32> {
        assert_eq!(config.validate(stages), Ok(()));
        let maps = config.maps(stages).into_iter();
        maps.map(|map| map.stride).collect()
    }

    #[test]
    fn strides_follow_from_those_of_the_stages() {
        let (patches, growing) = (stages([14; 4]), stages([4, 8, 16, 32]));
        let none = NeckConfig::default();
        let pyramid = NeckConfig::Pyramid(PyramidConfig::default());
        let simple = NeckConfig::SimplePyramid(SimplePyramidConfig::default());
        assert_eq!(strides(&none, &patches), [14.0; 4]);
        assert_eq!(strides(&pyramid, &patches), [3.5, 7.0, 14.0, 28.0]);
        assert_eq!(strides(&simple, &patches), [3.5, 7.0, 14.0, 28.0]);
        assert_eq!(strides(&simple, &growing), [8.0, 16.0, 32.0, 64.0]);
        let refused = pyramid.validate(&growing).unwrap_err();
        assert_eq!(
            refused,
            "neck.name = \"pyramid\" needs stages of one stride; those of the backbone have 4, 8, 16, 32: it must \
             be \"none\""
        );
        assert!(pyramid.validate(&patches[..3]).is_err());
        let have_one = |stages: &[StageShape]| {
            let maps = MapShape::of_stages(stages);
            MapShape::have_one_stride(&maps)
        };
        assert!(have_one(&patches));
        assert!(!have_one(&growing));
        assert!(!have_one(&patches[..1]));
    }

    #[test]
    fn a_stage_is_read_where_a_map_of_it_is() {
        let from_second = |map| map >= 1;
        let read = |config: NeckConfig| config.stages_read(4, 4, from_second);
        let pyramid = NeckConfig::Pyramid(PyramidConfig::default());
        assert_eq!(read(pyramid), [false, true, true, true]);
        let simple = NeckConfig::SimplePyramid(SimplePyramidConfig::default());
        assert_eq!(read(simple), [false, false, false, true]);
    }
}
