//! The page of methods: generated from the table, and never stale.
//!
//! `GRADWAY_WRITE_DOCS=1 cargo test -p gradway-tests --test suite methods_page` writes it.

use std::fmt::Write;
use std::path::Path;

use gradway::report::thousands;
use gradway::trainer::config;
use gradway_adapters::{Encoder, Group, Placement, count, table};
use gradway_backbone::Backbone;
use gradway_tests::{Tracked, blank};

const HEAD: &str = "# Methods

This page lists the tuning methods. It is generated from the table of methods: `GRADWAY_WRITE_DOCS=1 cargo test -p gradway-tests --test suite methods_page` writes it again.

The contract suite (`cargo test -p gradway-tests --test suite contract`) runs the same checks for every method, on a Swin, a
plain ViT, a ConvNeXt and an EfficientNet-Lite0, if the method supports them:

- every trained parameter has a gradient, and no other parameter has one or changes;
- the loss decreases;
- the initial features equal those of the frozen backbone if the column \"starts frozen\" says so;
- a saved and loaded adapter produces the same bits, and is refused on other base weights;
- merging changes the features only by rounding, or is refused with the reason.

Values and gradients of every method are compared with PyTorch (`golden_methods`, `golden_e3va`). Parameter counts are compared
with a closed formula and the published number (`parameters`).

";

/// The closed formula of what a method trains in a plain vision transformer with `L` blocks of `d` channels, for one task and
/// with the defaults: as the page shows it, and as a function of `L` and `d`.
type Formula = (&'static str, &'static str, fn(usize, usize) -> usize);

const FORMULAS: [Formula; 8] = [
    (
        "e3va",
        "`2 L (2 r (d + d/2) + d + d/2) + 8 d`, rank r = 16",
        |l, d| 2 * l * (2 * 16 * (d + d / 2) + d + d / 2) + 8 * d,
    ),
    (
        "vmt_highway",
        "`2 L (2 d n + d + n + 2 T n) + 8 d`, n = d/8, T tasks",
        |l, d| 2 * l * (2 * d * (d / 8) + d + d / 8 + 2 * (d / 8)) + 8 * d,
    ),
    (
        "vmt_adapter",
        "`L (2 d n + d + n + 2 T n) + 8 d`, n = d/4, T tasks",
        |l, d| l * (2 * d * (d / 4) + d + d / 4 + 2 * (d / 4)) + 8 * d,
    ),
    (
        "vmt_adapter_lite",
        "`L (d n + d + n + 2 T n) + 8 d`, n = d/6, T tasks",
        |l, d| l * (d * (d / 6) + d + d / 6 + 2 * (d / 6)) + 8 * d,
    ),
    (
        "lora",
        "`4 L r d + 8 d`, rank r = 64, at queries and values",
        |l, d| 4 * l * 64 * d + 8 * d,
    ),
    (
        "adapter",
        "`2 L (2 w d + w + d) + 8 d`, width w = 64",
        |l, d| 2 * l * (2 * 64 * d + 64 + d) + 8 * d,
    ),
    (
        "adaptformer",
        "`2 L (2 w d + w + d) + 8 d`, width w = 64",
        |l, d| 2 * l * (2 * 64 * d + 64 + d) + 8 * d,
    ),
    ("vpt_deep", "`L p d + 8 d`, p = 50 prompts", |l, d| {
        l * 50 * d + 8 * d
    }),
];

/// The formulas, each held against what is counted.
fn formulas() -> String {
    let mut lines = String::new();
    lines += "\n## On a plain vision transformer\n\n";
    lines += "What a method trains in a ViT with L blocks of d channels. The last `8 d` are scale and shift of four output norms.\n\n";
    lines += "| method | trained parameters | `dinov2_small`: L = 12, d = 384, one task |\n|---|---|---|\n";
    for (name, shown, formula) in FORMULAS {
        let counted = [("dinov2_small", 12, 384), ("dinov2_base", 12, 768)].map(|(vit, l, d)| {
            let method = config::method(name, &[]).unwrap();
            let (_, tuned) =
                Encoder::<Tracked>::new(&method, blank(vit), &Default::default()).unwrap();
            let counted = count::<Tracked, _>(&tuned).total;
            assert_eq!(counted, formula(l, d), "{name} on {vit}");
            counted
        });
        let _infallible = writeln!(lines, "| `{name}` | {shown} | {} |", thousands(counted[0]));
    }
    lines
}

fn page() -> String {
    let mut page = HEAD.to_string();
    page += "| method | trains | published in | backbone | starts frozen | merges | trainable on Swin-B | published sum |\n";
    page += "|---|---|---|---|---|---|---|---|\n";
    for line in table() {
        let method = config::method(line.name, &[]).unwrap();
        let (_, tuned) =
            Encoder::<Tracked>::new(&method, blank("swin_base"), &Default::default()).unwrap();
        let count = count::<Tracked, _>(&tuned);
        let published = match method.published_groups() {
            [] => "-".to_string(),
            groups => {
                let names: Vec<&str> = groups.iter().map(Group::name).collect();
                format!("{}: {}", names.join(" + "), thousands(count.of(groups)))
            }
        };
        let placement = match line.placement {
            Placement::Frozen => "without a graph",
            Placement::Tracked => "with back-propagation",
        };
        let starts = if line.starts_frozen { "yes" } else { "no" };
        let merges = line
            .merges
            .err()
            .map_or("yes".to_string(), |reason| format!("no: {reason}"));
        let _infallible = writeln!(
            page,
            "| `{}` | {} | {} | {placement} | {starts} | {merges} | {} | {published} |",
            line.name,
            line.summary,
            line.source,
            thousands(count.total),
        );
    }
    for (family, name) in [
        ("a ConvNeXt", "convnext_mini"),
        ("EfficientNet-Lite", "efficientnet_lite0"),
    ] {
        let _infallible = writeln!(page, "\nMethods that do not support {family} by default:\n");
        let description = blank(name).description();
        for line in table() {
            let method = config::method(line.name, &[]).unwrap();
            if let Err(misfit) = method.check(&description) {
                let _infallible = writeln!(page, "- `{}`: {}", line.name, misfit.reason);
            }
        }
    }
    page += &formulas();
    page += "\n[Your method](../guide/your-method.md) adds one.\n";
    page
}

#[test]
fn the_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/methods.md");
    let page = page();
    if std::env::var_os("GRADWAY_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let saved = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        saved, page,
        "docs/reference/methods.md is stale: set GRADWAY_WRITE_DOCS=1"
    );
}
