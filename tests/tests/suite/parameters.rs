//! Trainable parameters, against published counts and closed formulas.

use burn::module::Module;
use gradway::trainer::config;
use gradway_adapters::e3va::{E3vaConfig, Factorization};
use gradway_adapters::fixed::FixedConfig;
use gradway_adapters::full::FullConfig;
use gradway_adapters::{Encoder, GroupCount, MethodConfig, Tuned, count};
use gradway_backbone::{AnyBackbone, Backbone, Description, Section, StageShape, table};
use gradway_heads::HeadConfig;
use gradway_heads::multi_task::MultiTaskHead;
use gradway_heads::neck::NeckConfig;
use gradway_tests::{Tracked, blank, parameters};

const PLAIN: Factorization = Factorization::Plain;
const KERNEL: Factorization = Factorization::Kernel;

fn tuned(name: &str, method: &MethodConfig) -> (Encoder<Tracked>, Tuned<Tracked>) {
    Encoder::new(method, blank(name), &Default::default()).unwrap()
}

fn trained(name: &str, method: &MethodConfig) -> GroupCount {
    count::<Tracked, _>(&tuned(name, method).1)
}

fn named(name: &str) -> MethodConfig {
    config::method(name, &[]).unwrap()
}

fn e3va(form: Factorization) -> MethodConfig {
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
        // 1.20 and 1.31 in the tables.
        ("lorand", "1.20", "1.79"),
        // 4.16 and 5.08.
        ("mona", "3.67", "5.27"),
    ];
    for backbone in ["swin_base", "swin_large"] {
        for (name, base, large) in published {
            let method = named(name);
            let count = trained(backbone, &method).of(method.published_groups());
            let millions = if backbone == "swin_base" { base } else { large };
            let printed = format!("{:.2}", count as f64 / 1e6);
            assert_eq!(printed, millions, "{name} on {backbone}: {count}");
        }
    }
}

/// A sum over all blocks, of the block's section.
fn blocks(description: &Description, of: impl Fn(&Section) -> usize) -> usize {
    let sections = description.sections.iter();
    sections.map(|section| section.blocks * of(section)).sum()
}

/// A sum over the branches of all blocks, of their channels.
fn branches(description: &Description, of: impl Fn(usize) -> usize) -> usize {
    let count = description.branches.len();
    blocks(description, |section| count * of(section.channels))
}

/// The backbones of the table with at most 768 channels: the formulas are the same for wider ones, whose parameters take
/// long to draw.
fn narrow() -> impl Iterator<Item = (&'static str, Description)> {
    let all = table()
        .iter()
        .map(|line| (line.name, blank(line.name).description()));
    all.filter(|(_, all)| all.sections.iter().all(|section| section.channels <= 768))
}

#[test]
fn methods_add_what_their_closed_formulas_say() {
    type Formula = fn(&Description) -> usize;
    let formulas: [(&str, Formula); 11] = [
        ("adapter", |all| branches(all, |d| 2 * 64 * d + 64 + d)),
        ("adaptformer", |all| branches(all, |d| 2 * 64 * d + 64 + d)),
        ("lora", |all| {
            blocks(all, |section| 2 * 2 * 64 * section.channels)
        }),
        ("lorand", |all| {
            branches(all, |d| 2 * 16 * (d + d / 2) + d + d / 2 + 2 * 64)
        }),
        ("low_rank_adapter", |all| {
            branches(all, |d| 2 * (d + 64) + 64 + d)
        }),
        ("phm_adapter", |all| {
            branches(all, |d| 2 * 64 + 2 * 16 * d + 64 + d)
        }),
        ("compacter", |all| {
            64 + branches(all, |d| 2 * (d + 64) + 64 + d)
        }),
        ("compacter_plus_plus", |all| {
            64 + blocks(all, |section| 3 * section.channels + 3 * 64)
        }),
        ("mona", |all| {
            let filters = (9 + 25 + 49 + 3) * 64 + 64 * 64 + 64;
            branches(all, |d| 4 * d + 2 * 64 * d + 64 + d + filters)
        }),
        ("vpt_shallow", |all| 50 * all.sections[0].channels),
        ("vpt_deep", |all| {
            blocks(all, |section| 50 * section.channels)
        }),
    ];
    for (backbone, description) in narrow() {
        for (name, formula) in formulas {
            let method = named(name);
            if method.check(&description).is_err() {
                continue;
            }
            let count = trained(backbone, &method);
            assert_eq!(count.adapter, formula(&description), "{name} on {backbone}");
            assert_eq!(count.norm, norms(&description), "{name} on {backbone}");
            assert_eq!(count.other, 0);
        }
    }
}

