//! How large a model is: parameters in the file and as they are applied, bytes by data type, keys and values.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use isobath::engine::DEFAULT_CONTEXT;
use isobath::network::config::ModelConfig;
use isobath::network::plan::{MissingKeys, Plan, Writes};
use isobath::runtime::cache::CacheMemory;
use isobath::runtime::room::{self, Fit};
use isobath::schedule::PAGE;

/// A tensor as the file lists it.
#[derive(Debug, Clone)]
pub struct TensorFact {
    pub name: String,
    pub data_type: &'static str,
    pub parameters: u64,
    pub bytes: u64,
}

/// Parameters of a model.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct Parameters {
    /// Each shared weight once: what the file holds.
    pub unique: u64,
    /// Each shared weight as often as it is applied: the stack that the model imitates.
    pub unrolled: u64,
}

/// Bytes of keys and values per token, as f32.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct Kv {
    /// For every token, whatever its depth.
    pub every_token: u64,
    /// In addition for a token that runs the round, first round first.
    pub per_round: Vec<u64>,
    /// In all, for a token of depth 1, 2, ...
    pub by_depth: Vec<u64>,
}

/// Counts parameters by the names of the tensors.
pub fn parameters(config: &ModelConfig, tensors: &[TensorFact]) -> Parameters {
    let mut by_layer: HashMap<u32, HashMap<&str, u64>> = HashMap::new();
    let mut unique: u64 = 0;
    for tensor in tensors {
        unique = unique.saturating_add(tensor.parameters);
        if let Some((layer, rest)) = tensor.name.strip_prefix("model.layers.").and_then(|name| name.split_once('.'))
            && let Ok(layer) = layer.parse()
        {
            by_layer.entry(layer).or_default().insert(rest, tensor.parameters);
        }
    }
    let none = HashMap::new();
    let mut unrolled = unique;
    for layer in 0..config.n_layers {
        let (own, shared) =
            (by_layer.get(&layer).unwrap_or(&none), by_layer.get(&config.unique(layer)).unwrap_or(&none));
        for (_, parameters) in shared.iter().filter(|(name, _)| !own.contains_key(*name)) {
            unrolled = unrolled.saturating_add(*parameters);
        }
    }
    Parameters { unique, unrolled }
}

/// Bytes in the file by data type.
pub fn bytes_by_type(tensors: &[TensorFact]) -> BTreeMap<&'static str, u64> {
    let mut bytes = BTreeMap::new();
    for tensor in tensors {
        *bytes.entry(tensor.data_type).or_default() += tensor.bytes;
    }
    bytes
}

/// Keys and values that a token leaves behind.
pub fn kv(config: &ModelConfig, plan: &Plan) -> Kv {
    let slot = 2 * u64::from(config.n_kv_heads) * u64::from(config.head_dim) * size_of::<f32>() as u64;
    let makes = |layers: Range<usize>, round: u32| {
        let layers = plan.layers[layers].iter();
        let made = layers.filter(|layer| match layer.cache.writes {
            Writes::Always => true,
            Writes::FirstRound => round == 0,
            Writes::Never => false,
        });
        slot * made.count() as u64
    };
    // Without a gate every token runs every round. The first round is for all, unless it is gated too and leaves holes.
    let for_all = match &plan.gate {
        None => u32::MAX,
        Some(gate) => u32::from(gate.first_free || plan.missing != MissingKeys::Holes),
    };
    let mut every_token = makes(plan.prologue.clone(), 0) + makes(plan.epilogue.clone(), 0);
    // Rounds of a stack are its layers, which all tokens run.
    let mut per_round = vec![0; if plan.shared { plan.rounds.len() } else { 1 }];
    for (round, now) in (0u32..).zip(&plan.rounds) {
        let bytes = makes(now.layers.clone(), round);
        match per_round.get_mut(round as usize).filter(|_| round >= for_all) {
            Some(own) => *own += bytes,
            None => every_token += bytes,
        }
    }
    let by_depth = (1..=per_round.len()).map(|depth| every_token + per_round[..depth].iter().sum::<u64>()).collect();
    Kv { every_token, per_round, by_depth }
}

/// What is set aside for keys and values where the device has it.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct Room {
    /// Sequences side by side.
    pub lanes: u32,
    /// Tokens of the longest sequence.
    pub context: u32,
    /// Bytes that are set aside.
    pub bytes: u64,
    /// Bytes of a sequence of the longest kind, at full depth.
    pub sequence_bytes: u64,
    /// How many of these fit at once.
    pub sequences: u32,
}

impl Room {
    /// In words.
    pub fn line(&self) -> String {
        let lanes = if self.lanes == 1 { "1 lane ".to_owned() } else { format!("{} lanes", self.lanes) };
        format!(
            "{lanes}: {} set aside; a sequence of {} tokens takes {}, {} such fit at once",
            bytes(self.bytes),
            self.context,
            bytes(self.sequence_bytes),
            self.sequences
        )
    }
}

