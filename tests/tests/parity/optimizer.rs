//! AdamW and sums of squares, against the same in double precision.

use burn::tensor::Tensor;
use gradway_kernels::{AdamW, AdamWStep, sum_of_squares};

use crate::harness::{Inputs, Plain, VALUE, assert_close};

const STEP: AdamWStep = AdamWStep {
    rate: 1e-2,
    weight_decay: 0.05,
    betas: [0.9, 0.999],
    epsilon: 1e-8,
    time: 3,
};

/// The parameter and the moments after a step.
fn expected(values: [f32; 4], step: AdamWStep) -> [f64; 3] {
    let [parameter, gradient, first, second] = values.map(f64::from);
    let [beta_1, beta_2] = step.betas.map(f64::from);
    let rate = f64::from(step.rate);
    let first = beta_1 * first + (1.0 - beta_1) * gradient;
    let second = beta_2 * second.abs() + (1.0 - beta_2) * gradient * gradient;
    let time = step.time as i32;
    let direction = first
        / (1.0 - beta_1.powi(time))
        / ((second / (1.0 - beta_2.powi(time))).sqrt() + f64::from(step.epsilon));
    let parameter = parameter * (1.0 - rate * f64::from(step.weight_decay)) - rate * direction;
    [parameter, first, second]
}

fn read(tensor: Tensor<Plain, 2>) -> Vec<f32> {
    tensor.into_data().to_vec().unwrap()
}

#[test]
fn steps_of_adamw() {
    // More tensors than a launch is of, of one number up to more than a cube has units; one of another time,
    // as of a parameter that a step did not reach.
    let sizes = (0..22).map(|index| [1 + 61 * index % 7, 1 + index * index]);
    let sizes: Vec<[usize; 2]> = sizes.collect();
    let step_of = |index: usize| AdamWStep {
        time: if index == 9 { 2 } else { 3 },
        ..STEP
    };
    let inputs: Vec<Inputs> = sizes
        .iter()
        .zip(60..)
        .map(|(size, seed)| Inputs::random(seed, &[size.as_slice(); 4]))
        .collect();
    let mut steps = AdamW::<Plain>::default();
    let mut found = Vec::new();
    let mut shared = Vec::new();
    for (index, inputs) in inputs.iter().enumerate() {
        let tensor = |index| inputs.tensor::<Plain, 2>(index);
        let moments = [tensor(2), tensor(3).abs()];
        let parameter = tensor(0);
        if index % 5 == 0 {
            // One more owner of the parameter: it must not see the step.
            shared.push((index, parameter.clone()));
        }
        found.push(steps.step(parameter, tensor(1), moments, step_of(index)));
    }
    steps.send();
    for (index, before) in shared {
        assert_eq!(read(before), read(inputs[index].tensor(0)));
    }
    for (index, (parameter, [first, second])) in found.into_iter().enumerate() {
        let values = [0, 1, 2, 3].map(|which| read(inputs[index].tensor(which)));
        let all: Vec<[f64; 3]> = (0..values[0].len())
            .map(|place| {
                expected(
                    [0, 1, 2, 3].map(|which| values[which][place]),
                    step_of(index),
                )
            })
            .collect();
        for (which, (name, found)) in [("the parameter", parameter), ("m", first), ("v", second)]
            .into_iter()
            .enumerate()
        {
            let wanted: Vec<f32> = all.iter().map(|numbers| numbers[which] as f32).collect();
            assert_close(
                &format!("{name} of tensor {index}"),
                &read(found),
                &wanted,
                VALUE,
            );
        }
    }
}

#[test]
fn squares_of_tensors_of_all_sizes() {
    // More tensors than a launch is of.
    let shapes: Vec<[usize; 2]> = (0..23)
        .map(|index| {
            [
                1 + index * index,
                if index == 11 { 2401 } else { 1 + index },
            ]
        })
        .collect();
    let shapes: Vec<&[usize]> = shapes.iter().map(<[usize; 2]>::as_slice).collect();
    let inputs = Inputs::random(61, &shapes);
    let tensor = |index| inputs.tensor::<Plain, 2>(index);
    let all = (0..shapes.len()).map(|index| tensor(index).into_primitive().tensor());
    let found = sum_of_squares::<Plain>(all.collect()).into_data();
    let values = (0..shapes.len()).flat_map(|index| read(tensor(index)));
    let expected: f64 = values.map(|x| f64::from(x).powi(2)).sum();
    assert_close(
        "the sum",
        &found.to_vec().unwrap(),
        &[expected as f32],
        VALUE,
    );
}
