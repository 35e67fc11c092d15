//! Weights on the hub, as a user names them: `pretrained`, `hf:...`, against a hub on the loopback interface.

#[path = "../../../hub/tests/common/mod.rs"]
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use self::server::{COMMIT, Fault, Route, Server};
use crate::common::{gradway, json_of, text};

const EMBEDDED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../backbone/weights/efficientnet_lite0.safetensors"
);
const BACKBONE: &str = "efficientnet_lite0";
const REPOSITORY: &str = "timm/tf_efficientnet_lite0.in1k";

/// A hub with the canonical file of [`BACKBONE`], which here is the embedded one, and a home with an empty cache.
struct World {
    server: Server,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let bytes = fs::read(EMBEDDED).expect("weights");
        Self {
            server: Server::of(REPOSITORY, &[("model.safetensors", &bytes)]),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pinned(&self) -> String {
        format!("hf:{REPOSITORY}/model.safetensors@{COMMIT}")
    }

    fn file(&self) -> PathBuf {
        let folder = format!(
            "home/hub/models--{}/snapshots",
            REPOSITORY.replace('/', "--")
        );
        self.path(&folder).join(COMMIT).join("model.safetensors")
    }

    /// The binary with this home and this hub, whatever the environment of the tests has.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = gradway(arguments);
        for (name, _) in std::env::vars() {
            let name_in_capitals = name.to_ascii_uppercase();
            let is_of_network = name.starts_with("HF_") || name_in_capitals.ends_with("_PROXY");
            if is_of_network || name == "TRANSFORMERS_OFFLINE" || name == "SSL_CERT_FILE" {
                command.env_remove(name);
            }
        }
        command.env("HF_HOME", self.path("home"));
        command.env("HF_ENDPOINT", self.server.endpoint());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary starts")
    }

    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        errors
    }

    /// The same without a connection.
    fn offline(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command
            .env("HF_HUB_OFFLINE", "1")
            .output()
            .expect("the binary starts")
    }

    /// A configuration that trains in seconds.
    fn config(&self, weights: &str) -> PathBuf {
        let path = self.path("run.toml");
        let config = format!(
            r#"
backbone = {{ name = "{BACKBONE}", weights = "{weights}" }}
method = {{ name = "fixed" }}
head = {{ name = "segformer", channels = 16 }}
data = {{ format = "synthetic", width = 40, height = 36, train_samples = 2, val_samples = 1 }}
augment = {{ crop_size = [32, 32] }}
schedule = {{ warmup_steps = 0 }}
loader = {{ batch_size = 2 }}
train = {{ epochs = 1 }}
"#
        );
        fs::write(&path, config).expect("written");
        path
    }

    fn routes(&self) -> Vec<Route> {
        self.server.routes()
    }

    /// The parts that were asked of the storage. The hub, which redirects there, is asked for the same ones.
    fn ranges(&self) -> Vec<String> {
        let requests = self.server.requests().into_iter();
        let of_storage = requests.filter(|request| request.route == Route::Storage);
        of_storage.filter_map(|request| request.range).collect()
    }
}

/// One image of 32x32 that is not constant.
fn images(path: &Path) {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 32, 32), }";
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:<117}\n").bytes());
    let numbers = (0..3 * 32 * 32_u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5);
    bytes.extend(numbers.flat_map(f32::to_le_bytes));
    fs::write(path, bytes).expect("written");
}

#[test]
fn weights_are_fetched_once_listed_and_found_without_a_connection() {
    let world = World::new();
    let absent: Value = json_of(&world.succeed(&["weights", "list", "--json"]));
    let line = |list: &Value| {
        let lines = list.as_array().expect("a list").clone();
        lines
            .into_iter()
            .find(|line| line["backbone"] == BACKBONE)
            .expect("a line")
    };
    assert_eq!(
        line(&absent)["reference"],
        format!("hf:{REPOSITORY}/model.safetensors")
    );
    assert!(line(&absent).get("cached").is_none());
    assert!(world.routes().is_empty());

    let output = world.run(&["weights", "fetch", BACKBONE]);
    assert!(output.status.success());
    // The path alone on standard output, and no progress where there is no terminal.
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim_end(),
        text(&world.file())
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(
        fs::read(world.file()).expect("a file"),
        fs::read(EMBEDDED).expect("a file")
    );
    assert_eq!(world.routes(), [Route::Head, Route::Get, Route::Storage]);

    for name in [BACKBONE, &format!("hf:{REPOSITORY}"), &world.pinned()] {
        let output = world.offline(&["weights", "fetch", name, "--json"]);
        assert!(output.status.success(), "{name}");
        let report = json_of(&String::from_utf8_lossy(&output.stdout));
        assert_eq!(report["reference"], world.pinned());
        assert_eq!(report["path"], text(&world.file()));
    }
    let cached = line(&json_of(&world.succeed(&["weights", "list", "--json"])));
    assert_eq!(cached["cached"]["path"], text(&world.file()));
    assert_eq!(cached["cached"]["reference"], world.pinned());
    let length = fs::metadata(EMBEDDED).expect("a file").len();
    assert_eq!(cached["cached"]["bytes"], length);
    assert_eq!(cached["gated"], false);
    let table = world.succeed(&["weights", "list"]);
    assert!(table.contains(text(&world.file())), "{table}");
    let gated = table
        .lines()
        .find(|line| line.contains("dinov3_small "))
        .expect("a line");
    assert!(gated.contains(" gated"), "{gated}");
    assert!(world.routes().is_empty());
}

