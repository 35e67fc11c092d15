//! Numbers that tests and the programs of the golden folder compute alike, so that no file has to hold them.
//!
//! `golden/formula.py` says the same. A number is a hash of a name and an index, in -1..1 and exact in single precision.

use burn::tensor::TensorData;

/// FNV-1a of 32 bits.
fn seed(name: &str) -> u32 {
    name.bytes().fold(0x811C_9DC5, |state: u32, byte| {
        (state ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// Uniform numbers in -1..1.
pub fn uniform(name: &str, count: usize) -> Vec<f32> {
    let seed = seed(name);
    let number = |index: usize| {
        let mut x = (index as u32).wrapping_mul(0x9E37_79B1).wrapping_add(seed);
        // The last steps of MurmurHash3.
        for (shift, factor) in [(16, 0x85EB_CA6B), (13, 0xC2B2_AE35)] {
            x ^= x >> shift;
            x = x.wrapping_mul(factor);
        }
        x ^= x >> 16;
        (x >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(number).collect()
}

/// Uniform numbers times `spread`, then plus `offset`, each rounded to single precision.
pub fn scaled(name: &str, shape: &[usize], spread: f64, offset: f64) -> TensorData {
    let values = uniform(name, shape.iter().product()).into_iter();
    let values = values.map(|value| value * spread as f32 + offset as f32);
    TensorData::new(values.collect(), shape.to_vec())
}

/// A parameter that keeps the size of a signal: scales near 1, shifts near 0, products by the number of their inputs.
///
/// Names and layouts are timm's (`[outputs, ...]`) of a backbone, and the modules' own (`[inputs, outputs]`) of a method.
pub fn parameter(name: &str, shape: &[usize]) -> TensorData {
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_norm = name.contains("norm") && last == "weight";
    if is_norm || ["gamma", "scale"].contains(&last) {
        return scaled(name, shape, 0.2, 1.0);
    }
    if shape.len() == 1 {
        return scaled(name, shape, 0.2, 0.0);
    }
    if ["cls_token", "reg_token", "pos_embed"].contains(&name) {
        return scaled(name, shape, 1.0, 0.0);
    }
    let inputs: usize = match name.starts_with("sections.") {
        true => shape[shape.len() - 2],
        false => shape[1..].iter().product(),
    };
    scaled(name, shape, (3.0 / inputs as f64).sqrt(), 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_program() {
        // python -c "from formula import uniform; print(uniform('images', [3]).tolist())"
        assert_eq!(
            uniform("images", 3),
            [0.394_610_76, -0.441_997_17, 0.436_769_96]
        );
        let many = uniform("qkv", 1 << 16);
        let mean = many.iter().sum::<f32>() / many.len() as f32;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!(many.iter().all(|value| (-1.0..1.0).contains(value)));
    }
}
