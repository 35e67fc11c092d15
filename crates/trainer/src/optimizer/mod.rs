//! AdamW and SGD with parameter groups, clipping by the global norm, and accumulation.

mod config;
mod gradients;
mod groups;

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, LearningRate, Optimizer as _, Sgd, SgdConfig, SimpleOptimizer};
use burn::record::{BinBytesRecorder, FullPrecisionSettings, Record, Recorder};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Depths;
use gradway_kernels::{AdamW, AdamWStep, KernelBackend, TrainBackend, read};

use gradients::{scale, split};
use groups::{ParameterGroup, parameter_groups};

pub use config::{OptimizerConfig, OptimizerName, RateFactors, RateScaling};
pub(crate) use gradients::squares;

/// [`AdamW`] as a module optimiser of Burn.
#[derive(Clone)]
struct AdamWOfModules<B: KernelBackend> {
    betas: [f32; 2],
    epsilon: f32,
    weight_decay: f32,
    steps: Arc<Mutex<AdamW<B>>>,
}

/// Moments of zeros, allocated apart from the temporary tensors of a step, so that a GPU allocator does not
/// have to search past them.
fn moments<B: Backend, const D: usize>(like: &Tensor<B, D>) -> [Tensor<B, D>; 2] {
    let device = like.device();
    B::memory_persistent_allocations(&device, like.shape(), |shape| {
        [(); 2].map(|()| Tensor::zeros(shape.clone(), &device))
    })
}

/// The state of [`AdamW`] for a parameter.
#[derive(Record, Clone)]
struct AdamWState<B: Backend, const D: usize> {
    time: usize,
    first: Tensor<B, D>,
    second: Tensor<B, D>,
}

impl<B: KernelBackend> SimpleOptimizer<B> for AdamWOfModules<B> {
    type State<const D: usize> = AdamWState<B, D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<B, D>,
        gradient: Tensor<B, D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<B, D>, Option<Self::State<D>>) {
        let (time, moments) = match state {
            Some(state) => (state.time, [state.first, state.second]),
            None => (0, moments(&gradient)),
        };
        let step = AdamWStep {
            rate: rate as f32,
            weight_decay: self.weight_decay,
            betas: self.betas,
            epsilon: self.epsilon,
            time: time + 1,
        };
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let (parameter, [first, second]) = steps.step(parameter, gradient, moments, step);
        let state = AdamWState {
            time: step.time,
            first,
            second,
        };
        (parameter, Some(state))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &B::Device) -> Self::State<D> {
        AdamWState {
            first: state.first.to_device(device),
            second: state.second.to_device(device),
            ..state
        }
    }
}

/// The update rule and its state for the parameters with one weight decay.
enum Rule<B: TrainBackend, M: AutodiffModule<B>> {
    AdamW {
        adaptor: OptimizerAdaptor<AdamWOfModules<B::InnerBackend>, M, B>,
        steps: Arc<Mutex<AdamW<B::InnerBackend>>>,
    },
    Sgd(OptimizerAdaptor<Sgd<B::InnerBackend>, M, B>),
}

impl<B: TrainBackend, M: AutodiffModule<B>> Rule<B, M> {
    fn new(config: &OptimizerConfig, decay: f64) -> Self {
        match config.name {
            OptimizerName::Adamw => {
                let steps = Arc::default();
                let adaptor = OptimizerAdaptor::from(AdamWOfModules {
                    betas: config.betas.map(|beta| beta as f32),
                    epsilon: config.epsilon as f32,
                    weight_decay: decay as f32,
                    steps: Arc::clone(&steps),
                });
                Self::AdamW { adaptor, steps }
            }
            OptimizerName::Sgd => {
                let momentum = MomentumConfig::new().with_momentum(config.momentum);
                let momentum = momentum.with_dampening(0.0);
                let decay = (decay > 0.0).then(|| WeightDecayConfig::new(decay as f32));
                let sgd = SgdConfig::new().with_momentum(Some(momentum));
                Self::Sgd(sgd.with_weight_decay(decay).init())
            }
        }
    }

    /// Updates the parameters that have gradients; their values are valid once the steps are [sent](Self::send).
    fn step(&mut self, rate: f64, module: M, gradients: GradientsParams) -> M {
        match self {
            Self::AdamW { adaptor, .. } => adaptor.step(rate, module, gradients),
            Self::Sgd(group) => group.step(rate, module, gradients),
        }
    }

