//! GGUF files of the Llama family, versions 2 and 3, under canonical names.
//!
//! llama.cpp stores the rows of a Llama model's q and k in another order (rotary pairs side by side), and Gemma's norms
//! with 1 added; both are undone when such a tensor is asked for. Everything else is borrowed from the file.
//!
//! **Invariant:** in a file that parses, every tensor of a usable type lies within the file, at an aligned offset,
//! and overlaps no other.

mod config;
mod layout;
pub mod metadata;
pub(crate) mod names;
mod sampling;
mod tokenizer;
pub mod write;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::error::ModelError;
use crate::files::gguf::layout::{Description, read_description, read_header, read_pairs};
use crate::files::gguf::metadata::{Array, Reader, Value};
use crate::files::gguf::names::{Permuted, canonical, data_type, type_name};
use crate::network::family::LLAMA;
use crate::tensor::bytes::{Awaited, Data, FileBytes, read};
use crate::tensor::{DataType, Tensor, TensorSource, values};

/// Bytes of a distant file that are read first.
const FIRST_HEAD: u64 = 1 << 20;
/// A file whose weights do not begin within these is damaged.
const MOST_HEAD: u64 = 64 << 20;

/// A parsed file.
#[derive(Debug)]
pub struct Gguf<'a> {
    file: String,
    values: HashMap<&'a str, Value<'a>>,
    /// Everything behind the descriptions.
    data: Data<'a>,
    /// By canonical name.
    entries: HashMap<String, Entry<'a>>,
    /// Names that no member of the family has, in the order of the file.
    strangers: Vec<&'a str>,
}

/// Where a tensor lies.
#[derive(Debug)]
struct Entry<'a> {
    /// Name in the file.
    name: &'a str,
    /// ggml's number of the type.
    type_number: u32,
    /// Outermost first.
    shape: Vec<usize>,
    /// Exactly the tensor's bytes; empty where the type cannot be used.
    range: Range<usize>,
    permuted: Option<Permuted>,
}

impl<'a> Gguf<'a> {
    /// Reads everything but the weights; `file` is the name that messages use.
    pub fn parse(bytes: &'a [u8], file: &str) -> Result<Self, ModelError> {
        Self::parse_head(bytes, file, |start| Data::Here(bytes.get(start..).unwrap_or_default()))
    }

    /// Reads everything but the weights of a file that may be elsewhere; `head` is its beginning from [`head`].
    ///
    /// # Errors
    /// As [`Gguf::parse`].
    pub fn open(head: &'a [u8], bytes: &'a dyn FileBytes, file: &str) -> Result<Self, ModelError> {
        match bytes.in_memory() {
            Some(bytes) => Self::parse(bytes, file),
            None => Self::parse_head(head, file, |start| Data::There { bytes, start: start as u64 }),
        }
    }

    fn parse_head(head: &'a [u8], file: &str, data: impl FnOnce(usize) -> Data<'a>) -> Result<Self, ModelError> {
        let mut reader = Reader::new(head, file);
        let (n_tensors, n_pairs) = read_header(&mut reader)?;
        let values = read_pairs(&mut reader, n_pairs)?;
        let descriptions: Vec<Description> =
            (0..n_tensors).map(|_| read_description(&mut reader)).collect::<Result<_, _>>()?;
        let none = Data::Here(&[]);
        let mut gguf = Self { file: file.into(), values, data: none, entries: HashMap::new(), strangers: Vec::new() };
        let alignment = gguf.alignment()?;
        gguf.data = data(reader.position().next_multiple_of(alignment));
        for description in &descriptions {
            gguf.add(description, alignment)?;
        }
        gguf.check_overlap(&descriptions)?;
        Ok(gguf)
    }

    fn format(&self, why: String) -> ModelError {
        ModelError::Format { file: self.file.clone(), why }
    }

    fn alignment(&self) -> Result<usize, ModelError> {
        let alignment = self.integer("general.alignment")?.unwrap_or(32);
        match usize::try_from(alignment).ok().filter(|size| size.is_power_of_two() && (8..=1 << 20).contains(size)) {
            Some(alignment) => Ok(alignment),
            None => {
                Err(self
                    .format(format!("`general.alignment` is {alignment}; it must be a power of two from 8 to 1048576")))
            }
        }
    }

