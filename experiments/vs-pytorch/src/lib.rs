//! The operators that are timed, beside PyTorch's or alone (`cargo bench`).

pub mod case;
mod detection;
mod gradient;
pub mod operators;
