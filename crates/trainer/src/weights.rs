//! The weights that the backbone of a run starts from.

use gradway_backbone::{BackboneConfig, Checkpoint, WeightSource, WeightsError};
use gradway_hub::{Hub, Observer, Reference, Silent};
use serde::{Deserialize, Serialize};

use crate::config::{RunConfig, to_toml};
use crate::error::TrainError;

/// The weights that a run started from, in its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseWeights {
    /// Where they came from, as in the resolved configuration: a path, `embedded`, or a file on the hub with its commit.
    pub source: String,
    /// Hash of the backbone's parameters, see [`hash_module`](gradway_backbone::hash_module).
    pub hash: String,
}

/// Puts the weights of a configuration in the cache of the hub, if they come from there. Returns the configuration with the
/// commit that the revision means now, so that it means the same weights forever.
///
/// # Errors
///
/// [`TrainError::BaseWeights`] if there is no such file, or it cannot be fetched.
pub fn fetch_weights(
    config: &RunConfig,
    observer: &mut dyn Observer,
) -> Result<RunConfig, TrainError> {
    fetch_after(config, observer, || Ok(()))
}

/// The same. `check` is called before anything is downloaded.
pub(crate) fn fetch_after(
    config: &RunConfig,
    observer: &mut dyn Observer,
    check: impl FnOnce() -> Result<(), TrainError>,
) -> Result<RunConfig, TrainError> {
    let mut config = config.clone();
    let Some(text) = &config.backbone.weights else {
        return Ok(config);
    };
    let wrong = |error| TrainError::base_weights(text, error);
    let source = parse(text)?;
    let Some(reference) = source.reference(&config.backbone.name).map_err(wrong)? else {
        return Ok(config);
    };
    let hub = Hub::from_environment().map_err(|error| wrong(error.into()))?;
    let cached = hub
        .cached(&reference)
        .map_err(|error| wrong(error.into()))?;
    if cached.is_none() {
        check()?;
    }
    let fetched = hub.fetch(&reference, observer);
    let fetched = fetched.map_err(|error| wrong(error.into()))?;
    config.backbone.weights = Some(fetched.pinned.to_string());
    Ok(config)
}

/// Opens the weights of a backbone, wherever they come from; `None` if the configuration names none.
///
/// # Errors
///
/// [`TrainError::BaseWeights`] with the value of the key.
pub(crate) fn open(config: &BackboneConfig) -> Result<Option<Checkpoint>, TrainError> {
    let Some(text) = &config.weights else {
        return Ok(None);
    };
    let source = match parse(text)? {
        WeightSource::File(path) => WeightSource::File(gradway_data::paths::expand(&path)?),
        other => other,
    };
    let opened = source.open(&config.name, Hub::from_environment, &mut Silent);
    let opened = opened.map_err(|error| TrainError::base_weights(text, error))?;
    Ok(Some(opened.with_weights_key(config.weights_key.clone())))
}

/// Whether a configuration is the one that a run was started with and `saved` what the run resolved it to. The two differ in
/// the commit of weights on the hub.
pub fn is_resolved_as(config: &RunConfig, saved: &RunConfig) -> bool {
    let mut config = config.clone();
    if let (Some(wanted), Some(found)) = (reference(&config), reference(saved))
        && found.is_pinned()
        && wanted.can_mean(&found)
    {
        config.backbone.weights.clone_from(&saved.backbone.weights);
    }
    to_toml(&config) == to_toml(saved)
}

/// The file on the hub that a configuration names, if it names one.
fn reference(config: &RunConfig) -> Option<Reference> {
    let source: WeightSource = config.backbone.weights.as_ref()?.parse().ok()?;
    source.reference(&config.backbone.name).ok()?
}

fn parse(text: &str) -> Result<WeightSource, TrainError> {
    let source = text.parse().map_err(WeightsError::Reference);
    source.map_err(|error| TrainError::base_weights(text, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse as parse_config;

    const FILE: &str = r#"
backbone = { name = "dinov2_small" }
method = { name = "fixed" }
head = { name = "segformer", channels = 16 }
data = { format = "synthetic", width = 40, height = 36, train_samples = 2, val_samples = 1 }
augment = { crop_size = [32, 32] }
"#;
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn with(weights: &str) -> Result<RunConfig, TrainError> {
        parse_config(FILE, "file", &[format!("backbone.weights={weights}")])
    }

    #[test]
    fn a_saved_configuration_is_the_same_run_up_to_the_commit() {
        let file = "facebook/dinov2-small/model.safetensors";
        let saved = with(&format!("hf:{file}@{COMMIT}")).expect("a configuration");
        for weights in [
            "pretrained",
            "hf:facebook/dinov2-small",
            &format!("hf:{file}@main"),
        ] {
            let config = with(weights).expect("a configuration");
            assert!(is_resolved_as(&config, &saved), "{weights}");
            let mut other = config.clone();
            other.seed = 7;
            assert!(!is_resolved_as(&other, &saved), "{weights}");
        }
        assert!(is_resolved_as(&saved, &saved));
        let other = format!("hf:{file}@{}", COMMIT.replace('0', "1"));
        for weights in ["hf:facebook/dinov2-base", "weights.pth", "hf:a/b", &other] {
            let config = with(weights).expect("a configuration");
            assert!(!is_resolved_as(&config, &saved), "{weights}");
        }
        // Two commits are two runs, and what has no commit is not resolved.
        assert!(!is_resolved_as(
            &saved,
            &with("pretrained").expect("a configuration")
        ));
    }

    #[test]
    fn weights_that_cannot_be_are_refused_with_the_file_that_names_them() {
        let error = with("hf:dinov2").expect_err("no repository");
        let text = error.to_string();
        assert!(
            text.contains("--set backbone.weights=hf:dinov2: backbone.weights = \"hf:dinov2\""),
            "{text}"
        );
        assert!(text.contains("hf:OWNER/NAME[/FILE][@REVISION]"), "{text}");
        let file = FILE.replace("\"dinov2_small\"", "\"vit_mini\", weights = \"pretrained\"");
        let error = parse_config(&file, "run.toml", &[]).expect_err("no canonical file");
        let text = error.to_string();
        assert!(
            text.starts_with("run.toml: backbone.weights = \"pretrained\": `vit_mini`"),
            "{text}"
        );
        assert!(
            error.hint().expect("a hint").contains("hf:OWNER/NAME"),
            "{error}"
        );
    }
}
