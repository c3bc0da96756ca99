//! Checkpoints that do not describe themselves: settings from facts, tensors under our names, each shared one once.
//!
//! **Invariant:** every tensor of the source is used, or equals one that is; anything else is an error, because leaving
//! a tensor out would change the model's output in silence.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::facts::Facts;
use super::official::{Layout, Names};
use super::renamed::Renamed;
use crate::error::ModelError;
use crate::network::config::{LIMITS, ModelConfig, Sharing};
use crate::network::names::{self, Linear, Norm};
use crate::tensor::TensorSource;

/// A checkpoint under our names.
pub struct Imported<'a> {
    /// With its `isobath` block.
    pub config: ModelConfig,
    /// The tensors.
    pub source: Renamed<'a>,
    /// What was taken from where, and what was assumed: a line each.
    pub notes: Vec<String>,
}

/// Fields of a router that no tensor shows.
const UNSHOWN: [&str; 6] = ["function", "alpha", "gating", "temperature", "capacity", "gate_first"];

/// Imports a checkpoint. `config` is the text of its config.json, where it has one; `facts` are those of flags and of the
/// training's YAML.
pub fn import<'a>(
    source: &'a dyn TensorSource,
    config: Option<&str>,
    mut facts: Facts,
) -> Result<Imported<'a>, ModelError> {
    let names = Names::survey(source.names())?;
    let base = base_config(source, &names, config, &mut facts)?;
    names.add_to(&mut facts)?;
    if names.layout == Layout::Plain(names.layout.layers()) {
        add_sharing(source, &names, &mut facts)?;
    }
    add_ties(source, &names, &mut facts)?;
    let config = finish(base, &facts)?;
    if facts.get("kv.mode").is_none() && config.recursion.is_some() {
        facts.add(
            "kv.mode",
            "own",
            "assumption: tensors do not tell; kv.mode=share or the training's settings change it",
        )?;
    }
    let mut used = HashSet::new();
    let mut map = shared(&config, source, &names, &mut used)?;
    for (ours, theirs) in names.unshared(&config) {
        used.insert(theirs.clone());
        map.insert(ours, theirs);
    }
    if let (Layout::Plain(_), None) = (names.layout, config.recursion) {
        // Biases and norms of heads, which members of the Llama family have.
        for (ours, ..) in names::expected(&config, &|_| true) {
            if let Some(theirs) = names.canonical(&ours) {
                used.insert(theirs.clone());
                map.entry(ours).or_insert_with(|| theirs.clone());
            }
        }
    }
    if equal(source, map.get(names::LM_HEAD), map.get(names::EMBEDDING))? {
        map.remove(names::LM_HEAD);
    }
    if let Some(stranger) = names.all().find(|name| !used.contains(*name) && !name.ends_with("inv_freq")) {
        return Err(ModelError::Unsupported {
            what: format!("tensor `{stranger}`, which has no place in this model"),
            supported: "the tensors that its settings ask for; correct these, or give the training's settings".into(),
        });
    }
    let mut notes = facts.sentences(CONFIG);
    notes.extend(assumed(&config, &facts));
    let source = Renamed::new(source, map);
    if let Some(error) = names::check_tensors(&config, &source).into_iter().next() {
        return Err(error);
    }
    Ok(Imported { config, source, notes })
}

/// Fields of config.json that can be set where there is none.
const FIELDS: [&str; 6] =
    ["num_attention_heads", "max_position_embeddings", "rms_norm_eps", "rope_theta", "bos_token_id", "eos_token_id"];
/// The origin of what config.json says.
const CONFIG: &str = "config.json";

/// The config without its recursive parts: config.json, or what the shapes tell.
fn base_config(
    source: &dyn TensorSource,
    names: &Names,
    config: Option<&str>,
    facts: &mut Facts,
) -> Result<Value, ModelError> {
    let wrong = |why: String| ModelError::Config { why };
    let Some(text) = config else { return config_of_shapes(source, names, facts) };
    let mut base: Value =
        serde_json::from_str(text).map_err(|error| wrong(format!("config.json is not valid JSON: {error}")))?;
    if !base.is_object() {
        return Err(wrong("config.json holds no JSON object".into()));
    }
    // The released code gives its classes names of their own; what they compute is Llama's.
    if base["architectures"].as_array().is_some_and(|list| list.iter().all(is_llama)) {
        base["architectures"] = json!(["LlamaForCausalLM"]);
    }
    for field in FIELDS.into_iter().chain(["num_hidden_layers"]) {
        if !base[field].is_null() {
            facts.add(field, base[field].clone(), CONFIG)?;
        }
    }
    Ok(base)
}

fn is_llama(name: &Value) -> bool {
    name.as_str().is_some_and(|name| name.contains("Llama") && name.ends_with("ForCausalLM"))
}

