//! AdamW and sums of squares, against the same in double precision.

use gradway_kernels::{AdamWStep, adamw, sum_of_squares};

use crate::harness::{Inputs, Plain, VALUE, assert_close};

const STEP: AdamWStep = AdamWStep {
    rate: 1e-2,
    weight_decay: 0.05,
    betas: [0.9, 0.999],
    epsilon: 1e-8,
    time: 3,
};

/// The parameter and the moments after a step.
fn expected(values: [f32; 4]) -> [f64; 3] {
    let [parameter, gradient, first, second] = values.map(f64::from);
    let [beta_1, beta_2] = STEP.betas.map(f64::from);
    let rate = f64::from(STEP.rate);
    let first = beta_1 * first + (1.0 - beta_1) * gradient;
    let second = beta_2 * second.abs() + (1.0 - beta_2) * gradient * gradient;
    let time = STEP.time as i32;
    let direction = first
        / (1.0 - beta_1.powi(time))
        / ((second / (1.0 - beta_2.powi(time))).sqrt() + f64::from(STEP.epsilon));
    let parameter = parameter * (1.0 - rate * f64::from(STEP.weight_decay)) - rate * direction;
    [parameter, first, second]
}

#[test]
fn a_step_of_adamw() {
    // More than the units of a cube, and not a multiple of them.
    let shape: &[usize] = &[7, 13, 11];
    let inputs = Inputs::random(60, &[shape; 4]);
    let tensor = |index| inputs.tensor::<Plain, 3>(index);
    let moments = [tensor(2), tensor(3).abs()];
    // One more owner of the parameter: it must not see the step.
    let before = tensor(0);
    let (parameter, moments) = adamw(before.clone(), tensor(1), moments, STEP);
    let read = |tensor: burn::tensor::Tensor<Plain, 3>| tensor.into_data().to_vec::<f32>().unwrap();
    assert_eq!(read(before), read(tensor(0)));

    let values = [0, 1, 2, 3].map(|index| read(tensor(index)));
    let all: Vec<[f64; 3]> = (0..values[0].len())
        .map(|place| expected([0, 1, 2, 3].map(|index| values[index][place])))
        .collect();
    let [first, second] = moments;
    for (index, (name, found)) in [("the parameter", parameter), ("m", first), ("v", second)]
        .into_iter()
        .enumerate()
    {
        let wanted: Vec<f32> = all.iter().map(|numbers| numbers[index] as f32).collect();
        assert_close(name, &read(found), &wanted, VALUE);
    }
}

#[test]
fn squares_of_tensors_of_all_sizes() {
    let shapes: [&[usize]; 3] = [&[1], &[3, 5], &[301, 977]];
    let inputs = Inputs::random(61, &shapes);
    let flat = |index| {
        let tensor = inputs.tensor::<Plain, 2>(index);
        tensor.into_primitive().tensor()
    };
    let one = inputs.tensor::<Plain, 1>(0);
    let all = vec![one.clone().into_primitive().tensor(), flat(1), flat(2)];
    let found = sum_of_squares::<Plain>(all).into_data().to_vec().unwrap();
    let squares = |values: Vec<f32>| values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    let sums = [1, 2].map(|index| {
        let tensor = inputs.tensor::<Plain, 2>(index);
        squares(tensor.into_data().to_vec().unwrap())
    });
    let expected = squares(one.into_data().to_vec().unwrap()) + sums[0] + sums[1];
    assert_close("the sum", &found, &[expected as f32], VALUE);
}
