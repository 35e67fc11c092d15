//! Plain vision transformers where images, grids and numbers are unusual.

use burn::tensor::{Tensor, TensorData};
use gradway_backbone::vit::{Positions, VitConfig};
use gradway_backbone::{
    AnyBackbone, Backbone, BackboneConfig, Checkpoint, Phase, Precision, Resampling, Untouched,
    export, export_header, hash_module, import, write_tensors,
};
use gradway_tests::formula::{parameter, scaled};
use gradway_tests::{Plain, Tensors, assert_close, checkpoint, relative_error};

const PATCH: usize = 14;

/// A network of two blocks at every stage.
fn config(positions: Positions) -> VitConfig {
    VitConfig {
        patch: PATCH,
        channels: 32,
        heads: 2,
        blocks: 8,
        registers: 2,
        positions,
        epsilon: 1e-6,
        layer_scale: true,
        swiglu: positions == Positions::Rotary,
        qkv_bias: true,
        halves: false,
        resampling: None,
        drop_path: 0.0,
    }
}

const LEARNT: Positions = Positions::Learnt {
    side: 5,
    class: false,
};

/// A network with the weights of the formula, through the import of a file.
fn network(config: VitConfig) -> AnyBackbone<Plain> {
    let vit = AnyBackbone::Vit(config.init::<Plain>(&Default::default()));
    let tensors: Tensors = export(&vit)
        .into_iter()
        .map(|(name, data)| {
            let weights = parameter(&name, data.shape.as_slice());
            (name, weights)
        })
        .collect();
    import(vit, &checkpoint("the formula", &tensors)).unwrap().0
}

fn images(shape: [usize; 4]) -> Tensor<Plain, 4> {
    Tensor::from_data(scaled("images", &shape, 1.7, 0.0), &Default::default())
}

fn stages(network: &AnyBackbone<Plain>, images: Tensor<Plain, 4>, phase: Phase) -> Vec<TensorData> {
    let stages = network.forward(images, phase, &mut Untouched);
    assert_eq!(stages.len(), 4);
    stages.into_iter().map(Tensor::into_data).collect()
}

#[test]
fn an_image_of_any_size_is_padded_at_the_right_and_bottom() {
    for positions in [LEARNT, Positions::Rotary] {
        let network = network(config(positions));
        // A pixel, sides below a patch, a grid of one patch, one row, one column, one pixel too many.
        for [height, width] in [
            [1, 1],
            [5, 9],
            [14, 14],
            [13, 140],
            [71, 3],
            [15, 14],
            [43, 57],
        ] {
            let small = images([2, 3, height, width]);
            let grid = [height, width].map(|side: usize| side.div_ceil(PATCH));
            let mut padded =
                Tensor::zeros([2, 3, PATCH * grid[0], PATCH * grid[1]], &small.device());
            padded = padded.slice_assign([0..2, 0..3, 0..height, 0..width], small.clone());
            let actual = stages(&network, small, Phase::Inference);
            let expected = stages(&network, padded, Phase::Inference);
            assert_eq!(actual, expected, "{height} x {width}");
            for stage in &actual {
                assert_eq!(stage.shape.as_slice(), [2, grid[0], grid[1], 32]);
                assert!(
                    stage.iter::<f32>().all(f32::is_finite),
                    "{height} x {width}"
                );
            }
        }
    }
}

#[test]
fn an_image_does_not_depend_on_the_others_of_its_batch() {
    for positions in [LEARNT, Positions::Rotary] {
        let network = network(config(positions));
        let batch = images([3, 3, 33, 61]);
        let together = stages(&network, batch.clone(), Phase::Inference);
        for index in 0..3 {
            let alone = batch.clone().narrow(0, index, 1);
            let alone = stages(&network, alone, Phase::Inference);
            for (stage, (alone, together)) in alone.iter().zip(&together).enumerate() {
                let together = Tensor::<Plain, 4>::from_data(together.clone(), &Default::default());
                let own = together.narrow(0, index, 1).into_data();
                // A product may be cut up differently.
                assert_close(&format!("image {index}, stage {stage}"), alone, &own, 2e-6);
            }
        }
    }
}

