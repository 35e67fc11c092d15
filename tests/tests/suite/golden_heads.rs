//! Decoders against mmsegmentation's conventions in PyTorch: outputs, gradients and running
//! statistics; and the loss of a segmentation head.

use burn::tensor::{Tensor, TensorData};
use gradway_backbone::Phase;
use gradway_heads::fcn::FcnConfig;
use gradway_heads::segformer::SegFormerConfig;
use gradway_heads::upernet::UPerNetConfig;
use gradway_heads::{Decoder, HeadConfig, MapShape, SegmentationOutput};
use gradway_tests::{
    Golden, Tensors, Tracked, assert_close, assert_gradients, fill, gradients, parameters,
};

const OUTPUT: f64 = 1e-5;
const GRADIENTS: f64 = 2e-5;
const LOSS: f64 = 1e-5;

const INPUTS: [usize; 4] = [8, 12, 16, 20];
const CHANNELS: usize = 10;
const CLASSES: usize = 5;
const TRAINING: Phase = Phase::Training { seed: 0 };

/// Our module paths and mmsegmentation's, for all heads.
const MODULES: [(&str, &str); 15] = [
    ("pools.0.", "psp_modules.0.1."),
    ("pools.1.", "psp_modules.1.1."),
    ("pools.2.", "psp_modules.2.1."),
    ("pools.3.", "psp_modules.3.1."),
    ("bottleneck.", "bottleneck."),
    ("laterals.", "lateral_convs."),
    ("pyramid.", "fpn_convs."),
    ("convolution.", "convs.0."),
    ("projections.0.", "linear_c1.proj."),
    ("projections.1.", "linear_c2.proj."),
    ("projections.2.", "linear_c3.proj."),
    ("projections.3.", "linear_c4.proj."),
    ("classifier.", "conv_seg."),
    // The last two differ by the head.
    ("fuse.", "fpn_bottleneck."),
    ("fuse.", "fusion_conv."),
];

/// Maps of these widths; their strides matter to no head here.
fn maps() -> [MapShape; 4] {
    INPUTS.map(|channels| MapShape {
        channels,
        stride: 4.0,
        is_pyramid: false,
    })
}

/// A head with its golden file.
struct Case {
    golden: Golden,
    config: HeadConfig,
}

impl Case {
    fn upernet() -> Self {
        let config = UPerNetConfig {
            channels: CHANNELS,
            dropout: 0.0,
            auxiliary_weight: 0.0,
            ..Default::default()
        };
        Self::new("upernet", HeadConfig::UPerNet(config))
    }

    fn fcn() -> Self {
        let config = FcnConfig {
            channels: CHANNELS,
            dropout: 0.0,
            stage: 2,
        };
        Self::new("fcn", HeadConfig::Fcn(config))
    }

    fn segformer() -> Self {
        let config = SegFormerConfig {
            channels: CHANNELS,
            dropout: 0.0,
        };
        Self::new("segformer", HeadConfig::SegFormer(config))
    }

    fn new(name: &str, config: HeadConfig) -> Self {
        let golden = Golden::open(name);
        Self { golden, config }
    }

    /// mmsegmentation's key of a parameter of ours.
    fn key(&self, path: &str) -> String {
        // The variant of the decoder.
        let (_, path) = path.split_once('.').unwrap();
        let known = self.golden.below("param.");
        let named = MODULES.iter().filter_map(|(ours, theirs)| {
            let parameter = path.strip_prefix(ours)?;
            let parameter = parameter
                .replace("norm.gamma", "bn.weight")
                .replace("norm.beta", "bn.bias")
                .replace("norm.running", "bn.running");
            let convolution = parameter.replace("weight", "conv.weight");
            let keys = [parameter, convolution].map(|name| format!("{theirs}{name}"));
            keys.into_iter().find(|key| known.contains_key(key))
        });
        let mut named: Vec<_> = named.collect();
        assert_eq!(named.len(), 1, "{path}: {named:?}");
        named.remove(0)
    }

