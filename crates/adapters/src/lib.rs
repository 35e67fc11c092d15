//! Tuning methods: one file each, one line in the [table](table()).
//!
//! A method decides what of a backbone is trained and what is added to it. Its module holds the
//! trainable part on the backend that differentiates; a highway method keeps the backbone itself on
//! the inner backend, where no graph exists and so no gradient can enter it.
//!
//! | piece | role |
//! |---|---|
//! | [`Method`] | the contract: build the module, turn images into the features of a neck |
//! | [`MethodConfig`] | whichever method a configuration names, with its fields |
//! | [`Tuned`] | whichever module that makes |
//! | [`Encoder`] | a frozen backbone, where the method has one, and the module beside it |
//! | [`count`] | trainable parameters by group |

pub mod adapter;
pub mod adaptformer;
pub mod bitfit;
mod bottleneck;
mod count;
pub mod e3va;
mod encoder;
pub mod fixed;
pub mod full;
pub mod lora;
mod method;
pub mod norm_tuning;
pub mod partial;
mod selected;
mod table;
mod track;

pub use bottleneck::Bottleneck;
pub use count::{Group, GroupCount, count};
pub use encoder::Encoder;
pub use method::{Method, MethodDescriptor, Misfit, Placement, Settings};
pub use selected::Selected;
pub use table::{MethodConfig, Tuned, table};
