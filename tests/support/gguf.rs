//! A small writer of GGUF files for tests: every type of value, and tensors as raw bytes.
//!
//! **Invariant:** it checks nothing, so that tests can write what no real tool would.

/// A metadata value.
#[derive(Debug, Clone)]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    /// Type number of the elements, elements.
    Array(u32, Vec<Value>),
    U64(u64),
    I64(i64),
    F64(f64),
    /// Type number and bytes as they are.
    Raw(u32, Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl Value {
    fn type_number(&self) -> u32 {
        match self {
            Self::U8(_) => 0,
            Self::I8(_) => 1,
            Self::U16(_) => 2,
            Self::I16(_) => 3,
            Self::U32(_) => 4,
            Self::I32(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::String(_) => 8,
            Self::Array(..) => 9,
            Self::U64(_) => 10,
            Self::I64(_) => 11,
            Self::F64(_) => 12,
            Self::Raw(number, _) => *number,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(value) => out.extend(value.to_le_bytes()),
            Self::I8(value) => out.extend(value.to_le_bytes()),
            Self::U16(value) => out.extend(value.to_le_bytes()),
            Self::I16(value) => out.extend(value.to_le_bytes()),
            Self::U32(value) => out.extend(value.to_le_bytes()),
            Self::I32(value) => out.extend(value.to_le_bytes()),
            Self::F32(value) => out.extend(value.to_le_bytes()),
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::String(text) => string(text, out),
            Self::Array(kind, values) => {
                out.extend(kind.to_le_bytes());
                out.extend((values.len() as u64).to_le_bytes());
                values.iter().for_each(|value| value.write(out));
            }
            Self::U64(value) => out.extend(value.to_le_bytes()),
            Self::I64(value) => out.extend(value.to_le_bytes()),
            Self::F64(value) => out.extend(value.to_le_bytes()),
            Self::Raw(_, bytes) => out.extend(bytes),
        }
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A tensor.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub name: String,
    /// Outermost first, as everywhere else; written the other way round.
    pub shape: Vec<u64>,
    pub type_number: u32,
    pub data: Vec<u8>,
    /// Offset to write instead of the true one.
    pub offset: Option<u64>,
}

/// A file to be.
#[derive(Debug, Clone)]
pub struct File {
    pub magic: [u8; 4],
    pub version: u32,
    pub alignment: usize,
    pub values: Vec<(String, Value)>,
    pub tensors: Vec<Tensor>,
    /// Counts to write instead of the true ones: tensors, values.
    pub counts: Option<(u64, u64)>,
}

impl Default for File {
    fn default() -> Self {
        Self { magic: *b"GGUF", version: 3, alignment: 32, values: Vec::new(), tensors: Vec::new(), counts: None }
    }
}

impl File {
    /// Sets a value, in place of an earlier one of that key.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        let value = value.into();
        match self.values.iter_mut().find(|(other, _)| other == key) {
            Some((_, old)) => *old = value,
            None => self.values.push((key.into(), value)),
        }
        self
    }

    /// Takes a value away.
    pub fn remove(&mut self, key: &str) -> &mut Self {
        self.values.retain(|(other, _)| other != key);
        self
    }

    /// Adds a tensor.
    pub fn tensor(&mut self, name: &str, shape: &[u64], type_number: u32, data: Vec<u8>) -> &mut Self {
        let tensor = Tensor { name: name.into(), shape: shape.to_vec(), type_number, data, offset: None };
        self.tensors.push(tensor);
        self
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend(self.version.to_le_bytes());
        let counts = self.counts.unwrap_or((self.tensors.len() as u64, self.values.len() as u64));
        out.extend(counts.0.to_le_bytes());
        out.extend(counts.1.to_le_bytes());
        for (key, value) in &self.values {
            string(key, &mut out);
            out.extend(value.type_number().to_le_bytes());
            value.write(&mut out);
        }
        let mut data = Vec::new();
        for tensor in &self.tensors {
            string(&tensor.name, &mut out);
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().rev().for_each(|size| out.extend(size.to_le_bytes()));
            out.extend(tensor.type_number.to_le_bytes());
            data.resize(usize::next_multiple_of(data.len(), self.alignment), 0);
            out.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.data);
        }
        if !data.is_empty() {
            out.resize(out.len().next_multiple_of(self.alignment), 0);
            out.extend(data);
        }
        out
    }
}
