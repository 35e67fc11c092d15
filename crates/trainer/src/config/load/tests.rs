use std::path::PathBuf;

use gradway_data::{EvaluationSize, TaskKind};

use super::*;
use crate::config::sections::{SECTIONS, tables_of, to_toml};
use crate::schedule::Decay;

const FILE: &str = r#"
backbone = { name = "swin_mini" }
method = { name = "e3va", rank = 4 }
head = { name = "segformer", channels = 16 }
data = { format = "synthetic" }
"#;

/// The message and hint of a file under overrides, which must be wrong.
fn refused(file: &str, overrides: &[&str]) -> (String, String) {
    let overrides: Vec<String> = overrides.iter().map(|entry| entry.to_string()).collect();
    let error = parse(file, "run.toml", &overrides).expect_err("something wrong");
    (error.to_string(), error.hint().unwrap_or_default())
}

#[test]
fn a_wrong_override_is_named_with_key_value_and_what_is_right() {
    for (entry, expected) in [
        // Of the wrong kind.
        (
            "loader.batch_size=two",
            r#"loader.batch_size = "two"; it must be a whole number, 0 or more"#,
        ),
        (
            "loader.batch_size=-1",
            "loader.batch_size = -1; it must be a whole number, 0 or more",
        ),
        (
            "loader.batch_size=1.5",
            "loader.batch_size = 1.5; it must be a whole number, 0 or more",
        ),
        (
            "seed=x",
            r#"seed = "x"; it must be a whole number, 0 or more"#,
        ),
        (
            "optimizer.learning_rate=fast",
            r#"optimizer.learning_rate = "fast"; it must be a number"#,
        ),
        (
            "method.rank=wide",
            r#"method.rank = "wide"; it must be a whole number, 0 or more"#,
        ),
        (
            "head.channels=-3",
            "head.channels = -3; it must be a whole number, 0 or more",
        ),
        (
            "backbone.pad_first=yes",
            r#"backbone.pad_first = "yes"; it must be true or false"#,
        ),
        ("loader=3", "loader = 3; it must be a table"),
        (
            "backbone.name=3",
            "backbone.name = 3; it must be a string in quotes",
        ),
        (
            "augment.crop_size=[64]",
            "augment.crop_size = [64]; it must be a list of 2",
        ),
        (
            "augment.crop_size=[64, \"x\"]",
            "augment.crop_size = [64, \"x\"]; every entry must be a whole number, 0 or more",
        ),
        // Lists in the place of tables.
        ("loader=[2]", "loader = [2]; it must be a table"),
        ("loader=[]", "loader = []; it must be a table"),
        ("loader=[\"x\"]", "loader = [\"x\"]; it must be a table"),
        (
            "backbone=[\"swin_mini\"]",
            "backbone = [\"swin_mini\"]; it must be a table",
        ),
        (
            "method=[\"e3va\", 4]",
            "method = [\"e3va\", 4]; it must be a table",
        ),
        (
            "data=[\"synthetic\", 64, 64]",
            "data = [\"synthetic\", 64, 64]; it must be a table",
        ),
        (
            "head=[\"segformer\"]",
            "head = [\"segformer\"]; it must be a table",
        ),
        (
            "augment=[[32, 32]]",
            "augment = [[32, 32]]; it must be a table",
        ),
        (
            "augment.photometric=[]",
            "augment.photometric = []; it must be a table",
        ),
        (
            "optimizer.rates=[0.5]",
            "optimizer.rates = [0.5]; it must be a table",
        ),
        (
            "schedule.decay=[\"poly\"]",
            "schedule.decay = [\"poly\"]; it must be a table",
        ),
        ("train=[1]", "train = [1]; it must be a table"),
        (
            "evaluation.size.fit=[20, 10]",
            "evaluation.size.fit = [20, 10]; it must be a table",
        ),
        // Words that are none of those known.
        (
            "method.form=kernl",
            "method.form = \"kernl\"; it must be `plain` or `kernel`; did you mean `kernel`?",
        ),
        (
            "method.form=3",
            "method.form = 3; it must be `plain` or `kernel`",
        ),
        (
            "optimizer.name=adam",
            "optimizer.name = \"adam\"; it must be `adamw` or `sgd`; did you mean `adamw`?",
        ),
        (
            "schedule.decay.name=cosin",
            "schedule.decay.name = \"cosin\"; it must be `poly`, `cosine`, `step` or `constant`; \
             did you mean `cosine`?",
        ),
        (
            "evaluation.size=orignal",
            "evaluation.size = \"orignal\"; it must be `original`, `fixed` or `fit`; \
             did you mean `original`?",
        ),
        // A word that stands before a table.
        (
            "evaluation.size=fit",
            "evaluation.size = \"fit\"; `fit` needs a table: { fit = { ... } }",
        ),
        (
            "method.name=e3av",
            "unknown method `e3av`; did you mean `e3va`?",
        ),
        (
            "backbone.name=swin_tni",
            "unknown backbone `swin_tni`; did you mean `swin_mini`?",
        ),
        (
            "head.name=upnet",
            "unknown head `upnet`; did you mean `upernet`?",
        ),
        (
            "data.format=foldr",
            "unknown format `foldr`; did you mean `folder`?",
        ),
        // Keys that are none of those known.
        (
            "optimizer.learning_rat=1",
            "unknown field `learning_rat` in [optimizer]; did you mean `learning_rate`?",
        ),
        (
            "method.rnk=1",
            "unknown field `rnk` in [method]; did you mean `rank`?",
        ),
        (
            "augmnt.crop_size=[4, 4]",
            "unknown field `augmnt`; did you mean `augment`?",
        ),
        ("epochs=1", "unknown field `epochs`"),
        ("base=other.toml", "unknown field `base`"),
        ("task.head=1", "unknown field `task`"),
        // Keys that are missing.
        ("data={ format = \"coco\" }", "missing key `data.root`"),
        (
            "schedule.decay={ name = \"step\" }",
            "missing key `schedule.decay.milestones`",
        ),
        // Values out of range.
        (
            "loader.batch_size=0",
            "loader.batch_size = 0; it must be at least 1",
        ),
        (
            "backbone.drop_path=2",
            "backbone.drop_path = 2; it must be in 0..1",
        ),
        ("method.rank=0", "method.rank = 0; it must be at least 1"),
        (
            "data.train_samples=1000000000",
            "data.train_samples = 1000000000; it must be at most 16777216",
        ),
        (
            "data.val_samples=9223372036854775807",
            "data.val_samples = 9223372036854775807; it must be at most 16777216",
        ),
        // No key or no value.
        ("seed", "expected key=value"),
        ("loader.=1", "`loader.`: a part of the key is empty"),
        ("data.classes=[road,car]", "the value is not TOML"),
    ] {
        let (message, _) = refused(FILE, &[entry]);
        assert_eq!(message, format!("--set {entry}: {expected}"));
    }
}

