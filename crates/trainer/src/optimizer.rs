//! AdamW and SGD with parameter groups, clipping by the global norm, and accumulation.

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::{AutodiffModule, ModuleVisitor, Param, ParamId};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, LearningRate, Optimizer as _, Sgd, SgdConfig, SimpleOptimizer};
use burn::record::{BinBytesRecorder, FullPrecisionSettings, Record, Recorder};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::ops::FloatTensor;
use gradway_kernels::{AdamW, AdamWStep, KernelBackend, TrainBackend, read, sum_of_squares};
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

/// Configuration of the [`Optimizer`].
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

    fn decays(&self, path: &str) -> bool {
        !self.no_decay.iter().any(|pattern| path.contains(pattern))
    }
}

/// [`AdamW`] as Burn's modules take it.
#[derive(Clone)]
struct AdamWOfModules<B: KernelBackend> {
    betas: [f32; 2],
    epsilon: f32,
    weight_decay: f32,
    steps: Arc<Mutex<AdamW<B>>>,
}

/// Zeros that stay: apart from what comes and goes in a step, through which a card's allocator would
/// have to search past them.
fn moments<B: Backend, const D: usize>(like: &Tensor<B, D>) -> [Tensor<B, D>; 2] {
    let device = like.device();
    B::memory_persistent_allocations(&device, like.shape(), |shape| {
        [(); 2].map(|()| Tensor::zeros(shape.clone(), &device))
    })
}

/// What [`AdamW`] remembers of a parameter.
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

/// Parameters of one decay.
enum Group<B: TrainBackend, M: AutodiffModule<B>> {
    AdamW {
        adaptor: OptimizerAdaptor<AdamWOfModules<B::InnerBackend>, M, B>,
        steps: Arc<Mutex<AdamW<B::InnerBackend>>>,
    },
    Sgd(OptimizerAdaptor<Sgd<B::InnerBackend>, M, B>),
}

impl<B: TrainBackend, M: AutodiffModule<B>> Group<B, M> {
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

    fn step(&mut self, rate: f64, module: M, gradients: GradientsParams) -> M {
        match self {
            Self::AdamW { adaptor, steps } => {
                let module = adaptor.step(rate, module, gradients);
                let mut steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
                steps.send();
                module
            }
            Self::Sgd(group) => group.step(rate, module, gradients),
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

/// AdamW or SGD over two groups: with and without decay.
pub struct Optimizer<B: TrainBackend, M: AutodiffModule<B>> {
    decayed: Group<B, M>,
    undecayed: Group<B, M>,
    undecayed_ids: Vec<ParamId>,
    clip_norm: Option<f64>,
}

impl<B: TrainBackend, M: AutodiffModule<B>> Optimizer<B, M> {
    /// Groups the parameters of a module.
    pub fn new(config: &OptimizerConfig, module: &M) -> Self {
        Self {
            decayed: Group::new(config, config.weight_decay),
            undecayed: Group::new(config, 0.0),
            undecayed_ids: identities(module, |path| !config.decays(path)),
            clip_norm: config.clip_norm,
        }
    }

    /// Takes a step; returns the module and the square of the gradients' global norm before clipping, `[1]`.
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

    /// As [`Optimizer::step`] where the global norm of the gradients is known.
    ///
    /// A norm that is no number makes gradients of none, as in PyTorch: clipping hides nothing.
    pub fn update(&mut self, rate: f64, module: M, mut gradients: GradientsParams, norm: f64) -> M {
        if let Some(limit) = self.clip_norm
            && (norm.is_nan() || norm > limit)
        {
            // PyTorch's `clip_grad_norm_` adds the same guard to the denominator.
            gradients = scale(&module, gradients, limit / (norm + 1e-6));
        }
        let undecayed = split(&module, &mut gradients, &self.undecayed_ids);
        let module = self.decayed.step(rate, module, gradients);
        self.undecayed.step(rate, module, undecayed)
    }

    /// The moments of both groups.
    ///
    /// # Errors
    ///
    /// What the recorder says.
    pub fn save(&self) -> Result<[Vec<u8>; 2], String> {
        Ok([self.decayed.save()?, self.undecayed.save()?])
    }

    /// Puts saved moments back.
    ///
    /// # Errors
    ///
    /// What the recorder says.
    pub fn restore(self, groups: [Vec<u8>; 2], device: &B::Device) -> Result<Self, String> {
        let [decayed, undecayed] = groups;
        Ok(Self {
            decayed: self.decayed.restore(decayed, device)?,
            undecayed: self.undecayed.restore(undecayed, device)?,
            ..self
        })
    }
}

/// Identities of the parameters whose path is chosen.
fn identities<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    choose: impl Fn(&str) -> bool,
) -> Vec<ParamId> {
    struct Chooser<F> {
        path: Vec<String>,
        choose: F,
        chosen: Vec<ParamId>,
    }

    impl<B: AutodiffBackend, F: Fn(&str) -> bool> ModuleVisitor<B> for Chooser<F> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if (self.choose)(&self.path.join(".")) {
                self.chosen.push(param.id);
            }
        }
    }

    let mut chooser = Chooser {
        path: Vec::new(),
        choose,
        chosen: Vec::new(),
    };
    module.visit(&mut chooser);
    chooser.chosen
}

/// The square of the Euclidean norm of all gradients together, `[1]`.
pub(crate) fn squares<B: TrainBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: &GradientsParams,
) -> Tensor<B::InnerBackend, 1> {
    struct Squares<'a, B: AutodiffBackend> {
        gradients: &'a GradientsParams,
        found: Vec<FloatTensor<B::InnerBackend>>,
    }

    impl<B: AutodiffBackend> ModuleVisitor<B> for Squares<'_, B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if let Some(gradient) = self.gradients.get::<B::InnerBackend, D>(param.id) {
                self.found.push(gradient.into_primitive().tensor());
            }
        }
    }

    let mut squares = Squares::<B> {
        gradients,
        found: Vec::new(),
    };
    module.visit(&mut squares);
    if squares.found.is_empty() {
        return Tensor::zeros([1], &module.devices().first().cloned().unwrap_or_default());
    }
    sum_of_squares(squares.found)
}

/// Multiplies every gradient.
fn scale<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: GradientsParams,
    factor: f64,
) -> GradientsParams {
    struct Scale {
        gradients: GradientsParams,
        factor: f64,
    }

    impl<B: AutodiffBackend> ModuleVisitor<B> for Scale {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id) {
                self.gradients.register(param.id, gradient * self.factor);
            }
        }
    }

    let mut scale = Scale { gradients, factor };
    module.visit(&mut scale);
    scale.gradients
}

/// Takes the gradients of some parameters out.
fn split<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: &mut GradientsParams,
    ids: &[ParamId],
) -> GradientsParams {
    struct Split<'a> {
        gradients: &'a mut GradientsParams,
        ids: &'a [ParamId],
        taken: GradientsParams,
    }

    impl<B: AutodiffBackend> ModuleVisitor<B> for Split<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if self.ids.contains(&param.id)
                && let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id)
            {
                self.taken.register(param.id, gradient);
            }
        }
    }

    let mut split = Split {
        gradients,
        ids,
        taken: GradientsParams::new(),
    };
    module.visit(&mut split);
    split.taken
}
