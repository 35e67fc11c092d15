//! Configuration of the optimiser.

use serde::{Deserialize, Serialize};

/// The update rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerName {
    /// AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101).
    #[default]
    Adamw,
    /// SGD with momentum, as PyTorch's: `v = momentum v + (g + decay p)`, `p = p - rate v`.
    Sgd,
}

/// The treatment of a learning rate that is meant for another total batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateScaling {
    /// The run is rejected.
    #[default]
    Refuse,
    /// The rate is scaled linearly with the batch (Goyal et al. 2017, arXiv 1706.02677).
    Linear,
}

/// Factors of the learning rate, by the part of the model. Pre-trained parameters usually need a smaller rate
/// than randomly initialised ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateFactors {
    /// Factor of the backbone's own parameters.
    pub backbone: f64,
    /// Factor of the parameters that the method adds, output norms included.
    pub method: f64,
    /// Factor of the head.
    pub head: f64,
}

impl Default for RateFactors {
    fn default() -> Self {
        Self {
            backbone: 1.0,
            method: 1.0,
            head: 1.0,
        }
    }
}

/// Configuration of the [`Optimizer`](super::Optimizer).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// The update rule.
    pub name: OptimizerName,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Images per step that the rate is meant for; absent means the total batch of the run. The rate is never
    /// scaled silently: `scaling` decides what happens if the two differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_batch: Option<usize>,
    /// The treatment of the rate if the total batch differs.
    pub scaling: RateScaling,
    /// Weight decay: decoupled for AdamW, added to the gradient for SGD.
    pub weight_decay: f64,
    /// Momentum of SGD.
    pub momentum: f64,
    /// Decay rates of AdamW's two moments.
    pub betas: [f64; 2],
    /// Added to AdamW's denominator.
    pub epsilon: f64,
    /// Parameters whose path contains one of these are not decayed.
    pub no_decay: Vec<String>,
    /// Factors of the rate, by the part of the model.
    pub rates: RateFactors,
    /// Layer-wise decay of the backbone's learning rate (BEiT, Bao et al. 2021, arXiv 2106.08254). It is
    /// applied once for the last block, once more for every block before it, and once more than there are
    /// blocks for the layers before the first block.
    pub layer_decay: f64,
    /// Maximum global norm of the gradients; absent for no clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Forward passes per optimiser step.
    pub accumulation: usize,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            name: OptimizerName::default(),
            learning_rate: 1e-3,
            total_batch: None,
            scaling: RateScaling::default(),
            weight_decay: 0.05,
            momentum: 0.9,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            no_decay: vec![
                "norm".to_string(),
                "relative_position_bias_table".to_string(),
                "cls_token".to_string(),
                "reg_token".to_string(),
                "pos_embed".to_string(),
                ".ls1.".to_string(),
                ".ls2.".to_string(),
                ".ls.".to_string(),
            ],
            rates: RateFactors::default(),
            layer_decay: 1.0,
            clip_norm: None,
            accumulation: 1,
        }
    }
}

impl OptimizerConfig {
    /// Checks the ranges of the numbers.
    ///
    /// # Errors
    ///
    /// A message with the key and its value.
    pub fn validate(&self) -> Result<(), String> {
        let refuse = |key: &str, value: f64, expected: &str| {
            Err(format!("optimizer.{key} = {value}; it must be {expected}"))
        };
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return refuse("learning_rate", self.learning_rate, "positive");
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return refuse("weight_decay", self.weight_decay, "0 or more");
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return refuse("momentum", self.momentum, "in 0..1");
        }
        if let Some(beta) = self.betas.iter().find(|beta| !(0.0..1.0).contains(*beta)) {
            return refuse("betas", *beta, "in 0..1");
        }
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return refuse("epsilon", self.epsilon, "positive");
        }
        let RateFactors {
            backbone,
            method,
            head,
        } = self.rates;
        let factors = [
            ("rates.backbone", backbone),
            ("rates.method", method),
            ("rates.head", head),
        ];
        let is_wrong = |value: f64| !(value > 0.0 && value.is_finite());
        if let Some((key, value)) = factors.into_iter().find(|(_, value)| is_wrong(*value)) {
            return refuse(key, value, "positive");
        }
        if !(self.layer_decay > 0.0 && self.layer_decay <= 1.0) {
            return refuse("layer_decay", self.layer_decay, "above 0, and at most 1");
        }
        if let Some(norm) = self.clip_norm.filter(|norm| norm.is_nan() || *norm <= 0.0) {
            return refuse("clip_norm", norm, "positive");
        }
        if self.accumulation == 0 {
            return refuse("accumulation", 0.0, "at least 1");
        }
        Ok(())
    }

    /// Returns the peak learning rate for steps of `images` images.
    ///
    /// # Errors
    ///
    /// A message with the keys, if the rate is meant for another number of images and is not to be scaled.
    pub fn rate(&self, images: usize) -> Result<f64, String> {
        match (self.total_batch, self.scaling) {
            (None, _) => Ok(self.learning_rate),
            (Some(0), _) => Err("optimizer.total_batch = 0; it must be at least 1".to_string()),
            (Some(total), _) if total == images => Ok(self.learning_rate),
            (Some(total), RateScaling::Linear) => {
                Ok(self.learning_rate * images as f64 / total as f64)
            }
            (Some(total), RateScaling::Refuse) => Err(format!(
                "optimizer.learning_rate is for a total batch of {total}, but loader.batch_size x \
                 optimizer.accumulation is {images}; change them, or set optimizer.scaling = \"linear\""
            )),
        }
    }

    pub(super) fn decays(&self, path: &str) -> bool {
        !self.no_decay.iter().any(|pattern| path.contains(pattern))
    }
}
