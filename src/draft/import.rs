//! Heads that others have trained, as parts of a kit.
//!
//! **Invariant:** nothing is guessed in silence: what was assumed is told, and what does not fit the model is refused.

use serde_json::Value;

use crate::error::ModelError;
use crate::network::config::ModelConfig;
use crate::network::kit::{
    Array, Calibration, Exit, KIT_JSON, Kit, LEVELS, LayerShape, Mark, ModelFacts, OwnLayer, Predictor, Readout,
    Threshold,
};
use crate::tensor::finite::check_finite;
use crate::tensor::{DataType, TensorSource, values};

/// A file of tensors that was found.
pub struct Found<'a> {
    /// Its name, without folder.
    pub name: String,
    /// What it holds.
    pub tensors: &'a dyn TensorSource,
}

/// What lies in a folder.
pub struct Folder<'a> {
    /// Files of tensors.
    pub files: Vec<Found<'a>>,
    /// `config.json`, where there is one.
    pub config: Option<Value>,
    /// `calibration.json`, where there is one.
    pub calibration: Option<Value>,
}

/// How somebody lays out heads in files.
struct Layout {
    /// What they are.
    name: &'static str,
    /// A file belongs to it that has a tensor whose name ends so.
    mark: &'static str,
    /// Adds the parts of a file to the kit.
    read: fn(&Import<'_>, &Found<'_>, &mut Kit, &mut Vec<String>) -> Result<(), ModelError>,
}

/// The layouts that are known.
const LAYOUTS: [Layout; 3] = [
    Layout {
        name: "exit heads (aux_heads.pt of DSSD)",
        mark: "0.linear.weight",
        read: |import, file, kit, notes| import.exit_heads(file, kit, notes),
    },
    Layout {
        name: "predictors (a file for each layer, of SpecEE)",
        mark: "fc1.weight",
        read: |import, file, kit, notes| import.predictor(file, kit, notes),
    },
    Layout {
        name: "a draft layer (of EAGLE)",
        mark: "layers.0.self_attn.q_proj.weight",
        read: |import, file, kit, notes| import.own_layer(file, kit, notes),
    },
];

/// Layers whose predictors are asked for every token, in a model of 32 layers, as its authors chose them.
const OFFLINE: (u32, [u32; 8]) = (32, [15, 16, 17, 19, 21, 24, 26, 28]);

struct Import<'a> {
    folder: &'a Folder<'a>,
    config: &'a ModelConfig,
    facts: &'a ModelFacts,
}

/// Makes a kit of what a folder holds; returns it with what was assumed, a line for each.
///
/// # Errors
/// A folder that holds nothing known, and what does not fit the model.
pub fn import(folder: &Folder<'_>, config: &ModelConfig, facts: &ModelFacts) -> Result<(Kit, Vec<String>), ModelError> {
    let (mut kit, mut notes) = (Kit::empty(facts.clone(), facts.vocab_size), vec![]);
    let import = Import { folder, config, facts };
    let mut known = false;
    for file in &folder.files {
        let names = file.tensors.names();
        let layout = LAYOUTS.iter().find(|layout| names.iter().any(|name| is_end(name, layout.mark)));
        let Some(layout) = layout else {
            notes.push(format!("{}: left out, it holds no heads that are known", file.name));
            continue;
        };
        notes.push(format!("{}: {}", file.name, layout.name));
        (layout.read)(&import, file, &mut kit, &mut notes)?;
        known = true;
    }
    if !known {
        let supported = LAYOUTS.map(|layout| format!("{} with `{}`", layout.name, layout.mark)).join("; ");
        let what = format!("heads of another layout, in {}", list(folder.files.iter().map(|file| file.name.as_str())));
        return Err(ModelError::Unsupported { what, supported });
    }
    kit.exits.sort_by_key(|exit| exit.depth);
    kit.predictors.sort_by_key(|predictor| predictor.depth);
    kit.check()?;
    Ok((kit, notes))
}

/// Whether a name is that one, or ends with it behind a dot.
fn is_end(name: &str, end: &str) -> bool {
    name.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.take(6).collect();
    if names.is_empty() { "a folder without files of tensors".into() } else { names.join(", ") }
}

fn refuse(file: &Found<'_>, why: String) -> ModelError {
    ModelError::Kit { file: file.name.clone(), why }
}

