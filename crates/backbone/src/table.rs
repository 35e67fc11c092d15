//! What follows from the table of families, which is in `lib.rs`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use gradway_kernels::{KernelBackend, Lift};

use crate::access::{Access, Site};
use crate::backbone::Backbone;
use crate::batch_statistics::BatchStatistics;
use crate::checkpoint::Checkpoint;
use crate::config::BackboneConfig;
use crate::description::Description;
use crate::descriptor::BackboneDescriptor;
use crate::drop_path::Phase;
use crate::family::{Ineffective, Variant};
use crate::import::{Import, Imported, Renamed, nearest};
use crate::operation::Operation;
use crate::parameters::ParameterPath;
use crate::relatives::{Relative, Signature, shapes_of};
use crate::tensor_file::HeaderMetadata;
use crate::transformer::TransformerBlock;

/// Declares the list of backbones, the enum of their modules, and its implementations, which call those of a family.
///
/// A family's file has its module, what tells its variants apart, and these by their names as `VARIANTS`.
macro_rules! declare {
    ($($name:ident($variant:ident, $backbone:ident, $file:ident),)*) => {
        #[derive(Debug, Clone, Copy)]
        enum Family {
            $($name(&'static crate::$file::$variant),)*
        }

        static TABLE: LazyLock<Vec<BackboneDescriptor>> = LazyLock::new(|| {
            let mut lines = Vec::new();
            $(for named in crate::$file::VARIANTS {
                lines.push(BackboneDescriptor {
                    name: named.name,
                    summary: named.summary,
                    mean: named.statistics.mean,
                    std: named.statistics.std,
                    stages: named.variant.stages(),
                    pretrained: named.pretrained,
                });
            })*
            lines
        });

        /// The backbone that a configuration names.
        #[derive(Module, Debug)]
        pub enum AnyBackbone<B: Backend> {
            $(#[doc = concat!("See [`", stringify!($file), "`](crate::", stringify!($file), ").")]
            $name(crate::$file::$backbone<B>),)*
        }

        impl Family {
            /// The family of a name of the table.
            fn named(name: &str) -> Option<Self> {
                $(for named in crate::$file::VARIANTS {
                    if named.name == name {
                        return Some(Self::$name(&named.variant));
                    }
                })*
                None
            }

            fn init<B: Backend>(
                self,
                config: &BackboneConfig,
                device: &B::Device,
            ) -> AnyBackbone<B> {
                match self {
                    $(Self::$name(variant) => AnyBackbone::$name(variant.init(config, device)),)*
                }
            }

            fn without_effect(self, config: &BackboneConfig) -> Option<Ineffective> {
                match self {
                    $(Self::$name(variant) => variant.without_effect(config),)*
                }
            }
        }

        /// The names of the table, with what tells their networks apart. No parameter is initialised for it.
        fn signatures<B: Backend>() -> Vec<(&'static str, Option<Signature>)> {
            let device = B::Device::default();
            let mut found = Vec::new();
            $(for named in crate::$file::VARIANTS {
                let config = BackboneConfig::named(named.name);
                let backbone = named.variant.init::<B>(&config, &device);
                let shapes = shapes_of(&backbone);
                found.push((named.name, crate::$file::$variant::signature(&shapes)));
            })*
            found
        }

        /// What tells the network of a file apart from others of its family.
        fn signature_of(file: &Checkpoint) -> Option<Signature> {
            None$(.or_else(|| {
                let shapes = crate::$file::$variant::shapes(file)?;
                crate::$file::$variant::signature(&shapes)
            }))*
        }

        impl<B: Backend> AnyBackbone<B> {
            /// The path of a parameter, which starts with the variant of the enum.
            fn path(&self, path: &str) -> String {
                let variant = match self {
                    $(Self::$name(_) => stringify!($name),)*
                };
                format!("{variant}.{path}")
            }
        }

        impl<B: KernelBackend> Backbone<B> for AnyBackbone<B> {
            fn description(&self) -> Description {
                match self {
                    $(Self::$name(backbone) => backbone.description(),)*
                }
            }

            fn block_path(&self, section: usize, block: usize) -> String {
                let path = match self {
                    $(Self::$name(backbone) => backbone.block_path(section, block),)*
                };
                self.path(&path)
            }

            fn transition_path(&self, section: usize) -> Option<String> {
                let path = match self {
                    $(Self::$name(backbone) => backbone.transition_path(section),)*
                };
                path.map(|path| self.path(&path))
            }

            fn keep_norms(
                &mut self,
                chosen: &dyn Fn(&ParameterPath) -> bool,
                statistics: BatchStatistics,
            ) {
                match self {
                    $(Self::$name(backbone) => {
                        let within = |path: &ParameterPath| {
                            chosen(&path.within(stringify!($name), "Enum:AnyBackbone"))
                        };
                        backbone.keep_norms(&within, statistics);
                    })*
                }
            }

            fn statistics(&self) -> BTreeMap<String, TensorData> {
                match self {
                    $(Self::$name(backbone) => backbone.statistics(),)*
                }
            }

            fn operation(&mut self, site: Site) -> Option<Operation<'_, B>> {
                match self {
                    $(Self::$name(backbone) => backbone.operation(site),)*
                }
            }

            fn transformer_block(
                &self,
                section: usize,
                block: usize,
            ) -> Option<&dyn TransformerBlock<B>> {
                match self {
                    $(Self::$name(backbone) => backbone.transformer_block(section, block),)*
                }
            }

            fn forward(
                &self,
                images: Tensor<B, 4>,
                phase: Phase,
                access: &mut impl Access<B>,
            ) -> Vec<Tensor<B, 4>> {
                match self {
                    $(Self::$name(backbone) => backbone.forward(images, phase, access),)*
                }
            }

            fn stage_map<T: KernelBackend>(
                &self,
                stream: Tensor<T, 4>,
                size: [usize; 2],
            ) -> Tensor<T, 4> {
                match self {
                    $(Self::$name(backbone) => backbone.stage_map(stream, size),)*
                }
            }

            fn transition<T: KernelBackend, L: Lift<B, T>>(
                &self,
                section: usize,
                highway: Tensor<T, 4>,
            ) -> Tensor<T, 4> {
                match self {
                    $(Self::$name(backbone) => backbone.transition::<T, L>(section, highway),)*
                }
            }
        }

        impl<B: Backend> Import for AnyBackbone<B> {
            fn anchors(&self) -> Vec<&'static str> {
                match self {
                    $(Self::$name(backbone) => backbone.anchors(),)*
                }
            }

            fn prepare(&mut self, file: &Checkpoint) {
                match self {
                    $(Self::$name(backbone) => backbone.prepare(file),)*
                }
            }

            fn rename(&self, key: &str, file: &Checkpoint) -> Renamed {
                if is_output_norm(key) {
                    return Renamed::Skip("output norms belong to the method, not to the backbone");
                }
                let renamed = match self {
                    $(Self::$name(backbone) => backbone.rename(key, file),)*
                };
                match renamed {
                    Renamed::To(path) => Renamed::To(self.path(&path)),
                    other => other,
                }
            }

            fn origin(&self, file: &Checkpoint) -> Option<&'static str> {
                match self {
                    $(Self::$name(backbone) => backbone.origin(file),)*
                }
            }

            fn relative(&self, file: &Checkpoint) -> Option<Relative> {
                let (of_family, own, of_own_family) = match self {
                    $(Self::$name(backbone) => {
                        let own = crate::$file::$variant::signature(&shapes_of(backbone));
                        let shapes = crate::$file::$variant::shapes(file);
                        let of_own_family =
                            shapes.and_then(|shapes| crate::$file::$variant::signature(&shapes));
                        (backbone.relative(file), own, of_own_family)
                    })*
                };
                // Another network may be beside that of the backbone.
                let is_own = match (&own, &of_own_family) {
                    (None, _) => true,
                    (Some(own), found) => found.as_ref().is_some_and(|found| own.fits(found)),
                };
                if of_family.is_some() || is_own {
                    return of_family;
                }
                let names = names_of::<B>(&of_own_family.or_else(|| signature_of(file))?);
                (!names.is_empty()).then_some(Relative::Named(names))
            }

            fn arrange(&self, tensors: &mut BTreeMap<String, Imported>, file: &Checkpoint) {
                match self {
                    $(Self::$name(backbone) => backbone.arrange(tensors, file),)*
                }
            }

            fn public_name(&self, path: String) -> String {
                match self {
                    $(Self::$name(backbone) => backbone.public_name(path),)*
                }
            }

            fn header(&self) -> HeaderMetadata {
                match self {
                    $(Self::$name(backbone) => backbone.header(),)*
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
                match self {
                    $(Self::$name(backbone) => backbone.finish(&mut own),)*
                }
                let named = own.into_iter();
                tensors.extend(named.map(|(path, tensor)| (variant.clone() + &path, tensor)));
            }
        }
    };
}

