//! The table of backbones: a file and a line each.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use gradway_kernels::{KernelBackend, Lift};
use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::backbone::Backbone;
use crate::checkpoint::Checkpoint;
use crate::description::Description;
use crate::drop_path::Phase;
use crate::efficientnet::{BatchStatistics, EfficientNetLite, EfficientNetLiteConfig};
use crate::import::{Import, Imported, Renamed, nearest};
use crate::precision::Precision;
use crate::swin::{Swin, SwinConfig};

/// A named variant of a backbone.
#[derive(Debug, Clone)]
pub struct BackboneDescriptor {
    /// Name in configurations and on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// Mean of the training images' channels, in 0..255.
    pub mean: [f32; 3],
    /// Standard deviation of the training images' channels, in 0..255.
    pub std: [f32; 3],
    family: Family,
}

#[derive(Debug, Clone, Copy)]
enum Family {
    Swin {
        channels: usize,
        depths: [usize; 4],
        heads: [usize; 4],
        window: usize,
    },
    EfficientNetLite {
        width: f64,
        depth: f64,
    },
}

/// Statistics of ImageNet that Swin was trained with.
const IMAGENET: ([f32; 3], [f32; 3]) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]);
/// What EfficientNet-Lite was trained with: (rgb - 127) / 128.
const SYMMETRIC: ([f32; 3], [f32; 3]) = ([127.0; 3], [128.0; 3]);

const fn swin(
    name: &'static str,
    summary: &'static str,
    channels: usize,
    depths: [usize; 4],
    heads: [usize; 4],
    window: usize,
) -> BackboneDescriptor {
    BackboneDescriptor {
        name,
        summary,
        mean: IMAGENET.0,
        std: IMAGENET.1,
        family: Family::Swin {
            channels,
            depths,
            heads,
            window,
        },
    }
}

const fn efficientnet_lite(
    name: &'static str,
    summary: &'static str,
    width: f64,
    depth: f64,
) -> BackboneDescriptor {
    BackboneDescriptor {
        name,
        summary,
        mean: SYMMETRIC.0,
        std: SYMMETRIC.1,
        family: Family::EfficientNetLite { width, depth },
    }
}

#[rustfmt::skip]
static TABLE: [BackboneDescriptor; 10] = [
    swin("swin_tiny", "Swin-T, window 7", 96, [2, 2, 6, 2], [3, 6, 12, 24], 7),
    swin("swin_small", "Swin-S, window 7", 96, [2, 2, 18, 2], [3, 6, 12, 24], 7),
    swin("swin_base", "Swin-B, window 7", 128, [2, 2, 18, 2], [4, 8, 16, 32], 7),
    swin("swin_large", "Swin-L, window 7", 192, [2, 2, 18, 2], [6, 12, 24, 48], 7),
    swin("swin_base_w12", "Swin-B, window 12", 128, [2, 2, 18, 2], [4, 8, 16, 32], 12),
    swin("swin_large_w12", "Swin-L, window 12", 192, [2, 2, 18, 2], [6, 12, 24, 48], 12),
    efficientnet_lite("efficientnet_lite0", "EfficientNet-Lite0", 1.0, 1.0),
    efficientnet_lite("efficientnet_lite1", "EfficientNet-Lite1", 1.0, 1.1),
    efficientnet_lite("efficientnet_lite2", "EfficientNet-Lite2", 1.1, 1.2),
    swin("swin_mini", "a Swin of 0.3 M parameters, for tests and trials", 24, [2, 2, 2, 2], [1, 2, 4, 8], 7),
];

/// Every backbone that can be named.
pub fn table() -> &'static [BackboneDescriptor] {
    &TABLE
}

/// Which backbone a run uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneConfig {
    /// A name of the [table].
    pub name: String,
    /// Weights: a path, `embedded`, or absent for random ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Stochastic depth at the last block, for methods that train the backbone.
    #[serde(default)]
    pub drop_path: f64,
    /// Of a Swin: pad a map before it is shifted, as mmdetection does; otherwise after, as timm does.
    #[serde(default)]
    pub pad_first: bool,
    /// What a backbone that stays frozen is rounded to, for methods that leave it beside what they train.
    #[serde(default)]
    pub precision: Precision,
}

/// A name that is not in the table.
#[derive(Debug, thiserror::Error)]
#[error("unknown backbone `{name}`{}", nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
pub struct UnknownBackbone {
    /// The name.
    pub name: String,
    /// The name of the table that resembles it most.
    pub nearest: Option<&'static str>,
}

