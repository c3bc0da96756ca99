//! A golden case folder: its network under canonical names, and what the reference computed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use isobath::error::ModelError;
use isobath::files::safetensors::Safetensors;
use isobath::network::config::ModelConfig;
use isobath::network::names::{self, Linear, Norm, RouterRole};
use isobath::tensor::{DataType, Tensor, TensorSource, values};
use serde_json::{Value, json};

use super::golden_dir::golden_dir;

/// A tensor of `acts.safetensors`.
pub struct Act {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Act {
    /// The numbers of one batch row.
    pub fn row(&self, row: usize) -> Vec<f32> {
        let n = self.values.len() / self.shape[0];
        self.values[row * n..][..n].iter().map(|&x| x as f32).collect()
    }

    pub fn indices(&self, row: usize) -> Vec<u32> {
        let n = self.values.len() / self.shape[0];
        self.values[row * n..][..n].iter().map(|&x| x as u32).collect()
    }
}

/// One case.
pub struct Case {
    pub name: String,
    pub json: Value,
    pub config: ModelConfig,
    pub source: Renamed,
    pub acts: HashMap<String, Act>,
}

/// Official tensors under canonical names; what an importer will do for whole files.
pub struct Renamed {
    tensors: HashMap<String, Tensor<'static>>,
}

impl TensorSource for Renamed {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        Ok(self.tensors.get(name).cloned())
    }
}

/// Case folders of the home, and of the folder that `ISOBATH_GOLDEN` names.
pub fn all() -> Vec<Case> {
    let mut folders = case_folders(&golden_dir());
    if let Ok(more) = std::env::var("ISOBATH_GOLDEN") {
        let found = case_folders(Path::new(&more));
        assert!(!found.is_empty(), "ISOBATH_GOLDEN={more} holds no case folder");
        folders.extend(found);
    }
    folders.iter().map(|folder| Case::read(folder)).collect()
}

/// Folders with vectors of this format, in order; a folder without config or vectors is an error later, not skipped.
fn case_folders(home: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(home).unwrap_or_else(|error| panic!("{}: {error}", home.display()));
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    // These hold vectors in formats of their own.
    let others = ["smollm2", "transformers", "exits"];
    folders.retain(|folder| folder.file_name().is_some_and(|name| others.iter().all(|other| name != *other)));
    folders.sort();
    folders
}

fn tensors_of(path: &Path) -> HashMap<String, Tensor<'static>> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = Safetensors::parse(&bytes, &path.display().to_string()).unwrap_or_else(|error| panic!("{error}"));
    let own = |name: String| {
        let tensor = file.tensor(&name).unwrap().unwrap();
        (name, Tensor { data: tensor.data.into_owned().into(), ..tensor })
    };
    file.names().into_iter().map(own).collect()
}

fn acts_of(path: &Path) -> HashMap<String, Act> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file =
        safetensors::SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let act = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let values = match view.dtype() {
            safetensors::Dtype::F32 => {
                view.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect()
            }
            safetensors::Dtype::I32 => {
                view.data().chunks_exact(4).map(|b| f64::from(i32::from_le_bytes(b.try_into().unwrap()))).collect()
            }
            safetensors::Dtype::BOOL | safetensors::Dtype::U8 => view.data().iter().map(|&b| f64::from(b)).collect(),
            safetensors::Dtype::I64 => {
                view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect()
            }
            other => panic!("{}: {name} has type {other:?}", path.display()),
        };
        (name, Act { shape: view.shape().to_vec(), values })
    };
    file.tensors().into_iter().map(act).collect()
}

