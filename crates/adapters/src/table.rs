//! What follows from the table of methods, which is in `lib.rs`.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{AnyBackbone, Backbone, Description, Phase, TrainBackbone, Tunable};
use gradway_kernels::{KernelBackend, Lift, TrainBackend};
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{Method, MethodDescriptor, Misfit, Placement, Settings, Unmergeable};
use crate::placement::{Around, Beside};
use crate::selected::Selected;
use crate::shared::Shared;
use crate::track::frozen_backbone;

/// Declares the configuration enum, the module enum and the list of methods.
///
/// `beside` methods are built from a backbone's description and implement [`Beside`]; `around` methods are
/// built from the backbone and implement [`Around`].
macro_rules! declare {
    (
        beside { $($beside:ident($beside_config:ident, $beside_module:ident, $beside_file:ident),)* }
        around { $($around:ident($around_config:ident, $around_module:ident, $around_file:ident),)* }
    ) => {
        /// The method that a configuration names, with its fields.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name", rename_all = "snake_case")]
        pub enum MethodConfig {
            $(#[doc = concat!("See [`", stringify!($beside_file), "`](crate::", stringify!($beside_file), ").")]
            $beside(crate::$beside_file::$beside_config),)*
            $(#[doc = concat!("See [`", stringify!($around_file), "`](crate::", stringify!($around_file), ").")]
            $around(crate::$around_file::$around_config),)*
        }

        /// The module of a [`MethodConfig`] for a backbone `N`.
        #[derive(Module, Debug)]
        pub enum Tuned<B: Backend, N: Module<B> = AnyBackbone<B>> {
            $(#[doc = concat!("See [`", stringify!($beside_file), "`](crate::", stringify!($beside_file), ").")]
            $beside(crate::$beside_file::$beside_module<B>),)*
            $(#[doc = concat!("See [`", stringify!($around_file), "`](crate::", stringify!($around_file), ").")]
            $around(crate::$around_file::$around_module<B, N>),)*
        }

        /// A method that holds its backbone.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(try_from = "MethodConfig", into = "MethodConfig")]
        pub enum HoldingConfig {
            $(#[doc = concat!("See [`", stringify!($around_file), "`](crate::", stringify!($around_file), ").")]
            $around(crate::$around_file::$around_config),)*
        }

        /// The module of a [`HoldingConfig`] for a backbone `N`.
        #[derive(Module, Debug)]
        pub enum Holding<B: Backend, N: Module<B> = AnyBackbone<B>> {
            $(#[doc = concat!("See [`", stringify!($around_file), "`](crate::", stringify!($around_file), ").")]
            $around(crate::$around_file::$around_module<B, N>),)*
        }

        /// The result of one pass, with the module that computes the features of a task from it.
        #[derive(Debug, Clone)]
        pub(crate) enum Pass<'a, B: KernelBackend, N: Tunable<B>> {
            $($beside(
                &'a crate::$beside_file::$beside_module<B>,
                <crate::$beside_file::$beside_module<B> as Method<B>>::Shared,
            ),)*
            $($around(
                &'a crate::$around_file::$around_module<B, N>,
                <crate::$around_file::$around_module<B, N> as Method<B>>::Shared,
            ),)*
        }

        static TABLE: &[MethodDescriptor] = &[
            $(crate::$beside_file::ABOUT.placed(Placement::Frozen),)*
            $(crate::$around_file::ABOUT.placed(Placement::Tracked),)*
        ];

        impl MethodConfig {
            /// Returns the description of the method in the table.
            pub fn descriptor(&self) -> &'static MethodDescriptor {
                match self {
                    $(Self::$beside(_) => {
                        const { &crate::$beside_file::ABOUT.placed(Placement::Frozen) }
                    })*
                    $(Self::$around(_) => {
                        const { &crate::$around_file::ABOUT.placed(Placement::Tracked) }
                    })*
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

            /// Applies the method to a backbone: returns the frozen part, if there is one, and the trained part.
            pub(crate) fn place<B: TrainBackend, N: TrainBackbone<B>>(
                &self,
                backbone: N::InnerModule,
                description: &Description,
                device: &B::Device,
            ) -> (Option<N::InnerModule>, Tuned<B, N>) {
                match self {
                    $(Self::$beside(config) => {
                        let tuned = Tuned::$beside(config.init(description, device));
                        (Some(frozen_backbone::<B::InnerBackend, _>(backbone)), tuned)
                    })*
                    $(Self::$around(config) => {
                        let backbone = N::from_inner(backbone);
                        (None, Tuned::$around(config.init(backbone, device)))
                    })*
                }
            }
        }

        impl TryFrom<MethodConfig> for HoldingConfig {
            type Error = String;

            fn try_from(config: MethodConfig) -> Result<Self, String> {
                match config {
                    $(MethodConfig::$around(config) => Ok(Self::$around(config)),)*
                    other => Err(format!(
                        "method.method.name = \"{}\"; it must be a method that back-propagates through the backbone",
                        other.descriptor().name
                    )),
                }
            }
        }

        impl From<HoldingConfig> for MethodConfig {
            fn from(config: HoldingConfig) -> Self {
                match config {
                    $(HoldingConfig::$around(config) => Self::$around(config),)*
                }
            }
        }

        impl HoldingConfig {
            /// Initialises the module around a backbone.
            pub(crate) fn init<B: KernelBackend, N: Tunable<B>>(
                &self,
                backbone: N,
                device: &B::Device,
            ) -> Holding<B, N> {
                match self {
                    $(Self::$around(config) => Holding::$around(config.init(backbone, device)),)*
                }
            }
        }

        impl<B: KernelBackend, N: Tunable<B>> Holding<B, N> {
            /// Returns the features of images for a single task.
            ///
            /// # Shapes
            ///
            /// - `images`: `[batch, 3, height, width]`, normalised
            /// - output: per stage `[batch, channels, height, width]`
            pub fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Vec<Tensor<B, 4>> {
                match self {
                    $(Self::$around(module) => {
                        module.of_task(&Around::features(module, images, phase), 0)
                    })*
                }
            }
        }

        impl<B: KernelBackend, N: Tunable<B>> Tuned<B, N> {
            /// Returns the number of tasks that it has a part for; 1 for a method without task-specific parts.
            pub fn tasks(&self) -> usize {
                match self {
                    $(Self::$beside(module) => module.tasks(),)*
                    $(Self::$around(module) => module.tasks(),)*
                }
            }

            fn merged(&self) -> Option<Selected<B, N>> {
                match self {
                    $(Self::$beside(_) => None,)*
                    $(Self::$around(module) => module.merged(),)*
                }
            }

            /// Runs one pass on images; `frozen` returns the backbone of a [`Beside`] method.
            pub(crate) fn pass<'a, 'f, F: KernelBackend, L: Lift<F, B>, K: Backbone<F> + 'f>(
                &'a self,
                frozen: impl FnOnce() -> &'f K,
                images: Tensor<F, 4>,
                phase: Phase,
            ) -> Pass<'a, B, N> {
                match self {
                    $(Self::$beside(module) => {
                        let shared = Beside::features::<F, L>(module, frozen(), images, phase);
                        Pass::$beside(module, shared)
                    })*
                    $(Self::$around(module) => {
                        let shared = Around::features(module, L::lift(images), phase);
                        Pass::$around(module, shared)
                    })*
                }
            }
        }

        impl<B: KernelBackend, N: Tunable<B>> Pass<'_, B, N> {
            /// Returns the features of a task.
            pub(crate) fn of_task(&self, task: usize) -> Vec<Tensor<B, 4>> {
                match self {
                    $(Self::$beside(module, shared) => module.of_task(shared, task),)*
                    $(Self::$around(module, shared) => module.of_task(shared, task),)*
                }
            }

            /// Returns the maps that all tasks share.
            pub(crate) fn maps(&self) -> Vec<Tensor<B, 4>> {
                let mut maps = Vec::new();
                match self {
                    $(Self::$beside(_, shared) => shared.collect(&mut maps),)*
                    $(Self::$around(_, shared) => shared.collect(&mut maps),)*
                }
                maps
            }

            /// Replaces the maps that all tasks share.
            pub(crate) fn with_maps(&self, maps: Vec<Tensor<B, 4>>) -> Self {
                let mut maps = maps.into_iter();
                match self {
                    $(Self::$beside(module, shared) => {
                        Self::$beside(module, shared.replaced(&mut maps))
                    })*
                    $(Self::$around(module, shared) => {
                        Self::$around(module, shared.replaced(&mut maps))
                    })*
                }
            }
        }
    };
}