#[test]
fn a_list_in_a_list_is_no_table() {
    let file = FILE.replace("segformer\", channels = 16", "cascade_mask_rcnn\"");
    let file = file.replace("synthetic", "coco\", root = \"x");
    let stage = "{ iou = 0.5, deviations = [0.1, 0.1, 0.2, 0.2], weight = 1.0 }";
    parse(&file, "run.toml", &[format!("head.stages=[{stage}]")]).expect("a configuration");
    let (message, _) = refused(&file, &["head.stages=[[0.5, [0.1, 0.1, 0.2, 0.2], 1.0]]"]);
    assert!(
        message.ends_with("; every entry must be a table"),
        "{message}"
    );
}

#[test]
fn a_key_of_the_decay_is_set_without_its_name() {
    for file in [
        FILE.to_string(),
        format!("{FILE}schedule = {{ warmup_steps = 3 }}"),
    ] {
        let set = ["schedule.decay.power=0.9".to_string()];
        let config = parse(&file, "run.toml", &set).expect("a configuration");
        assert_eq!(config.schedule.decay, Decay::Poly { power: 0.9 });
    }
    for name in ["cosine", "constant"] {
        let file = format!("{FILE}schedule = {{ decay = {{ name = '{name}' }} }}");
        parse(&file, "run.toml", &[]).expect("a configuration");
        let (message, _) = refused(&file, &["schedule.decay.power=0.9"]);
        assert!(
            message.ends_with("unknown field `power` in [schedule.decay]"),
            "{message}"
        );
    }
}

#[test]
fn keys_without_an_effect_on_the_backbone_are_refused() {
    let file = FILE.replace("swin_mini", "efficientnet_lite0");
    for (entry, right) in [
        (
            "backbone.drop_path=0.1",
            "has no stochastic depth; it must be 0",
        ),
        (
            "backbone.pad_first=true",
            "shifts no windows; it must be false",
        ),
    ] {
        let (message, _) = refused(&file, &[entry]);
        let value = entry.replace('=', " = ");
        let expected =
            format!("--set {entry}: {value}, but backbone.name = \"efficientnet_lite0\" {right}");
        assert_eq!(message, expected);
    }
    for entry in ["backbone.drop_path=0.0", "backbone.pad_first=false"] {
        parse(&file, "run.toml", &[entry.to_string()]).expect("a configuration");
    }
}

