//! Decoders for dense prediction and their losses.
//!
//! A [`Decoder`] turns the stage features of an encoder into logits. [`SegmentationHead`] is the decoder that a
//! configuration names, with its auxiliary decoder and its loss.
//!
//! | decoder | source |
//! |---|---|
//! | [`SegFormerDecoder`](segformer::SegFormerDecoder) | SegFormer (Xie et al. 2021), the light All-MLP decoder |
//! | [`UPerNet`](upernet::UPerNet) | UPerNet (Xiao et al. 2018) |
//! | [`Fcn`](fcn::Fcn) | FCN (Long et al. 2015), the auxiliary of UPerNet |
//! | [`HrNet`](hrnet::HrNet) | the small HRNet-like head of MTLoRA |

/// The table of decoders, a line each: its name, its configuration, its module, and its file.
macro_rules! decoders {
    ($declare:ident) => {
        $declare! {
            SegFormer(SegFormerConfig, SegFormerDecoder, segformer),
            UPerNet(UPerNetConfig, UPerNet, upernet),
            Fcn(FcnConfig, Fcn, fcn),
            HrNet(HrNetConfig, HrNet, hrnet),
        }
    };
}

mod convolution;
mod decoder;
pub mod detection;
mod dropout;
pub mod fcn;
mod head;
pub mod hrnet;
pub mod multi_task;
mod normalization;
pub mod segformer;
mod segmentation;
mod staged;
mod table;
pub mod upernet;

pub use convolution::{ConvNormRelu, Convolution, Pointwise};
pub use decoder::Decoder;
pub use dropout::drop_channels;
pub use head::{Auxiliary, HeadDescriptor, HeadSettings, HeadTask};
pub use normalization::BatchNorm;
pub use segmentation::{SegmentationHead, SegmentationOutput};
pub use staged::StagedLoss;
pub use table::{AnyDecoder, HeadConfig, table};