methods!(declare);

/// Returns every named method.
pub fn table() -> &'static [MethodDescriptor] {
    TABLE
}

impl MethodConfig {
    /// Checks the fields.
    ///
    /// # Errors
    ///
    /// A message with the key and its value.
    pub fn validate(&self) -> Result<(), String> {
        self.settings().validate()
    }

    /// Sets the number of tasks; a method without task-specific parts is not changed.
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
    /// The reason why they cannot.
    pub fn adds_tasks(&self) -> Result<(), &'static str> {
        self.settings().adds_tasks()
    }

    /// Returns the channels of a task's features, by stage, for a backbone with this description.
    pub fn feature_channels(&self, backbone: &Description) -> Vec<usize> {
        self.settings().feature_channels(backbone)
    }

    /// Checks that the method can tune a backbone with this description.
    ///
    /// # Errors
    ///
    /// [`Misfit`] if it cannot.
    pub fn check(&self, backbone: &Description) -> Result<(), Misfit> {
        match self.settings().misfit(backbone) {
            None => Ok(()),
            Some(reason) => Err(Misfit {
                method: self.descriptor().name,
                reason,
            }),
        }
    }

    /// Returns the backbone with the trained parameters merged into it, and the output norms.
    ///
    /// # Errors
    ///
    /// [`Unmergeable`] with the reason if the method cannot be merged.
    pub fn merge<B: KernelBackend, N: Tunable<B>>(
        &self,
        tuned: &Tuned<B, N>,
    ) -> Result<Selected<B, N>, Unmergeable> {
        let descriptor = self.descriptor();
        tuned.merged().ok_or(Unmergeable {
            method: descriptor.name,
            reason: match descriptor.merges {
                Err(reason) => reason,
                Ok(()) => {
                    "the backbone does not report which operations produce the maps that it changes"
                }
            },
        })
    }

    /// Returns the groups whose sum the method's publication reports.
    pub fn published_groups(&self) -> &'static [Group] {
        self.settings().published_groups()
    }
}