/// The numbers that the page on the gradient highway and the page of methods print.
#[test]
fn methods_on_a_plain_vision_transformer_train_the_documented_number_of_parameters() {
    for (method, tasks, adapter) in [
        (e3va(PLAIN), 1, 456_192),
        (e3va(KERNEL), 1, 459_264),
        (named("vmt_adapter"), 1, 892_800),
        (named("vmt_adapter"), 4, 899_712),
        (named("vmt_highway"), 1, 897_408),
        (named("vmt_highway"), 4, 904_320),
        (named("lora"), 1, 1_179_648),
    ] {
        let count = trained("dinov2_small", &method.for_tasks(tasks));
        let expected = GroupCount {
            adapter,
            // Scale and shift of 384 channels at four stages.
            norm: 8 * 384,
            bias: 0,
            other: 0,
            total: adapter + 8 * 384,
        };
        assert_eq!(count, expected);
    }
}

/// What tasks add to every block of a section that ends a stage: a scale and a shift of each narrow map.
fn of_tasks(section: &Section, tasks: usize, narrow: usize) -> usize {
    if section.stage.is_some() {
        2 * tasks * narrow
    } else {
        0
    }
}

#[test]
fn a_task_adds_a_scale_and_a_shift_to_what_is_shared() {
    for (backbone, description) in narrow() {
        for tasks in [1, 4] {
            let adapter = |name: &str| {
                let method = named(name).for_tasks(tasks);
                trained(backbone, &method).adapter
            };
            let expected = blocks(&description, |section| {
                let (d, n) = (section.channels, section.channels / 4);
                2 * d * n + d + n + of_tasks(section, tasks, n)
            });
            assert_eq!(adapter("vmt_adapter"), expected, "{backbone}");
            let expected = blocks(&description, |section| {
                let (d, n) = (section.channels, section.channels / 6);
                d * n + d + n + of_tasks(section, tasks, n)
            });
            assert_eq!(adapter("vmt_adapter_lite"), expected, "{backbone}");
            let expected = blocks(&description, |section| {
                let (d, n) = (section.channels, section.channels / 8);
                let branch = 2 * d * n + d + n + of_tasks(section, tasks, n);
                description.branches.len() * branch
            });
            assert_eq!(adapter("vmt_highway"), expected, "{backbone}");
        }
    }
}

/// 1.10 M and 0.40 M by the publication, which prints per cents of four backbones: about 1 and 0.36.
#[test]
fn vmt_adapter_trains_the_published_number_of_parameters() {
    let adapter = |name: &str, fields: &[String]| {
        let method = config::method(name, fields).unwrap().for_tasks(4);
        trained("swin_tiny", &method).adapter
    };
    assert_eq!(adapter("vmt_adapter", &[]), 1_092_624);
    let last = ["method.streams=stage_end".to_string()];
    assert_eq!(adapter("vmt_adapter", &last), 1_086_672);
    assert_eq!(adapter("vmt_adapter_lite", &[]), 370_464);
    let backbones = 4 * blank("swin_tiny").num_params();
    let share = 100.0 * 1_092_624.0 / backbones as f64;
    assert_eq!(format!("{share:.2}"), "0.99");
}