    /// Runs a forward and a backward pass and compares everything.
    fn assert_mode(&self, mode: &str, phase: Phase) {
        let device = Default::default();
        let head = self.config.init::<Tracked>(&maps(), CLASSES, &device);
        let decoder = fill(head.decoder, |path, shape| {
            in_our_layout(
                self.golden.data(&format!("param.{}", self.key(path))),
                shape,
            )
        });
        let expected = self.golden.below(&format!("{mode}."));
        let inputs = self.golden.below("input.");
        let features = INPUTS.iter().enumerate().map(|(stage, &channels)| {
            match inputs.get(&stage.to_string()) {
                Some(data) => Tensor::from_data(data.clone(), &device).require_grad(),
                // Of a width that fits nowhere else, should the head read it after all.
                None => Tensor::ones([1, channels, 1, 1], &device),
            }
        });
        let features: Vec<Tensor<Tracked, 4>> = features.collect();

        let output = decoder.forward(&features, phase);
        assert_close("the output", &output.to_data(), &expected["output"], OUTPUT);

        let weight = self.golden.tensor("output_weight");
        let grads = (output * weight).sum().backward();
        let mut actual: Tensors = gradients::<Tracked, _>(&decoder, &grads)
            .into_iter()
            .map(|(path, data)| {
                let key = format!("param.{}", self.key(&path));
                let shape = self.golden.data(&key).shape.to_vec();
                (key, in_their_layout(data, &shape))
            })
            .collect();
        for (stage, feature) in features.iter().enumerate() {
            if let Some(gradient) = feature.grad(&grads) {
                actual.insert(format!("input.{stage}"), gradient.into_data());
            }
        }
        let expected = self.golden.below(&format!("{mode}.grad."));
        assert_gradients(&actual, &expected, GRADIENTS);

        let statistics = match mode {
            "train" => self.golden.below("train.after."),
            _ => self.golden.below("param."),
        };
        for (path, data) in parameters(&decoder) {
            if path.contains("running") {
                assert_close(&path, &data, &statistics[&self.key(&path)], OUTPUT);
            }
        }
    }
}

/// A weight as `[inputs, outputs]`, where our layer is a product and theirs a 1x1 convolution or a
/// linear layer.
fn in_our_layout(data: TensorData, shape: &[usize]) -> TensorData {
    let &[inputs, outputs] = shape else {
        return data;
    };
    transposed(data, outputs, inputs, shape)
}

fn in_their_layout(data: TensorData, shape: &[usize]) -> TensorData {
    let &[inputs, outputs] = data.shape.as_slice() else {
        return data;
    };
    transposed(data, inputs, outputs, shape)
}

fn transposed(data: TensorData, rows: usize, columns: usize, shape: &[usize]) -> TensorData {
    let values: Vec<f32> = data.iter::<f32>().collect();
    let values: Vec<f32> = (0..rows * columns)
        .map(|index| values[index % rows * columns + index / rows])
        .collect();
    TensorData::new(values, shape.to_vec())
}

#[test]
fn upernet_in_evaluation() {
    Case::upernet().assert_mode("eval", Phase::Inference);
}

#[test]
fn upernet_in_training() {
    Case::upernet().assert_mode("train", TRAINING);
}

#[test]
fn fcn_in_evaluation() {
    Case::fcn().assert_mode("eval", Phase::Inference);
}

#[test]
fn fcn_in_training() {
    Case::fcn().assert_mode("train", TRAINING);
}

#[test]
fn segformer_in_evaluation() {
    Case::segformer().assert_mode("eval", Phase::Inference);
}

#[test]
fn segformer_in_training() {
    Case::segformer().assert_mode("train", TRAINING);
}

#[test]
fn the_loss_of_upsampled_logits_with_ignored_pixels() {
    assert_loss("", &[]);
}

#[test]
fn the_loss_with_class_weights() {
    let weights = Golden::open("cross_entropy").data("weights");
    assert_loss("weighted.", &weights.to_vec().unwrap());
}

fn assert_loss(case: &str, class_weights: &[f32]) {
    let golden = Golden::open("cross_entropy");
    let logits = golden.tensor::<Tracked, 4>("logits").require_grad();
    let labels = golden.tensor::<Tracked, 3>("labels").int();
    let config = HeadConfig::Fcn(FcnConfig::default());
    let head = config.init::<Tracked>(&maps(), CLASSES, &Default::default());
    let output = SegmentationOutput {
        logits: logits.clone(),
        auxiliary: None,
    };
    let loss = head.loss(output, labels, 255, class_weights);
    assert_close(
        "the loss",
        &loss.to_data(),
        &golden.data(&format!("{case}loss")),
        LOSS,
    );
    let gradient = logits.grad(&loss.backward()).unwrap().into_data();
    assert_close(
        "the gradient",
        &gradient,
        &golden.data(&format!("{case}grad")),
        LOSS,
    );
}
