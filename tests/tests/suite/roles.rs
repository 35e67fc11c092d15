//! What every parameter of every backbone, method and head is for, by a table of names: a field that is renamed, and
//! would be trained or decayed as something else, is noticed here.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend as BurnBackend;
use gradway::trainer::{OptimizerConfig, config};
use gradway_adapters::{Encoder, table};
use gradway_backbone::{
    AnyBackbone, Backbone, BackboneConfig, Kind, Owner, ParameterPath, ParameterVisitor, Role,
    visit_parameters,
};
use gradway_heads::detection::DetectorConfig;
use gradway_heads::neck::NeckConfig;
use gradway_heads::{HeadConfig, HeadTask};
use gradway_tests::{Plain, Tracked};

/// A variant of each family, under the name that its paths start with.
const BACKBONES: [(&str, &str); 4] = [
    ("Swin", "swin_mini"),
    ("Vit", "vit_mini"),
    ("ConvNext", "convnext_mini"),
    ("EfficientNetLite", "efficientnet_lite0"),
];

/// Fields that hold a norm.
const NORMS: [&str; 4] = ["norm", "norm1", "norm2", "norms"];

/// Norms behind the last stage.
const AFTER_STAGES: [[&str; 2]; 2] = [["Vit", "norm"], ["ConvNext", "norm"]];

/// Fields that are weights, wherever they are.
const WEIGHTS: [&str; 26] = [
    "weight",
    "down",
    "down_bias",
    "down_in",
    "down_out",
    "down_rules",
    "embeddings",
    "first",
    "gamma_x",
    "kernel",
    "left",
    "mixing",
    "narrowing",
    "projections",
    "prompts",
    "right",
    "rules",
    "scale",
    "second",
    "sections",
    "shift",
    "up",
    "up_bias",
    "up_in",
    "up_out",
    "up_rules",
];

/// The role of the parameter of this name; the test fails at a name that is in no table.
fn expected(path: &str) -> Role {
    let parts: Vec<&str> = path.split('.').collect();
    let is_index = |part: &str| part.parse::<usize>().is_ok();
    let mut fields = parts.iter().rev().filter(|part| !is_index(part));
    let (last, holder) = (*fields.next().unwrap(), *fields.next().unwrap());
    let kind = match last {
        "gamma" if NORMS.contains(&holder) => Kind::NormScale,
        // The factor of Mona's normalised map.
        "gamma" if holder == "sections" => Kind::Weight,
        "gamma" if ["ls1", "ls2", "ls"].contains(&holder) => Kind::BranchScale,
        "cls_token" | "reg_token" | "pos_embed" => Kind::Embedding,
        "beta" if NORMS.contains(&holder) => Kind::NormShift,
        "running_mean" | "running_var" if NORMS.contains(&holder) => Kind::Statistic,
        // Of a batch norm that is trained with its statistics.
        "running_mean" | "running_var" if holder == "Trained" => Kind::Statistic,
        "bias" => Kind::Bias,
        "relative_position_bias_table" => Kind::PositionBias,
        other if WEIGHTS.contains(&other) => Kind::Weight,
        _ => panic!("{path} is in no table"),
    };
    let has = |name: &str| parts.contains(&name);
    let is_backbone = has("backbone") || BACKBONES.iter().any(|(family, _)| parts[0] == *family);
    let owner = if is_backbone && has("downsample") {
        Owner::Transition
    } else if is_backbone
        && AFTER_STAGES
            .iter()
            .any(|after| parts[..parts.len() - 1].ends_with(after))
    {
        Owner::AfterStages
    } else if is_backbone {
        Owner::Backbone
    } else if has("norms") {
        let stage = parts[parts.len() - 2].parse();
        Owner::OutputNorm {
            stage: stage.unwrap(),
        }
    } else {
        Owner::Added
    };
    Role { owner, kind }
}

