//! A kit with every kind of part, every number different.

use isobath::network::kit::{
    Array, BUCKETS, Bucket, Calibration, Exit, Jump, Kit, LEVELS, LayerShape, Mark, Meta, ModelFacts, OwnLayer,
    Predictor, Readout, Threshold,
};
use isobath::tensor::DataType;

/// Hidden size of the model that it is for.
pub const HIDDEN: usize = 4;

fn array(shape: &[usize]) -> Array {
    let count = shape.iter().product::<usize>();
    Array::new(shape, (0..count).map(|i| 0.25 * (i as f32 + shape.len() as f32)).collect())
}

fn calibration() -> Calibration {
    let mark = |at: f32| Some(Mark { at, coverage: Some(0.5) });
    let threshold = |agreement: f64| Threshold {
        agreement,
        entropy: mark(0.1),
        confidence: mark(agreement as f32).filter(|_| agreement < 0.99),
    };
    let mut buckets = vec![Bucket::default(); BUCKETS];
    buckets[3] = Bucket { tokens: 7, agreed: 5 };
    Calibration { tokens: 7, agreement: Some(5.0 / 7.0), buckets, thresholds: LEVELS.map(threshold).to_vec() }
}

/// All parts, of a model of 6 rounds and 10 tokens.
pub fn kit() -> Kit {
    let model =
        ModelFacts { fingerprint: "f1".into(), hidden_size: HIDDEN as u32, vocab_size: 10, layers: 6, rounds: 6 };
    let mut kit = Kit::empty(model, 8);
    let (weight, bias) = (array(&[HIDDEN, 2 * HIDDEN]), array(&[HIDDEN]));
    kit.jump = Some(Jump { weight, bias, calibration: calibration() });
    let (weight, bias) = (array(&[HIDDEN, HIDDEN]), array(&[HIDDEN]));
    let readout = Readout::State { weight, bias };
    kit.exits.push(Exit { depth: 2, norm: array(&[HIDDEN]), readout, calibration: calibration() });
    let head = Array { data_type: DataType::F16, ..array(&[5, HIDDEN]) };
    let readout = Readout::Logits { head };
    kit.exits.push(Exit { depth: 4, norm: array(&[HIDDEN]), readout, calibration: Calibration::default() });
    let shape = LayerShape {
        heads: 2,
        kv_heads: 1,
        head_dim: 2,
        intermediate: 3,
        fc_bias: true,
        qkv_bias: false,
        input_norm: false,
        final_norm: true,
    };
    let tensors = shape.tensors(HIDDEN).into_iter().map(|(name, shape)| {
        let data_type = if name.contains("mlp") { DataType::Bf16 } else { DataType::F32 };
        (name, Array { data_type, ..array(&shape) })
    });
    kit.own_layer = Some(OwnLayer { shape, tensors: tensors.collect(), calibration: Calibration::default() });
    for (depth, inputs) in [(3, 12), (5, HIDDEN + 8)] {
        kit.predictors.push(Predictor {
            depth,
            offline: depth == 3,
            threshold: 0.5,
            calibration: Calibration::default(),
            first: array(&[2, inputs]),
            first_bias: array(&[2]),
            second: array(&[1, 2]),
            second_bias: array(&[1]),
        });
    }
    kit.meta = Some(Meta { weight: array(&[1, HIDDEN]), bias: array(&[1]), calibration: Calibration::default() });
    kit
}