    /// Sends the pending steps of all learning rates to the device.
    fn send(&mut self) {
        if let Self::AdamW { steps, .. } = self {
            let mut steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
            steps.send();
        }
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        let recorder = BinBytesRecorder::<FullPrecisionSettings>::default();
        let bytes = match self {
            Self::AdamW { adaptor, .. } => {
                Recorder::<B>::record(&recorder, adaptor.to_record(), ())
            }
            Self::Sgd(group) => Recorder::<B>::record(&recorder, group.to_record(), ()),
        };
        bytes.map_err(|error| error.to_string())
    }

    fn restore(self, bytes: Vec<u8>, device: &B::Device) -> Result<Self, String> {
        let recorder = BinBytesRecorder::<FullPrecisionSettings>::default();
        let restored = match self {
            Self::AdamW { adaptor, steps } => {
                Recorder::<B>::load(&recorder, bytes, device).map(|record| Self::AdamW {
                    adaptor: adaptor.load_record(record),
                    steps,
                })
            }
            Self::Sgd(group) => Recorder::<B>::load(&recorder, bytes, device)
                .map(|record| Self::Sgd(group.load_record(record))),
        };
        restored.map_err(|error| error.to_string())
    }
}

/// AdamW or SGD with parameter groups, which differ in learning rate and weight decay.
pub struct Optimizer<B: TrainBackend, M: AutodiffModule<B>> {
    decayed: Rule<B, M>,
    undecayed: Rule<B, M>,
    groups: Vec<ParameterGroup>,
    clip_norm: Option<f64>,
}

impl<B: TrainBackend, M: AutodiffModule<B>> Optimizer<B, M> {
    /// Groups the parameters of a module; `depths` are those of the backbone in it.
    pub fn new(config: &OptimizerConfig, module: &M, depths: &Depths) -> Self {
        Self {
            decayed: Rule::new(config, config.weight_decay),
            undecayed: Rule::new(config, 0.0),
            groups: parameter_groups(config, module, depths),
            clip_norm: config.clip_norm,
        }
    }

    /// Runs a step; returns the module and the square of the gradients' global norm before clipping, `[1]`.
    ///
    /// Without clipping nothing is read from the device.
    pub fn step(
        &mut self,
        rate: f64,
        module: M,
        gradients: GradientsParams,
    ) -> (M, Tensor<B::InnerBackend, 1>) {
        let squares = squares(&module, &gradients);
        let norm = match self.clip_norm {
            Some(_) => read(squares.clone()).iter::<f64>().sum::<f64>().sqrt(),
            None => 0.0,
        };
        (self.update(rate, module, gradients, norm), squares)
    }

    /// As [`Optimizer::step`], given the global norm of the gradients.
    ///
    /// If the norm is NaN, so are the clipped gradients, as in PyTorch.
    pub fn update(
        &mut self,
        rate: f64,
        mut module: M,
        mut gradients: GradientsParams,
        norm: f64,
    ) -> M {
        if let Some(limit) = self.clip_norm
            && (norm.is_nan() || norm > limit)
        {
            // PyTorch's `clip_grad_norm_` adds the same guard to the denominator.
            gradients = scale(&module, gradients, limit / (norm + 1e-6));
        }
        for group in &self.groups {
            let gradients = split(&module, &mut gradients, &group.parameters);
            let rule = match group.decayed {
                true => &mut self.decayed,
                false => &mut self.undecayed,
            };
            module = rule.step(rate * group.factor, module, gradients);
        }
        self.decayed.send();
        self.undecayed.send();
        module
    }

    /// Serialises the moments of parameters with and without weight decay; they do not depend on the learning rates.
    ///
    /// # Errors
    ///
    /// The message of Burn's recorder.
    pub fn save(&self) -> Result<[Vec<u8>; 2], String> {
        Ok([self.decayed.save()?, self.undecayed.save()?])
    }

    /// Restores saved moments.
    ///
    /// # Errors
    ///
    /// The message of Burn's recorder.
    pub fn restore(self, groups: [Vec<u8>; 2], device: &B::Device) -> Result<Self, String> {
        let [decayed, undecayed] = groups;
        Ok(Self {
            decayed: self.decayed.restore(decayed, device)?,
            undecayed: self.undecayed.restore(undecayed, device)?,
            ..self
        })
    }
}
