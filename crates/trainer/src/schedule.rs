//! Learning-rate schedules.

use serde::{Deserialize, Serialize};

/// The decay of the learning rate after the warm-up.
///
/// Variants without keys have braces, so that serde refuses keys in them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Decay {
    /// `(1 - t)^power`.
    Poly {
        /// Exponent; 1 is linear.
        #[serde(default = "one")]
        power: f64,
    },
    /// Half a cosine from 1 to 0.
    Cosine {},
    /// Multiplied by `factor` at each milestone.
    Step {
        /// Milestones as fractions of the run, in 0..1.
        milestones: Vec<f64>,
        /// Factor at each milestone.
        #[serde(default = "tenth")]
        factor: f64,
    },
    /// Constant at 1.
    Constant {},
}

impl Default for Decay {
    fn default() -> Self {
        Self::Poly { power: one() }
    }
}

fn one() -> f64 {
    1.0
}

fn tenth() -> f64 {
    0.1
}

/// Warm-up and decay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// Number of optimiser steps of linear warm-up.
    pub warmup_steps: usize,
    /// Fraction of the rate that the warm-up starts at.
    pub warmup_ratio: f64,
    /// The decay after the warm-up.
    pub decay: Decay,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            warmup_steps: 0,
            warmup_ratio: 1e-6,
            decay: Decay::default(),
        }
    }
}

impl ScheduleConfig {
    /// Checks the ranges of the numbers.
    ///
    /// # Errors
    ///
    /// A message with the key and its value.
    pub fn validate(&self) -> Result<(), String> {
        let share = |key: &str, value: f64| {
            (0.0..=1.0)
                .contains(&value)
                .then_some(())
                .ok_or_else(|| format!("{key} = {value}; it must be in 0..=1"))
        };
        share("schedule.warmup_ratio", self.warmup_ratio)?;
        match &self.decay {
            Decay::Step { milestones, factor } => {
                share("schedule.decay.factor", *factor)?;
                milestones
                    .iter()
                    .try_for_each(|&milestone| share("schedule.decay.milestones", milestone))
            }
            Decay::Poly { power } if !(*power > 0.0 && power.is_finite()) => Err(format!(
                "schedule.decay.power = {power}; it must be positive"
            )),
            _ => Ok(()),
        }
    }
}

/// The learning rate of every step of a run.
#[derive(Debug, Clone)]
pub struct Schedule {
    config: ScheduleConfig,
    rate: f64,
    steps: usize,
}

impl Schedule {
    /// A schedule of `steps` optimiser steps that peaks at `rate`.
    pub fn new(config: ScheduleConfig, rate: f64, steps: usize) -> Self {
        Self {
            config,
            rate,
            steps,
        }
    }

    /// Returns the learning rate of a step, counted from 0.
    ///
    /// The decay runs over the whole run and the warm-up scales its beginning, as in
    /// mmsegmentation.
    pub fn rate(&self, step: usize) -> f64 {
        let progress = step as f64 / self.steps.max(1) as f64;
        let decayed = match &self.config.decay {
            Decay::Poly { power } => (1.0 - progress).max(0.0).powf(*power),
            Decay::Cosine {} => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Decay::Step { milestones, factor } => {
                let passed = milestones.iter().filter(|&&at| progress >= at).count();
                factor.powi(passed as i32)
            }
            Decay::Constant {} => 1.0,
        };
        let warmup = self.config.warmup_steps;
        let warm = if step < warmup {
            let ratio = self.config.warmup_ratio;
            ratio + (1.0 - ratio) * step as f64 / warmup as f64
        } else {
            1.0
        };
        self.rate * decayed * warm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(warmup_steps: usize, decay: Decay) -> Schedule {
        let config = ScheduleConfig {
            warmup_steps,
            warmup_ratio: 0.1,
            decay,
        };
        Schedule::new(config, 2.0, 100)
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn warm_up_is_linear_and_scales_the_decay() {
        let schedule = schedule(10, Decay::Poly { power: 1.0 });
        close(schedule.rate(0), 2.0 * 0.1);
        close(schedule.rate(5), 2.0 * 0.95 * 0.55);
        close(schedule.rate(10), 2.0 * 0.9);
        close(schedule.rate(100), 0.0);
    }

    #[test]
    fn cosine_and_step() {
        close(schedule(0, Decay::Cosine {}).rate(50), 1.0);
        let milestones = vec![0.75, 0.9];
        let step = schedule(
            0,
            Decay::Step {
                milestones,
                factor: 0.1,
            },
        );
        close(step.rate(74), 2.0);
        close(step.rate(75), 0.2);
        close(step.rate(90), 0.02);
    }
}