#[test]
fn a_wrong_key_of_a_file_is_not_blamed_on_an_override() {
    let file = FILE.replace("rank = 4", "rank = -4");
    let (message, _) = refused(&file, &["seed=3", "method.form=kernel"]);
    assert_eq!(
        message,
        "run.toml: method.rank = -4; it must be a whole number, 0 or more"
    );
    let file = FILE.replace("format = \"synthetic\"", "format = \"coco\"");
    let (message, _) = refused(&file, &["seed=3"]);
    assert_eq!(message, "run.toml: missing key `data.root`");
    for table in ["backbone", "method", "head", "data"] {
        let lines = FILE.lines().filter(|line| !line.starts_with(table));
        let file = lines.collect::<Vec<_>>().join("\n");
        let (message, _) = refused(&file, &["seed=3"]);
        assert_eq!(message, format!("run.toml: missing table `{table}`"));
    }
}

#[test]
fn a_hint_lists_what_is_known() {
    let (_, hint) = refused(FILE, &["x.y=1"]);
    assert_eq!(
        hint,
        "a configuration has `seed`, `backbone`, `method`, `data`, `loader`, `optimizer`, `schedule`, \
         `train`, `head`, `loss`, `augment` and `evaluation`"
    );
    let (_, hint) = refused(FILE, &["optimizer.x=1"]);
    assert!(
        hint.starts_with("[optimizer] has `name`, `learning_rate`, "),
        "{hint}"
    );
    let detector = FILE.replace("segformer", "retinanet");
    let (message, hint) = refused(&detector, &["loss.class_weights=[1]"]);
    assert_eq!(
        message,
        "--set loss.class_weights=[1]: unknown field `loss`"
    );
    assert!(
        hint.ends_with("`train`, `head`, `augment` and `evaluation`"),
        "{hint}"
    );
    let (_, hint) = refused(FILE, &["method.name=e3av"]);
    assert!(hint.starts_with("see `gradway list methods`: "), "{hint}");
}

/// The lists of sections are those that a configuration is written with.
#[test]
fn the_sections_are_those_of_the_types() {
    for (head, data, more, task) in [
        ("segformer", "synthetic", "", TaskKind::Segmentation),
        ("retinanet", "coco\", root = \"x", "", TaskKind::Detection),
        (
            "segformer",
            "synthetic",
            "tasks = { names = [\"depth\"] }",
            TaskKind::MultiTask,
        ),
    ] {
        let file = format!("{FILE}{more}").replace("segformer", head);
        let file = file
            .replace(", channels = 16", "")
            .replace("synthetic", data);
        let config = parse(&file, "file", &[]).expect("a configuration");
        assert_eq!(config.task.task(), task);
        let table: Table = to_toml(&config).expect("TOML").parse().expect("TOML");
        let mut known = [&SECTIONS[..], tables_of(task)].concat();
        known.sort_unstable();
        let mut found: Vec<&str> = table.keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, known);
    }
}

#[test]
fn paths_are_in_full_but_for_variables() {
    let here = std::env::current_dir().expect("a folder");
    let file = FILE.replace(
        "format = \"synthetic\"",
        "format = \"ade20k\", root = \"sets/ade\"",
    );
    let weights = |name: &str| vec![format!("backbone.weights={name}")];
    let config = parse(&file, "file", &weights("w.pth")).expect("a configuration");
    let DatasetConfig::Ade20k(data) = &config.data else {
        panic!("{:?}", config.data);
    };
    assert_eq!(data.root, here.join("sets/ade"));
    assert_eq!(
        config.backbone.weights,
        here.join("w.pth").to_str().map(String::from)
    );
    let on_hub = "hf:facebook/dinov2-small";
    for name in ["embedded", "pretrained", on_hub, "$WEIGHTS/w.pth", "/w.pth"] {
        let config = parse(&file, "file", &weights(name)).expect("a configuration");
        assert_eq!(config.backbone.weights.as_deref(), Some(name));
    }
    let tasks =
        "tasks = { names = [\"depth\", \"edges\"], added = [\"edges\"], base = \"runs/a\" }";
    let file = format!("{FILE}{tasks}");
    let config = parse(&file, "file", &[]).expect("a configuration");
    assert_eq!(config.task.base(), Some(&*here.join("runs/a")));
    // What was made without reading a file, too.
    let mut config = parse(FILE, "file", &weights("w.pth")).expect("a configuration");
    config.backbone.weights = Some("other.pth".to_string());
    let saved: Table = to_toml(&config).expect("TOML").parse().expect("TOML");
    let expected = Value::from(here.join("other.pth").display().to_string());
    assert_eq!(saved["backbone"]["weights"], expected);
}

