//! Backbones of other crates: what methods make of one is what they make of the same network in the table.

use burn::module::AutodiffModule;
use burn::tensor::{Tensor, TensorData};
use gradway::trainer::config::{self, Source};
use gradway::trainer::{Labels, Model, RunConfig, SegmentationTask, TrainError};
use gradway_adapters::{
    Around, Encoder, MethodConfig, Tuned, collect, count, is_statistic, restore, table,
};
use gradway_backbone::efficientnet::EfficientNetLite;
use gradway_backbone::swin::Swin;
use gradway_backbone::{
    AnyBackbone, Backbone, BackboneConfig, BackboneDescriptor, Import, OwnBackbone, Phase,
    TrainBackbone, export,
};
use gradway_tests::{Plain, Tracked, fill, parameters};

type OwnSwin<B> = OwnBackbone<B, Swin<B>>;
type OwnEfficientNet<B> = OwnBackbone<B, EfficientNetLite<B>>;

/// A value between -0.1 and 0.1 for each number of a tensor, by its name.
fn values(name: &str, shape: &[usize]) -> TensorData {
    let seed = name.bytes().fold(7, |seed: usize, byte| {
        seed.wrapping_mul(31).wrapping_add(byte.into())
    });
    let value = |index: usize| seed.wrapping_add(index.wrapping_mul(7919)) % 1009;
    let values = (0..shape.iter().product()).map(|index| value(index) as f32 / 5045.0 - 0.1);
    TensorData::new(values.collect(), shape.to_vec())
}

/// A backbone of the table whose weights are a function of their names.
fn filled(name: &str) -> AnyBackbone<Plain> {
    let backbone = BackboneConfig::named(name).init(&Default::default());
    fill(backbone.unwrap(), values)
}

fn swin() -> Swin<Plain> {
    let AnyBackbone::Swin(network) = filled("swin_mini") else {
        panic!("a Swin");
    };
    network
}

fn efficientnet() -> EfficientNetLite<Plain> {
    let AnyBackbone::EfficientNetLite(network) = filled("efficientnet_lite0") else {
        panic!("an EfficientNet-Lite");
    };
    network
}

/// Images of an odd size.
fn images() -> Tensor<Plain, 4> {
    let images = Tensor::from_data(values("images", &[2, 3, 60, 53]), &Default::default());
    images * 10.0
}

fn features<N: TrainBackbone<Tracked>>(
    encoder: &Encoder<Tracked, N>,
    tuned: &Tuned<Tracked, N>,
) -> Vec<TensorData> {
    let plain = tuned.valid();
    let features = encoder.features_inference(&plain, images());
    let tasks = (0..tuned.tasks()).flat_map(|task| features.of_task(task));
    tasks.map(Tensor::into_data).collect()
}

/// A method on a backbone, as it starts.
fn tuned<N: TrainBackbone<Tracked>>(
    method: &MethodConfig,
    backbone: N::InnerModule,
) -> (Encoder<Tracked, N>, Tuned<Tracked, N>) {
    Encoder::new(method, backbone, &Default::default()).unwrap()
}

/// Compares every method on a network of the table, whose names start with `variant`, and on the same as one's own.
fn compare<N>(variant: &str, name: &str, own: &N::InnerModule)
where
    N: TrainBackbone<Tracked> + AutodiffModule<Tracked, InnerModule: Import>,
{
    let of_own = |path: &str| path.replace(&format!("{variant}."), "network.");
    let description = own.description();
    assert_eq!(description, filled(name).description());
    let mut merged_methods = 0;
    for line in table() {
        let method = config::method(line.name, &[]).unwrap();
        if method.check(&description).is_err() {
            continue;
        }
        let place = format!("{} on {name}", line.name);
        let (encoder, module) = tuned::<AnyBackbone<Tracked>>(&method, filled(name));
        let (own_encoder, own_module) = tuned::<N>(&method, own.clone());

        // The same parameters are trained, by the same roles.
        assert_eq!(count(&module), count(&own_module), "{place}");
        let state = collect(&module).into_iter().map(|(path, data)| {
            let moved = match is_statistic(&path) {
                true => data,
                false => values(&path, &data.shape),
            };
            (path, moved)
        });
        let state: gradway_adapters::StateDict = state.collect();
        let own_state = state.iter();
        let own_state = own_state.map(|(path, data)| (of_own(path), data.clone()));
        let own_module = restore(own_module, own_state.collect()).unwrap();
        let module = restore(module, state).unwrap();

        let depths = (encoder.depths(), own_encoder.depths());
        assert_eq!(depths.0.blocks(), depths.1.blocks());
        for path in parameters(&filled(name)).keys() {
            assert_eq!(depths.0.of(path), depths.1.of(&of_own(path)), "{path}");
        }

        let expected = features(&encoder, &module);
        assert_eq!(features(&own_encoder, &own_module), expected, "{place}");
        match (method.merge(&module), method.merge(&own_module)) {
            (Ok(merged), Ok(own_merged)) => {
                merged_methods += 1;
                let (merged, own_merged) = (merged.valid(), own_merged.valid());
                assert_eq!(
                    export(&merged.backbone),
                    export(&own_merged.backbone),
                    "{place}"
                );
                let of = |maps: Vec<Tensor<Plain, 4>>| -> Vec<TensorData> {
                    maps.into_iter().map(Tensor::into_data).collect()
                };
                assert_eq!(
                    of(merged.features(images(), Phase::Inference)),
                    of(own_merged.features(images(), Phase::Inference)),
                    "{place}"
                );
            }
            (merged, own_merged) => {
                assert_eq!(merged.err(), own_merged.err(), "{place}");
            }
        }
    }
    assert!(merged_methods >= 5);
}

