//! Vision backbones with access points, and the import of their public checkpoints.
//!
//! [`Swin`](swin::Swin), [`EfficientNetLite`](efficientnet::EfficientNetLite), [`Vit`](vit::Vit) and
//! [`ConvNext`](convnext::ConvNext) implement [`Backbone`]; [`table`] lists every named variant; [`AnyBackbone`] is the backbone
//! that a configuration names, and [`OwnBackbone`] holds a network of another crate. A backbone does not depend on any tuning
//! method: methods use it through [`Access`].
//!
//! A backbone on an inner backend is frozen by its type. It does not accept a tracked tensor:
//!
//! ```compile_fail,E0308
//! use burn::backend::Autodiff;
//! use burn::backend::Flex;
//! use burn::tensor::Tensor;
//! use gradway_backbone::{Backbone, Phase, Untouched, swin::Swin};
//!
//! fn forward(frozen: &Swin<Flex>, images: Tensor<Autodiff<Flex>, 4>) {
//!     frozen.forward(images, Phase::Inference, &mut Untouched);
//! }
//! ```
//!
//! The same call with a tensor of the inner backend compiles:
//!
//! ```
//! use burn::backend::Flex;
//! use burn::tensor::Tensor;
//! use gradway_backbone::{Backbone, Phase, Untouched, swin::Swin};
//!
//! fn forward(frozen: &Swin<Flex>, images: Tensor<Flex, 4>) {
//!     frozen.forward(images, Phase::Inference, &mut Untouched);
//! }
//! ```

/// The table of families, a line each: its name, what tells its variants apart, its module, and its file.
macro_rules! families {
    ($declare:ident) => {
        $declare! {
            Swin(SwinVariant, Swin, swin),
            EfficientNetLite(EfficientNetLiteVariant, EfficientNetLite, efficientnet),
            Vit(VitVariant, Vit, vit),
            ConvNext(ConvNextVariant, ConvNext, convnext),
        }
    };
}

mod access;
mod backbone;
mod batch_statistics;
mod bias_table;
mod checkpoint;
mod closing_norm;
mod config;
pub mod convnext;
mod depths;
mod description;
mod descriptor;
mod drop_path;
pub mod efficientnet;
mod embedded;
mod export;
mod family;
mod file;
mod import;
mod layer_scale;
mod layout;
mod mlp;
mod operation;
mod output_norms;
mod own;
mod parameters;
mod part;
mod precision;
mod pretrained;
mod relatives;
mod resampling;
mod role;
mod source;
pub mod swin;
mod table;
mod tensor_file;
mod transformer;
pub mod vit;
mod write;

pub use access::{Access, BlockAccess, Point, Site, Untouched};
pub use backbone::Backbone;
pub use batch_statistics::BatchStatistics;
pub use checkpoint::{Checkpoint, CheckpointError, hash_module};
pub use closing_norm::ClosingNorm;
pub use config::{BackboneConfig, BackboneSettings};
pub use depths::Depths;
pub use description::{Description, Operations, Section, StageShape};
pub use descriptor::BackboneDescriptor;
pub use drop_path::{DropPath, Phase};
pub use embedded::EMBEDDED;
pub use export::{export, export_header};
pub use import::{
    Import, ImportError, ImportReport, Imported, Renamed, ResizedTables, import, nearest,
};
pub use operation::Operation;
pub use output_norms::OutputNorms;
pub use own::{OwnBackbone, TrainBackbone, Tunable};
pub use parameters::{
    ParameterMapper, ParameterPath, ParameterVisitor, map_parameters, visit_parameters,
};
pub use precision::Precision;
pub use pretrained::Pretrained;
pub use relatives::Relative;
pub use resampling::Resampling;
pub use role::{Kind, Owner, Role, is_statistic, task_of};
pub use source::{PRETRAINED, WeightSource, WeightsError, pretrained};
pub use table::{AnyBackbone, UnknownBackbone, table};
pub use tensor_file::{HeaderMetadata, TensorFile, TensorFileError, require_finite, write_tensors};
pub use transformer::TransformerBlock;
pub use write::{partial, write_whole};
