//! `gradway bench`, and tables of what it measured.

use std::fs;

use crate::common::{SCENES, fail, json_of, run, succeed, text, tiny_config};

/// Keys of a method hold where an option names it.
#[test]
fn a_method_is_measured_as_it_is_configured() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let parameters = |set: &[&str]| {
        let mut arguments = vec!["params", text(&config), "--json"];
        set.iter()
            .for_each(|entry| arguments.extend(["--set", entry]));
        json_of(&succeed(&arguments))["total"].clone()
    };
    let measured = |methods: &str, set: &[&str]| {
        let mut arguments = vec!["bench", "speed", text(&config), "--methods", methods];
        arguments.extend(["--steps", "1", "--json"]);
        set.iter()
            .for_each(|entry| arguments.extend(["--set", entry]));
        json_of(&succeed(&arguments))
    };
    let small = parameters(&["method.rank=8", "method.name=lora"]);
    assert_eq!(small, parameters(&["method.name=lora", "method.rank=8"]));
    assert_ne!(small, parameters(&["method.name=lora"]));
    let rows = measured("lora,fixed", &["method.rank=8"]);
    assert_eq!(rows[0]["parameters"], small);
    assert_eq!(rows[1]["method"], "fixed");

    let refused = |set: &str| {
        let config = text(&config);
        fail(&[
            "bench",
            "speed",
            config,
            "--methods",
            "fixed,lora",
            "--set",
            set,
        ])
    };
    let error = refused("method.rnk=8");
    // The keys of every method count, not only those of the first.
    let expected =
        "error: --set method.rnk=8: unknown field `rnk` in [method]; did you mean `rank`?";
    assert!(error.starts_with(expected), "{error}");
    let error = refused("method.name=full");
    let expected = "error: --set method.name=full: `method.name` is set by --methods";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_step_is_measured_method_by_method() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let measure = |what: &str| {
        let arguments = [
            "bench",
            what,
            text(&config),
            "--methods",
            "e3va,full",
            "--steps",
            "1",
            "--json",
        ];
        json_of(&succeed(&arguments))
    };
    let rows = measure("memory");
    let names = ["e3va", "full"];
    for (name, row) in names.iter().zip(rows.as_array().expect("rows")) {
        assert_eq!(row["method"], *name);
        let bytes = |key: &str| row["bytes"][key].as_u64().expect("bytes");
        let parts = ["weights", "gradients", "optimizer", "activations"].map(bytes);
        assert!(parts.iter().all(|&part| part > 0), "{row}");
        assert_eq!(parts.iter().sum::<u64>(), bytes("peak"), "{row}");
        assert_eq!(row["provenance"]["total_batch"], 2);
        assert!(row["seconds"].as_f64().expect("seconds") > 0.0);
    }
    // One backbone, so that weights differ by the highway and gradients by the backbone.
    let bytes = |row: usize, key: &str| rows[row]["bytes"][key].as_u64().expect("bytes");
    assert!(bytes(0, "weights") > bytes(1, "weights"));
    assert!(bytes(1, "gradients") > 2 * bytes(0, "gradients"));

    // The same from a file; of a comparison beside another library, and of any other rows.
    let out = folder.path().join("out");
    fs::create_dir(&out).expect("a folder");
    let write = |name: &str, text: &str| fs::write(out.join(name), text).expect("a file");
    write("memory.json", &rows.to_string());
    let beside = r#"[{ "case": "a step", "unit": "seconds", "gradway": 0.1205, "pytorch": 0.1635,
        "ratio": 0.74, "spread": [0.7, 0.81] }]"#;
    write("times.json", beside);
    write(
        "z.json",
        r#"[{ "seconds": 0.5, "tasks": 4, "method": "e3va" }]"#,
    );
    let markdown = succeed(&["report", text(&out), "--markdown"]);
    let saved = |row: usize| 1.0 - bytes(row, "peak") as f64 / bytes(1, "peak") as f64;
    for expected in [
        "### memory\n\n| method | trainable | seconds per step | fastest | slowest | of full |\n",
        &format!("| {:.2} |\n| `full` |", 100.0 * saved(0)),
        "| `a step` | 120.50 | 163.50 | ms | 0.74 | 0.70..0.81 |\n",
        "### z\n\n| method | tasks | seconds |\n|---|---|---|\n| `e3va` | 4 | 0.500 |\n",
    ] {
        assert!(markdown.contains(expected), "{expected}\n{markdown}");
    }
    write("times.json", r#"[{ "case": "a step", "spread": [1] }]"#);
    // The others are shown all the same.
    fs::write(out.join("a.json"), "{ \"method\": ").expect("a file");
    let nothing = folder.path().join("nothing");
    for form in ["--markdown", "--json"] {
        let output = run(&["report", text(&out), text(&nothing), form]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        let printed = String::from_utf8_lossy(&output.stdout);
        let unread: &[&str] = match form {
            "--json" => &["a.json", "nothing"],
            _ => &["a.json", "nothing", "times.json"],
        };
        for name in unread {
            let said = |line: &str| line.starts_with("not shown: ") && line.contains(name);
            assert!(errors.lines().any(said), "{name}: {errors}");
        }
        let expected = format!("error: {} results not shown", unread.len());
        assert!(errors.contains(&expected), "{errors}");
        assert!(printed.contains("z"), "{printed}");
        assert_eq!(errors.lines().count(), unread.len() + 1, "{errors}");
    }

    let lines = succeed(&[
        "bench",
        "speed",
        text(&config),
        "--methods",
        "fixed",
        "--steps",
        "1",
    ]);
    assert!(lines.contains("\nfixed "), "{lines}");
    let error = fail(&["bench", "speed", text(&config), "--methods", "fixt"]);
    assert!(
        error.contains("unknown method `fixt`; did you mean `fixed`?"),
        "{error}"
    );
}

#[test]
fn a_method_that_does_not_fit_is_refused_before_the_first_is_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let backbone = "backbone={ name = \"efficientnet_lite0\" }";
    let output = run(&[
        "bench",
        "memory",
        text(&config),
        "--methods",
        "fixed,adaptformer",
        "--set",
        backbone,
    ]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.starts_with("error: method.name = \"adaptformer\" does not fit this backbone"),
        "{errors}"
    );
}
