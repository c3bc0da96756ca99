//! The bytes of a pickle, instruction by instruction.
//!
//! **Invariant:** nothing is read behind the end, and no length is believed before the bytes are seen to be there.

use super::machine::Value;
use crate::error::ModelError;

/// A program and where it is read.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    code: &'a [u8],
    position: usize,
    /// For messages.
    file: &'a str,
}

impl<'a> Program<'a> {
    pub fn new(code: &'a [u8], file: &'a str) -> Self {
        Self { code, position: 0, file }
    }

    /// The program does what no pickle of torch does.
    pub fn wrong(&self, why: &str) -> ModelError {
        let why = format!("its pickle {why} (byte {}); the file is damaged", self.position);
        ModelError::Format { file: self.file.into(), why }
    }

    /// The program asks for what could run code.
    pub fn refuse(&self, what: &str) -> ModelError {
        ModelError::Unsupported {
            what: format!("{what} in the pickle of {}, which could run code", self.file),
            supported: "tensors, dicts, lists, tuples, numbers and texts; save the state dict alone, or as safetensors"
                .into(),
        }
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], ModelError> {
        let end = self.position.checked_add(length);
        let bytes = end.and_then(|end| self.code.get(self.position..end)).ok_or_else(|| self.wrong("ends too soon"))?;
        self.position += length;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn byte(&mut self) -> Result<u8, ModelError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u32(&mut self) -> Result<u32, ModelError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A length of 1, 4 or 8 bytes.
    fn length(&mut self, width: usize) -> Result<usize, ModelError> {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| self.wrong("holds a text larger than any memory"))
    }

    fn text(&mut self, width: usize) -> Result<&'a str, ModelError> {
        let length = self.length(width)?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.wrong("holds a text that is not UTF-8"))
    }

    /// Text up to the next line feed.
    pub fn line(&mut self) -> Result<&'a str, ModelError> {
        let rest = &self.code[self.position..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| self.wrong("ends too soon"))?;
        let line = std::str::from_utf8(self.take(length)?).map_err(|_| self.wrong("holds a name that is not UTF-8"));
        self.position += 1;
        line
    }

    /// A number, text or bytes.
    pub fn literal(&mut self, instruction: u8) -> Result<Value<'a>, ModelError> {
        Ok(match instruction {
            b'J' => Value::Integer(i64::from(i32::from_le_bytes(self.array()?))),
            b'K' => Value::Integer(i64::from(self.byte()?)),
            b'M' => Value::Integer(i64::from(u16::from_le_bytes(self.array()?))),
            0x8a => Value::Integer(self.long()?),
            b'X' => Value::Text(self.text(4)?),
            0x8c => Value::Text(self.text(1)?),
            0x8d => Value::Text(self.text(8)?),
            b'G' => self.skip(8)?,
            b'C' => self.skip_bytes(1)?,
            b'B' => self.skip_bytes(4)?,
            0x8e => self.skip_bytes(8)?,
            _ => return Err(self.refuse(&instruction_name(instruction))),
        })
    }

    /// Little-endian two's complement of up to 8 bytes.
    fn long(&mut self) -> Result<i64, ModelError> {
        let length = self.length(1)?;
        if length > 8 {
            return Err(self.wrong("holds a number of more than 64 bits"));
        }
        let bytes = self.take(length)?;
        let sign = bytes.last().is_some_and(|byte| *byte >= 0x80);
        let mut wide = if sign { [0xff; 8] } else { [0; 8] };
        wide[..length].copy_from_slice(bytes);
        Ok(i64::from_le_bytes(wide))
    }

    fn skip(&mut self, length: usize) -> Result<Value<'a>, ModelError> {
        self.take(length)?;
        Ok(Value::Nothing)
    }

    fn skip_bytes(&mut self, width: usize) -> Result<Value<'a>, ModelError> {
        let length = self.length(width)?;
        self.skip(length)
    }
}

/// Instructions that make objects have names that people search for.
fn instruction_name(instruction: u8) -> String {
    let name = match instruction {
        b'i' => "INST",
        b'o' => "OBJ",
        0x81 => "NEWOBJ",
        0x92 => "NEWOBJ_EX",
        0x82..=0x84 => "EXT",
        b'P' => "PERSID",
        _ => return format!("the instruction 0x{instruction:02x}"),
    };
    format!("the instruction {name}")
}
