//! Our quantisers against ggml's, on numbers that tests/oracles/quantisers.py makes in the same way.

use isobath::tensor::DataType;
use isobath::tensor::quantise::{WRITTEN, write_row};
use serde_json::Value;

use super::hash;

const MANY: usize = 65536;
const SOME: usize = 4096;
const SIXTEENTH: f32 = 1.0 / 8_388_608.0;

/// 24 bits each of a linear congruential generator.
fn integers(count: usize, seed: u64) -> Vec<i64> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as i64
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn uniform(count: usize, seed: u64) -> Vec<f32> {
    integers(count, seed).iter().map(|bits| (bits - (1 << 23)) as f32 * SIXTEENTH).collect()
}

fn bell(count: usize, seed: u64) -> Vec<f32> {
    let four = integers(4 * count, seed);
    four.chunks_exact(4).map(|four| (four.iter().sum::<i64>() - (1 << 25)) as f32 * SIXTEENTH).collect()
}

fn each<T: Copy>(numbers: &[T], change: impl Fn(T) -> f32) -> Vec<f32> {
    numbers.iter().map(|number| change(*number)).collect()
}

fn zero(bits: i64) -> f32 {
    if bits % 2 == 0 { 0.0 } else { -0.0 }
}

fn numbers(case: &str) -> Vec<f32> {
    match case {
        "uniform" => uniform(MANY, 1),
        "bell" => bell(MANY, 2),
        "tails" => each(&uniform(MANY, 3), |value| value * value * value),
        "positive" => each(&uniform(SOME, 4), f32::abs),
        "negative" => each(&uniform(SOME, 5), |value| -value.abs()),
        "offset" => each(&uniform(SOME, 6), |value| value / 8.0 + 5.0),
        "offset below" => each(&uniform(SOME, 7), |value| value / 8.0 - 5.0),
        "ternary" => each(&integers(SOME, 8), |bits| (bits % 3 - 1) as f32),
        "steps" => each(&integers(SOME, 9), |bits| (bits % 31 - 15) as f32 / 2.0),
        "sparse" => each(&integers(SOME, 10), |bits| match bits % 17 {
            0 => (bits - (1 << 23)) as f32 * SIXTEENTH,
            _ => zero(bits),
        }),
        "zeros" => vec![0.0; 512],
        "zeros of both signs" => each(&integers(512, 11), zero),
        "constant" => vec![0.3; 512],
        "constant below" => vec![-0.7; 512],
        "shrinking" => {
            let bell = bell(SOME, 12);
            (0..SOME).map(|i| bell[i] * (-3.0 * (i / 32 % 16) as f32).exp2()).collect()
        }
        scaled => {
            let power: i32 = scaled.strip_prefix("bell * 2^").unwrap().parse().unwrap();
            let first = power.div_euclid(2);
            each(&bell(SOME, 13), |value| value * (first as f32).exp2() * ((power - first) as f32).exp2())
        }
    }
}

#[test]
fn blocks_are_those_of_ggml() {
    let table: Value = serde_json::from_str(include_str!("quantisers.json")).unwrap();
    let quantised: Vec<DataType> = WRITTEN.into_iter().filter(|data_type| data_type.block().0 > 1).collect();
    assert_eq!(quantised.len(), 8);
    let mut wrong = Vec::new();
    for (case, want) in table.as_object().unwrap() {
        let numbers = numbers(case);
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        assert_eq!(hash(&bytes), want["f32"], "{case}: other numbers than in the table");
        for data_type in &quantised {
            let mut bytes = Vec::new();
            write_row(*data_type, &numbers, &mut bytes);
            if hash(&bytes) != want[data_type.name()] {
                wrong.push(format!("{case} as {}", data_type.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
