use burn::backend::{Autodiff, Flex};

use super::*;

type Tracked = Autodiff<Flex>;

fn method(text: &str) -> MethodConfig {
    serde_json::from_str(text).expect("a method")
}

/// A base with these settings, whose weights are 0.1 whatever the settings.
fn base(config: &BackboneConfig) -> Base<Tracked> {
    let device = Default::default();
    let backbone = config.init::<Flex>(&device).expect("a backbone");
    let backbone = backbone.map(&mut Filled);
    Base::new(config, backbone, &device)
}

struct Filled;

impl burn::module::ModuleMapper<Flex> for Filled {
    fn map_float<const D: usize>(
        &mut self,
        param: burn::module::Param<burn::tensor::Tensor<Flex, D>>,
    ) -> burn::module::Param<burn::tensor::Tensor<Flex, D>> {
        param.map(|tensor| tensor.zeros_like().add_scalar(0.1))
    }
}

fn swin() -> BackboneConfig {
    BackboneConfig::named("swin_mini")
}

fn adapter(config: &BackboneConfig, text: &str) -> SavedAdapter {
    let base = base(config);
    let (_, tuned) = base.bare(&method(text)).expect("a method for the backbone");
    SavedAdapter::new(&base, method(text), &tuned)
}

const SSF: &str = r#"{ "name": "ssf" }"#;
const FIXED: &str = r#"{ "name": "fixed" }"#;

#[test]
fn an_adapter_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = ["semantic_segmentation", "depth"].map(String::from);
    let saved = adapter(&swin(), SSF).with_tasks(tasks.to_vec());
    saved.save(folder.path()).expect("saved");
    let read = SavedAdapter::load(folder.path()).expect("an adapter");
    assert_eq!(read, saved);
    assert_eq!(read.info.tasks, tasks);
    base(&swin()).with(read, folder.path()).expect("it fits");
}

#[test]
fn an_adapter_of_version_1_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut saved = adapter(&swin(), SSF);
    saved.info.format = 1;
    saved.info.settings = None;
    saved.save(folder.path()).expect("saved");
    write_tensors(&folder.path().join(WEIGHTS), &saved.weights, None).expect("written");
    let read = SavedAdapter::load(folder.path()).expect("an adapter");
    assert_eq!(read, saved);
    // It does not say how the backbone pads.
    let config = BackboneConfig {
        pad_first: true,
        ..swin()
    };
    base(&config).with(read, folder.path()).expect("it fits");
}

#[test]
fn a_backbone_that_pads_in_the_other_order_is_refused() {
    let padded = BackboneConfig {
        pad_first: true,
        ..swin()
    };
    let path = Path::new("adapter");
    let error = base(&swin()).with(adapter(&padded, SSF), path);
    let error = error.expect_err("another function").to_string();
    assert!(
        error.ends_with("backbone.pad_first = true, but this backbone has pad_first = false"),
        "{error}"
    );
    let fits = base(&padded).with(adapter(&padded, SSF), path);
    assert!(fits.is_ok());
}

#[test]
fn a_frozen_backbone_has_the_precision_of_its_adapter() {
    let half = BackboneConfig {
        precision: Precision::Bf16,
        ..swin()
    };
    let bytes = |adapter: SavedAdapter| {
        let (encoder, _) = base(&swin())
            .with(adapter, Path::new("adapter"))
            .expect("it fits");
        encoder.frozen_bytes()
    };
    let [whole, half] = [swin(), half].map(|config| bytes(adapter(&config, FIXED)));
    assert_eq!(whole, 2 * half);
}

/// The files of two exports in one folder, as a write that fails leaves them.
#[test]
fn files_of_two_adapters_are_not_read_as_one() {
    let padded = BackboneConfig {
        pad_first: true,
        ..swin()
    };
    let first = adapter(&swin(), SSF);
    let named = first.clone().with_tasks(vec!["depth".to_string()]);
    let mut other_base = first.clone();
    other_base.info.base = "another".to_string();
    let mut alpha = adapter(&swin(), r#"{ "name": "lora", "rank": 4, "alpha": 8.0 }"#);
    let lora = alpha.clone();
    alpha.info.method = method(r#"{ "name": "lora", "rank": 4, "alpha": 16.0 }"#);
    for (old, new, key) in [
        (&first, &adapter(&padded, SSF), "settings"),
        (&first, &named, "tasks"),
        (&first, &other_base, "base"),
        (&lora, &alpha, "method"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        old.save(folder.path()).expect("saved");
        let description = folder.path().join(DESCRIPTION);
        let text = fs::read(&description).expect("a description");
        new.save(folder.path()).expect("saved");
        fs::write(&description, text).expect("written");
        let error = SavedAdapter::load(folder.path()).expect_err("two adapters");
        let error = error.to_string();
        assert!(
            error.contains(&format!("adapter.json: {key} is")),
            "{error}"
        );
        assert!(error.contains("not of one adapter"), "{error}");
    }
}

#[test]
fn weights_without_a_description_are_not_of_an_adapter_of_version_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let saved = adapter(&swin(), SSF);
    saved.save(folder.path()).expect("saved");
    write_tensors(&folder.path().join(WEIGHTS), &saved.weights, None).expect("written");
    let error = SavedAdapter::load(folder.path()).expect_err("no description");
    let error = error.to_string();
    assert!(
        error.contains("no description of an adapter in the header"),
        "{error}"
    );
}