families!(declare);

/// The names of the table's backbones that weights fit: without a change, or else after one.
fn names_of<B: Backend>(found: &Signature) -> Vec<&'static str> {
    let signed = signatures::<B>().into_iter();
    let signed = signed.filter_map(|(name, signature)| Some((name, signature?)));
    let (equal, fitting): (Vec<_>, Vec<_>) = signed
        .filter(|(_, signature)| signature.fits(found))
        .partition(|(_, signature)| signature == found);
    let chosen = if equal.is_empty() { fitting } else { equal };
    chosen.into_iter().map(|(name, _)| name).collect()
}

/// Whether a key is that of an output norm as named by mmdetection: `norm0.weight`.
fn is_output_norm(key: &str) -> bool {
    let stage = key
        .strip_prefix("norm")
        .and_then(|rest| rest.split_once('.'));
    stage.is_some_and(|(stage, _)| stage.parse::<usize>().is_ok())
}

/// Returns every named backbone.
pub fn table() -> &'static [BackboneDescriptor] {
    &TABLE
}

/// A name that is not in the table.
#[derive(Debug, thiserror::Error)]
#[error("{}", match nearest {
    _ if *is_own => format!("backbone `{name}` is of another crate: the program builds it, and no configuration"),
    Some(nearest) => format!("unknown backbone `{name}`; did you mean `{nearest}`?"),
    None => format!("unknown backbone `{name}`"),
})]
pub struct UnknownBackbone {
    /// The name.
    pub name: String,
    /// The most similar name of the table.
    pub nearest: Option<&'static str>,
    /// Whether it is the name of a backbone of another crate, which cannot be built from a configuration.
    pub is_own: bool,
}

