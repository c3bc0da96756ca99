//! The key-value part of a GGUF file, and the reader of its bytes.
//!
//! **Invariant:** every length is checked against the bytes that remain before anything is done with it, nothing
//! is copied, and the work is in proportion to the file. Arrays stay bytes until they are asked for.

use crate::error::ModelError;

/// Arrays within arrays: deeper than this is refused.
const DEEPEST: usize = 8;

/// The 13 types of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// 8 bits.
    U8,
    /// 8 bits with sign.
    I8,
    /// 16 bits.
    U16,
    /// 16 bits with sign.
    I16,
    /// 32 bits.
    U32,
    /// 32 bits with sign.
    I32,
    /// Single precision.
    F32,
    /// One byte, 0 or 1.
    Bool,
    /// Length and UTF-8.
    String,
    /// Type, count, values.
    Array,
    /// 64 bits.
    U64,
    /// 64 bits with sign.
    I64,
    /// Double precision.
    F64,
}

impl ValueType {
    /// In the order of their numbers in a file.
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::String,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    /// Fewest bytes that a value takes.
    fn least_bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::String | Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Array => 12,
        }
    }
}

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Of the unsigned types.
    Unsigned(u64),
    /// Of the signed types.
    Signed(i64),
    /// Of the float types.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Text.
    String(&'a str),
    /// A list.
    Array(Array<'a>),
}

impl Value<'_> {
    /// The kind in words, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unsigned(_) | Self::Signed(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Bool(_) => "true or false",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
        }
    }

    /// A whole number as `i64`, `None` for other kinds and beyond its range.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Unsigned(number) => i64::try_from(*number).ok(),
            Self::Signed(number) => Some(*number),
            _ => None,
        }
    }
}

/// A list that has been walked once, so that its bytes are known to hold what it claims.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Array<'a> {
    kind: ValueType,
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values in order.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes, "");
        let kind = self.kind;
        // The bytes were walked by the same code, so no value fails here.
        (0..self.count).map_while(move |_| reader.value(kind, 0).ok())
    }
}

/// Reads little-endian values one after the other.
#[derive(Debug)]
pub(crate) struct Reader<'a, 'f> {
    bytes: &'a [u8],
    position: usize,
    file: &'f str,
}

impl<'a, 'f> Reader<'a, 'f> {
    pub(crate) fn new(bytes: &'a [u8], file: &'f str) -> Self {
        Self { bytes, position: 0, file }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub(crate) fn error(&self, why: String) -> ModelError {
        ModelError::Format { file: self.file.into(), why }
    }

    /// The next `count` bytes; `what` goes into the message where there are fewer.
    pub(crate) fn take(&mut self, count: u64, what: &str) -> Result<&'a [u8], ModelError> {
        let remaining = self.remaining();
        match usize::try_from(count).ok().filter(|count| *count <= remaining) {
            Some(count) => {
                let taken = &self.bytes[self.position..self.position + count];
                self.position += count;
                Ok(taken)
            }
            None => Err(self.error(format!(
                "{what} at byte {} needs {count} bytes, but only {remaining} are left; the file is truncated or \
                 damaged",
                self.position
            ))),
        }
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], ModelError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    pub(crate) fn u32(&mut self, what: &str) -> Result<u32, ModelError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &str) -> Result<u64, ModelError> {
        self.array(what).map(u64::from_le_bytes)
    }

    pub(crate) fn string(&mut self, what: &str) -> Result<&'a str, ModelError> {
        let length = self.u64(what)?;
        let start = self.position;
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes).map_err(|_| self.error(format!("{what} at byte {start} is not UTF-8")))
    }

    pub(crate) fn value_type(&mut self, what: &str) -> Result<ValueType, ModelError> {
        let number = self.u32(what)?;
        ValueType::ALL
            .get(number as usize)
            .copied()
            .ok_or_else(|| self.error(format!("{what} has type {number}; GGUF has types 0 to 12")))
    }

    /// A value of that type; `depth` counts the arrays around it.
    pub(crate) fn value(&mut self, kind: ValueType, depth: usize) -> Result<Value<'a>, ModelError> {
        let what = "a value";
        Ok(match kind {
            ValueType::U8 => Value::Unsigned(self.array::<1>(what)?[0].into()),
            ValueType::I8 => Value::Signed(i8::from_le_bytes(self.array(what)?).into()),
            ValueType::U16 => Value::Unsigned(u16::from_le_bytes(self.array(what)?).into()),
            ValueType::I16 => Value::Signed(i16::from_le_bytes(self.array(what)?).into()),
            ValueType::U32 => Value::Unsigned(self.u32(what)?.into()),
            ValueType::I32 => Value::Signed(i32::from_le_bytes(self.array(what)?).into()),
            ValueType::U64 => Value::Unsigned(self.u64(what)?),
            ValueType::I64 => Value::Signed(i64::from_le_bytes(self.array(what)?)),
            ValueType::F32 => Value::Float(f32::from_le_bytes(self.array(what)?).into()),
            ValueType::F64 => Value::Float(f64::from_le_bytes(self.array(what)?)),
            ValueType::String => Value::String(self.string("a string")?),
            ValueType::Bool => match self.array::<1>(what)?[0] {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                other => {
                    return Err(self.error(format!("a truth value is {other}; it must be 0 or 1")));
                }
            },
            ValueType::Array => Value::Array(self.list(depth)?),
        })
    }

    fn list(&mut self, depth: usize) -> Result<Array<'a>, ModelError> {
        if depth >= DEEPEST {
            return Err(self.error(format!("arrays are nested deeper than {DEEPEST}")));
        }
        let kind = self.value_type("an array's element")?;
        let claimed = self.u64("an array's length")?;
        let fits = self.remaining() / kind.least_bytes();
        let count = usize::try_from(claimed).ok().filter(|count| *count <= fits).ok_or_else(|| {
            self.error(format!(
                "an array at byte {} claims {claimed} elements, but only {} bytes are left; the file is truncated \
                 or damaged",
                self.position,
                self.remaining()
            ))
        })?;
        let start = self.position;
        for _ in 0..count {
            self.value(kind, depth + 1)?;
        }
        Ok(Array { kind, count, bytes: &self.bytes[start..self.position] })
    }
}