#[test]
fn a_base_is_named_where_it_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let base = write("base.toml", &FILE.replace("rank = 4", "rank = 'x'"));
    let file = write("run.toml", "base = 'base.toml'\nseed = 3\n");
    let error = load(&file, &[]).expect_err("a wrong rank").to_string();
    assert!(
        error.starts_with(&format!("{}: method.rank", base.display())),
        "{error}"
    );
    let config = load(&file, &["method.rank=8".to_string()]).expect("a configuration");
    assert_eq!(config.seed, 3);
}

#[test]
fn two_sizes_of_a_file_and_its_base_are_both_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let size = "evaluation.size.fit = { long = 64, short = 32 }\n";
    write("base.toml", &format!("{size}{FILE}"));
    let size = "evaluation.size.fixed = { height = 32, width = 64 }\n";
    let file = write("run.toml", &format!("base = 'base.toml'\n{size}"));
    let error = load(&file, &[]).expect_err("two sizes");
    assert_eq!(
        error.to_string(),
        format!(
            "{}: evaluation.size has `fit` and `fixed`; it must have one of them",
            file.display()
        )
    );
    assert!(error.hint().expect("a hint").contains("--set"));
    let set = "evaluation.size={ fixed = { height = 16, width = 48 } }";
    let config = load(&file, &[set.to_string()]).expect("one size");
    let evaluation = &config.task.segmentation().expect("segmentation").evaluation;
    let expected = EvaluationSize::Fixed {
        height: 16,
        width: 48,
    };
    assert_eq!(evaluation.size, expected);
}

/// What a table that is set leaves out is missing: no file has it any longer.
#[test]
fn a_table_that_is_set_is_blamed_for_what_it_leaves_out() {
    let (message, _) = refused(FILE, &["method={ rank = 8 }"]);
    assert_eq!(
        message,
        "--set method={ rank = 8 }: missing key `method.name`"
    );
    let set = ["method={ name = \"e3va\" }".to_string()];
    let config = parse(FILE, "file", &set).expect("a configuration");
    let default = method("e3va", &[]).expect("a method");
    assert_eq!(config.method, default);
}

#[test]
fn a_detector_needs_stages_of_different_sizes() {
    let file = FILE
        .replace("swin_mini", "vit_mini")
        .replace("segformer\", channels = 16", "mask_rcnn\"")
        .replace("\"synthetic\"", "\"coco\", root = \"/data\"");
    let (message, _) = refused(&file, &[]);
    assert!(
        message.ends_with(
            "head.name = \"mask_rcnn\" needs stages whose strides double; all stages of `vit_mini` have a stride of 14"
        ),
        "{message}"
    );
    parse(&file.replace("vit_mini", "swin_mini"), "run.toml", &[]).expect("a configuration");
}

#[test]
fn each_of_several_methods_takes_the_keys_that_it_has() {
    let set = Overrides::set(&["method.rank=8", "seed=2"]).expect("overrides");
    let compared = set
        .by_method("--methods", &["fixed", "lora", "e3va"])
        .expect("methods");
    let left_out: Vec<_> = compared.iter().map(|one| one.left_out.clone()).collect();
    assert_eq!(left_out, [vec!["method.rank".to_string()], vec![], vec![]]);
    let ranks = compared.into_iter().map(|one| {
        let source = Source::text(FILE, "file")
            .expect("TOML")
            .under(one.overrides);
        let config = source.config().expect("a configuration");
        assert_eq!(config.seed, 2);
        let table = Table::try_from(&config.method).expect("a table");
        table.get("rank").and_then(Value::as_integer)
    });
    assert_eq!(ranks.collect::<Vec<_>>(), [None, Some(8), Some(8)]);

    let error = |entry: &str, methods: &[&str]| {
        let set = Overrides::set(&[entry]).expect("overrides");
        set.by_method("--methods", methods).expect_err("refused")
    };
    let refused = |entry: &str, methods: &[&str]| error(entry, methods).to_string();
    assert_eq!(
        refused("method.rank=8", &["fixed", "full"]),
        "--set method.rank=8: unknown field `rank` in [method]"
    );
    assert_eq!(
        error("method.rank=8", &["fixed", "full"]).hint().as_deref(),
        Some("none of these methods has such a key: fixed, full")
    );
    // The nearest key is that of another method than the first.
    assert_eq!(
        refused("method.rnk=8", &["fixed", "full", "e3va"]),
        "--set method.rnk=8: unknown field `rnk` in [method]; did you mean `rank`?"
    );
    assert_eq!(
        refused("method.name=full", &["lora"]),
        "--set method.name=full: `method.name` is set by --methods"
    );
    assert_eq!(
        refused("seed=1", &["lroa"]),
        "--methods: unknown method `lroa`; did you mean `lora`?"
    );
}