    fn check_overlap(&self, descriptions: &[Description]) -> Result<(), ModelError> {
        let mut ranges: Vec<(u64, u64, &str)> = descriptions
            .iter()
            .map(|tensor| {
                let bytes = data_type(tensor.type_number).and_then(|kind| kind.bytes(&tensor.shape)).unwrap_or(0);
                (tensor.offset, tensor.offset.saturating_add(bytes as u64), tensor.name)
            })
            .filter(|(start, end, _)| end > start)
            .collect();
        ranges.sort_unstable();
        match ranges.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            Some(pair) => Err(self.format(format!("the data of tensors `{}` and `{}` overlap", pair[0].2, pair[1].2))),
            None => Ok(()),
        }
    }

    fn add(&mut self, tensor: &Description<'a>, alignment: usize) -> Result<(), ModelError> {
        let Description { name, type_number, offset, .. } = *tensor;
        let shape = tensor.shape.clone();
        let size = match data_type(type_number) {
            None => 0,
            Some(kind) => kind.bytes(&shape).ok_or_else(|| {
                self.format(format!(
                    "tensor `{name}` of type {} has shape {shape:?}; its rows must be a multiple of {} long and its \
                     size one that fits in memory",
                    kind.name(),
                    kind.block().0
                ))
            })?,
        };
        let start = usize::try_from(offset).ok().filter(|start| start.is_multiple_of(alignment)).ok_or_else(|| {
            self.format(format!("tensor `{name}` lies at offset {offset}; it must be a multiple of {alignment}"))
        })?;
        let length = self.data.length();
        let range = start.checked_add(size).filter(|end| *end as u64 <= length).map(|end| start..end).ok_or_else(|| {
            self.format(format!(
                "tensor `{name}` needs {size} bytes at offset {offset}, but the file has only {length} bytes of tensors; it \
                 is truncated or damaged"
            ))
        })?;
        let Some((canonical, permuted)) = canonical(name) else {
            self.strangers.push(name);
            return Ok(());
        };
        let entry = Entry { name, type_number, shape, range, permuted };
        match self.entries.insert(canonical, entry) {
            Some(other) => {
                Err(self.format(format!("tensor `{name}` stands twice, the other time as `{}`", other.name)))
            }
            None => Ok(()),
        }
    }

    /// A metadata value.
    pub fn metadata(&self, key: &str) -> Option<&Value<'a>> {
        self.values.get(key)
    }

    /// Names in the file that no member of the family has.
    pub fn strangers(&self) -> &[&'a str] {
        &self.strangers
    }

    /// The value as `read` sees it; an error that says what it must be where `read` refuses.
    fn typed<T>(
        &self,
        key: &str,
        allowed: &str,
        read: impl Fn(&Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, ModelError> {
        let Some(value) = self.values.get(key) else {
            return Ok(None);
        };
        let wrong = || self.format(format!("metadata `{key}` is {}; it must be {allowed}", value.kind()));
        read(value).map(Some).ok_or_else(wrong)
    }

    /// A text, `None` where the key is absent.
    pub fn string(&self, key: &str) -> Result<Option<&'a str>, ModelError> {
        self.typed(key, "a string", |value| match value {
            Value::String(text) => Some(*text),
            _ => None,
        })
    }

    /// A whole number, `None` where the key is absent.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, ModelError> {
        self.typed(key, "a whole number below 2^63", Value::as_integer)
    }

    /// A whole number, or the first of a list of them.
    fn of_first_layer(&self, key: &str) -> Result<Option<i64>, ModelError> {
        match self.values.get(key) {
            Some(Value::Array(_)) => Ok(self.integers(key)?.and_then(|numbers| numbers.first().copied())),
            _ => self.integer(key),
        }
    }

    /// A number, `None` where the key is absent.
    pub fn float(&self, key: &str) -> Result<Option<f64>, ModelError> {
        self.typed(key, "a number", |value| match value {
            Value::Float(number) => Some(*number),
            other => other.as_integer().map(|number| number as f64),
        })
    }

    /// True or false, `None` where the key is absent.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, ModelError> {
        self.typed(key, "true or false", |value| match value {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        })
    }

    /// An array of any values, `None` where the key is absent.
    pub fn array(&self, key: &str) -> Result<Option<Array<'a>>, ModelError> {
        self.typed(key, "an array", |value| match value {
            Value::Array(array) => Some(*array),
            _ => None,
        })
    }

    /// An array of texts, `None` where the key is absent.
    pub fn strings(&self, key: &str) -> Result<Option<Vec<&'a str>>, ModelError> {
        self.typed(key, "an array of strings", |value| match value {
            Value::Array(array) => array
                .values()
                .map(|value| match value {
                    Value::String(text) => Some(text),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
    }

    /// An array of whole numbers, `None` where the key is absent.
    pub fn integers(&self, key: &str) -> Result<Option<Vec<i64>>, ModelError> {
        self.typed(key, "an array of whole numbers", |value| match value {
            Value::Array(array) => array.values().map(|value| value.as_integer()).collect(),
            _ => None,
        })
    }

    /// Weights as the canonical names mean them: llama.cpp has added an offset to those of norms.
    fn plain<'t>(&self, name: &str, tensor: Tensor<'t>) -> Tensor<'t> {
        let offset = self.family().unwrap_or(&LLAMA).norms.kind.offset();
        if offset != 0.0 && name.ends_with("norm.weight") { lowered(&tensor, offset) } else { tensor }
    }

    /// Heads of q or k and rows of each; `None` for tensors whose rows stand in order.
    fn heads(&self, entry: &Entry) -> Result<Option<(usize, usize)>, ModelError> {
        // Another architecture is refused with the config; its tensors can be looked at all the same.
        let names = self.family().unwrap_or(&LLAMA).gguf;
        let Some(which) = entry.permuted.filter(|_| names.permuted) else { return Ok(None) };
        let queries = format!("{}.attention.head_count", names.architecture);
        let keys = format!("{queries}_kv");
        let heads = match which {
            Permuted::Queries => self.of_first_layer(&queries)?,
            Permuted::Keys => match self.of_first_layer(&keys)? {
                None => self.of_first_layer(&queries)?,
                some => some,
            },
        };
        let rows = entry.shape.first().copied().unwrap_or(0);
        let heads = heads.and_then(|heads| usize::try_from(heads).ok()).filter(|heads| {
            heads.checked_mul(2).is_some_and(|pairs| pairs > 0 && rows > 0 && rows.is_multiple_of(pairs))
        });
        match heads.filter(|_| entry.shape.len() <= 2) {
            Some(heads) => Ok(Some((heads, rows / heads))),
            None => Err(self.format(format!(
                "tensor `{}` has shape {:?}; its rows must be an even number for each of the heads that \
                 `{queries}` and `{keys}` give",
                entry.name, entry.shape
            ))),
        }
    }
}

