//! Which backbone a run uses.

use serde::{Deserialize, Serialize};

use crate::precision::Precision;

/// Which backbone a run uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneConfig {
    /// A name of the [table](crate::table()).
    pub name: String,
    /// Weights: a path, `embedded`, or absent for random ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Of a file that holds several sets of weights: the key that they are below, such as `state_dict_ema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_key: Option<String>,
    /// Stochastic depth at the last block, for methods that train the backbone.
    #[serde(default)]
    pub drop_path: f64,
    /// Of a Swin: pad a map before it is shifted, as mmdetection does; otherwise after, as timm does.
    #[serde(default)]
    pub pad_first: bool,
    /// What a backbone that stays frozen is rounded to, for methods that leave it beside what they train.
    #[serde(default)]
    pub precision: Precision,
}

impl BackboneConfig {
    /// The backbone of this name with random weights.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_string(),
            weights: None,
            weights_key: None,
            drop_path: 0.0,
            pad_first: false,
            precision: Precision::default(),
        }
    }
}
