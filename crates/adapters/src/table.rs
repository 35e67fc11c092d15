//! The table of methods.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{AnyBackbone, Description, Phase};
use gradway_kernels::{KernelBackend, Lift};
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{Method, MethodDescriptor, Misfit, Settings, Unmergeable};
use crate::selected::Selected;

/// Declares everything that follows from the table: the configuration, the module, the list.
///
/// `beside` methods are built from a backbone's description, `around` methods from the backbone.
macro_rules! methods {
    (
        beside { $($beside:ident($beside_config:ident, $beside_module:ident, $beside_file:ident),)* }
        around { $($around:ident($around_config:ident, $around_module:ident, $around_file:ident),)* }
    ) => {
        /// Whichever method a configuration names, with its fields.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name", rename_all = "snake_case")]
        pub enum MethodConfig {
            $(#[doc = concat!("See [`", stringify!($beside_file), "`](crate::", stringify!($beside_file), ").")]
            $beside(crate::$beside_file::$beside_config),)*
            $(#[doc = concat!("See [`", stringify!($around_file), "`](crate::", stringify!($around_file), ").")]
            $around(crate::$around_file::$around_config),)*
        }

        /// Whichever module a [`MethodConfig`] makes.
        #[derive(Module, Debug)]
        pub enum Tuned<B: Backend> {
            $(#[doc = concat!("See [`", stringify!($beside_file), "`](crate::", stringify!($beside_file), ").")]
            $beside(crate::$beside_file::$beside_module<B>),)*
            $(#[doc = concat!("See [`", stringify!($around_file), "`](crate::", stringify!($around_file), ").")]
            $around(crate::$around_file::$around_module<B>),)*
        }

        static TABLE: &[MethodDescriptor] = &[
            $(crate::$beside_file::DESCRIPTOR,)*
            $(crate::$around_file::DESCRIPTOR,)*
        ];

        impl MethodConfig {
            /// What the table says of the method.
            pub fn descriptor(&self) -> &'static MethodDescriptor {
                match self {
                    $(Self::$beside(_) => &crate::$beside_file::DESCRIPTOR,)*
                    $(Self::$around(_) => &crate::$around_file::DESCRIPTOR,)*
                }
            }

            fn settings(&self) -> &dyn Settings {
                match self {
                    $(Self::$beside(config) => config,)*
                    $(Self::$around(config) => config,)*
                }
            }

            fn settings_mut(&mut self) -> &mut dyn Settings {
                match self {
                    $(Self::$beside(config) => config,)*
                    $(Self::$around(config) => config,)*
                }
            }

            /// The module of a method that sits beside a frozen backbone; of the others the bare
            /// minimum never asked for, since [`descriptor`](Self::descriptor) tells them apart.
            pub(crate) fn init_beside<B: KernelBackend>(
                &self,
                description: &Description,
                device: &B::Device,
            ) -> Tuned<B> {
                match self {
                    $(Self::$beside(config) => Tuned::$beside(config.init(description, device)),)*
                    $(Self::$around(_) => unreachable!("placed around its backbone"),)*
                }
            }

            /// The module of a method that holds the backbone itself.
            pub(crate) fn init_around<B: KernelBackend>(
                &self,
                backbone: AnyBackbone<B>,
                device: &B::Device,
            ) -> Tuned<B> {
                match self {
                    $(Self::$around(config) => Tuned::$around(config.init(backbone, device)),)*
                    $(Self::$beside(_) => unreachable!("placed beside its backbone"),)*
                }
            }
        }

        impl<B: KernelBackend> Method<B> for Tuned<B> {
            fn merged(&self) -> Option<Selected<B>> {
                match self {
                    $(Self::$beside(module) => module.merged(),)*
                    $(Self::$around(module) => module.merged(),)*
                }
            }

            fn features<F: KernelBackend, L: Lift<F, B>>(
                &self,
                frozen: Option<&AnyBackbone<F>>,
                images: Tensor<F, 4>,
                phase: Phase,
            ) -> Vec<Tensor<B, 4>> {
                match self {
                    $(Self::$beside(module) => module.features::<F, L>(frozen, images, phase),)*
                    $(Self::$around(module) => module.features::<F, L>(frozen, images, phase),)*
                }
            }

            fn tasks(&self) -> usize {
                match self {
                    $(Self::$beside(module) => module.tasks(),)*
                    $(Self::$around(module) => module.tasks(),)*
                }
            }

            fn of_task(&self, features: &[Tensor<B, 4>], task: usize) -> Vec<Tensor<B, 4>> {
                match self {
                    $(Self::$beside(module) => module.of_task(features, task),)*
                    $(Self::$around(module) => module.of_task(features, task),)*
                }
            }
        }
    };
}

methods! {
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

/// Every method that can be named.
pub fn table() -> &'static [MethodDescriptor] {
    TABLE
}

impl MethodConfig {
    /// What is wrong with the fields, if anything: the key and why.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and its value.
    pub fn validate(&self) -> Result<(), String> {
        self.settings().validate()
    }

    /// The same method for so many tasks; one that knows no tasks stays as it is.
    pub fn for_tasks(mut self, tasks: usize) -> Self {
        if let Some(field) = self.settings_mut().tasks() {
            *field = tasks;
        }
        self
    }

    /// Whether the method has a part for each task.
    pub fn knows_tasks(&self) -> bool {
        self.clone().settings_mut().tasks().is_some()
    }

    /// Whether tasks can be added to a trained model.
    ///
    /// # Errors
    ///
    /// Why they cannot.
    pub fn adds_tasks(&self) -> Result<(), &'static str> {
        self.settings().adds_tasks()
    }

    /// Channels of the features of a task, by stage, on a backbone of this description.
    pub fn feature_channels(&self, backbone: &Description) -> Vec<usize> {
        self.settings().feature_channels(backbone)
    }

    /// Whether the method can tune a backbone of this description.
    ///
    /// # Errors
    ///
    /// [`Misfit`] where it cannot.
    pub fn check(&self, backbone: &Description) -> Result<(), Misfit> {
        match self.settings().misfit(backbone) {
            None => Ok(()),
            Some(reason) => Err(Misfit {
                method: self.descriptor().name,
                reason,
            }),
        }
    }

    /// The backbone with what was trained in its own parameters, and the output norms.
    ///
    /// # Errors
    ///
    /// [`Unmergeable`] with the reason where the method does not allow it.
    pub fn merge<B: KernelBackend>(&self, tuned: &Tuned<B>) -> Result<Selected<B>, Unmergeable> {
        let descriptor = self.descriptor();
        tuned.merged().ok_or(Unmergeable {
            method: descriptor.name,
            reason: descriptor.merges.err().unwrap_or_default(),
        })
    }

    /// The groups whose sum the method's publication prints.
    pub fn published_groups(&self) -> &'static [Group] {
        self.settings().published_groups()
    }
}