/// A config from the shapes of tensors; only the number of heads is in none of them.
fn config_of_shapes(source: &dyn TensorSource, names: &Names, facts: &mut Facts) -> Result<Value, ModelError> {
    let shape = |name: Option<String>, what: &str| {
        let missing = || ModelError::MissingTensor {
            name: what.to_owned(),
            because: "there is no config.json, and its shape is needed instead".into(),
        };
        match source.info(&name.ok_or_else(missing)?)? {
            Some((_, shape)) if shape.len() == 2 => Ok((shape[0] as u64, shape[1] as u64)),
            _ => Err(missing()),
        }
    };
    let first = |linear: Linear| names.linear(0, linear).into_iter().next();
    let embedding = names.all().find(|name| name.ends_with(names::EMBEDDING)).cloned();
    let (vocabulary, hidden) = shape(embedding, names::EMBEDDING)?;
    let (intermediate, _) = shape(first(Linear::Up), "model.layers.0.mlp.up_proj.weight")?;
    let (queries, _) = shape(first(Linear::Query), "model.layers.0.self_attn.q_proj.weight")?;
    let (keys, _) = shape(first(Linear::Key), "model.layers.0.self_attn.k_proj.weight")?;
    let heads = facts.number("num_attention_heads").map(u64::from).filter(|heads| *heads > 0);
    let Some(head_dim) = heads.map(|heads| queries / heads).filter(|width| *width > 0) else {
        return Err(ModelError::Config {
            why: "there is no config.json, and no tensor tells the number of heads; copy the config.json of the base \
                  model into the folder, or set num_attention_heads=N"
                .into(),
        });
    };
    let usual =
        [("max_position_embeddings", json!(2048)), ("rms_norm_eps", json!(1e-5)), ("rope_theta", json!(10000.0))];
    for (path, value) in usual {
        if facts.get(path).is_none() {
            let origin = format!("assumption: there is no config.json; {path}=VALUE changes it");
            facts.add(path, value, &origin)?;
        }
    }
    Ok(json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": hidden,
        "intermediate_size": intermediate, "num_key_value_heads": keys / head_dim, "head_dim": head_dim,
        "vocab_size": vocabulary,
    }))
}

/// Both there, and the same bytes, type and shape.
fn equal(source: &dyn TensorSource, one: Option<&String>, other: Option<&String>) -> Result<bool, ModelError> {
    let (Some(one), Some(other)) = (one, other) else { return Ok(false) };
    let (Some(one), Some(other)) = (source.tensor(one)?, source.tensor(other)?) else { return Ok(false) };
    Ok(one.data_type == other.data_type && one.shape == other.shape && one.data == other.data)
}

/// How layers of a plain stack repeat: by the contents of their feed-forward matrices.
fn add_sharing(source: &dyn TensorSource, names: &Names, facts: &mut Facts) -> Result<(), ModelError> {
    let layers = names.layout.layers().min(LIMITS.layers);
    let up = |layer: u32| names.linear(layer, Linear::Up).into_iter().next();
    if (0..layers).any(|layer| up(layer).is_none()) {
        // Repeated tensors were left out of the file: what repeats must be said.
        return Ok(());
    }
    let mut first: Vec<u32> = Vec::new();
    for layer in 0..layers {
        let mut found = layer;
        for other in (0..layer).filter(|other| first[*other as usize] == *other) {
            if equal(source, up(layer).as_ref(), up(other).as_ref())? {
                found = other;
                break;
            }
        }
        first.push(found);
    }
    if (0..layers).all(|layer| first[layer as usize] == layer) {
        return facts.add("recursion", false, "the tensors, none of which repeats");
    }
    let kinds = [Sharing::Cycle, Sharing::MiddleCycle, Sharing::Sequence, Sharing::MiddleSequence];
    for (count, sharing) in (2..=LIMITS.recursions).flat_map(|count| kinds.map(|sharing| (count, sharing))) {
        let fits = sharing.block_layers(layers, count).is_some()
            && (0..layers).all(|layer| sharing.unique(layer, layers, count) == first[layer as usize]);
        if fits {
            let origin = "the tensors, whose contents repeat that way";
            facts.add("recursion.count", count, origin)?;
            return facts.add("recursion.sharing", sharing.name(), origin);
        }
    }
    Err(ModelError::Unsupported {
        what: format!("layers that repeat as {first:?} (each with the first that it equals)"),
        supported: "cycle, sequence, middle_cycle, middle_sequence".into(),
    })
}

