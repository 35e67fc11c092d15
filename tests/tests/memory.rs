//! Peak live bytes, counted exactly: of a training step, which is the claim of a gradient highway; of attention among all
//! tokens, which grows linearly with their number; and of a prediction in windows.
//!
//! The count is that of the whole process, so the tests of this file take turns.

#![allow(clippy::print_stdout, reason = "what was measured belongs in the log")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::backend::{Autodiff, Flex};
use burn::tensor::{DType, Tensor};
use gradway::trainer::memory::{self, CountingAllocator};
use gradway::trainer::{Labels, Segmentation, Trainer, config};
use gradway_backbone::{AnyBackbone, Backbone, BackboneConfig, Phase, Untouched};
use gradway_kernels::{Rotations, self_attention};
use gradway_tests::formula::scaled;
use gradway_tests::scenes;

type Train = Autodiff<Flex>;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Held by the test whose bytes are counted.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed has counted to its end.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

const CONFIG: &str = r#"
backbone = { name = "swin_tiny" }
method = { name = "e3va" }
head = { name = "segformer" }
data = { format = "synthetic", width = 224, height = 224 }
"#;

const BATCH: usize = 4;
const SIDE: u32 = 224;

/// The most live bytes of a training step with weights, gradients and both moments in place.
fn peak_of_a_step(method: &str) -> usize {
    let device = Default::default();
    let overrides = [format!("method.name={method}")];
    let config = config::parse(CONFIG, "the test", &overrides).expect("a configuration");
    let batch = scenes(BATCH, SIDE);
    let mut model =
        Segmentation::<Train>::new(&config, &Labels::unnamed(12), &device).expect("a model");
    let mut trainer = Trainer::new(&config, &model, 10, &device);
    let mut peak = None;
    // The first step makes the moments, so that the second is like all others.
    for _ in 0..2 {
        let (next, report) = trainer
            .step(model, std::slice::from_ref(&batch))
            .expect("a step");
        model = next;
        peak = report.peak_bytes;
    }
    peak.expect("the allocator counts")
}

/// The most live bytes beyond those before, while an image of `side` pixels is predicted.
fn peak_of_a_prediction(side: u32, evaluation: &str) -> usize {
    let device = Default::default();
    let overrides = [
        "method.name=fixed".to_string(),
        format!("evaluation={{ {evaluation} }}"),
    ];
    let config = config::parse(CONFIG, "the test", &overrides).expect("a configuration");
    let image = scenes(1, side);
    let model =
        Segmentation::<Train>::new(&config, &Labels::unnamed(12), &device).expect("a model");
    let model = model.inference();
    // What is made once, such as weights that are laid out anew, is there after a first one.
    let mut needed = 0;
    for _ in 0..2 {
        memory::reset_peak();
        let before = memory::live().expect("the allocator counts");
        assert_eq!(model.predict(&image, &device).len(), 1);
        needed = memory::peak().expect("the allocator counts") - before;
    }
    needed
}

/// In windows, only maps of classes grow with an image: its logits, and the sum of probabilities.
fn windows_bound_what_a_prediction_needs() {
    let windows = "batch_size = 2, size = { slide = { crop = 112, stride = 80 } }";
    let grown = |evaluation: &str| {
        let [small, large] = [224, 448].map(|side| peak_of_a_prediction(side, evaluation));
        println!("peak bytes of a prediction, `{evaluation}`: {small} at 224, {large} at 448");
        large - small
    };
    let map = 4 * 12 * (448 * 448 - 224 * 224);
    let (whole, slid) = (grown(""), grown(windows));
    let views = grown(&format!("flip = true, {windows}"));
    println!(
        "growth in maps of 12 classes: {whole}, in windows {slid}, with a flip {views}, one map {map}"
    );
    // Two maps, and three with a flip; a whole image has the maps of the network beside them.
    assert!(2 * slid <= 5 * map, "{slid}, one map is {map}");
    assert!(2 * views <= 7 * map, "{views}, one map is {map}");
    assert!(
        whole >= slid + map,
        "{whole}, in windows {slid}, one map is {map}"
    );
}

#[test]
fn e3va_needs_at_most_two_fifths_of_full_and_little_more_than_fixed() {
    let _turn = turn();
    let [fixed, e3va, full] = ["fixed", "e3va", "full"].map(peak_of_a_step);
    let mebibytes = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    println!(
        "peak MiB of a step, Swin-T, 224, batch 4: fixed {:.1}, e3va {:.1}, full {:.1}",
        mebibytes(fixed),
        mebibytes(e3va),
        mebibytes(full)
    );
    let to_full = e3va as f64 / full as f64;
    let to_fixed = e3va as f64 / fixed as f64;
    println!("e3va / full {to_full:.3}, e3va / fixed {to_fixed:.3}");
    assert!(to_full <= 0.40, "e3va / full {to_full}");
    assert!(to_fixed <= 1.6, "e3va / fixed {to_fixed}");

    // The same step again: the count may differ by what thread pools keep, not by a map.
    let again = peak_of_a_step("e3va");
    assert!(again.abs_diff(e3va) < 1 << 20, "{e3va} and {again} bytes");

    windows_bound_what_a_prediction_needs();
}

