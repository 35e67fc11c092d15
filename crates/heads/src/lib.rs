//! Decoders for dense prediction and their losses.
//!
//! A [`Decoder`] turns maps of features into logits. [`SegmentationHead`] is the decoder that a configuration names,
//! with its auxiliary decoder and its loss. A [`neck`] makes the maps from the stages of an encoder.
//!
//! | decoder | source |
//! |---|---|
//! | [`SegFormerDecoder`](segformer::SegFormerDecoder) | SegFormer (Xie et al. 2021), the light All-MLP decoder |
//! | [`UPerNet`](upernet::UPerNet) | UPerNet (Xiao et al. 2018) |
//! | [`Fcn`](fcn::Fcn) | FCN (Long et al. 2015), the auxiliary of UPerNet |
//! | [`HrNet`](hrnet::HrNet) | the small HRNet-like head of MTLoRA |
//! | [`LinearDecoder`](linear::LinearDecoder) | the linear protocol of DINOv2 (Oquab et al. 2023) |
//! | [`Dpt`](dpt::Dpt) | DPT (Ranftl et al. 2021) |

/// The table of decoders, a line each: its name, its configuration, its module, and its file.
macro_rules! decoders {
    ($declare:ident) => {
        $declare! {
            SegFormer(SegFormerConfig, SegFormerDecoder, segformer),
            UPerNet(UPerNetConfig, UPerNet, upernet),
            Fcn(FcnConfig, Fcn, fcn),
            HrNet(HrNetConfig, HrNet, hrnet),
            Linear(LinearConfig, LinearDecoder, linear),
            Dpt(DptConfig, Dpt, dpt),
        }
    };
}

mod convolution;
mod decoder;
pub mod detection;
pub mod dpt;
mod dropout;
mod enlarging;
pub mod fcn;
mod head;
pub mod hrnet;
pub mod linear;
mod maps;
pub mod multi_task;
pub mod neck;
mod normalization;
mod range;
pub mod segformer;
mod segmentation;
mod staged;
mod table;
pub mod upernet;

pub use convolution::{ConvNormRelu, Convolution, Pointwise};
pub use decoder::Decoder;
pub use dropout::drop_channels;
pub use enlarging::Enlarging;
pub use head::{Auxiliary, HeadDescriptor, HeadSettings, HeadTask};
pub use maps::MapShape;
pub use normalization::BatchNorm;
pub use segmentation::{SegmentationHead, SegmentationOutput};
pub use staged::StagedLoss;
pub use table::{AnyDecoder, HeadConfig, table};
