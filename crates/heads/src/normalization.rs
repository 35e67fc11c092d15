//! Batch normalisation with running statistics.

use burn::module::{Module, Param, RunningState};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Phase;
use gradway_kernels::{BatchStatistics, KernelBackend, batch_norm};

const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// Batch normalisation of a feature map: batch statistics in training, running ones otherwise.
///
/// Burn's own uses a scalar path for per-channel broadcasts and decides by the backend whether it trains; this
/// one uses the [`Phase`].
#[derive(Module, Debug)]
pub struct BatchNorm<B: Backend> {
    /// Scale, `[channels]`.
    pub gamma: Param<Tensor<B, 1>>,
    /// Shift, `[channels]`.
    pub beta: Param<Tensor<B, 1>>,
    /// `[channels]`
    pub running_mean: RunningState<Tensor<B, 1>>,
    /// `[channels]`, unbiased.
    pub running_var: RunningState<Tensor<B, 1>>,
}

impl<B: Backend> BatchNorm<B> {
    /// Creates a norm with scale 1, shift 0, mean 0 and variance 1.
    pub fn new(channels: usize, device: &B::Device) -> Self {
        Self {
            gamma: Initializer::Ones.init([channels], device),
            beta: Initializer::Zeros.init([channels], device),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
        }
    }
}

impl<B: KernelBackend> BatchNorm<B> {
    /// # Shapes
    ///
    /// - `x`, output: `[batch, channels, height, width]`
    pub fn forward(&self, x: Tensor<B, 4>, phase: Phase) -> Tensor<B, 4> {
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        if phase == Phase::Inference {
            let statistics = BatchStatistics::Running {
                mean: self.running_mean.value(),
                variance: self.running_var.value(),
            };
            return batch_norm(x, gamma, beta, statistics, EPSILON).0;
        }
        let [batch, _, height, width] = x.dims();
        let count = (batch * height * width) as f64;
        let (output, mean, variance) = batch_norm(x, gamma, beta, BatchStatistics::Batch, EPSILON);
        if count <= 1.0 {
            // One value says nothing of a variance: PyTorch refuses it. A run is refused before it starts; here
            // the running statistics stay what they are.
            return output;
        }
        // The running variance is the unbiased one, as in PyTorch.
        let unbiased = variance * (count / (count - 1.0));
        update(&self.running_mean, mean);
        update(&self.running_var, unbiased);
        output
    }
}

fn update<B: Backend>(state: &RunningState<Tensor<B, 1>>, observed: Tensor<B, 1>) {
    let old = state.value_sync();
    state.update(old * (1.0 - MOMENTUM) + observed.detach() * MOMENTUM);
    // An update waits until it is read; a visitor that saves the module would miss it.
    state.value_sync();
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::TensorData;

    use super::*;

    /// The running statistics after one batch with these values of a channel.
    fn after(values: &[f32]) -> [f32; 2] {
        let device = Default::default();
        let norm = BatchNorm::<Flex>::new(1, &device);
        let x = TensorData::new(values.to_vec(), [1, 1, 1, values.len()]);
        let x = Tensor::from_data(x, &device);
        norm.forward(x, Phase::Training { seed: 0 });
        [&norm.running_mean, &norm.running_var].map(|state| state.value_sync().into_scalar())
    }

    #[test]
    fn one_value_leaves_the_running_statistics_alone() {
        assert_eq!(after(&[5.0]), [0.0, 1.0]);
        // PyTorch: 0.9 * 1 + 0.1 * 2, of the unbiased variance of 4 and 6.
        let [mean, variance] = after(&[4.0, 6.0]);
        assert!((mean - 0.5).abs() < 1e-6, "{mean}");
        assert!((variance - 1.1).abs() < 1e-6, "{variance}");
    }
}
