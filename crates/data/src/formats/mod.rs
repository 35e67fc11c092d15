//! The dataset formats, one file each; [`table()`](crate::table()) lists them.

pub mod ade20k;
pub mod clothing_co_parsing;
pub mod coco;
pub mod folder;
pub(crate) mod layout;
pub(crate) mod list;
pub mod nyud_mt;
pub mod pascal_mt;
pub mod red_kitchen;
pub mod synthetic;
pub mod voc;
pub mod voc_detection;
