//! Files of other networks: recognised by names and shapes, so that a refusal can name them.

use std::collections::BTreeMap;
use std::fmt;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Shapes of tensors by name.
pub(crate) type Shapes = BTreeMap<String, Vec<usize>>;

/// The network of a file, other than the one that it is imported into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relative {
    /// Backbones of the table that have its shapes.
    Named(Vec<&'static str>),
    /// A network that no backbone of this family is.
    Foreign {
        /// Its name with an article.
        what: &'static str,
        /// A key of the file that shows it.
        key: String,
    },
    /// The same network for images that are normalised in another way.
    Images {
        /// The publisher of the file.
        origin: &'static str,
    },
}

impl fmt::Display for Relative {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(names) => match names.as_slice() {
                [name] => write!(
                    formatter,
                    "it looks like `{name}`; set backbone.name = \"{name}\""
                ),
                names => {
                    let quoted: Vec<String> =
                        names.iter().map(|name| format!("`{name}`")).collect();
                    write!(
                        formatter,
                        "it looks like {}; set backbone.name to the one that it is",
                        quoted.join(" or ")
                    )
                }
            },
            Self::Foreign { what, key } => write!(formatter, "it looks like {what} (`{key}`)"),
            Self::Images { origin } => write!(
                formatter,
                "it is of {origin}, whose images are normalised with ImageNet's mean and deviation, but this backbone's \
                 are in -1 to 1; set backbone.name = \"mae_base\" or \"mae_large\", the same networks for such images"
            ),
        }
    }
}

/// What tells the networks of a family apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    /// The family.
    pub(crate) family: &'static str,
    /// Sizes that must be equal.
    pub(crate) sizes: Vec<usize>,
    /// Sizes that an import can change, such as the side of a window.
    pub(crate) adjustable: Vec<usize>,
}

impl Signature {
    /// Whether the weights of one fit the other.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        self.family == other.family && self.sizes == other.sizes
    }
}

/// Returns the shapes of a module's parameters by their paths. No parameter is initialised for it.
pub(crate) fn shapes_of<B: Backend, M: Module<B>>(module: &M) -> Shapes {
    #[derive(Default)]
    struct Reader {
        path: Vec<String>,
        shapes: Shapes,
    }

    impl<B: Backend> ModuleVisitor<B> for Reader {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let shape = param.lazy_shape().to_vec();
            self.shapes.insert(self.path.join("."), shape);
        }
    }

    let mut reader = Reader::default();
    module.visit(&mut reader);
    reader.shapes
}

/// Returns how many of the names that `name` makes of 0, 1, 2, ... are there, up to the first that is not.
pub(crate) fn count(shapes: &Shapes, name: impl Fn(usize) -> String) -> usize {
    (0..)
        .take_while(|index| shapes.contains_key(&name(*index)))
        .count()
}

/// A network that no backbone of a family is, and whether a key shows it.
pub(crate) type Foreign = (&'static str, fn(&str) -> bool);

/// Networks that are taken for one of the table. The first that a key shows is named.
pub(crate) static FOREIGN: &[Foreign] = &[
    ("a Swin V2", |key| {
        contains_any(
            key,
            &[
                ".attn.logit_scale",
                ".attention.self.logit_scale",
                ".attention.logit_scale",
                ".w_msa.logit_scale",
            ],
        )
    }),
    ("a Swin with absolute positions", |key| {
        key.ends_with("absolute_pos_embed")
    }),
    ("a BEiT", |key| {
        let is_swin = contains_any(key, &["layers.", "stages.", "features."]);
        let is_table = key.ends_with("relative_position_bias_table");
        let is_blocks = contains_any(key, &["blocks.", "encoder.layer.", "rel_pos_bias."]);
        is_table && is_blocks && !is_swin
    }),
    ("an EVA", |key| {
        let is_block = contains_any(key, &["blocks.0.attn."]);
        is_block && (key.ends_with(".q_bias") || key.ends_with(".q_proj.weight"))
    }),
    ("the visual tower of a CLIP", |key| {
        contains_any(
            key,
            &[
                "norm_pre.weight",
                "pre_layrnorm.weight",
                "ln_pre.weight",
                "transformer.resblocks.0.",
            ],
        )
    }),
    ("the visual tower of a SigLIP or a BLIP", |key| {
        contains_any(
            key,
            &["attn_pool.latent", "embeddings.patch_embedding.bias"],
        )
    }),
    ("the image encoder of a SAM, or a ViTDet", |key| {
        // A MViT has stages.
        key.ends_with(".attn.rel_pos_h") && !key.contains("stages.")
    }),
    ("a Hiera, such as the image encoder of a SAM 2", |key| {
        contains_any(key, &["pos_embed_win"])
    }),
    ("a DeiT with a distillation token", |key| {
        contains_any(key, &["dist_token", "distillation_token"])
    }),
    ("a DINOv2 ViT-g, whose SwiGLU is one matrix", |key| {
        contains_any(key, &[".mlp.w12.", ".mlp.weights_in."])
    }),
    ("the encoder of a SegFormer", |key| {
        contains_any(
            key,
            &[
                "patch_embed1.proj.weight",
                "encoder.patch_embeddings.0.proj.weight",
                "encoder.block.0.0.attention.self.",
            ],
        )
    }),
    ("a ConvNeXt V2", |key| {
        contains_any(key, &["stages.0.", "features.1."]) && contains_any(key, &[".grn."])
    }),
    ("a ResNet", |key| {
        contains_any(
            key,
            &[
                "layer1.0.conv1.weight",
                "res2.0.conv1.weight",
                "resnet.encoder.stages.0.",
            ],
        )
    }),
    (
        "an EfficientNet or a MobileNet with squeeze-and-excitation",
        |key| contains_any(key, &[".se.conv_reduce.weight", "._se_reduce.weight"]),
    ),
];

/// Networks of which some may be in the table, which is then more exact.
pub(crate) static FAMILIES: &[Foreign] = &[("a ConvNeXt", |key| {
    contains_any(
        key,
        &[
            "stages.0.0.dwconv.weight",
            "stages.0.layers.0.dwconv.weight",
            "stages.0.layers.0.depthwise_conv.weight",
            "stages.0.blocks.0.conv_dw.weight",
        ],
    ) || key.ends_with("features.1.0.block.0.weight")
})];

fn contains_any(key: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| key.contains(part))
}

/// Names a network of a list, by keys that have no parameter in the chosen backbone. A network whose mark has a
/// parameter there is of the backbone's own family.
pub(crate) fn foreign(networks: &[Foreign], without: &[&str], with: &[&str]) -> Option<Relative> {
    networks.iter().find_map(|(what, shows)| {
        let key = without.iter().find(|key| shows(key))?;
        if with.iter().any(|key| shows(key)) {
            return None;
        }
        let key = (*key).to_string();
        Some(Relative::Foreign { what, key })
    })
}