#[test]
fn every_method_tunes_a_swin_of_ones_own_as_that_of_the_table() {
    compare::<OwnSwin<Tracked>>("Swin", "swin_mini", &OwnBackbone::new(swin()));
}

#[test]
fn every_method_tunes_an_efficientnet_of_ones_own_as_that_of_the_table() {
    let own = OwnBackbone::new(efficientnet());
    compare::<OwnEfficientNet<Tracked>>("EfficientNetLite", "efficientnet_lite0", &own);
}

fn descriptor() -> BackboneDescriptor {
    let description = swin().description();
    BackboneDescriptor {
        name: "mine",
        summary: "a network",
        mean: [100.0; 3],
        std: [50.0; 3],
        stages: description.shapes(&description.stage_channels()),
        pretrained: None,
    }
}

fn source(backbone: &str) -> Source {
    let text = format!(
        r#"
        backbone = {{ {backbone} }}
        method = {{ name = "e3va" }}
        head = {{ name = "segformer", channels = 16 }}
        data = {{ format = "synthetic", width = 64, height = 64 }}
        "#
    );
    Source::text(&text, "the test").unwrap()
}

fn built(config: &RunConfig) -> Result<String, TrainError> {
    let model = Model::<Tracked, SegmentationTask, OwnSwin<Tracked>>::with_backbone(
        config,
        &Labels::unnamed(12),
        OwnBackbone::new(swin()),
        &Default::default(),
    )?;
    Ok(model.base().to_string())
}

#[test]
fn a_configuration_describes_a_backbone_of_ones_own() {
    let config = source(r#"name = "mine""#).on(descriptor()).config();
    let config = config.unwrap();
    let input = config.input().unwrap();
    assert_eq!(input.normalization.mean, [100.0; 3]);
    assert_eq!(input.stride, 32);
    let base = built(&config).unwrap();
    // The hash is of the weights alone, so that a network of the table has the same.
    assert_eq!(base, gradway_backbone::hash_module(&filled("swin_mini")));
}

#[test]
fn what_does_not_belong_to_a_backbone_of_ones_own_is_refused() {
    let refused = |backbone: &str| {
        let error = source(backbone).on(descriptor()).config().unwrap_err();
        error.to_string()
    };
    let error = refused(r#"name = "swin_mini""#);
    assert!(error.contains("backbone.name = \"swin_mini\""), "{error}");
    assert!(error.contains("`mine`"), "{error}");
    let error = refused(r#"name = "mine", weights = "embedded", drop_path = 0.1"#);
    assert!(
        error.contains(r#"backbone.weights = "embedded", backbone.drop_path = 0.1"#),
        "{error}"
    );

    // Its name means nothing to a program without it, and no configuration builds it.
    let error = source(r#"name = "mine""#).config().unwrap_err().to_string();
    assert!(error.contains("unknown backbone `mine`"), "{error}");
    let config = source(r#"name = "mine""#).on(descriptor()).config();
    let error = Model::<Tracked, SegmentationTask>::new(
        &config.unwrap(),
        &Labels::unnamed(12),
        &Default::default(),
    );
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("backbone `mine` is of another crate"),
        "{error}"
    );
}

#[test]
fn a_backbone_that_is_not_the_described_one_is_refused() {
    let mut other = descriptor();
    other.stages[1].stride = 7;
    let config = source(r#"name = "mine""#).on(other).config().unwrap();
    let error = built(&config).unwrap_err().to_string();
    assert!(error.contains("stride: 7"), "{error}");
    let config = source(r#"name = "efficientnet_lite0""#).config().unwrap();
    let error = built(&config).unwrap_err().to_string();
    assert!(error.contains("\"efficientnet_lite0\""), "{error}");
}
