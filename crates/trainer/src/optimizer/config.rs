//! Configuration of the optimiser.

use serde::{Deserialize, Serialize};

/// How a parameter goes along its gradient.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerName {
    /// Loshchilov & Hutter 2019, arXiv 1711.05101.
    #[default]
    Adamw,
    /// With momentum, as PyTorch's: `v = momentum v + (g + decay p)`, `p = p - rate v`.
    Sgd,
}

/// What becomes of a rate that is for another total batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateScaling {
    /// The run is refused.
    #[default]
    Refuse,
    /// It grows and falls with the batch (Goyal et al. 2017, arXiv 1706.02677).
    Linear,
}

/// Factors of the rate, by what a parameter belongs to: what is pre-trained wants a smaller one than what starts at
/// random.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateFactors {
    /// Of the backbone's own parameters.
    pub backbone: f64,
    /// Of what the method adds, output norms included.
    pub method: f64,
    /// Of the head.
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
    /// Which one.
    pub name: OptimizerName,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Images per step that the rate is for; absent: as many as there are. Nothing scales the rate
    /// silently: `scaling` says what becomes of it where there are more or fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_batch: Option<usize>,
    /// What becomes of the rate with another total batch.
    pub scaling: RateScaling,
    /// Weight decay: decoupled of AdamW, a part of the gradient of SGD.
    pub weight_decay: f64,
    /// Of SGD.
    pub momentum: f64,
    /// Decay rates of AdamW's two moments.
    pub betas: [f64; 2],
    /// Added to AdamW's denominator.
    pub epsilon: f64,
    /// Parameters whose path contains one of these are not decayed.
    pub no_decay: Vec<String>,
    /// Factors of the rate, by what a parameter belongs to.
    pub rates: RateFactors,
    /// Factor of the rate of the backbone's parameters for every block between them and the head: of the last block
    /// once, of what is before the first once more than there are blocks (BEiT, Bao et al. 2021, arXiv 2106.08254).
    pub layer_decay: f64,
    /// Largest global norm of the gradients; absent: no clipping.
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
            ],
            rates: RateFactors::default(),
            layer_decay: 1.0,
            clip_norm: None,
            accumulation: 1,
        }
    }
}

impl OptimizerConfig {
    /// What is wrong with the numbers, if anything: the key and why.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and its value.
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

    /// The peak rate of steps of `images` images.
    ///
    /// # Errors
    ///
    /// A sentence that names the keys, where the rate is for another number and is not to be scaled.
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