#[test]
fn methods_with_a_pass_for_each_task_train_what_their_formulas_say() {
    let adapter = |name: &str| trained("swin_tiny", &named(name).for_tasks(4)).adapter;
    let description = blank("swin_tiny").description();
    // Of four embeddings of 64, two projections and two biases for each branch.
    let expected = 4 * 64 + branches(&description, |d| 64 * (2 * d * (d / 8) + d + d / 8));
    assert_eq!(adapter("hyperformer"), expected);
    // Two hypernetworks of rank 64 for templates of 96 x 24; kernels and biases for each branch.
    let networks = 2 * (64 * 64 + 64 * 96 * 24);
    let places = branches(&description, |d| 2 * (d / 96) * (d / 96) + d + d / 4);
    assert_eq!(adapter("polyhistor_lite"), 4 * 64 + networks + places);
    // Two hypernetworks of rank 6 for each branch; the published row, without its decoders, has 6.42 M.
    let place = |d: usize| 2 * 6 * (64 + d * (d / 8)) + d + d / 8;
    let expected = 4 * 64 + branches(&description, place);
    assert_eq!(adapter("polyhistor"), expected);
    assert_eq!(expected, 6_498_256);
    assert_eq!(adapter("per_task"), 4 * adapter("adapter"));
}

/// 8.34 M by the publication, with the decoders in the manner of HRNet and without output norms.
#[test]
fn mtlora_trains_the_published_number_of_parameters() {
    let counts = trained("swin_tiny", &named("mtlora").for_tasks(4));
    // Every projection with rank 64; of four tasks three in the last block of a stage with rank 4.
    let blocks = 2 * 96 + 2 * 192 + 6 * 384 + 2 * 768;
    let updates = 16 * 64 * blocks + 4 * 12 * 4 * (96 + 192 + 384 + 768);
    // Behind the last heads, where no task reads it: left out here, counted there.
    let unread = 12 * 64 * 768;
    assert_eq!(counts.adapter, updates - unread);
    let decoders = 1_946_624;
    let total = counts.total - counts.norm + unread + decoders;
    assert_eq!(format!("{:.2}", total as f64 / 1e6), "8.34");
}

/// Outputs for 21 classes, 7 parts, saliency and normals.
#[test]
fn the_decoders_of_four_tasks_have_the_published_number_of_parameters() {
    let head = |head: &str, widths: &[usize]| {
        let config: HeadConfig = toml::from_str(&format!("name = {head:?}")).unwrap();
        let outputs = [21, 7, 1, 3];
        let device = Default::default();
        let stage = |&channels| StageShape {
            channels,
            stride: 4,
        };
        let stages: Vec<StageShape> = widths.iter().map(stage).collect();
        let neck = NeckConfig::default();
        let head = MultiTaskHead::<Tracked>::new(&config, &neck, &stages, &outputs, false, &device);
        count::<Tracked, _>(&head).total
    };
    let stages = blank("swin_tiny").description().stage_channels();
    assert_eq!(head("segformer", &stages), 2_537_504);
    // MTLoRA's encoder hands over maps behind its patch mergings.
    assert_eq!(head("hrnet", &[192, 384, 768, 768]), 1_946_624);
    assert_eq!(head("hrnet", &stages), 1_801_472);
}

