//! From `kit.json` and tensors to a [`Kit`], and from a kit to the text of `kit.json`.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Value;

use super::about::{About, ExitReadout, LayerShape, PartAbout};
use super::{Array, Exit, FORMAT, Jump, KIT_JSON, Kit, Meta, OwnLayer, Predictor, Readout, VERSION};
use crate::error::ModelError;
use crate::tensor::finite::check_finite;
use crate::tensor::quantise::recode;
use crate::tensor::{DataType, Tensor, TensorSource, values};

/// Names of a predictor's tensors, within it.
pub(super) const PREDICTOR: [&str; 4] = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"];

/// The tensors that were not asked for yet, and what messages call their files.
struct Reader<'a> {
    source: &'a dyn TensorSource,
    file: &'a str,
    /// Names that some part asked for.
    read: HashSet<String>,
}

impl Kit {
    /// Reads a kit: the text of `kit.json` and the tensors beside it; `file` is the name that messages use for it.
    ///
    /// # Errors
    /// [`ModelError::Kit`] for a description that cannot be, and for tensors that are missing, of another shape, or of no
    /// part; [`ModelError::NotFinite`] and [`ModelError::DataType`] for their numbers.
    pub fn read(json: &str, file: &str, source: &dyn TensorSource) -> Result<Self, ModelError> {
        let about = About::parse(json).map_err(|why| ModelError::Kit { file: file.into(), why })?;
        let mut reader = Reader { source, file, read: HashSet::new() };
        let hidden = about.model.hidden_size as usize;
        let mut kit = Self::empty(about.model, about.head_rows);
        for part in about.parts {
            reader.part(&mut kit, part, hidden)?;
        }
        kit.exits.sort_by_key(|exit| exit.depth);
        kit.predictors.sort_by_key(|predictor| predictor.depth);
        reader.nothing_left()?;
        Ok(kit)
    }

    /// Whether what is in memory would be read so from a file.
    ///
    /// # Errors
    /// As [`Kit::read`].
    pub fn check(&self) -> Result<(), ModelError> {
        Self::read(&self.to_json(), KIT_JSON, self).map(drop)
    }

    /// The text of `kit.json`.
    pub fn to_json(&self) -> String {
        // Every key is a text, so nothing here can fail.
        serde_json::to_string_pretty(&About::of(self)).unwrap_or_default() + "\n"
    }
}

impl TensorSource for Kit {
    fn names(&self) -> Vec<String> {
        self.tensors().into_iter().map(|(name, _)| name).collect()
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        let Some((_, array)) = self.tensors().into_iter().find(|(own, _)| own == name) else { return Ok(None) };
        let (data_type, shape) = (array.data_type, array.shape.clone());
        let bytes = array.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let plain = Tensor { data_type: DataType::F32, shape: shape.clone(), data: Cow::Owned(bytes) };
        // What is recoded stands in bytes of its own.
        let data = Cow::Owned(recode(name, plain, data_type)?.into_owned());
        Ok(Some(Tensor { data_type, shape, data }))
    }

    fn info(&self, name: &str) -> Result<Option<(DataType, Vec<usize>)>, ModelError> {
        let found = self.tensors().into_iter().find(|(own, _)| own == name);
        Ok(found.map(|(_, array)| (array.data_type, array.shape.clone())))
    }
}

impl About {
    /// Reads `kit.json`; what is wrong, in words.
    pub(super) fn parse(json: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(json).map_err(|error| format!("it is no JSON: {error}"))?;
        if value["format"] != FORMAT {
            return Err(format!("it does not say \"format\": \"{FORMAT}\"; is this the file of a kit?"));
        }
        if value["version"] != VERSION {
            let found = &value["version"];
            return Err(format!("it is of version {found}; this program reads version {VERSION}: make the kit again"));
        }
        // Read again from the text, because a message then tells line and column, and a key that stands twice is seen.
        let about: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        about.check()?;
        Ok(about)
    }
}

