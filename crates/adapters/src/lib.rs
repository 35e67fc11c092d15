//! Tuning methods: one file each, one line in the [table](table()).
//!
//! A method decides which parameters of a backbone are trained and which modules are added to it. Its module
//! holds the trainable part on the autodiff backend. A highway method keeps the backbone on the inner backend,
//! which has no graph, so no gradient can pass through it.
//!
//! | piece | role |
//! |---|---|
//! | [`Method`] | the trait of a method: computes the features of a task from the result of one pass |
//! | [`Beside`], [`Around`] | the pass of a method: beside a frozen backbone, or with a backbone inside its module |
//! | [`MethodConfig`] | the method that a configuration names, with its fields |
//! | [`Tuned`] | the module of that method |
//! | [`Encoder`] | the frozen backbone of a highway method |
//! | [`SavedAdapter`], [`Base`] | an adapter on disk, and the backbone it is applied to |
//! | [`count`] | trainable parameters by group |

/// The table of methods, a line each: its name, its configuration, its module, and its file.
macro_rules! methods {
    ($declare:ident) => {
        $declare! {
            beside {
                E3va(E3vaConfig, E3va, e3va),
                Fixed(FixedConfig, Fixed, fixed),
                VmtHighway(VmtHighwayConfig, VmtHighway, vmt_highway),
            }
            around {
                Full(FullConfig, Full, full),
                Partial(PartialConfig, Partial, partial),
                Adapter(AdapterConfig, Adapter, adapter),
                Adaptformer(AdaptformerConfig, Adaptformer, adaptformer),
                Lora(LoraConfig, Lora, lora),
                Lorand(LorandConfig, Lorand, lorand),
                LowRankAdapter(LowRankAdapterConfig, LowRankAdapter, low_rank_adapter),
                PhmAdapter(PhmAdapterConfig, PhmAdapter, phm_adapter),
                Compacter(CompacterConfig, Compacter, compacter),
                CompacterPlusPlus(CompacterPlusPlusConfig, CompacterPlusPlus, compacter_plus_plus),
                Mona(MonaConfig, Mona, mona),
                VptShallow(VptShallowConfig, VptShallow, vpt_shallow),
                VptDeep(VptDeepConfig, VptDeep, vpt_deep),
                Ssf(SsfConfig, Ssf, ssf),
                Bitfit(BitfitConfig, Bitfit, bitfit),
                NormTuning(NormTuningConfig, NormTuning, norm_tuning),
                VmtAdapter(VmtAdapterConfig, VmtAdapter, vmt_adapter),
                VmtAdapterLite(VmtAdapterLiteConfig, VmtAdapterLite, vmt_adapter_lite),
                Hyperformer(HyperformerConfig, Hyperformer, hyperformer),
                Polyhistor(PolyhistorConfig, Polyhistor, polyhistor),
                PolyhistorLite(PolyhistorLiteConfig, PolyhistorLite, polyhistor_lite),
                Mtlora(MtloraConfig, Mtlora, mtlora),
                PerTask(PerTaskConfig, PerTask, per_task),
            }
        }
    };
}

pub mod adapter;
pub mod adaptformer;
pub mod bitfit;
mod bottleneck;
pub mod compacter;
pub mod compacter_plus_plus;
mod conditioned;
mod count;
mod dual_low_rank;
pub mod e3va;
mod encoder;
pub mod extraction;
pub mod fixed;
pub mod full;
mod highway;
mod hypercomplex;
pub mod hyperformer;
mod inserted;
pub mod lora;
pub mod lorand;
pub mod low_rank_adapter;
mod method;
pub mod mona;
pub mod mtlora;
pub mod norm_tuning;
pub mod partial;
pub mod per_task;
pub mod phm_adapter;
mod placement;
pub mod polyhistor;
pub mod polyhistor_lite;
mod saved;
mod selected;
mod settle;
mod shared;
pub mod ssf;
mod state_dict;
mod table;
mod task_streams;
mod track;
mod unread;
pub mod vmt_adapter;
pub mod vmt_adapter_lite;
pub mod vmt_highway;
mod vpt;
pub mod vpt_deep;
pub mod vpt_shallow;

pub use bottleneck::Bottleneck;
pub use conditioned::{Conditioned, Hypernetworks};
pub use count::{Group, GroupCount, count};
pub use dual_low_rank::{DualLowRankAdapter, UpInit};
pub use encoder::{Applied, Encoder, Features};
pub use gradway_backbone::is_statistic;
pub use hypercomplex::{Dense, Thin};
pub use inserted::{Insert, Inserted, InsertionPoints};
pub use method::{Method, MethodDescriptor, Misfit, Placement, Settings, Unmergeable};
pub use placement::{Around, Beside};
pub use saved::{AdapterError, AdapterInfo, Base, SavedAdapter};
pub use selected::Selected;
pub use settle::settle;
pub use shared::Shared;
pub use state_dict::{StateDict, StateDictError, adopt, collect, collect_with, restore};
pub use table::{Holding, HoldingConfig, MethodConfig, Tuned, table};
pub use task_streams::{Merge, StageStreams, StreamBlocks};
pub use track::freeze;
pub use unread::freeze_unread;
