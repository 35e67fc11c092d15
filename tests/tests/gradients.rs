//! What a training step of a highway method moves: highway, output norms and head, and nothing else.

use std::collections::BTreeSet;

use gradway::trainer::{Segmentation, Trainer, config, is_statistic};
use gradway_backbone::Phase;
use gradway_tests::{Tracked, gradients, parameters, scenes};

const CONFIG: &str = r#"
backbone = { name = "swin_tiny" }
method = { name = "e3va" }
head = { name = "segformer", channels = 32 }
data = { format = "synthetic", width = 64, height = 64 }
"#;

#[test]
fn highway_output_norms_and_head_have_all_the_gradients_of_a_step() {
    let device = Default::default();
    let config = config::parse(CONFIG, "the test", &[]).unwrap();
    let batch = scenes(2, 64);
    let model = Segmentation::<Tracked>::new(&config, 12, &device).unwrap();
    // Up projections start at zero and hold back the gradients behind them until the first step.
    let mut trainer = Trainer::new(&config, &model, 10, &device);
    let (model, _) = trainer.step(model, std::slice::from_ref(&batch)).unwrap();

    let loss = model.loss(&batch, Phase::Training { seed: 0 }, &device);
    let with_gradient = gradients::<Tracked, _>(&model.trainable, &loss.backward());

    let everything = parameters::<Tracked, _>(&model.trainable).into_keys();
    let trained: BTreeSet<_> = everything.filter(|path| !is_statistic(path)).collect();
    let paths: BTreeSet<_> = with_gradient.keys().cloned().collect();
    assert_eq!(paths, trained);
    for (path, gradient) in &with_gradient {
        let moves = gradient.iter::<f32>().any(|value| value != 0.0);
        assert!(moves, "the gradient of {path} is zero");
    }
    // Swin-T has 12 blocks, each with 2 adapters of 6 parameters, and 4 output norms of 2.
    let of = |part: &str| paths.iter().filter(|path| path.contains(part)).count();
    let (highway, norms, head) = (of(".sections."), of(".norms."), of("head."));
    assert_eq!((highway, norms), (12 * 2 * 6, 4 * 2));
    assert!(head > 0);
    assert_eq!(highway + norms + head, paths.len(), "{paths:?}");
}