impl Case {
    fn read(folder: &Path) -> Self {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(folder.join("config.json")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let acts = acts_of(&folder.join("acts.safetensors"));
        let home = match json["weights_from"].as_str() {
            None => folder.to_path_buf(),
            Some(other) if folder.with_file_name(other).is_dir() => folder.with_file_name(other),
            Some(other) => golden_dir().join(other),
        };
        let mut official = tensors_of(&home.join("weights.safetensors"));
        if home.join("lora.safetensors").is_file() {
            official.extend(tensors_of(&home.join("lora.safetensors")));
        }
        let config = config_of(&json, &official);
        let config =
            ModelConfig::from_json(&config.to_string()).unwrap_or_else(|error| panic!("{name}: {error}\n{config:#}"));
        let source = rename(&config, &json, &official);
        Self { name, json, config, source, acts }
    }

    pub fn act(&self, name: &str) -> &Act {
        self.acts.get(name).unwrap_or_else(|| panic!("{}: no vector `{name}`", self.name))
    }
}

fn prefixes(json: &Value) -> Vec<&str> {
    json["layer_plan"].as_array().unwrap().iter().map(|layer| layer["weights"].as_str().unwrap()).collect()
}

/// Our config of a case: what the training YAML said, and what only the tensors tell.
fn config_of(json: &Value, official: &HashMap<String, Tensor<'_>>) -> Value {
    let (model, recursive, kv, mor) = (&json["model"], &json["recursive"], &json["kv_sharing"], &json["mor"]);
    let mut config = json!({
        "model_type": "llama", "max_position_embeddings": 64,
        "num_hidden_layers": json["layer_plan"].as_array().unwrap().len(),
    });
    for key in [
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "vocab_size",
        "rms_norm_eps",
        "rope_theta",
        "hidden_act",
        "attention_bias",
        "mlp_bias",
    ] {
        if !model[key].is_null() {
            config[key] = model[key].clone();
        }
    }
    let mut block = json!({ "version": 1 });
    if recursive["enable"] == true {
        let prefixes = prefixes(json);
        let differs = |path: &str| {
            let of = |l: usize| official.get(&format!("{}.{path}", prefixes[l])).map(|tensor| tensor.data.as_ref());
            let unique = |l: usize| json["layer_plan"][l]["unique"].as_u64().unwrap() as usize;
            (0..prefixes.len()).any(|l| of(l).is_some() && of(l) != of(unique(l)))
        };
        block["recursion"] = json!({
            "count": recursive["num_recursion"], "sharing": recursive["sharing"],
            "share_norms": !differs("input_layernorm.weight") && !differs("post_attention_layernorm.weight"),
            "share_attention": !["q", "k", "v", "o"].iter().any(|p| differs(&format!("self_attn.{p}_proj.weight"))),
            "encoding": official.keys().any(|name| name.ends_with("recursion_encoding")),
        });
    }
    let mode = json["kv_mode"].as_str().unwrap_or("own");
    if mode != "own" {
        block["kv"] = json!({ "mode": mode });
        for (key, name) in [("count", "num_recursion"), ("sharing", "sharing")] {
            if mode == "share" && !kv[name].is_null() {
                block["kv"][key] = kv[name].clone();
            }
        }
    }
    if json["relaxation"]["enable"] == true && official.keys().any(|name| name.contains("lora_A")) {
        block["lora"] = json!({ "scale": json["relaxation"]["scaling"] });
    }
    if mor["enable"] == true {
        block["router"] = router_of(json, official);
    }
    config["isobath"] = block;
    config
}

fn router_of(json: &Value, official: &HashMap<String, Tensor<'_>>) -> Value {
    let mor = &json["mor"];
    let kind = mor["type"].as_str().unwrap();
    let own = &mor[kind];
    let function = own["router_func"].as_str().unwrap_or("none");
    let mut router = json!({
        "kind": kind, "network": mor["router_type"], "function": function, "alpha": own["alpha"],
        "gating": own["gating"], "temperature": mor["temp"],
    });
    if kind == "expert" {
        if !mor["capacity"].is_null() {
            router["capacity"] = mor["capacity"].clone();
        }
        router["auxiliary"] = json!(own["sampling"] == "aux_router");
        router["gate_first"] = json!(json["first_recursion"].as_str().is_some_and(|first| first != "always"));
    } else {
        router["bias"] = json!(official.keys().any(|name| name.ends_with("router_bias")));
    }
    router
}

/// Each canonical name with the official tensor that stands for it (spec: "Checkpoint tensors").
fn rename(config: &ModelConfig, json: &Value, official: &HashMap<String, Tensor<'static>>) -> Renamed {
    let prefixes = prefixes(json);
    let mut tensors = HashMap::new();
    let mut give = |to: String, from: &str| {
        // An older file may hold what stands for several layers under the first of them only.
        if let Some(tensor) = official.get(from) {
            tensors.entry(to).or_insert_with(|| tensor.clone());
        }
    };
    for name in [names::EMBEDDING, names::FINAL_NORM] {
        give(name.into(), name);
    }
    if json["lm_head_tied"] == false {
        give(names::LM_HEAD.into(), names::LM_HEAD);
    }
    for layer in 0..config.n_layers {
        let prefix = prefixes[layer as usize];
        for which in Linear::ALL {
            give(names::linear(config, layer, which), &format!("{prefix}.{}.weight", which.path()));
            give(names::linear(config, layer, which), &format!("{prefix}.{}.base_layer.weight", which.path()));
            for (name, part) in [(names::lora_a(layer, which), "lora_A"), (names::lora_b(layer, which), "lora_B")] {
                give(name.clone(), &format!("model.layers.{layer}.{}.{part}.weight", which.path()));
                give(name.clone(), &format!("{prefix}.{}.{part}.weight", which.path()));
                give(name, &format!("{prefix}.{}.{part}.default.weight", which.path()));
            }
        }
        give(names::norm(config, layer, Norm::BeforeAttention), &format!("{prefix}.input_layernorm.weight"));
        give(names::norm(config, layer, Norm::BeforeFeedForward), &format!("{prefix}.post_attention_layernorm.weight"));
        if let Some(name) = names::recursion_encoding(config, layer) {
            let outer = prefix.strip_suffix(".block").unwrap_or(prefix);
            for from in [
                format!("model.layers.{layer}.recursion_encoding"),
                format!("{outer}.recursion_encoding"),
                format!("{prefix}.recursion_encoding"),
            ] {
                give(name.clone(), &from);
            }
        }
    }
    if let Some(router) = &config.router {
        let first = u64::from(config.recursion.is_some_and(|recursion| recursion.sharing.is_middle()));
        // Where the routers stand, as the case says it; else by the rule of the official code.
        let offset = json["mor"]["router_offset"].as_u64().unwrap_or(first);
        let said = json["mor"]["router_prefix"].as_str();
        let block = said.map_or_else(|| format!("model.layers.{first}"), str::to_owned);
        let mut routers = vec![(RouterRole::Token, format!("{block}.mor_router.router"))];
        if router.kind == isobath::network::config::RouterKind::Expert {
            let layers = said.unwrap_or("model.layers");
            routers = (0..config.n_recursions())
                .flat_map(|r| {
                    let of = |name| format!("{layers}.{}.{name}.router", offset + u64::from(r));
                    [(RouterRole::Expert(r), of("mor_router")), (RouterRole::Auxiliary(r), of("mlp_router"))]
                })
                .collect();
        }
        for (role, prefix) in routers {
            for (name, _) in names::router(config, router.network, role) {
                let end = [".0.weight", ".2.weight", ".weight"].into_iter().find(|end| name.ends_with(end)).unwrap();
                // Expert routers are numbered: `model.routers.0.weight` is linear, `model.routers.0.0.weight` is not.
                let end =
                    if router.network == isobath::network::config::RouterNetwork::Linear { ".weight" } else { end };
                give(name, &format!("{prefix}{end}"));
            }
        }
        // Biases are stored as whatever the optimiser held them in.
        if let Some(bias) = official.get(&format!("{block}.router_bias")) {
            let numbers = values(bias);
            let data = numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
            let tensor = Tensor { data_type: DataType::F32, shape: bias.shape.clone(), data: data.into() };
            tensors.insert(names::ROUTER_BIAS.into(), tensor);
        }
    }
    Renamed { tensors }
}