impl Reader<'_> {
    fn fault(&self, why: String) -> ModelError {
        ModelError::Kit { file: self.file.into(), why }
    }

    /// A tensor of the file, of that shape.
    fn array(&mut self, name: &str, shape: &[usize]) -> Result<Array, ModelError> {
        let Some((data_type, found)) = self.source.info(name)? else {
            return Err(self.fault(format!("tensor `{name}` is missing, which a part needs")));
        };
        if found != shape {
            return Err(self.fault(format!("tensor `{name}` has shape {found:?}; the part asks for {shape:?}")));
        }
        if !matches!(data_type, DataType::F32 | DataType::F16 | DataType::Bf16) {
            let why = format!("tensor `{name}` is {}; a kit's tensors are f32, f16 or bf16", data_type.name());
            return Err(self.fault(why));
        }
        let Some(tensor) = self.source.tensor(name)? else {
            return Err(self.fault(format!("tensor `{name}` cannot be read")));
        };
        check_finite(name, &tensor)?;
        self.read.insert(name.to_owned());
        Ok(Array { data_type, shape: shape.to_vec(), values: values(&tensor) })
    }

    fn part(&mut self, kit: &mut Kit, part: PartAbout, hidden: usize) -> Result<(), ModelError> {
        match part {
            PartAbout::Jump { calibration } => {
                let weight = self.array("jump.weight", &[hidden, 2 * hidden])?;
                kit.jump = Some(Jump { weight, bias: self.array("jump.bias", &[hidden])?, calibration });
            }
            PartAbout::Exit { depth, readout, rows, calibration } => {
                let norm = self.array(&format!("exit.{depth}.norm"), &[hidden])?;
                let readout = match readout {
                    ExitReadout::State => Readout::State {
                        weight: self.array(&format!("exit.{depth}.weight"), &[hidden, hidden])?,
                        bias: self.array(&format!("exit.{depth}.bias"), &[hidden])?,
                    },
                    ExitReadout::Logits => {
                        let rows = rows.unwrap_or_default() as usize;
                        Readout::Logits { head: self.array(&format!("exit.{depth}.head"), &[rows, hidden])? }
                    }
                };
                kit.exits.push(Exit { depth, norm, readout, calibration });
            }
            PartAbout::OwnLayer { shape, calibration } => {
                let mut tensors = vec![];
                for (name, wanted) in shape.tensors(hidden) {
                    let array = self.array(&name, &wanted)?;
                    tensors.push((name, array));
                }
                kit.own_layer = Some(OwnLayer { shape, tensors, calibration });
            }
            PartAbout::Predictor { depth, inputs, inner, offline, threshold, calibration } => {
                let (inputs, inner) = (inputs as usize, inner as usize);
                let shapes: [&[usize]; 4] = [&[inner, inputs], &[inner], &[1, inner], &[1]];
                let name = |which: usize| format!("predictor.{depth}.{}", PREDICTOR[which]);
                kit.predictors.push(Predictor {
                    depth,
                    offline,
                    threshold,
                    calibration,
                    first: self.array(&name(0), shapes[0])?,
                    first_bias: self.array(&name(1), shapes[1])?,
                    second: self.array(&name(2), shapes[2])?,
                    second_bias: self.array(&name(3), shapes[3])?,
                });
            }
            PartAbout::Meta { calibration } => {
                let weight = self.array("meta.weight", &[1, hidden])?;
                kit.meta = Some(Meta { weight, bias: self.array("meta.bias", &[1])?, calibration });
            }
        }
        Ok(())
    }

    /// Refuses tensors that no part asked for.
    fn nothing_left(&self) -> Result<(), ModelError> {
        match self.source.names().into_iter().find(|name| !self.read.contains(name)) {
            Some(name) => Err(self.fault(format!("tensor `{name}` belongs to no part"))),
            None => Ok(()),
        }
    }
}

impl LayerShape {
    /// Names and shapes of its tensors.
    pub fn tensors(&self, hidden: usize) -> Vec<(String, Vec<usize>)> {
        let (queries, keys) = (self.heads as usize, self.kv_heads as usize);
        let (queries, keys) = (queries * self.head_dim as usize, keys * self.head_dim as usize);
        let inner = self.intermediate as usize;
        [
            (true, "fc.weight", vec![hidden, 2 * hidden]),
            (self.fc_bias, "fc.bias", vec![hidden]),
            (self.input_norm, "input_layernorm.weight", vec![hidden]),
            (true, "self_attn.q_proj.weight", vec![queries, hidden]),
            (self.qkv_bias, "self_attn.q_proj.bias", vec![queries]),
            (true, "self_attn.k_proj.weight", vec![keys, hidden]),
            (self.qkv_bias, "self_attn.k_proj.bias", vec![keys]),
            (true, "self_attn.v_proj.weight", vec![keys, hidden]),
            (self.qkv_bias, "self_attn.v_proj.bias", vec![keys]),
            (true, "self_attn.o_proj.weight", vec![hidden, queries]),
            (true, "post_attention_layernorm.weight", vec![hidden]),
            (true, "mlp.gate_proj.weight", vec![inner, hidden]),
            (true, "mlp.up_proj.weight", vec![inner, hidden]),
            (true, "mlp.down_proj.weight", vec![hidden, inner]),
            (self.final_norm, "norm.weight", vec![hidden]),
        ]
        .into_iter()
        .filter(|(there, ..)| *there)
        .map(|(_, name, shape)| (format!("own.{name}"), shape))
        .collect()
    }
}
