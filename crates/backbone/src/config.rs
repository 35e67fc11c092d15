//! The backbone of a run.

use serde::{Deserialize, Serialize};

use crate::descriptor::BackboneDescriptor;
use crate::precision::Precision;
use crate::resampling::Resampling;

/// The backbone of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneConfig {
    /// A name of the [table](crate::table()).
    pub name: String,
    /// Weights: a value of [`WeightSource`](crate::WeightSource), or absent for random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// For a file with several sets of weights, the key to read, such as `state_dict_ema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_key: Option<String>,
    /// Stochastic depth rate of the last block, for methods that train the backbone.
    #[serde(default)]
    pub drop_path: f64,
    /// For a Swin: whether maps are padded before they are shifted, as in mmdetection; otherwise after, as in timm.
    #[serde(default)]
    pub pad_first: bool,
    /// For a plain vision transformer with learnt positions: how they are resampled to the grid of an image. By default as
    /// the publisher of the weight file does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<Resampling>,
    /// Precision of a frozen backbone, for methods that do not train parameters inside it.
    #[serde(default)]
    pub precision: Precision,
    /// The description of a backbone of another crate, which the program adds; no file has it.
    #[serde(skip)]
    pub own: Option<Box<BackboneDescriptor>>,
}

/// The settings of a backbone that change what it computes in inference, besides its name and weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneSettings {
    /// As in [`BackboneConfig`].
    pub pad_first: bool,
    /// As in [`BackboneConfig`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<Resampling>,
    /// As in [`BackboneConfig`].
    pub precision: Precision,
}

impl BackboneConfig {
    /// Returns the settings that change what the backbone computes in inference.
    pub fn settings(&self) -> BackboneSettings {
        // Every field is named here, so that a new one is not forgotten.
        let Self {
            name: _,
            weights: _,
            weights_key: _,
            drop_path: _,
            pad_first,
            positions,
            precision,
            own: _,
        } = *self;
        BackboneSettings {
            pad_first,
            positions,
            precision,
        }
    }

    /// Checks that no key is set that has no effect on a backbone that is built, such as one of another crate: its name
    /// and its precision have one.
    ///
    /// # Errors
    ///
    /// A message with the key and its value.
    pub fn require_built(&self) -> Result<(), String> {
        let built = Self {
            precision: self.precision,
            own: self.own.clone(),
            ..Self::named(&self.name)
        };
        if *self == built {
            return Ok(());
        }
        // Every field is named here, so that a new one is not forgotten.
        let Self {
            name: _,
            weights,
            weights_key,
            drop_path,
            pad_first,
            positions,
            precision: _,
            own: _,
        } = self;
        let quoted = |text: &String| format!("\"{text}\"");
        let set = [
            ("weights", weights.as_ref().map(quoted)),
            ("weights_key", weights_key.as_ref().map(quoted)),
            (
                "drop_path",
                (*drop_path != 0.0).then(|| drop_path.to_string()),
            ),
            ("pad_first", pad_first.then(|| pad_first.to_string())),
            (
                "positions",
                positions.map(|positions| format!("\"{}\"", positions.name())),
            ),
        ];
        let set = set.into_iter();
        let set = set.filter_map(|(key, value)| Some(format!("backbone.{key} = {}", value?)));
        Err(format!(
            "{}, but the backbone `{}` is built by the program, and only its precision can be configured",
            set.collect::<Vec<_>>().join(", "),
            self.name
        ))
    }

    /// Configures the backbone with this name and random weights.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_string(),
            weights: None,
            weights_key: None,
            drop_path: 0.0,
            pad_first: false,
            positions: None,
            precision: Precision::default(),
            own: None,
        }
    }
}
