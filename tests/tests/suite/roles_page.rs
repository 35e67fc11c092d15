//! The page of parameters: what every parameter of every backbone, method and head is for, and which of a backbone's own
//! a method trains. It is generated, and a name that changes anywhere changes the page.
//!
//! `GRADWAY_WRITE_DOCS=1 cargo test -p gradway-tests --test suite roles_page` writes it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use gradway::trainer::{OptimizerConfig, config};
use gradway_adapters::{Encoder, table};
use gradway_backbone::{
    AnyBackbone, Backbone, BackboneConfig, Kind, Owner, ParameterPath, ParameterVisitor, Role,
    StageShape, visit_parameters,
};
use gradway_heads::detection::DetectorConfig;
use gradway_heads::{HeadConfig, HeadTask};
use gradway_tests::{Plain, Tracked};

const HEAD: &str = "# Parameters

Generated from the modules; `GRADWAY_WRITE_DOCS=1 cargo test -p gradway-tests --test suite roles_page` writes it anew.

What a parameter is for follows from the types that hold it, in one place (`crates/backbone/src/role.rs`): which of a
backbone's own parameters a method trains, how they are counted, and what a checkpoint holds depend on it. `N` stands for
an index. Weight decay leaves out what the configuration says, by default the norms and the position biases.

";

/// A variant of each family.
const BACKBONES: [&str; 2] = ["swin_mini", "efficientnet_lite0"];

/// What a module has under a path without indices.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Found {
    role: Role,
    is_trained: bool,
}

/// The parameters of a module by their paths without indices, in the order of the paths.
#[derive(Default)]
struct Listing(BTreeMap<String, Vec<Found>>);

impl<B: burn::tensor::backend::Backend> ParameterVisitor<B> for Listing {
    fn visit<const D: usize>(&mut self, path: &ParameterPath, parameter: &Param<Tensor<B, D>>) {
        let found = Found {
            role: path.role(),
            is_trained: parameter.is_require_grad(),
        };
        require_decay(&path.to_string(), found.role);
        let path = without_indices(&path.to_string());
        let all = self.0.entry(path).or_default();
        // Stages have output norms of their own, and a method may train the last block alone.
        if !all.contains(&found) {
            all.push(found);
        }
    }
}

fn without_indices(path: &str) -> String {
    let parts = path.split('.').map(|part| match part.parse::<usize>() {
        Ok(_) => "N",
        Err(_) => part,
    });
    parts.collect::<Vec<_>>().join(".")
}

/// What the optimiser leaves out by the names in its configuration is what it should by the roles.
fn require_decay(path: &str, role: Role) {
    let patterns = OptimizerConfig::default().no_decay;
    let is_decayed = !patterns.iter().any(|pattern| path.contains(pattern));
    let should_be = match role.kind {
        Kind::NormScale | Kind::NormShift | Kind::PositionBias => false,
        Kind::Bias | Kind::Weight => true,
        // Without a gradient there is no decay.
        Kind::Statistic => return,
    };
    assert_eq!(is_decayed, should_be, "{path}");
}

fn listing<B: burn::tensor::backend::Backend, M: Module<B>>(module: &M) -> Listing {
    let mut listing = Listing::default();
    visit_parameters(module, &mut listing);
    listing
}

fn backbone(name: &str) -> AnyBackbone<Plain> {
    let backbone = BackboneConfig::named(name).init(&Default::default());
    backbone.unwrap()
}

fn stages(name: &str) -> Vec<StageShape> {
    BackboneConfig::named(name)
        .descriptor()
        .unwrap()
        .stages
        .clone()
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::NormScale => "scale of a norm",
        Kind::NormShift => "shift of a norm",
        Kind::Statistic => "statistic",
        Kind::Bias => "bias",
        Kind::PositionBias => "position bias",
        Kind::Weight => "weight",
    }
}

fn owner(owner: Owner) -> &'static str {
    match owner {
        Owner::Backbone => "backbone",
        Owner::Transition => "transition",
        Owner::OutputNorm { .. } => "output norm",
        Owner::Added => "added",
    }
}

/// The part of a path behind the variant that it starts with.
fn own(path: &str) -> &str {
    let (_variant, rest) = path.split_once('.').unwrap();
    rest
}

fn rows(page: &mut String, listing: &Listing) {
    for (path, found) in &listing.0 {
        let Role {
            owner: of,
            kind: is,
        } = found[0].role;
        let _infallible = writeln!(page, "| `{}` | {} | {} |", own(path), owner(of), kind(is));
    }
}

