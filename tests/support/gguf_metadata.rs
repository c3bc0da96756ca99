//! The metadata of a GGUF file as JSON; just enough for tests of the tokenizer.

use std::path::Path;

use serde_json::{Map, Value};

/// All keys and values.
pub fn read(path: &Path) -> Map<String, Value> {
    let bytes = std::fs::read(path).unwrap();
    let mut reader = Reader { rest: &bytes };
    assert_eq!(reader.take(4), b"GGUF");
    let _version = reader.number(4);
    let _tensors = reader.number(8);
    let count = reader.number(8);
    (0..count)
        .map(|_| {
            let key = reader.text();
            let kind = reader.number(4);
            (key, reader.value(kind))
        })
        .collect()
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn number(&mut self, width: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width));
        u64::from_le_bytes(bytes)
    }

    fn text(&mut self) -> String {
        let length = self.number(8) as usize;
        String::from_utf8(self.take(length).to_vec()).unwrap()
    }

    fn value(&mut self, kind: u64) -> Value {
        match kind {
            0 | 1 => self.number(1).into(),
            2 | 3 => self.number(2).into(),
            4 => self.number(4).into(),
            5 => (self.number(4) as u32 as i32).into(),
            6 => f32::from_bits(self.number(4) as u32).into(),
            7 => (self.number(1) != 0).into(),
            8 => self.text().into(),
            9 => {
                let (kind, count) = (self.number(4), self.number(8));
                (0..count).map(|_| self.value(kind)).collect()
            }
            10 | 11 => self.number(8).into(),
            12 => f64::from_bits(self.number(8)).into(),
            other => panic!("GGUF value of type {other}"),
        }
    }
}
