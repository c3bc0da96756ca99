//! The weights of a model folder.
//!
//! [`Safetensors`] reads one file, [`Folder`] several as one (of this or of torch's format). Beside f32, f16 and bf16 a file may hold quantised
//! tensors: a tensor of type `U8` whose `__metadata__` entry `isobath.NAME` is `"q8_0:OUTxIN"` holds that many
//! rows of ggml blocks.
//!
//! **Invariant:** a file that parses can be read without a bounds check failing: offsets lie within the file and
//! do not overlap. Which types can be used is decided only when a tensor is asked for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use crate::error::ModelError;
use crate::files::index::WeightFile;
use crate::tensor::bytes::{Awaited, Data, FileBytes, read};
use crate::tensor::{DataType, Tensor, TensorSource};

/// Longest header that is read; the crate's own limit.
const MOST_HEADER: u64 = 100_000_000;

/// One `.safetensors` file.
#[derive(Debug)]
pub struct Safetensors<'a> {
    file: String,
    metadata: Metadata,
    /// Everything behind the header.
    data: Data<'a>,
}

impl<'a> Safetensors<'a> {
    /// Reads the header; `file` is the name that messages use.
    pub fn parse(bytes: &'a [u8], file: &str) -> Result<Self, ModelError> {
        let format = |why: String| ModelError::Format { file: file.into(), why };
        let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| format(explain(&error, bytes)))?;
        // The first eight bytes hold the length of the header.
        Ok(Self { file: file.into(), metadata, data: Data::Here(&bytes[8 + header..]) })
    }

    /// Reads the header of a file that may be elsewhere.
    ///
    /// # Errors
    /// As [`Safetensors::parse`], and whatever keeps the file from being read.
    pub async fn open(bytes: &'a dyn FileBytes, file: &str) -> Result<Self, ModelError> {
        if let Some(bytes) = bytes.in_memory() {
            return Self::parse(bytes, file);
        }
        let length = bytes.length();
        let first = read(bytes, 0..length.min(8), file).await?;
        let header = first.first_chunk::<8>().map_or(0, |first| u64::from_le_bytes(*first));
        let start = header.saturating_add(8);
        if first.len() < 8 || header > MOST_HEADER || start > length {
            // Nothing of such a file is looked at but these bytes.
            return Err(ModelError::Format { file: file.into(), why: explain_start(&first, length) });
        }
        let format = |why: String| ModelError::Format { file: file.into(), why };
        let text = read(bytes, 8..start, file).await?;
        let metadata: Metadata = serde_json::from_slice(&text)
            .map_err(|error| format(format!("the header is not what safetensors asks for: {error}")))?;
        let data = Data::There { bytes, start };
        let end = metadata.data_len() as u64;
        if end != data.length() {
            return Err(format(format!(
                "the tensors' byte ranges end at byte {}, the file at {length}; it is truncated or has a tail",
                start + end
            )));
        }
        Ok(Self { file: file.into(), metadata, data })
    }

    /// The name that messages use.
    pub fn name(&self) -> &str {
        &self.file
    }

    /// An entry of the file's `__metadata__`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(key).map(String::as_str)
    }

    fn layout(&self, name: &str, info: &TensorInfo) -> Result<(DataType, Vec<usize>), ModelError> {
        let plain = |data_type| Ok((data_type, info.shape.clone()));
        match (info.dtype, self.metadata(&format!("isobath.{name}"))) {
            (Dtype::F32, _) => plain(DataType::F32),
            (Dtype::F16, _) => plain(DataType::F16),
            (Dtype::BF16, _) => plain(DataType::Bf16),
            (Dtype::U8, Some(text)) => self.quantised(name, text, info),
            (other, _) => Err(ModelError::DataType { name: name.into(), found: format!("{other:?}") }),
        }
    }

    fn quantised(&self, name: &str, text: &str, info: &TensorInfo) -> Result<(DataType, Vec<usize>), ModelError> {
        let format = |why: String| ModelError::Format { file: self.file.clone(), why };
        let (data_type, shape) = parse_quantised(text).ok_or_else(|| {
            format(format!(
                "metadata `isobath.{name}` is \"{text}\"; it must be a type and a shape, as in \"q8_0:64x32\""
            ))
        })?;
        let found = info.data_offsets.1 - info.data_offsets.0;
        match data_type.bytes(&shape) {
            Some(needed) if needed == found => Ok((data_type, shape)),
            Some(needed) => {
                Err(format(format!("tensor `{name}` has {found} bytes; its metadata \"{text}\" asks for {needed}")))
            }
            None => Err(format(format!(
                "metadata `isobath.{name}` is \"{text}\"; its rows must be a multiple of {} long",
                data_type.block().0
            ))),
        }
    }
}

/// `"q8_0:64x32"` as type and shape.
fn parse_quantised(text: &str) -> Option<(DataType, Vec<usize>)> {
    let (name, shape) = text.split_once(':')?;
    let data_type = DataType::ALL.into_iter().find(|data_type| data_type.name() == name)?;
    let (out, input) = shape.split_once('x')?;
    Some((data_type, vec![out.parse().ok()?, input.parse().ok()?]))
}

