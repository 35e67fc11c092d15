//! AdamW, SGD and learning-rate schedules, against PyTorch's.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Depths;
use gradway_tests::{Golden, Plain, Tensors, Tracked, fill, largest_difference, parameters};
use gradway_trainer::schedule::Decay;
use gradway_trainer::{Optimizer, OptimizerConfig, OptimizerName, Schedule, ScheduleConfig};

/// Absolute, on parameters of size 1.
const PARAMETERS: f64 = 3e-6;
/// Relative: the golden rates are stored in 32 bits.
const RATES: f64 = 1e-6;
/// Relative: a root of a sum of 32-bit squares.
const NORMS: f64 = 1e-6;
const STEPS: usize = 12;

#[derive(Module, Debug)]
struct Decayed<B: Backend> {
    matrix: Param<Tensor<B, 2>>,
    convolution: Param<Tensor<B, 4>>,
}

#[derive(Module, Debug)]
struct Undecayed<B: Backend> {
    bias: Param<Tensor<B, 1>>,
    small: Param<Tensor<B, 2>>,
}

/// Parameters whose paths are their names in the golden file.
#[derive(Module, Debug)]
struct Parameters<B: Backend> {
    decay: Decayed<B>,
    no_decay: Undecayed<B>,
}

fn start(golden: &Golden) -> Parameters<Tracked> {
    let device = Default::default();
    let parameters = Parameters {
        decay: Decayed {
            matrix: Param::from_tensor(Tensor::ones([4, 3], &device)),
            convolution: Param::from_tensor(Tensor::ones([2, 2, 3, 1], &device)),
        },
        no_decay: Undecayed {
            bias: Param::from_tensor(Tensor::ones([5], &device)),
            small: Param::from_tensor(Tensor::ones([3, 2], &device)),
        },
    };
    fill(parameters, |path, _| golden.data(&format!("start.{path}")))
}

/// Given gradients, as a backward pass would leave them.
fn given(parameters: &Parameters<Tracked>, tensors: Tensors) -> GradientsParams {
    struct Give {
        path: Vec<String>,
        tensors: Tensors,
        gradients: GradientsParams,
    }

    impl ModuleVisitor<Tracked> for Give {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Tracked, D>>) {
            let data = self.tensors[&self.path.join(".")].clone();
            let gradient = Tensor::<Plain, D>::from_data(data, &Default::default());
            self.gradients.register(param.id, gradient);
        }
    }

    let mut give = Give {
        path: Vec::new(),
        tensors,
        gradients: GradientsParams::new(),
    };
    parameters.visit(&mut give);
    give.gradients
}

/// The numbers of the golden run, in the order of its `config`.
struct Run {
    optimizer: OptimizerConfig,
    schedule: ScheduleConfig,
    steps: usize,
}

fn run(golden: &Golden) -> Run {
    // Decimal numbers that were rounded to 32 bits.
    let config = golden.values("config").into_iter();
    let config: Vec<f64> = config
        .map(|value| format!("{}", value as f32).parse().unwrap())
        .collect();
    let [
        peak,
        decay,
        beta1,
        beta2,
        epsilon,
        clip,
        steps,
        warmup,
        ratio,
    ] = config[..]
    else {
        panic!("nine numbers, not {config:?}");
    };
    Run {
        optimizer: OptimizerConfig {
            learning_rate: peak,
            weight_decay: decay,
            betas: [beta1, beta2],
            epsilon,
            no_decay: vec!["no_decay".to_string()],
            clip_norm: Some(clip),
            ..Default::default()
        },
        schedule: ScheduleConfig {
            warmup_steps: warmup as usize,
            warmup_ratio: ratio,
            decay: Decay::Poly { power: 1.0 },
        },
        steps: steps as usize,
    }
}

fn assert_after(step: usize, module: &Parameters<Tracked>, expected: &Tensors) {
    for (path, actual) in parameters(module) {
        let error = largest_difference(&actual, &expected[&path]);
        assert!(
            error <= PARAMETERS,
            "{path} is off by {error:.1e} after step {step}"
        );
    }
}