/// The most bytes that work needs beyond what was live before.
fn bytes_of<T>(work: impl Fn() -> T) -> usize {
    // What thread pools and caches keep is there after the first time.
    drop(work());
    let before = memory::live().expect("the allocator counts");
    memory::reset_peak();
    drop(work());
    memory::peak().expect("the allocator counts") - before
}

/// Of a ViT-S: six heads of 64 channels.
const HEADS: usize = 6;
const CHANNELS: usize = 384;

/// Numbers of tokens, each twice the one before but for the class token.
const TOKENS: [usize; 3] = [1025, 2049, 4097];

/// Asserts that bytes at least grow with the tokens and are at most 2.1 times as many at each doubling; all scores of all pairs
/// would be four times as many. Returns the bytes at the most tokens.
fn assert_linear(what: &str, bytes: [usize; 3]) -> usize {
    println!("peak bytes of {what} at {TOKENS:?} tokens: {bytes:?}");
    for pair in bytes.windows(2) {
        let ratio = pair[1] as f64 / pair[0] as f64;
        assert!((1.2..2.1).contains(&ratio), "{what}: {ratio} of {bytes:?}");
    }
    bytes[2]
}

fn queries_keys_values(tokens: usize) -> Tensor<Flex, 3> {
    let data = scaled("qkv", &[1, tokens, 3 * CHANNELS], 1.0, 0.0);
    Tensor::from_data(data, &Default::default())
}

fn rotations(tokens: usize) -> Rotations<Flex> {
    let angles = scaled("angles", &[tokens, CHANNELS / HEADS / 2], 3.0, 0.0);
    let angles: Tensor<Flex, 2> = Tensor::from_data(angles, &Default::default());
    Rotations {
        cosines: angles.clone().cos(),
        sines: angles.sin(),
    }
}

#[test]
fn attention_needs_bytes_linear_in_tokens() {
    let _turn = turn();
    let forward = TOKENS.map(|tokens| {
        let (qkv, turns) = (queries_keys_values(tokens), rotations(tokens));
        bytes_of(|| self_attention(qkv.clone(), HEADS, Some(turns.clone())))
    });
    let both = TOKENS.map(|tokens| {
        let qkv = Tensor::<Train, 3>::from_inner(queries_keys_values(tokens)).require_grad();
        bytes_of(|| {
            let output = self_attention(qkv.clone(), HEADS, None);
            let gradients = output.sum().backward();
            qkv.grad(&gradients).expect("a gradient")
        })
    });
    let rounded = TOKENS.map(|tokens| {
        let qkv = queries_keys_values(tokens).cast(DType::BF16);
        bytes_of(|| self_attention(qkv.clone(), HEADS, None))
    });
    for (what, bytes) in [
        ("attention", forward),
        ("attention and its gradient", both),
        ("attention in bfloat16", rounded),
    ] {
        let most = assert_linear(what, bytes);
        // Even with all scores of a single head it would be more.
        let scores = TOKENS[2] * TOKENS[2] * size_of::<f32>();
        assert!(most < scores, "{what}: {most} of {scores}");
    }
}

/// Its tokens are three more than the patches, those of [`TOKENS`] one more.
#[test]
fn a_plain_vision_transformer_needs_bytes_linear_in_tokens() {
    let _turn = turn();
    let config = BackboneConfig::named("vit_mini");
    let patches = TOKENS.map(|tokens| [32, (tokens - 1) / 32]);
    let images = |[height, width]: [usize; 2]| {
        let data = scaled("images", &[1, 3, 14 * height, 14 * width], 1.0, 0.0);
        Tensor::<Flex, 4>::from_data(data, &Default::default())
    };
    let frozen: AnyBackbone<Flex> = config.init(&Default::default()).expect("a name");
    let inference = patches.map(|grid| {
        let images = images(grid);
        bytes_of(|| frozen.forward(images.clone(), Phase::Inference, &mut Untouched))
    });
    let trained: AnyBackbone<Train> = config.init(&Default::default()).expect("a name");
    let both = patches.map(|grid| {
        let images = Tensor::from_inner(images(grid));
        let phase = Phase::Training { seed: 0 };
        bytes_of(|| {
            let stages = trained.forward(images.clone(), phase, &mut Untouched);
            let sums = stages.into_iter().map(Tensor::sum);
            sums.reduce(|sum, one| sum + one).map(|sum| sum.backward())
        })
    });
    assert_linear("vit_mini", inference);
    assert_linear("vit_mini and its gradients", both);
}