#[test]
fn every_command_takes_every_form() {
    let world = World::new();
    let (input, output) = (world.path("images.npy"), world.path("features.safetensors"));
    images(&input);
    let whole = format!("hf:{REPOSITORY}/model.safetensors@main");
    let features = |weights: &str| {
        let mut arguments = vec!["features", "--backbone", BACKBONE, "--weights", weights];
        arguments.extend(["--input", text(&input), "--output", text(&output)]);
        world.succeed(&arguments);
        fs::read(&output).expect("features")
    };
    let hash = |weights: &str| {
        let found = world.succeed(&[
            "weights",
            "inspect",
            weights,
            "--backbone",
            BACKBONE,
            "--json",
        ]);
        json_of(&found)["import"]["hash"].clone()
    };
    let converted = |weights: &str| {
        let mut arguments = vec![
            "weights",
            "convert",
            weights,
            "--backbone",
            BACKBONE,
            "--half",
        ];
        arguments.extend(["--output", text(&output)]);
        world.succeed(&arguments);
        fs::read(&output).expect("weights")
    };
    let expected = (features(EMBEDDED), hash(EMBEDDED), converted(EMBEDDED));
    assert!(expected.1.is_string());
    for weights in ["embedded", "pretrained", &whole] {
        let found = (features(weights), hash(weights), converted(weights));
        assert!(found == expected, "{weights}");
    }
    let config = world.config("pretrained");
    world.succeed(&["params", text(&config), "--classes", "4"]);
    let listing = world.succeed(&["weights", "inspect", &whole]);
    assert!(listing.contains("stem.weight"), "{listing}");
    let error = world.fail(&["weights", "inspect", "pretrained"]);
    assert!(
        error.contains("`pretrained`") && error.contains("--backbone"),
        "{error}"
    );
}

#[test]
fn a_run_records_the_commit_and_needs_no_hub_from_then_on() {
    let world = World::new();
    let (config, run) = (world.config("pretrained"), world.path("run"));
    world.succeed(&["train", text(&config), "--out", text(&run)]);
    assert_eq!(world.routes(), [Route::Head, Route::Get, Route::Storage]);
    let saved = fs::read_to_string(run.join("config.toml")).expect("a file");
    assert!(
        saved.contains(&format!("weights = \"{}\"", world.pinned())),
        "{saved}"
    );
    let result = json_of(&fs::read_to_string(run.join("result.json")).expect("a file"));
    assert_eq!(result["weights"]["source"], world.pinned());
    let hash = json_of(&world.succeed(&[
        "weights",
        "inspect",
        EMBEDDED,
        "--backbone",
        BACKBONE,
        "--json",
    ]));
    assert_eq!(result["weights"]["hash"], hash["import"]["hash"]);

    // The branch moves on, which the run does not.
    let other = fs::read(EMBEDDED)
        .expect("a file")
        .into_iter()
        .rev()
        .collect::<Vec<u8>>();
    world
        .server
        .replace("model.safetensors", &other, &"f".repeat(40));
    world.succeed(&["eval", text(&run)]);
    world.succeed(&["train", text(&config), "--resume", text(&run)]);
    let adapter = world.path("adapter");
    world.succeed(&["export", text(&run), "--output", text(&adapter)]);
    assert!(world.routes().is_empty());
    assert!(world.offline(&["eval", text(&run)]).status.success());

    // Elsewhere, the commit is fetched again.
    fs::remove_dir_all(world.path("home")).expect("a folder");
    world.server.replace(
        "model.safetensors",
        &fs::read(EMBEDDED).expect("a file"),
        COMMIT,
    );
    let output = world.offline(&["eval", text(&run)]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains(&format!("backbone.weights = \"{}\"", world.pinned())),
        "{errors}"
    );
    assert!(errors.contains("HF_HUB_OFFLINE is set"), "{errors}");
    assert!(
        errors.contains(&format!(
            "hint: fetch it where there is a connection (`gradway weights fetch {}`",
            world.pinned()
        )),
        "{errors}"
    );
    world.succeed(&["eval", text(&run)]);

    let error = world.fail(&[
        "train",
        text(&world.config("hf:a/b")),
        "--resume",
        text(&run),
    ]);
    assert!(error.contains("differs from"), "{error}");
}