/// Whether attention and norms are shared like the rest, whether there are encodings, and that adapters have a scale.
fn add_ties(source: &dyn TensorSource, names: &Names, facts: &mut Facts) -> Result<(), ModelError> {
    if names.holds(".lora_") {
        facts.add("lora", true, "the tensors, which hold adapters")?;
        if facts.get("lora.scale").is_none() {
            return Err(ModelError::Config {
                why: "the file holds adapters, and no tensor tells their scale (alpha / rank); set lora.scale=X, or \
                      give the training's settings"
                    .into(),
            });
        }
    } else {
        facts.add("lora", false, "the tensors, which hold no adapters")?;
    }
    if !facts.has("recursion") {
        return Ok(());
    }
    let encoding = names.holds("recursion_encoding");
    facts.add("recursion.encoding", encoding, "whether there is a tensor `recursion_encoding`")?;
    let (Some(count), Some(sharing)) = (facts.number("recursion.count"), sharing(facts)?) else {
        return Ok(());
    };
    let layers = names.layout.layers();
    let differs = |parts: &dyn Fn(u32) -> Vec<Vec<String>>| -> Result<bool, ModelError> {
        for layer in 0..layers.min(LIMITS.layers) {
            for (own, shared) in parts(layer).into_iter().zip(parts(sharing.unique(layer, layers, count))) {
                let both = own.first().zip(shared.first());
                if both.is_some_and(|(own, shared)| own != shared) && !equal(source, own.first(), shared.first())? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    };
    let attention = |layer: u32| -> Vec<Vec<String>> {
        let linears = Linear::ALL.into_iter().filter(|linear| linear.is_attention());
        linears.map(|linear| names.linear(layer, linear)).collect()
    };
    let norms = |layer: u32| vec![names.norm(layer, Norm::BeforeAttention), names.norm(layer, Norm::BeforeFeedForward)];
    let origin = "the tensors' contents";
    facts.add("recursion.share_attention", !differs(&attention)?, origin)?;
    facts.add("recursion.share_norms", !differs(&norms)?, origin)
}

fn sharing(facts: &Facts) -> Result<Option<Sharing>, ModelError> {
    let Some(fact) = facts.get("recursion.sharing") else { return Ok(None) };
    let kinds = [Sharing::Cycle, Sharing::MiddleCycle, Sharing::Sequence, Sharing::MiddleSequence];
    let found = kinds.into_iter().find(|kind| fact.value == kind.name());
    let wrong = || ModelError::Config {
        why: format!(
            "`recursion.sharing` is {} by {}; it must be cycle, sequence, middle_cycle or middle_sequence",
            fact.value, fact.origin
        ),
    };
    found.map(Some).ok_or_else(wrong)
}

/// The config with its block.
fn finish(mut base: Value, facts: &Facts) -> Result<ModelConfig, ModelError> {
    if facts.has("recursion") && (facts.get("recursion.count").is_none() || facts.get("recursion.sharing").is_none()) {
        return Err(ModelError::Config {
            why: "the tensors repeat, but not how; set recursion.count=N and recursion.sharing=KIND, or give the \
                  training's settings"
                .into(),
        });
    }
    for field in FIELDS.into_iter().chain(["num_hidden_layers"]) {
        if let Some(fact) = facts.get(field) {
            base[field] = fact.value.clone();
        }
    }
    base["isobath"] = facts.block();
    ModelConfig::from_json(&base.to_string())
}

/// What tensors cannot tell and nobody said.
fn assumed(config: &ModelConfig, facts: &Facts) -> Vec<String> {
    let block = config.block().unwrap_or_default();
    let unsaid = UNSHOWN.iter().filter(|field| facts.get(&format!("router.{field}")).is_none());
    let valued = unsaid.map(|field| (field, &block["router"][field])).filter(|(_, value)| !value.is_null());
    valued
        .map(|(field, value)| {
            format!(
                "router.{field}: {value}, by assumption, as in the released models: tensors do not tell; \
                 router.{field}=VALUE or the training's settings change it"
            )
        })
        .collect()
}

/// The tensors of layers: canonical name and the first of the names in the file that stand for it. The others must equal
/// it.
fn shared(
    config: &ModelConfig,
    source: &dyn TensorSource,
    names: &Names,
    used: &mut HashSet<String>,
) -> Result<BTreeMap<String, String>, ModelError> {
    let mut map: BTreeMap<String, String> = BTreeMap::new();
    for layer in 0..config.n_layers {
        let linears = Linear::ALL.map(|linear| (names::linear(config, layer, linear), names.linear(layer, linear)));
        let norms = [Norm::BeforeAttention, Norm::BeforeFeedForward];
        let norms = norms.map(|norm| (names::norm(config, layer, norm), names.norm(layer, norm)));
        for (ours, theirs) in linears.into_iter().chain(norms) {
            for name in theirs {
                if let Some(first) = map.get(&ours) {
                    if !equal(source, Some(first), Some(&name))? {
                        return Err(differ(config, &ours, first, &name));
                    }
                } else {
                    map.insert(ours.clone(), name.clone());
                }
                used.insert(name);
            }
        }
    }
    Ok(map)
}

fn differ(config: &ModelConfig, ours: &str, first: &str, second: &str) -> ModelError {
    let sharing = config.recursion.map_or("none", |recursion| recursion.sharing.name());
    ModelError::Config {
        why: format!(
            "by the settings (sharing {sharing}, {} recursions) `{first}` and `{second}` are one tensor, `{ours}`, but \
             their contents differ; set recursion.sharing and recursion.count right, or give the training's settings, or \
             the file is damaged",
            config.n_recursions()
        ),
    }
}
