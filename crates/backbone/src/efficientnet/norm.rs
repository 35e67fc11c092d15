//! Folded and trained batch norms of convolutions.

use std::collections::BTreeMap;

use burn::module::{Module, Param, RunningState};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use gradway_kernels::{BatchStatistics as Source, KernelBackend, batch_norm};

use crate::batch_statistics::BatchStatistics;
use crate::drop_path::Phase;

/// Epsilon of the batch norms that the published weights were trained with.
pub(super) const EPSILON: f64 = 1e-3;
/// Momentum of the running statistics in PyTorch's sense, as in the published network (TensorFlow's decay of 0.99).
const MOMENTUM: f64 = 0.01;

/// The data of a folded batch norm that is needed to separate it from its convolution.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FoldedNorm {
    gamma: Vec<f32>,
    mean: Vec<f32>,
    variance: Vec<f32>,
    /// Filters of the channels whose scale is zero, which folding would lose.
    silent: BTreeMap<usize, Vec<f32>>,
}

/// The filters and the shifts of a convolution, channel by channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filters {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl FoldedNorm {
    /// The norm of an untrained network, which is the identity.
    pub(super) fn identity(channels: usize) -> Self {
        Self {
            gamma: vec![1.0; channels],
            mean: vec![0.0; channels],
            // The scale is then exactly 1.
            variance: vec![(1.0 - EPSILON) as f32; channels],
            silent: BTreeMap::new(),
        }
    }

    /// Creates it from a norm's scale and running statistics, `[channels]` each.
    pub(super) fn new(gamma: Vec<f32>, mean: Vec<f32>, variance: Vec<f32>) -> Self {
        Self {
            gamma,
            mean,
            variance,
            silent: BTreeMap::new(),
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.gamma.len()
    }

    /// Scale, running mean and running variance, with their names in files.
    pub(super) fn parts(&self) -> [(&'static str, TensorData); 3] {
        let data = |values: &[f32]| TensorData::new(values.to_vec(), [values.len()]);
        [
            ("weight", data(&self.gamma)),
            ("running_mean", data(&self.mean)),
            ("running_var", data(&self.variance)),
        ]
    }

    /// `gamma / sqrt(variance + epsilon)` and the mean, by channel.
    fn scales(&self) -> impl Iterator<Item = (f64, f64)> {
        let channels = self.gamma.iter().zip(&self.variance).zip(&self.mean);
        channels.map(|((gamma, variance), mean)| {
            let deviation = (f64::from(*variance) + EPSILON).sqrt();
            (f64::from(*gamma) / deviation, f64::from(*mean))
        })
    }

    /// `w' = w gamma / sqrt(var + eps)`, `b' = beta + (b - mean) gamma / sqrt(var + eps)`: the convolution with the
    /// norm in it; `bias` is the convolution's own, which few have.
    pub(super) fn fold(&mut self, weight: &[f32], bias: Option<&[f32]>, beta: &[f32]) -> Filters {
        let length = weight.len() / self.channels().max(1);
        let mut folded = Filters {
            weight: Vec::with_capacity(weight.len()),
            bias: Vec::with_capacity(beta.len()),
        };
        let mut silent = BTreeMap::new();
        for (channel, (scale, mean)) in self.scales().enumerate() {
            let filter = &weight[channel * length..(channel + 1) * length];
            let scaled = filter
                .iter()
                .map(|value| (f64::from(*value) * scale) as f32);
            folded.weight.extend(scaled);
            let own = bias.map_or(0.0, |bias| f64::from(bias[channel]));
            let shift = f64::from(beta[channel]) - (mean - own) * scale;
            folded.bias.push(shift as f32);
            if scale == 0.0 {
                silent.insert(channel, filter.to_vec());
            }
        }
        self.silent = silent;
        folded
    }

    /// The reverse of [`Self::fold`]: the filters without the norm, and the norm's shift.
    fn part(&self, folded: &Filters) -> Filters {
        let length = folded.weight.len() / self.channels().max(1);
        let mut parted = Filters {
            weight: Vec::with_capacity(folded.weight.len()),
            bias: Vec::with_capacity(folded.bias.len()),
        };
        for (channel, (scale, mean)) in self.scales().enumerate() {
            let filter = &folded.weight[channel * length..(channel + 1) * length];
            match self.silent.get(&channel) {
                Some(filter) => parted.weight.extend(filter),
                None if scale == 0.0 => parted.weight.extend(filter),
                None => {
                    let divided = filter
                        .iter()
                        .map(|value| (f64::from(*value) / scale) as f32);
                    parted.weight.extend(divided);
                }
            }
            let shift = f64::from(folded.bias[channel]) + mean * scale;
            parted.bias.push(shift as f32);
        }
        parted
    }

    /// Separates the norm: returns the filters without it, and the norm.
    pub(super) fn kept<B: Backend>(
        &self,
        folded: &Filters,
        statistics: BatchStatistics,
        device: &B::Device,
    ) -> (Vec<f32>, BatchNorm<B>) {
        let Filters { weight, bias: beta } = self.part(folded);
        let tensor = |values: &[f32]| {
            Tensor::<B, 1>::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
        };
        let (mean, variance) = (tensor(&self.mean), tensor(&self.variance));
        let norm = BatchNorm {
            gamma: Param::from_tensor(tensor(&self.gamma)),
            beta: Param::from_tensor(tensor(&beta)),
            statistics: match statistics {
                BatchStatistics::Frozen => Statistics::Frozen(FrozenStatistics { mean, variance }),
                BatchStatistics::Trained => Statistics::Trained(TrainedStatistics {
                    running_mean: RunningState::new(mean),
                    running_var: RunningState::new(variance),
                }),
            },
        };
        (weight, norm)
    }
}

/// A batch norm that is separate from the convolution before it.
#[derive(Module, Debug)]
pub struct BatchNorm<B: Backend> {
    /// Scale, `[channels]`.
    pub gamma: Param<Tensor<B, 1>>,
    /// Shift, `[channels]`.
    pub beta: Param<Tensor<B, 1>>,
    /// The statistics it normalises by.
    pub statistics: Statistics<B>,
}

/// The statistics of a [`BatchNorm`].
#[derive(Module, Debug)]
pub enum Statistics<B: Backend> {
    /// [`BatchStatistics::Frozen`].
    Frozen(FrozenStatistics<B>),
    /// [`BatchStatistics::Trained`].
    Trained(TrainedStatistics<B>),
}

/// Constant statistics: neither trained nor part of a checkpoint.
#[derive(Module, Debug)]
pub struct FrozenStatistics<B: Backend> {
    /// `[channels]`
    pub mean: Tensor<B, 1>,
    /// `[channels]`
    pub variance: Tensor<B, 1>,
}

/// Statistics that are updated by the batches.
#[derive(Module, Debug)]
pub struct TrainedStatistics<B: Backend> {
    /// `[channels]`
    pub running_mean: RunningState<Tensor<B, 1>>,
    /// `[channels]`, unbiased.
    pub running_var: RunningState<Tensor<B, 1>>,
}

impl<B: Backend> Statistics<B> {
    /// Mean and variance for evaluation, `[channels]`.
    pub(super) fn values(&self) -> [Tensor<B, 1>; 2] {
        match self {
            Self::Frozen(statistics) => [statistics.mean.clone(), statistics.variance.clone()],
            Self::Trained(statistics) => [
                statistics.running_mean.value_sync(),
                statistics.running_var.value_sync(),
            ],
        }
    }
}

impl<B: KernelBackend> BatchNorm<B> {
    /// The statistics to update in this pass, if any.
    pub(super) fn followed(&self, phase: Phase) -> Option<&TrainedStatistics<B>> {
        match (&self.statistics, phase) {
            (Statistics::Trained(statistics), Phase::Training { .. }) => Some(statistics),
            _ => None,
        }
    }

    /// The norm with its running statistics as a scale and a shift, `[channels]` each.
    pub(super) fn scale_and_shift(&self) -> [Tensor<B, 1>; 2] {
        let [mean, variance] = self.statistics.values();
        let scale = self.gamma.val() / (variance + EPSILON).sqrt();
        let shift = self.beta.val() - mean * scale.clone();
        [scale, shift]
    }

    /// Normalises by the batch's statistics, and updates `followed` with them.
    ///
    /// # Shapes
    ///
    /// - `x`, output: `[batch, channels, height, width]`
    pub(super) fn normalize(
        &self,
        x: Tensor<B, 4>,
        followed: &TrainedStatistics<B>,
    ) -> Tensor<B, 4> {
        let [batch, _, height, width] = x.dims();
        let count = (batch * height * width) as f64;
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        let (output, mean, variance) = batch_norm(x, gamma, beta, Source::Batch, EPSILON);
        // The running variance is the unbiased one, as in PyTorch; of one value there is none.
        if count > 1.0 {
            follow(&followed.running_mean, mean);
            follow(&followed.running_var, variance * (count / (count - 1.0)));
        }
        output
    }
}

fn follow<B: Backend>(state: &RunningState<Tensor<B, 1>>, observed: Tensor<B, 1>) {
    let old = state.value_sync();
    state.update(old * (1.0 - MOMENTUM) + observed.detach() * MOMENTUM);
    // An update waits until it is read; a visitor that saves the module would miss it.
    state.value_sync();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm(gamma: [f32; 3]) -> FoldedNorm {
        // Deviations of 1, 2 and 4.
        let variance = vec![0.999, 3.999, 15.999];
        FoldedNorm::new(gamma.to_vec(), vec![0.5, -1.0, 2.0], variance)
    }

    fn close(actual: &[f32], expected: &[f32]) {
        assert_eq!(actual.len(), expected.len());
        for (actual, expected) in actual.iter().zip(expected) {
            assert!((actual - expected).abs() < 1e-6, "{actual}, not {expected}");
        }
    }

    #[test]
    fn a_norm_is_folded_as_the_formulas_say() {
        // Scales of 2, 1 and -1/2.
        let mut norm = norm([2.0, 2.0, -2.0]);
        let weight = [1.0, -2.0, 3.0, 4.0, 5.0, 6.0];
        let folded = norm.fold(&weight, None, &[0.25, 0.5, 1.0]);
        close(&folded.weight, &[2.0, -4.0, 3.0, 4.0, -2.5, -3.0]);
        close(&folded.bias, &[-0.75, 1.5, 2.0]);
        // A bias of the convolution's own is scaled with it.
        let folded = norm.fold(&weight, Some(&[1.0, 1.0, 1.0]), &[0.25, 0.5, 1.0]);
        close(&folded.bias, &[1.25, 2.5, 1.5]);
    }

    #[test]
    fn what_is_folded_can_be_parted_even_where_the_scale_is_zero() {
        let mut norm = norm([2.0, 0.0, -2.0]);
        let (weight, beta) = ([1.0, -2.0, 3.0, 4.0, 5.0, 6.0], [0.25, 0.5, 1.0]);
        let folded = norm.fold(&weight, None, &beta);
        close(&folded.weight[2..4], &[0.0, 0.0]);
        let parted = norm.part(&folded);
        close(&parted.weight, &weight);
        close(&parted.bias, &beta);
    }

    #[test]
    fn the_norm_of_random_weights_changes_no_bit() {
        let folded = Filters {
            weight: vec![0.1, 0.7, -1.3],
            bias: vec![0.3, 0.1, 0.9],
        };
        let parted = FoldedNorm::identity(3).part(&folded);
        assert_eq!(parted, folded);
        type Plain = burn::backend::Flex;
        let (_, norm) = FoldedNorm::identity(3).kept::<Plain>(
            &folded,
            BatchStatistics::Frozen,
            &Default::default(),
        );
        let [scale, shift] = norm.scale_and_shift();
        assert_eq!(scale.into_data().to_vec::<f32>().unwrap(), [1.0; 3]);
        assert_eq!(shift.into_data().to_vec::<f32>().unwrap(), folded.bias);
    }
}