impl TensorSource for Safetensors<'_> {
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.metadata.tensors().into_keys().collect();
        names.sort();
        names
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        let Some(info) = self.metadata.info(name) else {
            return Ok(None);
        };
        let (data_type, shape) = self.layout(name, info)?;
        let (start, end) = info.data_offsets;
        Ok(Some(Tensor { data_type, shape, data: Cow::Borrowed(self.data.now(start..end, &self.file)?) }))
    }

    fn rows<'n, 's: 'n>(
        &'s self,
        name: &'n str,
        rows: Range<usize>,
    ) -> Awaited<'n, Result<Option<Tensor<'s>>, ModelError>> {
        Box::pin(async move {
            let Some((info, (data_type, mut shape))) = self.metadata.info(name).zip(self.info(name)?) else {
                return Ok(None);
            };
            let (start, end) = info.data_offsets;
            let all = shape.first().copied().unwrap_or(1).max(1);
            let (row, last) = ((end - start) / all, rows.end.min(all));
            let first = rows.start.min(last);
            let data = self.data.later(start + first * row..start + last * row, &self.file).await?;
            if let Some(size) = shape.first_mut() {
                *size = last - first;
            }
            Ok(Some(Tensor { data_type, shape, data }))
        })
    }

    fn info(&self, name: &str) -> Result<Option<(DataType, Vec<usize>)>, ModelError> {
        self.metadata.info(name).map(|info| self.layout(name, info)).transpose()
    }
}

/// Several files that together are one model.
#[derive(Debug)]
pub struct Folder<'a> {
    files: Vec<WeightFile<'a>>,
    owner: HashMap<String, usize>,
}

impl<'a> Folder<'a> {
    /// Reads the files, of whichever format, and joins them.
    ///
    /// # Errors
    /// What is wrong with a file, and as [`Folder::new`].
    pub fn parse<B: AsRef<[u8]>>(files: &'a [(String, B)]) -> Result<Self, ModelError> {
        let parsed = files.iter().map(|(name, bytes)| WeightFile::parse(bytes.as_ref(), name));
        Self::new(parsed.collect::<Result<Vec<_>, _>>()?)
    }

    /// Joins the files; a tensor must stand in one of them only.
    pub fn new(files: Vec<impl Into<WeightFile<'a>>>) -> Result<Self, ModelError> {
        let files: Vec<WeightFile> = files.into_iter().map(Into::into).collect();
        let mut owner: HashMap<String, usize> = HashMap::new();
        for (index, file) in files.iter().enumerate() {
            for name in file.names() {
                if let Some(other) = owner.get(&name) {
                    return Err(ModelError::Format {
                        file: file.name().into(),
                        why: format!("tensor `{name}` stands in {} as well", files[*other].name()),
                    });
                }
                owner.insert(name, index);
            }
        }
        Ok(Self { files, owner })
    }

    /// The file in which a tensor stands.
    pub fn file_of(&self, name: &str) -> Option<&WeightFile<'a>> {
        self.owner.get(name).and_then(|index| self.files.get(*index))
    }
}

impl TensorSource for Folder<'_> {
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.owner.keys().cloned().collect();
        names.sort();
        names
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        self.file_of(name).map_or(Ok(None), |file| file.tensor(name))
    }

    fn rows<'n, 's: 'n>(
        &'s self,
        name: &'n str,
        rows: Range<usize>,
    ) -> Awaited<'n, Result<Option<Tensor<'s>>, ModelError>> {
        match self.file_of(name) {
            Some(file) => file.rows(name, rows),
            None => Box::pin(std::future::ready(Ok(None))),
        }
    }

    fn info(&self, name: &str) -> Result<Option<(DataType, Vec<usize>)>, ModelError> {
        self.file_of(name).map_or(Ok(None), |file| file.info(name))
    }
}

/// What is wrong with a header's length, which the first eight bytes hold.
fn explain_start(first: &[u8], length: u64) -> String {
    match first.first_chunk::<8>().map(|first| u64::from_le_bytes(*first)) {
        None => {
            format!("the file has {length} bytes, too few for the header's length; it is truncated or not safetensors")
        }
        Some(header) if header > MOST_HEADER => {
            format!("the header claims {header} bytes, more than any real one; is this a safetensors file?")
        }
        Some(header) => format!(
            "the header claims {header} bytes, but the file has only {length}; it is truncated or not safetensors"
        ),
    }
}

/// The crate's error as a sentence that says what is wrong with the file.
fn explain(error: &SafeTensorError, bytes: &[u8]) -> String {
    let length = bytes.len();
    match error {
        SafeTensorError::HeaderTooSmall | SafeTensorError::HeaderTooLarge | SafeTensorError::InvalidHeaderLength => {
            explain_start(bytes, length as u64)
        }
        SafeTensorError::InvalidHeader(error) => format!("the header is not UTF-8 text: {error}"),
        SafeTensorError::InvalidHeaderDeserialization(error) | SafeTensorError::JsonError(error) => {
            format!("the header is not what safetensors asks for: {error}")
        }
        SafeTensorError::InvalidOffset(name) => {
            format!("the data of tensor `{name}` overlaps another's, leaves a gap, or ends before it begins")
        }
        SafeTensorError::TensorInvalidInfo | SafeTensorError::MisalignedSlice => {
            "a tensor's byte range does not have the size that its shape and type need".to_string()
        }
        SafeTensorError::ValidationOverflow => "a tensor's shape is larger than any memory".to_string(),
        SafeTensorError::MetadataIncompleteBuffer => format!(
            "the tensors' byte ranges do not end where the file ends, at byte {length}; it is truncated or has a tail"
        ),
        other => other.to_string(),
    }
}