#[test]
fn every_step_of_adamw_equals_the_golden() {
    let golden = Golden::open("adamw");
    let run = run(&golden);
    let schedule = Schedule::new(run.schedule, run.optimizer.learning_rate, run.steps);
    let norms = golden.values("norms");
    let mut module = start(&golden);
    let mut optimizer = Optimizer::new(&run.optimizer, &module, &Depths::default());
    for (step, expected) in norms.iter().enumerate().take(STEPS) {
        let gradients = given(&module, golden.below(&format!("step{step}.grad.")));
        let squares;
        (module, squares) = optimizer.step(schedule.rate(step), module, gradients);
        let norm = f64::from(squares.into_scalar()).sqrt();
        let error = (norm - expected).abs() / expected;
        assert!(
            error <= NORMS,
            "the norm of step {step} is off by {error:.1e}"
        );
        let expected = golden.below(&format!("step{step}.after."));
        assert_after(step, &module, &expected);
    }
}

fn sgd(run: &Run) -> OptimizerConfig {
    OptimizerConfig {
        name: OptimizerName::Sgd,
        clip_norm: None,
        ..run.optimizer.clone()
    }
}

#[test]
fn every_step_of_sgd_equals_the_golden() {
    let golden = Golden::open("adamw");
    let run = run(&golden);
    let schedule = Schedule::new(run.schedule.clone(), run.optimizer.learning_rate, run.steps);
    let mut module = start(&golden);
    let mut optimizer = Optimizer::new(&sgd(&run), &module, &Depths::default());
    for step in 0..STEPS {
        let gradients = given(&module, golden.below(&format!("step{step}.grad.")));
        (module, _) = optimizer.step(schedule.rate(step), module, gradients);
        let expected = golden.below(&format!("sgd.step{step}."));
        assert_after(step, &module, &expected);
    }
}

#[test]
fn a_restored_optimizer_goes_on_with_the_same_steps() {
    let golden = Golden::open("adamw");
    let run = run(&golden);
    for config in [run.optimizer.clone(), sgd(&run)] {
        goes_on(&golden, &config);
    }
}

fn goes_on(golden: &Golden, config: &OptimizerConfig) {
    let take = |optimizer: &mut Optimizer<_, _>, module, step| {
        let gradients = given(&module, golden.below(&format!("step{step}.grad.")));
        optimizer.step(0.01, module, gradients).0
    };
    let mut module = start(golden);
    let mut optimizer = Optimizer::new(config, &module, &Depths::default());
    for step in 0..3 {
        module = take(&mut optimizer, module, step);
    }
    let saved = optimizer.save().unwrap();
    let mut restored = Optimizer::new(config, &module, &Depths::default())
        .restore(saved, &Default::default())
        .unwrap();
    let expected = parameters(&take(&mut optimizer, module.clone(), 3));
    assert_eq!(parameters(&take(&mut restored, module, 3)), expected);
}

fn assert_rates(decay: Decay, key: &str) {
    let golden = Golden::open("adamw");
    let run = run(&golden);
    let config = ScheduleConfig {
        decay,
        ..run.schedule
    };
    let schedule = Schedule::new(config, run.optimizer.learning_rate, run.steps);
    for (step, expected) in golden.values(key).into_iter().enumerate() {
        let error = (schedule.rate(step) - expected).abs() / expected;
        assert!(error <= RATES, "step {step} is off by {error:.1e}");
    }
}

#[test]
fn linear_decay_equals_the_golden() {
    assert_rates(Decay::Poly { power: 1.0 }, "rate.poly");
}

#[test]
fn polynomial_decay_equals_the_golden() {
    assert_rates(Decay::Poly { power: 0.9 }, "rate.poly_power_0.9");
}

#[test]
fn cosine_decay_equals_the_golden() {
    assert_rates(Decay::Cosine {}, "rate.cosine");
}