fn heading(page: &mut String, level: &str, title: &str) {
    let _infallible = write!(
        page,
        "{level} `{title}`\n\n| parameter | belongs to | is |\n|---|---|---|\n"
    );
}

/// Parameters of a method: its own as a table, and what it trains of the backbone's.
fn method(page: &mut String, name: &str) {
    let mut own_rows = None;
    let mut trained = Vec::new();
    for backbone_name in BACKBONES {
        let backbone = backbone(backbone_name);
        let config = config::method(name, &[]).unwrap();
        if config.check(&backbone.description()).is_err() {
            continue;
        }
        let (_, tuned) = Encoder::<Tracked>::new(&config, backbone, &Default::default()).unwrap();
        let (of_backbone, others): (BTreeMap<_, _>, BTreeMap<_, _>) = listing(&tuned)
            .0
            .into_iter()
            .partition(|(_, found)| found[0].role.owner.is_backbone());
        for (path, found) in &of_backbone {
            let all_alike = found.iter().all(|one| one.role == found[0].role);
            assert!(all_alike, "{name}: {path} has more than one role");
        }
        let chosen = of_backbone
            .iter()
            .filter(|(_, found)| found.iter().any(|one| one.is_trained));
        let chosen = chosen.map(|(path, found)| {
            let all = found.iter().all(|one| one.is_trained);
            let (_, path) = path.split_once("backbone.").unwrap();
            format!("`{}`{}", own(path), if all { "" } else { " in part" })
        });
        let chosen: Vec<String> = chosen.collect();
        if !chosen.is_empty() {
            trained.push(format!(
                "Trained of `{backbone_name}`: {}.\n",
                chosen.join(", ")
            ));
        }
        own_rows.get_or_insert(Listing(others));
    }
    heading(page, "###", name);
    let own_rows = own_rows.unwrap();
    rows(page, &own_rows);
    let frozen = own_rows
        .0
        .iter()
        .filter(|(_, found)| found.iter().all(|one| !one.is_trained));
    let frozen: Vec<String> = frozen.map(|(path, _)| format!("`{}`", own(path))).collect();
    if !frozen.is_empty() {
        trained.push(format!("Frozen: {}.\n", frozen.join(", ")));
    }
    for line in trained {
        let _infallible = write!(page, "\n{line}");
    }
    *page += "\n";
}

fn page() -> String {
    let mut page = HEAD.to_string();
    page += "## Backbones\n\n";
    for name in BACKBONES {
        heading(&mut page, "###", name);
        rows(&mut page, &listing(&backbone(name)));
        page += "\n";
    }
    page += "## Methods\n\nWhat a method adds, and the output norms.\n\n";
    for line in table() {
        method(&mut page, line.name);
    }
    page += "## Heads\n\n";
    let stages = stages(BACKBONES[0]);
    let device = Default::default();
    for line in gradway_heads::table() {
        let text = format!("name = {:?}", line.name);
        heading(&mut page, "###", line.name);
        match line.task {
            HeadTask::Segmentation => {
                let config: HeadConfig = toml::from_str(&text).unwrap();
                let widths: Vec<usize> = stages.iter().map(|stage| stage.channels).collect();
                let head = config.init::<Tracked>(&widths, 3, &device);
                rows(&mut page, &listing(&head));
            }
            HeadTask::Detection => {
                let config: DetectorConfig = toml::from_str(&text).unwrap();
                assert_eq!(config.descriptor().name, line.name);
                rows(
                    &mut page,
                    &listing(&config.init::<Tracked>(&stages, 3, &device)),
                );
            }
        }
        page += "\n";
    }
    page.truncate(page.trim_end().len());
    page + "\n"
}

#[test]
fn every_parameter_has_the_role_that_the_page_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/parameters.md");
    let page = page();
    if std::env::var_os("GRADWAY_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let saved = std::fs::read_to_string(&path).unwrap_or_default();
    let pairs = saved.lines().zip(page.lines());
    for (line, (saved, made)) in pairs.enumerate() {
        assert_eq!(
            saved,
            made,
            "docs/reference/parameters.md, line {}: set GRADWAY_WRITE_DOCS=1 if this is meant",
            line + 1
        );
    }
    assert_eq!(saved.lines().count(), page.lines().count());
}