impl BackboneConfig {
    /// Returns the line of the table, or the description of a backbone of another crate.
    ///
    /// # Errors
    ///
    /// [`UnknownBackbone`] with the nearest name.
    pub fn descriptor(&self) -> Result<&BackboneDescriptor, UnknownBackbone> {
        if let Some(own) = &self.own {
            return Ok(own);
        }
        let found = table().iter().find(|line| line.name == self.name);
        found.ok_or_else(|| self.unknown())
    }

    /// The family in the table.
    fn family(&self) -> Result<Family, UnknownBackbone> {
        let family = match &self.own {
            None => Family::named(&self.name),
            Some(_) => None,
        };
        family.ok_or_else(|| self.unknown())
    }

    fn unknown(&self) -> UnknownBackbone {
        UnknownBackbone {
            name: self.name.clone(),
            nearest: nearest(&self.name, table().iter().map(|line| line.name)),
            is_own: self.own.is_some(),
        }
    }

    /// Checks that no setting is without an effect on the backbone.
    ///
    /// # Errors
    ///
    /// A message with the key, its value and the reason; the name is not in the table.
    pub fn require_effect(&self) -> Result<(), String> {
        if self.own.is_some() {
            return self.require_built();
        }
        let family = self.family().map_err(|error| error.to_string())?;
        match family.without_effect(self) {
            None => Ok(()),
            Some(Ineffective {
                setting,
                reason,
                right,
            }) => Err(format!(
                "{setting}, but backbone.name = \"{}\" {reason}; it must be {right}",
                self.name
            )),
        }
    }

    /// Builds the backbone with random weights.
    ///
    /// # Errors
    ///
    /// [`UnknownBackbone`] with the nearest name; it is that of another crate.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<AnyBackbone<B>, UnknownBackbone> {
        Ok(self.family()?.init(self, device))
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;
    use crate::access::Point;

    #[test]
    fn the_stages_of_the_table_are_those_of_the_backbones() {
        for line in table() {
            let config = BackboneConfig::named(line.name);
            let backbone = config.init::<Flex>(&Default::default()).unwrap();
            let description = backbone.description();
            let shapes = description.shapes(&description.stage_channels());
            assert_eq!(line.stages, shapes, "{}", line.name);
            assert!(line.stages.is_sorted_by_key(|stage| stage.stride));
            assert_eq!(line.coarsest_stride(), description.coarsest_stride());
        }
    }

    #[test]
    fn a_backbone_has_the_operations_and_the_blocks_that_it_lists() {
        for line in table() {
            let config = BackboneConfig::named(line.name);
            let mut backbone = config.init::<Flex>(&Default::default()).unwrap();
            let description = backbone.description();
            let operations = &description.operations;
            let mut require = |points: &[Point], section: usize, block: usize| {
                for &point in points {
                    let site = Site {
                        point,
                        section,
                        block,
                    };
                    assert!(
                        backbone.operation(site).is_some(),
                        "{}: {site:?}",
                        line.name
                    );
                }
            };
            require(&operations.embedding, 0, 0);
            for (section, shape) in description.sections.iter().enumerate() {
                if section > 0 {
                    require(&operations.transition, section, 0);
                }
                for block in 0..shape.blocks {
                    require(&operations.block, section, block);
                }
            }
            for (section, shape) in description.sections.iter().enumerate() {
                for block in 0..shape.blocks {
                    assert_eq!(
                        backbone.transformer_block(section, block).is_some(),
                        description.is_transformer()
                    );
                }
            }
        }
    }

    #[test]
    fn no_name_stands_twice() {
        let mut names: Vec<_> = table().iter().map(|line| line.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
