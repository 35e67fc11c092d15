//! Groups of parameters with the same learning rate and weight decay.

use std::collections::HashSet;

use burn::module::{AutodiffModule, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use gradway_backbone::{Depths, ParameterPath, ParameterVisitor, visit_parameters};

use super::config::{OptimizerConfig, RateFactors};

/// Parameters with the same learning rate and weight decay.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ParameterGroup {
    /// Whether they have weight decay.
    pub(super) decayed: bool,
    /// Factor of the rate.
    pub(super) factor: f64,
    /// Identities of the parameters.
    pub(super) parameters: HashSet<ParamId>,
}

/// Groups the parameters of a module; groups are in the order of their first parameters.
pub(super) fn parameter_groups<B: AutodiffBackend, M: AutodiffModule<B>>(
    config: &OptimizerConfig,
    module: &M,
    depths: &Depths,
) -> Vec<ParameterGroup> {
    let mut grouper = Grouper {
        config,
        depths,
        groups: Vec::new(),
    };
    visit_parameters(module, &mut grouper);
    grouper.groups
}

struct Grouper<'a> {
    config: &'a OptimizerConfig,
    depths: &'a Depths,
    groups: Vec<ParameterGroup>,
}

impl<B: AutodiffBackend> ParameterVisitor<B> for Grouper<'_> {
    fn visit<const D: usize>(&mut self, path: &ParameterPath, param: &Param<Tensor<B, D>>) {
        let path = path.to_string();
        let decayed = self.config.decays(&path);
        let factor = factor(self.config, &path, self.depths);
        let alike = |group: &&mut ParameterGroup| {
            group.decayed == decayed && group.factor.to_bits() == factor.to_bits()
        };
        match self.groups.iter_mut().find(alike) {
            Some(group) => {
                group.parameters.insert(param.id);
            }
            None => self.groups.push(ParameterGroup {
                decayed,
                factor,
                parameters: HashSet::from([param.id]),
            }),
        }
    }
}

/// Factor of the rate of the parameter at a path of a [`Trainable`](crate::Trainable).
fn factor(config: &OptimizerConfig, path: &str, depths: &Depths) -> f64 {
    let RateFactors {
        backbone,
        method,
        head,
    } = config.rates;
    let path: Vec<&str> = path.split('.').collect();
    if path.first().is_some_and(|part| *part == "head") {
        return head;
    }
    match path.iter().position(|part| *part == "backbone") {
        None => method,
        Some(at) => {
            let depth = depths.of(&path[at + 1..].join("."));
            let above = depths.blocks() + 1 - depth;
            backbone * config.layer_decay.powi(above as i32)
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use gradway_backbone::{Backbone, BackboneConfig};

    use super::*;

    #[test]
    fn the_rate_of_a_parameter_follows_from_what_it_belongs_to_and_from_its_depth() {
        let backbone = BackboneConfig::named("swin_mini").init::<Flex>(&Default::default());
        let depths = backbone.unwrap().depths();
        let config = OptimizerConfig {
            rates: RateFactors {
                backbone: 0.5,
                method: 3.0,
                head: 7.0,
            },
            layer_decay: 0.5,
            ..Default::default()
        };
        for (path, expected) in [
            ("head.conv_seg.weight", 7.0),
            ("method.Full.norms.norms.0.gamma", 3.0),
            ("method.Adapter.sections.0.0.0.bottleneck.up.weight", 3.0),
            // Eight blocks: once for the last, nine times for what is before the first.
            (
                "method.Full.backbone.Swin.layers.3.blocks.1.norm1.beta",
                0.25,
            ),
            (
                "method.Full.backbone.Swin.layers.3.blocks.0.norm1.beta",
                0.125,
            ),
            (
                "method.Full.backbone.Swin.layers.3.downsample.norm.beta",
                0.0625,
            ),
            (
                "method.PerTask.tasks.1.Full.backbone.Swin.layers.0.blocks.0.norm1.beta",
                0.5 / 256.0,
            ),
            (
                "method.Full.backbone.Swin.patch_embed.proj.weight",
                0.5 / 512.0,
            ),
        ] {
            assert_eq!(factor(&config, path, &depths), expected, "{path}");
        }
    }
}