/// Compares every parameter of a module with the table, and counts them.
fn check<B: BurnBackend, M: Module<B>>(module: &M) -> usize {
    struct Check {
        no_decay: Vec<String>,
        found: usize,
    }

    impl<B: BurnBackend> ParameterVisitor<B> for Check {
        fn visit<const D: usize>(&mut self, path: &ParameterPath, _: &Param<Tensor<B, D>>) {
            let (role, path) = (path.role(), path.to_string());
            assert_eq!(role, expected(&path), "{path}");
            // What weight decay leaves out by the names of the configuration is what it should by the roles.
            let is_decayed = !self.no_decay.iter().any(|name| path.contains(name));
            match role.kind {
                Kind::NormScale
                | Kind::NormShift
                | Kind::PositionBias
                | Kind::Embedding
                | Kind::BranchScale => {
                    assert!(!is_decayed, "{path}");
                }
                Kind::Bias | Kind::Weight => assert!(is_decayed, "{path}"),
                // Without a gradient there is no decay.
                Kind::Statistic => {}
            }
            self.found += 1;
        }
    }

    let mut check = Check {
        no_decay: OptimizerConfig::default().no_decay,
        found: 0,
    };
    visit_parameters(module, &mut check);
    check.found
}

fn backbone(name: &str) -> AnyBackbone<Plain> {
    let backbone = BackboneConfig::named(name).init(&Default::default());
    backbone.unwrap()
}

#[test]
fn parameters_of_backbones() {
    for (_, name) in BACKBONES {
        assert!(check(&backbone(name)) > 0, "{name}");
    }
}

#[test]
fn parameters_of_methods_on_backbones() {
    for line in table() {
        for (_, name) in BACKBONES {
            let backbone = backbone(name);
            let method = config::method(line.name, &[]).unwrap();
            if method.check(&backbone.description()).is_err() {
                continue;
            }
            let device = Default::default();
            let (_, tuned) = Encoder::<Tracked>::new(&method, backbone, &device).unwrap();
            assert!(check(&tuned) > 0, "{} on {name}", line.name);
        }
    }
}

#[test]
fn parameters_of_batch_norms_whose_statistics_are_trained() {
    let method = config::method("full", &["method.batch_statistics=trained".to_string()]);
    let backbone = backbone("efficientnet_lite0");
    let device = Default::default();
    let (_, tuned) = Encoder::<Tracked>::new(&method.unwrap(), backbone, &device).unwrap();
    // Filters, scale, shift, mean and variance of 48 convolutions; scale and shift of four output norms.
    assert_eq!(check(&tuned), 5 * 48 + 8);
}

#[test]
fn parameters_of_heads() {
    let device = Default::default();
    for ((_, backbone), neck) in BACKBONES.iter().zip(["none", "pyramid", "simple_pyramid"]) {
        let config = BackboneConfig::named(backbone);
        let stages = &config.descriptor().unwrap().stages;
        let neck: NeckConfig = toml::from_str(&format!("name = {neck:?}")).unwrap();
        for line in gradway_heads::table() {
            let text = format!("name = {:?}", line.name);
            let found = match line.task {
                HeadTask::Segmentation => {
                    let config: HeadConfig = toml::from_str(&text).unwrap();
                    check(&config.on::<Tracked>(&neck, stages, 3, &device))
                }
                HeadTask::Detection => {
                    let config: DetectorConfig = toml::from_str(&text).unwrap();
                    assert_eq!(config.descriptor().name, line.name);
                    check(&config.on::<Tracked>(&neck, stages, 3, &device))
                }
            };
            assert!(found > 0, "{} behind {}", line.name, neck.name());
        }
    }
    // Reassembled maps, and residual units without norms.
    let backbone = BackboneConfig::named("vit_mini");
    let stages = &backbone.descriptor().unwrap().stages;
    let config: HeadConfig = toml::from_str("name = \"dpt\"\nbatch_norm = false").unwrap();
    let none = NeckConfig::default();
    assert!(check(&config.on::<Tracked>(&none, stages, 3, &device)) > 0);
}