/// What a single sequence and what the window set aside by default.
pub fn rooms(config: &ModelConfig, plan: &Plan) -> Vec<Room> {
    let context = config.context_length.min(DEFAULT_CONTEXT);
    let room = |lanes: u32| {
        let wanted = room::Room { lanes, context, rows: 1, heads: 1, cache_tokens: u32::MAX, alternatives: 0, span: 1 };
        let room = Fit::new(config, plan, wanted, u64::MAX).room();
        let cache = CacheMemory::of(config, plan, room.cache_tokens / PAGE);
        let (sequence_bytes, sequences) = (cache.sequence_bytes(context), cache.sequences(context));
        Room { lanes, context, bytes: cache.bytes, sequence_bytes, sequences }
    };
    [1, 32].map(room).into()
}

/// `1.2 GB`, `34.5 MB`, `678 bytes`.
pub fn bytes(count: u64) -> String {
    for (unit, size) in [("GB", 1_000_000_000u64), ("MB", 1_000_000), ("kB", 10_000)] {
        if count >= size {
            let unit_size = if unit == "kB" { 1000 } else { size };
            return format!("{:.1} {unit}", count as f64 / unit_size as f64);
        }
    }
    format!("{count} bytes")
}

/// `1.2 billion`, `134.5 million`, `12 345`.
pub fn count(count: u64) -> String {
    for (word, size) in [("billion", 1_000_000_000u64), ("million", 1_000_000)] {
        if count >= size {
            return format!("{:.1} {word}", count as f64 / size as f64);
        }
    }
    count.to_string()
}

#[cfg(test)]
mod tests {
    use isobath::network::config::{KvMode, Sharing};

    use super::super::tests::{config, expert, fact, recursion};
    use super::*;

    #[test]
    fn shared_weights_count_once_in_the_file_and_as_often_as_they_are_applied() {
        let mut config = config(4);
        let tensors = [
            fact("model.embed_tokens.weight", 1000),
            fact("model.layers.0.mlp.up_proj.weight", 10),
            fact("model.layers.0.input_layernorm.weight", 1),
            fact("model.layers.1.mlp.up_proj.weight", 20),
            fact("model.layers.2.input_layernorm.weight", 1),
        ];
        config.recursion = Some(recursion(2, Sharing::Cycle));
        // Layer 2 applies 0's matrix with its own norm, layer 3 applies 1's matrix.
        assert_eq!(parameters(&config, &tensors), Parameters { unique: 1032, unrolled: 1062 });
        config.recursion = None;
        assert_eq!(parameters(&config, &tensors), Parameters { unique: 1032, unrolled: 1032 });
    }

    #[test]
    fn bytes_are_summed_by_type() {
        let half = TensorFact { data_type: "f16", ..fact("a", 1) };
        assert_eq!(bytes_by_type(&[fact("b", 2), half, fact("c", 3)]), BTreeMap::from([("f16", 4), ("f32", 20)]));
    }

    /// Slots (2 heads x 4 x keys and values x f32 = 64 bytes) for all tokens, then per round.
    fn check(config: &ModelConfig, every_token: u64, per_round: &[u64]) {
        let kv = kv(config, &Plan::of(config).unwrap());
        assert_eq!(kv.every_token, 64 * every_token);
        assert_eq!(kv.per_round, per_round.iter().map(|slots| 64 * slots).collect::<Vec<_>>());
        assert_eq!(kv.by_depth.last().copied(), Some(64 * (every_token + per_round.iter().sum::<u64>())));
    }

    #[test]
    fn keys_and_values_follow_depth_only_with_a_router() {
        let mut config = config(8);
        check(&config, 8, &[0]);
        config.recursion = Some(recursion(3, Sharing::MiddleCycle));
        check(&config, 8, &[0, 0, 0]);
        config.router = Some(expert());
        check(&config, 4, &[0, 2, 2]);
        config.kv = KvMode::Hybrid;
        check(&config, 4, &[0, 2, 2]);
        config.router.as_mut().unwrap().gate_first = true;
        check(&config, 4, &[0, 2, 2]);
        config.kv = KvMode::Own;
        check(&config, 2, &[2, 2, 2]);
        config.kv = KvMode::Share { count: 3, sharing: Sharing::MiddleCycle };
        check(&config, 4, &[0, 0, 0]);
    }

    #[test]
    fn what_is_set_aside_holds_a_sequence_and_no_more_than_lanes_can_fill() {
        let mut config = config(8);
        config.recursion = Some(recursion(3, Sharing::MiddleCycle));
        let [one, many] = &rooms(&config, &Plan::of(&config).unwrap())[..] else { panic!("two kinds of room") };
        // 64 tokens of 64 bytes in 8 layers.
        assert_eq!((one.lanes, one.context, one.bytes, one.sequence_bytes, one.sequences), (1, 64, 32_768, 32_768, 1));
        assert_eq!((many.lanes, many.bytes, many.sequences), (32, 32 * 32_768, 32));
        assert_eq!(
            many.line(),
            "32 lanes: 1.0 MB set aside; a sequence of 64 tokens takes 32.8 kB, 32 such fit at once"
        );
    }

    #[test]
    fn keys_can_be_shared_without_recursion() {
        let mut config = config(6);
        config.kv = KvMode::Share { count: 3, sharing: Sharing::Sequence };
        check(&config, 2, &[0]);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!([999, 12_345, 1_234_567].map(bytes), ["999 bytes", "12.3 kB", "1.2 MB"]);
        assert_eq!([999, 134_515_008].map(count), ["999", "134.5 million"]);
    }
}
