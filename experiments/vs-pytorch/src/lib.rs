//! What is timed beside PyTorch's, operators alone as well (`cargo bench`), and what is made of the times.

pub mod case;
mod detection;
mod gradient;
pub mod growth;
pub mod operators;
pub mod report;