#[test]
fn a_run_whose_weights_cannot_be_fetched_leaves_no_folder_and_the_next_one_starts() {
    let world = World::new();
    let (config, run) = (world.config("pretrained"), world.path("run"));
    let train = ["train", text(&config), "--out", text(&run)];
    let named = format!("{}: backbone.weights = \"pretrained\": ", text(&config));

    world.server.refuse(Route::Head, 403, "GatedRepo");
    let error = world.fail(&train);
    assert!(
        error.starts_with(&format!(
            "error: {named}{}/{REPOSITORY} is gated",
            world.server.endpoint()
        )),
        "{error}"
    );
    assert!(error.contains("hint: accept the terms at"), "{error}");
    world.server.refuse(Route::Head, 404, "RepoNotFound");
    let error = world.fail(&train);
    assert!(
        error.contains(&format!("{named}there is no repository")),
        "{error}"
    );
    world.server.fail(Route::Storage, Fault::WrongByte);
    let error = world.fail(&train);
    assert!(
        error.contains(&named) && error.contains("nothing of it is used"),
        "{error}"
    );
    assert!(!run.exists());
    assert!(!world.file().exists());

    // What breaks in the middle is gone on with.
    world.routes();
    world
        .server
        .fail(Route::Storage, Fault::BreakAfter(3_000_000));
    world.succeed(&train);
    assert_eq!(world.ranges(), ["bytes=3000000-"]);
}

#[test]
fn data_that_cannot_be_opened_is_told_before_a_download() {
    let world = World::new();
    let config = world.config("pretrained");
    let arguments = [
        "train",
        text(&config),
        "--set",
        "data={ format = \"ade20k\", root = \"/nowhere\" }",
    ];
    let error = world.fail(&arguments);
    assert!(error.contains("/nowhere"), "{error}");
    assert!(world.routes().is_empty(), "{error}");
}

#[test]
fn what_is_no_reference_is_told_with_its_key_before_anything_is_read() {
    let world = World::new();
    let config = world.config("hf:timm");
    let error = world.fail(&["train", text(&config)]);
    assert!(error.contains("backbone.weights = \"hf:timm\""), "{error}");
    assert!(error.contains("hf:OWNER/NAME[/FILE][@REVISION]"), "{error}");
    let config = world.config("pretrained");
    let error = world.fail(&[
        "train",
        text(&config),
        "--set",
        "backbone={ name = \"swin_mini\", weights = \"pretrained\" }",
    ]);
    assert!(
        error.contains("`swin_mini` has no canonical weights on the hub"),
        "{error}"
    );
    let error = world.fail(&["weights", "fetch", "swin_mini"]);
    assert!(error.contains("hint: set a weight file"), "{error}");
    let error = world.fail(&["weights", "fetch", "efficientnet_lite9"]);
    assert!(error.contains("did you mean `efficientnet_lite"), "{error}");
    let arguments = [
        "features",
        "--backbone",
        BACKBONE,
        "--weights",
        "hf:a",
        "--input",
        "a",
        "--output",
        "b",
    ];
    let output = world.run(&arguments);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("--weights") && errors.contains("`a/` is not a repository"),
        "{errors}"
    );
    assert!(world.routes().is_empty());
}

/// Ends a run with a signal while its weights are downloaded.
#[cfg(unix)]
#[test]
fn a_signal_ends_a_download_and_its_part_is_kept() {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use crate::common::signal;

    let world = World::new();
    let (config, run) = (world.config("pretrained"), world.path("run"));
    world
        .server
        .fail(Route::Storage, Fault::StallAfter(2_000_000));
    let mut command = world.command(&["train", text(&config), "--out", text(&run)]);
    // The signal is noticed when the connection is given up.
    command.env("HF_HUB_DOWNLOAD_TIMEOUT", "2");
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let blobs = world.path(&format!(
        "home/hub/models--{}/blobs",
        REPOSITORY.replace('/', "--")
    ));
    let part = || {
        let files = fs::read_dir(&blobs).into_iter().flatten().flatten();
        files
            .map(|file| file.metadata().map_or(0, |file| file.len()))
            .sum::<u64>()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while part() < 2_000_000 {
        assert!(Instant::now() < deadline, "no download");
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&child, "-INT");
    assert_eq!(child.wait().expect("gone").code(), Some(130));
    assert!(!run.exists());
    world.routes();
    world.succeed(&["train", text(&config), "--out", text(&run)]);
    assert_eq!(world.ranges(), ["bytes=2000000-"]);
}
