//! Files of other networks are refused with their names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::module::Param;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use gradway_backbone::{
    AnyBackbone, BackboneConfig, Checkpoint, ImportError, ParameterPath, ParameterVisitor,
    Relative, import, table, visit_parameters,
};
use gradway_tests::{Golden, Plain, Tensors, checkpoint, golden_path};

/// The page that lists what is refused.
const PAGE: &str = include_str!("../../../docs/reference/weights.md");

/// Starts of the names of backbones whose parameters are named as in files.
const NAMED_AS_IN_FILES: [&str; 6] = [
    "swin_",
    "dinov2_",
    "dinov3_",
    "vit_",
    "mae_",
    "efficientnet_",
];

type Shapes = BTreeMap<String, Vec<usize>>;

fn backbone(name: &str) -> AnyBackbone<Plain> {
    let config = BackboneConfig::named(name);
    config.init(&Default::default()).expect("in the table")
}

/// The names and shapes of a backbone's file.
fn shapes(name: &str) -> Shapes {
    struct Reader(Shapes);

    impl<B: Backend> ParameterVisitor<B> for Reader {
        fn visit<const D: usize>(&mut self, path: &ParameterPath, parameter: &Param<Tensor<B, D>>) {
            // Without the family.
            let path = path.to_string();
            let (_, path) = path.split_once('.').expect("a family");
            let name = match path.rsplit_once('.') {
                Some((module, "gamma")) if !module.contains(".ls") => format!("{module}.weight"),
                Some((module, "beta")) => format!("{module}.bias"),
                _ => path.to_string(),
            };
            let mut shape = parameter.lazy_shape().to_vec();
            // Linear weights are `[outputs, inputs]` in files.
            if D == 2 && name.ends_with(".weight") {
                shape.reverse();
            }
            self.0.insert(name, shape);
        }
    }

    let mut reader = Reader(Shapes::new());
    visit_parameters(&backbone(name), &mut reader);
    reader.0
}

/// A file of these shapes whose values take no space on the disk.
fn sparse(folder: &Path, name: &str, shapes: &Shapes) -> PathBuf {
    let mut end = 0;
    let tensors = shapes.iter().map(|(name, shape)| {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#)
    });
    let header = format!("{{{}}}", tensors.collect::<Vec<_>>().join(","));
    let path = folder.join(format!("{name}.safetensors"));
    let mut file = File::create(&path).expect("a file");
    file.write_all(&(header.len() as u64).to_le_bytes())
        .and_then(|()| file.write_all(header.as_bytes()))
        .and_then(|()| file.set_len((8 + header.len() + end) as u64))
        .expect("written");
    path
}

/// The refusal of a file by a backbone.
fn refusal(name: &str, file: &Checkpoint) -> ImportError {
    match import(backbone(name), file) {
        Ok(_) => panic!("{name} takes {}", file.origin().display()),
        Err(error) => error,
    }
}

#[test]
fn a_file_of_another_backbone_of_the_table_is_refused_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let is_known = |name: &&str| {
        NAMED_AS_IN_FILES
            .iter()
            .any(|start| name.starts_with(start))
    };
    let names = table().iter().map(|line| line.name).filter(is_known);
    let files: Vec<(&str, Shapes)> = names.map(|name| (name, shapes(name))).collect();
    assert!(files.len() >= 26);
    let mut named = 0;
    for (name, of_file) in &files {
        let path = sparse(folder.path(), name, of_file);
        let file = Checkpoint::open(&path).expect("a file");
        // One after the other, so that every name meets several families and sizes.
        let place = files.iter().position(|(other, _)| other == name);
        for step in [1, 2, 5, 11] {
            let (other, of_other) = &files[(place.expect("a line") + step) % files.len()];
            // Tables of another window are resized, and learnt positions have any side.
            let without_sizes = |shapes: &Shapes| -> BTreeMap<String, Vec<usize>> {
                let kept = shapes.iter().filter(|(key, _)| {
                    !key.ends_with("relative_position_bias_table") && *key != "pos_embed"
                });
                kept.map(|(key, shape)| (key.clone(), shape.clone()))
                    .collect()
            };
            if without_sizes(of_file) == without_sizes(of_other) {
                continue;
            }
            let error = refusal(other, &file);
            let ImportError::Relative {
                relative: Relative::Named(names),
                ..
            } = &error
            else {
                panic!("{name} as {other}: {error}");
            };
            assert!(names.contains(name), "{name} as {other}: {names:?}");
            let of_all = |other: &&str| {
                let (_, of_other) = files
                    .iter()
                    .find(|(name, _)| name == other)
                    .expect("a line");
                of_other == of_file
            };
            assert!(names.iter().all(of_all), "{name}: {names:?}");
            let message = error.to_string();
            assert!(
                message.contains(&format!("{name}.safetensors")),
                "{message}"
            );
            assert!(message.contains("backbone.name"), "{message}");
            named += 1;
        }
    }
    assert!(named > 2 * files.len(), "{named}");
}