/// What is written about positions keeps the features of a network whose publisher is not the one that its names suggest.
#[test]
fn a_written_network_resamples_its_positions_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let batch = || images([1, 3, 28, 98]);
    let features = |network: &AnyBackbone<Plain>| stages(network, batch(), Phase::Inference);
    let mut seen = Vec::new();
    for resampling in [
        Resampling::Antialiased,
        Resampling::Plain,
        Resampling::Offset,
    ] {
        let config = config(LEARNT);
        let network = network(VitConfig {
            resampling: Some(resampling),
            ..config
        });
        write_tensors(&path, &export(&network), Some(export_header(&network))).unwrap();
        let fresh = AnyBackbone::Vit(config.init::<Plain>(&Default::default()));
        let (read, _) = import(fresh, &Checkpoint::open(&path).unwrap()).unwrap();
        assert_eq!(hash_module(&read), hash_module(&network));
        assert_eq!(features(&read), features(&network), "{resampling:?}");
        // A key of the configuration has the last word.
        let other = AnyBackbone::Vit(
            VitConfig {
                resampling: Some(Resampling::Offset),
                ..config
            }
            .init::<Plain>(&Default::default()),
        );
        let (other, _) = import(other, &Checkpoint::open(&path).unwrap()).unwrap();
        assert_eq!(
            features(&other) == features(&network),
            resampling == Resampling::Offset
        );
        seen.push(features(&read));
    }
    assert!(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2]);
    // A network that rotates has no positions to state.
    assert!(export_header(&network(config(Positions::Rotary))).is_empty());
}

#[test]
fn stochastic_depth_is_a_function_of_the_seed_and_of_the_image() {
    let rate = |drop_path| VitConfig {
        drop_path,
        ..config(LEARNT)
    };
    let network = |drop_path| network(rate(drop_path));
    let alike = images([1, 3, 30, 44]).repeat_dim(0, 6);
    let last =
        |network: &AnyBackbone<Plain>, phase| stages(network, alike.clone(), phase).remove(3);
    let training = |seed| Phase::Training { seed };
    let dropping = network(0.4);
    let first = last(&dropping, training(7));
    assert_eq!(first, last(&dropping, training(7)));
    assert_ne!(first, last(&dropping, training(8)));
    let values: Vec<f32> = first.to_vec().unwrap();
    let images: Vec<&[f32]> = values.chunks(values.len() / 6).collect();
    assert!(
        images.iter().any(|image| *image != images[0]),
        "all images drop the same branches"
    );
    // Neither in inference nor without a rate.
    let whole = last(&network(0.0), Phase::Inference);
    assert_eq!(whole, last(&dropping, Phase::Inference));
    assert_eq!(whole, last(&network(0.0), training(7)));
    // Every image drops a branch or has its branches scaled up, from the second block on.
    let plain: Vec<f32> = whole.to_vec().unwrap();
    let plain = &plain[..plain.len() / 6];
    assert!(images.iter().all(|image| *image != plain));
}

/// Eight bits through eight blocks, with learnt positions and with rotations, whose tables stay in single precision.
#[test]
fn half_precision_is_near_single() {
    for positions in [LEARNT, Positions::Rotary] {
        let network = network(config(positions));
        for size in [[14, 14], [33, 61]] {
            let batch = images([2, 3, size[0], size[1]]);
            let single = stages(&network, batch.clone(), Phase::Inference);
            let precision = Precision::Bf16;
            let rounded = precision.round::<Plain, _>(network.clone());
            let batch = batch.cast(precision.dtype());
            let rounded = stages(&rounded, batch, Phase::Inference);
            for (stage, (single, rounded)) in single.iter().zip(&rounded).enumerate() {
                assert_eq!(rounded.dtype, precision.dtype());
                let rounded = TensorData::new(
                    rounded.iter::<f32>().collect::<Vec<f32>>(),
                    rounded.shape.clone(),
                );
                let error = relative_error(&rounded, single);
                let place = format!("{positions:?}, stage {stage}: {error}");
                assert!((1e-4..0.05).contains(&error), "{place}");
            }
        }
    }
}

/// Names of the table, so that what they fix is tried too: half precision of a network with rotations of four registers.
#[test]
fn the_smallest_network_with_rotations_runs_in_half_precision() {
    let backbone = BackboneConfig::named("dinov3_small");
    let network: AnyBackbone<Plain> = backbone.init(&Default::default()).unwrap();
    let network = Precision::Bf16.round::<Plain, _>(network);
    let batch = images([1, 3, 16, 33]).cast(Precision::Bf16.dtype());
    for stage in stages(&network, batch, Phase::Inference) {
        assert_eq!(stage.shape.as_slice(), [1, 1, 3, 384]);
        assert!(stage.iter::<f32>().all(f32::is_finite));
    }
}
