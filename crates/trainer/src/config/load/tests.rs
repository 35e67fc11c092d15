use std::path::PathBuf;

use gradway_data::{EvaluationSize, SlideConfig, TaskKind};

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
            "evaluation.size = \"orignal\"; it must be `original`, `fixed`, `fit` or `slide`; \
             did you mean `original`?",
        ),
        // A word that stands before a table.
        (
            "evaluation.size=fit",
            "evaluation.size = \"fit\"; `fit` needs a table: { fit = { ... } }",
        ),
        (
            "evaluation.size=slide",
            "evaluation.size = \"slide\"; `slide` needs a table: { slide = { ... } }",
        ),
        // A number, or two.
        (
            "evaluation.size={ slide = { crop = 64, stride = -3 } }",
            "evaluation.size.slide.stride = -3; it must be a whole number, or [height, width]",
        ),
        (
            "evaluation.size={ slide = { crop = \"64\", stride = 32 } }",
            "evaluation.size.slide.crop = \"64\"; it must be a whole number, or [height, width]",
        ),
        (
            "evaluation.size={ slide = { crop = [64, 64, 64], stride = 32 } }",
            "evaluation.size.slide.crop = [64, 64, 64]; it must be a list of 2",
        ),
        (
            "evaluation.size={ slide = { crop = [64, 6.5], stride = 32 } }",
            "evaluation.size.slide.crop = [64, 6.5]; every entry must be a whole number, 0 or more",
        ),
        (
            "evaluation.size={ slide = { crop = 64 } }",
            "missing key `evaluation.size.slide.stride`",
        ),
        (
            "evaluation.size={ fit = { long = 64 } }",
            "missing key `evaluation.size.fit.short`",
        ),
        (
            "evaluation.size={ slide = { crop = 64, stide = 32 } }",
            "unknown field `stide` in [evaluation.size.slide]; did you mean `stride`?",
        ),
        (
            "evaluation.size={ slide = { crop = 64, stride = 65 } }",
            "`evaluation.size.slide.stride` = [65, 65]: expected at most `crop`, [64, 64]: the pixels between two \
             windows would not be predicted",
        ),
        (
            "evaluation.size={ slide = { crop = [64, 16], stride = 16 } }",
            "`evaluation.size.slide.crop` = [64, 16]: expected at least 32, the stride of the coarsest map",
        ),
        (
            "evaluation.flip=both",
            "evaluation.flip = \"both\"; it must be true or false",
        ),
        (
            "evaluation.scales=1.5",
            "evaluation.scales = 1.5; it must be a list",
        ),
        (
            "evaluation.scales=[]",
            "`evaluation.scales` = []: expected a list of one or more factors, each from 0.01 to 100",
        ),
        (
            "evaluation.scales=[1, -0.5]",
            "`evaluation.scales` = [1.0, -0.5]: expected a list of one or more factors, each from 0.01 to 100",
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
        "a configuration has `seed`, `backbone`, `method`, `neck`, `data`, `loader`, `optimizer`, \
         `schedule`, `train`, `head`, `loss`, `augment` and `evaluation`"
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
        // The only table that may be left out of what is written.
        let neck = [String::from("neck.name=none")];
        let config = parse(&file, "file", &neck).expect("a configuration");
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
    let published = file.replace("swin_mini", "swin_tiny");
    let on_hub = "hf:facebook/dinov2-small";
    for name in ["embedded", "pretrained", on_hub, "$WEIGHTS/w.pth", "/w.pth"] {
        let config = parse(&published, "file", &weights(name)).expect("a configuration");
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

/// The file with another backbone and another head.
fn file_with(backbone: &str, head: &str) -> String {
    let file = FILE
        .replace("swin_mini", backbone)
        .replace("segformer\", channels = 16", &format!("{head}\""));
    match head.contains("rcnn") || head == "retinanet" {
        true => file.replace("\"synthetic\"", "\"coco\", root = \"/data\""),
        false => file,
    }
}

#[test]
fn backbone_and_head_choose_the_neck() {
    for (backbone, head, expected) in [
        ("swin_mini", "segformer", "none"),
        ("swin_mini", "upernet", "none"),
        ("swin_mini", "mask_rcnn", "none"),
        ("efficientnet_lite0", "dpt", "none"),
        ("vit_mini", "segformer", "none"),
        ("vit_mini", "hrnet", "none"),
        ("vit_mini", "fcn", "none"),
        ("vit_mini", "linear", "none"),
        ("vit_mini", "dpt", "none"),
        ("vit_mini", "upernet", "pyramid"),
        ("vit_mini", "retinanet", "simple_pyramid"),
        ("vit_mini", "faster_rcnn", "simple_pyramid"),
        ("vit_mini", "cascade_mask_rcnn", "simple_pyramid"),
    ] {
        let config = parse(&file_with(backbone, head), "run.toml", &[]).expect("a configuration");
        let neck = config.neck().expect("a neck");
        assert_eq!(neck.name(), expected, "{head} on {backbone}");
        // Absent where it was: the rule belongs to the file.
        assert!(!to_toml(&config).expect("TOML").contains("[neck]"));
    }
}

#[test]
fn a_neck_that_is_named_is_taken() {
    let file = file_with("vit_mini", "upernet");
    let named = |neck: &str| parse(&format!("{file}\nneck = {neck}\n"), "run.toml", &[]);
    let config = named("{ name = \"none\" }").expect("a configuration");
    assert_eq!(config.neck().expect("a neck").name(), "none");
    let config = named("{ name = \"simple_pyramid\", channels = 32, scales = [2, 1] }");
    // The auxiliary decoder reads the third map.
    let error = config.expect_err("two maps").to_string();
    assert!(error.contains("head.auxiliary.stage = 2"), "{error}");
    let config = named("{ name = \"simple_pyramid\", channels = 32, scales = [2, 1, 0.5] }");
    let config = config.expect("a configuration");
    let again = parse(&to_toml(&config).expect("TOML"), "saved", &[]).expect("a configuration");
    assert_eq!(config, again);
    for (neck, message) in [
        (
            "{ name = \"pyramide\" }",
            "unknown neck `pyramide`; did you mean `pyramid`?",
        ),
        (
            "{ name = \"none\", scales = [1] }",
            "unknown field `scales` in [neck]",
        ),
        (
            "{ name = \"pyramid\", channels = 8 }",
            "unknown field `channels` in [neck]",
        ),
        (
            "{ name = \"pyramid\", scales = [4, 2, 3, 1] }",
            "neck.scales = [4, 2, 3, 1]; it must",
        ),
        (
            "{ name = \"pyramid\", scales = [4, 2, 1] }",
            "neck.scales has 3 scales",
        ),
        ("{ scales = [4, 2, 1] }", "missing key `neck.name`"),
    ] {
        let error = named(neck).expect_err(neck).to_string();
        assert!(error.contains(message), "{neck}: {error}");
    }
}

#[test]
fn a_pyramid_of_maps_needs_stages_of_one_stride() {
    let file = file_with("swin_mini", "upernet");
    let (message, _) = refused(&file, &["neck={ name = \"pyramid\" }"]);
    assert!(
        message.contains("needs stages of one stride; those of the backbone have 4, 8, 16, 32"),
        "{message}"
    );
}

#[test]
fn a_detector_needs_maps_whose_strides_double() {
    let file = file_with("vit_mini", "mask_rcnn");
    let (message, _) = refused(&file, &["neck={ name = \"none\" }"]);
    assert!(
        message.contains(
            "head.name = \"mask_rcnn\" needs maps whose strides double; here they are 14, 14, 14, 14. On a plain \
             vision transformer neck.name must be \"simple_pyramid\" or \"pyramid\""
        ),
        "{message}"
    );
    let (message, _) = refused(
        &file,
        &["neck={ name = \"simple_pyramid\", channels = 64 }"],
    );
    assert!(
        message.contains("neck.channels = 64, but head.channels = 256"),
        "{message}"
    );
    parse(&file, "run.toml", &["head.channels=64".to_string()]).expect("a configuration");
}

#[test]
fn images_are_padded_to_the_coarsest_map() {
    for (backbone, head, stride) in [
        ("vit_mini", "segformer", 14),
        ("vit_mini", "linear", 14),
        ("vit_mini", "dpt", 28),
        ("vit_mini", "upernet", 28),
        ("vit_mini", "mask_rcnn", 28),
        ("vit_base_16", "mask_rcnn", 32),
        ("swin_mini", "dpt", 32),
    ] {
        let config = parse(&file_with(backbone, head), "run.toml", &[]).expect("a configuration");
        let input = config.input().expect("an input");
        assert_eq!(input.stride, stride, "{head} on {backbone}");
    }
}

#[test]
fn a_detector_sees_every_image_once_and_whole() {
    let file = FILE
        .replace("segformer\", channels = 16", "retinanet\"")
        .replace("\"synthetic\"", "\"coco\", root = \"/data\"");
    for (entry, shown) in [
        ("evaluation.flip=true", "flip = true"),
        ("evaluation.scales=[0.5, 1.0]", "scales = [0.5, 1.0]"),
        (
            "evaluation.size={ slide = { crop = 64, stride = 32 } }",
            "size = { slide = { crop = 64, stride = 32 } }",
        ),
    ] {
        let (message, hint) = refused(&file, &[entry]);
        let expected = format!(
            "--set {entry}: evaluation.{shown}, but head.name = \"retinanet\" is a detector, which sees every image \
             once and whole; the key is for segmentation and several dense tasks"
        );
        assert_eq!(message, expected);
        assert!(hint.contains("`evaluation.scale`"), "{hint}");
    }
    let tasks = format!("{FILE}tasks = {{ names = [\"depth\"] }}\n");
    for file in [FILE, &tasks] {
        let set = [
            "evaluation={ flip = true, scales = [1, 0.5], size = { slide = { crop = [64, 96], stride = 32 } } }",
        ];
        let set = set.map(String::from);
        let config = parse(file, "run.toml", &set).expect("a configuration");
        let evaluation = config.task.dense_evaluation().expect("a dense task");
        assert!(evaluation.flip);
        assert_eq!(evaluation.scales, [1.0, 0.5]);
        let slide = SlideConfig {
            crop: [64, 96],
            stride: [32, 32],
            base_size: None,
        };
        assert_eq!(evaluation.size, EvaluationSize::Slide(slide));
        let saved = to_toml(&config).expect("TOML");
        assert_eq!(
            parse(&saved, "saved", &[]).expect("a configuration"),
            config
        );
    }
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