#[test]
fn a_whole_detector_with_another_backbone_is_refused_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let below = shapes("swin_small").into_iter();
    let mut of_file: Shapes = below
        .map(|(key, shape)| (format!("state_dict.backbone.{key}"), shape))
        .collect();
    of_file.insert("state_dict.bbox_head.weight".to_string(), vec![2, 3]);
    of_file.insert("optimizer.state.0.exp_avg".to_string(), vec![4]);
    let path = sparse(folder.path(), "detector", &of_file);
    let file = Checkpoint::open(&path).expect("a file");
    for other in ["swin_tiny", "dinov2_small", "efficientnet_lite0"] {
        let message = refusal(other, &file).to_string();
        let expected = "it looks like `swin_small`; set backbone.name = \"swin_small\"";
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn registers_are_told_both_ways() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, other) in [
        ("dinov2_small", "dinov2_small_reg"),
        ("dinov2_small_reg", "dinov2_small"),
        ("dinov3_base", "dinov2_base"),
        ("dinov3_base", "dinov2_base_reg"),
        ("dinov2_base", "dinov3_base"),
        ("dinov3_small", "dinov3_small_plus"),
    ] {
        let path = sparse(folder.path(), name, &shapes(name));
        let message = refusal(other, &Checkpoint::open(&path).expect("a file")).to_string();
        let expected = format!("set backbone.name = \"{name}\"");
        assert!(message.contains(&expected), "{message}");
    }
}

/// A file of the backbone itself that lacks something is not said to be another one.
#[test]
fn a_damaged_file_of_the_backbone_itself_is_refused_by_its_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, lost) in [
        ("swin_mini", "layers.1.blocks.0.mlp.fc1.bias"),
        ("vit_mini", "blocks.3.mlp.fc1.bias"),
        ("efficientnet_lite0", "rows.1.1.project.bias"),
    ] {
        let mut of_file = shapes(name);
        of_file.remove(lost).expect("a parameter");
        let path = sparse(folder.path(), name, &of_file);
        let error = refusal(name, &Checkpoint::open(&path).expect("a file"));
        assert!(matches!(error, ImportError::Keys { .. }), "{error}");
        assert!(error.to_string().contains(lost), "{error}");
    }
}

/// The keys of networks that are in no table, by their names.
fn foreign() -> BTreeMap<String, Vec<BTreeSet<String>>> {
    let path = golden_path("origins/relatives.json");
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("keys")
}

#[test]
fn a_network_that_is_in_no_table_is_refused_with_its_name() {
    let any = TensorData::from([1.0_f32]);
    let networks = foreign();
    assert_eq!(networks.len(), 14);
    let page: Vec<&str> = PAGE.split_whitespace().collect();
    let page = page.join(" ");
    for (what, files) in &networks {
        assert!(page.contains(what), "{what} is not on the page");
        for keys in files {
            for place in ["", "model.", "state_dict.module."] {
                let tensors: Tensors = keys
                    .iter()
                    .map(|key| (format!("{place}{key}"), any.clone()))
                    .collect();
                let file = checkpoint("some/weights.safetensors", &tensors);
                for name in ["swin_mini", "vit_mini", "efficientnet_lite0"] {
                    let error = refusal(name, &file);
                    let ImportError::Relative {
                        relative: Relative::Foreign { what: found, key },
                        ..
                    } = &error
                    else {
                        panic!("{what} as {name}: {error}");
                    };
                    assert_eq!(found, what, "{name}");
                    assert!(
                        keys.iter().any(|known| known.ends_with(key.as_str())),
                        "{key}"
                    );
                    assert!(error.to_string().contains("some/weights.safetensors"));
                }
            }
        }
    }
}

#[test]
fn a_swin_with_absolute_positions_is_refused_with_that() {
    let mut tensors = Golden::open("origins/swin.timm").into_tensors();
    tensors.insert(
        "absolute_pos_embed".to_string(),
        TensorData::zeros::<f32, _>([1, 9, 4]),
    );
    let error = refusal("swin_mini", &checkpoint("weights.safetensors", &tensors));
    let message = error.to_string();
    assert!(
        message.contains("a Swin with absolute positions (`absolute_pos_embed`)"),
        "{message}"
    );
}

/// timm's `swin_s3_*` have the keys of other Swins, and another window in some stages.
#[test]
fn swins_of_several_windows_are_refused_with_the_windows() {
    let folder = tempfile::tempdir().expect("a folder");
    // As swin_s3_small and swin_s3_base have them, at the size of `swin_mini`.
    for (windows, blocks) in [([14, 14, 14, 7], 2), ([7, 7, 14, 7], 4)] {
        let mut of_file = Shapes::new();
        for (key, mut shape) in shapes("swin_mini") {
            let stage = key.strip_prefix("layers.").and_then(|rest| rest.get(..1));
            let stage = stage.and_then(|stage| stage.parse::<usize>().ok());
            if key.ends_with("relative_position_bias_table") {
                let window: usize = windows[stage.expect("a stage")];
                shape[0] = (2 * window - 1).pow(2);
            }
            for block in 2..blocks {
                let from = "layers.2.blocks.1.";
                if let Some(rest) = key.strip_prefix(from) {
                    of_file.insert(format!("layers.2.blocks.{block}.{rest}"), shape.clone());
                }
            }
            of_file.insert(key, shape);
        }
        let path = sparse(folder.path(), "swin_s3", &of_file);
        let error = refusal("swin_mini", &Checkpoint::open(&path).expect("a file"));
        assert!(matches!(error, ImportError::Windows { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("swin_s3"), "{message}");
        assert!(message.contains("7x7 and 14x14"), "{message}");
    }
}