#[test]
fn ssf_has_a_scale_and_a_shift_for_every_channel_of_every_operation() {
    // Swin-T: two norms, 3 d, d, 4 d, d in a block; two operations of the embedding; mergings of 4 d to 2 d.
    let blocks = 2 * 96 + 2 * 192 + 6 * 384 + 2 * 768;
    let expected = 2 * (11 * blocks + 2 * 96 + 6 * (96 + 192 + 384));
    assert_eq!(trained("swin_tiny", &named("ssf")).adapter, expected);
    // ConvNeXt-T: d, d, 4 d, d in a block; two operations of the stem; the norm of d and the convolution to 2 d of a
    // transition.
    let blocks = 3 * 96 + 3 * 192 + 9 * 384 + 3 * 768;
    let expected = 2 * (7 * blocks + 2 * 96 + 3 * (96 + 192 + 384));
    assert_eq!(trained("convnext_tiny", &named("ssf")).adapter, expected);
    let lite = [16, 2 * 24, 2 * 40, 3 * 80, 3 * 112, 4 * 192, 320];
    let expected = 2 * lite.iter().sum::<usize>();
    assert_eq!(
        trained("efficientnet_lite0", &named("ssf")).adapter,
        expected
    );
}

/// The updates of an MLP of a ConvNeXt have a factor for `d`, one for `4 d`, and both twice.
#[test]
fn lora_updates_the_mlps_of_a_convnext() {
    let targets = ["method.targets=[\"fc1\", \"fc2\"]".to_string()];
    let lora = config::method("lora", &targets).unwrap();
    let blocks = 3 * 96 + 3 * 192 + 9 * 384 + 3 * 768;
    let count = trained("convnext_tiny", &lora);
    assert_eq!(count.adapter, 2 * 64 * 5 * blocks);
    let description = blank("convnext_tiny").description();
    assert_eq!(count.norm, norms(&description));
    assert!(named("lora").check(&description).is_err());
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
fn adapters(description: &Description, form: Factorization) -> usize {
    branches(description, |wide| {
        let narrow = wide / 2;
        let kernels = if form == KERNEL { 2 * 8 * 8 } else { 0 };
        2 * 16 * (wide + narrow) + wide + narrow + kernels
    })
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
                bias: 0,
                other: 0,
                total: adapter + norm,
            };
            assert_eq!(count, expected, "{}", line.name);
        }
    }
}

/// The formula of the page on the highway: one adapter per block, `n (3 r d + 3 d / 2) + 2 d` for every stage.
#[test]
fn e3va_on_a_convnext_trains_what_its_page_says() {
    let rank = 16;
    let stages = [(3, 96), (3, 192), (9, 384), (3, 768)];
    let stages = stages.map(|(n, d)| n * (3 * rank * d + 3 * d / 2) + 2 * d);
    let total = trained("convnext_tiny", &e3va(PLAIN)).total;
    assert_eq!(total, stages.iter().sum::<usize>());
    assert_eq!(total, 330_768);
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
            count.other + count.bias,
            published - (1000 * last + 1000) - 2 * last,
            "{name}"
        );
        assert_eq!(count.adapter, 0);
        // Of widths 1, 1/2, 1/4 and 1/8.
        assert_eq!(count.norm, 2 * last * 15 / 8, "{name}");
        assert_eq!(count.total, count.other + count.bias + count.norm, "{name}");
    }
}

#[test]
fn full_fine_tuning_trains_every_parameter() {
    for name in [
        "swin_mini",
        "efficientnet_lite0",
        "vit_mini",
        "convnext_mini",
    ] {
        // A folded convolution has a bias where a batch norm has a scale and a shift.
        let scales = batch_norms(name);
        let expected = blank(name).num_params() + scales - after_stages(name);
        let count = trained(name, &MethodConfig::Full(FullConfig::default()));
        assert_eq!(count.other + count.bias, expected, "{name}");
        assert!(count.bias > 0, "{name}");
    }
}

/// Parameters of the norm behind the last stage of a vision transformer or a ConvNeXt, which no stage passes.
fn after_stages(name: &str) -> usize {
    match blank(name) {
        AnyBackbone::Vit(network) => network.norm.num_params(),
        AnyBackbone::ConvNext(network) => network.norm.num_params(),
        _ => 0,
    }
}