/// Rows of whole heads in Hugging Face's order.
///
/// llama.cpp stores row `i + j * half` of a head as its row `2 * i + j`, with i < half = head_dim / 2 and
/// j < 2. Rows are whole blocks, so quantised ones move as they are.
fn unpermuted(stored: &[u8], row_bytes: usize, head_dim: usize) -> Vec<u8> {
    let half = head_dim / 2;
    let mut data = Vec::with_capacity(stored.len());
    for head in stored.chunks_exact(row_bytes * head_dim) {
        for row in 0..head_dim {
            let from = row % half * 2 + row / half;
            data.extend_from_slice(&head[from * row_bytes..(from + 1) * row_bytes]);
        }
    }
    data
}

/// The beginning of a file up to its weights and somewhat beyond; nothing of one that is in memory.
///
/// # Errors
/// What keeps the file from being read.
pub async fn head(bytes: &dyn FileBytes, file: &str) -> Result<Vec<u8>, ModelError> {
    if bytes.in_memory().is_some() {
        return Ok(Vec::new());
    }
    // How long it is shows only in reading it: a vocabulary may stand before the tensors.
    let mut size = FIRST_HEAD.min(bytes.length());
    let mut head = read(bytes, 0..size, file).await?;
    while head.starts_with(b"GGUF") && size < MOST_HEAD.min(bytes.length()) && Gguf::open(&head, bytes, file).is_err() {
        let more = (4 * size).min(bytes.length());
        head.extend(read(bytes, size..more, file).await?);
        size = more;
    }
    Ok(head)
}

fn lowered(tensor: &Tensor, offset: f32) -> Tensor<'static> {
    let bytes: Vec<u8> = values(tensor).iter().flat_map(|number| (number - offset).to_le_bytes()).collect();
    Tensor { data_type: DataType::F32, shape: tensor.shape.clone(), data: Cow::Owned(bytes) }
}

impl TensorSource for Gguf<'_> {
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.entries.keys().cloned().collect();
        names.sort();
        names
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        let Some((data_type, shape)) = self.info(name)? else {
            return Ok(None);
        };
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        let stored = self.data.now(entry.range.clone(), &self.file)?;
        let data = match self.heads(entry)? {
            Some((heads, rows)) => Cow::Owned(unpermuted(stored, stored.len() / (heads * rows), rows)),
            None => Cow::Borrowed(stored),
        };
        Ok(Some(self.plain(name, Tensor { data_type, shape, data })))
    }

    fn rows<'n, 's: 'n>(
        &'s self,
        name: &'n str,
        rows: Range<usize>,
    ) -> Awaited<'n, Result<Option<Tensor<'s>>, ModelError>> {
        Box::pin(async move {
            let Some(((data_type, mut shape), entry)) = self.info(name)?.zip(self.entries.get(name)) else {
                return Ok(None);
            };
            let all = shape.first().copied().unwrap_or(1).max(1);
            let (row, last) = (entry.range.len() / all, rows.end.min(all));
            let first = rows.start.min(last);
            // Rows of a head can only be put in order together.
            let heads = self.heads(entry)?.map(|(_, rows)| rows);
            let unit = heads.unwrap_or(1);
            let (from, to) = (first / unit * unit, last.next_multiple_of(unit));
            let start = entry.range.start;
            let data = self.data.later(start + from * row..start + to * row, &self.file).await?;
            let data = match heads {
                Some(head_dim) => {
                    let whole = unpermuted(&data, row, head_dim);
                    Cow::Owned(whole[(first - from) * row..(last - from) * row].to_vec())
                }
                None => data,
            };
            if let Some(size) = shape.first_mut() {
                *size = last - first;
            }
            Ok(Some(self.plain(name, Tensor { data_type, shape, data })))
        })
    }

    fn info(&self, name: &str) -> Result<Option<(DataType, Vec<usize>)>, ModelError> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        match data_type(entry.type_number) {
            Some(data_type) => Ok(Some((data_type, entry.shape.clone()))),
            None => Err(ModelError::DataType { name: name.into(), found: type_name(entry.type_number) }),
        }
    }
}
