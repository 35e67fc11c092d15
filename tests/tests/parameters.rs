//! Trainable parameters, against published counts and closed formulas.

use burn::module::Module;
use gradway::trainer::config;
use gradway_adapters::e3va::{E3vaConfig, Form};
use gradway_adapters::fixed::FixedConfig;
use gradway_adapters::full::FullConfig;
use gradway_adapters::{Encoder, GroupCount, MethodConfig, Tuned, count};
use gradway_backbone::{AnyBackbone, Backbone, BackboneConfig, Description, table};
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
    Encoder::new(method, backbone(name), &Default::default()).unwrap()
}

fn trained(name: &str, method: &MethodConfig) -> GroupCount {
    count::<Tracked, _>(&tuned(name, method).1)
}

fn named(name: &str) -> MethodConfig {
    config::method(name, &[]).unwrap()
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

/// What the tables of E3VA print, in millions with two digits.
#[test]
fn the_other_methods_train_the_published_number_of_parameters() {
    let published = [
        ("bitfit", "0.20", "0.30"),
        ("norm_tuning", "0.06", "0.09"),
        ("partial", "12.60", "28.34"),
        ("adapter", "3.11", "4.66"),
        ("adaptformer", "3.11", "4.66"),
        // The tables print 3.03 and 4.57, which no reading gives: see the method's file.
        ("lora", "3.08", "4.62"),
    ];
    for backbone in ["swin_base", "swin_large"] {
        // Drawn once: what the methods hold on the other side are the same tensors.
        let device = Default::default();
        let drawn = self::backbone(backbone).to_device(&device);
        for (name, base, large) in published {
            let method = named(name);
            let (_, tuned) = Encoder::<Tracked>::new(&method, drawn.clone(), &device).unwrap();
            let count = count::<Tracked, _>(&tuned).of(method.published_groups());
            let millions = if backbone == "swin_base" { base } else { large };
            let printed = format!("{:.2}", count as f64 / 1e6);
            assert_eq!(printed, millions, "{name} on {backbone}: {count}");
        }
    }
}

#[test]
fn bottlenecks_train_what_the_closed_formula_says_on_every_backbone() {
    for line in table() {
        for name in ["adapter", "adaptformer"] {
            let method = named(name);
            let description = backbone(line.name).description();
            if method.check(&description).is_err() {
                continue;
            }
            let (encoder, tuned) = tuned(line.name, &method);
            let description = encoder.description();
            let sections = description.sections.iter();
            let bottlenecks = sections.map(|section| {
                let one = 2 * 64 * section.channels + 64 + section.channels;
                section.blocks * description.branches.len() * one
            });
            let count = count::<Tracked, _>(&tuned);
            assert_eq!(count.adapter, bottlenecks.sum::<usize>(), "{}", line.name);
            assert_eq!(count.norm, norms(description), "{}", line.name);
            assert_eq!(count.other, 0);
        }
    }
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
