//! Trainable parameters, against published counts and closed formulas.

use burn::module::Module;
use gradway_adapters::e3va::{E3vaConfig, Form};
use gradway_adapters::fixed::FixedConfig;
use gradway_adapters::full::FullConfig;
use gradway_adapters::{Encoder, GroupCount, MethodConfig, Tuned, count};
use gradway_backbone::{AnyBackbone, BackboneConfig, Description, table};
use gradway_tests::{Plain, Tracked};

const PLAIN: Form = Form::Plain;
const KERNEL: Form = Form::Kernel;

/// Parameters are initialised when they are read, so that a backbone that is only described costs
/// nothing.
fn backbone(name: &str) -> AnyBackbone<Plain> {
    BackboneConfig::named(name)
        .init(&Default::default())
        .unwrap()
}

fn tuned(name: &str, method: &MethodConfig) -> (Encoder<Tracked>, Tuned<Tracked>) {
    Encoder::new(method, backbone(name), &Default::default())
}

fn trained(name: &str, method: &MethodConfig) -> GroupCount {
    count::<Tracked, _>(&tuned(name, method).1)
}

fn e3va(form: Form) -> MethodConfig {
    MethodConfig::E3va(E3vaConfig {
        form,
        ..Default::default()
    })
}

#[test]
fn e3va_trains_the_published_number_of_parameters_with_norms() {
    assert_eq!(trained("swin_base", &e3va(PLAIN)).total, 1_195_008);
    assert_eq!(trained("swin_large", &e3va(PLAIN)).total, 1_792_512);
}

#[test]
fn e3va_of_the_kernel_form_trains_the_published_number_of_parameters_without_norms() {
    assert_eq!(trained("swin_base", &e3va(KERNEL)).adapter, 1_197_312);
    assert_eq!(trained("swin_large", &e3va(KERNEL)).adapter, 1_792_896);
}

/// Scale and shift of every stage.
fn norms(description: &Description) -> usize {
    description
        .stage_channels()
        .iter()
        .map(|width| 2 * width)
        .sum()
}

/// Two projections of rank 16 between `d` and `d / 2` with their biases, per branch; in the kernel
/// form two kernels of 8x8 shared by both.
fn adapters(description: &Description, form: Form) -> usize {
    let sections = description.sections.iter();
    sections
        .map(|section| {
            let (wide, narrow) = (section.channels, section.channels / 2);
            let kernels = if form == KERNEL { 2 * 8 * 8 } else { 0 };
            let adapter = 2 * 16 * (wide + narrow) + wide + narrow + kernels;
            section.blocks * description.branches.len() * adapter
        })
        .sum()
}

#[test]
fn e3va_trains_what_the_closed_formula_says_on_every_backbone() {
    for line in table() {
        for form in [PLAIN, KERNEL] {
            let (encoder, tuned) = tuned(line.name, &e3va(form));
            let count = count::<Tracked, _>(&tuned);
            let description = encoder.description();
            let (adapter, norm) = (adapters(description, form), norms(description));
            let expected = GroupCount {
                adapter,
                norm,
                other: 0,
                total: adapter + norm,
            };
            assert_eq!(count, expected, "{}", line.name);
        }
    }
}

#[test]
fn full_fine_tuning_trains_the_published_swin_and_the_output_norms() {
    // torchvision's counts, less the classifier of 1000 classes and the norm before it.
    for (name, published, last) in [
        ("swin_tiny", 28_288_354, 768),
        ("swin_small", 49_606_258, 768),
        ("swin_base", 87_768_224, 1024),
    ] {
        let count = trained(name, &MethodConfig::Full(FullConfig::default()));
        assert_eq!(
            count.other,
            published - (1000 * last + 1000) - 2 * last,
            "{name}"
        );
        assert_eq!(count.adapter, 0);
        // Of widths 1, 1/2, 1/4 and 1/8.
        assert_eq!(count.norm, 2 * last * 15 / 8, "{name}");
        assert_eq!(count.total, count.other + count.norm, "{name}");
    }
}

#[test]
fn full_fine_tuning_trains_every_parameter() {
    for name in ["swin_mini", "efficientnet_lite0"] {
        let expected = backbone(name).num_params();
        let count = trained(name, &MethodConfig::Full(FullConfig::default()));
        assert_eq!(count.other, expected, "{name}");
    }
}

#[test]
fn a_fixed_backbone_trains_nothing() {
    for name in ["swin_mini", "efficientnet_lite0"] {
        let count = trained(name, &MethodConfig::Fixed(FixedConfig::default()));
        assert_eq!(count, GroupCount::default(), "{name}");
    }
}
