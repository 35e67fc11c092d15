//! What crosses crates: golden parity, the contract of methods, parameters, pages of the book.
//!
//! One binary: each further one links all of Burn again.

mod architecture;
mod configuration;
mod contract;
mod detectors;
mod golden_attention;
mod golden_backbone;
mod golden_convnext;
mod golden_detector_parts;
mod golden_e3va;
mod golden_full;
mod golden_heads;
mod golden_methods;
mod golden_metrics;
mod golden_necks;
mod golden_optimizer;
mod golden_proposals;
mod golden_region_heads;
mod golden_retinanet;
mod golden_vit;
mod golden_vit_highway;
mod guides;
mod import;
mod imports;
mod methods_page;
mod multi_task;
mod necks;
mod origins;
mod own_backbone;
mod parameters;
mod pictures;
mod rates;
mod real_data;
mod refusals;
mod relatives;
mod roles;
mod sources;
mod steps;
mod views;
mod vision_transformers;
mod weight_files;