impl Import<'_> {
    /// The depth of what reads the stream behind a layer, counted from 0.
    fn depth(&self, file: &Found<'_>, layer: u32) -> Result<u32, ModelError> {
        if self.facts.rounds != self.facts.layers {
            return Err(ModelError::Unsupported {
                what: format!(
                    "{}, whose heads stand behind layers, for a model of {} rounds",
                    file.name, self.facts.rounds
                ),
                supported: "such heads for models whose rounds are their layers".into(),
            });
        }
        match layer + 1 {
            depth if depth < self.facts.rounds => Ok(depth),
            _ => {
                Err(refuse(file, format!("layer {layer}: the model has {} layers, counted from 0", self.facts.layers)))
            }
        }
    }

    fn array(&self, file: &Found<'_>, name: &str) -> Result<Array, ModelError> {
        let missing = || refuse(file, format!("tensor `{name}` is missing"));
        let tensor = file.tensors.tensor(name)?.ok_or_else(missing)?;
        check_finite(name, &tensor)?;
        let data_type = match tensor.data_type {
            plain @ (DataType::F32 | DataType::F16 | DataType::Bf16) => plain,
            _ => DataType::F32,
        };
        Ok(Array { data_type, shape: tensor.shape.clone(), values: values(&tensor) })
    }

    fn exit_heads(&self, file: &Found<'_>, kit: &mut Kit, notes: &mut Vec<String>) -> Result<(), ModelError> {
        let names = file.tensors.names();
        let heads = (0..).take_while(|head| names.contains(&format!("{head}.linear.weight"))).count();
        let said = self.folder.config.as_ref().and_then(|config| config["head_layer_indices"].as_array());
        let layers: Vec<u32> = match said {
            Some(said) => said.iter().filter_map(|layer| layer.as_u64()?.try_into().ok()).collect(),
            None => {
                let place = |head: usize| self.facts.layers * (head as u32 + 1) / (heads as u32 + 1);
                let layers: Vec<u32> = (0..heads).map(place).collect();
                notes
                    .push(format!("no config.json says behind which layers the heads stand: by assumption {layers:?}"));
                layers
            }
        };
        if layers.len() != heads {
            return Err(refuse(file, format!("it holds {heads} heads, config.json tells of layers {layers:?}")));
        }
        for (head, layer) in layers.into_iter().enumerate() {
            let (norm, linear) = (format!("{head}.norm.weight"), format!("{head}.linear.weight"));
            kit.exits.push(Exit {
                depth: self.depth(file, layer)?,
                norm: self.array(file, &norm)?,
                readout: Readout::Logits { head: self.array(file, &linear)? },
                calibration: self.thresholds(head, notes),
            });
        }
        Ok(())
    }

    /// What calibration.json says of a head.
    fn thresholds(&self, head: usize, notes: &mut Vec<String>) -> Calibration {
        let Some(said) = &self.folder.calibration else { return Calibration::default() };
        if said["uncertainty_metric"] != "entropy" {
            notes.push(format!("calibration.json is left out: its measure is {}", said["uncertainty_metric"]));
            return Calibration::default();
        }
        let threshold = |agreement: f64| {
            let at = said["thresholds"][format!("{agreement:.2}")][head.to_string()].as_f64().map(|at| at as f32);
            let entropy = at.filter(|at| at.is_finite()).map(|at| Mark { at, coverage: None });
            Threshold { agreement, entropy, confidence: None }
        };
        Calibration { thresholds: LEVELS.map(threshold).to_vec(), ..Calibration::default() }
    }

    fn predictor(&self, file: &Found<'_>, kit: &mut Kit, notes: &mut Vec<String>) -> Result<(), ModelError> {
        let digits: Vec<&str> =
            file.name.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
        let Some(layer) = digits.last().and_then(|digits| digits.parse::<u32>().ok()) else {
            return Err(refuse(file, "its name has no number, which would be the layer that it stands behind".into()));
        };
        let names = file.tensors.names();
        let prefix = names.iter().find_map(|name| name.strip_suffix("fc1.weight")).unwrap_or_default();
        let array = |name: &str| self.array(file, &format!("{prefix}{name}"));
        let offline = self.facts.layers != OFFLINE.0 || OFFLINE.1.contains(&layer);
        notes.push(format!("{}: behind layer {layer}, by its name; threshold 0.5, by assumption", file.name));
        kit.predictors.push(Predictor {
            depth: self.depth(file, layer)?,
            offline,
            threshold: 0.5,
            calibration: Calibration::default(),
            first: array("fc1.weight")?,
            first_bias: array("fc1.bias")?,
            second: array("fc2.weight")?,
            second_bias: array("fc2.bias")?,
        });
        Ok(())
    }

    fn own_layer(&self, file: &Found<'_>, kit: &mut Kit, notes: &mut Vec<String>) -> Result<(), ModelError> {
        let names = file.tensors.names();
        let prefix =
            names.iter().find_map(|name| name.strip_suffix("layers.0.self_attn.q_proj.weight")).unwrap_or_default();
        let has = |name: &str| names.iter().any(|other| other.strip_prefix(prefix) == Some(name));
        if has("layers.1.self_attn.q_proj.weight") {
            return Err(refuse(file, "it holds several layers; a draft layer is one".into()));
        }
        let said = |key: &str, own: u32| {
            let config = self.folder.config.as_ref();
            config.and_then(|config| config[key].as_u64()?.try_into().ok()).unwrap_or(own)
        };
        let heads = said("num_attention_heads", self.config.n_heads);
        let rows = |name: &str| match file.tensors.info(&format!("{prefix}layers.0.{name}")) {
            Ok(Some((_, shape))) => shape.first().copied().unwrap_or(0) as u32,
            _ => 0,
        };
        let head_dim = rows("self_attn.q_proj.weight") / heads.max(1);
        let shape = LayerShape {
            heads,
            kv_heads: rows("self_attn.k_proj.weight") / head_dim.max(1),
            head_dim,
            intermediate: rows("mlp.gate_proj.weight"),
            fc_bias: has("fc.bias"),
            qkv_bias: has("layers.0.self_attn.q_proj.bias"),
            input_norm: has("layers.0.input_layernorm.weight"),
            final_norm: has("norm.weight"),
        };
        let mut tensors = vec![];
        for (name, _) in shape.tensors(self.facts.hidden_size as usize) {
            let own = name.trim_start_matches("own.");
            let outside = own.starts_with("fc.") || own == "norm.weight";
            let theirs = if outside { format!("{prefix}{own}") } else { format!("{prefix}layers.0.{own}") };
            tensors.push((name, self.array(file, &theirs)?));
        }
        let unused = names.len() - tensors.len();
        if unused > 0 {
            notes.push(format!("{}: {unused} tensors are left out, such as a copy of the embedding", file.name));
        }
        if kit.own_layer.is_some() {
            return Err(refuse(file, format!("a second draft layer; {KIT_JSON} holds one")));
        }
        kit.own_layer = Some(OwnLayer { shape, tensors, calibration: Calibration::default() });
        Ok(())
    }
}
