//! Necks: what stands between the stages of a backbone and the maps that a head reads.
//!
//! A plain vision transformer has all of its stages at one stride. Heads that were made for a pyramid of strides
//! stand on it behind a neck, which makes such maps and is trained with the head.

/// The table of necks, a line each: its name, its configuration, its module, and its file.
macro_rules! necks {
    ($declare:ident) => {
        $declare! {
            None(NoneConfig, Unchanged, none),
            Pyramid(PyramidConfig, Pyramid, pyramid),
            SimplePyramid(SimplePyramidConfig, SimplePyramid, simple_pyramid),
        }
    };
}

pub mod none;
pub mod pyramid;
mod scale;
mod settings;
pub mod simple_pyramid;
mod table;

pub use settings::{Neck, NeckDescriptor, NeckSettings};
pub use table::{AnyNeck, NeckConfig, table};
