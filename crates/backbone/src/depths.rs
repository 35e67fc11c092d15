//! The depths of parameters in a backbone.

/// The depths of a backbone's parameters, counted in blocks.
///
/// As in BEiT (Bao et al. 2021, arXiv 2106.08254) and mmpretrain, layers before the first block have depth 0,
/// the first block has depth 1, and the last one [`Self::blocks`]. A transition between sections has the depth
/// of the block before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depths {
    /// Path prefixes of parameters, ending with a dot, and their depths.
    paths: Vec<(String, usize)>,
    blocks: usize,
}

impl Depths {
    pub(crate) fn block(&mut self, path: String) {
        self.blocks += 1;
        self.paths.push((path + ".", self.blocks));
    }

    pub(crate) fn transition(&mut self, path: Option<String>) {
        let depth = self.blocks;
        self.paths.extend(path.map(|path| (path + ".", depth)));
    }

    /// Returns the depth of the parameter at a path of the backbone's module.
    pub fn of(&self, path: &str) -> usize {
        let found = self.paths.iter().find(|(start, _)| path.starts_with(start));
        found.map_or(0, |(_, depth)| *depth)
    }

    /// Returns the depth of the last block.
    pub fn blocks(&self) -> usize {
        self.blocks
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use crate::{Backbone, BackboneConfig};

    #[test]
    fn parameters_of_a_swin_are_as_deep_as_mmpretrain_has_them() {
        let swin = BackboneConfig::named("swin_mini").init::<Flex>(&Default::default());
        let depths = swin.unwrap().depths();
        for (path, depth) in [
            ("Swin.patch_embed.proj.weight", 0),
            ("Swin.layers.0.blocks.0.norm1.gamma", 1),
            ("Swin.layers.0.blocks.1.mlp.fc2.bias", 2),
            ("Swin.layers.1.downsample.reduction.weight", 2),
            ("Swin.layers.1.blocks.0.attn.qkv.weight", 3),
            ("Swin.layers.3.downsample.norm.beta", 6),
            (
                "Swin.layers.3.blocks.1.attn.relative_position_bias_table",
                8,
            ),
        ] {
            assert_eq!(depths.of(path), depth, "{path}");
        }
        assert_eq!(depths.blocks(), 8);
    }

    #[test]
    fn parameters_of_a_convnext_are_as_deep_as_their_block() {
        let network = BackboneConfig::named("convnext_mini").init::<Flex>(&Default::default());
        let depths = network.unwrap().depths();
        for (path, depth) in [
            ("ConvNext.stem.conv.weight", 0),
            ("ConvNext.stages.0.blocks.0.conv_dw.weight", 1),
            ("ConvNext.stages.1.downsample.conv.weight", 1),
            ("ConvNext.stages.1.blocks.0.ls.gamma", 2),
            ("ConvNext.stages.2.blocks.1.mlp.fc2.bias", 4),
            ("ConvNext.stages.3.blocks.0.norm.gamma", 5),
        ] {
            assert_eq!(depths.of(path), depth, "{path}");
        }
        assert_eq!(depths.blocks(), 5);
    }

    #[test]
    fn parameters_of_an_efficientnet_are_as_deep_as_their_block() {
        let network = BackboneConfig::named("efficientnet_lite0").init::<Flex>(&Default::default());
        let depths = network.unwrap().depths();
        for (path, depth) in [
            ("EfficientNetLite.stem.norm.gamma", 0),
            ("EfficientNetLite.rows.0.0.depthwise.weight", 1),
            ("EfficientNetLite.rows.1.1.expand.norm.beta", 3),
            ("EfficientNetLite.rows.5.3.project.weight", 15),
            ("EfficientNetLite.rows.6.0.project.weight", 16),
        ] {
            assert_eq!(depths.of(path), depth, "{path}");
        }
        assert_eq!(depths.blocks(), 16);
    }
}
