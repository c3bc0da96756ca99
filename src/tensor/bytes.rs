//! The bytes of a file, wherever they are: in memory, or somewhere from which each part must be awaited.
//!
//! **Invariant:** of a file that is elsewhere nothing is held but its header and the rows that are asked for.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, ready};
use std::ops::Range;
use std::pin::Pin;

use crate::error::ModelError;
use crate::tensor::Tensor;

/// What must be awaited; boxed, so that a trait object can hand it out.
pub type Awaited<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The bytes of a file.
pub trait FileBytes {
    /// Their number.
    fn length(&self) -> u64;

    /// All of them, where they are in memory.
    fn in_memory(&self) -> Option<&[u8]>;

    /// A part that lies within the file; what went wrong, in words.
    fn read(&self, range: Range<u64>) -> Awaited<'_, Result<Vec<u8>, String>>;
}

impl<T: AsRef<[u8]>> FileBytes for T {
    fn length(&self) -> u64 {
        self.as_ref().len() as u64
    }

    fn in_memory(&self) -> Option<&[u8]> {
        Some(self.as_ref())
    }

    fn read(&self, range: Range<u64>) -> Awaited<'_, Result<Vec<u8>, String>> {
        let part = self.as_ref().get(range.start as usize..range.end as usize);
        Box::pin(ready(part.map(<[u8]>::to_vec).ok_or_else(|| "the file is shorter than it was".to_owned())))
    }
}

/// The part of a file that holds its tensors.
#[derive(Clone, Copy)]
pub(crate) enum Data<'a> {
    /// In memory.
    Here(&'a [u8]),
    /// Elsewhere, from this byte on.
    There { bytes: &'a dyn FileBytes, start: u64 },
}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes", self.length())
    }
}

impl<'a> Data<'a> {
    /// Number of bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Here(bytes) => bytes.len() as u64,
            Self::There { bytes, start } => bytes.length().saturating_sub(*start),
        }
    }

    /// A part that is in memory already.
    pub fn now(&self, range: Range<usize>, file: &str) -> Result<&'a [u8], ModelError> {
        let part = match self {
            Self::Here(bytes) => bytes.get(range),
            Self::There { .. } => None,
        };
        let why = || "this part of the file is not in memory; it can only be read row by row".to_owned();
        part.ok_or_else(|| ModelError::Format { file: file.to_owned(), why: why() })
    }

    /// A part, from wherever it is.
    pub async fn later(&self, range: Range<usize>, file: &str) -> Result<Cow<'a, [u8]>, ModelError> {
        match self {
            Self::Here(_) => self.now(range, file).map(Cow::Borrowed),
            Self::There { bytes, start } => {
                let range = start + range.start as u64..start + range.end as u64;
                read(*bytes, range, file).await.map(Cow::Owned)
            }
        }
    }
}

/// A part of a file, exactly as long as it was asked for.
pub(crate) async fn read(bytes: &dyn FileBytes, range: Range<u64>, file: &str) -> Result<Vec<u8>, ModelError> {
    let wanted = range.end - range.start;
    let format = |why: String| ModelError::Format { file: file.to_owned(), why };
    let part = bytes.read(range.clone()).await.map_err(format)?;
    if part.len() as u64 == wanted {
        return Ok(part);
    }
    Err(format(format!("{} bytes came for {wanted} from byte {} on; load it again", part.len(), range.start)))
}

/// Rows of a tensor that is there as a whole.
pub(crate) fn cut(tensor: Tensor<'_>, rows: Range<usize>) -> Tensor<'_> {
    let Tensor { data_type, mut shape, data } = tensor;
    let all = shape.first().copied().unwrap_or(1).max(1);
    let (row, end) = (data.len() / all, rows.end.min(all));
    let part = rows.start.min(end) * row..end * row;
    if let Some(first) = shape.first_mut() {
        *first = end - rows.start.min(end);
    }
    let data = match data {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[part]),
        Cow::Owned(bytes) => Cow::Owned(bytes[part].to_vec()),
    };
    Tensor { data_type, shape, data }
}
