//! Files: images and masks, arrays of numpy and of MATLAB, paths.

pub mod mat;
pub(crate) mod names;
pub(crate) mod npy;
pub mod paths;
pub mod read;
