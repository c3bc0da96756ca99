//! Weights in several files: one file of any format ([`WeightFile`]), and the index that says what stands where.
//!
//! **Invariant:** an index names plain files of its own folder, so that it cannot lead anywhere else.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use crate::error::ModelError;
use crate::files::safetensors::{Folder, Safetensors};
use crate::files::torch::Checkpoint;
use crate::tensor::bytes::{Awaited, FileBytes, read};
use crate::tensor::{DataType, Tensor, TensorSource};

/// One file of weights.
#[derive(Debug)]
pub enum WeightFile<'a> {
    /// `.safetensors`
    Safetensors(Safetensors<'a>),
    /// `.bin`, as `torch.save` writes it.
    Checkpoint(Checkpoint<'a>),
}

impl<'a> WeightFile<'a> {
    /// Reads a file of the format that its first bytes show; `file` is the name that messages use.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn parse(bytes: &'a [u8], file: &str) -> Result<Self, ModelError> {
        if Checkpoint::is_one(bytes) {
            Checkpoint::parse(bytes, file).map(Self::Checkpoint)
        } else {
            Safetensors::parse(bytes, file).map(Self::Safetensors)
        }
    }

    /// Reads the header of a file that may be elsewhere.
    ///
    /// # Errors
    /// What is wrong with the file, or that it is a checkpoint that is not in memory.
    pub async fn open(bytes: &'a dyn FileBytes, file: &str) -> Result<Self, ModelError> {
        if let Some(bytes) = bytes.in_memory() {
            return Self::parse(bytes, file);
        }
        let first = read(bytes, 0..bytes.length().min(64), file).await?;
        if Checkpoint::is_one(&first) {
            return Err(ModelError::Unsupported {
                what: format!("{file}, a PyTorch checkpoint, read part by part"),
                supported: "model.safetensors or a GGUF file; save the model as one of these".into(),
            });
        }
        Safetensors::open(bytes, file).await.map(Self::Safetensors)
    }

    /// The name that messages use.
    pub fn name(&self) -> &str {
        match self {
            Self::Safetensors(file) => file.name(),
            Self::Checkpoint(file) => file.name(),
        }
    }

    fn source(&self) -> &dyn TensorSource {
        match self {
            Self::Safetensors(file) => file,
            Self::Checkpoint(file) => file,
        }
    }
}

impl<'a> From<Safetensors<'a>> for WeightFile<'a> {
    fn from(file: Safetensors<'a>) -> Self {
        Self::Safetensors(file)
    }
}

impl TensorSource for WeightFile<'_> {
    fn names(&self) -> Vec<String> {
        self.source().names()
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        self.source().tensor(name)
    }

    fn info(&self, name: &str) -> Result<Option<(DataType, Vec<usize>)>, ModelError> {
        self.source().info(name)
    }

    fn rows<'n, 's: 'n>(
        &'s self,
        name: &'n str,
        rows: Range<usize>,
    ) -> Awaited<'n, Result<Option<Tensor<'s>>, ModelError>> {
        self.source().rows(name, rows)
    }
}

/// `model.safetensors.index.json` or `pytorch_model.bin.index.json`: which tensor stands in which file.
#[derive(Debug)]
pub struct Index {
    name: String,
    /// Tensors and files in the order of the index.
    entries: Vec<(String, String)>,
}

impl Index {
    /// Reads an index; `name` is its own name for messages.
    ///
    /// # Errors
    /// What is wrong with it: not such JSON, a tensor that is listed twice, a path in place of a file's name.
    pub fn parse(text: &str, name: &str) -> Result<Self, ModelError> {
        #[derive(Deserialize)]
        struct Json {
            weight_map: Pairs,
        }
        let format = |why: String| ModelError::Format { file: name.into(), why };
        let json: Json = serde_json::from_str(text)
            .map_err(|error| format(format!("it is not an object with a `weight_map` of names: {error}")))?;
        let mut entries = json.weight_map.0;
        for (tensor, file) in &entries {
            let plain = file.ends_with(".safetensors") || file.ends_with(".bin");
            if !plain || file.contains(['/', '\\', ':']) || file.starts_with('.') {
                return Err(format(format!(
                    "it says that tensor `{tensor}` stands in {file:?}; that must be the name of a .safetensors or .bin file"
                )));
            }
        }
        if entries.is_empty() {
            return Err(format("its `weight_map` lists no tensor".into()));
        }
        entries.sort();
        match entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => {
                Err(format(format!("it lists tensor `{}` twice, in {} and {}", pair[0].0, pair[0].1, pair[1].1)))
            }
            None => Ok(Self { name: name.into(), entries }),
        }
    }

    /// The files that it names, each once, sorted.
    pub fn files(&self) -> Vec<&str> {
        let mut files: Vec<&str> = self.entries.iter().map(|(_, file)| file.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Whether each tensor stands where the index says.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self, folder: &Folder) -> Result<(), ModelError> {
        for (tensor, listed) in &self.entries {
            let owner = folder.file_of(tensor).map(|file| file.name().rsplit(['/', '\\']).next().unwrap_or_default());
            let why = match owner {
                Some(owner) if owner == listed => continue,
                Some(owner) => format!("it stands in {owner}"),
                None => "no file holds it".into(),
            };
            let why = format!(
                "it says that tensor `{tensor}` stands in {listed}, but {why}; the files do not belong together, \
                 download them again"
            );
            return Err(ModelError::Format { file: self.name.clone(), why });
        }
        Ok(())
    }
}

/// A JSON object of texts with all its entries, also those of one name.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object from tensors to files")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = vec![];
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, parts: &[&str]) {
        let message = Index::parse(text, "a.index.json").unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "`{message}` lacks `{part}`");
        }
    }

    #[test]
    fn files_are_named_once() {
        let text = r#"{"metadata": {"total_size": 8},
            "weight_map": {"b": "2.safetensors", "a": "1.safetensors", "c": "1.safetensors"}}"#;
        assert_eq!(Index::parse(text, "a").unwrap().files(), ["1.safetensors", "2.safetensors"]);
    }

    #[test]
    fn a_wrong_index_says_what_is_wrong() {
        refused("", &["a.index.json", "weight_map"]);
        refused("{}", &["weight_map"]);
        refused(r#"{"weight_map": {"a": 1}}"#, &["weight_map"]);
        refused(r#"{"weight_map": {}}"#, &["lists no tensor"]);
        let twice = r#"{"weight_map": {"a": "1.bin", "b": "1.bin", "a": "2.bin"}}"#;
        refused(twice, &["`a` twice, in 1.bin and 2.bin"]);
        for path in ["../secret.bin", "/etc/x.bin", "x:y.bin", "a\\\\b.bin", "..", "x.txt", ".bin"] {
            refused(&format!(r#"{{"weight_map": {{"a": "{path}"}}}}"#), &["`a`", "must be the name"]);
        }
    }
}
