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
