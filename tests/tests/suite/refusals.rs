//! Configurations that could not be trained are refused before anything is built, with the key and why.

use gradway::trainer::{RunConfig, TrainError, config};
use gradway_adapters::table;

fn parsed(text: &str) -> Result<RunConfig, TrainError> {
    config::parse(text, "the test", &[])
}

fn refused(text: &str) -> (String, Option<String>) {
    let error = parsed(text).expect_err(text);
    (error.to_string(), error.hint())
}

fn of(head: &str, rest: &str) -> String {
    format!(
        r#"
        backbone = {{ name = "swin_mini" }}
        method = {{ name = "e3va" }}
        head = {head}
        data = {{ format = "synthetic" }}
        {rest}
        "#
    )
}

#[test]
fn a_batch_norm_of_one_value_is_refused() {
    let one = "loader = { batch_size = 1 }\naugment = { crop_size = [32, 32] }";
    let small = r#"augment = { crop_size = [32, 32] }"#;
    for (head, rest) in [
        (r#"{ name = "upernet" }"#, "loader = { batch_size = 1 }"),
        // Several passes do not make a batch larger.
        (
            r#"{ name = "upernet" }"#,
            "loader = { batch_size = 1 }\noptimizer = { accumulation = 4 }",
        ),
        (r#"{ name = "fcn", stage = 3 }"#, one),
        (
            r#"{ name = "upernet" }"#,
            "loader = { batch_size = 1 }\ntasks = { names = [\"depth\"] }",
        ),
    ] {
        let (error, hint) = refused(&of(head, rest));
        assert!(
            error.contains("expected more than 1 value per channel when training"),
            "{error}"
        );
        assert!(error.contains("a batch of 1 with head.name"), "{error}");
        assert!(hint.unwrap().contains("loader.batch_size"), "{error}");
    }
    for (head, rest) in [
        (r#"{ name = "upernet" }"#, "loader = { batch_size = 2 }"),
        (r#"{ name = "segformer" }"#, one),
        (r#"{ name = "fcn", stage = 2 }"#, one),
        (r#"{ name = "fcn", stage = 3 }"#, small),
        (r#"{ name = "hrnet" }"#, one),
    ] {
        parsed(&of(head, rest)).unwrap_or_else(|error| panic!("{head}: {error}"));
    }
}

fn added(method: &str, weighting: &str) -> String {
    format!(
        r#"
        backbone = {{ name = "swin_mini" }}
        method = {{ name = "{method}" }}
        head = {{ name = "segformer" }}
        data = {{ format = "synthetic" }}
        [tasks]
        names = ["depth", "saliency"]
        added = ["saliency"]
        base = "run"
        weighting = "{weighting}"
        "#
    )
}

#[test]
fn tasks_are_not_added_where_something_of_the_others_would_change() {
    let (error, _) = refused(&added("vmt_adapter", "uncertainty"));
    assert!(
        error.contains(r#"tasks.weighting = "uncertainty" with tasks.base"#),
        "{error}"
    );
    let mut refusing = Vec::new();
    for method in table() {
        if let Err(error) = parsed(&added(method.name, "fixed")) {
            let error = error.to_string();
            let expected = format!(
                r#"method.name = "{}" with tasks.base: its tasks share the hyper"#,
                method.name
            );
            assert!(error.contains(&expected), "{error}");
            refusing.push(method.name);
        }
    }
    assert_eq!(refusing, ["hyperformer", "polyhistor", "polyhistor_lite"]);
}

#[test]
fn numbers_beyond_all_reason_are_refused() {
    let most = "it must be at most";
    for overrides in [
        "method={ name = \"lora\", rank = 1000000000 }",
        "method={ name = \"adapter\", width = 9223372036854775807 }",
        "method={ name = \"e3va\", rank = 1000000000 }",
        "method={ name = \"vpt_deep\", tokens = 1000000000 }",
        "method={ name = \"lorand\", side = 1000000000 }",
        "method={ name = \"polyhistor\", embedding = 1000000000 }",
        "head.channels=1000000000",
        "head={ name = \"upernet\", auxiliary = { channels = 1000000000 } }",
        "head={ name = \"hrnet\", widths = [18, 36, 72, 1000000000] }",
        "loader.batch_size=9223372036854775807",
        "loader.prefetch=9223372036854775807",
        "optimizer.accumulation=9223372036854775807",
        "train.epochs=9223372036854775807",
        "evaluation.batch_size=9223372036854775807",
    ] {
        let text = of(r#"{ name = "segformer" }"#, "");
        let error = config::parse(&text, "the test", &[overrides.to_string()]);
        let error = error.expect_err(overrides).to_string();
        assert!(error.contains(most), "{overrides}: {error}");
    }
    for head in ["retinanet", "mask_rcnn"] {
        let text = format!(
            r#"
            backbone = {{ name = "swin_mini" }}
            method = {{ name = "e3va" }}
            head = {{ name = "{head}", channels = 1000000000 }}
            data = {{ format = "coco", root = "" }}
            "#
        );
        let (error, _) = refused(&text);
        assert!(error.contains(most), "{head}: {error}");
    }
}