/// Channels of the batch norms of an EfficientNet-Lite: of its stem, and of every block's expansion (but the first
/// row's), depthwise convolution and projection. Others have none.
fn batch_norms(name: &str) -> usize {
    if !name.starts_with("efficientnet") {
        return 0;
    }
    let stem = 32;
    let mut inputs = stem;
    let rows = blank(name).description().sections.into_iter().enumerate();
    let blocks =
        rows.flat_map(|(row, section)| (0..section.blocks).map(move |_| (row, section.channels)));
    let inside = blocks.map(|(row, channels)| {
        let hidden = match row {
            0 => inputs,
            _ => 2 * 6 * inputs,
        };
        inputs = channels;
        hidden + channels
    });
    stem + inside.sum::<usize>()
}

/// timm's counts of `efficientnet_lite0`, 1 and 2, less the classifier and the convolution and norm before it.
#[test]
fn full_fine_tuning_trains_the_published_efficientnet_and_the_output_norms() {
    for (name, published, last) in [
        ("efficientnet_lite0", 4_652_008, 320),
        ("efficientnet_lite1", 5_416_680, 320),
        ("efficientnet_lite2", 6_092_072, 352),
    ] {
        let count = trained(name, &MethodConfig::Full(FullConfig::default()));
        let head = 1280 * last + 2 * 1280;
        let classifier = 1280 * 1000 + 1000;
        assert_eq!(
            count.other + count.bias,
            published - head - classifier,
            "{name}"
        );
        assert_eq!(count.bias, batch_norms(name), "{name}");
        assert_eq!(count.norm, norms(&blank(name).description()), "{name}");
        // Statistics that follow the batches are no parameters.
        let trained_statistics =
            config::method("full", &["method.batch_statistics=trained".into()]);
        assert_eq!(trained(name, &trained_statistics.unwrap()), count, "{name}");
    }
}

#[test]
fn biases_and_norms_of_an_efficientnet_are_those_of_its_batch_norms() {
    for name in [
        "efficientnet_lite0",
        "efficientnet_lite1",
        "efficientnet_lite2",
    ] {
        let channels = batch_norms(name);
        let outputs = norms(&blank(name).description());
        let expected = GroupCount {
            adapter: 0,
            norm: outputs / 2,
            bias: channels,
            other: 0,
            total: channels + outputs / 2,
        };
        assert_eq!(trained(name, &named("bitfit")), expected, "{name}");
        let expected = GroupCount {
            adapter: 0,
            norm: outputs,
            bias: channels,
            other: channels,
            total: 2 * channels + outputs,
        };
        assert_eq!(trained(name, &named("norm_tuning")), expected, "{name}");
        let norms_beside = config::method("vmt_adapter", &["method.others=norms".to_string()]);
        let count = trained(name, &norms_beside.unwrap());
        assert_eq!([count.other, count.bias], [channels; 2], "{name}");
    }
    assert_eq!(batch_norms("efficientnet_lite0"), 19_728);
}

/// The last block of Lite0, 192 to 320 channels: filters and norms of 1152, 1152 and 320 channels.
#[test]
fn partial_fine_tuning_keeps_the_norms_of_what_it_trains_alone() {
    let count = trained("efficientnet_lite0", &named("partial"));
    let filters = 192 * 1152 + 9 * 1152 + 1152 * 320;
    let channels = 2 * 1152 + 320;
    assert_eq!([count.other, count.bias], [filters + channels, channels]);
    let (_, tuned) = tuned("efficientnet_lite0", &named("partial"));
    let parameters = parameters::<Tracked, _>(&tuned);
    let apart = parameters
        .keys()
        .filter(|path| path.ends_with(".norm.gamma"));
    assert_eq!(apart.count(), 3);
}

#[test]
fn a_fixed_backbone_trains_nothing() {
    for name in [
        "swin_mini",
        "efficientnet_lite0",
        "vit_mini",
        "convnext_mini",
    ] {
        let count = trained(name, &MethodConfig::Fixed(FixedConfig::default()));
        assert_eq!(count, GroupCount::default(), "{name}");
    }
}