impl BackboneConfig {
    /// The backbone of this name with random weights.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_string(),
            weights: None,
            drop_path: 0.0,
            pad_first: false,
            precision: Precision::default(),
        }
    }

    /// The line of the table.
    ///
    /// # Errors
    ///
    /// [`UnknownBackbone`] with the nearest name.
    pub fn descriptor(&self) -> Result<&'static BackboneDescriptor, UnknownBackbone> {
        let found = TABLE.iter().find(|line| line.name == self.name);
        found.ok_or_else(|| UnknownBackbone {
            name: self.name.clone(),
            nearest: nearest(&self.name, TABLE.iter().map(|line| line.name)),
        })
    }

    /// Builds the backbone with random weights.
    ///
    /// # Errors
    ///
    /// [`UnknownBackbone`] with the nearest name.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<AnyBackbone<B>, UnknownBackbone> {
        Ok(match self.descriptor()?.family {
            Family::Swin {
                channels,
                depths,
                heads,
                window,
            } => AnyBackbone::Swin(
                SwinConfig::new(channels, depths.to_vec(), heads.to_vec())
                    .with_window(window)
                    .with_drop_path(self.drop_path)
                    .with_pad_first(self.pad_first)
                    .init(device),
            ),
            Family::EfficientNetLite { width, depth } => AnyBackbone::EfficientNetLite(
                EfficientNetLiteConfig::new()
                    .with_width(width)
                    .with_depth(depth)
                    .init(device),
            ),
        })
    }
}

/// Whichever backbone a configuration names.
#[derive(Module, Debug)]
pub enum AnyBackbone<B: Backend> {
    /// Swin Transformer.
    Swin(Swin<B>),
    /// EfficientNet-Lite.
    EfficientNetLite(EfficientNetLite<B>),
}

/// The same expression for whichever backbone it is.
macro_rules! each {
    ($any:expr, $backbone:ident => $answer:expr) => {
        match $any {
            AnyBackbone::Swin($backbone) => $answer,
            AnyBackbone::EfficientNetLite($backbone) => $answer,
        }
    };
}

impl<B: Backend> AnyBackbone<B> {
    /// Parts the batch norms of the convolutions of which a parameter is chosen by its path, and folds the others
    /// for good: see [`EfficientNetLite::keep_norms`]. A backbone without batch norms has nothing to part.
    pub fn keep_norms(&mut self, chosen: impl Fn(&str) -> bool, statistics: BatchStatistics) {
        let variant = self.path("");
        match self {
            Self::Swin(_) => {}
            Self::EfficientNetLite(network) => {
                network.keep_norms(|path| chosen(&(variant.clone() + path)), statistics);
            }
        }
    }

    /// What belongs in a file beside the parameters, under its public name.
    pub(crate) fn statistics(&self) -> BTreeMap<String, TensorData> {
        match self {
            Self::Swin(_) => BTreeMap::new(),
            Self::EfficientNetLite(network) => network.statistics(),
        }
    }

    /// The path of a parameter, which in an enum starts with the variant.
    fn path(&self, path: &str) -> String {
        let variant = match self {
            Self::Swin(_) => "Swin",
            Self::EfficientNetLite(_) => "EfficientNetLite",
        };
        format!("{variant}.{path}")
    }
}

impl<B: KernelBackend> Backbone<B> for AnyBackbone<B> {
    fn description(&self) -> Description {
        each!(self, backbone => backbone.description())
    }

    fn block_path(&self, section: usize, block: usize) -> String {
        let path = each!(self, backbone => backbone.block_path(section, block));
        self.path(&path)
    }

    fn transition_path(&self, section: usize) -> Option<String> {
        let path = each!(self, backbone => backbone.transition_path(section));
        path.map(|path| self.path(&path))
    }

    fn forward(
        &self,
        images: Tensor<B, 4>,
        phase: Phase,
        access: &mut impl Access<B>,
    ) -> Vec<Tensor<B, 4>> {
        each!(self, backbone => backbone.forward(images, phase, access))
    }

    fn transition<T: KernelBackend, L: Lift<B, T>>(
        &self,
        section: usize,
        highway: Tensor<T, 4>,
    ) -> Tensor<T, 4> {
        each!(self, backbone => backbone.transition::<T, L>(section, highway))
    }
}

impl<B: Backend> Import for AnyBackbone<B> {
    fn prepare(&mut self, file: &Checkpoint) {
        each!(self, backbone => backbone.prepare(file));
    }

    fn rename(&self, key: &str, file: &Checkpoint) -> Renamed {
        // As mmdetection names them: `norm0.weight`.
        let stage = key
            .strip_prefix("norm")
            .and_then(|rest| rest.split_once('.'));
        if stage.is_some_and(|(stage, _)| stage.parse::<usize>().is_ok()) {
            return Renamed::Skip("output norms belong to the method, not to the backbone");
        }
        let renamed = each!(self, backbone => backbone.rename(key, file));
        match renamed {
            Renamed::To(path) => Renamed::To(self.path(&path)),
            other => other,
        }
    }

    fn finish(&mut self, tensors: &mut BTreeMap<String, Imported>) {
        // The tensors' paths start with the variant, which a backbone does not know.
        let variant = self.path("");
        let inner = |path: String| {
            path.strip_prefix(&variant)
                .map_or(path.clone(), String::from)
        };
        let named = std::mem::take(tensors).into_iter();
        let mut own = named.map(|(path, tensor)| (inner(path), tensor)).collect();
        each!(self, backbone => backbone.finish(&mut own));
        let named = own.into_iter();
        tensors.extend(named.map(|(path, tensor)| (variant.clone() + &path, tensor)));
    }
}
