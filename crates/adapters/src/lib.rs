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
//! | [`SavedAdapter`], [`Base`] | an adapter on disk, and the backbone it is put on |
//! | [`count`] | trainable parameters by group |

pub mod adapter;
pub mod adaptformer;
pub mod bitfit;
mod bottleneck;
pub mod compacter;
pub mod compacter_plus_plus;
mod count;
mod dual_low_rank;
pub mod e3va;
mod encoder;
pub mod fixed;
pub mod full;
mod hypercomplex;
mod inserted;
pub mod lora;
pub mod lorand;
pub mod low_rank_adapter;
mod method;
pub mod mona;
pub mod norm_tuning;
pub mod partial;
pub mod phm_adapter;
mod saved;
mod selected;
pub mod ssf;
mod state_dict;
mod table;
mod track;
mod vpt;
pub mod vpt_deep;
pub mod vpt_shallow;

pub use bottleneck::Bottleneck;
pub use count::{Group, GroupCount, count};
pub use dual_low_rank::{DualLowRankAdapter, UpInit};
pub use encoder::Encoder;
pub use hypercomplex::{Dense, Thin};
pub use inserted::{Insert, Inserted, Places};
pub use method::{Method, MethodDescriptor, Misfit, Placement, Settings, Unmergeable};
pub use saved::{AdapterError, AdapterInfo, Base, SavedAdapter};
pub use selected::Selected;
pub use state_dict::{StateDict, StateDictError, collect, is_statistic, restore};
pub use table::{MethodConfig, Tuned, table};
pub use track::freeze_output_norms;
