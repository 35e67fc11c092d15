//! Every configuration that is shipped or shown builds, and the reference names every key.

use std::fs;
use std::path::{Path, PathBuf};

use gradway::trainer::{RunConfig, config};
use toml::{Table, Value};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Files below a folder with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_shipped_configuration_is_valid() {
    let mut configs = files(&root().join("experiments"), "toml");
    configs.push(root().join("crates/gradway/src/commands/demo.toml"));
    configs.retain(|path| !path.ends_with("Cargo.toml"));
    assert!(configs.len() >= 2, "{configs:?}");
    for path in configs {
        if let Err(error) = config::load(&path, &[]) {
            panic!("{error}");
        }
    }
}

#[test]
fn every_configuration_in_the_book_is_valid() {
    let mut shown = 0;
    for page in files(&root().join("docs"), "md") {
        let text = fs::read_to_string(&page).expect("a page");
        for block in text.split("```toml\n").skip(1) {
            let (block, _) = block.split_once("```").expect("an end");
            // A section that is shown alone is laid over a whole configuration.
            let overrides: Vec<String> = block
                .parse::<Table>()
                .expect("TOML")
                .into_iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            let whole = r#"
backbone = { name = "swin_tiny" }
method = { name = "fixed" }
head = { name = "segformer" }
data = { format = "synthetic" }
"#;
            let origin = page.display().to_string();
            if let Err(error) = config::parse(whole, &origin, &overrides) {
                panic!("{error}\n{block}");
            }
            shown += 1;
        }
    }
    assert!(shown >= 2);
}

/// Keys of a table and of the tables in it.
fn keys(table: &Table, found: &mut Vec<String>) {
    for (key, value) in table {
        found.push(key.clone());
        if let Value::Table(inner) = value {
            keys(inner, found);
        }
    }
}

#[test]
fn the_reference_names_every_key() {
    let reference =
        fs::read_to_string(root().join("docs/reference/configuration.md")).expect("a page");
    let methods = gradway_adapters::table().iter().map(|line| line.name);
    let heads = ["segformer", "upernet", "fcn", "linear", "dpt"];
    let heads = heads.into_iter().cycle();
    for (method, head) in methods.zip(heads) {
        let overrides = [
            format!("method.name={method}"),
            format!("head.name={head}"),
            "optimizer.clip_norm=1.0".to_string(),
            "augment.base_size=[2048, 512]".to_string(),
            "backbone.weights=file.pth".to_string(),
            "neck={ name = \"simple_pyramid\" }".to_string(),
        ];
        let demo = root().join("crates/gradway/src/commands/demo.toml");
        let config = config::load(&demo, &overrides).expect("a configuration");
        names_every_key(&reference, &config);
    }
    let pennfudan = root().join("experiments/e3va-coco/pennfudan.toml");
    for head in ["retinanet", "faster_rcnn", "mask_rcnn", "cascade_mask_rcnn"] {
        let mut overrides = vec![format!("head.name={head}")];
        if head != "retinanet" {
            let stages = "[{ iou = 0.5, deviations = [0.1, 0.1, 0.2, 0.2], weight = 1.0 }]";
            overrides.push(format!("head.stages={stages}"));
            overrides.push("head.box_convolutions=4".to_string());
            overrides.push("head.box_loss=giou".to_string());
            overrides.push("head.box_weight=10.0".to_string());
        }
        overrides.push("data.first=3".to_string());
        let config = config::load(&pennfudan, &overrides).expect("a configuration");
        names_every_key(&reference, &config);
    }
}

fn names_every_key(reference: &str, config: &RunConfig) {
    let text = config::to_toml(config).expect("TOML");
    let table: Table = text.parse().expect("TOML");
    let mut found = Vec::new();
    keys(&table, &mut found);
    for key in found {
        let named = reference.contains(&format!("`{key}`"))
            || reference.contains(&format!(".{key}`"))
            || reference.contains(&format!("`{key} ="))
            || reference.contains(&format!("## {key}\n"))
            || reference.contains(&format!(", {key} = "));
        assert!(
            named,
            "docs/reference/configuration.md does not name `{key}`"
        );
    }
}

/// What is saved with a run is read back as it was.
#[test]
fn a_saved_configuration_is_the_same() {
    let mut configs = files(&root().join("experiments"), "toml");
    configs.retain(|path| !path.ends_with("Cargo.toml"));
    for path in configs {
        let config = config::load(&path, &[]).expect("a configuration");
        let saved = config::to_toml(&config).expect("TOML");
        let read = config::parse(&saved, "saved", &[]).expect("a configuration");
        assert_eq!(read, config, "{}", path.display());
    }
}
